//! The settings of what watches the server: metrics, and the watchdog.

use std::ffi::OsString;
use std::path::PathBuf;

use super::setting::LookUp;
use super::{ConfigError, Secret};

/// The flags, as typed.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct MonitoringArgs {
    /// Who may read /metrics: loopback (clients on this machine; others with
    /// the token), token (nobody without it), or off
    /// [env: OCTOSTORE_METRICS_ACCESS] [default: loopback]
    #[arg(long, value_name = "ACCESS", help_heading = "Monitoring", verbatim_doc_comment)]
    pub metrics_access: Option<OsString>,
    /// A file with the bearer token for /metrics, which only its owner may
    /// read; or the token itself in OCTOSTORE_METRICS_TOKEN
    /// [env: OCTOSTORE_METRICS_TOKEN_FILE]
    #[arg(long, value_name = "FILE", help_heading = "Monitoring", verbatim_doc_comment)]
    pub metrics_token_file: Option<OsString>,
    /// How long a worker or the disk may be stuck before the process ends, to
    /// be started again; 3 to 3600, or 0 for never
    /// [env: OCTOSTORE_WATCHDOG_SECONDS] [default: 20]
    #[arg(long, value_name = "SECONDS", help_heading = "Monitoring", verbatim_doc_comment)]
    pub watchdog: Option<OsString>,
}

/// What they mean.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Monitoring {
    /// Who may read the metrics.
    pub metrics_access: MetricsAccess,
    /// The token for them.
    pub metrics_token: Option<MetricsToken>,
    /// How long a part of the server may be stuck, in seconds; None: for ever.
    pub watchdog_s: Option<u32>,
}

/// Who may read the metrics.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MetricsAccess {
    /// Clients on this machine, and who has the token.
    Loopback,
    /// Who has the token.
    Token,
    /// Nobody.
    Off,
}

/// Where the token for the metrics comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MetricsToken {
    /// The environment.
    Inline(Secret),
    /// A file.
    File(PathBuf),
}

/// The least that a watchdog waits, in seconds: more than what makes `/health` say 503.
const LEAST_WATCHDOG_S: u32 = 3;

impl Monitoring {
    /// What was typed, or is in the environment.
    ///
    /// # Errors
    /// The first setting that makes no sense.
    pub(super) fn new(args: &MonitoringArgs, look_up: LookUp<'_>) -> Result<Monitoring, ConfigError> {
        let access = look_up.optional(&args.metrics_access, "--metrics-access", "OCTOSTORE_METRICS_ACCESS");
        let file = look_up.optional(&args.metrics_token_file, "--metrics-token-file", "OCTOSTORE_METRICS_TOKEN_FILE");
        let inline = look_up.variable("OCTOSTORE_METRICS_TOKEN");
        let watchdog = look_up.optional(&args.watchdog, "--watchdog", "OCTOSTORE_WATCHDOG_SECONDS");
        let metrics_token = match (file, inline) {
            (Some(file), _) => Some(MetricsToken::File(file.file()?)),
            (None, Some(inline)) => Some(MetricsToken::Inline(inline.secret("a token in ASCII")?)),
            (None, None) => None,
        };
        const TOKEN_WANTED: &str = "loopback or off, or come with --metrics-token-file or OCTOSTORE_METRICS_TOKEN";
        let metrics_access = match access {
            Some(access) => {
                let chosen = access.parsed("loopback, token or off", access_named)?;
                if chosen == MetricsAccess::Token && metrics_token.is_none() {
                    return Err(access.refused(TOKEN_WANTED));
                }
                chosen
            }
            None => MetricsAccess::Loopback,
        };
        const WATCHDOG_WANTED: &str = "a whole number of seconds from 3 to 3600, or 0 for no watchdog";
        let seconds = |text: &str| text.parse().ok().filter(|s| *s == 0 || (LEAST_WATCHDOG_S..=3600).contains(s));
        let watchdog_s = watchdog.map_or(Ok(20), |watchdog| watchdog.parsed(WATCHDOG_WANTED, seconds))?;
        Ok(Monitoring { metrics_access, metrics_token, watchdog_s: (watchdog_s > 0).then_some(watchdog_s) })
    }
}

fn access_named(text: &str) -> Option<MetricsAccess> {
    match text {
        "loopback" => Some(MetricsAccess::Loopback),
        "token" => Some(MetricsAccess::Token),
        "off" => Some(MetricsAccess::Off),
        _ => None,
    }
}
