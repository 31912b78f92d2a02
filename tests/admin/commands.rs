//! Commands, run as an operator does.

use std::process::Command;

use serde_json::{Value, json};

use crate::common::options::clear_environment;
use crate::common::process::Process;
use crate::common::{Failed, Grant, Home, Server};

/// `octostore` with these arguments, in this directory.
pub fn command(home: &Home, args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_octostore"));
    clear_environment(&mut command).args(args).current_dir(&home.path);
    command
}

/// Runs it to its end.
#[track_caller]
pub fn run(home: &Home, args: &[&str]) -> Failed {
    Process::spawn(command(home, args)).failed()
}

/// Runs it; it must succeed. What it has written to stdout.
#[track_caller]
pub fn succeed(home: &Home, args: &[&str]) -> String {
    let ended = run(home, args);
    assert!(ended.status.success(), "{args:?}: {ended:?}");
    assert!(!ended.stderr.contains("\u{1b}["), "nothing but lines where stderr is no terminal: {ended:?}");
    ended.stdout
}

/// Runs it; it must fail with this code, in one line that says these things.
#[track_caller]
pub fn fail(home: &Home, args: &[&str], code: i32, says: &[&str]) {
    let ended = run(home, args);
    assert_eq!(ended.status.code(), Some(code), "{args:?}: {ended:?}");
    let error = ended.stderr.trim_end();
    assert!(error.starts_with("octostore: ") && !error.contains('\n'), "one line: {error}");
    for part in says {
        assert!(error.contains(part), "{args:?} should say '{part}': {error}");
    }
}

/// The files of a home, sorted.
pub fn files(home: &Home) -> Vec<String> {
    let entries = std::fs::read_dir(&home.path).expect("the directory");
    let mut names: Vec<String> =
        entries.map(|entry| entry.expect("an entry").file_name().into_string().expect("a name")).collect();
    names.sort();
    names
}

/// What `dump` prints, a value a line.
#[track_caller]
pub fn dump(home: &Home) -> Vec<Value> {
    succeed(home, &["dump"]).lines().map(|line| serde_json::from_str(line).expect("JSON")).collect()
}

/// The names in it.
#[track_caller]
pub fn dumped_names(home: &Home) -> Vec<String> {
    dump(home).iter().map(|line| line["name"].as_str().expect("a name").to_owned()).collect()
}

/// Has 16 locks with a kilobyte each granted to alice, so many times.
#[track_caller]
pub fn fill(server: &Server, times: usize) {
    let mut alice = server.user("alice");
    let body = json!({ "ttl_seconds": 3600, "metadata": "m".repeat(1000) }).to_string();
    for batch in 0..times {
        // At once, since each request alone is a sync.
        for n in 0..16 {
            let request = alice.post_bytes(&format!("/locks/lock-{batch}-{n}/acquire"), body.as_bytes());
            alice.connection.send(&request);
        }
        (0..16).for_each(|_| _ = Grant::of(&alice.connection.read()));
    }
}

/// A server that has granted these locks to alice, and was stopped in order.
#[track_caller]
pub fn stopped_with(names: &[&str]) -> Server {
    let mut server = Server::on(crate::common::Driver::Auto);
    let mut alice = server.user("alice");
    for name in names {
        alice.grant(name, json!({ "ttl_seconds": 3600, "metadata": "it's \"mine\"" }));
    }
    assert!(server.terminate().success(), "{}", server.log());
    server
}
