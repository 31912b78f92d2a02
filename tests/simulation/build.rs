//! Copies the shipping core to where this crate compiles it: once as it is but for its limits, and once for each planted fault.
//!
//! Every edit names a text that must be in its file exactly once, so no list in here can rot.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::{env, fs};

#[path = "src/edits.rs"]
mod edits;
#[path = "src/faults.rs"]
mod faults;

use edits::{Edit, FOR_SIMULATION, INSPECTED};
use faults::FAULTS;

/// The files that ship, below `src/`: all that decides, nothing that touches the world.
const CORE: [&str; 40] = [
    "fence.rs",
    "handoff.rs",
    "hub/lists.rs",
    "hub/mod.rs",
    "hub/news.rs",
    "hub/pending.rs",
    "hub/probe.rs",
    "hub/turn.rs",
    "hub/waiters.rs",
    "journal/accounts.rs",
    "journal/backup.rs",
    "journal/fold.rs",
    "journal/intake.rs",
    "journal/memory.rs",
    "journal/memory_copy.rs",
    "journal/mod.rs",
    "journal/record.rs",
    "journal/recovery.rs",
    "journal/restore.rs",
    "journal/ring.rs",
    "journal/writer.rs",
    "lease/command.rs",
    "lease/expiry.rs",
    "lease/index.rs",
    "lease/mod.rs",
    "lease/name.rs",
    "lease/scan.rs",
    "lease/table.rs",
    "mesh.rs",
    "metrics/cell.rs",
    "metrics/journal.rs",
    "metrics/mod.rs",
    "metrics/page.rs",
    "metrics/reading.rs",
    "metrics/worker.rs",
    "quota.rs",
    "shard.rs",
    "tickets.rs",
    "vitals.rs",
    "watermark.rs",
];
/// The files of the simulator that name what the core defines: each copy of the core has its own.
const WORLD: [&str; 7] = [
    "world/clients.rs",
    "world/conns.rs",
    "world/disk.rs",
    "world/fleet.rs",
    "world/mod.rs",
    "world/oracle.rs",
    "world/promises.rs",
];
/// What all copies share, in the library.
const SHARED: &str = "pub use simulation::{clock, corners, keys, random, sync, trace};";

fn main() {
    let here = PathBuf::from(env::var_os("CARGO_MANIFEST_DIR").expect("cargo says where we are"));
    let out = PathBuf::from(env::var_os("OUT_DIR").expect("cargo says where to write"));
    println!("cargo::rerun-if-changed=../../src");
    println!("cargo::rerun-if-changed=src");
    let shipping = copy(&here, &out.join("shipping"), &CORE, "crate::", &[]);
    fs::write(out.join("shipping.rs"), shipping).expect("OUT_DIR can be written");
    let mut twins = String::new();
    let mut table = String::new();
    for fault in FAULTS {
        let files: Vec<&str> = CORE.into_iter().chain(WORLD).collect();
        let prefix = format!("crate::{}::", fault.name);
        let modules = copy(&here, &out.join(fault.name), &files, &prefix, fault.edits);
        twins += &format!("#[allow(warnings)]\nmod {} {{\n{SHARED}\n{modules}}}\n", fault.name);
        table += &format!("    ({:?}, {}::world::run),\n", fault.name, fault.name);
    }
    twins += &format!(
        "/// A planted fault and its simulator.\ntype Twin = (&'static str, fn(u64));\n\
         const TWINS: [Twin; {}] = [\n{table}];\n",
        FAULTS.len()
    );
    fs::write(out.join("twins.rs"), twins).expect("OUT_DIR can be written");
}

/// Writes edited copies of `files` to `out`, and gives the declarations of their modules.
fn copy(here: &Path, out: &Path, files: &[&str], prefix: &str, faults: &[Edit]) -> String {
    let mut texts: BTreeMap<&str, String> = BTreeMap::new();
    for file in files {
        let folder = if file.starts_with("world/") { here.join("src") } else { here.join("../../src") };
        let path = folder.join(file);
        let text = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        texts.insert(file, text);
    }
    for Edit { file, find, replace } in FOR_SIMULATION.iter().chain(faults) {
        let text = texts.get_mut(file).unwrap_or_else(|| panic!("no file {file} is simulated"));
        let found = text.matches(find).count();
        assert!(found == 1, "{file} has this text {found} times, not once: {find}");
        *text = text.replace(find, replace);
    }
    for (file, inspector) in INSPECTED {
        let path = here.join("src/inspect").join(inspector);
        *texts.get_mut(file).expect("a file of the core") += &format!("\n#[path = {path:?}]\nmod inspect;\n");
    }
    let mut modules = String::new();
    for (file, text) in texts {
        let path = out.join(file);
        fs::create_dir_all(path.parent().expect("a folder")).expect("OUT_DIR can be written");
        // The unit tests have their own place; the simulator has no use for them.
        let text = text.replace("#[cfg(test)]", "#[cfg(any())]").replace("crate::", prefix);
        fs::write(&path, text).expect("OUT_DIR can be written");
        let name = file.strip_suffix("/mod.rs").or(file.strip_suffix(".rs").filter(|name| !name.contains('/')));
        if let Some(name) = name {
            modules += &format!("#[path = {path:?}]\npub mod {name};\n");
        }
    }
    modules
}
