//! What the log never shows: tokens, whatever is done with them, and lease ids.

use serde_json::json;

use crate::common::{Driver, Options, Server, User, request, token_of};

crate::both_drivers! {
    the_log_never_shows_a_token_nor_a_lease_id,
}

fn the_log_never_shows_a_token_nor_a_lease_id(driver: Driver) {
    let mut server = Server::start(Options::new(driver).args(&["--log-level", "trace"]));
    let mut secrets = vec![token_of("alice"), token_of("bob"), token_of("mallory")];
    let mut alice = server.user("alice");
    let grant = alice.grant("job", json!({ "ttl_seconds": 1 }));
    alice.renew("job", &grant.lease_id, json!({})).expect(200);
    alice.release("job", &grant.lease_id).expect(200);
    secrets.push(grant.lease_id);
    server.user("bob").get("/locks").expect(200);
    User::connect(server.address, &token_of("mallory")).get("/locks").expect(401);
    // In places where it does not belong, and in a request that is refused early.
    let token = token_of("alice");
    server.connect().call(&request("GET", &format!("/locks?token={token}"), &[], b"")).expect(401);
    server.connect().call(&request("GET", &format!("/{token}"), &[("Cookie", &token)], b"")).expect(404);
    server
        .connect()
        .call(&request("GET", "/locks", &[("Authorization", &token), ("Content-Length", "x")], b""))
        .expect(400);
    assert!(server.terminate().success());
    let said = server.log() + &server.stdout();
    assert!(said.contains("listening on"), "{said}");
    for secret in secrets {
        assert!(!said.contains(&secret), "{secret} stands in the log:\n{said}");
    }
}
