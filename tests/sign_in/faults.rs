//! GitHub fails, in all the ways in which a server on the internet can fail: who signs in is told so, and nobody else
//! notices.

use std::time::Duration;

use serde_json::json;

use crate::common::{Driver, Response, Server, eventually};
use crate::github::{Endpoint, Fault, Github};
use crate::visitor::{Visitor, sign_in, target_in};

crate::both_drivers! {
    a_github_that_fails_is_named_as_what_fails_and_the_next_sign_in_succeeds,
    a_github_that_is_not_there_is_named_as_that,
    a_redirect_is_not_followed,
    a_silent_github_is_given_up_and_slows_no_lock,
    more_sign_ins_than_can_wait_are_told_to_come_again,
    a_wrong_secret_is_the_operators_business,
}

fn started(driver: Driver, github: &Github) -> Server {
    // The static user locks while others sign in.
    let server = Server::start(github.options(driver).users(&["alice"]));
    github.send_back_to(server.address);
    server
}

/// Comes back from GitHub, while it fails.
#[track_caller]
fn failing(server: &Server, github: &Github, fault: (Endpoint, Fault)) -> Response {
    let mut visitor = Visitor::new(server.address);
    let location = visitor.begin();
    let back = github.allow(&location);
    github.fail(fault);
    let answer = visitor.come_back(&back);
    github.fail(None);
    answer
}

fn a_github_that_fails_is_named_as_what_fails_and_the_next_sign_in_succeeds(driver: Driver) {
    let github = Github::start();
    let server = started(driver, &github);
    for endpoint in [Endpoint::Token, Endpoint::User] {
        for fault in [
            Fault::ServerError,
            Fault::HangUp,
            Fault::Oversized,
            Fault::Malformed,
            Fault::Incomplete,
            Fault::Redirect,
            Fault::ErrorWith200,
            Fault::NoHttp,
        ] {
            let answer = failing(&server, &github, (endpoint, fault));
            let (status, code) = match (endpoint, fault) {
                (Endpoint::Token, Fault::ErrorWith200) => (400, "sign_in_refused"),
                _ => (502, "upstream_unavailable"),
            };
            assert_eq!(answer.status, status, "{endpoint:?} {fault:?}: {}", answer.text());
            answer.refused(status, code);
            assert!(answer.text().contains("GitHub"), "{}", answer.text());
        }
    }
    sign_in(&server, &github);
}

fn a_github_that_is_not_there_is_named_as_that(driver: Driver) {
    let github = Github::start();
    let gone = std::net::TcpListener::bind("127.0.0.1:0").expect("a port").local_addr().expect("its address");
    let options = github.options(driver).env("GITHUB_API_URL", &format!("http://{gone}"));
    let server = Server::start(options);
    github.send_back_to(server.address);
    let mut visitor = Visitor::new(server.address);
    let location = visitor.begin();
    let back = github.allow(&location);
    visitor.come_back(&back).refused(502, "upstream_unavailable");
    // The operator is told, without the secrets of that sign-in.
    eventually("the operator is told", || server.log().contains("GitHub"));
    assert!(github.secrets().iter().all(|secret| !server.log().contains(secret)), "{}", server.log());
}

fn a_redirect_is_not_followed(driver: Driver) {
    let github = Github::start();
    let server = started(driver, &github);
    for endpoint in [Endpoint::Token, Endpoint::User] {
        failing(&server, &github, (endpoint, Fault::Redirect)).refused(502, "upstream_unavailable");
    }
    let elsewhere = ["/elsewhere/login/oauth/access_token", "/elsewhere/api/v3/user"];
    assert_eq!(elsewhere.map(|path| github.asked(path)), [0, 0], "secrets were sent there");
}

fn a_silent_github_is_given_up_and_slows_no_lock(driver: Driver) {
    let github = Github::start();
    let server = started(driver, &github);
    for fault in [Fault::Silence, Fault::SilenceInTheBody] {
        let mut visitor = Visitor::new(server.address);
        let location = visitor.begin();
        let back = github.allow(&location);
        github.fail((Endpoint::Token, fault));
        let bytes = visitor.get_bytes(target_in(&back), &[]);
        visitor.connection.send(&bytes);
        let mut alice = server.user("alice");
        for n in 0..200 {
            let grant = alice.grant(&format!("job-{n}"), json!({}));
            assert_eq!(alice.release(&format!("job-{n}"), &grant.lease_id).status, 200);
        }
        // Not one of them has waited for the sign-in: that is still under way.
        assert!(!visitor.connection.answers_within(Duration::from_millis(1)), "{fault:?}: too soon");
        visitor.connection.read().refused(502, "upstream_unavailable");
        github.fail(None);
    }
    sign_in(&server, &github);
}

fn more_sign_ins_than_can_wait_are_told_to_come_again(driver: Driver) {
    let github = Github::start();
    let server = started(driver, &github);
    let visitors: Vec<(Visitor, Vec<u8>)> = (0..64)
        .map(|_| {
            let mut visitor = Visitor::new(server.address);
            let location = visitor.begin();
            let back = github.allow(&location);
            let bytes = visitor.get_bytes(target_in(&back), &[]);
            (visitor, bytes)
        })
        .collect();
    github.fail((Endpoint::Token, Fault::Silence));
    let mut waiting = visitors;
    for (visitor, bytes) in &mut waiting {
        visitor.connection.send(bytes);
    }
    let mut told = 0;
    eventually("somebody is told to come again", || {
        for (visitor, _) in &mut waiting {
            if visitor.connection.answers_within(Duration::from_millis(1)) {
                let answer = visitor.connection.read();
                if answer.status == 502 {
                    continue; // the first ones, if this machine is slow
                }
                assert!(answer.header("retry-after").is_some(), "{answer:?}");
                answer.refused(503, "overloaded");
                told += 1;
            }
        }
        told > 0
    });
    assert!(told < 64, "some are being served");
    server.user("alice").grant("job", json!({}));
}

fn a_wrong_secret_is_the_operators_business(driver: Driver) {
    let github = Github::start();
    let server = Server::start(github.options(driver).env("GITHUB_CLIENT_SECRET", "not-the-right-one"));
    github.send_back_to(server.address);
    let mut visitor = Visitor::new(server.address);
    let location = visitor.begin();
    let back = github.allow(&location);
    let answer = visitor.come_back(&back);
    answer.refused(502, "upstream_unavailable");
    assert!(answer.text().contains("client id and secret"), "{}", answer.text());
    assert!(!answer.text().contains("not-the-right-one"));
}
