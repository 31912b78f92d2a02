//! `POST /locks/{name}/release`.

use serde_json::json;
use uuid::Uuid;

use crate::common::{Driver, Server, assert_fields};

crate::both_drivers! {
    a_release_frees_the_lock,
    a_lock_that_was_released_goes_to_the_next_with_a_higher_token,
    a_release_of_a_free_lock_is_not_found,
    a_release_by_another_lease_is_not_current,
}

fn a_release_frees_the_lock(driver: Driver) {
    let server = Server::on(driver);
    let mut alice = server.user("alice");
    let grant = alice.grant("job", json!({}));
    let body = alice.release("job", &grant.lease_id).expect(200);
    assert_fields(&body, &["status", "name", "lease_id"]);
    assert_eq!(body["status"], "released");
    assert_eq!(body["name"], "job");
    assert_eq!(body["lease_id"], grant.lease_id);
    assert!(!alice.sees_held("job"));
    assert!(alice.names("").is_empty());
}

fn a_lock_that_was_released_goes_to_the_next_with_a_higher_token(driver: Driver) {
    let server = Server::on(driver);
    let (mut alice, mut bob) = (server.user("alice"), server.user("bob"));
    let first = alice.grant("job", json!({}));
    assert_eq!(alice.release("job", &first.lease_id).status, 200);
    let second = bob.grant("job", json!({}));
    assert!(first.token < second.token);
    assert_ne!(first.lease_id, second.lease_id);
}

fn a_release_of_a_free_lock_is_not_found(driver: Driver) {
    let server = Server::on(driver);
    let mut alice = server.user("alice");
    alice.release("never", &Uuid::new_v4().to_string()).refused(404, "lock_not_found");
    let grant = alice.grant("once", json!({}));
    assert_eq!(alice.release("once", &grant.lease_id).status, 200);
    alice.release("once", &grant.lease_id).refused(404, "lock_not_found");
}

fn a_release_by_another_lease_is_not_current(driver: Driver) {
    let server = Server::on(driver);
    let mut alice = server.user("alice");
    let old = alice.grant("job", json!({}));
    assert_eq!(alice.release("job", &old.lease_id).status, 200);
    let new = alice.grant("job", json!({}));
    alice.release("job", &old.lease_id).refused(409, "lease_not_current");
    alice.release("job", &Uuid::new_v4().to_string()).refused(409, "lease_not_current");
    assert_eq!(alice.status("job")["fencing_token"], new.token);
}
