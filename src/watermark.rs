//! The watermark: how far one core's changes are on disk.
//!
//! Each core numbers its changes 1, 2, 3, …; the journal's thread raises the core's watermark once
//! their commit has been synced. An answer that shows change `n` of a core is held until the mark
//! has reached `n`, whichever core the client's connection lives on.

use crate::sync::{AtomicU64, CachePadded, Ordering};

/// One core's durable sequence number. Written by the journal's thread alone, read by every core.
#[derive(Debug)]
pub struct Watermark {
    durable: CachePadded<AtomicU64>,
}

impl Default for Watermark {
    fn default() -> Self {
        Watermark::new()
    }
}

impl Watermark {
    /// A mark that covers nothing but 0, "no change at all".
    pub fn new() -> Watermark {
        Watermark { durable: CachePadded::new(AtomicU64::new(0)) }
    }

    /// Says that all changes up to `seq` are on disk. Only the journal's thread calls it, with rising numbers.
    pub fn raise(&self, seq: u64) {
        // Release pairs with the Acquire in `durable`: who sees the mark sees what was written before it.
        self.durable.store(seq, Ordering::Release);
    }

    /// The highest change of this core known to be on disk.
    pub fn durable(&self) -> u64 {
        // Acquire pairs with the Release in `raise`.
        self.durable.load(Ordering::Acquire)
    }
}
