//! `POST /locks/{name}/renew`.

use serde_json::json;
use uuid::Uuid;

use crate::common::{Driver, Server, assert_expires_in, assert_fields, eventually};

crate::both_drivers! {
    a_renewal_lets_the_lease_run_from_now_again,
    a_renewal_without_a_ttl_keeps_the_last_one,
    a_shorter_renewal_ends_the_lease_sooner,
    a_longer_renewal_outlives_the_old_deadline,
    a_renewal_keeps_token_and_metadata,
    a_renewal_with_a_bad_ttl_is_refused,
    a_renewal_of_a_free_lock_is_not_found,
    a_renewal_by_another_lease_is_not_current,
    another_users_lease_is_not_current_and_nothing_about_it_is_told,
    a_renewal_needs_a_lease_id,
}

fn a_renewal_lets_the_lease_run_from_now_again(driver: Driver) {
    let server = Server::on(driver);
    let mut alice = server.user("alice");
    let grant = alice.grant("job", json!({ "ttl_seconds": 60 }));
    let body = alice.renew("job", &grant.lease_id, json!({ "ttl_seconds": 600 })).expect(200);
    assert_fields(&body, &["status", "lease_id", "fencing_token", "expires_at", "ttl_seconds"]);
    assert_eq!(body["status"], "renewed");
    assert_eq!(body["lease_id"], grant.lease_id);
    assert_eq!(body["fencing_token"], grant.token);
    assert_eq!(body["ttl_seconds"], 600);
    assert_expires_in(&body["expires_at"], 600);
    assert_expires_in(&alice.status("job")["expires_at"], 600);
}

fn a_renewal_without_a_ttl_keeps_the_last_one(driver: Driver) {
    let server = Server::on(driver);
    let mut alice = server.user("alice");
    let grant = alice.grant("job", json!({ "ttl_seconds": 300 }));
    assert_eq!(alice.renew("job", &grant.lease_id, json!({})).expect(200)["ttl_seconds"], 300);
    assert_eq!(alice.renew("job", &grant.lease_id, json!({ "ttl_seconds": 200 })).expect(200)["ttl_seconds"], 200);
    let body = alice.renew("job", &grant.lease_id, json!({ "ttl_seconds": null })).expect(200);
    assert_eq!(body["ttl_seconds"], 200);
    assert_expires_in(&body["expires_at"], 200);
}

fn a_shorter_renewal_ends_the_lease_sooner(driver: Driver) {
    let server = Server::on(driver);
    let mut alice = server.user("alice");
    let grant = alice.grant("job", json!({ "ttl_seconds": 3600 }));
    let body = alice.renew("job", &grant.lease_id, json!({ "ttl_seconds": 1 })).expect(200);
    assert_expires_in(&body["expires_at"], 1);
    eventually("the shortened lease runs out", || !alice.sees_held("job"));
}

fn a_longer_renewal_outlives_the_old_deadline(driver: Driver) {
    let server = Server::on(driver);
    let mut alice = server.user("alice");
    let grant = alice.grant("job", json!({ "ttl_seconds": 5 }));
    assert_eq!(alice.renew("job", &grant.lease_id, json!({ "ttl_seconds": 3600 })).status, 200);
    std::thread::sleep(std::time::Duration::from_millis(5_500));
    assert_eq!(alice.status("job")["fencing_token"], grant.token);
    assert_eq!(alice.renew("job", &grant.lease_id, json!({})).expect(200)["ttl_seconds"], 3600);
}

fn a_renewal_keeps_token_and_metadata(driver: Driver) {
    let server = Server::on(driver);
    let mut alice = server.user("alice");
    let grant = alice.grant("job", json!({ "metadata": "host-7" }));
    for _ in 0..3 {
        assert_eq!(alice.renew("job", &grant.lease_id, json!({})).expect(200)["fencing_token"], grant.token);
    }
    let status = alice.status("job");
    assert_eq!(status["fencing_token"], grant.token);
    assert_eq!(status["metadata"], "host-7");
}

fn a_renewal_with_a_bad_ttl_is_refused(driver: Driver) {
    let server = Server::on(driver);
    let mut alice = server.user("alice");
    let grant = alice.grant("job", json!({ "ttl_seconds": 60 }));
    for ttl in [json!(0), json!(3601), json!(1.5), json!("60")] {
        alice.renew("job", &grant.lease_id, json!({ "ttl_seconds": ttl })).refused(400, "invalid_ttl");
    }
    assert_eq!(alice.renew("job", &grant.lease_id, json!({})).expect(200)["ttl_seconds"], 60);
}

fn a_renewal_of_a_free_lock_is_not_found(driver: Driver) {
    let server = Server::on(driver);
    let mut alice = server.user("alice");
    alice.renew("never", &Uuid::new_v4().to_string(), json!({})).refused(404, "lock_not_found");
    let grant = alice.grant("once", json!({}));
    assert_eq!(alice.release("once", &grant.lease_id).status, 200);
    alice.renew("once", &grant.lease_id, json!({})).refused(404, "lock_not_found");
}

fn a_renewal_by_another_lease_is_not_current(driver: Driver) {
    let server = Server::on(driver);
    let mut alice = server.user("alice");
    let old = alice.grant("job", json!({}));
    assert_eq!(alice.release("job", &old.lease_id).status, 200);
    alice.grant("job", json!({}));
    alice.renew("job", &old.lease_id, json!({})).refused(409, "lease_not_current");
    alice.renew("job", &Uuid::new_v4().to_string(), json!({})).refused(409, "lease_not_current");
}

fn another_users_lease_is_not_current_and_nothing_about_it_is_told(driver: Driver) {
    let server = Server::on(driver);
    let mut alice = server.user("alice");
    let grant = alice.grant("hers", json!({ "ttl_seconds": 600, "metadata": "a-note-of-hers" }));
    let holder = alice.status("hers")["holder_id"].as_str().expect("an id").to_owned();
    let mut bob = server.user("bob");
    let other_lease = Uuid::new_v4().to_string();
    for lease_id in [&grant.lease_id, &other_lease] {
        for response in [bob.renew("hers", lease_id, json!({ "ttl_seconds": 1 })), bob.release("hers", lease_id)] {
            response.refused(409, "lease_not_current");
            let text = response.text();
            assert!(
                ![&grant.lease_id, "a-note-of-hers", &holder].iter().any(|secret| text.contains(*secret)),
                "{text}"
            );
        }
    }
    assert_expires_in(&alice.status("hers")["expires_at"], 600);
}

fn a_renewal_needs_a_lease_id(driver: Driver) {
    let server = Server::on(driver);
    let mut alice = server.user("alice");
    alice.grant("job", json!({}));
    for call in ["renew", "release"] {
        alice.post_raw(&format!("/locks/job/{call}"), b"").refused(400, "invalid_json");
        for body in ["{}", "{\"lease_id\": null}", "{\"ttl_seconds\": 60}"] {
            alice.post_raw(&format!("/locks/job/{call}"), body.as_bytes()).refused(400, "invalid_lease_id");
        }
    }
    assert!(alice.sees_held("job"));
}
