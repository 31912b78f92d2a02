//! A backup taken while several workers are busy, restored, and held against what clients were told.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::{fs, thread};

use serde_json::{Value, json};

use crate::commands::{fail, fill, succeed};
use crate::common::{Driver, Grant, Options, Server, User, eventually};

crate::both_drivers! {
    a_backup_taken_under_load_is_restored_and_no_promise_is_broken,
}

/// What the server copies at once.
const SLICE_BYTES: u64 = 64 * 4096;

/// What clients were told.
#[derive(Default)]
struct Told {
    /// Grants answered so far, and the highest token among them.
    grants: AtomicU64,
    highest: AtomicU64,
    /// Leases that are never released, with their tokens, in the order of the answers of each client.
    kept: Mutex<BTreeMap<String, u64>>,
    /// How much of the copy there was, in slices, whenever a grant was answered.
    slices: Mutex<BTreeSet<u64>>,
    enough: AtomicBool,
}

impl Told {
    /// Acquires and releases, and keeps every fourth lock, until it is enough.
    fn one_client(&self, mut user: User, client: usize, copy: &Path) {
        for n in 0.. {
            if self.enough.load(Ordering::Relaxed) {
                return;
            }
            let name = format!("client-{client}-{n}");
            let Grant { lease_id, token } = user.grant(&name, json!({ "metadata": "m".repeat(500) }));
            self.grants.fetch_add(1, Ordering::Relaxed);
            if let Ok(copied) = fs::metadata(copy) {
                self.slices.lock().expect("slices").insert(copied.len() / SLICE_BYTES);
            }
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
    fill(&server, 400);
    let told = Told::default();
    let copy = home.file("octostore.db.copy");
    let before = thread::scope(|scope| {
        for client in 0..8 {
            let user = if client == 0 { User::connect(server.address, &carol) } else { server.user("alice") };
            let (told, copy) = (&told, &copy);
            scope.spawn(move || told.one_client(user, client, copy));
        }
        scope.spawn(|| {
            while !told.enough.load(Ordering::Relaxed) {
                server.assert_healthy();
            }
        });
        eventually("there is something to copy", || told.grants.load(Ordering::Relaxed) > 2000);
        let before = told.kept.lock().expect("kept").clone();
        succeed(&home, &["backup", "copy.db"]);
        told.enough.store(true, Ordering::Relaxed);
        before
    });
    // Commits went on between the slices, and not only before the first and after the last.
    let slices = fs::metadata(home.file("copy.db")).expect("the backup").len() / SLICE_BYTES;
    let with_a_grant = told.slices.lock().expect("slices").len() as u64;
    assert!(slices >= 25 && with_a_grant >= slices / 3, "grants in {with_a_grant} of {slices} slices");
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
