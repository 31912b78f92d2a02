//! After a kill -9, and after a clean stop: everything acknowledged is there.

use std::net::SocketAddr;
use std::thread::sleep;
use std::time::Duration;

use serde_json::json;
use uuid::Uuid;

use crate::common::{Driver, Grant, Options, Server, assert_expires_in, eventually, instant};

crate::both_drivers! {
    a_lock_is_held_by_the_same_lease_with_the_same_token_after_a_crash,
    tokens_rise_over_crashes_and_clean_stops,
    tokens_rise_even_when_no_lock_is_left,
    locks_are_found_by_any_number_of_workers,
    a_crash_gives_each_lease_its_full_ttl_again,
    a_clean_stop_gives_each_lease_its_full_ttl_again,
    a_renewal_for_longer_survives_a_crash,
    a_retry_for_longer_survives_a_crash,
    metadata_survives_a_crash,
    a_release_survives_a_crash,
    an_expiry_that_was_seen_survives_a_crash,
    a_holder_keeps_its_public_id,
    the_limit_counts_recovered_locks,
    a_lowered_limit_drops_nothing,
    a_new_server_takes_port_and_database_right_after_a_kill,
}

/// Two ways to stop, then a start on the same files.
fn crash(server: &mut Server) {
    server.kill9();
    server.start_again();
}

fn stop(server: &mut Server) {
    assert!(server.terminate().success(), "{}", server.log());
    server.start_again();
}

fn a_lock_is_held_by_the_same_lease_with_the_same_token_after_a_crash(driver: Driver) {
    let mut server = Server::on(driver);
    let grant = server.user("alice").grant("job", json!({ "ttl_seconds": 600 }));
    for end in [crash, stop, crash] {
        end(&mut server);
        let (mut alice, mut bob) = (server.user("alice"), server.user("bob"));
        assert_eq!(bob.acquire("job", json!({})).expect(409)["status"], "held");
        assert_eq!(alice.status("job")["fencing_token"], grant.token);
        assert_eq!(alice.list("")["locks"][0]["lease_id"], grant.lease_id);
        assert_eq!(alice.renew("job", &grant.lease_id, json!({})).expect(200)["fencing_token"], grant.token);
        assert_eq!(Grant::of(&alice.acquire("job", json!({ "lease_id": grant.lease_id, "ttl_seconds": 600 }))), grant);
    }
    assert_eq!(server.user("alice").release("job", &grant.lease_id).status, 200);
}

fn tokens_rise_over_crashes_and_clean_stops(driver: Driver) {
    let mut server = Server::on(driver);
    let mut last = 0;
    for (round, end) in [crash, stop, stop, crash, crash].into_iter().enumerate() {
        for i in 0..5 {
            let token = server.user("alice").grant(&format!("lock-{round}-{i}"), json!({})).token;
            assert!(token > last, "{token} after {last}");
            last = token;
        }
        end(&mut server);
    }
}

fn tokens_rise_even_when_no_lock_is_left(driver: Driver) {
    let mut server = Server::on(driver);
    let mut last = 0;
    for end in [crash, stop, crash, stop] {
        let mut alice = server.user("alice");
        for _ in 0..5 {
            let grant = alice.grant("job", json!({}));
            assert!(grant.token > last, "{} after {last}", grant.token);
            last = grant.token;
            assert_eq!(alice.release("job", &grant.lease_id).status, 200);
        }
        end(&mut server);
        assert_eq!(server.user("alice").list("")["total"], 0);
    }
}

fn locks_are_found_by_any_number_of_workers(driver: Driver) {
    let mut server = Server::start(Options::new(driver).workers(1));
    let mut alice = server.user("alice");
    let mut grants: Vec<_> =
        (0..60).map(|i| (format!("lock-{i}"), alice.grant(&format!("lock-{i}"), json!({})))).collect();
    for (workers, end) in [(4, crash as fn(&mut Server)), (2, crash), (1, stop), (3, crash)] {
        server.options.workers = workers;
        end(&mut server);
        let mut alice = server.user("alice");
        assert_eq!(alice.list("")["total"], grants.len());
        for (name, grant) in &grants {
            let renewed = alice.renew(name, &grant.lease_id, json!({})).expect(200);
            assert_eq!(renewed["fencing_token"], grant.token, "{name} with {workers} workers");
        }
        // Each run leaves its own marks for the next: one lock less, one lock more.
        let (name, grant) = grants.remove(0);
        assert_eq!(alice.release(&name, &grant.lease_id).status, 200);
        let name = format!("with-{workers}");
        grants.push((name.clone(), alice.grant(&name, json!({}))));
    }
}

fn full_ttl_after(end: fn(&mut Server), driver: Driver) {
    let mut server = Server::on(driver);
    let grant = server.user("alice").grant("job", json!({ "ttl_seconds": 60 }));
    sleep(Duration::from_secs(4));
    let before = jiff::Timestamp::now();
    end(&mut server);
    let expires_at = instant(&server.user("bob").status("job")["expires_at"]);
    // A second is for how `expires_at` may be rounded; what has been used up is four.
    assert!(expires_at.duration_since(before).as_millis() >= 59_000, "{expires_at} is too soon after {before}");
    assert_eq!(server.user("alice").renew("job", &grant.lease_id, json!({})).expect(200)["ttl_seconds"], 60);
}

fn a_crash_gives_each_lease_its_full_ttl_again(driver: Driver) {
    full_ttl_after(crash, driver);
}

fn a_clean_stop_gives_each_lease_its_full_ttl_again(driver: Driver) {
    full_ttl_after(stop, driver);
}

fn a_renewal_for_longer_survives_a_crash(driver: Driver) {
    let mut server = Server::on(driver);
    let mut alice = server.user("alice");
    let grant = alice.grant("job", json!({ "ttl_seconds": 20 }));
    assert_eq!(alice.renew("job", &grant.lease_id, json!({ "ttl_seconds": 3600 })).status, 200);
    crash(&mut server);
    let mut alice = server.user("alice");
    assert_expires_in(&alice.status("job")["expires_at"], 3600);
    assert_eq!(alice.renew("job", &grant.lease_id, json!({})).expect(200)["ttl_seconds"], 3600);
}

fn a_retry_for_longer_survives_a_crash(driver: Driver) {
    let mut server = Server::on(driver);
    let mut alice = server.user("alice");
    let grant = alice.grant("job", json!({ "ttl_seconds": 20 }));
    let retry = json!({ "lease_id": grant.lease_id, "ttl_seconds": 3600 });
    assert_eq!(Grant::of(&alice.acquire("job", retry)), grant);
    crash(&mut server);
    assert_expires_in(&server.user("alice").status("job")["expires_at"], 3600);
}

fn metadata_survives_a_crash(driver: Driver) {
    let mut server = Server::on(driver);
    let mut alice = server.user("alice");
    let longest = "é\n\"".repeat(256);
    let grant = alice.grant("job", json!({ "metadata": "first" }));
    alice.grant("long", json!({ "metadata": longest }));
    alice.grant("none", json!({}));
    alice.grant("empty", json!({ "metadata": "" }));
    alice.acquire("job", json!({ "lease_id": grant.lease_id, "metadata": "second" })).expect(200);
    for end in [crash, stop] {
        end(&mut server);
        let mut bob = server.user("bob");
        assert_eq!(bob.status("job")["metadata"], "second");
        assert_eq!(bob.status("long")["metadata"], longest);
        assert_eq!(bob.status("none")["metadata"], json!(null));
        assert_eq!(bob.status("empty")["metadata"], "");
    }
}

fn a_release_survives_a_crash(driver: Driver) {
    let mut server = Server::on(driver);
    let grant = server.user("alice").grant("job", json!({}));
    crash(&mut server);
    assert_eq!(server.user("alice").release("job", &grant.lease_id).status, 200);
    crash(&mut server);
    let mut alice = server.user("alice");
    assert!(!alice.sees_held("job"));
    alice.renew("job", &grant.lease_id, json!({})).refused(404, "lock_not_found");
    assert!(alice.grant("job", json!({})).token > grant.token);
}

fn an_expiry_that_was_seen_survives_a_crash(driver: Driver) {
    let mut server = Server::on(driver);
    let mut alice = server.user("alice");
    let grant = alice.grant("job", json!({ "ttl_seconds": 1 }));
    eventually("the lock is free", || !alice.sees_held("job"));
    crash(&mut server);
    let mut alice = server.user("alice");
    assert!(!alice.sees_held("job"), "nobody sees a lock come back");
    alice.renew("job", &grant.lease_id, json!({})).refused(404, "lock_not_found");
}

fn a_holder_keeps_its_public_id(driver: Driver) {
    let mut server = Server::on(driver);
    server.user("alice").grant("job", json!({}));
    let id = server.user("bob").status("job")["holder_id"].clone();
    server.options.users = vec!["bob", "carol", "alice"]; // another order, and somebody new
    for end in [crash, stop] {
        end(&mut server);
        assert_eq!(server.user("bob").status("job")["holder_id"], id);
        assert_eq!(server.user("alice").names(""), ["job"]);
        assert!(server.user("carol").names("").is_empty());
    }
}

fn limited(driver: Driver, limit: &str) -> Server {
    Server::start(Options::new(driver).args(&["--max-locks-per-user", limit]))
}

fn the_limit_counts_recovered_locks(driver: Driver) {
    let mut server = limited(driver, "3");
    let mut alice = server.user("alice");
    let grant = alice.grant("one", json!({}));
    alice.grant("two", json!({}));
    crash(&mut server);
    let mut alice = server.user("alice");
    alice.grant("three", json!({}));
    alice.acquire("four", json!({})).refused(403, "lock_limit_exceeded");
    assert_eq!(alice.release("one", &grant.lease_id).status, 200);
    alice.grant("four", json!({}));
}

fn a_lowered_limit_drops_nothing(driver: Driver) {
    let mut server = limited(driver, "5");
    let mut alice = server.user("alice");
    let grants: Vec<_> = (0..5).map(|i| alice.grant(&format!("lock-{i}"), json!({}))).collect();
    server.options.args = vec!["--max-locks-per-user".into(), "2".into()];
    crash(&mut server);
    let mut alice = server.user("alice");
    assert_eq!(alice.list("")["total"], 5);
    for (i, grant) in grants[..4].iter().enumerate() {
        alice.acquire("more", json!({})).refused(403, "lock_limit_exceeded");
        assert_eq!(alice.release(&format!("lock-{i}"), &grant.lease_id).status, 200);
    }
    alice.grant("more", json!({}));
    alice.acquire("one-more", json!({})).refused(403, "lock_limit_exceeded");
}

fn a_new_server_takes_port_and_database_right_after_a_kill(driver: Driver) {
    let mut server = Server::on(driver);
    let address: SocketAddr = server.address;
    server.options.bind = address.to_string();
    let mut grant = None;
    for round in 0..5 {
        let mut alice = server.user("alice");
        let latest = alice.grant(&format!("lock-{round}"), json!({ "lease_id": Uuid::new_v4().to_string() }));
        assert!(grant.replace(latest.clone()).is_none_or(|before: Grant| before.token < latest.token));
        crash(&mut server);
        assert_eq!(server.address, address);
    }
    assert_eq!(server.user("alice").list("")["total"], 5);
}
