//! A backup taken while several workers are busy, restored, and held against what clients were told.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;

use serde_json::{Value, json};

use crate::commands::{fail, succeed};
use crate::common::{Driver, Grant, Options, Server, User, eventually};

crate::both_drivers! {
    a_backup_taken_under_load_is_restored_and_no_promise_is_broken,
}

/// What clients were told.
#[derive(Default)]
struct Told {
    /// Grants answered so far, and the highest token among them.
    grants: AtomicU64,
    highest: AtomicU64,
    /// Leases that are never released, with their tokens, in the order of the answers of each client.
    kept: Mutex<BTreeMap<String, u64>>,
    enough: AtomicBool,
}

impl Told {
    /// Acquires and releases, and keeps every fourth lock, until it is enough.
    fn one_client(&self, mut user: User, client: usize) {
        for n in 0.. {
            if self.enough.load(Ordering::Relaxed) {
                return;
            }
            let name = format!("client-{client}-{n}");
            let Grant { lease_id, token } = user.grant(&name, json!({ "metadata": "m".repeat(500) }));
            self.grants.fetch_add(1, Ordering::Relaxed);
            self.highest.fetch_max(token, Ordering::Relaxed);
            if n % 4 == 0 {
                self.kept.lock().expect("kept").insert(name, token);
            } else {
                user.release(&name, &lease_id).expect(200);
            }
        }
    }
}

fn a_backup_taken_under_load_is_restored_and_no_promise_is_broken(driver: Driver) {
    let options = Options::new(driver).workers(3).args(&["--max-locks-per-user", "100000"]);
    let mut server = Server::start(options);
    let home = server.options.home.clone();
    let carol = succeed(&home, &["user", "add", "carol"]).trim().to_owned();
    let told = Told::default();
    let (before, during) = thread::scope(|scope| {
        for client in 0..8 {
            let user = if client == 0 { User::connect(server.address, &carol) } else { server.user("alice") };
            let told = &told;
            scope.spawn(move || told.one_client(user, client));
        }
        eventually("there is something to copy", || told.grants.load(Ordering::Relaxed) > 2000);
        let before = told.kept.lock().expect("kept").clone();
        let granted = told.grants.load(Ordering::Relaxed);
        succeed(&home, &["backup", "copy.db"]);
        let during = told.grants.load(Ordering::Relaxed) - granted;
        told.enough.store(true, Ordering::Relaxed);
        (before, during)
    });
    assert!(during > 0, "the clients went on meanwhile");
    assert_what_was_answered_is_in(&succeed(&home, &["dump", "--database", "copy.db"]), &before, &told);
    assert!(server.terminate().success(), "{}", server.log());

    fail(&home, &["restore", "copy.db"], 1, &["exists"]);
    let highest = told.highest.load(Ordering::Relaxed);
    succeed(&home, &["restore", "copy.db", "--database", "new.db"]);
    server.options.database = home.file("new.db");
    server.start_again();
    let mut carol = User::connect(server.address, &carol);
    for user in [&mut carol, &mut server.user("alice")] {
        assert_eq!(user.list("")["total"], 0, "no lease is left, and the token is good");
        let name = before.keys().next().expect("some were kept");
        assert_eq!(user.status(name)["status"], "free");
        user.acquire(name, json!({})).refused(503, "grace_period");
    }
    assert!(server.terminate().success());
    succeed(&home, &["restore", "copy.db", "--database", "third.db", "--no-grace"]);
    server.options.database = home.file("third.db");
    server.start_again();
    let mut alice = server.user("alice");
    for name in before.keys().take(20) {
        assert!(alice.grant(name, json!({})).token > highest, "a token above every one that was ever shown");
    }
}

/// Every lease that was granted before the backup began, and nothing that nobody was granted.
#[track_caller]
fn assert_what_was_answered_is_in(dump: &str, before: &BTreeMap<String, u64>, told: &Told) {
    let rows = dump.lines().map(|line| serde_json::from_str::<Value>(line).expect("JSON"));
    let held: BTreeMap<String, u64> = rows
        .map(|row| (row["name"].as_str().expect("a name").to_owned(), row["fencing_token"].as_u64().expect("a token")))
        .collect();
    assert!(!before.is_empty());
    for (name, token) in before {
        assert_eq!(held.get(name), Some(token), "{name} was granted before the backup began");
    }
    for (name, token) in told.kept.lock().expect("kept").iter() {
        assert!(held.get(name).is_none_or(|found| found == token), "{name} has another token");
    }
}
