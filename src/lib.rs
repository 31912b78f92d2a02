//! OctoStore: distributed locks over HTTP with fencing tokens.
//!
//! In reading order, along the way of a request:
//!
//! ```text
//!            accept            parse/route/auth          apply (pure)              group commit
//! client ──▶ net ────────────▶ http, api, auth ─ hub ─▶ shard: lease::LockTable ─┐
//!                                   │                                            ├─▶ journal ─▶ SQLite
//!                                   └─ mesh ─▶ handoff ─▶ hub ─▶ shard ──────────┘      │
//! client ◀── net ◀── http::respond ◀── api ◀── hub ◀── watermark, gate ◀────────────────┘
//! ```

#![deny(unsafe_code)] // one place needs it, and says why
#![warn(missing_docs)]

pub mod admin;
pub mod cli;
pub mod config;
pub mod logging;

pub mod worker;

pub mod net;

pub mod http;

pub mod api;
pub mod auth;
pub mod front;

pub mod hub;
pub mod mesh;
pub mod registrar;
pub mod shard;
pub mod tickets;

pub mod journal;

pub mod database_lock;

pub mod lease;

pub mod fence;
pub mod handoff;
pub mod quota;
pub mod watermark;

pub mod address;
pub mod calendar;
pub mod clock;
pub mod metrics;
pub mod process;
pub mod sync;
pub mod vitals;

#[cfg(test)]
mod handoff_stress;

#[cfg(test)]
mod scratch;
