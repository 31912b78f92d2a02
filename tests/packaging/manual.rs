//! The manual pages and the completions are made of what `--help` shows.

use std::fs;
use std::process::Command;

use super::{commands, flags, help_of, octostore, said};
use crate::common::Home;
use crate::common::options::text;

#[test]
fn every_command_has_a_manual_page_that_names_its_flags() {
    let home = Home::new();
    assert_eq!(octostore(&["man", "--into", text(&home.path)]), "");
    let mut pages = 0;
    for words in commands() {
        let name = [vec!["octostore".to_owned()], words.clone()].concat().join("-");
        let page = fs::read_to_string(home.file(&format!("{name}.1"))).unwrap_or_else(|e| panic!("{name}.1: {e}"));
        assert!(page.contains(&format!(".TH {} 1", name.to_uppercase())), "{page}");
        // In the page's language a hyphen that is to be one has a backslash.
        let plain = page.replace('\\', "");
        for flag in flags(&help_of(&words)) {
            assert!(plain.contains(flag.name.trim_matches(['<', '>', '[', ']', '.'])), "{name}.1 has no {}", flag.name);
        }
        pages += 1;
    }
    assert_eq!(fs::read_dir(&home.path).expect("the pages").count(), pages, "a page of a command that is not there");
    assert_eq!(octostore(&["man"]), fs::read_to_string(home.file("octostore.1")).expect("a page"));
}

#[test]
fn a_manual_that_cannot_be_written_is_an_error_that_names_the_file() {
    let failed =
        Command::new(env!("CARGO_BIN_EXE_octostore")).args(["man", "--into", "/nowhere"]).output().expect("run");
    let stderr = String::from_utf8_lossy(&failed.stderr);
    assert_eq!(failed.status.code(), Some(1), "{stderr}");
    assert!(stderr.starts_with("octostore: /nowhere/octostore.1: "), "{stderr}");
}

/// What bash offers for the last of these words.
fn bash_offers(script: &str, words: &[&str]) -> Vec<String> {
    let ask = format!(
        "source '{script}'; COMP_WORDS=({}); COMP_CWORD={}; COMPREPLY=(); \
         _octostore octostore \"${{COMP_WORDS[COMP_CWORD]}}\" \"${{COMP_WORDS[COMP_CWORD-1]}}\"; \
         printf '%s\\n' \"${{COMPREPLY[@]}}\"",
        words.iter().map(|word| format!("'{word}'")).collect::<Vec<_>>().join(" "),
        words.len() - 1,
    );
    said(Command::new("bash").args(["--norc", "-c", &ask])).lines().map(str::to_owned).collect()
}

#[test]
fn bash_completes_every_command_and_flag() {
    let home = Home::new();
    let script = home.file("completions");
    fs::write(&script, octostore(&["completions", "bash"])).expect("the completions");
    for words in commands() {
        let before: Vec<&str> = ["octostore"].into_iter().chain(words.iter().map(String::as_str)).collect();
        if let [above @ .., last] = &before[..]
            && before.len() > 1
        {
            let begun = &last[..last.len() - 1];
            let offers = bash_offers(text(&script), &[above, &[begun]].concat());
            assert!(offers.iter().any(|offer| offer == last), "{above:?} {begun}: {offers:?}");
        }
        for flag in flags(&help_of(&words)).iter().filter(|flag| flag.name.starts_with("--")) {
            let offers = bash_offers(text(&script), &[&before[..], &["--"]].concat());
            assert!(offers.contains(&flag.name), "{before:?}: {} is not offered: {offers:?}", flag.name);
        }
    }
}

#[test]
fn zsh_and_fish_know_every_command_and_flag() {
    for shell in ["zsh", "fish"] {
        let script = octostore(&["completions", shell]);
        for words in commands() {
            for flag in flags(&help_of(&words)).iter().filter(|flag| flag.name.starts_with("--")) {
                let name = flag.name.trim_start_matches("--");
                let written = if shell == "fish" { format!("-l {name}") } else { flag.name.clone() };
                assert!(script.contains(&written), "{shell} does not know {written} of {words:?}");
            }
            if let Some(name) = words.last() {
                assert!(script.contains(name.as_str()), "{shell} does not know {words:?}");
            }
        }
    }
}
