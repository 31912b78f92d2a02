//! What `crate::sync` is here: the same atomics and the same queue, and a bell that nobody ever sleeps on.

use std::cell::Cell;
use std::io;

pub use crossbeam_queue::ArrayQueue;
pub use crossbeam_utils::CachePadded;
pub use std::sync::Arc;
pub use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};

thread_local! {
    static WHILE_WAITING: Cell<fn(u64)> = const { Cell::new(|_| panic!("nobody says what goes on meanwhile")) };
}

/// Sets what goes on while the journal's thread waits at its bell, for at most so many microseconds.
pub fn set_while_waiting(work: fn(u64)) {
    WHILE_WAITING.set(work);
}

/// A bell that remembers that it was rung.
#[derive(Debug)]
pub struct Bell {
    rung: AtomicBool,
}

impl Bell {
    /// A silent bell.
    pub fn new(_nonblocking: bool) -> io::Result<Bell> {
        Ok(Bell { rung: AtomicBool::new(false) })
    }

    /// Rings.
    pub fn ring(&self) {
        self.rung.store(true, Ordering::Relaxed);
    }

    /// Whether it has been rung since the last time: what the doorbell's task waits for.
    pub fn heard(&self) -> bool {
        self.rung.swap(false, Ordering::Relaxed)
    }

    /// Only the journal's thread waits, between the slices of a copy: the others go on meanwhile.
    pub fn wait(&self, timeout_us: u64) {
        WHILE_WAITING.get()(timeout_us);
    }
}
