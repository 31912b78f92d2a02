//! A server that cannot do its work says why, in one line, and ends; it takes nothing from one that can.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use serde_json::json;

use crate::common::{Driver, Failed, Home, Options, Server, token_of, tools};

crate::both_drivers! {
    rule_11_a_second_server_on_a_database_names_it_and_the_process_that_has_it,
    rule_11_a_second_server_is_refused_by_whatever_path_it_comes,
    rule_11_a_second_server_on_a_port_names_it_and_the_process_that_has_it,
    a_database_in_a_missing_directory_is_refused,
    a_database_in_a_directory_that_cannot_be_written_is_refused,
    a_directory_is_no_database,
    a_disk_that_is_full_at_the_start_is_named_as_that,
    a_tokens_file_that_others_can_read_is_refused,
    a_tokens_file_that_is_missing_is_refused,
    tokens_that_make_no_sense_are_refused_and_not_repeated,
    a_token_given_twice_is_refused_and_not_repeated,
}

#[track_caller]
fn refused(options: Options) -> Failed {
    Server::try_start(options).expect_err("it must not start")
}

fn at(driver: Driver, database: PathBuf) -> Options {
    Options { database, ..Options::new(driver) }
}

fn rule_11_a_second_server_on_a_database_names_it_and_the_process_that_has_it(driver: Driver) {
    let mut first = Server::on(driver);
    let grant = first.user("alice").grant("job", json!({}));
    let failed = refused(first.options.clone());
    let error = failed.error();
    assert!(error.contains(first.options.database.to_str().expect("a path")), "{error}");
    assert!(error.contains(&first.pid().to_string()), "{error}");
    first.assert_healthy();
    assert_eq!(first.user("alice").renew("job", &grant.lease_id, json!({})).status, 200);
    first.kill9();
    first.start_again();
}

fn rule_11_a_second_server_is_refused_by_whatever_path_it_comes(driver: Driver) {
    let first = Server::on(driver);
    let home = &first.options.home;
    let other = Home::new();
    std::os::unix::fs::symlink(&home.path, other.file("link")).expect("a link to the directory");
    std::os::unix::fs::symlink(&first.options.database, other.file("link.db")).expect("a link to the file");
    let paths = [home.path.join(".").join("octostore.db"), other.file("link/octostore.db"), other.file("link.db")];
    for database in paths {
        let failed = refused(Options { database, ..first.options.clone() });
        assert!(failed.error().contains(&first.pid().to_string()), "{}", failed.error());
    }
    first.assert_healthy();
}

fn rule_11_a_second_server_on_a_port_names_it_and_the_process_that_has_it(driver: Driver) {
    let first = Server::on(driver);
    let failed = refused(Options { bind: first.address.to_string(), ..Options::new(driver) });
    let error = failed.error();
    assert!(error.contains(&first.address.to_string()) && error.contains(&first.pid().to_string()), "{error}");
    for _ in 0..20 {
        first.assert_healthy(); // every connection still reaches the first
    }
}

fn a_database_in_a_missing_directory_is_refused(driver: Driver) {
    let home = Home::new();
    let database = home.file("missing/octostore.db");
    let failed = refused(at(driver, database.clone()));
    assert!(failed.error().contains(home.file("missing").to_str().expect("a path")), "{}", failed.error());
    assert!(!home.file("missing").exists());
}

fn a_database_in_a_directory_that_cannot_be_written_is_refused(driver: Driver) {
    // Nobody, not even root, makes files in /proc.
    let failed = refused(at(driver, "/proc/octostore.db".into()));
    assert!(failed.error().contains("/proc"), "{}", failed.error());
    let home = Home::new();
    fs::write(home.file("file"), "").expect("write");
    let failed = refused(at(driver, home.file("file/octostore.db")));
    assert!(failed.error().contains("file"), "{}", failed.error());
}

fn a_directory_is_no_database(driver: Driver) {
    let home = Home::new();
    fs::create_dir(home.file("directory")).expect("a directory");
    let failed = refused(at(driver, home.file("directory")));
    assert!(failed.error().contains(home.file("directory").to_str().expect("a path")), "{}", failed.error());
}

fn a_disk_that_is_full_at_the_start_is_named_as_that(driver: Driver) {
    let mut options = Options::new(driver);
    let wal = format!("{}-wal", options.database.display());
    let database = options.database.to_str().expect("a path").to_owned();
    let (trace, rule) = ("trace=write,pwrite64,pwritev", "inject=write,pwrite64,pwritev:error=ENOSPC");
    let output = options.home.file("trace");
    options.wrapper = tools::strace(&output, &["-P", &database, "-P", &wal, "-e", trace, "-e", rule]);
    let failed = refused(options);
    assert!(failed.error().contains("full"), "{}", failed.error());
}

fn with_tokens_file(driver: Driver, text: &str, mode: u32) -> Options {
    let mut options = Options::new(driver).users(&[]);
    let file = options.home.file("tokens");
    fs::write(&file, text).expect("write");
    fs::set_permissions(&file, fs::Permissions::from_mode(mode)).expect("a mode");
    options.env.push(("STATIC_TOKENS_FILE".into(), file.to_str().expect("a path").into()));
    options
}

fn a_tokens_file_that_others_can_read_is_refused(driver: Driver) {
    let text = format!("alice:{}\nbob:{}\n", token_of("alice"), token_of("bob"));
    for mode in [0o644, 0o640, 0o604, 0o660] {
        let failed = refused(with_tokens_file(driver, &text, mode));
        assert!(failed.error().contains("chmod 600"), "it says what to do: {}", failed.error());
        assert!(!failed.stderr.contains(&token_of("alice")));
    }
    let server = Server::start(with_tokens_file(driver, &text, 0o600));
    server.user("alice").grant("job", json!({}));
    assert!(server.user("bob").sees_held("job"));
}

fn a_tokens_file_that_is_missing_is_refused(driver: Driver) {
    let failed = refused(Options::new(driver).users(&[]).env("STATIC_TOKENS_FILE", "/nowhere/tokens"));
    assert!(failed.error().contains("/nowhere/tokens"), "{}", failed.error());
}

fn tokens_that_make_no_sense_are_refused_and_not_repeated(driver: Driver) {
    let secret = token_of("secret");
    for tokens in [secret.clone(), format!(":{secret}"), format!("a b:{secret}"), format!("alice:{secret} {secret}")] {
        let failed = refused(Options::new(driver).users(&[]).env("STATIC_TOKENS", &tokens));
        assert!(failed.error().contains("STATIC_TOKENS"), "{}", failed.error());
        assert!(!failed.stderr.contains(&secret), "{}", failed.stderr);
    }
    refused(Options::new(driver).users(&[]).env("STATIC_TOKENS", "alice:short")).error();
}

fn a_token_given_twice_is_refused_and_not_repeated(driver: Driver) {
    let twice = format!("alice:{0},bob:{0}", token_of("alice"));
    let failed = refused(Options::new(driver).users(&[]).env("STATIC_TOKENS", &twice));
    assert!(failed.error().contains("bob"), "{}", failed.error());
    assert!(!failed.stderr.contains(&token_of("alice")), "{}", failed.stderr);
}
