//! What threads may share: the one file that names atomics, `Arc`, the queue and the bell.
//!
//! `handoff.rs`, `fence.rs`, `watermark.rs` and `quota.rs` import from here and from nowhere else, so that
//! `loom-tests` can compile those very files against a `sync.rs` of its own, made of loom's types,
//! and check every interleaving. The server itself holds no `cfg(loom)`.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

pub use crossbeam_queue::ArrayQueue;
pub use crossbeam_utils::CachePadded;
pub use std::sync::Arc;
pub use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};

use rustix::event::{EventfdFlags, PollFd, PollFlags, Timespec, eventfd, poll};

/// A doorbell: an eventfd that any thread may ring, and that one thread sleeps on.
///
/// A worker waits for it through its own runtime (see `net::doorbell`), the journal's thread by
/// [`Bell::wait`]. Rings add up until they are heard, so a ring is never lost, only merged.
#[derive(Debug)]
pub struct Bell {
    event: OwnedFd,
}

impl Bell {
    /// A silent bell. `nonblocking` is what the reader's runtime needs: true for epoll, false for io_uring.
    ///
    /// # Errors
    /// The descriptor limit (EMFILE, ENFILE) or the kernel's memory (ENOMEM).
    pub fn new(nonblocking: bool) -> io::Result<Bell> {
        let flags = if nonblocking { EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK } else { EventfdFlags::CLOEXEC };
        Ok(Bell { event: eventfd(0, flags)? })
    }

    /// Rings. One system call; never waits, since nobody lets 2^64 rings add up.
    pub fn ring(&self) {
        let rung = rustix::io::write(&self.event, &1u64.to_ne_bytes());
        // EAGAIN would mean that the counter is full, and so that the bell is ringing already.
        debug_assert!(matches!(rung, Ok(8) | Err(rustix::io::Errno::AGAIN)), "eventfd: {rung:?}");
    }

    /// Sleeps until the bell has been rung, or until `timeout_us` microseconds have passed; silences it.
    /// For a thread without a runtime.
    pub fn wait(&self, timeout_us: u64) {
        let timeout =
            Timespec { tv_sec: (timeout_us / 1_000_000) as i64, tv_nsec: (timeout_us % 1_000_000) as i64 * 1_000 };
        let mut polled = [PollFd::new(&self.event, PollFlags::IN)];
        if matches!(poll(&mut polled, Some(&timeout)), Ok(1)) {
            let _ = rustix::io::read(&self.event, &mut [0u8; 8]);
        }
    }
}

impl AsFd for Bell {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.event.as_fd()
    }
}
