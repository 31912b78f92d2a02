//! What the command line says, and what it means.

use std::net::{SocketAddr, ToSocketAddrs};
use std::path::PathBuf;

use clap::{Parser, ValueEnum};

use crate::protocol::Protocol;

/// The most callers at once: connections times depth.
pub const MOST_LANES: usize = 1 << 20;

/// Loads a lock server and says how fast it answered.
///
/// Without a flag: 64 connections acquire and release locks of their own for 10 seconds, on the server at
/// http://127.0.0.1:3000, with the token in ./local.token. One operation is one request with its answer.
///
/// Each second there is a line of progress. At the end come operations a second, the percentiles of latency, what was
/// not answered with success, and, if the server runs on this machine, its processor time for each operation. The
/// picture (--svg) has latency by percentile and over time.
#[derive(Parser, Clone, Debug)]
#[command(name = "load", verbatim_doc_comment)]
pub struct Options {
    /// Where the server listens
    #[arg(long, default_value = "http://127.0.0.1:3000")]
    pub url: String,
    /// The file with the bearer token; the environment variable TOKEN wins over it
    #[arg(long, default_value = "local.token")]
    pub token_file: PathBuf,
    /// What the server speaks: comparisons run the same cycles on other servers
    #[arg(long, value_enum, default_value_t = Protocol::Octostore)]
    pub protocol: Protocol,
    /// Connections, kept open
    #[arg(long, default_value_t = 64)]
    pub connections: usize,
    /// Requests under way on each connection
    #[arg(long, default_value_t = 1)]
    pub depth: usize,
    /// Threads of this program
    #[arg(long, default_value_t = 1)]
    pub threads: usize,
    /// Seconds to measure for; 0 with --hold only takes the locks
    #[arg(long, default_value_t = 10)]
    pub seconds: u64,
    /// Seconds before that, which do not count
    #[arg(long, default_value_t = 1)]
    pub warmup: u64,
    /// Open loop: so many requests a second in all, latency from the time at which each was due; at the end it says how
    /// many were due and not answered
    #[arg(long)]
    pub rate: Option<f64>,
    /// Which operations, with their weights: cycle (acquire, then release), renew, status, contend (acquire what --hold
    /// holds: a refusal), leave (acquire a new name and let its lease run out: the user must be allowed as many locks as are
    /// taken in a --ttl, --max-locks-per-user), list, health
    #[arg(long, default_value = "cycle=1")]
    pub mix: String,
    /// Which names a cycle takes: own (one for each caller), fresh (never the same twice), uniform, zipf (both over
    /// --population names), hot (a tenth of the cycles meets on one name), local (own ones that belong to the worker
    /// that the connection came to, so that no request is handed over; found out before the run, on a server that
    /// nobody else uses and that shows its /metrics)
    #[arg(long, value_enum, default_value_t = Names::Own)]
    pub names: Names,
    /// Names that uniform and zipf choose from
    #[arg(long, default_value_t = 100_000)]
    pub population: u64,
    /// The exponent of zipf
    #[arg(long, default_value_t = 1.0)]
    pub exponent: f64,
    /// TTL of each lease, in seconds
    #[arg(long, default_value_t = 60, value_parser = clap::value_parser!(u64).range(1..=3600))]
    pub ttl: u64,
    /// Hold so many locks first; renew and status are about them then. The user must be allowed as many
    /// (--max-locks-per-user)
    #[arg(long, default_value_t = 0)]
    pub hold: u64,
    /// For so many seconds
    #[arg(long, default_value_t = 3600, value_parser = clap::value_parser!(u64).range(1..=3600))]
    pub hold_ttl: u64,
    /// Begin with this one of them: for taking them in several runs
    #[arg(long, default_value_t = 0)]
    pub hold_from: u64,
    /// The server's process, for its processor time; without it the one that octostore.db.lock in this directory names
    #[arg(long)]
    pub pid: Option<u32>,
    /// Where the picture goes
    #[arg(long, default_value = "load.svg")]
    pub svg: PathBuf,
    /// One line of figures for scripts, NAME=VALUE, and nothing else
    #[arg(long)]
    pub terse: bool,
    /// The seed of all that is random
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
}

/// Which names a cycle takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Names {
    /// One for each caller.
    Own,
    /// Never the same twice.
    Fresh,
    /// Any of the population.
    Uniform,
    /// The first of the population far more often than the last.
    Zipf,
    /// A tenth of the cycles on one name, the others on own ones.
    Hot,
    /// One for each caller, owned by the worker of its connection.
    Local,
}

/// The operations' weights.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Mix {
    /// Acquire, then release.
    pub cycle: f64,
    /// Renew a lock that is held.
    pub renew: f64,
    /// Look at a lock.
    pub status: f64,
    /// Acquire a lock that is held.
    pub contend: f64,
    /// Acquire a new name, and let the lease run out.
    pub leave: f64,
    /// A page of the own locks.
    pub list: f64,
    /// `GET /health`.
    pub health: f64,
}

impl Mix {
    /// Reads `cycle=8,renew=2`.
    ///
    /// # Errors
    /// A word that names no operation, or a weight that is no positive number.
    pub fn parse(text: &str) -> Result<Mix, String> {
        let mut mix = Mix::default();
        for part in text.split(',') {
            let (name, weight) = part.split_once('=').unwrap_or((part, "1"));
            let weight: f64 = weight.parse().map_err(|_| format!("--mix: {weight:?} is no number"))?;
            if !(weight.is_finite() && weight >= 0.0) {
                return Err(format!("--mix: the weight of {name} must be 0 or more"));
            }
            *match name {
                "cycle" => &mut mix.cycle,
                "renew" => &mut mix.renew,
                "status" => &mut mix.status,
                "contend" => &mut mix.contend,
                "leave" => &mut mix.leave,
                "list" => &mut mix.list,
                "health" => &mut mix.health,
                _ => {
                    return Err(format!(
                        "--mix: {name:?} is none of cycle, renew, status, contend, leave, list, health"
                    ));
                }
            } = weight;
        }
        if mix.total() > 0.0 { Ok(mix) } else { Err("--mix: all weights are 0".into()) }
    }

    /// The sum of all weights.
    pub fn total(&self) -> f64 {
        self.cycle + self.renew + self.status + self.contend + self.leave + self.list + self.health
    }
}

impl Options {
    /// The server's address, and the name for the Host header.
    ///
    /// # Errors
    /// The URL is not one that this program can use.
    pub fn address(&self) -> Result<(SocketAddr, String), String> {
        let rest = self.url.strip_prefix("http://").ok_or_else(|| {
            format!("--url {}: must begin with http://; behind a proxy for TLS, measure without it", self.url)
        })?;
        let host = rest.trim_end_matches('/');
        let with_port = if host.rsplit(']').next().is_some_and(|end| end.contains(':')) {
            host.to_owned()
        } else {
            format!("{host}:80")
        };
        let mut addresses = with_port.to_socket_addrs().map_err(|e| format!("--url {}: {e}", self.url))?;
        let address = addresses.next().ok_or_else(|| format!("--url {}: no address", self.url))?;
        Ok((address, host.to_owned()))
    }

    /// The bearer token; empty for servers that have none.
    ///
    /// # Errors
    /// There is none.
    pub fn token(&self) -> Result<String, String> {
        if self.protocol != Protocol::Octostore {
            return Ok(String::new());
        }
        if let Ok(token) = std::env::var("TOKEN") {
            return Ok(token);
        }
        let file = self.token_file.display();
        std::fs::read_to_string(&self.token_file).map(|text| text.trim().to_owned()).map_err(|e| {
            format!("{file}: {e}; run this where the server runs, or give --token-file, or TOKEN in the environment")
        })
    }

    /// What no run can be made of.
    ///
    /// # Errors
    /// The first thing that is wrong.
    pub fn check(&self) -> Result<Mix, String> {
        let lanes = self.connections.saturating_mul(self.depth);
        if self.connections == 0 || self.depth == 0 || self.threads == 0 || lanes > MOST_LANES {
            return Err(format!(
                "--connections, --depth and --threads begin at 1, and there are at most {MOST_LANES} callers"
            ));
        }
        if self.threads > self.connections {
            return Err("--threads: there must be a connection for each".into());
        }
        if self.rate.is_some_and(|rate| !(rate.is_finite() && rate >= 1.0)) {
            return Err("--rate: at least 1 a second".into());
        }
        if self.seconds == 0 && self.hold == 0 {
            return Err("--seconds: at least 1, unless locks are to be taken with --hold".into());
        }
        if self.population == 0 || !(self.exponent.is_finite() && self.exponent >= 0.0) {
            return Err("--population and --exponent: at least 1 name, and no negative exponent".into());
        }
        if self.names == Names::Local && (self.threads > 1 || self.protocol != Protocol::Octostore) {
            return Err("--names local: for this server only, and with one thread: what it does is watched".into());
        }
        let mix = Mix::parse(&self.mix)?;
        if mix.contend > 0.0 && self.hold == 0 {
            return Err("--mix: contend needs locks that are held; give --hold".into());
        }
        if mix.leave > 0.0 && self.protocol != Protocol::Octostore {
            return Err("--mix: leave is for this server only".into());
        }
        Ok(mix)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(arguments: &[&str]) -> Options {
        Options::parse_from([&["load"], arguments].concat())
    }

    #[test]
    fn a_mix_is_read_and_nonsense_is_refused() {
        let mix = Mix::parse("cycle=8,status=2").expect("a mix");
        assert_eq!(mix, Mix { cycle: 8.0, status: 2.0, ..Mix::default() });
        assert_eq!(Mix::parse("renew").expect("a mix").renew, 1.0);
        for nonsense in ["", "acquire=1", "cycle=-1", "cycle=x", "cycle=0", "cycle=inf"] {
            assert!(Mix::parse(nonsense).is_err(), "{nonsense:?}");
        }
    }

    #[test]
    fn an_address_has_a_port_though_the_url_names_none() {
        assert_eq!(options(&["--url", "http://127.0.0.1"]).address().expect("one").0.port(), 80);
        assert_eq!(options(&["--url", "http://[::1]:3000/"]).address().expect("one").0.port(), 3000);
        assert!(options(&["--url", "https://127.0.0.1"]).address().is_err());
    }

    #[test]
    fn what_makes_no_run_is_refused() {
        assert!(options(&[]).check().is_ok());
        for nonsense in [
            ["--depth", "0"],
            ["--threads", "65"],
            ["--rate", "0"],
            ["--seconds", "0"],
            ["--population", "0"],
            ["--mix", "contend"],
        ] {
            assert!(options(&nonsense).check().is_err(), "{nonsense:?}");
        }
        assert!(options(&["--mix", "leave", "--protocol", "redis"]).check().is_err());
    }
}
