//! The limit of live locks per user.

use serde_json::json;

use crate::common::{Driver, Grant, Options, Server, User, eventually};

crate::both_drivers! {
    the_hundred_and_first_lock_is_refused,
    held_is_answered_before_the_limit,
    a_retry_and_a_renewal_do_not_count,
    a_release_gives_the_place_back,
    an_expiry_gives_the_place_back,
    the_limit_is_each_users_own,
    many_at_once_do_not_pass_the_limit,
}

fn limited(driver: Driver, limit: &str) -> Server {
    Server::start(Options::new(driver).workers(4).args(&["--max-locks-per-user", limit]))
}

fn fill(user: &mut User, count: usize) -> Vec<Grant> {
    (0..count).map(|i| user.grant(&format!("lock-{i}"), json!({}))).collect()
}

fn the_hundred_and_first_lock_is_refused(driver: Driver) {
    let server = Server::on(driver);
    let mut alice = server.user("alice");
    fill(&mut alice, 100);
    alice.acquire("one-more", json!({})).refused(403, "lock_limit_exceeded");
    assert!(!alice.sees_held("one-more"));
    assert_eq!(alice.list("")["total"], 100);
}

fn held_is_answered_before_the_limit(driver: Driver) {
    let server = limited(driver, "3");
    let mut alice = server.user("alice");
    fill(&mut alice, 3);
    server.user("bob").grant("his", json!({}));
    assert_eq!(alice.acquire("his", json!({})).expect(409)["status"], "held");
    assert_eq!(alice.acquire("lock-0", json!({})).expect(409)["status"], "held");
}

fn a_retry_and_a_renewal_do_not_count(driver: Driver) {
    let server = limited(driver, "3");
    let mut alice = server.user("alice");
    let grants = fill(&mut alice, 3);
    for (i, grant) in grants.iter().enumerate() {
        let name = format!("lock-{i}");
        assert_eq!(Grant::of(&alice.acquire(&name, json!({ "lease_id": grant.lease_id }))), *grant);
        assert_eq!(alice.renew(&name, &grant.lease_id, json!({})).status, 200);
    }
    alice.acquire("one-more", json!({})).refused(403, "lock_limit_exceeded");
}

fn a_release_gives_the_place_back(driver: Driver) {
    let server = limited(driver, "3");
    let mut alice = server.user("alice");
    let grants = fill(&mut alice, 3);
    let mut last = grants[0].clone();
    let mut name = "lock-0".to_owned();
    for round in 0..20 {
        assert_eq!(alice.release(&name, &last.lease_id).status, 200);
        alice.release(&name, &last.lease_id).refused(404, "lock_not_found");
        name = format!("round-{round}");
        last = alice.grant(&name, json!({}));
        alice.acquire("one-more", json!({})).refused(403, "lock_limit_exceeded");
    }
}

fn an_expiry_gives_the_place_back(driver: Driver) {
    let server = limited(driver, "2");
    let mut alice = server.user("alice");
    alice.grant("short-0", json!({ "ttl_seconds": 1 }));
    alice.grant("short-1", json!({ "ttl_seconds": 1 }));
    eventually("a place", || alice.acquire("next-0", json!({})).status == 200);
    eventually("the other place", || alice.acquire("next-1", json!({})).status == 200);
    alice.acquire("next-2", json!({})).refused(403, "lock_limit_exceeded");
}

fn the_limit_is_each_users_own(driver: Driver) {
    let server = limited(driver, "2");
    fill(&mut server.user("alice"), 2);
    let mut bob = server.user("bob");
    bob.grant("his-0", json!({}));
    bob.grant("his-1", json!({}));
    bob.acquire("his-2", json!({})).refused(403, "lock_limit_exceeded");
}

fn many_at_once_do_not_pass_the_limit(driver: Driver) {
    let server = limited(driver, "10");
    let statuses: Vec<u16> = std::thread::scope(|scope| {
        let ask = |i: usize| {
            let mut alice = server.user("alice");
            (0..10).map(|j| alice.acquire(&format!("lock-{i}-{j}"), json!({})).status).collect::<Vec<_>>()
        };
        let askers: Vec<_> = (0..8).map(|i| scope.spawn(move || ask(i))).collect();
        askers.into_iter().flat_map(|asker| asker.join().expect("its answers")).collect()
    });
    let count = |status| statuses.iter().filter(|&&s| s == status).count();
    assert_eq!((count(200), count(403)), (10, 70), "{statuses:?}");
    assert_eq!(server.user("alice").list("")["total"], 10);
}
