//! What `crate::sync` is here: the same atomics and the same queue, and a bell that nobody ever sleeps on.

use std::io;

pub use crossbeam_queue::ArrayQueue;
pub use crossbeam_utils::CachePadded;
pub use std::sync::Arc;
pub use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};

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

    /// Nobody waits here: the simulator calls what the journal's thread calls between two waits.
    pub fn wait(&self, _timeout_us: u64) {
        panic!("the simulator never blocks");
    }
}
