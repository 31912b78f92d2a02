//! After a restore nothing is granted until every lease that the backup does not know has run out.

use serde_json::json;

use crate::commands::{stopped_with, succeed};
use crate::common::tools::{edit, sqlite3};
use crate::common::{Driver, Options, Server, eventually};

crate::both_drivers! {
    a_restored_server_grants_nothing_for_an_hour_and_a_restart_begins_it_again,
}

/// After a restore in 2025 or later tokens are higher: a million for each second since 1970.
const FIRST_TOKEN: u64 = 1_735_689_600 << 20;

/// A server's options, with a database restored from a backup that had these locks.
fn restored(driver: Driver, names: &[&str], more: &[&str]) -> Options {
    let server = stopped_with(names);
    let options = Options { database: server.options.home.file("new.db"), driver, ..server.options.clone() };
    succeed(&options.home, &["backup", "copy.db"]);
    succeed(&options.home, &[&["restore", "copy.db", "--database", "new.db"], more].concat());
    options
}

/// Seconds that the refusal of a lock names.
#[track_caller]
fn refused(server: &Server, name: &str) -> u64 {
    let response = server.user("alice").acquire(name, json!({}));
    response.refused(503, "grace_period");
    response.header("retry-after").expect("a time").parse().expect("seconds")
}

fn a_restored_server_grants_nothing_for_an_hour_and_a_restart_begins_it_again(driver: Driver) {
    let mut server = Server::start(restored(driver, &["a"], &[]));
    assert!(server.log().contains("a backup was restored"), "{}", server.log());
    for name in ["a", "b", "c", "d"] {
        assert!((3500..=3600).contains(&refused(&server, name)));
    }
    let mut alice = server.user("alice");
    assert_eq!(alice.status("a")["status"], "free");
    assert_eq!(alice.list("")["total"], 0);
    alice.renew("a", "3fa85f64-5717-4562-b3fc-2c963f66afa6", json!({})).refused(404, "lock_not_found");
    server.assert_healthy();
    server.kill9();
    server.start_again();
    assert!((3500..=3600).contains(&refused(&server, "a")));
    assert!(server.terminate().success());
    server.start_again();
    assert!((3500..=3600).contains(&refused(&server, "a")));
}

#[test]
fn the_grace_runs_once_to_its_end_and_then_locks_are_granted_with_tokens_above_all_before() {
    let options = restored(Driver::Auto, &["a"], &[]);
    // An hour is long for a test. The server does not know how much was written there.
    edit(&options.database, "UPDATE meta SET grace_seconds = 2");
    let mut server = Server::start(options);
    assert!(refused(&server, "a") <= 2);
    eventually("the grace is over", || server.user("alice").acquire("a", json!({})).status == 200);
    let token = server.user("alice").grant("b", json!({})).token;
    assert!(token > FIRST_TOKEN, "{token}");
    let noted = || sqlite3_copy(&server) == "0";
    eventually("its end is noted", noted);
    server.kill9();
    server.start_again();
    assert!(server.user("alice").grant("c", json!({})).token > token);
}

/// What the files of a running server say, by a look at copies of them.
fn sqlite3_copy(server: &Server) -> String {
    let database = &server.options.database;
    let copy = server.options.home.file("look.db");
    for suffix in ["", "-wal"] {
        let from = format!("{}{suffix}", database.display());
        std::fs::copy(from, server.options.home.file(&format!("look.db{suffix}"))).expect("copy");
    }
    let _ = std::fs::remove_file(server.options.home.file("look.db-shm"));
    sqlite3(&copy, "SELECT grace_seconds FROM meta")
}

#[test]
fn without_grace_locks_are_granted_at_once() {
    let server = Server::start(restored(Driver::Auto, &["a"], &["--no-grace"]));
    let grant = server.user("alice").grant("a", json!({}));
    assert!(grant.token > FIRST_TOKEN, "{}", grant.token);
}
