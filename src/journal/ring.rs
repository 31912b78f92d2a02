//! The places of the untrimmed commits: which slot the next one goes to, and how much room is left.
//!
//! A journal has a fixed number of slots, used again and again. The next commit takes the lowest free
//! one, not the next in turn: the file then grows with the most commits that were ever untrimmed at
//! once, mostly a few hundred, and the same pages are written over and over, which makes checkpoints
//! cheaper. The order of the commits is in their numbers, so where they lie says nothing.
//!
//! A slot is free when its commit is trimmed, never before; trimming takes a strict prefix.

use std::collections::{BTreeSet, VecDeque};

use super::{Commit, JournalError, Room};

/// How many commits, and how many bytes of records, a journal holds untrimmed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Commits.
    pub commits: u64,
    /// Bytes of their records.
    pub bytes: u64,
}

impl Limits {
    /// What a server has. Folding begins long before, so this is how long a load may outrun it.
    pub const STANDARD: Limits = Limits { commits: 8192, bytes: 64 << 20 };
}

/// The slots. Knows of the disk only what it is told.
#[derive(Debug)]
pub(super) struct Ring {
    limits: Limits,
    last: u64,
    /// Slot and size of the commits that are not trimmed: the last is number `last`, the one before it one less, …
    live: VecDeque<(u64, u64)>,
    bytes: u64,
    free: BTreeSet<u64>,
}

impl Ring {
    /// A ring whose last commit was number `last`, and whose newest commits lie in these slots with these sizes, in order.
    pub fn new(limits: Limits, last: u64, live: impl IntoIterator<Item = (u64, u64)>) -> Ring {
        let live: VecDeque<(u64, u64)> = live.into_iter().collect();
        let bytes = live.iter().map(|(_, bytes)| bytes).sum();
        let mut free: BTreeSet<u64> = (0..limits.commits).collect();
        live.iter().for_each(|(slot, _)| _ = free.remove(slot));
        Ring { limits, last, live, bytes, free }
    }

    /// Of a journal that has not been recovered yet: nothing fits in.
    pub fn unread() -> Ring {
        Ring::new(Limits { commits: 0, bytes: 0 }, 0, [])
    }

    /// The slot for `commit`. Nothing is taken before [`Ring::appended`] is called.
    ///
    /// # Errors
    /// It is not the next commit, or there is no room for it: a mistake of the writer's.
    pub fn slot_for(&self, commit: &Commit<'_>) -> Result<u64, JournalError> {
        let (number, next) = (commit.number, self.last + 1);
        if number != next {
            return Err(JournalError::Failed(format!("commit {number} is out of order: {next} comes next")));
        }
        match self.free.first() {
            Some(&slot) if self.room().fits(commit.records.len()) => Ok(slot),
            _ => Err(JournalError::Failed(format!("commit {number} does not fit: the journal must be trimmed first"))),
        }
    }

    /// The next commit is on disk, in the slot that [`Ring::slot_for`] gave.
    pub fn appended(&mut self, slot: u64, bytes: usize) {
        assert!(self.free.remove(&slot), "slot {slot} holds a commit that is not trimmed");
        self.last += 1;
        self.live.push_back((slot, bytes as u64));
        self.bytes += bytes as u64;
    }

    /// Whether there is a commit with this number, trimmed or not.
    ///
    /// # Errors
    /// There is none yet, so it cannot be trimmed: a mistake of the writer's.
    pub fn check_trim(&self, through: u64) -> Result<(), JournalError> {
        if through > self.last {
            return Err(JournalError::Failed(format!(
                "commit {through} cannot be trimmed: {} was the last",
                self.last
            )));
        }
        Ok(())
    }

    /// All commits up to this number are trimmed, on disk. A number below an earlier one changes nothing.
    pub fn trimmed(&mut self, through: u64) {
        let keep = self.last.saturating_sub(through);
        while self.live.len() as u64 > keep {
            let Some((slot, bytes)) = self.live.pop_front() else { break };
            self.bytes -= bytes;
            // A slot from a time of higher limits is not used again.
            if slot < self.limits.commits {
                self.free.insert(slot);
            }
        }
    }

    /// How full it is.
    pub fn room(&self) -> Room {
        Room {
            used: self.live.len() as u64,
            capacity: self.limits.commits,
            used_bytes: self.bytes,
            capacity_bytes: self.limits.bytes,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn commit(number: u64, records: &[u8]) -> Commit<'_> {
        Commit { number, mark: 0, records }
    }

    fn append(ring: &mut Ring, number: u64, size: usize) -> u64 {
        let slot = ring.slot_for(&commit(number, &vec![0; size])).unwrap();
        ring.appended(slot, size);
        slot
    }

    #[test]
    fn the_lowest_free_slot_is_used_again() {
        let mut ring = Ring::new(Limits { commits: 4, bytes: 100 }, 0, []);
        assert_eq!([1, 2, 3].map(|number| append(&mut ring, number, 1)), [0, 1, 2]);
        ring.trimmed(2);
        assert_eq!([4, 5, 6].map(|number| append(&mut ring, number, 1)), [0, 1, 3]);
        assert_eq!(ring.room(), Room { used: 4, capacity: 4, used_bytes: 4, capacity_bytes: 100 });
        assert!(ring.slot_for(&commit(7, b"")).is_err());
    }

    #[test]
    fn trimming_backwards_changes_nothing() {
        let mut ring = Ring::new(Limits { commits: 4, bytes: 100 }, 10, [(0, 5), (3, 6)]);
        ring.trimmed(9);
        ring.trimmed(3);
        assert_eq!((ring.room().used, ring.room().used_bytes), (1, 6));
        assert!(ring.check_trim(10).is_ok() && ring.check_trim(11).is_err());
        ring.trimmed(10);
        assert_eq!((ring.room().used, ring.room().used_bytes), (0, 0));
    }

    #[test]
    fn the_bytes_are_bounded_as_well() {
        let mut ring = Ring::new(Limits { commits: 4, bytes: 10 }, 0, []);
        append(&mut ring, 1, 7);
        assert!(ring.slot_for(&commit(2, b"1234")).is_err());
        assert!(ring.slot_for(&commit(2, b"123")).is_ok());
    }

    #[test]
    fn a_ring_that_was_larger_drains_into_the_smaller_one() {
        let mut ring = Ring::new(Limits { commits: 2, bytes: 100 }, 3, [(0, 1), (1, 1), (9, 1)]);
        assert!(ring.slot_for(&commit(4, b"")).is_err());
        ring.trimmed(1);
        assert!(ring.slot_for(&commit(4, b"")).is_err());
        ring.trimmed(3);
        assert_eq!([4, 5].map(|number| append(&mut ring, number, 1)), [0, 1]);
        assert!(ring.slot_for(&commit(6, b"")).is_err());
    }

    #[test]
    fn before_recovery_nothing_fits() {
        assert!(Ring::unread().slot_for(&commit(1, b"")).is_err());
        assert_eq!(Ring::unread().room().fraction(), 1.0);
    }
}
