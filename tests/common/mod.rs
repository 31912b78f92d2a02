//! What the black-box tests share: the server as a process, and a client made of a socket.
//!
//! Each test starts the real binary on a free port of the loopback, with a home of its own, and talks
//! to it as any client does. Nothing is reached into: what a test knows, it has read from a response,
//! from the log, from an exit status or from the file system.
//!
//! Every wait ends after [`PATIENCE`], so that a hang is a failure. No test asserts a speed.

#![allow(dead_code, unused_imports)] // each of the test crates uses a part of this one

pub mod browser;
pub mod client;
pub mod contract;
pub mod options;
pub mod plain_http;
pub mod process;
pub mod server;
pub mod tools;
pub mod user;

use std::fmt::Display;
use std::time::{Duration, Instant};

use serde_json::Value;

pub use browser::Browser;
pub use client::{Connection, Response, request};
pub use options::{Driver, Home, Options, token_of};
pub use process::Failed;
pub use server::Server;
pub use user::{Grant, User};

/// How long anything may take that must happen at all.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// Makes two tests of each function named: one on io_uring, one on epoll.
#[macro_export]
macro_rules! both_drivers {
    ($($name:ident,)+) => {
        $(mod $name {
            #[test]
            fn io_uring() {
                super::$name($crate::common::Driver::IoUring);
            }

            #[test]
            fn epoll() {
                super::$name($crate::common::Driver::Epoll);
            }
        })+
    };
}

/// Waits until `holds`.
#[track_caller]
pub fn eventually(what: impl Display, mut holds: impl FnMut() -> bool) {
    let start = Instant::now();
    while !holds() {
        assert!(start.elapsed() < PATIENCE, "waited {PATIENCE:?} in vain: {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// The object has these fields, and no others.
#[track_caller]
pub fn assert_fields(object: &Value, fields: &[&str]) {
    let mut found: Vec<&str> = object.as_object().expect("an object").keys().map(String::as_str).collect();
    let mut wanted = fields.to_vec();
    found.sort_unstable();
    wanted.sort_unstable();
    assert_eq!(found, wanted, "{object}");
}

/// The instant that a text in RFC 3339, UTC, with `Z`, names.
#[track_caller]
pub fn instant(value: &Value) -> jiff::Timestamp {
    let text = value.as_str().unwrap_or_else(|| panic!("a time in text, not {value}"));
    assert!(text.ends_with('Z') && text.as_bytes().get(10) == Some(&b'T'), "RFC 3339 in UTC with a Z: {text}");
    text.parse().unwrap_or_else(|error| panic!("{text}: {error}"))
}

/// Asserts that `expires_at` is `ttl_seconds` from now, give or take what a slow machine takes.
#[track_caller]
pub fn assert_expires_in(expires_at: &Value, ttl_seconds: i64) {
    let left = instant(expires_at).as_second() - jiff::Timestamp::now().as_second();
    let wanted = ttl_seconds - PATIENCE.as_secs() as i64..=ttl_seconds + 1;
    assert!(wanted.contains(&left), "{left} s are left of {ttl_seconds} s");
}

/// A random number generator that a seed repeats (xorshift64*).
pub struct Random(u64);

impl Random {
    /// The sequence of `seed`.
    pub fn new(seed: u64) -> Random {
        Random(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1)
    }

    /// A number below `end`.
    pub fn below(&mut self, end: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33) % end
    }
}
