//! The user `local`, whom a server with nothing configured makes for itself.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use serde_json::json;

use crate::common::{Driver, Options, Server, User};

crate::both_drivers! {
    the_first_start_prints_a_token_once_and_keeps_it_for_its_owner,
    a_token_whose_file_is_gone_is_replaced,
    a_configured_user_turns_the_local_one_off,
}

fn kept_token(server: &Server) -> String {
    let text = fs::read_to_string(server.options.home.file("local.token")).expect("local.token beside the database");
    text.strip_suffix('\n').expect("a newline at the end").to_owned()
}

fn the_first_start_prints_a_token_once_and_keeps_it_for_its_owner(driver: Driver) {
    let mut server = Server::start(Options::new(driver).users(&[]));
    let token = kept_token(&server);
    let url_safe = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'_';
    assert!(token.len() == 43 && token.bytes().all(url_safe), "32 bytes in base64url, not {token:?}");
    let mode = fs::metadata(server.options.home.file("local.token")).expect("the file").permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let grant = User::connect(server.address, &token).grant("job", json!({}));
    for stopped in [false, true] {
        if stopped {
            assert!(server.terminate().success());
        } else {
            server.kill9();
            assert_eq!(server.stdout().matches(&token).count(), 1, "shown once, on stdout: {}", server.stdout());
            assert!(!server.log().contains(&token), "and never in the log");
        }
        server.start_again();
        assert_eq!(kept_token(&server), token);
        assert!(!server.stdout().contains(&token) && !server.log().contains(&token));
        let mut local = User::connect(server.address, &token);
        assert_eq!(local.renew("job", &grant.lease_id, json!({})).status, 200);
    }
}

fn a_token_whose_file_is_gone_is_replaced(driver: Driver) {
    let mut server = Server::start(Options::new(driver).users(&[]));
    let old = kept_token(&server);
    let grant = User::connect(server.address, &old).grant("job", json!({}));
    server.kill9();
    fs::remove_file(server.options.home.file("local.token")).expect("remove");
    server.start_again();
    let new = kept_token(&server);
    assert_ne!(old, new);
    User::connect(server.address, &old).get("/locks").refused(401, "authentication_failed");
    let mut local = User::connect(server.address, &new);
    assert_eq!(local.renew("job", &grant.lease_id, json!({})).status, 200, "it is the same user");
    server.kill9();
    assert!(server.stdout().contains(&new) && !server.log().contains(&new));
    let said = (server.stdout() + &server.log()).to_lowercase();
    assert!(said.contains("local.token"), "it says what has become of the old one: {said}");
}

fn a_configured_user_turns_the_local_one_off(driver: Driver) {
    let mut server = Server::start(Options::new(driver).users(&[]));
    let local = kept_token(&server);
    User::connect(server.address, &local).grant("job", json!({}));
    server.kill9();
    server.options.users = vec!["alice"];
    server.start_again();
    User::connect(server.address, &local).get("/locks").refused(401, "authentication_failed");
    assert_eq!(
        server.user("alice").acquire("job", json!({})).expect(409)["status"],
        "held",
        "its lock runs out by itself"
    );
}
