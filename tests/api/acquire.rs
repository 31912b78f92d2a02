//! `POST /locks/{name}/acquire` on a free lock, and again by the lease that holds it.

use serde_json::{Value, json};
use uuid::Uuid;

use crate::common::{Driver, Grant, Server, assert_expires_in, assert_fields};

crate::both_drivers! {
    an_acquire_without_a_body_grants_the_lock_for_a_minute,
    the_first_fencing_token_is_one_and_later_ones_are_higher,
    every_ttl_from_one_second_to_an_hour_is_granted,
    any_other_ttl_is_refused,
    metadata_comes_back_as_it_was_sent,
    metadata_that_is_too_long_or_no_text_is_refused,
    a_lease_id_of_the_callers_own_becomes_the_leases,
    a_lease_id_that_is_no_uuid_is_refused,
    a_lease_id_may_hold_locks_of_several_names,
    an_acquire_by_the_lease_that_holds_is_a_retry,
    a_retry_moves_the_deadline,
    a_retry_keeps_the_metadata_unless_it_sends_some,
    lease_ids_are_random_uuids,
}

fn an_acquire_without_a_body_grants_the_lock_for_a_minute(driver: Driver) {
    let server = Server::on(driver);
    let body = server.user("alice").post_raw("/locks/plain/acquire", b"").expect(200);
    assert_fields(&body, &["status", "lease_id", "fencing_token", "expires_at", "metadata", "ttl_seconds"]);
    assert_eq!(body["status"], "acquired");
    assert_eq!(body["ttl_seconds"], 60);
    assert_eq!(body["metadata"], Value::Null);
    assert_expires_in(&body["expires_at"], 60);
}

fn the_first_fencing_token_is_one_and_later_ones_are_higher(driver: Driver) {
    let server = Server::on(driver);
    let mut alice = server.user("alice");
    let mut last = alice.grant("lock-0", json!({})).token;
    assert_eq!(last, 1);
    for i in 1..50 {
        let grant = alice.grant(&format!("lock-{i}"), json!({}));
        assert!(last < grant.token && grant.token < 1 << 53);
        last = grant.token;
        assert_eq!(alice.release(&format!("lock-{i}"), &grant.lease_id).status, 200);
    }
}

fn every_ttl_from_one_second_to_an_hour_is_granted(driver: Driver) {
    let server = Server::on(driver);
    let mut alice = server.user("alice");
    for ttl in [1, 2, 60, 3599, 3600] {
        let body = alice.acquire(&format!("ttl-{ttl}"), json!({ "ttl_seconds": ttl })).expect(200);
        assert_eq!(body["ttl_seconds"], ttl);
        assert_expires_in(&body["expires_at"], ttl);
    }
    assert_eq!(alice.acquire("null", json!({ "ttl_seconds": null })).expect(200)["ttl_seconds"], 60);
}

fn any_other_ttl_is_refused(driver: Driver) {
    let server = Server::on(driver);
    let mut alice = server.user("alice");
    for ttl in ["0", "3601", "-1", "1.5", "\"60\"", "true", "[]", "{}", "18446744073709551616", "1e300"] {
        let body = format!("{{\"ttl_seconds\": {ttl}}}");
        alice.post_raw("/locks/never/acquire", body.as_bytes()).refused(400, "invalid_ttl");
    }
    assert!(!alice.sees_held("never"));
}

fn metadata_comes_back_as_it_was_sent(driver: Driver) {
    let server = Server::on(driver);
    let mut alice = server.user("alice");
    let texts =
        ["", "host-7", "\"quoted\" \\ back\\slash", "line\nline\ttab\u{1}\u{7f}", "é 漢 🦀 \u{2028}", "</script>"];
    let longest = ["x".repeat(1024), "é".repeat(512)];
    for (i, text) in texts.into_iter().chain(longest.iter().map(String::as_str)).enumerate() {
        let name = format!("note-{i}");
        assert_eq!(alice.acquire(&name, json!({ "metadata": text })).expect(200)["metadata"], text);
        assert_eq!(alice.status(&name)["metadata"], text);
    }
    assert_eq!(alice.acquire("none", json!({ "metadata": null })).expect(200)["metadata"], Value::Null);
}

fn metadata_that_is_too_long_or_no_text_is_refused(driver: Driver) {
    let server = Server::on(driver);
    let mut alice = server.user("alice");
    let too_long = [json!("x".repeat(1025)), json!("é".repeat(512) + "x")];
    for metadata in too_long.into_iter().chain([json!(7), json!(false), json!({}), json!(["text"])]) {
        alice.acquire("never", json!({ "metadata": metadata })).refused(400, "invalid_metadata");
    }
    assert!(!alice.sees_held("never"));
}

fn a_lease_id_of_the_callers_own_becomes_the_leases(driver: Driver) {
    let server = Server::on(driver);
    let mut alice = server.user("alice");
    let own = Uuid::new_v4().to_string();
    assert_eq!(alice.grant("mine", json!({ "lease_id": own })).lease_id, own);
    assert_eq!(alice.release("mine", &own).status, 200);
}

fn a_lease_id_that_is_no_uuid_is_refused(driver: Driver) {
    let server = Server::on(driver);
    let mut alice = server.user("alice");
    let almost = Uuid::new_v4().to_string();
    for lease_id in [json!("mine"), json!(""), json!(7), json!(&almost[1..]), json!(format!("{almost}0"))] {
        alice.acquire("never", json!({ "lease_id": lease_id })).refused(400, "invalid_lease_id");
        alice.post("/locks/never/renew", json!({ "lease_id": lease_id })).refused(400, "invalid_lease_id");
        alice.post("/locks/never/release", json!({ "lease_id": lease_id })).refused(400, "invalid_lease_id");
    }
    assert!(!alice.sees_held("never"));
}

fn a_lease_id_may_hold_locks_of_several_names(driver: Driver) {
    let server = Server::on(driver);
    let mut alice = server.user("alice");
    let own = Uuid::new_v4().to_string();
    let first = alice.grant("one", json!({ "lease_id": own }));
    let second = alice.grant("two", json!({ "lease_id": own }));
    assert!(first.token < second.token);
    assert_eq!(alice.release("one", &own).status, 200);
    assert!(alice.sees_held("two"));
}

fn an_acquire_by_the_lease_that_holds_is_a_retry(driver: Driver) {
    let server = Server::on(driver);
    let mut alice = server.user("alice");
    let first = alice.grant("again", json!({}));
    for _ in 0..3 {
        assert_eq!(Grant::of(&alice.acquire("again", json!({ "lease_id": first.lease_id }))), first);
    }
    let other_lease = json!({ "lease_id": Uuid::new_v4().to_string() });
    assert_eq!(alice.acquire("again", other_lease).expect(409)["status"], "held");
}

fn a_retry_moves_the_deadline(driver: Driver) {
    let server = Server::on(driver);
    let mut alice = server.user("alice");
    let grant = alice.grant("again", json!({ "ttl_seconds": 60 }));
    for ttl in [3600, 600] {
        let body = alice.acquire("again", json!({ "lease_id": grant.lease_id, "ttl_seconds": ttl })).expect(200);
        assert_eq!(body["ttl_seconds"], ttl);
        assert_expires_in(&body["expires_at"], ttl);
        assert_expires_in(&alice.status("again")["expires_at"], ttl);
    }
}

fn a_retry_keeps_the_metadata_unless_it_sends_some(driver: Driver) {
    let server = Server::on(driver);
    let mut alice = server.user("alice");
    let own = Uuid::new_v4().to_string();
    let steps = [
        (json!({ "lease_id": own, "metadata": "first" }), "first"),
        (json!({ "lease_id": own }), "first"),
        (json!({ "lease_id": own, "metadata": null }), "first"),
        (json!({ "lease_id": own, "metadata": "second" }), "second"),
        (json!({ "lease_id": own, "metadata": "" }), ""),
    ];
    for (body, metadata) in steps {
        assert_eq!(alice.acquire("noted", body).expect(200)["metadata"], metadata);
        assert_eq!(alice.status("noted")["metadata"], metadata);
    }
}

fn lease_ids_are_random_uuids(driver: Driver) {
    let server = Server::on(driver);
    let mut alice = server.user("alice");
    let mut seen = std::collections::HashSet::new();
    for i in 0..50 {
        let grant = alice.grant(&format!("lock-{i}"), json!({}));
        let id = Uuid::parse_str(&grant.lease_id).expect("a UUID");
        assert_eq!(id.get_version_num(), 4);
        assert_eq!(id.hyphenated().to_string(), grant.lease_id, "lower case, with hyphens");
        assert!(seen.insert(id));
    }
}
