//! Tools from outside: strace to watch and to break system calls, and SQLite's shell.

use std::path::Path;
use std::process::Command;

/// A wrapper that runs a server under strace, which writes to `output`. The server stays the test's own child (`-D`).
pub fn strace(output: &Path, rules: &[&str]) -> Vec<String> {
    let mut line = vec!["strace", "-D", "-f", "--seccomp-bpf", "-qq", "-s", "4096", "-o", super::options::text(output)];
    line.extend(rules);
    line.push("--");
    line.into_iter().map(str::to_owned).collect()
}

/// What SQLite's shell says to a query on a database that no server has open.
#[track_caller]
pub fn sqlite3(database: &Path, query: &str) -> String {
    let output =
        Command::new("sqlite3").arg(database).arg(query).output().expect("sqlite3 (the package sqlite3) is needed");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && errors.is_empty(), "{query}: {errors}");
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

/// Changes rows of a database that no server has open, so that the next start, or a restore, takes them for its own: they get their
/// checksums there.
#[track_caller]
pub fn edit(database: &Path, change: &str) {
    sqlite3(database, &format!("BEGIN; {} {change}; COMMIT", include_str!("version_2.sql")));
}

/// What a command that a person would paste into a shell prints.
#[track_caller]
pub fn shell(command: &str) -> String {
    let mut shell = Command::new("sh");
    let output = super::options::clear_environment(&mut shell).arg("-c").arg(command).output().expect("sh");
    assert!(output.status.success(), "{command}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).into_owned()
}
