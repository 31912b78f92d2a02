//! A person signs in: a real browser goes to the stand-in for GitHub and comes back to the page with the token.

use serde_json::{Value, json};

use crate::common::{Browser, Driver, Server, User, tools};
use crate::github::{Endpoint, Fault, Github};
use crate::visitor::{Visitor, target_in};

#[test]
fn a_person_signs_in_and_uses_the_token_that_the_page_shows() {
    let github = Github::start();
    let server = Server::start(github.options(Driver::Auto));
    github.send_back_to(server.address);
    let origin = format!("http://{}", server.address);
    let browser = Browser::start();
    browser.open(&format!("{origin}/auth/github"));
    browser.click("#allow");
    let token = browser.text("#token");
    assert_eq!(token.len(), 43, "{token}");
    assert!(browser.text("body").contains("octocat"), "{}", browser.text("body"));
    assert!(!browser.url().contains(&token), "a token in a URL");

    // The button copies it; the test alone needs leave, to read what was copied.
    browser.allow("clipboard-read");
    browser.click("#copy");
    let copied = "const done = arguments[0]; navigator.clipboard.readText().then(done, (e) => done('no: ' + e))";
    assert_eq!(browser.run_async(copied), token);
    assert_eq!(browser.text("#copy"), "Copied");

    // The command that it shows can be pasted into a shell as it is, and takes a lock.
    let command = browser.text("#curl");
    assert!(command.contains(&origin), "{command}");
    let answer: Value = serde_json::from_str(&tools::shell(&command)).expect("JSON");
    assert_eq!(answer["status"], "acquired", "{answer}");
    assert_eq!(User::connect(server.address, &token).list("")["total"], 1);

    for (width, height, name) in [(1280, 800, "wide"), (360, 740, "narrow")] {
        browser.resize(width, height);
        let overflow = "return document.documentElement.scrollWidth - document.documentElement.clientWidth";
        assert_eq!(browser.run(overflow), 0, "the page does not fit into {width} pixels");
        browser.picture(&format!("token-{name}"));
        browser.prefer_dark(true);
        browser.picture(&format!("token-{name}-dark"));
        browser.prefer_dark(false);
    }

    // It asked nobody else for anything, and nothing that the page wants is forbidden to it.
    let ours = [format!("{origin}/"), format!("{}/", github.url()), "data:".to_owned()];
    let foreign = |url: &String| !ours.iter().any(|our| url.starts_with(our));
    let requested = browser.requested();
    assert!(!requested.is_empty() && !requested.iter().any(foreign), "{requested:?}");
    assert_eq!(browser.complaints(), Vec::<String>::new());

    // Shown once: neither loading the page again nor going back to it shows the token again.
    browser.reload();
    assert!(!browser.source().contains(&token));
    assert!(browser.text("h1").contains("Not signed in"), "{}", browser.text("body"));
    browser.open(&format!("{}/login/oauth/refuse?state=none", github.url()));
    browser.back();
    assert!(!browser.source().contains(&token));
}

#[test]
fn a_person_who_refuses_or_whom_github_lets_down_gets_a_page_with_a_way_on() {
    let github = Github::start();
    let server = Server::start(github.options(Driver::Auto));
    github.send_back_to(server.address);
    let browser = Browser::start();
    browser.open(&format!("http://{}/auth/github", server.address));
    browser.click("#refuse");
    assert!(browser.text("h1").contains("Not signed in"), "{}", browser.text("body"));
    browser.picture("refused");

    github.fail((Endpoint::User, Fault::ServerError));
    browser.click("a[href='/auth/github']");
    browser.click("#allow");
    assert!(browser.text("body").contains("GitHub"), "{}", browser.text("body"));
    github.fail(None);
    browser.click("a[href='/auth/github']");
    browser.click("#allow");
    assert_eq!(browser.text("#token").len(), 43);
}

#[test]
fn the_page_is_closed_to_everything_that_is_not_its_own() {
    let github = Github::start();
    let server = Server::start(github.options(Driver::Auto));
    github.send_back_to(server.address);
    let mut visitor = Visitor::new(server.address);
    let location = visitor.begin();
    let back = github.allow(&location);
    let answer = visitor.get(target_in(&back), &[("Accept", "text/html,application/xhtml+xml,*/*;q=0.8")]);
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(answer.header("content-type"), Some("text/html; charset=utf-8"));
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    assert_eq!(answer.header("referrer-policy"), Some("no-referrer"));
    assert_eq!(answer.header("x-content-type-options"), Some("nosniff"));
    let policy = answer.header("content-security-policy").expect("a policy");
    for part in ["default-src 'none'", "script-src 'sha256-", "style-src 'sha256-", "frame-ancestors 'none'"] {
        assert!(policy.contains(part), "{part} in {policy}");
    }
    assert!(!policy.contains("unsafe") && !policy.contains('*'), "{policy}");
    let html = answer.text();
    let (_, rest) = html.split_once("<code id=\"token\">").expect("the token's place");
    let token = rest.split_once('<').expect("its end").0;
    assert!(answer.headers.iter().all(|(_, value)| !value.contains(token)), "a token in a header");
    User::connect(server.address, token).grant("job", json!({}));
}
