//! What `src/sync.rs` is to the server, made of loom's types.

use std::cell::Cell;
use std::fmt;
use std::ops::Deref;

use loom::thread::{self, Thread};

pub use loom::sync::atomic::{AtomicU32, AtomicU64, Ordering};

pub use crate::array_queue::ArrayQueue;
use crate::explore;

/// crossbeam's `CachePadded` without the padding, which means nothing here.
#[derive(Debug)]
pub struct CachePadded<T>(T);

impl<T> CachePadded<T> {
    /// Wraps a value.
    pub fn new(value: T) -> CachePadded<T> {
        CachePadded(value)
    }
}

impl<T> Deref for CachePadded<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0
    }
}

/// An eventfd: rings add up until they are heard, none is lost.
///
/// It orders nothing: the counter is relaxed, and a sleeper is woken by a thread that knows nothing, since
/// loom's own ways to wake carry the waker's memory to the woken. If everybody sleeps and no bell was
/// rung, the model fails ([`explore::LOST`]). A sleeper is woken when all others rest; being woken
/// earlier looks the same to them as coming late to `wait`, which loom explores.
pub struct Bell {
    rung: AtomicU32,
    /// Who sleeps. Bookkeeping of the model, invisible to loom.
    sleeper: Cell<Option<Thread>>,
}

impl Default for Bell {
    fn default() -> Self {
        Bell::new()
    }
}

impl Bell {
    /// A silent bell.
    pub fn new() -> Bell {
        Bell { rung: AtomicU32::new(0), sleeper: Cell::new(None) }
    }

    /// Rings.
    pub fn ring(&self) {
        self.rung.fetch_add(1, Ordering::Relaxed);
        if let Some(sleeper) = self.sleeper.take() {
            explore::wakes(sleeper);
        }
    }

    /// Waits until the bell has been rung; silences it. (The real one also has a timeout, which can only help.)
    pub fn wait(&self) {
        while self.rung.swap(0, Ordering::Relaxed) == 0 {
            self.sleeper.set(Some(thread::current()));
            explore::sleep();
        }
    }
}

impl fmt::Debug for Bell {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad("Bell { .. }")
    }
}
