//! `GET /locks/{name}`.

use serde_json::{Value, json};
use uuid::Uuid;

use crate::common::{Driver, Server, assert_expires_in, assert_fields, request, token_of};

const FIELDS: [&str; 6] = ["name", "status", "holder_id", "fencing_token", "expires_at", "metadata"];

crate::both_drivers! {
    a_held_lock_shows_holder_token_deadline_and_metadata_to_everybody,
    a_free_lock_shows_nothing_but_its_name,
    a_holder_has_one_public_id_on_all_its_locks,
    a_head_is_a_get_without_the_body,
}

fn a_held_lock_shows_holder_token_deadline_and_metadata_to_everybody(driver: Driver) {
    let server = Server::on(driver);
    let grant = server.user("alice").grant("job", json!({ "ttl_seconds": 120, "metadata": "host-7" }));
    for user in ["alice", "bob"] {
        let response = server.user(user).get("/locks/job");
        let body = response.expect(200);
        assert_fields(&body, &FIELDS);
        assert_eq!((&body["name"], &body["status"]), (&json!("job"), &json!("held")));
        assert_eq!(body["fencing_token"], grant.token);
        assert_eq!(body["metadata"], "host-7");
        assert_expires_in(&body["expires_at"], 120);
        assert!(!response.text().contains(&grant.lease_id));
    }
}

fn a_free_lock_shows_nothing_but_its_name(driver: Driver) {
    let server = Server::on(driver);
    let mut alice = server.user("alice");
    let free = json!({
        "name": "job", "status": "free",
        "holder_id": null, "fencing_token": null, "expires_at": null, "metadata": null,
    });
    assert_eq!(alice.status("job"), free);
    let grant = alice.grant("job", json!({ "metadata": "host-7" }));
    assert_eq!(alice.release("job", &grant.lease_id).status, 200);
    assert_eq!(alice.status("job"), free);
}

fn a_holder_has_one_public_id_on_all_its_locks(driver: Driver) {
    let server = Server::on(driver);
    let (mut alice, mut bob) = (server.user("alice"), server.user("bob"));
    for name in ["a", "b", "c", "d"] {
        alice.grant(name, json!({}));
    }
    bob.grant("e", json!({}));
    let ids: Vec<Value> = ["a", "b", "c", "d", "e"].iter().map(|name| bob.status(name)["holder_id"].clone()).collect();
    assert!(ids[..4].iter().all(|id| *id == ids[0]));
    assert_ne!(ids[0], ids[4]);
    for id in [&ids[0], &ids[4]] {
        let id = id.as_str().expect("an id");
        assert_eq!(Uuid::parse_str(id).expect("a UUID").to_string(), id);
    }
}

fn a_head_is_a_get_without_the_body(driver: Driver) {
    let server = Server::on(driver);
    let mut alice = server.user("alice");
    alice.grant("job", json!({ "metadata": "x" }));
    let bearer = format!("Bearer {}", token_of("alice"));
    for target in ["/locks/job", "/locks/free", "/locks", "/health"] {
        let get = alice.get(target);
        alice.connection.send(&request("HEAD", target, &[("Authorization", &bearer)], b""));
        let head = alice.connection.read_head();
        assert_eq!(head.status, get.status);
        assert_eq!(head.header("content-type"), get.header("content-type"));
        // The length may differ where a body holds a figure that grows, as an uptime.
        let lengths =
            [&head, &get].map(|r| r.header("content-length").expect("a length").parse::<i64>().expect("digits"));
        assert!((lengths[0] - lengths[1]).abs() <= 4, "{target}: {lengths:?}");
        assert!(alice.sees_held("job"), "the connection goes on right behind the headers");
    }
}
