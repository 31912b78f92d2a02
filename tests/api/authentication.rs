//! Bearer tokens, as they are presented.

use serde_json::json;

use crate::common::{Driver, Options, Server, User, request, token_of};

crate::both_drivers! {
    every_lock_endpoint_needs_a_token,
    a_token_that_nobody_has_is_refused,
    other_schemes_and_empty_tokens_are_refused,
    the_scheme_is_matched_without_case,
    the_token_is_matched_with_case,
    every_response_has_a_request_id_of_its_own,
    two_connections_of_a_user_are_the_same_user,
    only_the_users_configured_may_sign_in,
}

fn every_lock_endpoint_needs_a_token(driver: Driver) {
    let server = Server::on(driver);
    let mut connection = server.connect();
    let calls = [
        ("POST", "/locks/a/acquire"),
        ("POST", "/locks/a/renew"),
        ("POST", "/locks/a/release"),
        ("GET", "/locks/a"),
        ("GET", "/locks"),
    ];
    for (method, target) in calls {
        let response = connection.call(&request(method, target, &[], b""));
        response.refused(401, "authentication_required");
        assert!(response.header("www-authenticate").is_some_and(|value| value.starts_with("Bearer")));
    }
}

fn a_token_that_nobody_has_is_refused(driver: Driver) {
    let server = Server::on(driver);
    let right = token_of("alice");
    let wrong =
        [token_of("mallory"), right[1..].to_owned(), format!("{right}A"), format!("{right} x"), "x".repeat(4000)];
    for token in wrong {
        let response = User::connect(server.address, &token).acquire("never", json!({}));
        response.refused(401, "authentication_failed");
        assert!(response.header("www-authenticate").is_some_and(|value| value.starts_with("Bearer")));
        assert!(!response.text().contains(&token), "an answer repeats no token");
    }
    assert!(!server.user("alice").sees_held("never"));
}

fn other_schemes_and_empty_tokens_are_refused(driver: Driver) {
    let server = Server::on(driver);
    let mut connection = server.connect();
    let right = token_of("alice");
    for value in [format!("Basic {right}"), right.clone(), format!("Bearer{right}"), "Bearer".into(), "Bearer ".into()]
    {
        let code = connection.call(&request("GET", "/locks/a", &[("Authorization", &value)], b"")).refusal(401);
        assert!(code.starts_with("authentication_"), "{code}");
    }
}

fn the_scheme_is_matched_without_case(driver: Driver) {
    let server = Server::on(driver);
    let mut connection = server.connect();
    for scheme in ["Bearer", "bearer", "BEARER", "bEaReR"] {
        let value = format!("{scheme} {}", token_of("alice"));
        assert_eq!(connection.call(&request("GET", "/locks/a", &[("authorization", &value)], b"")).status, 200);
    }
}

fn the_token_is_matched_with_case(driver: Driver) {
    let server = Server::on(driver);
    let response = User::connect(server.address, &token_of("alice").to_uppercase()).get("/locks/a");
    response.refused(401, "authentication_failed");
}

fn every_response_has_a_request_id_of_its_own(driver: Driver) {
    let server = Server::on(driver);
    let mut alice = server.user("alice");
    let mut seen = std::collections::HashSet::new();
    for i in 0..20 {
        let name = format!("lock-{i}");
        let nobody = request("GET", "/locks", &[], b"");
        let malformed = request("GET", "/locks/a", &[("Content-Length", "x")], b"");
        let responses = [
            alice.acquire(&name, json!({})),
            alice.acquire(&name, json!({})),
            alice.acquire("a_b", json!({})),
            alice.get("/nowhere"),
            alice.get("/health"),
            alice.connection.call(&nobody),
            server.connect().call(&malformed),
        ];
        for response in responses {
            let id = response.header("x-request-id").expect("X-Request-Id").to_owned();
            assert!(seen.insert(id), "given before: {response:?}");
        }
    }
}

fn two_connections_of_a_user_are_the_same_user(driver: Driver) {
    let server = Server::on(driver);
    let grant = server.user("alice").grant("job", json!({}));
    let mut later = server.user("alice");
    assert_eq!(later.names(""), ["job"]);
    assert_eq!(later.renew("job", &grant.lease_id, json!({})).status, 200);
    assert_eq!(later.release("job", &grant.lease_id).status, 200);
}

fn only_the_users_configured_may_sign_in(driver: Driver) {
    let server = Server::start(Options::new(driver).users(&["carol"]));
    server.user("carol").grant("job", json!({}));
    server.user("alice").get("/locks/job").refused(401, "authentication_failed");
    server.user("local").get("/locks/job").refused(401, "authentication_failed");
    assert!(!server.options.home.file("local.token").exists(), "the local user is off");
}
