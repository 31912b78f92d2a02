//! A disk that takes its time: nobody is told of anything that a crash could still undo.

use std::time::Duration;

use serde_json::{Value, json};
use uuid::Uuid;

use crate::common::{Driver, Options, Server, User, eventually};

/// How long each sync takes, once they are slow.
const DELAY: Duration = Duration::from_secs(3);
/// Far less than a sync takes, far more than an answer takes that waits for none.
const WHILE: Duration = Duration::from_millis(1000);

crate::both_drivers! {
    nobody_sees_a_grant_before_it_is_durable,
    a_crash_during_a_slow_sync_contradicts_nothing_that_was_told,
    answers_that_show_no_lock_state_wait_for_no_disk,
    reads_of_other_locks_wait_for_no_disk,
}

/// A server whose syncs are slow from the 61st on, some locks taken quickly before, and one (`pending`) asked for
/// that waits for its sync.
struct Slow {
    server: Server,
    asker: User,
    lease_id: String,
}

impl Slow {
    #[track_caller]
    fn start(driver: Driver) -> Slow {
        let options = Options::new(driver).args(&["--max-locks-per-user", "1000"]);
        let rule = format!("delay_exit={}:when=61+", DELAY.as_micros());
        let server = Server::start(options.inject("fdatasync", &rule));
        let mut alice = server.user("alice");
        alice.grant("settled", json!({ "ttl_seconds": 600, "metadata": "settled" }));
        // Fast syncs are used up; then the journal comes to rest, so that the next sync is that of `pending`.
        for i in 0.. {
            if server.options.delayed() > 0 {
                break;
            }
            assert!(i < 200, "the syncs never become slow");
            alice.grant(&format!("before-{i}"), json!({}));
        }
        std::thread::sleep(2 * DELAY);
        let lease_id = Uuid::new_v4().to_string();
        let mut asker = server.user("alice");
        let request =
            asker.post_bytes("/locks/pending/acquire", json!({ "lease_id": lease_id }).to_string().as_bytes());
        asker.connection.send(&request);
        Slow { server, asker, lease_id }
    }

    /// Sends a request of bob's, or of alice's on another connection.
    fn ask(&self, user: &str, request: impl Fn(&User) -> Vec<u8>) -> User {
        let mut user = self.server.user(user);
        let bytes = request(&user);
        user.connection.send(&bytes);
        user
    }
}

fn nobody_sees_a_grant_before_it_is_durable(driver: Driver) {
    let mut slow = Slow::start(driver);
    std::thread::sleep(Duration::from_millis(200)); // the grant is made, its sync is under way
    let renewal = json!({ "lease_id": slow.lease_id, "ttl_seconds": 1 }).to_string();
    let mut askers = vec![
        (
            "acquired",
            200,
            slow.ask("alice", |u| {
                u.post_bytes("/locks/pending/acquire", json!({ "lease_id": slow.lease_id }).to_string().as_bytes())
            }),
        ),
        ("held", 200, slow.ask("bob", |u| u.get_bytes("/locks/pending"))),
        ("held", 409, slow.ask("bob", |u| u.post_bytes("/locks/pending/acquire", b""))),
        ("lease_not_current", 409, slow.ask("bob", |u| u.post_bytes("/locks/pending/renew", renewal.as_bytes()))),
        ("pending", 200, slow.ask("alice", |u| u.get_bytes("/locks?prefix=pending"))),
    ];
    assert!(!slow.asker.connection.answers_within(WHILE), "the grant was answered before its sync");
    for (what, _, asker) in &mut askers {
        assert!(!asker.connection.answers_within(Duration::from_millis(1)), "{what} was told before the sync");
    }
    assert_eq!(slow.asker.connection.read().expect(200)["status"], "acquired");
    for (what, status, mut asker) in askers {
        let response = asker.connection.read();
        assert_eq!(response.status, status, "{}", response.text());
        assert!(response.text().contains(what), "{}", response.text());
    }
}

fn a_crash_during_a_slow_sync_contradicts_nothing_that_was_told(driver: Driver) {
    let mut slow = Slow::start(driver);
    std::thread::sleep(Duration::from_millis(200));
    let mut status = slow.ask("bob", |u| u.get_bytes("/locks/pending"));
    let mut list = slow.ask("alice", |u| u.get_bytes("/locks?prefix=pending"));
    assert!(!slow.asker.connection.answers_within(WHILE));
    slow.server.kill9();
    for asker in [&mut slow.asker, &mut status, &mut list] {
        assert!(asker.connection.try_read().is_err(), "nobody was told anything");
    }
    slow.server.options.wrapper.clear();
    slow.server.start_again();
    let mut alice = slow.server.user("alice");
    assert_eq!(alice.status("settled")["metadata"], "settled");
    // It may have reached the disk or not; either way its asker can go on, with the same lease id.
    let body = alice.acquire("pending", json!({ "lease_id": slow.lease_id })).expect(200);
    assert_eq!(body["lease_id"], slow.lease_id);
    assert!(body["fencing_token"].as_u64() > alice.status("settled")["fencing_token"].as_u64());
}

fn answers_that_show_no_lock_state_wait_for_no_disk(driver: Driver) {
    let mut slow = Slow::start(driver);
    std::thread::sleep(Duration::from_millis(200));
    let mut alice = slow.server.user("alice");
    alice.acquire("pending", json!({ "ttl_seconds": 0 })).refused(400, "invalid_ttl");
    alice.get("/locks/a_b").refused(400, "invalid_lock_name");
    alice.get("/nowhere").refused(404, "not_found");
    alice.connection.call(b"GET /locks HTTP/1.1\r\nHost: x\r\n\r\n").refused(401, "authentication_required");
    assert!(!slow.asker.connection.answers_within(Duration::from_millis(1)), "and the grant still waits");
    assert_eq!(slow.asker.connection.read().status, 200);
}

fn reads_of_other_locks_wait_for_no_disk(driver: Driver) {
    let mut slow = Slow::start(driver);
    std::thread::sleep(Duration::from_millis(200));
    let mut bob = slow.server.user("bob");
    let seen: Value = bob.status("settled");
    assert_eq!(seen["metadata"], "settled");
    assert_eq!(bob.acquire("settled", json!({})).expect(409)["status"], "held");
    assert!(!slow.asker.connection.answers_within(Duration::from_millis(1)), "and the grant still waits");
    eventually("the grant is answered", || slow.asker.connection.answers_within(DELAY));
    assert_eq!(slow.asker.connection.read().status, 200);
}
