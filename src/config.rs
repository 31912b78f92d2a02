//! The settings, in two steps: what was typed, and what it means.
//!
//! [`Args`] is the command line as typed: strings, nothing judged. [`Config::new`] looks each setting up
//! (the flag, else the environment variable, else the default) and judges it; whoever holds a
//! [`Config`] need not check anything again. An empty variable counts as unset, as container tools leave them.
//!
//! The environment comes in through a closure, so that a test can bring its own. An error is one
//! line that names the flag or variable the value came from, the value, and what would be right;
//! a value that may hold a secret is never repeated.

mod commands;
mod monitoring;

pub use commands::{
    BackupArgs, CheckArgs, CompletionsArgs, DatabaseArg, DumpArgs, HealthArgs, ManArgs, RestoreArgs, Shell, StatusArgs,
    UserArgs, UserCommand,
};
pub use monitoring::{MetricsAccess, MetricsToken, Monitoring, MonitoringArgs};

mod github;

use std::ffi::OsString;
use std::fmt;
use std::net::IpAddr;
use std::path::PathBuf;

pub use github::GithubSettings;

use crate::logging;

/// The command line, as typed.
#[derive(Clone, Debug, Default, clap::Parser)]
#[command(
    name = "octostore",
    version,
    about = "Distributed locks over HTTP with fencing tokens.\n`octostore` alone means `octostore serve`.",
    args_conflicts_with_subcommands = true,
    next_line_help = true
)]
pub struct Args {
    /// What to do; nothing typed means [`Command::Serve`].
    #[command(subcommand)]
    pub command: Option<Command>,
    /// The flags of `serve`, typed without the word.
    #[command(flatten)]
    pub serve: ServeArgs,
}

/// What the program can do.
#[derive(Clone, Debug, clap::Subcommand)]
#[allow(clippy::large_enum_variant)] // one is made, once
pub enum Command {
    /// Run the server (what `octostore` alone does)
    #[command(next_line_help = true)]
    Serve(ServeArgs),
    /// Write a backup of the database of a running or stopped server to FILE
    #[command(next_line_help = true, after_help = BACKUP_HELP)]
    Backup(BackupArgs),
    /// Make a new database of a backup
    #[command(next_line_help = true, after_help = RESTORE_HELP)]
    Restore(RestoreArgs),
    /// Check a database or a backup from end to end, changing nothing
    #[command(next_line_help = true, after_help = CHECK_HELP)]
    Check(CheckArgs),
    /// Print the locks of a running or stopped server as JSON
    #[command(next_line_help = true, after_help = DUMP_HELP)]
    Dump(DumpArgs),
    /// Show the figures of a running server, refreshed in place
    #[command(next_line_help = true, after_help = STATUS_HELP)]
    Status(StatusArgs),
    /// Add, list and remove users, and replace their tokens
    #[command(after_help = USER_HELP)]
    User(UserArgs),
    /// Ask whether a server is well: exit code 0 if so, 1 if not
    #[command(next_line_help = true)]
    Health(HealthArgs),
    /// Print the completions for a shell
    #[command(next_line_help = true)]
    Completions(CompletionsArgs),
    /// Print the manual page
    #[command(next_line_help = true)]
    Man(ManArgs),
}

const STATUS_HELP: &str = "\
Rates and times are those since the last refresh; with --once, since the start
of the server. q or Ctrl-C ends it. Without a terminal it prints once.";

const BACKUP_HELP: &str = "\
The server goes on meanwhile. FILE is one SQLite database, for its owner only:
it holds lease ids and the hashes of tokens. Keep it off this machine, and
restore it with `octostore restore FILE`.";
const RESTORE_HELP: &str = "\
No server may run on the database, and there must be none yet: move the old
one away first, with its -wal file. Of the backup,
  - users and tokens are kept: a token that was rotated since the backup is
    valid again, and the one that replaced it is not;
  - leases are dropped, and fencing tokens go on 2^42 higher, above every one
    that can have been given out since;
  - new locks are refused with a 503 for the first hour (the longest TTL) that
    the server runs: whoever got a lease after the backup may still believe in
    it. A restart within that hour begins it again.";
const CHECK_HELP: &str = "\
Of a running server take a backup and check that: `octostore backup` does.
Exit code: 0 whole, 1 it could not be checked, 2 typed wrong, 3 damaged.";
const USER_HELP: &str = "\
A change counts at once, in a running server too. A token goes to stdout,
alone: TOKEN=$(octostore user add alice)
Users of STATIC_TOKENS, and `local`, have their tokens in the configuration:
they are listed, with 0 tokens, and not changed here. A user of GitHub is
called github/ and its number there.
The locks of a user who is removed stay until they run out, at most an hour,
since nobody can renew or release them; `user add` brings the account back,
with those that are left.";
const DUMP_HELP: &str = "\
One line for each lock, by name:
  {\"name\", \"user\", \"user_id\", \"lease_id\", \"fencing_token\",
   \"ttl_seconds\", \"metadata\"}
What is on disk is shown: a lease that has run out since it was granted may be
among them while no server runs, since a start lets each run in full again.";

/// The flags of `serve`, as typed. The texts are the help: by hand, since each setting is looked up by [`Config::new`].
#[derive(Clone, Debug, Default, clap::Args)]
pub struct ServeArgs {
    /// Where to listen; port 0 takes a free one, [::] means IPv6 and IPv4
    /// [env: BIND_ADDR] [default: 127.0.0.1:3000]
    #[arg(long, value_name = "HOST:PORT", help_heading = "Server", verbatim_doc_comment)]
    pub bind: Option<OsString>,
    /// The database file: a path, or sqlite:PATH
    /// [env: DATABASE_URL] [default: octostore.db]
    #[arg(long, value_name = "PATH", help_heading = "Server", verbatim_doc_comment)]
    pub database: Option<OsString>,
    /// Worker threads, 1 to 64; by default one per core this process may use
    /// [env: OCTOSTORE_WORKERS]
    #[arg(long, value_name = "N", help_heading = "Server", verbatim_doc_comment)]
    pub workers: Option<OsString>,
    /// How to do network I/O: io-uring, epoll, or auto (io-uring if allowed)
    /// [env: OCTOSTORE_DRIVER] [default: auto]
    #[arg(long, value_name = "DRIVER", help_heading = "Server", verbatim_doc_comment)]
    pub driver: Option<OsString>,

    /// A file with one name:token a line, which only its owner may read;
    /// STATIC_TOKENS=name:token,name:token,... in the environment adds to it;
    /// with neither, the first start makes a user `local` and shows its token
    /// [env: STATIC_TOKENS_FILE]
    #[arg(long, value_name = "FILE", help_heading = "Users", verbatim_doc_comment)]
    pub static_tokens_file: Option<OsString>,
    /// The most locks that one user may hold at a time, 1 to 1000000000
    /// [env: MAX_LOCKS_PER_USER] [default: 100]
    #[arg(long, value_name = "N", help_heading = "Users", verbatim_doc_comment)]
    pub max_locks_per_user: Option<OsString>,
    /// Whose X-Forwarded-For header is believed when failed authentications
    /// are counted per address: IP addresses of proxies, with commas between
    /// [env: OCTOSTORE_TRUSTED_PROXY]
    #[arg(long, value_name = "ADDRESS", help_heading = "Users", verbatim_doc_comment)]
    pub trusted_proxy: Option<OsString>,

    /// The client id of an OAuth app at GitHub, so that users can sign in at
    /// /auth/github; its secret comes from GITHUB_CLIENT_SECRET alone
    /// [env: GITHUB_CLIENT_ID]
    #[arg(long, value_name = "ID", help_heading = "Sign-in with GitHub", verbatim_doc_comment)]
    pub github_client_id: Option<OsString>,
    /// Where GitHub sends browsers to: https://HOST/auth/github/callback;
    /// without it, GitHub takes the URL that the OAuth app has
    /// [env: GITHUB_REDIRECT_URI]
    #[arg(long, value_name = "URL", help_heading = "Sign-in with GitHub", verbatim_doc_comment)]
    pub github_redirect_uri: Option<OsString>,
    /// GitHub itself, or a GitHub Enterprise Server
    /// [env: GITHUB_URL] [default: https://github.com]
    #[arg(long, value_name = "URL", help_heading = "Sign-in with GitHub", verbatim_doc_comment)]
    pub github_url: Option<OsString>,
    /// Its API; of an Enterprise Server https://HOST/api/v3
    /// [env: GITHUB_API_URL] [default: https://api.github.com]
    #[arg(long, value_name = "URL", help_heading = "Sign-in with GitHub", verbatim_doc_comment)]
    pub github_api_url: Option<OsString>,

    /// The most open connections, over all workers, 1 to 1000000
    /// [env: OCTOSTORE_MAX_CONNECTIONS] [default: 10000]
    #[arg(long, value_name = "N", help_heading = "Connections", verbatim_doc_comment)]
    pub max_connections: Option<OsString>,
    /// The most open connections of one address (of IPv6: one /64); 0 means
    /// no limit. Behind a proxy all clients have its address
    /// [env: OCTOSTORE_MAX_CONNECTIONS_PER_ADDRESS] [default: 0]
    #[arg(long, value_name = "N", help_heading = "Connections", verbatim_doc_comment)]
    pub max_connections_per_address: Option<OsString>,
    /// How long the head of a request may take, from its first byte
    /// [env: OCTOSTORE_HEAD_TIMEOUT_SECONDS] [default: 10]
    #[arg(long, value_name = "SECONDS", help_heading = "Connections", verbatim_doc_comment)]
    pub head_timeout: Option<OsString>,
    /// How long the body of a request may take, from the end of the head
    /// [env: OCTOSTORE_BODY_TIMEOUT_SECONDS] [default: 10]
    #[arg(long, value_name = "SECONDS", help_heading = "Connections", verbatim_doc_comment)]
    pub body_timeout: Option<OsString>,
    /// How long a connection may stay open without a request
    /// [env: OCTOSTORE_IDLE_TIMEOUT_SECONDS] [default: 75]
    #[arg(long, value_name = "SECONDS", help_heading = "Connections", verbatim_doc_comment)]
    pub idle_timeout: Option<OsString>,
    /// How long a client may take to read what was answered
    /// [env: OCTOSTORE_WRITE_TIMEOUT_SECONDS] [default: 10]
    #[arg(long, value_name = "SECONDS", help_heading = "Connections", verbatim_doc_comment)]
    pub write_timeout: Option<OsString>,

    /// What watches the server.
    #[command(flatten)]
    pub monitoring: MonitoringArgs,

    /// How log lines look on stderr: text or json
    /// [env: OCTOSTORE_LOG_FORMAT] [default: text]
    #[arg(long, value_name = "FORMAT", help_heading = "Log", verbatim_doc_comment)]
    pub log_format: Option<OsString>,
    /// What is logged: off, error, warn, info, debug, trace, or directives
    /// such as warn,octostore::journal=debug
    /// [env: OCTOSTORE_LOG] [default: info]
    #[arg(long, value_name = "LEVEL", help_heading = "Log", verbatim_doc_comment)]
    pub log_level: Option<OsString>,
}

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

/// A host (a name, or an IP address without brackets) and a port; port 0 means any that is free.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BindAddress {
    /// The name or address.
    pub host: String,
    /// The port.
    pub port: u16,
}

/// Which of monoio's drivers to use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Driver {
    /// io_uring if the kernel lets us, else epoll.
    Auto,
    /// io_uring, or fail.
    IoUring,
    /// epoll.
    Epoll,
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

/// Limits of time on a connection, in milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timeouts {
    /// From the first byte of a request's head to its end.
    pub head_timeout_ms: u64,
    /// From the end of the head to the end of the body.
    pub body_timeout_ms: u64,
    /// From the last answer to the next request's first byte.
    pub idle_timeout_ms: u64,
    /// For a client to take what it is sent.
    pub write_timeout_ms: u64,
}

/// What is logged, and how.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogSettings {
    /// What a line looks like.
    pub format: LogFormat,
    /// A level, or directives as `tracing_subscriber::EnvFilter` knows them.
    pub filter: String,
}

/// What a log line looks like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

/// A text that must not be shown. `Debug` hides it; there is no `Display`.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

/// A setting that makes no sense. One line, for whoever starts the server.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{name} is {shown}; it must be {wanted}")]
pub struct ConfigError {
    name: &'static str,
    shown: String,
    wanted: &'static str,
}

const BIND_WANTED: &str = "HOST:PORT, such as 127.0.0.1:3000, [::1]:3000 or localhost:3000";
const DATABASE_WANTED: &str = "the path of an SQLite file, such as /var/lib/octostore/octostore.db, or sqlite:PATH";
const SECONDS_WANTED: &str = "a number of seconds from 0.1 to 3600";
const LOG_LEVEL_WANTED: &str = "off, error, warn, info, debug, trace, or directives such as warn,octostore=debug";

impl Config {
    /// What `args` and the environment mean. `env` gives the value of a variable.
    ///
    /// # Errors
    /// The first setting that makes no sense.
    pub fn new(args: &ServeArgs, env: &dyn Fn(&str) -> Option<OsString>) -> Result<Config, ConfigError> {
        let optional = |typed: &Option<OsString>, flag: &'static str, variable: &'static str| {
            let typed = typed.clone().map(|value| Setting { name: flag, value });
            let from_env = || env(variable).filter(|value| !value.is_empty());
            typed.or_else(|| from_env().map(|value| Setting { name: variable, value }))
        };
        // A default goes through the same judge as a value that was given, so it cannot mean what nobody could say.
        let setting = |typed, flag, variable, default: &str| {
            let otherwise = || Setting { name: "the default", value: default.into() };
            optional(typed, flag, variable).unwrap_or_else(otherwise)
        };
        let workers = std::thread::available_parallelism().map_or(1, |cores| cores.get().min(64)).to_string();
        let max_locks = setting(&args.max_locks_per_user, "--max-locks-per-user", "MAX_LOCKS_PER_USER", "100");
        let connections = setting(&args.max_connections, "--max-connections", "OCTOSTORE_MAX_CONNECTIONS", "10000");
        let per_address = "OCTOSTORE_MAX_CONNECTIONS_PER_ADDRESS";
        let per_address = setting(&args.max_connections_per_address, "--max-connections-per-address", per_address, "0");
        let head = setting(&args.head_timeout, "--head-timeout", "OCTOSTORE_HEAD_TIMEOUT_SECONDS", "10");
        let body = setting(&args.body_timeout, "--body-timeout", "OCTOSTORE_BODY_TIMEOUT_SECONDS", "10");
        let idle = setting(&args.idle_timeout, "--idle-timeout", "OCTOSTORE_IDLE_TIMEOUT_SECONDS", "75");
        let write = setting(&args.write_timeout, "--write-timeout", "OCTOSTORE_WRITE_TIMEOUT_SECONDS", "10");
        Ok(Config {
            bind: setting(&args.bind, "--bind", "BIND_ADDR", "127.0.0.1:3000").parsed(BIND_WANTED, bind_address)?,
            database: database(&args.database, env)?,
            workers: setting(&args.workers, "--workers", "OCTOSTORE_WORKERS", &workers)
                .number(64, "a whole number from 1 to 64")? as usize,
            driver: setting(&args.driver, "--driver", "OCTOSTORE_DRIVER", "auto")
                .parsed("auto, io-uring or epoll", driver_named)?,
            tokens: TokenSources {
                // No flag for this one: the list of processes would show it.
                inline: optional(&None, "", "STATIC_TOKENS")
                    .map(|it| it.secret("name:token,name:token,... in ASCII"))
                    .transpose()?,
                file: optional(&args.static_tokens_file, "--static-tokens-file", "STATIC_TOKENS_FILE")
                    .map(Setting::file)
                    .transpose()?,
                github: github::Said {
                    client_id: optional(&args.github_client_id, "--github-client-id", "GITHUB_CLIENT_ID"),
                    client_secret: optional(&None, "", "GITHUB_CLIENT_SECRET"), // no flag, as above
                    url: optional(&args.github_url, "--github-url", "GITHUB_URL"),
                    api_url: optional(&args.github_api_url, "--github-api-url", "GITHUB_API_URL"),
                    redirect_uri: optional(&args.github_redirect_uri, "--github-redirect-uri", "GITHUB_REDIRECT_URI"),
                }
                .settings()?,
            },
            trusted_proxies: optional(&args.trusted_proxy, "--trusted-proxy", "OCTOSTORE_TRUSTED_PROXY")
                .map_or(Ok(Vec::new()), |said| said.parsed("IP addresses with commas between them", addresses))?,
            max_locks_per_user: max_locks.number(1_000_000_000, "a whole number from 1 to 1000000000")?,
            max_connections: connections.number(1_000_000, "a whole number from 1 to 1000000")?,
            max_connections_per_address: per_address
                .parsed("a whole number from 0 to 1000000", |text| text.parse().ok().filter(|n| *n <= 1_000_000))?,
            timeouts: Timeouts {
                head_timeout_ms: head.seconds_as_ms()?,
                body_timeout_ms: body.seconds_as_ms()?,
                idle_timeout_ms: idle.seconds_as_ms()?,
                write_timeout_ms: write.seconds_as_ms()?,
            },
            monitoring: Monitoring::new(&args.monitoring, &optional)?,
            log: LogSettings {
                format: setting(&args.log_format, "--log-format", "OCTOSTORE_LOG_FORMAT", "text")
                    .parsed("text or json", log_format_named)?,
                filter: setting(&args.log_level, "--log-level", "OCTOSTORE_LOG", "info")
                    .parsed(LOG_LEVEL_WANTED, log_filter)?,
            },
        })
    }
}

/// The path of the database, as given: relative paths stay relative.
fn database(typed: &Option<OsString>, env: &dyn Fn(&str) -> Option<OsString>) -> Result<PathBuf, ConfigError> {
    let (name, value) = match typed {
        Some(value) => ("--database", value.clone()),
        None => match env("DATABASE_URL").filter(|value| !value.is_empty()) {
            Some(value) => ("DATABASE_URL", value),
            None => ("the default", "octostore.db".into()),
        },
    };
    Setting { name, value }.database()
}

impl Secret {
    /// A text that is not to be shown.
    pub fn new(text: String) -> Secret {
        Secret(text)
    }

    /// The text, for the one who must know it.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(hidden)")
    }
}

impl fmt::Display for BindAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.host.contains(':') {
            true => write!(f, "[{}]:{}", self.host, self.port),
            false => write!(f, "{}:{}", self.host, self.port),
        }
    }
}

/// A value, and the flag or variable it came from.
struct Setting {
    name: &'static str,
    value: OsString,
}

impl Setting {
    fn parsed<T>(&self, wanted: &'static str, parse: impl FnOnce(&str) -> Option<T>) -> Result<T, ConfigError> {
        self.value.to_str().and_then(parse).ok_or_else(|| self.refused(wanted))
    }

    fn number(&self, max: u32, wanted: &'static str) -> Result<u32, ConfigError> {
        self.parsed(wanted, |text| text.parse().ok().filter(|n| (1..=max).contains(n)))
    }

    fn seconds_as_ms(&self) -> Result<u64, ConfigError> {
        let seconds = self.parsed(SECONDS_WANTED, |text| text.parse::<f64>().ok())?;
        // A NaN is in no range.
        if (0.1..=3600.0).contains(&seconds) {
            Ok((seconds * 1000.0).round() as u64)
        } else {
            Err(self.refused(SECONDS_WANTED))
        }
    }

    fn secret(self, wanted: &'static str) -> Result<Secret, ConfigError> {
        let refused = |_| ConfigError { name: self.name, shown: "no text".into(), wanted };
        self.value.into_string().map(Secret).map_err(refused)
    }

    fn file(self) -> Result<PathBuf, ConfigError> {
        if self.value.is_empty() { Err(self.refused("the path of a file")) } else { Ok(self.value.into()) }
    }

    /// A path, or `sqlite:PATH`, or `sqlite://PATH`.
    fn database(&self) -> Result<PathBuf, ConfigError> {
        let Some(text) = self.value.to_str() else { return Ok(self.value.clone().into()) };
        let url_path = text.strip_prefix("sqlite://").or_else(|| text.strip_prefix("sqlite:"));
        let path = url_path.unwrap_or(text);
        if let Some((scheme, _)) = path.split_once("://") {
            // What follows may hold a password.
            let shown = format!("'{}://...'", clipped(scheme));
            return Err(ConfigError { name: self.name, shown, wanted: DATABASE_WANTED });
        }
        // Neither a database in memory, nor SQLite's own kind of URL, nor a directory, nor options nobody would heed.
        let unfit = path.is_empty() || path.starts_with(":memory:") || path.starts_with("file:") || path.ends_with('/');
        if unfit || (url_path.is_some() && path.contains('?')) {
            return Err(self.refused(DATABASE_WANTED));
        }
        Ok(path.into())
    }

    fn refused(&self, wanted: &'static str) -> ConfigError {
        ConfigError { name: self.name, shown: format!("'{}'", clipped(&self.value.to_string_lossy())), wanted }
    }
}

/// The text on one line, and not longer than a line.
fn clipped(text: &str) -> String {
    let mut shown: String = text.chars().take(60).flat_map(char::escape_debug).collect();
    if text.chars().nth(60).is_some() {
        shown.push_str("...");
    }
    shown
}

fn bind_address(text: &str) -> Option<BindAddress> {
    let (host, port) = text.rsplit_once(':')?;
    let host = match host.strip_prefix('[') {
        Some(rest) => rest.strip_suffix(']').filter(|address| address.contains(':'))?,
        None if host.contains(':') => return None, // an IPv6 address whose port cannot be told from it
        None => host,
    };
    let fit = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_' | ':' | '%');
    let digits = port.bytes().all(|b| b.is_ascii_digit()); // parse alone would take "+80"
    (!host.is_empty() && host.chars().all(fit) && digits)
        .then(|| Some(BindAddress { host: host.to_owned(), port: port.parse().ok()? }))?
}

fn addresses(text: &str) -> Option<Vec<IpAddr>> {
    text.split(',').map(|address| Some(address.trim().parse::<IpAddr>().ok()?.to_canonical())).collect()
}

fn driver_named(text: &str) -> Option<Driver> {
    match text {
        "auto" => Some(Driver::Auto),
        "io-uring" => Some(Driver::IoUring),
        "epoll" => Some(Driver::Epoll),
        _ => None,
    }
}

fn log_format_named(text: &str) -> Option<LogFormat> {
    match text {
        "text" => Some(LogFormat::Text),
        "json" => Some(LogFormat::Json),
        _ => None,
    }
}

fn log_filter(text: &str) -> Option<String> {
    logging::is_filter(text).then(|| text.to_owned())
}

#[cfg(test)]
mod tests;
