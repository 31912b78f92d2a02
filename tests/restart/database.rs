//! The database file: readable for people, and refused when it is not ours or not whole.

use std::fs::{self, File, OpenOptions};
use std::io::{Seek, SeekFrom, Write};

use serde_json::json;

use crate::common::tools::sqlite3;
use crate::common::{Driver, Failed, Server};

crate::both_drivers! {
    a_stopped_servers_database_is_readable_with_sqlites_shell,
    a_killed_servers_database_is_whole,
    the_files_are_for_their_owner_only,
    a_schema_of_another_version_is_refused,
    a_file_that_is_no_database_is_refused,
    a_database_with_destroyed_pages_is_refused,
    damage_in_a_killed_servers_wal_file_is_refused_with_the_commit_and_what_to_do,
    a_database_of_something_else_is_refused,
}

#[track_caller]
fn refused(server: &Server) -> Failed {
    Server::try_start(server.options.clone()).expect_err("it must not start")
}

/// A server that has held some locks and was stopped in order.
fn stopped(driver: Driver) -> Server {
    let mut server = Server::on(driver);
    let mut alice = server.user("alice");
    for i in 0..80 {
        alice.grant(&format!("readable-lock-{i}"), json!({ "metadata": "m".repeat(1000) }));
    }
    assert!(server.terminate().success(), "{}", server.log());
    server
}

fn a_stopped_servers_database_is_readable_with_sqlites_shell(driver: Driver) {
    let server = stopped(driver);
    assert_eq!(sqlite3(&server.options.database, "PRAGMA integrity_check"), "ok");
    let dump = sqlite3(&server.options.database, ".dump");
    for i in 0..80 {
        assert!(dump.contains(&format!("'readable-lock-{i}'")), "a row for each lock that is held");
    }
    assert!(!dump.contains(&crate::common::token_of("alice")), "no bearer token is stored");
    let left: Vec<_> = fs::read_dir(&server.options.home.path)
        .expect("the directory")
        .map(|e| e.expect("a file").file_name())
        .collect();
    assert!(left.iter().all(|name| !name.to_string_lossy().ends_with("-wal")), "one tidy file: {left:?}");
}

fn a_killed_servers_database_is_whole(driver: Driver) {
    let mut server = Server::on(driver);
    let mut alice = server.user("alice");
    for i in 0..80 {
        alice.grant(&format!("lock-{i}"), json!({}));
    }
    server.kill9();
    // On copies, since a look replays the WAL.
    for suffix in ["", "-wal"] {
        let from = format!("{}{suffix}", server.options.database.display());
        fs::copy(from, server.options.home.file(&format!("copy{suffix}"))).expect("copy");
    }
    assert_eq!(sqlite3(&server.options.home.file("copy"), "PRAGMA integrity_check"), "ok");
    server.start_again();
    assert_eq!(server.user("alice").list("")["total"], 80);
}

fn the_files_are_for_their_owner_only(driver: Driver) {
    use std::os::unix::fs::PermissionsExt;
    let server = Server::on(driver);
    server.user("alice").grant("job", json!({}));
    for file in fs::read_dir(&server.options.home.path).expect("the directory") {
        let file = file.expect("a file");
        let mode = file.metadata().expect("its mode").permissions().mode();
        assert_eq!(mode & 0o077, 0, "{:?} has mode {mode:o}: lease ids are secrets", file.file_name());
    }
}

fn a_schema_of_another_version_is_refused(driver: Driver) {
    let mut server = stopped(driver);
    let before = sqlite3(&server.options.database, "PRAGMA user_version");
    assert_ne!(before, "0", "the schema has a version");
    sqlite3(&server.options.database, "PRAGMA user_version = 999");
    let failed = refused(&server);
    assert!(failed.error().contains("999") && failed.error().contains("octostore.db"), "{}", failed.error());
    sqlite3(&server.options.database, &format!("PRAGMA user_version = {before}"));
    server.start_again();
    assert_eq!(server.user("alice").list("")["total"], 80, "the refusal has changed nothing");
}

fn a_file_that_is_no_database_is_refused(driver: Driver) {
    let mut server = Server::on(driver);
    server.kill9();
    let text = "These are my notes.\n".repeat(1000);
    for suffix in ["-wal", "-journal"] {
        let _ = fs::remove_file(format!("{}{suffix}", server.options.database.display()));
    }
    fs::write(&server.options.database, &text).expect("write");
    let failed = refused(&server);
    assert!(failed.error().contains("octostore.db"), "{}", failed.error());
    assert_eq!(fs::read_to_string(&server.options.database).expect("read"), text, "it is left as it was");
}

fn a_database_with_destroyed_pages_is_refused(driver: Driver) {
    let server = stopped(driver);
    let mut file = OpenOptions::new().write(true).open(&server.options.database).expect("open");
    let length = file.metadata().expect("its length").len();
    assert!(length > 3 * 4096, "{length}");
    // All but the first page, which says how the rest is made.
    file.seek(SeekFrom::Start(4096)).expect("seek");
    file.write_all(&vec![0x5a; (length - 4096) as usize]).expect("write");
    drop(file);
    let failed = refused(&server);
    assert!(failed.error().contains("octostore.db"), "{}", failed.error());
    assert!(failed.error().ends_with("restore a backup (octostore restore BACKUP)"), "{}", failed.error());
}

fn damage_in_a_killed_servers_wal_file_is_refused_with_the_commit_and_what_to_do(driver: Driver) {
    let mut server = Server::on(driver);
    let mut alice = server.user("alice");
    for i in 0..20 {
        alice.grant(&format!("lock-{i}"), json!({}));
    }
    server.kill9();
    let wal = format!("{}-wal", server.options.database.display());
    let whole = fs::read(&wal).expect("read");
    let mut damaged = whole.clone();
    let middle = whole.len() / 2;
    damaged[middle] ^= 1;
    fs::write(&wal, &damaged).expect("write");
    let failed = refused(&server);
    let (_, after) = failed.error().split_once("octostore.db-wal is damaged right after commit ").expect("the commit");
    let commit: u64 = after.split(':').next().and_then(|number| number.parse().ok()).expect("its number");
    assert!((1..20).contains(&commit), "{}", failed.error());
    assert!(failed.error().ends_with("restore a backup (octostore restore BACKUP)"), "{}", failed.error());
    assert_eq!(fs::read(&wal).expect("read"), damaged, "it is left as it was");
    fs::write(&wal, &whole).expect("write");
    server.start_again();
    assert_eq!(server.user("alice").list("")["total"], 20);
}

fn a_database_of_something_else_is_refused(driver: Driver) {
    let mut server = Server::on(driver);
    server.kill9();
    let other = server.options.home.file("other.db");
    File::create(&other).expect("create");
    sqlite3(&other, "CREATE TABLE customers (name TEXT); INSERT INTO customers VALUES ('Ann')");
    server.options.database = other.clone();
    let failed = refused(&server);
    assert!(failed.error().contains("other.db"), "{}", failed.error());
    assert_eq!(sqlite3(&other, "SELECT name FROM customers"), "Ann");
    assert_eq!(sqlite3(&other, "SELECT count(*) FROM sqlite_master"), "1", "nothing was added to it");
}
