//! `octostore user`, through a running server and on the database of a stopped one.

use std::os::unix::fs::MetadataExt;

use serde_json::json;

use crate::commands::{fail, files, run, succeed};
use crate::common::{Driver, Home, Options, Server, User};

crate::both_drivers! {
    a_user_added_to_a_running_server_can_lock_at_once,
    a_rotated_token_is_refused_on_every_connection_by_the_time_the_command_ends,
    a_removed_user_is_refused_and_its_locks_run_out,
}

/// The token that a command prints, and nothing else.
#[track_caller]
fn token(home: &Home, args: &[&str]) -> String {
    let ended = run(home, args);
    assert!(ended.status.success(), "{ended:?}");
    let token = ended.stdout.strip_suffix('\n').expect("one line").to_owned();
    assert!(token.len() == 43 && token.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_'), "{token}");
    assert!(!ended.stderr.contains(&token) && ended.stderr.contains("shown once"), "{ended:?}");
    token
}

/// Whether a token is good.
fn is_good(server: &Server, token: &str) -> bool {
    match User::connect(server.address, token).get("/locks").status {
        200 => true,
        401 => false,
        other => panic!("neither accepted nor refused: {other}"),
    }
}

fn a_user_added_to_a_running_server_can_lock_at_once(driver: Driver) {
    let mut server = Server::on(driver);
    let home = server.options.home.clone();
    let carol = token(&home, &["user", "add", "carol"]);
    for _ in 0..4 {
        assert!(is_good(&server, &carol), "on whichever core the connection is");
    }
    let grant = User::connect(server.address, &carol).grant("job", json!({}));
    fail(&home, &["user", "add", "carol"], 1, &["there is a user carol", "user rotate carol"]);
    server.kill9();
    server.start_again();
    let mut carol = User::connect(server.address, &carol);
    carol.renew("job", &grant.lease_id, json!({})).expect(200);
    assert!(!server.log().contains(&carol.token), "a token is in no log");
}

fn a_rotated_token_is_refused_on_every_connection_by_the_time_the_command_ends(driver: Driver) {
    let server = Server::start(Options::new(driver).workers(3));
    let home = &server.options.home;
    let old = token(home, &["user", "add", "carol"]);
    let mut connections: Vec<User> = (0..12).map(|_| User::connect(server.address, &old)).collect();
    let grant = connections[0].grant("job", json!({}));
    connections.iter_mut().for_each(|user| _ = user.get("/locks").expect(200));
    let new = token(home, &["user", "rotate", "carol"]);
    assert_ne!(old, new);
    for user in &mut connections {
        user.get("/locks").refused(401, "authentication_failed");
    }
    User::connect(server.address, &new).renew("job", &grant.lease_id, json!({})).expect(200);
    fail(home, &["user", "rotate", "nobody"], 1, &["no user nobody"]);
    fail(home, &["user", "rotate", "static/alice"], 1, &["configuration"]);
}

fn a_removed_user_is_refused_and_its_locks_run_out(driver: Driver) {
    let server = Server::on(driver);
    let home = &server.options.home;
    let carol = token(home, &["user", "add", "carol"]);
    let mut user = User::connect(server.address, &carol);
    user.grant("long", json!({ "ttl_seconds": 3600 }));
    user.grant("short", json!({ "ttl_seconds": 1 }));
    let ended = run(home, &["user", "remove", "carol"]);
    assert!(ended.status.success() && ended.stdout.is_empty(), "{ended:?}");
    assert!(ended.stderr.contains("run out"), "what becomes of its locks is said: {ended:?}");
    user.get("/locks").refused(401, "authentication_failed");
    assert!(!is_good(&server, &carol));
    let mut bob = server.user("bob");
    assert!(bob.sees_held("long"), "it stays until it runs out");
    crate::common::eventually("the short one runs out", || !bob.sees_held("short"));
    bob.grant("short", json!({}));
    fail(home, &["user", "remove", "carol"], 1, &["no user carol"]);
    // The account comes back with what it holds.
    let back = token(home, &["user", "add", "carol"]);
    assert_eq!(User::connect(server.address, &back).names(""), ["long"]);
    assert!(!is_good(&server, &carol));
}

#[test]
fn users_of_a_stopped_server_are_changed_in_its_database() {
    let mut server = Server::on(Driver::Auto);
    let home = server.options.home.clone();
    server.user("alice").grant("job", json!({}));
    server.kill9(); // the newest commits are in the -wal file
    let carol = token(&home, &["user", "add", "carol"]);
    let dave = token(&home, &["user", "add", "dave"]);
    let rotated = token(&home, &["user", "rotate", "dave"]);
    let erin = token(&home, &["user", "add", "erin"]);
    succeed(&home, &["user", "remove", "erin"]);
    fail(&home, &["user", "add", "carol"], 1, &["there is a user carol"]);
    fail(&home, &["user", "remove", "nobody"], 1, &["no user nobody"]);
    let left = ["octostore.db", "octostore.db.admin", "octostore.db.lock"];
    assert_eq!(files(&home), left, "one tidy file, and a socket that was left");
    server.start_again();
    let good = [&carol, &dave, &rotated, &erin].map(|token| is_good(&server, token));
    assert_eq!(good, [true, false, true, false]);
    assert!(server.user("alice").names("") == ["job"], "nothing else has changed");
}

#[test]
fn users_can_be_added_before_the_first_start() {
    let home = Home::new();
    let carol = token(&home, &["user", "add", "carol"]);
    let server = Server::start(Options { database: home.file("octostore.db"), home, ..Options::new(Driver::Auto) });
    User::connect(server.address, &carol).grant("job", json!({}));
}

#[test]
fn what_root_makes_for_a_server_belongs_to_the_owner_of_its_directory() {
    let home = Home::new();
    if rustix::process::geteuid().is_root() {
        std::os::unix::fs::chown(&home.path, Some(65534), Some(65534)).expect("chown");
    }
    let owner = |file: &std::path::Path| std::fs::metadata(file).expect("a file").uid();
    token(&home, &["user", "add", "carol"]);
    succeed(&home, &["backup", "copy.db"]);
    succeed(&home, &["restore", "copy.db", "--database", "new.db"]);
    for made in ["octostore.db", "octostore.db.lock", "new.db", "new.db.lock"] {
        assert_eq!(owner(&home.file(made)), owner(&home.path), "{made}");
    }
}

#[test]
fn commands_at_the_same_time_wait_for_each_other() {
    let home = Home::new();
    let names: Vec<String> = (0..6).map(|n| format!("user-{n}")).collect();
    std::thread::scope(|scope| {
        for name in &names {
            let home = &home;
            scope.spawn(move || token(home, &["user", "add", name]));
        }
    });
    let list = succeed(&home, &["user", "list"]);
    assert!(names.iter().all(|name| list.contains(name)), "{list}");
}

#[test]
fn the_list_shows_what_to_call_a_user_and_how_many_tokens_it_has() {
    let mut server = Server::on(Driver::Auto);
    let home = server.options.home.clone();
    succeed(&home, &["user", "add", "carol"]);
    succeed(&home, &["user", "add", "dave"]);
    succeed(&home, &["user", "remove", "dave"]);
    let running = succeed(&home, &["user", "list"]);
    let rows: Vec<Vec<&str>> = running.lines().map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(rows[0], ["USER", "TOKENS", "USER", "ID"]);
    let mut users: Vec<(&str, &str)> = rows[1..].iter().map(|row| (row[0], row[1])).collect();
    users.sort_unstable();
    assert_eq!(users, [("carol", "1"), ("dave", "0"), ("static/alice", "0"), ("static/bob", "0")]);
    assert!(server.terminate().success());
    assert_eq!(succeed(&home, &["user", "list"]), running, "the same of a stopped server");
}

#[test]
fn what_is_no_name_or_no_command_is_refused() {
    let server = Server::on(Driver::Auto);
    let home = &server.options.home;
    for name in ["", "two words", "a/b", "ä", &"n".repeat(65), "new\nline"] {
        fail(home, &["user", "add", name], 1, &["1 to 64"]);
    }
    for args in [&["user"][..], &["user", "add"], &["user", "rename", "a", "b"], &["user", "list", "all"]] {
        assert_eq!(run(home, args).status.code(), Some(2), "{args:?}");
    }
    let empty = Home::new();
    for args in [&["user", "list"][..], &["user", "rotate", "carol"], &["user", "remove", "carol"]] {
        fail(&empty, args, 1, &["there is no database"]);
    }
    assert!(files(&empty).is_empty());
}
