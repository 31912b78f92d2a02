//! `octostore man` and `octostore completions`: what a package installs beside the binary, made of the same
//! description of the command line that `--help` shows, so that it cannot say anything else.

use std::error::Error;
use std::fs;
use std::io::{self, Write};
use std::path::Path;

use clap::CommandFactory;
use clap_complete::{Shell as Completed, generate};
use clap_mangen::Man;

use crate::config::{Args, Shell};

/// Prints the manual page of the program, or writes it and a page for each command into `directory`.
///
/// # Errors
/// A page cannot be written.
pub fn man(directory: Option<&Path>) -> Result<(), Box<dyn Error>> {
    let mut described = described();
    described.build(); // gives the commands their whole names
    let Some(directory) = directory else { return Ok(print(&page(&described)?)?) };
    for command in std::iter::once(&described).chain(commands_of(&described)) {
        let path = directory.join(format!("{}.1", man_name(command)));
        fs::write(&path, page(command)?).map_err(|error| format!("{}: {error}", path.display()))?;
    }
    Ok(())
}

/// Prints the completions for a shell.
///
/// # Errors
/// They cannot be printed.
pub fn completions(shell: Shell) -> Result<(), Box<dyn Error>> {
    let shell = match shell {
        Shell::Bash => Completed::Bash,
        Shell::Zsh => Completed::Zsh,
        Shell::Fish => Completed::Fish,
    };
    let mut script = Vec::new();
    generate(shell, &mut described(), "octostore", &mut script);
    Ok(print(&script)?)
}

/// The command line, without `help` as a command: it would get pages and completions of its own for every command.
fn described() -> clap::Command {
    Args::command().disable_help_subcommand(true)
}

/// All commands below one, whatever their depth.
fn commands_of(command: &clap::Command) -> Vec<&clap::Command> {
    command.get_subcommands().flat_map(|below| std::iter::once(below).chain(commands_of(below))).collect()
}

/// `octostore serve` has its page under `octostore-serve`.
fn man_name(command: &clap::Command) -> String {
    command.get_display_name().unwrap_or(command.get_name()).to_owned()
}

fn page(command: &clap::Command) -> io::Result<Vec<u8>> {
    let name = man_name(command);
    let about = command.get_about().map(ToString::to_string).unwrap_or_default();
    // The NAME section is one line, by which apropos(1) and whatis(1) find the page.
    let short = about.lines().next().unwrap_or_default().trim_end_matches('.').to_owned();
    let long = command.get_long_about().map_or(about, ToString::to_string);
    let command = command.clone().about(short).long_about(long);
    let mut page = Vec::new();
    Man::new(command)
        .title(name.to_uppercase())
        .source(concat!("octostore ", env!("CARGO_PKG_VERSION")))
        .manual("OctoStore")
        .render(&mut page)?;
    Ok(page)
}

fn print(text: &[u8]) -> io::Result<()> {
    let mut out = io::stdout().lock();
    out.write_all(text)?;
    out.flush()
}
