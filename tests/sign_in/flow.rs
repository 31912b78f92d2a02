//! The way to GitHub and back, and the accounts that it makes.

use std::collections::HashSet;

use serde_json::json;

use crate::common::{Driver, Server, User};
use crate::github::{CLIENT_SECRET, Github};
use crate::visitor::{Issued, Visitor, sign_in};

crate::both_drivers! {
    whoever_github_vouches_for_gets_a_token_and_can_lock,
    the_way_there_has_pkce_a_state_and_a_cookie_that_scripts_cannot_read,
    over_https_the_cookie_is_for_this_host_alone,
    a_user_who_is_renamed_at_github_stays_the_same_user,
    other_numbers_are_other_users_even_under_the_same_login,
    a_second_sign_in_adds_a_token_and_the_eleventh_drops_the_oldest,
    accounts_and_tokens_outlive_a_crash,
    a_state_counts_once,
    a_state_that_nobody_was_sent_away_with_is_refused,
    a_state_of_another_browser_is_refused_and_stays_good_for_its_own,
    a_code_that_github_has_seen_before_is_refused,
    who_clicks_twice_can_come_back_from_either,
    who_refuses_at_github_is_not_signed_in,
    a_callback_without_code_or_state_is_refused,
    nothing_that_is_secret_is_logged,
}

fn started(driver: Driver) -> (Server, Github) {
    let github = Github::start();
    let server = Server::start(github.options(driver));
    github.send_back_to(server.address);
    (server, github)
}

fn whoever_github_vouches_for_gets_a_token_and_can_lock(driver: Driver) {
    let (server, github) = started(driver);
    let issued = sign_in(&server, &github);
    assert_eq!(issued.login.as_deref(), Some("octocat"));
    let mut user = issued.user(&server);
    user.grant("job", json!({}));
    assert_eq!(user.status("job")["holder_id"], issued.user_id);
    assert_eq!(github.asked("/api/v3/user"), 1);
}

fn the_way_there_has_pkce_a_state_and_a_cookie_that_scripts_cannot_read(driver: Driver) {
    let (server, github) = started(driver);
    let mut visitor = Visitor::new(server.address);
    let answer = visitor.get("/auth/github", &[]);
    assert_eq!(answer.status, 302);
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    let location = answer.header("location").expect("a place");
    assert!(location.starts_with(&format!("{}/login/oauth/authorize?", github.url())), "{location}");
    for part in ["client_id=", "response_type=code", "state=", "code_challenge=", "code_challenge_method=S256"] {
        assert!(location.contains(part), "{part} in {location}");
    }
    assert!(!location.contains("scope=") && !location.contains(CLIENT_SECRET), "{location}");
    let cookie = answer.header("set-cookie").expect("a cookie");
    for part in ["HttpOnly", "SameSite=Lax", "Max-Age=600", "Path=/"] {
        assert!(cookie.split("; ").any(|attribute| attribute.starts_with(part)), "{part} in {cookie}");
    }
    assert!(!cookie.contains("Secure") && !cookie.contains("Domain"), "{cookie}");
}

fn over_https_the_cookie_is_for_this_host_alone(driver: Driver) {
    let github = Github::start();
    let uri = "https://locks.example/auth/github/callback";
    let server = Server::start(github.options(driver).env("GITHUB_REDIRECT_URI", uri));
    let mut visitor = Visitor::new(server.address);
    let answer = visitor.get("/auth/github", &[]);
    let cookie = answer.header("set-cookie").expect("a cookie");
    assert!(cookie.split("; ").any(|attribute| attribute == "Secure"), "{cookie}");
    // The way goes on as a proxy that ends TLS would hand it over.
    let location = visitor.begin();
    let back = github.allow(&location);
    assert!(back.starts_with(&format!("{uri}?")), "{back}");
    Issued::of(&visitor.come_back(&back));
}

fn a_user_who_is_renamed_at_github_stays_the_same_user(driver: Driver) {
    let (server, github) = started(driver);
    let before = sign_in(&server, &github);
    let grant = before.user(&server).grant("job", json!({}));
    github.sign_in_as(4242, "hexacat");
    let after = sign_in(&server, &github);
    assert_eq!((after.user_id.as_str(), after.login.as_deref()), (before.user_id.as_str(), Some("hexacat")));
    assert_eq!(after.user(&server).renew("job", &grant.lease_id, json!({})).status, 200);
    let rotated = Issued::of(&before.user(&server).post("/auth/token/rotate", json!({})));
    assert_eq!(rotated.login.as_deref(), Some("hexacat"), "the name of today, whatever the token");
}

fn other_numbers_are_other_users_even_under_the_same_login(driver: Driver) {
    let (server, github) = started(driver);
    let first = sign_in(&server, &github);
    github.sign_in_as(u64::from(u32::MAX) + 4242, "octocat");
    let second = sign_in(&server, &github);
    assert_ne!(first.user_id, second.user_id);
    first.user(&server).grant("job", json!({}));
    assert!(second.user(&server).names("").is_empty());
}

fn a_second_sign_in_adds_a_token_and_the_eleventh_drops_the_oldest(driver: Driver) {
    let (server, github) = started(driver);
    let issued: Vec<Issued> = (0..10).map(|_| sign_in(&server, &github)).collect();
    assert_eq!(issued.iter().map(|i| &i.token).collect::<HashSet<_>>().len(), 10);
    assert!(issued.iter().all(|i| i.user(&server).get("/locks").status == 200));
    let eleventh = sign_in(&server, &github);
    issued[0].user(&server).get("/locks").refused(401, "authentication_failed");
    assert!(issued[1..].iter().chain([&eleventh]).all(|i| i.user(&server).get("/locks").status == 200));
}

fn accounts_and_tokens_outlive_a_crash(driver: Driver) {
    let (mut server, github) = started(driver);
    let first = sign_in(&server, &github);
    let second = sign_in(&server, &github);
    let rotated = Issued::of(&second.user(&server).post("/auth/token/rotate", json!({})));
    let grant = first.user(&server).grant("job", json!({}));
    server.kill9();
    server.start_again();
    assert_eq!(first.user(&server).renew("job", &grant.lease_id, json!({})).status, 200);
    assert_eq!(rotated.user(&server).names(""), ["job"]);
    second.user(&server).get("/locks").refused(401, "authentication_failed");
    assert_eq!(sign_in(&server, &github).user_id, first.user_id);
}

fn a_state_counts_once(driver: Driver) {
    let (server, github) = started(driver);
    let mut visitor = Visitor::new(server.address);
    let location = visitor.begin();
    let first = github.allow(&location);
    Issued::of(&visitor.come_back(&first));
    visitor.come_back(&first).refused(400, "sign_in_refused");
    let fresh_code = github.allow(&location);
    visitor.come_back(&fresh_code).refused(400, "sign_in_refused");
    assert_eq!(github.asked("/login/oauth/access_token"), 1, "GitHub is not asked for a state that is none");
}

fn a_state_that_nobody_was_sent_away_with_is_refused(driver: Driver) {
    let (server, github) = started(driver);
    let mut visitor = Visitor::new(server.address);
    let location = visitor.begin();
    let back = github.allow(&location);
    let (before, state) = back.rsplit_once("state=").expect("a state");
    let turned: String = state.chars().rev().collect();
    for wrong in [turned.as_str(), "x", &state[1..], &format!("{state}A"), &"x".repeat(1000)] {
        visitor.come_back(&format!("{before}state={wrong}")).refused(400, "sign_in_refused");
    }
    assert_eq!(github.asked("/login/oauth/access_token"), 0);
    Issued::of(&visitor.come_back(&back));
}

fn a_state_of_another_browser_is_refused_and_stays_good_for_its_own(driver: Driver) {
    let (server, github) = started(driver);
    let (mut mallory, mut victim) = (Visitor::new(server.address), Visitor::new(server.address));
    let location = mallory.begin();
    let back = github.allow(&location);
    // Mallory has a victim's browser finish what she began: with its own cookie, and with none.
    victim.come_back(&back).refused(400, "sign_in_refused");
    victim.begin();
    victim.come_back(&back).refused(400, "sign_in_refused");
    Issued::of(&mallory.come_back(&back));
}

fn a_code_that_github_has_seen_before_is_refused(driver: Driver) {
    let (server, github) = started(driver);
    let mut visitor = Visitor::new(server.address);
    let location = visitor.begin();
    let back = github.allow(&location);
    Issued::of(&visitor.come_back(&back));
    let code = back.split(['?', '&']).find(|pair| pair.starts_with("code=")).expect("a code");
    let location = visitor.begin();
    let state = location.split(['?', '&']).find(|pair| pair.starts_with("state=")).expect("a state");
    visitor.come_back(&format!("http://x/auth/github/callback?{code}&{state}")).refused(400, "sign_in_refused");
    assert_eq!(github.asked("/login/oauth/access_token"), 2);
    assert_eq!(github.asked("/api/v3/user"), 1);
}

fn who_clicks_twice_can_come_back_from_either(driver: Driver) {
    let (server, github) = started(driver);
    let mut visitor = Visitor::new(server.address);
    let first = visitor.begin();
    let second = visitor.begin();
    assert_ne!(first, second);
    let (first, second) = (github.allow(&first), github.allow(&second));
    let second = Issued::of(&visitor.come_back(&second));
    let first = Issued::of(&visitor.come_back(&first));
    assert_eq!(first.user_id, second.user_id);
    assert_ne!(first.token, second.token);
}

fn who_refuses_at_github_is_not_signed_in(driver: Driver) {
    let (server, github) = started(driver);
    let mut visitor = Visitor::new(server.address);
    let location = visitor.begin();
    let state = location.split(['?', '&']).find(|pair| pair.starts_with("state=")).expect("a state");
    let answer = visitor.come_back(&format!("http://x/auth/github/callback?error=access_denied&{state}"));
    answer.refused(400, "sign_in_refused");
    assert!(answer.text().contains("GitHub"), "{}", answer.text());
    assert_eq!(github.asked("/login/oauth/access_token"), 0);
}

fn a_callback_without_code_or_state_is_refused(driver: Driver) {
    let (server, _github) = started(driver);
    let mut visitor = Visitor::new(server.address);
    visitor.begin();
    for query in ["", "?", "?code=a", "?state=a", "?code=&state=", "?code=a&code=b&state=c", "?code=%zz&state=a"] {
        visitor.come_back(&format!("http://x/auth/github/callback{query}")).refused(400, "bad_request");
    }
}

fn nothing_that_is_secret_is_logged(driver: Driver) {
    let github = Github::start();
    let mut server = Server::start(github.options(driver).env("OCTOSTORE_LOG", "trace"));
    let issued = sign_in(&server, &github);
    let rotated = Issued::of(&issued.user(&server).post("/auth/token/rotate", json!({})));
    let mut visitor = Visitor::new(server.address);
    visitor.begin();
    let cookie = visitor.cookie.clone().expect("a cookie");
    let answer = visitor.come_back("http://x/auth/github/callback?code=a-made-up-code&state=a-made-up-state");
    answer.refused(400, "sign_in_refused");
    User::connect(server.address, &issued.token).get("/locks").refused(401, "authentication_failed");
    server.terminate();
    let said = server.log() + &server.stdout();
    let mut secrets = github.secrets();
    assert!(secrets.len() >= 4, "a state, a code, a verifier, a token: {secrets:?}");
    secrets.extend([issued.token, rotated.token, CLIENT_SECRET.into(), "a-made-up".into()]);
    secrets.push(cookie.split_once('=').expect("a pair").1.to_owned());
    for secret in secrets {
        assert!(!said.contains(&secret), "{secret} is in the log:\n{said}");
    }
}
