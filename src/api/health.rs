//! `GET /health`.

use serde::Serialize;

use super::Answer;
use super::json::write;

/// What a healthy server says of itself.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Health {
    /// `ok`
    pub status: &'static str,
    /// The server's version.
    pub version: &'static str,
    /// `io_uring` or `epoll`.
    pub driver: &'static str,
    /// How many cores serve.
    pub workers: usize,
    /// Since when, in whole seconds.
    pub uptime_seconds: u64,
}

/// Writes the answer's body.
pub fn answer(body: &mut Vec<u8>, health: &Health) -> Answer {
    write(body, health);
    Answer::OK
}
