//! Makes a twin of the code for each guard: all the files, one line of them weakened, and the model that must fail.

use std::path::{Path, PathBuf};
use std::{env, fs};

#[path = "src/guards.rs"]
mod guards;

use guards::{GUARDS, Guard};

/// What the models compile: the files that ship, and the queue's stand-in.
const FILES: [(&str, &str); 6] = [
    ("array_queue", "src"),
    ("fence", "../src"),
    ("handoff", "../src"),
    ("quota", "../src"),
    ("tickets", "../src"),
    ("watermark", "../src"),
];
const MODELS: [&str; 4] = ["answers", "commit", "counters", "sleep"];

fn main() {
    let here = PathBuf::from(env::var_os("CARGO_MANIFEST_DIR").expect("cargo says where we are"));
    let out = PathBuf::from(env::var_os("OUT_DIR").expect("cargo says where to write"));
    println!("cargo::rerun-if-changed=src");
    for (file, folder) in FILES {
        println!("cargo::rerun-if-changed={folder}/{file}.rs");
    }
    let twins: String = GUARDS.iter().map(|guard| twin(guard, &here, &out.join(guard.without))).collect();
    for file in MODELS {
        assert_all_can_fail(file, &here.join("src"));
    }
    fs::write(out.join("twins.rs"), twins).expect("OUT_DIR can be written");
}

/// A model that no line can break would show nothing, nor does one that is not run. A model is a public function
/// without arguments in a file of models.
fn assert_all_can_fail(file: &str, folder: &Path) {
    let read = |file: &str| fs::read_to_string(folder.join(file).with_extension("rs")).expect("a file of this crate");
    let (text, tests) = (read(file), read("tests"));
    let models = text.lines().filter_map(|line| line.strip_prefix("pub fn ")?.strip_suffix("() {"));
    let mut count = 0;
    for model in models {
        assert!(
            GUARDS.iter().any(|g| g.model == (file, model)),
            "guards.rs: nothing shows that {file}::{model} can fail"
        );
        assert!(tests.contains(model), "tests.rs does not run {file}::{model}");
        count += 1;
    }
    assert!(count > 0, "{file}.rs has no models");
}

/// Writes the weakened copies to `out`, and gives the source of the twin's module.
fn twin(guard: &Guard, here: &Path, out: &Path) -> String {
    fs::create_dir_all(out).expect("OUT_DIR can be written");
    let mut modules = String::new();
    for (file, folder) in FILES {
        let path = here.join(folder).join(file).with_extension("rs");
        let mut text = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        if guard.file == format!("{file}.rs") {
            let found = text.matches(guard.line).count();
            assert!(found == 1, "guards.rs: {} has this line {found} times, not once: {}", guard.file, guard.line);
            text = text.replace(guard.line, guard.weakened);
        }
        let copy = out.join(file).with_extension("rs");
        // A twin has its own queue, and no use for unit tests.
        text = text.replace("use crate::sync::", "use super::sync::").replace("#[cfg(test)]", "#[cfg(any())]");
        fs::write(&copy, text).expect("OUT_DIR can be written");
        modules += &format!("#[path = {copy:?}] mod {file};\n");
    }
    for model in MODELS {
        modules += &format!("#[path = {:?}] mod {model};\n", here.join("src").join(model).with_extension("rs"));
    }
    let (without, fails_with, (file, model)) = (guard.without, guard.fails_with, guard.model);
    format!(
        "#[allow(dead_code, unused_imports, unused_variables)]\nmod {without} {{\n\
         mod sync {{ pub use super::array_queue::ArrayQueue; pub use crate::sync::*; }}\n\
         {modules}\
         #[test]\n#[should_panic(expected = {fails_with:?})]\n\
         fn is_found_out() {{ {file}::{model}(); }}\n}}\n"
    )
}
