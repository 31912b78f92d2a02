//! Lock names, as they stand in the path of a request.

use serde_json::json;

use crate::common::{Driver, Server};

crate::both_drivers! {
    each_byte_is_allowed_in_a_name_or_it_is_not,
    a_name_has_one_to_128_bytes,
    a_name_is_percent_decoded_once,
    bad_percent_encoding_is_refused,
    a_slash_is_no_part_of_a_name_however_it_is_written,
    a_dot_or_two_are_no_name,
    an_empty_name_is_refused,
    names_differ_by_case,
}

fn each_byte_is_allowed_in_a_name_or_it_is_not(driver: Driver) {
    let server = Server::on(driver);
    let mut alice = server.user("alice");
    for byte in 0..=255u8 {
        let response = alice.get(&format!("/locks/x%{byte:02X}y"));
        if byte.is_ascii_alphanumeric() || b".-".contains(&byte) {
            assert_eq!(response.expect(200)["name"], format!("x{}y", char::from(byte)));
        } else {
            response.refused(400, "invalid_lock_name");
        }
    }
    for raw in ["a_b", "a~b", "a:b", "a@b", "a+b", "a,b", "a;b", "a=b", "a*b", "a!b", "a$b", "a&b", "a'b", "(ab)"] {
        alice.acquire(raw, json!({})).refused(400, "invalid_lock_name");
    }
}

fn a_name_has_one_to_128_bytes(driver: Driver) {
    let server = Server::on(driver);
    let mut alice = server.user("alice");
    for name in ["a", "-", "...", ".a", "a.", &"n".repeat(128)] {
        let grant = alice.grant(name, json!({}));
        assert_eq!(alice.status(name)["name"], name);
        assert_eq!(alice.renew(name, &grant.lease_id, json!({})).status, 200);
        assert_eq!(alice.release(name, &grant.lease_id).expect(200)["name"], name);
    }
    for name in ["n".repeat(129), "n".repeat(1000)] {
        alice.acquire(&name, json!({})).refused(400, "invalid_lock_name");
        alice.get(&format!("/locks/{name}")).refused(400, "invalid_lock_name");
    }
    alice.grant(&"%6e".repeat(127), json!({}));
    assert!(alice.sees_held(&"n".repeat(127)), "the limit counts decoded bytes");
}

fn a_name_is_percent_decoded_once(driver: Driver) {
    let server = Server::on(driver);
    let mut alice = server.user("alice");
    alice.grant("%61b%2e%2D%43", json!({}));
    assert!(alice.sees_held("ab.-C"));
    assert_eq!(alice.names(""), ["ab.-C"]);
    alice.acquire("%2561", json!({})).refused(400, "invalid_lock_name");
}

fn bad_percent_encoding_is_refused(driver: Driver) {
    let server = Server::on(driver);
    let mut alice = server.user("alice");
    for bad in ["%", "a%", "a%6", "a%zz", "%%61", "a%6g", "%-1", "% 1"].map(|name| name.replace(' ', "+")) {
        alice.acquire(&bad, json!({})).refused(400, "invalid_lock_name");
        alice.get(&format!("/locks/{bad}")).refused(400, "invalid_lock_name");
    }
}

fn a_slash_is_no_part_of_a_name_however_it_is_written(driver: Driver) {
    let server = Server::on(driver);
    let mut alice = server.user("alice");
    alice.acquire("a%2Fb", json!({})).refused(400, "invalid_lock_name");
    alice.acquire("a%2fb", json!({})).refused(400, "invalid_lock_name");
    alice.get("/locks/a%2Facquire").refused(400, "invalid_lock_name");
    alice.acquire("a/b", json!({})).refused(404, "not_found");
}

fn a_dot_or_two_are_no_name(driver: Driver) {
    let server = Server::on(driver);
    let mut alice = server.user("alice");
    for dots in [".", "..", "%2e", "%2E%2e", ".%2e"] {
        alice.acquire(dots, json!({})).refused(400, "invalid_lock_name");
        alice.get(&format!("/locks/{dots}")).refused(400, "invalid_lock_name");
    }
}

fn an_empty_name_is_refused(driver: Driver) {
    let server = Server::on(driver);
    server.user("alice").acquire("", json!({})).refused(400, "invalid_lock_name");
}

fn names_differ_by_case(driver: Driver) {
    let server = Server::on(driver);
    let mut alice = server.user("alice");
    let lower = alice.grant("job", json!({}));
    let upper = alice.grant("JOB", json!({}));
    assert_ne!(lower, upper);
    assert_eq!(alice.names(""), ["JOB", "job"]);
}
