//! Flags, variables and help.

use std::process::Command;

use serde_json::{Value, json};

use crate::common::options::clear_environment;
use crate::common::process::Process;
use crate::common::{Driver, Failed, Home, Options, Server, request};

fn run(args: &[&str], env: &[(&str, &str)]) -> Failed {
    let home = Home::new();
    let mut command = Command::new(env!("CARGO_BIN_EXE_octostore"));
    clear_environment(&mut command).args(args).envs(env.iter().copied()).current_dir(&home.path);
    Process::spawn(command).failed()
}

fn health(server: &Server) -> Value {
    server.connect().call(&request("GET", "/health", &[], b"")).expect(200)
}

#[test]
fn help_names_every_setting() {
    let settings = [
        "--bind",
        "BIND_ADDR",
        "127.0.0.1:3000",
        "--database",
        "DATABASE_URL",
        "octostore.db",
        "--workers",
        "OCTOSTORE_WORKERS",
        "--driver",
        "OCTOSTORE_DRIVER",
        "auto",
        "io-uring",
        "epoll",
        "--max-locks-per-user",
        "MAX_LOCKS_PER_USER",
        "100",
        "--max-connections",
        "OCTOSTORE_MAX_CONNECTIONS",
        "--log-format",
        "OCTOSTORE_LOG_FORMAT",
        "json",
        "--log-level",
        "OCTOSTORE_LOG",
        "STATIC_TOKENS",
        "--static-tokens-file",
        "STATIC_TOKENS_FILE",
    ];
    for args in [&["--help"][..], &["serve", "--help"]] {
        let help = run(args, &[]);
        assert!(help.status.success() && help.stderr.is_empty(), "{help:?}");
        for setting in settings {
            assert!(help.stdout.contains(setting), "{args:?} does not name {setting}:\n{}", help.stdout);
        }
    }
}

#[test]
fn version_is_the_packages() {
    let version = run(&["--version"], &[]);
    assert!(version.status.success());
    assert_eq!(version.stdout.trim(), concat!("octostore ", env!("CARGO_PKG_VERSION")));
}

#[test]
fn flags_that_nobody_knows_are_refused() {
    for args in [&["--nonsense"][..], &["serve", "--nonsense"], &["nonsense"], &["--bind"], &["serve", "extra"]] {
        let failed = run(args, &[]);
        assert_eq!(failed.status.code(), Some(2), "{failed:?}");
        assert!(failed.stderr.starts_with("error: "), "{failed:?}");
    }
}

#[test]
fn values_that_make_no_sense_are_refused_and_named() {
    let rows = [
        ("--workers", "OCTOSTORE_WORKERS", "0"),
        ("--workers", "OCTOSTORE_WORKERS", "many"),
        ("--bind", "BIND_ADDR", "nonsense"),
        ("--bind", "BIND_ADDR", "127.0.0.1:99999"),
        ("--driver", "OCTOSTORE_DRIVER", "kqueue"),
        ("--max-locks-per-user", "MAX_LOCKS_PER_USER", "-1"),
        ("--max-connections", "OCTOSTORE_MAX_CONNECTIONS", "0"),
        ("--database", "DATABASE_URL", "postgres://host/database"),
        ("--log-format", "OCTOSTORE_LOG_FORMAT", "xml"),
    ];
    for (flag, variable, value) in rows {
        let by_flag = run(&[&format!("{flag}={value}")], &[]);
        assert!(by_flag.error().contains(flag), "{}", by_flag.error());
        let by_variable = run(&[], &[(variable, value)]);
        assert!(by_variable.error().contains(variable), "{}", by_variable.error());
    }
}

#[test]
fn an_address_that_is_not_ours_is_refused_and_named() {
    let failed = run(&["--bind", "192.0.2.1:0"], &[]);
    assert!(failed.error().contains("192.0.2.1"), "{}", failed.error());
}

#[test]
fn the_environment_sets_what_no_flag_does_and_octostore_alone_serves() {
    let home = Home::new();
    let database = home.file("from-the-environment.db");
    let token = crate::common::token_of("alice");
    let env = [
        ("BIND_ADDR", "127.0.0.1:0"),
        ("DATABASE_URL", database.to_str().expect("a path")),
        ("OCTOSTORE_WORKERS", "3"),
        ("OCTOSTORE_DRIVER", "epoll"),
        ("MAX_LOCKS_PER_USER", "1"),
        ("STATIC_TOKENS", &format!("alice:{token}")),
    ];
    let server = Server::start_alone(Options { home, ..Options::new(Driver::Epoll) }, &env);
    let health = health(&server);
    assert_eq!((&health["workers"], &health["driver"]), (&json!(3), &json!("epoll")));
    assert!(database.exists());
    let mut alice = server.user("alice");
    alice.grant("one", json!({}));
    alice.acquire("two", json!({})).refused(403, "lock_limit_exceeded");
}

#[test]
fn a_flag_wins_over_the_environment() {
    let options = Options::new(Driver::Epoll)
        .workers(2)
        .env("OCTOSTORE_WORKERS", "3")
        .env("OCTOSTORE_DRIVER", "nonsense")
        .env("DATABASE_URL", "/nowhere/octostore.db")
        .env("BIND_ADDR", "nonsense");
    let health = health(&Server::start(options));
    assert_eq!((&health["workers"], &health["driver"]), (&json!(2), &json!("epoll")));
}

#[test]
fn the_log_is_json_when_asked_for() {
    let mut server = Server::start(Options::new(Driver::Epoll).args(&["--log-format", "json"]));
    server.user("alice").grant("job", json!({}));
    assert!(server.terminate().success());
    let log = server.log();
    assert!(log.lines().count() >= 2, "{log}");
    for line in log.lines() {
        let line: Value = serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
        assert!(line["level"].is_string() && line["timestamp"].is_string(), "{line}");
    }
}

#[test]
fn a_log_for_people_has_no_colours_in_a_file() {
    let server = Server::on(Driver::Epoll);
    assert!(!server.log().contains('\u{1b}'), "{}", server.log());
}

#[test]
fn ipv6_is_an_address_like_another() {
    let server = Server::start(Options { bind: "[::1]:0".into(), ..Options::new(Driver::Epoll) });
    assert!(server.address.is_ipv6());
    server.assert_healthy();
}
