//! Corners of the world that a simulation must come to, or its silence would mean nothing: counted where they are met.

use std::cell::RefCell;
use std::collections::BTreeMap;

/// All of them.
pub const CORNERS: [&str; 27] = [
    "an inbox is full",
    "the journal is full",
    "a request is refused for want of room",
    "the process dies before a write",
    "the process dies after a write",
    "the process is killed",
    "the process is stopped",
    "the journal fails while the process goes on",
    "a client is told that the journal has failed",
    "a start finds locks",
    "a start finds commits that are not in the rows",
    "a lease runs out",
    "a retry gets the lease that it has",
    "the limit is reached",
    "a lease is not current",
    "a list is shown",
    "a list is made in parts",
    "names come and go while a list is made in parts",
    "the server is well",
    "a connection breaks",
    "a backup is made",
    "a commit comes between two slices of a backup",
    "a fold comes between two slices of a backup",
    "a backup is given up",
    "the process dies while a backup is made",
    "a backup is restored",
    "a grant is refused after a restore",
];

thread_local! {
    static MET: RefCell<BTreeMap<&'static str, u64>> = const { RefCell::new(BTreeMap::new()) };
}

/// Here is one of [`CORNERS`].
pub fn met(corner: &'static str) {
    debug_assert!(CORNERS.contains(&corner), "{corner} is not on the list");
    MET.with_borrow_mut(|met| *met.entry(corner).or_default() += 1);
}

/// How often this thread has met it.
pub fn count(corner: &str) -> u64 {
    MET.with_borrow(|met| met.get(corner).copied().unwrap_or(0))
}
