//! What can be typed after the commands other than `serve`. As in [`ServeArgs`](super::ServeArgs), the texts are the help.

use std::ffi::OsString;
use std::path::PathBuf;

use super::ConfigError;
use super::setting::{LookUp, Setting};

/// Which database a command is about.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct DatabaseArg {
    /// The database file: a path, or sqlite:PATH
    /// [env: DATABASE_URL] [default: octostore.db]
    #[arg(long, value_name = "PATH", verbatim_doc_comment, global = true)]
    pub database: Option<OsString>,
}

impl DatabaseArg {
    /// Its path, as given. `env` gives the value of a variable.
    ///
    /// # Errors
    /// It is no path that a database can have.
    pub fn path(&self, env: &dyn Fn(&str) -> Option<OsString>) -> Result<PathBuf, ConfigError> {
        LookUp(env).database(&self.database)
    }
}

/// The arguments of `backup`, as typed.
#[derive(Clone, Debug, clap::Args)]
pub struct BackupArgs {
    /// The new file; it appears when it is whole, checked, and on disk
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    /// Replace FILE if there is one
    #[arg(long)]
    pub force: bool,
    /// Of which server.
    #[command(flatten)]
    pub database: DatabaseArg,
}

/// The arguments of `restore`, as typed.
#[derive(Clone, Debug, clap::Args)]
pub struct RestoreArgs {
    /// The backup
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    /// Let locks be granted at once. Only if no lease granted before can
    /// still be believed: the old server has been down for an hour, or all
    /// its clients are
    #[arg(long, verbatim_doc_comment)]
    pub no_grace: bool,
    /// The database to make.
    #[command(flatten)]
    pub database: DatabaseArg,
}

/// The arguments of `check`, as typed.
#[derive(Clone, Debug, clap::Args)]
pub struct CheckArgs {
    /// The file to check, such as a backup, instead of the database
    #[arg(value_name = "FILE")]
    pub file: Option<PathBuf>,
    /// Which database, if no FILE is given.
    #[command(flatten)]
    pub database: DatabaseArg,
}

/// What can be done to users. A name is one of `user add`, or github/ and the number of a user of GitHub.
#[derive(Clone, Debug, clap::Subcommand)]
pub enum UserCommand {
    /// Add a user, and print its token, once
    Add {
        /// 1 to 64 of a-z A-Z 0-9 . _ -
        name: String,
    },
    /// List the users, with how many tokens each has
    List,
    /// Replace all tokens of a user by a new one, and print it, once
    Rotate {
        /// As `user list` shows it
        name: String,
    },
    /// End all tokens of a user
    Remove {
        /// As `user list` shows it
        name: String,
    },
}

/// The arguments of `user`, as typed.
#[derive(Clone, Debug, clap::Args)]
pub struct UserArgs {
    /// What to do.
    #[command(subcommand)]
    pub command: UserCommand,
    /// Of which server.
    #[command(flatten)]
    pub database: DatabaseArg,
}

/// The arguments of `status`, as typed.
#[derive(Clone, Debug, clap::Args)]
pub struct StatusArgs {
    /// Print the figures once, and end
    #[arg(long)]
    pub once: bool,
    /// Print JSON, one object a line; with --once, one
    #[arg(long)]
    pub json: bool,
    /// How often to refresh, 0.1 to 3600 [default: 1]
    #[arg(long, value_name = "SECONDS")]
    pub interval: Option<OsString>,
    /// Of which server.
    #[command(flatten)]
    pub database: DatabaseArg,
}

impl StatusArgs {
    /// How often to refresh, in milliseconds.
    ///
    /// # Errors
    /// It is no number of seconds.
    pub fn interval_ms(&self) -> Result<u64, ConfigError> {
        let typed = self.interval.clone().unwrap_or_else(|| "1".into());
        Setting { name: "--interval", value: typed }.seconds_as_ms()
    }
}

/// The arguments of `dump`, as typed.
#[derive(Clone, Debug, clap::Args)]
pub struct DumpArgs {
    /// Of which server.
    #[command(flatten)]
    pub database: DatabaseArg,
}

/// The flags of `health`, as typed.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct HealthArgs {
    /// Where the server listens, as it was told itself
    /// [env: BIND_ADDR] [default: 127.0.0.1:3000]
    #[arg(long, value_name = "HOST:PORT", verbatim_doc_comment)]
    pub bind: Option<OsString>,
}

/// What `completions` was given.
#[derive(Clone, Debug, clap::Args)]
pub struct CompletionsArgs {
    /// Whose completions to print
    pub shell: Shell,
}

/// A shell that completes a command line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
#[allow(missing_docs)] // a text here would be shown as help
pub enum Shell {
    Bash,
    Zsh,
    Fish,
}

/// What `man` was given.
#[derive(Clone, Debug, clap::Args)]
pub struct ManArgs {
    /// Write it into this directory instead, with a page for each command
    #[arg(long, value_name = "DIRECTORY")]
    pub into: Option<PathBuf>,
}
