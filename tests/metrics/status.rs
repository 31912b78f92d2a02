//! `octostore status`, without a terminal and in a real one.

use std::io::{Read, Write};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};

use serde_json::Value;

use super::some_traffic;
use crate::common::options::{clear_environment, text};
use crate::common::{Driver, Home, Options, Server, eventually};

fn status(server: &Server, args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_octostore"));
    clear_environment(&mut command).arg("status").args(args).arg("--database").arg(&server.options.database);
    command
}

#[track_caller]
fn told(server: &Server, args: &[&str]) -> String {
    let output = status(server, args).stdin(Stdio::null()).output().expect("octostore");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("text")
}

#[test]
fn without_a_terminal_it_prints_once_in_80_columns() {
    let server = Server::on(Driver::Auto);
    some_traffic(&server);
    eventually("ten locks are held", || told(&server, &[]).contains(" 10 held"));
    let shown = told(&server, &[]);
    assert!(shown.lines().all(|line| line.chars().count() <= 80 && !line.contains('\x1b')), "{shown}");
    for word in ["Locks", "acquire", "commit wait", "Journal", "Workers", "Connections", "Process", "2 workers", "up "]
    {
        assert!(shown.contains(word), "{word}: {shown}");
    }
}

#[test]
fn json_is_for_programs() {
    let server = Server::on(Driver::Auto);
    some_traffic(&server);
    let figures: Value = serde_json::from_str(&told(&server, &["--once", "--json"])).expect("JSON");
    assert_eq!(figures["version"], env!("CARGO_PKG_VERSION"));
    assert_eq!(figures["operations"]["renew"]["total"], 20.0, "{figures}");
    assert!(figures["operations"]["acquire"]["p99_seconds"].as_f64().is_some_and(|s| s > 0.0), "{figures}");
    assert_eq!(figures["figures"]["octostore_workers"], 2.0, "{figures}");
}

#[test]
fn without_a_server_or_with_a_wrong_interval_it_says_so_in_one_line() {
    let mut server = Server::on(Driver::Auto);
    let said = |server: &Server, args: &[&str], code: i32| {
        let output = status(server, args).output().expect("octostore");
        assert_eq!(output.status.code(), Some(code));
        let stderr = String::from_utf8(output.stderr).expect("text");
        assert_eq!(stderr.lines().count(), 1, "{stderr}");
        stderr
    };
    assert!(said(&server, &["--interval", "never"], 2).contains("--interval is 'never'"));
    server.terminate();
    assert!(said(&server, &[], 1).contains("no server answers"));
}

/// A command in a terminal of its own, made by script(1).
struct Terminal {
    child: Child,
    shown: Arc<Mutex<String>>,
    _home: Arc<Home>,
}

impl Terminal {
    fn run(line: &str) -> Terminal {
        let home = Home::new();
        let mut command = Command::new("script");
        clear_environment(&mut command).args(["-q", "-e", "-c", line]).arg(home.file("typescript"));
        command.env("SHELL", "/bin/sh").env("TERM", "xterm").current_dir(&home.path);
        let mut child =
            command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("script (the package bsdutils)");
        let mut output = child.stdout.take().expect("a pipe");
        let shown = Arc::new(Mutex::new(String::new()));
        let written = shown.clone();
        std::thread::spawn(move || {
            let mut piece = [0; 4096];
            while let Ok(n @ 1..) = output.read(&mut piece) {
                written.lock().expect("the text").push_str(&String::from_utf8_lossy(&piece[..n]));
            }
        });
        Terminal { child, shown, _home: home }
    }

    fn shows(&self, text: &str, times: usize) -> bool {
        self.shown.lock().expect("the text").matches(text).count() >= times
    }

    fn type_key(&mut self, key: &[u8]) {
        let keyboard = self.child.stdin.as_mut().expect("a pipe");
        keyboard.write_all(key).and_then(|()| keyboard.flush()).expect("a key");
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn a_key_ends_it_and_leaves_the_terminal_as_it_was(key: &[u8]) {
    let server = Server::on(Driver::Auto);
    some_traffic(&server);
    let octostore = env!("CARGO_BIN_EXE_octostore");
    let database = text(&server.options.database);
    let line = format!("trap : INT; {octostore} status --interval 0.1 --database {database}; echo ended $?; stty -a");
    let mut terminal = Terminal::run(&line);
    eventually("it is refreshed in place", || terminal.shows("\x1b[HOctoStore", 3) && terminal.shows("Locks", 3));
    assert!(terminal.shows("\x1b[?1049h", 1) && !terminal.shows("\x1b[?1049l", 1), "on a screen of its own");
    terminal.type_key(key);
    eventually("it ends well", || terminal.shows("ended 0", 1) && terminal.shows("echoke", 1));
    assert!(terminal.shows("\x1b[?25h\x1b[?1049l", 1), "the other screen and the cursor are back");
    assert!(terminal.shows(" icanon", 1) && terminal.shows(" echo ", 1), "the keyboard is as it was");
}

#[test]
fn q_ends_it_and_leaves_the_terminal_as_it_was() {
    a_key_ends_it_and_leaves_the_terminal_as_it_was(b"q");
}

#[test]
fn ctrl_c_ends_it_and_leaves_the_terminal_as_it_was() {
    a_key_ends_it_and_leaves_the_terminal_as_it_was(b"\x03");
}

#[test]
fn a_server_that_is_started_again_is_followed() {
    let mut server = Server::start(Options::new(Driver::Auto));
    let octostore = env!("CARGO_BIN_EXE_octostore");
    let database = text(&server.options.database).to_owned();
    let mut terminal = Terminal::run(&format!("{octostore} status --interval 0.1 --database {database}"));
    eventually("it shows the server", || terminal.shows("Locks", 2));
    server.kill9();
    eventually("it says that the server is away", || terminal.shows("no server answers", 1));
    server.start_again();
    server.user("alice").grant("again", serde_json::json!({}));
    eventually("it shows the new one", || terminal.shows(" 1 held", 1));
    terminal.type_key(b"q");
}
