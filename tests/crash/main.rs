//! kill -9 under load from many connections that fight for few locks, again and again.
//!
//! `load.rs` makes the load and writes down what every client asked and was told, and when. `history.rs` then says
//! whether a lock server that keeps its promises could have answered so, crashes and all.
//!
//! `OCTOSTORE_CRASH_ROUNDS` says how many kills (default 6); `scripts/crash` makes it hundreds.

#[path = "../common/mod.rs"]
mod common;

mod history;
mod load;
mod the_checker;
