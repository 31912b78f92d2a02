//! Where to listen, how to do network I/O, whom to believe, and for how long to wait.

use std::fmt;
use std::net::IpAddr;

use super::setting::LookUp;
use super::{ConfigError, ServeArgs};

pub(super) const BIND_WANTED: &str = "HOST:PORT, such as 127.0.0.1:3000, [::1]:3000 or localhost:3000";

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

impl Timeouts {
    pub(super) fn new(args: &ServeArgs, look_up: LookUp<'_>) -> Result<Timeouts, ConfigError> {
        let ms = |typed, flag, variable, default| look_up.or(typed, flag, variable, default).seconds_as_ms();
        Ok(Timeouts {
            head_timeout_ms: ms(&args.head_timeout, "--head-timeout", "OCTOSTORE_HEAD_TIMEOUT_SECONDS", "10")?,
            body_timeout_ms: ms(&args.body_timeout, "--body-timeout", "OCTOSTORE_BODY_TIMEOUT_SECONDS", "10")?,
            idle_timeout_ms: ms(&args.idle_timeout, "--idle-timeout", "OCTOSTORE_IDLE_TIMEOUT_SECONDS", "75")?,
            write_timeout_ms: ms(&args.write_timeout, "--write-timeout", "OCTOSTORE_WRITE_TIMEOUT_SECONDS", "10")?,
        })
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

pub(super) fn bind_address(text: &str) -> Option<BindAddress> {
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

pub(super) fn addresses(text: &str) -> Option<Vec<IpAddr>> {
    text.split(',').map(|address| Some(address.trim().parse::<IpAddr>().ok()?.to_canonical())).collect()
}

pub(super) fn driver_named(text: &str) -> Option<Driver> {
    match text {
        "auto" => Some(Driver::Auto),
        "io-uring" => Some(Driver::IoUring),
        "epoll" => Some(Driver::Epoll),
        _ => None,
    }
}
