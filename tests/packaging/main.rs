//! What is shipped beside the binary says the same as the binary, and works: help, manual, completions, the systemd unit,
//! the image. The Debian package is tried out by `scripts/package --check`.

#[path = "../common/mod.rs"]
mod common;

mod help;
mod image;
mod manual;
mod notify;
mod unit;

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// A file of the project.
fn project(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

fn project_text(path: &str) -> String {
    std::fs::read_to_string(project(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// What the program says to these arguments, all well.
#[track_caller]
fn octostore(args: &[&str]) -> String {
    let mut command = Command::new(env!("CARGO_BIN_EXE_octostore"));
    said(common::options::clear_environment(&mut command).args(args))
}

/// What a command says on stdout, all well.
#[track_caller]
fn said(command: &mut Command) -> String {
    let Output { status, stdout, stderr } = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let (stdout, stderr) = (String::from_utf8_lossy(&stdout), String::from_utf8_lossy(&stderr));
    assert!(status.success(), "{command:?}: {status}\n{stdout}{stderr}");
    stdout.into_owned()
}

/// Lets a client acquire locks, one after the other, for as long as the server answers.
fn acquire_until_it_ends(server: &common::Server) {
    let mut alice = server.user("alice");
    std::thread::spawn(move || {
        for i in 0.. {
            let acquire = alice.post_bytes(&format!("/locks/lock-{i}/acquire"), br#"{"ttl_seconds": 1}"#);
            if alice.connection.try_call(&acquire).is_err() {
                return;
            }
        }
    });
}

/// Every command that there is, by the words that call it, `octostore` itself as none: found in the help texts.
fn commands() -> Vec<Vec<String>> {
    let mut found = vec![Vec::new()];
    let mut at = 0;
    while at < found.len() {
        let words: Vec<String> = found[at].clone();
        let help = help_of(&words);
        let block = help.split_once("\nCommands:\n").map_or("", |(_, rest)| rest);
        let block = block.split("\n\n").next().unwrap_or_default();
        for line in block.lines().filter(|line| line.starts_with("  ") && !line.starts_with("   ")) {
            let name = line.split_whitespace().next().expect("a name");
            if name != "help" {
                found.push(words.iter().cloned().chain([name.to_owned()]).collect());
            }
        }
        at += 1;
    }
    found
}

#[track_caller]
fn help_of(words: &[String]) -> String {
    let args: Vec<&str> = words.iter().map(String::as_str).chain(["--help"]).collect();
    octostore(&args)
}

/// A flag or an argument of a command, with its text.
#[derive(Debug)]
struct Flag {
    /// `--bind`, or `<SHELL>`
    name: String,
    text: String,
}

impl Flag {
    /// What stands in `[key: …]`.
    fn note(&self, key: &str) -> Option<&str> {
        let (_, rest) = self.text.split_once(&format!("[{key}: "))?;
        rest.split_once(']').map(|(value, _)| value)
    }
}

/// The flags that a help text lists.
fn flags(help: &str) -> Vec<Flag> {
    let mut flags: Vec<Flag> = Vec::new();
    let (_, lists) = help.split_once("Usage:").expect("a usage");
    let mut under_commands = false;
    for line in lists.lines() {
        let text = line.trim();
        let indent = line.len() - line.trim_start().len();
        if indent == 0 {
            under_commands = text == "Commands:";
        } else if (2..8).contains(&indent) && begins_a_flag(text) && !under_commands {
            let word = text.split_whitespace().find(|word| word.starts_with("--") || !word.starts_with('-'));
            let name = word.unwrap_or(text).trim_end_matches(',').to_owned();
            flags.push(Flag { name, text: String::new() });
        } else if let Some(flag) = flags.last_mut().filter(|_| indent >= 8 && !under_commands) {
            flag.text = format!("{} {text}", flag.text).trim().to_owned();
        }
    }
    flags
}

fn begins_a_flag(text: &str) -> bool {
    text.starts_with(['<', '[']) || (text.starts_with('-') && !text.starts_with("- "))
}
