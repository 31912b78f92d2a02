//! A load generator for OctoStore, closed loop or open loop, and what its figures are compared with.
//!
//! ```text
//! options ──▶ worker (a thread: epoll, connections) ──▶ report (seconds added up, printed, drawn)
//!                ├─ script: what a lane does next
//!                ├─ pace: when a request is due, and what is open at the end
//!                ├─ local: which names a connection's worker owns
//!                └─ protocol: an operation to bytes, bytes to a verdict
//! ```
//!
//! A *lane* is one caller: it has at most one request under way. A connection carries as many lanes as it is deep, so
//! "16 deep" is sixteen callers that share a connection and never wait for each other.
//!
//! **Closed loop** (the default): each lane sends its next request when it has its answer. It finds the most that a
//! server can do, but when the server pauses, so do the callers: the waiting of all those who would have come in the
//! meantime is missing from the percentiles. **Open loop** (`--rate`): requests have an intended time each, and latency
//! counts from that time, whether a lane was free to send or not. Nothing is omitted, and what is due but not answered at
//! the end is told. In both loops the waiting of what is open at the end is in the maximum.

#![forbid(unsafe_code)]
#![warn(missing_docs)]

pub mod connection;
pub mod local;
pub mod options;
pub mod pace;
pub mod protocol;
pub mod report;
pub mod script;
pub mod server;
pub mod svg;
pub mod worker;
