//! The `octostore` program.

use std::io::{Write, stderr};
use std::process::ExitCode;

use clap::Parser;
use octostore::{cli, config::Args};

fn main() -> ExitCode {
    match cli::run(Args::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            // Not eprintln: it panics when stderr is closed.
            let _ = writeln!(stderr(), "octostore: {failure}");
            ExitCode::from(failure.exit_code())
        }
    }
}
