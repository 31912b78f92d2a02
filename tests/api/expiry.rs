//! Leases that run out.

use serde_json::json;

use crate::common::{Driver, Server, eventually};

crate::both_drivers! {
    a_lease_that_ran_out_frees_the_lock_with_nobody_looking,
    a_lock_that_expired_goes_to_the_next_with_a_higher_token,
    a_lease_that_ran_out_can_be_neither_renewed_nor_released,
    a_lease_never_ends_before_its_time,
    a_lease_that_ran_out_leaves_the_list,
}

fn a_lease_that_ran_out_frees_the_lock_with_nobody_looking(driver: Driver) {
    let server = Server::on(driver);
    let mut alice = server.user("alice");
    alice.grant("short", json!({ "ttl_seconds": 1 }));
    // The list does not look at the lock itself: only the sweep, or the deadline, takes it out.
    eventually("the list is empty", || alice.list("")["total"] == 0);
    assert!(!alice.sees_held("short"));
}

fn a_lock_that_expired_goes_to_the_next_with_a_higher_token(driver: Driver) {
    let server = Server::on(driver);
    let (mut alice, mut bob) = (server.user("alice"), server.user("bob"));
    let old = alice.grant("short", json!({ "ttl_seconds": 1 }));
    let mut last = bob.acquire("short", json!({}));
    eventually("the lock is free", || {
        last = bob.acquire("short", json!({}));
        last.status == 200
    });
    assert!(crate::common::Grant::of(&last).token > old.token);
    alice.renew("short", &old.lease_id, json!({})).refused(409, "lease_not_current");
}

fn a_lease_that_ran_out_can_be_neither_renewed_nor_released(driver: Driver) {
    let server = Server::on(driver);
    let mut alice = server.user("alice");
    let grant = alice.grant("short", json!({ "ttl_seconds": 1 }));
    eventually("the lock is free", || !alice.sees_held("short"));
    alice.renew("short", &grant.lease_id, json!({ "ttl_seconds": 60 })).refused(404, "lock_not_found");
    alice.release("short", &grant.lease_id).refused(404, "lock_not_found");
    assert!(!alice.sees_held("short"));
}

fn a_lease_never_ends_before_its_time(driver: Driver) {
    let server = Server::on(driver);
    let mut alice = server.user("alice");
    for round in 0..3 {
        // Counted from before the request: the lease began later, so it may only end later.
        let sent = std::time::Instant::now();
        alice.grant(&format!("short-{round}"), json!({ "ttl_seconds": 1 }));
        eventually("the lock is free", || !alice.sees_held(&format!("short-{round}")));
        assert!(sent.elapsed().as_millis() >= 1000);
    }
}

fn a_lease_that_ran_out_leaves_the_list(driver: Driver) {
    let server = Server::on(driver);
    let mut alice = server.user("alice");
    for i in 0..10 {
        alice.grant(&format!("short-{i}"), json!({ "ttl_seconds": 1 }));
    }
    alice.grant("long", json!({}));
    eventually("the short ones are gone", || alice.names("") == ["long"]);
    assert_eq!(alice.list("")["total"], 1);
}
