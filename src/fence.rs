//! The fence: one global counter that mints fencing tokens.
//!
//! A fencing token is a number that rises with every lease granted, over all names, all cores, all
//! restarts. A resource that remembers the highest token it has seen can refuse a holder whose lease
//! has run out without its noticing (Kleppmann, "How to do distributed locking", 2016).
//!
//! The counter itself is never written to disk. Each batch of the journal carries the highest token
//! minted in it, every commit raises the stored mark to it, and no token is shown before its commit;
//! so a start that goes on above the stored mark can only re-mint tokens nobody has ever seen.

use crate::sync::{AtomicU64, CachePadded, Ordering};

/// The highest token that may ever be minted: JavaScript's largest exact integer, 2^53 − 1.
pub const HIGHEST_TOKEN: u64 = (1 << 53) - 1;

/// A number from 1 to [`HIGHEST_TOKEN`] that only a [`Fence`] makes, or gives back from a record of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct FencingToken(u64);

impl FencingToken {
    /// The number, as it is shown and stored.
    pub fn get(self) -> u64 {
        self.0
    }
}

/// The counter. Shared by all cores.
#[derive(Debug)]
pub struct Fence {
    last: CachePadded<AtomicU64>,
}

impl Fence {
    /// A fence whose first token is `mark + 1`; `mark` is the highest token that any record shows, 0 if none.
    pub fn above(mark: u64) -> Fence {
        Fence { last: CachePadded::new(AtomicU64::new(mark)) }
    }

    /// The next token: higher than every token minted before it. None when 2^53 − 1 has been passed.
    pub fn mint(&self) -> Option<FencingToken> {
        // Relaxed is enough: a read-modify-write always takes the newest value in the counter's own
        // order, so tokens are unique; and a thread's later mint is later in that order, so the
        // tokens of a name, all minted by its owner's thread, rise. No other memory rides on it.
        let last = self.last.fetch_add(1, Ordering::Relaxed);
        (last < HIGHEST_TOKEN).then(|| FencingToken(last + 1))
    }

    /// A token read back from a record of this fence's. None if no fence can have minted it.
    pub fn recovered(token: u64) -> Option<FencingToken> {
        (1..=HIGHEST_TOKEN).contains(&token).then_some(FencingToken(token))
    }
}
