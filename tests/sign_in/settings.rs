//! Wrong or missing settings are an error at the start, in one line that says what to do, and never at the first sign-in.

use crate::common::{Driver, Options, Server};
use crate::github::{CLIENT_ID, CLIENT_SECRET, Github};

crate::both_drivers! {
    without_settings_there_is_no_sign_in_and_it_is_said_why,
    half_of_the_settings_is_refused,
    urls_that_make_no_sense_or_would_give_secrets_away_are_refused,
    a_redirect_uri_that_is_not_ours_is_refused,
    with_github_the_local_user_is_off,
}

fn without_settings_there_is_no_sign_in_and_it_is_said_why(driver: Driver) {
    let server = Server::on(driver);
    for target in ["/auth/github", "/auth/github/callback?code=a&state=b"] {
        let answer = server.user("alice").get(target);
        answer.refused(404, "not_found");
        assert!(answer.text().contains("GITHUB_CLIENT_ID"), "{}", answer.text());
    }
}

#[track_caller]
fn refused(options: Options) -> String {
    let failed = Server::try_start(options).expect_err("it must not start");
    let error = failed.error().to_owned();
    assert!(!error.contains(CLIENT_SECRET), "{error}");
    error
}

fn half_of_the_settings_is_refused(driver: Driver) {
    let alone = |name: &str, value: &str| refused(Options::new(driver).env(name, value));
    assert!(alone("GITHUB_CLIENT_ID", CLIENT_ID).contains("GITHUB_CLIENT_SECRET"));
    assert!(alone("GITHUB_CLIENT_SECRET", CLIENT_SECRET).contains("GITHUB_CLIENT_ID"));
    let uri = "https://locks.example/auth/github/callback";
    assert!(alone("GITHUB_REDIRECT_URI", uri).contains("GITHUB_CLIENT_ID"));
}

fn urls_that_make_no_sense_or_would_give_secrets_away_are_refused(driver: Driver) {
    let github = Github::start();
    for name in ["GITHUB_URL", "GITHUB_API_URL"] {
        for bad in [
            "github.com",
            "ftp://github.example",
            "https://",
            "http://github.example",
            "https://user:password@github.example",
            "https://github.example/?a=b",
        ] {
            let error = refused(github.options(driver).env(name, bad));
            assert!(error.contains(name), "{name}={bad}: {error}");
        }
    }
}

fn a_redirect_uri_that_is_not_ours_is_refused(driver: Driver) {
    let github = Github::start();
    for bad in [
        "https://locks.example",
        "https://locks.example/auth/github",
        "https://locks.example/auth/github/callback/",
        "https://locks.example/other/auth/github/callback",
        "https://locks.example/auth/github/callback?a=b",
        "http://locks.example/auth/github/callback",
        "/auth/github/callback",
    ] {
        let error = refused(github.options(driver).env("GITHUB_REDIRECT_URI", bad));
        assert!(error.contains("GITHUB_REDIRECT_URI"), "{bad}: {error}");
    }
}

fn with_github_the_local_user_is_off(driver: Driver) {
    let github = Github::start();
    let server = Server::start(github.options(driver));
    assert!(!server.options.home.file("local.token").exists());
}
