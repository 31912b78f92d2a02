//! `POST /locks/{name}/acquire` on a lock that another lease holds.

use serde_json::json;
use uuid::Uuid;

use crate::common::{Driver, Response, Server, assert_expires_in, assert_fields};

crate::both_drivers! {
    a_lock_that_is_held_is_a_conflict_that_says_when_to_try_again,
    the_same_user_is_excluded_too,
    another_user_cannot_pass_with_the_holders_lease_id,
    a_refused_acquire_changes_nothing,
    of_many_that_ask_at_once_one_gets_the_lock,
}

fn a_lock_that_is_held_is_a_conflict_that_says_when_to_try_again(driver: Driver) {
    let server = Server::on(driver);
    let mut alice = server.user("alice");
    let grant = alice.grant("taken", json!({ "ttl_seconds": 90, "metadata": "host-7" }));
    let response = server.user("bob").acquire("taken", json!({}));
    let body = response.expect(409);
    assert_fields(&body, &["status", "holder_id", "expires_at", "metadata", "retry_after_ms"]);
    assert_eq!(body["status"], "held");
    assert_eq!(body["metadata"], "host-7");
    assert_expires_in(&body["expires_at"], 90);
    assert_eq!(body["holder_id"], alice.status("taken")["holder_id"]);
    let holder = body["holder_id"].as_str().expect("an id");
    assert_eq!(Uuid::parse_str(holder).expect("a UUID").to_string(), holder);
    assert!(!response.text().contains(&grant.lease_id), "a lease id is told to nobody else");
    assert_retry_after(&response, 90);
}

#[track_caller]
fn assert_retry_after(response: &Response, ttl_seconds: u64) {
    let milliseconds = response.json()["retry_after_ms"].as_u64().expect("whole milliseconds");
    assert!((1..=ttl_seconds * 1000).contains(&milliseconds), "{milliseconds}");
    let seconds: u64 = response.header("retry-after").expect("Retry-After").parse().expect("whole seconds");
    assert!(seconds >= 1 && seconds * 1000 >= milliseconds, "{seconds} s would be before {milliseconds} ms");
}

fn the_same_user_is_excluded_too(driver: Driver) {
    let server = Server::on(driver);
    let mut alice = server.user("alice");
    alice.grant("taken", json!({}));
    let response = alice.acquire("taken", json!({}));
    assert_eq!(response.expect(409)["status"], "held");
    assert_retry_after(&response, 60);
    assert_eq!(server.user("alice").acquire("taken", json!({})).status, 409, "on another connection as well");
}

fn another_user_cannot_pass_with_the_holders_lease_id(driver: Driver) {
    let server = Server::on(driver);
    let mut alice = server.user("alice");
    let grant = alice.grant("taken", json!({}));
    let stolen = json!({ "lease_id": grant.lease_id });
    assert_eq!(server.user("bob").acquire("taken", stolen).expect(409)["status"], "held");
}

fn a_refused_acquire_changes_nothing(driver: Driver) {
    let server = Server::on(driver);
    let mut alice = server.user("alice");
    alice.grant("taken", json!({ "ttl_seconds": 3600, "metadata": "hers" }));
    let before = alice.status("taken");
    server.user("bob").acquire("taken", json!({ "ttl_seconds": 1, "metadata": "his" })).expect(409);
    assert_eq!(alice.status("taken")["fencing_token"], before["fencing_token"]);
    assert_eq!(alice.status("taken")["metadata"], "hers");
    assert_expires_in(&alice.status("taken")["expires_at"], 3600);
    assert!(server.user("bob").names("").is_empty());
}

fn of_many_that_ask_at_once_one_gets_the_lock(driver: Driver) {
    let server = Server::on(driver);
    for round in 0..20 {
        let name = format!("race-{round}");
        let statuses: Vec<u16> = std::thread::scope(|scope| {
            let ask = |user| server.user(user).acquire(&name, json!({})).status;
            let racers: Vec<_> =
                ["alice", "bob"].repeat(4).into_iter().map(|user| scope.spawn(move || ask(user))).collect();
            racers.into_iter().map(|racer| racer.join().expect("an answer")).collect()
        });
        let count = |status| statuses.iter().filter(|&&s| s == status).count();
        assert_eq!((count(200), count(409)), (1, 7), "{name}: {statuses:?}");
    }
}
