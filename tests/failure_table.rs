//! README's failure table names, for each failure, the tests that show what happens. They are there.

use std::fs;
use std::path::Path;

#[test]
fn the_tests_that_the_failure_table_names_are_there() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let readme = fs::read_to_string(root.join("README.md")).expect("README.md");
    let (_, section) = readme.split_once("\n## Failure behaviour\n").expect("a section on failures");
    let (section, _) = section.split_once("\n## ").expect("a section after it");
    let mut sources = String::new();
    for directory in ["src", "tests"] {
        read(&root.join(directory), &mut sources);
    }
    let rows: Vec<&str> = section.lines().filter(|line| line.starts_with("| ")).skip(1).collect();
    assert!(rows.len() > 30, "{} rows", rows.len());
    for row in rows {
        let shown_by = row.trim_end_matches([' ', '|']).rsplit(" | ").next().expect("a last column");
        let named: Vec<&str> = shown_by.split('`').skip(1).step_by(2).collect();
        assert!(!named.is_empty(), "nothing shows it: {row}");
        for name in named {
            let is_there = match name.contains('/') {
                true => root.join(name).exists(),
                // By name, or in quotes where a test is a program.
                false => sources.contains(&format!("fn {name}(")) || sources.contains(&format!("\"{name}\"")),
            };
            assert!(is_there, "there is no {name}: {row}");
        }
    }
}

fn read(directory: &Path, sources: &mut String) {
    for entry in fs::read_dir(directory).expect("a directory").map(|entry| entry.expect("an entry").path()) {
        if entry.is_dir() {
            read(&entry, sources);
        } else if entry.extension().is_some_and(|extension| extension == "rs") {
            sources.push_str(&fs::read_to_string(entry).expect("a source"));
        }
    }
}
