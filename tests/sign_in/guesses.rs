//! Who guesses tokens is told 401 a hundred times a minute, and then 429; who has a token never is.

use serde_json::json;

use crate::common::{Connection, Driver, Options, Response, Server, request};
use crate::github::Github;
use crate::visitor::{Visitor, sign_in};

crate::both_drivers! {
    after_a_hundred_failures_an_address_is_told_to_wait_but_a_valid_token_is_not,
    what_anybody_says_of_other_addresses_is_not_believed,
    a_trusted_proxy_is_believed_and_what_its_clients_made_up_is_not,
    one_address_cannot_crowd_out_the_sign_ins_of_others,
}

fn one_address_cannot_crowd_out_the_sign_ins_of_others(driver: Driver) {
    let github = Github::start();
    let server = Server::start(github.options(driver).args(&["--trusted-proxy", "127.0.0.1"]));
    let mut greedy = Visitor::new(server.address);
    let crowd: &[(&str, &str)] = &[("X-Forwarded-For", "192.0.2.1")];
    let begun = (0..1000).take_while(|_| greedy.get("/auth/github", crowd).status == 302).count();
    assert_eq!(begun, 300);
    let refused = greedy.get("/auth/github", crowd);
    refused.refused(429, "rate_limited");
    assert!(refused.header("retry-after").is_some());
    sign_in(&server, &github).user(&server).grant("job", json!({}));
}

#[track_caller]
fn guess(connection: &mut Connection, forwarded_for: Option<&str>) -> Response {
    let mut headers = vec![("Authorization", "Bearer a-guess")];
    headers.extend(forwarded_for.map(|value| ("X-Forwarded-For", value)));
    connection.call(&request("GET", "/locks/a", &headers, b""))
}

/// The number of guesses that are told 401 before one is told 429.
#[track_caller]
fn guesses_allowed(connection: &mut Connection, forwarded_for: impl Fn(usize) -> Option<String>) -> usize {
    for n in 0.. {
        let answer = guess(connection, forwarded_for(n).as_deref());
        if answer.status == 429 {
            answer.refused(429, "rate_limited");
            let wait = answer.header("retry-after").expect("how long").parse::<u64>().expect("seconds");
            assert!((1..=60).contains(&wait), "{wait}");
            return n;
        }
        answer.refused(401, "authentication_failed");
        assert!(n <= 200, "nobody is limited");
    }
    unreachable!("the loop ends by itself")
}

fn after_a_hundred_failures_an_address_is_told_to_wait_but_a_valid_token_is_not(driver: Driver) {
    let server = Server::on(driver);
    let mut connection = server.connect();
    assert_eq!(guesses_allowed(&mut connection, |_| None), 100);
    guess(&mut server.connect(), None).refused(429, "rate_limited");
    let mut alice = server.user("alice");
    for n in 0..50 {
        alice.grant(&format!("job-{n}"), json!({}));
    }
    server.assert_healthy();
}

fn what_anybody_says_of_other_addresses_is_not_believed(driver: Driver) {
    let server = Server::on(driver);
    let made_up = |n: usize| Some(format!("192.0.2.{}", n % 250));
    assert_eq!(guesses_allowed(&mut server.connect(), made_up), 100);
}

fn a_trusted_proxy_is_believed_and_what_its_clients_made_up_is_not(driver: Driver) {
    let server = Server::start(Options::new(driver).args(&["--trusted-proxy", "127.0.0.1"]));
    let mut proxy = server.connect();
    // What the proxy's client wrote stands before what the proxy has added.
    assert_eq!(guesses_allowed(&mut proxy, |n| Some(format!("198.51.100.{}, 192.0.2.1", n % 250))), 100);
    guess(&mut proxy, Some("192.0.2.2")).refused(401, "authentication_failed");
    // Of IPv6 a network of 64 bits is one address.
    assert_eq!(guesses_allowed(&mut proxy, |n| Some(format!("2001:db8:0:1::{n:x}"))), 100);
    guess(&mut proxy, Some("2001:db8:0:2::1")).refused(401, "authentication_failed");
}
