//! The command line: which command was typed, and how the process ends. One file per command.

mod access;
mod backup;
mod check;
mod dump;
mod files;
mod health;
mod manual;
mod notify;
mod progress;
mod restore;
pub mod serve;
mod status;
mod user;
mod watch;

use std::error::Error;
use std::fmt;

use crate::config::{Args, Command, Config, ConfigError, ServeArgs};
use crate::database_lock::DatabaseLockError;
use crate::journal::JournalError;

/// Why a command has ended other than well. Its text is one line.
#[derive(Debug)]
pub enum Failure {
    /// It was typed wrong: exit code 2, as for a flag that does not exist.
    Usage(ConfigError),
    /// It went wrong: exit code 1.
    Failed(Box<dyn Error>),
    /// `check` has found a database damaged: exit code 3.
    Damaged(String),
}

/// Does what was typed.
///
/// # Errors
/// What went wrong, for stderr and the exit code.
pub fn run(args: Args) -> Result<(), Failure> {
    let command = args.command.unwrap_or(Command::Serve(args.serve));
    let env = |variable: &str| std::env::var_os(variable);
    match command {
        Command::Serve(flags) => {
            let config = Config::new(&flags, &env).map_err(Failure::Usage)?;
            serve::run(config).map_err(Failure::Failed)
        }
        Command::Backup(args) => backup::run(&args, &args.database.path(&env)?),
        Command::Restore(args) => restore::run(&args, &args.database.path(&env)?),
        Command::Check(args) => check::run(args.file.as_deref(), &args.database.path(&env)?),
        Command::Dump(args) => dump::run(&args.database.path(&env)?),
        Command::Status(args) => status::run(&args, &args.database.path(&env)?),
        Command::User(args) => user::run(&args.command, &args.database.path(&env)?),
        Command::Health(flags) => {
            // As the server itself would understand it, so that both may be given the same environment.
            let flags = ServeArgs { bind: flags.bind, ..ServeArgs::default() };
            let config = Config::new(&flags, &env).map_err(Failure::Usage)?;
            health::run(&config.bind).map_err(Failure::Failed)
        }
        Command::Completions(flags) => manual::completions(flags.shell).map_err(Failure::Failed),
        Command::Man(flags) => manual::man(flags.into.as_deref()).map_err(Failure::Failed),
    }
}

impl Failure {
    /// What the process should end with.
    pub fn exit_code(&self) -> u8 {
        match self {
            Failure::Usage(_) => 2,
            Failure::Failed(_) => 1,
            Failure::Damaged(_) => 3,
        }
    }
}

impl From<ConfigError> for Failure {
    fn from(error: ConfigError) -> Failure {
        Failure::Usage(error)
    }
}

impl From<Box<dyn Error>> for Failure {
    fn from(error: Box<dyn Error>) -> Failure {
        Failure::Failed(error)
    }
}

impl From<String> for Failure {
    fn from(text: String) -> Failure {
        Failure::Failed(text.into())
    }
}

impl From<JournalError> for Failure {
    fn from(error: JournalError) -> Failure {
        Failure::Failed(error.into())
    }
}

impl From<DatabaseLockError> for Failure {
    fn from(error: DatabaseLockError) -> Failure {
        Failure::Failed(error.into())
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Failure::Usage(error) => write!(f, "{error}; see octostore --help"),
            Failure::Failed(error) => error.fmt(f),
            Failure::Damaged(text) => f.write_str(text),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_setting_that_makes_no_sense_is_a_usage_error_on_one_line() {
        let serve = ServeArgs { workers: Some("none".into()), ..ServeArgs::default() };
        for args in [
            Args { command: None, serve: serve.clone() },
            Args { command: Some(Command::Serve(serve.clone())), serve: ServeArgs::default() },
        ] {
            let failure = run(args).unwrap_err();
            assert_eq!(failure.exit_code(), 2);
            let wanted = "--workers is 'none'; it must be a whole number from 1 to 64; see octostore --help";
            assert_eq!(failure.to_string(), wanted);
        }
    }

    #[test]
    fn what_goes_wrong_later_ends_with_1_and_its_own_words() {
        let failure = Failure::Failed("the disk is full".into());
        assert_eq!((failure.exit_code(), failure.to_string()), (1, "the disk is full".to_owned()));
    }
}
