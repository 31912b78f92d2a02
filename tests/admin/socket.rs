//! The admin socket itself.

use std::fs::{self, Permissions};
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::process::Command;
use std::time::Duration;

use serde_json::{Value, json};

use crate::commands::{dumped_names, files, succeed};
use crate::common::options::{clear_environment, text};
use crate::common::process::Process;
use crate::common::{Driver, Home, Options, Server, eventually};

fn connect(home: &Home) -> UnixStream {
    let stream = UnixStream::connect(home.file("octostore.db.admin")).expect("the admin socket");
    stream.set_read_timeout(Some(crate::common::PATIENCE)).expect("a timeout");
    stream
}

/// Sends bytes, and reads the one line that answers them.
fn ask(home: &Home, bytes: &[u8]) -> Value {
    let mut stream = connect(home);
    let _ = stream.write_all(bytes); // one that is refused unheard breaks here; its answer is there
    let mut line = String::new();
    BufReader::new(stream).read_line(&mut line).expect("an answer");
    serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line}"))
}

#[test]
fn it_is_its_owners_alone_and_there_only_while_the_server_runs() {
    let mut server = Server::on(Driver::Auto);
    let home = server.options.home.clone();
    let mode = fs::metadata(home.file("octostore.db.admin")).expect("the socket").permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    assert!(server.terminate().success());
    assert_eq!(files(&home), ["octostore.db", "octostore.db.lock"]);
}

#[test]
fn what_a_killed_server_has_left_is_replaced_and_hinders_no_command() {
    let mut server = Server::on(Driver::Auto);
    let home = server.options.home.clone();
    server.user("alice").grant("a", json!({}));
    server.kill9();
    assert!(home.file("octostore.db.admin").exists());
    assert_eq!(dumped_names(&home), ["a"]);
    server.start_again();
    assert_eq!(dumped_names(&home), ["a"]);
}

#[test]
fn it_works_in_a_directory_deeper_than_an_address_is_long() {
    let mut options = Options::new(Driver::Auto);
    let deep = (0..6).fold(options.home.path.clone(), |path, n| path.join(format!("{n}{}", "d".repeat(60))));
    fs::create_dir_all(&deep).expect("mkdir");
    options.database = deep.join("octostore.db");
    let server = Server::start(options);
    server.user("alice").grant("a", json!({}));
    let home = &server.options.home;
    let dump = succeed(home, &["dump", "--database", text(&server.options.database)]);
    assert!(dump.contains("\"a\""), "{dump}");
}

#[test]
fn another_users_process_is_refused() {
    if !rustix::process::geteuid().is_root() {
        // Only root can become somebody else. Whoever is not root cannot get past the mode of the socket either.
        let home = Home::new();
        assert_eq!(fs::metadata(&home.path).expect("the home").permissions().mode() & 0o700, 0o700);
        return;
    }
    let server = Server::on(Driver::Auto);
    let home = &server.options.home;
    // All that the file system would refuse is allowed, so that what refuses is the server.
    fs::set_permissions(&home.path, Permissions::from_mode(0o777)).expect("chmod");
    for file in files(home) {
        fs::set_permissions(home.file(&file), Permissions::from_mode(0o666)).expect("chmod");
    }
    let binary = home.file("octostore");
    fs::copy(env!("CARGO_BIN_EXE_octostore"), &binary).expect("copy");
    let mut command = Command::new("setpriv");
    command.args(["--reuid=65534", "--regid=65534", "--clear-groups", text(&binary), "user", "add", "mallory"]);
    clear_environment(&mut command).current_dir(&home.path);
    let ended = Process::spawn(command).failed();
    assert!(ended.error().contains("only the server's own user, and root"), "{ended:?}");
    assert!(!succeed(home, &["user", "list"]).contains("mallory"));
}

#[test]
fn what_is_no_request_is_refused_and_the_server_goes_on() {
    let server = Server::on(Driver::Auto);
    let home = &server.options.home;
    let long = [&b"{\"request\":\"add_user\",\"name\":\""[..], &[b'a'; 5000], b"\"}\n"].concat();
    for bytes in [&b"\n"[..], b"hello\n", b"{}\n", b"{\"request\":\"sudo\"}\n", b"\xff\xfe\n", &long] {
        let mut stream = connect(home);
        let _ = stream.write_all(bytes);
        let mut answer = String::new();
        // Of what was not read to its end the connection may break; what counts is that the server goes on.
        if stream.read_to_string(&mut answer).is_ok() && !answer.is_empty() {
            assert!(answer.contains("\"reply\":\"refused\""), "{answer}");
        }
    }
    assert_eq!(ask(home, b"hello\n")["reply"], "refused");
    server.assert_healthy();
    assert!(succeed(home, &["user", "list"]).contains("static/alice"));
}

#[test]
fn those_who_connect_and_say_nothing_are_few_and_hold_up_nobody_for_long() {
    let server = Server::on(Driver::Auto);
    let home = &server.options.home;
    let silent: Vec<UnixStream> = (0..8).map(|_| connect(home)).collect();
    let refused = || ask(home, b"{\"request\":\"add_user\",\"name\":\"x y\"}\n")["why"].to_string().contains("at once");
    eventually("one too many is refused", refused);
    server.user("alice").grant("a", json!({}));
    eventually("the silent ones are let go", || !refused());
    drop(silent);
    std::thread::sleep(Duration::from_millis(10));
    assert_eq!(dumped_names(home), ["a"]);
}
