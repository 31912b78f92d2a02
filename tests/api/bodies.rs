//! Request bodies: JSON whatever the Content-Type says, an object, read with care.

use serde_json::json;

use crate::common::{Driver, Server, request, token_of};

crate::both_drivers! {
    a_body_that_is_no_json_is_refused,
    a_body_that_is_no_object_is_refused,
    a_body_is_json_whatever_its_content_type,
    unknown_fields_are_ignored,
    a_field_given_twice_is_refused,
    an_explicit_null_means_absent,
    white_space_around_the_object_is_fine,
    a_body_nested_without_end_harms_nobody,
    a_body_in_chunks_is_a_body,
}

fn a_body_that_is_no_json_is_refused(driver: Driver) {
    let server = Server::on(driver);
    let mut alice = server.user("alice");
    let bad: [&[u8]; 10] = [
        b"ttl_seconds=60",
        b"{",
        b"{\"ttl_seconds\": }",
        b"{\"ttl_seconds\": 60,}",
        b"{} {}",
        b"{'ttl_seconds': 60}",
        b"{\"metadata\": \"\xff\"}",
        b"{\"x\": \"\xff\", \"ttl_seconds\": 5}", // what is ignored must be UTF-8, too
        b"{\"metadata\": \"\\ud800\"}",
        b"{\"metadata\": \"a\nb\"}",
    ];
    for body in bad {
        alice.post_raw("/locks/never/acquire", body).refused(400, "invalid_json");
        alice.post_raw("/locks/never/release", body).refused(400, "invalid_json");
    }
    assert!(!alice.sees_held("never"));
}

fn a_body_that_is_no_object_is_refused(driver: Driver) {
    let server = Server::on(driver);
    let mut alice = server.user("alice");
    for body in ["[]", "60", "\"60\"", "null", "true", "[{}]"] {
        alice.post_raw("/locks/never/acquire", body.as_bytes()).refused(400, "invalid_json");
    }
    assert!(!alice.sees_held("never"));
}

fn a_body_is_json_whatever_its_content_type(driver: Driver) {
    let server = Server::on(driver);
    let bearer = format!("Bearer {}", token_of("alice"));
    let kinds = ["application/json", "application/x-www-form-urlencoded", "text/plain", "", "nonsense; charset=x"];
    let mut connection = server.connect();
    for (i, kind) in kinds.into_iter().enumerate() {
        let headers = [("Authorization", bearer.as_str()), ("Content-Type", kind)];
        let response =
            connection.call(&request("POST", &format!("/locks/kind-{i}/acquire"), &headers, b"{\"ttl_seconds\": 77}"));
        assert_eq!(response.expect(200)["ttl_seconds"], 77, "{kind}");
    }
}

fn unknown_fields_are_ignored(driver: Driver) {
    let server = Server::on(driver);
    let body = json!({ "ttl_seconds": 77, "wait": { "seconds": [1, 2, { "x": null }] }, "TTL_SECONDS": 1 });
    assert_eq!(server.user("alice").acquire("job", body).expect(200)["ttl_seconds"], 77);
}

fn a_field_given_twice_is_refused(driver: Driver) {
    let server = Server::on(driver);
    let mut alice = server.user("alice");
    alice.post_raw("/locks/never/acquire", b"{\"ttl_seconds\": 5, \"ttl_seconds\": 3600}").refused(400, "invalid_json");
    assert!(!alice.sees_held("never"));
}

fn an_explicit_null_means_absent(driver: Driver) {
    let server = Server::on(driver);
    let mut alice = server.user("alice");
    let nulls = json!({ "ttl_seconds": null, "metadata": null, "lease_id": null });
    let body = alice.acquire("job", nulls).expect(200);
    assert_eq!(body["ttl_seconds"], 60);
    assert!(body["metadata"].is_null() && body["lease_id"].is_string());
}

fn white_space_around_the_object_is_fine(driver: Driver) {
    let server = Server::on(driver);
    let body = b" \r\n\t{ \"ttl_seconds\" : 77 } \n";
    assert_eq!(server.user("alice").post_raw("/locks/job/acquire", body).expect(200)["ttl_seconds"], 77);
}

fn a_body_nested_without_end_harms_nobody(driver: Driver) {
    let server = Server::on(driver);
    let mut alice = server.user("alice");
    for opening in ["[", "{\"x\":"] {
        let body = format!("{{\"x\": {}", opening.repeat(2_000 / opening.len()));
        alice.post_raw("/locks/never/acquire", body.as_bytes()).refused(400, "invalid_json");
    }
    server.assert_healthy();
}

fn a_body_in_chunks_is_a_body(driver: Driver) {
    let server = Server::on(driver);
    let mut alice = server.user("alice");
    let head = format!(
        "POST /locks/job/acquire HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {}\r\nTransfer-Encoding: chunked\r\n\r\n",
        alice.token
    );
    let chunks = "5\r\n{\"ttl\r\n10\r\n_seconds\": 77}  \r\n0\r\n\r\n";
    assert_eq!(alice.connection.call((head + chunks).as_bytes()).expect(200)["ttl_seconds"], 77);
    assert!(alice.sees_held("job"), "the next request begins right behind the last chunk");
}
