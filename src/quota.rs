//! The limit of live locks per user, counted over all cores.
//!
//! A place is reserved when a lock is granted and given back when it is released or has expired; the
//! core that owns the name does both. The count is shared, the limit is a setting: after it was
//! lowered a count may stand above it, and then nothing is dropped, only new grants are refused.

use crate::sync::{AtomicU32, Ordering};

/// Live locks of every account, by the account's number.
#[derive(Debug)]
pub struct Quota {
    counts: Box<[AtomicU32]>,
    limit: u32,
}

impl Quota {
    /// No locks yet, for the accounts `0..accounts`.
    pub fn new(accounts: usize, limit: u32) -> Quota {
        Quota { counts: (0..accounts).map(|_| AtomicU32::new(0)).collect(), limit }
    }

    /// The most live locks a user may have.
    pub fn limit(&self) -> u32 {
        self.limit
    }

    /// How many accounts it has places for.
    pub fn places(&self) -> usize {
        self.counts.len()
    }

    /// Takes a place for one more lock; false if the user has `limit` already.
    pub fn reserve(&self, account: usize) -> bool {
        let Some(count) = self.counts.get(account) else { return false };
        // Relaxed: the compare-exchange alone keeps the count; no other memory rides on it.
        count.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |n| (n < self.limit).then(|| n + 1)).is_ok()
    }

    /// Counts a lock that recovery has found, whatever the limit is now.
    pub fn recover(&self, account: usize) {
        self.counts[account].fetch_add(1, Ordering::Relaxed); // Relaxed: as in `reserve`
    }

    /// Gives a place back.
    pub fn give_back(&self, account: usize) {
        let before = self.counts[account].fetch_sub(1, Ordering::Relaxed); // Relaxed: as in `reserve`
        assert!(before > 0, "a place was given back that nobody had reserved");
    }

    /// The user's live locks just now.
    pub fn count(&self, account: usize) -> u32 {
        self.counts.get(account).map_or(0, |count| count.load(Ordering::Relaxed))
    }
}
