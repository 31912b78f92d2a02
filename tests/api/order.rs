//! The order of checks: well-formed HTTP, route and method, authentication, body, name, values, state.
//! Each request here is wrong twice; the answer names what is checked first.

use serde_json::json;

use crate::common::{Driver, Server, request};

crate::both_drivers! {
    http_is_checked_before_the_route,
    an_unknown_route_is_not_found_before_anybody_signs_in,
    a_wrong_method_is_answered_with_the_right_ones_before_anybody_signs_in,
    authentication_comes_before_the_body,
    the_body_comes_before_the_name,
    the_name_comes_before_the_values,
    the_values_come_before_the_state,
}

fn http_is_checked_before_the_route(driver: Driver) {
    let server = Server::on(driver);
    server.connect().call(b"GET /nowhere HTTP/1.1\r\nHost: x\r\nContent-Length: many\r\n\r\n").refusal(400);
    server.connect().call(b"POST /nowhere HTTP/1.1\r\nContent-Length: 0\r\n\r\n").refusal(400); // no Host
}

fn an_unknown_route_is_not_found_before_anybody_signs_in(driver: Driver) {
    let server = Server::on(driver);
    let mut connection = server.connect();
    for target in ["/nowhere", "/locks/a/b", "/locks/a/acquire/b", "/LOCKS", "/lock", "/healthy", "/locks/a/steal"] {
        connection.call(&request("GET", target, &[], b"")).refused(404, "not_found");
        connection.call(&request("POST", target, &[], b"{")).refused(404, "not_found");
    }
}

fn a_wrong_method_is_answered_with_the_right_ones_before_anybody_signs_in(driver: Driver) {
    let server = Server::on(driver);
    let mut connection = server.connect();
    let rows = [
        ("GET", "/locks/a/acquire", vec!["POST"]),
        ("DELETE", "/locks/a/renew", vec!["POST"]),
        ("PUT", "/locks/a/release", vec!["POST"]),
        ("POST", "/locks/a", vec!["GET", "HEAD"]),
        ("DELETE", "/locks/a", vec!["GET", "HEAD"]),
        ("POST", "/locks", vec!["GET", "HEAD"]),
        ("PATCH", "/health", vec!["GET", "HEAD"]),
    ];
    for (method, target, right) in rows {
        let response = connection.call(&request(method, target, &[], b""));
        response.refused(405, "method_not_allowed");
        let mut allowed: Vec<&str> = response.header("allow").expect("Allow").split(',').map(str::trim).collect();
        allowed.sort_unstable();
        assert_eq!(allowed, right, "{method} {target}");
    }
}

fn authentication_comes_before_the_body(driver: Driver) {
    let server = Server::on(driver);
    let mut connection = server.connect();
    for target in ["/locks/a/acquire", "/locks/a_b/renew", "/locks/%/release"] {
        connection.call(&request("POST", target, &[], b"{")).refused(401, "authentication_required");
    }
    connection.call(&request("GET", "/locks/a_b", &[], b"")).refused(401, "authentication_required");
    connection.call(&request("GET", "/locks?limit=0", &[], b"")).refused(401, "authentication_required");
}

fn the_body_comes_before_the_name(driver: Driver) {
    let server = Server::on(driver);
    let mut alice = server.user("alice");
    for call in ["acquire", "renew", "release"] {
        alice.post_raw(&format!("/locks/a_b/{call}"), b"[]").refused(400, "invalid_json");
    }
}

fn the_name_comes_before_the_values(driver: Driver) {
    let server = Server::on(driver);
    let mut alice = server.user("alice");
    alice.acquire("a_b", json!({ "ttl_seconds": 0 })).refused(400, "invalid_lock_name");
    alice.renew("a_b", "no-uuid", json!({})).refused(400, "invalid_lock_name");
    alice.release("a_b", "no-uuid").refused(400, "invalid_lock_name");
}

fn the_values_come_before_the_state(driver: Driver) {
    let server = Server::on(driver);
    let mut alice = server.user("alice");
    alice.grant("held", json!({}));
    alice.acquire("held", json!({ "ttl_seconds": 0 })).refused(400, "invalid_ttl");
    alice.acquire("held", json!({ "metadata": 1 })).refused(400, "invalid_metadata");
    alice.release("free", "no-uuid").refused(400, "invalid_lease_id");
    let lease_id = "c0ffee00-0000-4000-8000-000000000000";
    alice.renew("free", lease_id, json!({ "ttl_seconds": 3601 })).refused(400, "invalid_ttl");
}
