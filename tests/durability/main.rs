//! What is acknowledged is on disk; what is not on disk is not acknowledged.
//!
//! strace watches the system calls of the server, and breaks them: a sync that fails, a sync that is
//! slow, a disk that is full. It injects per thread; only the journal's thread syncs and writes the
//! database, so "from the n-th on" is exact.

#[path = "../common/mod.rs"]
mod common;

mod failure;
mod order;
mod slow_disk;
mod stalled;
mod time;
mod wall_clock;
