//! `--help`, of every command.

use super::{commands, flags, help_of, octostore, project_text};

const COLUMNS: usize = 80;

#[test]
fn every_help_text_fits_into_80_columns_and_describes_every_flag() {
    let commands = commands();
    assert!(commands.len() > 3, "{commands:?}");
    for words in &commands {
        let help = help_of(words);
        for line in help.lines() {
            assert!(line.chars().count() <= COLUMNS, "octostore {}: more than 80 columns: {line}", words.join(" "));
        }
        let flags = flags(&help);
        assert!(flags.iter().any(|flag| flag.name == "--help"), "octostore {}: {help}", words.join(" "));
        for flag in flags {
            assert!(flag.text.len() > 5, "octostore {}: {} is not described", words.join(" "), flag.name);
        }
    }
}

#[test]
fn the_short_help_fits_too() {
    for words in commands() {
        let args: Vec<&str> = words.iter().map(String::as_str).chain(["-h"]).collect();
        for line in octostore(&args).lines() {
            assert!(line.chars().count() <= COLUMNS, "octostore {}: more than 80 columns: {line}", args.join(" "));
        }
    }
}

/// The row of README's table of settings for a flag: `| `--flag …` | … |`.
fn settings_row<'a>(readme: &'a str, flag: &str) -> Option<&'a str> {
    readme.lines().find(|line| {
        let first = line.strip_prefix("| `").and_then(|rest| rest.split_once('`')).map(|(first, _)| first);
        first.and_then(|first| first.split(' ').next()) == Some(flag)
    })
}

#[test]
fn the_readme_lists_every_setting_of_the_server_with_its_variable_and_its_default() {
    let readme = project_text("README.md");
    let flags = flags(&octostore(&["serve", "--help"]));
    assert!(flags.len() > 10, "{flags:?}");
    for flag in flags.iter().filter(|flag| flag.name != "--help") {
        let row = settings_row(&readme, &flag.name);
        let row = row.unwrap_or_else(|| panic!("{} is not in README's table of settings", flag.name));
        for wanted in [flag.note("env"), flag.note("default")].into_iter().flatten() {
            assert!(row.contains(wanted), "README's row of {} does not say {wanted}: {row}", flag.name);
        }
    }
}

#[test]
fn the_readme_lists_no_setting_that_is_not_there() {
    let readme = project_text("README.md");
    let help = octostore(&["serve", "--help"]);
    let names = readme.lines().filter_map(|line| line.strip_prefix("| `--")?.split([' ', '`']).next());
    let mut count = 0;
    for name in names {
        assert!(
            flags(&help).iter().any(|flag| flag.name == format!("--{name}")),
            "README lists --{name}, help does not"
        );
        count += 1;
    }
    assert!(count > 10, "README's table of settings was not found");
}

#[test]
fn the_readme_names_every_command() {
    let readme = project_text("README.md");
    for words in commands() {
        let command = format!("octostore {}", words.join(" "));
        assert!(readme.contains(command.trim_end()), "README does not name `{command}`");
    }
}
