//! The settings, in two steps: what was typed, and what it means.
//!
//! [`Args`] is the command line as typed: strings, nothing judged. [`Config::new`] looks each setting up
//! (the flag, else the environment variable, else the default) and judges it; whoever holds a
//! [`Config`] need not check anything again. An empty variable counts as unset, as container tools leave them.
//!
//! The environment comes in through a closure, so that a test can bring its own. An error is one
//! line that names the flag or variable the value came from, the value, and what would be right;
//! a value that may hold a secret is never repeated.

mod args;
mod commands;
mod github;
mod monitoring;
mod network;
mod secret;
mod serve;
mod setting;

pub use args::{Args, Command};
pub use commands::{
    BackupArgs, CheckArgs, CompletionsArgs, DatabaseArg, DumpArgs, HealthArgs, ManArgs, RestoreArgs, Shell, StatusArgs,
    UserArgs, UserCommand,
};
pub use github::GithubSettings;
pub use monitoring::{MetricsAccess, MetricsToken, Monitoring, MonitoringArgs};
pub use network::{BindAddress, Driver, Timeouts};
pub use secret::Secret;
pub use serve::ServeArgs;
pub use setting::ConfigError;

use std::ffi::OsString;
use std::net::IpAddr;
use std::path::PathBuf;

use self::network::{BIND_WANTED, addresses, bind_address, driver_named};
use self::setting::{LookUp, Setting};
use crate::logging::{self, LogFormat, LogSettings};

/// What the settings of `serve` mean. Every value has been checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// Where to listen.
    pub bind: BindAddress,
    /// The database file, as given: relative paths stay relative.
    pub database: PathBuf,
    /// Worker threads: 1 to 64.
    pub workers: usize,
    /// How to do network I/O.
    pub driver: Driver,
    /// Where the bearer tokens come from.
    pub tokens: TokenSources,
    /// The most live locks of one user: 1 to 10^9.
    pub max_locks_per_user: u32,
    /// Proxies that are believed.
    pub trusted_proxies: Vec<IpAddr>,
    /// The most open connections over all workers: 1 to 10^6.
    pub max_connections: u32,
    /// The most open connections of one address: up to 10^6, or 0 for no limit.
    pub max_connections_per_address: u32,
    /// How long a connection may take for what.
    pub timeouts: Timeouts,
    /// What watches the server.
    pub monitoring: Monitoring,
    /// What is logged, and how.
    pub log: LogSettings,
}

/// Where bearer tokens come from, beside the database. From nowhere: the user `local`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TokenSources {
    /// The text of `STATIC_TOKENS`.
    pub inline: Option<Secret>,
    /// The file with one `name:token` a line.
    pub file: Option<PathBuf>,
    /// Signing in with GitHub.
    pub github: Option<GithubSettings>,
}

const LOG_LEVEL_WANTED: &str = "off, error, warn, info, debug, trace, or directives such as warn,octostore=debug";

impl Config {
    /// What `args` and the environment mean. `env` gives the value of a variable.
    ///
    /// # Errors
    /// The first setting that makes no sense.
    pub fn new(args: &ServeArgs, env: &dyn Fn(&str) -> Option<OsString>) -> Result<Config, ConfigError> {
        let look_up = LookUp(env);
        let workers = std::thread::available_parallelism().map_or(1, |cores| cores.get().min(64)).to_string();
        let max_locks = look_up.or(&args.max_locks_per_user, "--max-locks-per-user", "MAX_LOCKS_PER_USER", "100");
        let connections = look_up.or(&args.max_connections, "--max-connections", "OCTOSTORE_MAX_CONNECTIONS", "10000");
        let per_address = "OCTOSTORE_MAX_CONNECTIONS_PER_ADDRESS";
        let per_address =
            look_up.or(&args.max_connections_per_address, "--max-connections-per-address", per_address, "0");
        Ok(Config {
            bind: look_up.or(&args.bind, "--bind", "BIND_ADDR", "127.0.0.1:3000").parsed(BIND_WANTED, bind_address)?,
            database: look_up.database(&args.database)?,
            workers: look_up
                .or(&args.workers, "--workers", "OCTOSTORE_WORKERS", &workers)
                .number(64, "a whole number from 1 to 64")? as usize,
            driver: look_up
                .or(&args.driver, "--driver", "OCTOSTORE_DRIVER", "auto")
                .parsed("auto, io-uring or epoll", driver_named)?,
            tokens: TokenSources::new(args, look_up)?,
            trusted_proxies: look_up
                .optional(&args.trusted_proxy, "--trusted-proxy", "OCTOSTORE_TRUSTED_PROXY")
                .map_or(Ok(Vec::new()), |said| said.parsed("IP addresses with commas between them", addresses))?,
            max_locks_per_user: max_locks.number(1_000_000_000, "a whole number from 1 to 1000000000")?,
            max_connections: connections.number(1_000_000, "a whole number from 1 to 1000000")?,
            max_connections_per_address: per_address
                .parsed("a whole number from 0 to 1000000", |text| text.parse().ok().filter(|n| *n <= 1_000_000))?,
            timeouts: Timeouts::new(args, look_up)?,
            monitoring: Monitoring::new(&args.monitoring, look_up)?,
            log: LogSettings {
                format: look_up
                    .or(&args.log_format, "--log-format", "OCTOSTORE_LOG_FORMAT", "text")
                    .parsed("text or json", log_format_named)?,
                filter: look_up
                    .or(&args.log_level, "--log-level", "OCTOSTORE_LOG", "info")
                    .parsed(LOG_LEVEL_WANTED, |text| logging::is_filter(text).then(|| text.to_owned()))?,
            },
        })
    }
}

impl TokenSources {
    fn new(args: &ServeArgs, look_up: LookUp<'_>) -> Result<TokenSources, ConfigError> {
        let inline = look_up.variable("STATIC_TOKENS");
        let file = look_up.optional(&args.static_tokens_file, "--static-tokens-file", "STATIC_TOKENS_FILE");
        Ok(TokenSources {
            inline: inline.map(|it| it.secret("name:token,name:token,... in ASCII")).transpose()?,
            file: file.map(Setting::file).transpose()?,
            github: GithubSettings::new(args, look_up)?,
        })
    }
}

fn log_format_named(text: &str) -> Option<LogFormat> {
    match text {
        "text" => Some(LogFormat::Text),
        "json" => Some(LogFormat::Json),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
