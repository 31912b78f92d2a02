//! `octostore user`, through a running server and on the database of a stopped one.

use std::collections::BTreeMap;
use std::os::unix::fs::MetadataExt;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::{fs, thread};

use serde_json::json;

use crate::commands::{fail, files, run, succeed};
use crate::common::options::token_of;
use crate::common::tools::edit;
use crate::common::{Driver, Home, Options, Server, User, eventually};

crate::both_drivers! {
    a_user_added_to_a_running_server_can_lock_at_once,
    a_rotated_token_is_refused_on_every_connection_by_the_time_the_command_ends,
    a_removed_user_is_refused_and_its_locks_run_out,
    a_list_of_thousands_of_users_is_whole_while_locks_are_granted,
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

/// What `user list` shows: the tokens of each user, by its name.
#[track_caller]
fn listed(home: &Home) -> BTreeMap<String, String> {
    let list = succeed(home, &["user", "list"]);
    let mut rows = list.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
    assert_eq!(rows.next().expect("a header"), ["USER", "TOKENS", "USER", "ID"]);
    let users: Vec<_> = rows.map(|row| (row[0].to_owned(), row[row.len() - 2].to_owned())).collect();
    let by_name: BTreeMap<_, _> = users.iter().cloned().collect();
    assert_eq!(by_name.len(), users.len(), "each is listed once");
    by_name
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
    eventually("the short one runs out", || !bob.sees_held("short"));
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
    let owner = |file: &std::path::Path| fs::metadata(file).expect("a file").uid();
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
    thread::scope(|scope| {
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
    let tokens = [("alice", "one"), ("alice", "other"), ("bob", "bob")].map(|(u, t)| format!("{u}:{}", token_of(t)));
    let mut server = Server::start(Options::new(Driver::Auto).env("STATIC_TOKENS", &tokens.join(",")));
    let home = server.options.home.clone();
    succeed(&home, &["user", "add", "carol"]);
    succeed(&home, &["user", "add", "alice"]);
    succeed(&home, &["user", "add", "dave"]);
    succeed(&home, &["user", "remove", "dave"]);
    let shown = |users: [(&str, &str); 5]| BTreeMap::from(users.map(|(name, tokens)| (name.into(), tokens.into())));
    let of_the_database = [("alice", "1"), ("carol", "1"), ("dave", "0")];
    let [alice, carol, dave] = of_the_database;
    assert_eq!(listed(&home), shown([alice, carol, dave, ("static/alice", "2"), ("static/bob", "1")]));
    assert!(server.terminate().success());
    // Which tokens are configured only the server knows.
    assert_eq!(listed(&home), shown([alice, carol, dave, ("static/alice", "-"), ("static/bob", "-")]));
    server.options = server.options.clone().env("STATIC_TOKENS", &tokens[0]);
    server.start_again();
    assert_eq!(listed(&home), shown([alice, carol, dave, ("static/alice", "1"), ("static/bob", "0")]));
}

#[test]
fn the_list_counts_the_token_of_local() {
    let server = Server::start(Options::new(Driver::Auto).users(&[]));
    assert_eq!(listed(&server.options.home), BTreeMap::from([("local/local".to_owned(), "1".to_owned())]));
}

fn a_list_of_thousands_of_users_is_whole_while_locks_are_granted(driver: Driver) {
    const USERS: usize = 5000;
    let mut server = Server::start(Options::new(driver).args(&["--max-locks-per-user", "1000000"]));
    let home = server.options.home.clone();
    assert!(server.terminate().success());
    edit(
        &server.options.database,
        &format!(
            "WITH RECURSIVE n (n) AS (SELECT 2 UNION ALL SELECT n + 1 FROM n WHERE n < {USERS} + 1)
             INSERT INTO accounts (id, public_id, kind, external_id, created_at, login)
             SELECT n, printf('%08x-0000-4000-8000-%012x', n, n), 'github', n, '2026-01-01T00:00:00Z', 'user-' || n FROM n;
             INSERT INTO tokens (hash, user_id, issued) SELECT randomblob(32), id, t.issued FROM accounts,
             (SELECT 0 AS issued UNION SELECT 1 UNION SELECT 2) AS t WHERE kind = 'github' AND t.issued < id % 4"
        ),
    );
    server.start_again();
    // No copy of the database can be made now, so the list is read by another way.
    fs::create_dir(home.file("octostore.db.copy")).expect("mkdir");
    let (grants, enough) = (AtomicU64::new(0), AtomicBool::new(false));
    thread::scope(|scope| {
        for client in 0..4 {
            let mut alice = server.user("alice");
            let (grants, enough) = (&grants, &enough);
            scope.spawn(move || {
                for n in 0.. {
                    if enough.load(Ordering::Relaxed) {
                        return;
                    }
                    alice.grant(&format!("client-{client}-{n}"), json!({}));
                    grants.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        eventually("locks are granted", || grants.load(Ordering::Relaxed) > 100);
        let before = grants.load(Ordering::Relaxed);
        for round in 0..4 {
            succeed(&home, &["user", "add", &format!("late-{round}")]);
            let listed = listed(&home);
            assert_eq!(listed.len(), 2 + USERS + round + 1, "all, and who was added just now");
            assert_eq!(listed[&format!("late-{round}")], "1");
            for id in 2..USERS + 2 {
                assert_eq!(listed[&format!("github/{id}")], (id % 4).to_string());
            }
        }
        enough.store(true, Ordering::Relaxed);
        assert!(grants.load(Ordering::Relaxed) > before, "locks went on being granted");
    });
    server.assert_healthy();
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
