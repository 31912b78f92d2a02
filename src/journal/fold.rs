//! Which rows are behind: the names that committed changes have touched since their rows were written.
//!
//! The journal's thread keeps this map of its own, fed with *committed* records only; it never looks
//! at the live tables, which may be ahead of the disk. A name is in it from its first change until its
//! row says what its last change says. So a name that is not in it has an exact row, or rightly none:
//! a grant that finds no entry is of a name without a row, and any other change that finds none has a
//! row. That is how a lock that is acquired and released between two folds costs no row at all, and
//! how no row outlives its lock.
//!
//! After a restart the journal's tail is absorbed again, and there the reasoning does not hold: a row may have been written
//! from a state later than the first commit of the tail. So every name of the tail is taken to have a row.

use std::collections::VecDeque;

use ahash::RandomState;
use hashbrown::HashMap;
use uuid::Uuid;

use super::record::{Corrupt, decode};
use super::{Row, RowChange};
use crate::fence::FencingToken;
use crate::lease::{Change, LockName, Record, Ttl, UserId};

/// The rows that are behind, oldest first change first.
#[derive(Default)]
pub struct Dirty {
    names: HashMap<LockName, Entry, RandomState>,
    /// Every entry's name, with the commit and the time of its first change.
    order: VecDeque<Due>,
}

struct Entry {
    /// What the row should be, but for its name: most entries are written over many times before they are folded.
    state: Option<Kept>,
    /// Whether the table has a row of this name, of whatever state.
    stored: bool,
}

struct Kept {
    user: UserId,
    lease_id: Uuid,
    token: FencingToken,
    ttl: Ttl,
    metadata: Option<Box<str>>,
}

struct Due {
    commit: u64,
    since_ns: u64,
    name: LockName,
}

/// A bounded piece of folding.
#[derive(Debug, PartialEq, Eq)]
pub struct Slice {
    /// The rows to change.
    pub rows: Vec<RowChange>,
    /// Commits up to this number are in the rows then, and can be trimmed.
    pub through: u64,
}

impl Dirty {
    /// Nothing is behind.
    pub fn new() -> Dirty {
        Dirty::default()
    }

    /// Takes in the records of commit number `commit`, made durable at `now_ns`.
    ///
    /// # Errors
    /// The records were not written by `encode`.
    pub fn absorb(&mut self, commit: u64, now_ns: u64, records: &[u8]) -> Result<(), Corrupt> {
        self.take_in(commit, now_ns, records, |change| !matches!(change, Change::Granted(_)))
    }

    /// Takes in a commit of the tail that recovery has found.
    ///
    /// # Errors
    /// The records were not written by `encode`.
    pub fn absorb_recovered(&mut self, commit: u64, now_ns: u64, records: &[u8]) -> Result<(), Corrupt> {
        self.take_in(commit, now_ns, records, |_| true)
    }

    /// How many names' rows are behind.
    pub fn len(&self) -> usize {
        self.names.len()
    }

    /// Whether every row is exact.
    pub fn is_empty(&self) -> bool {
        self.names.is_empty()
    }

    /// Since when the oldest row has been behind.
    pub fn oldest_ns(&self) -> Option<u64> {
        self.order.front().map(|due| due.since_ns)
    }

    /// Takes out the names whose row fell behind at `until_ns` or before, the oldest first, until `rows` row
    /// changes are found or `names` names looked at. `last_commit` is the newest commit absorbed.
    pub fn slice(&mut self, until_ns: u64, rows: usize, names: usize, last_commit: u64) -> Slice {
        let mut changes = Vec::new();
        for _ in 0..names {
            if changes.len() == rows || self.order.front().is_none_or(|due| due.since_ns > until_ns) {
                break;
            }
            let name = self.order.pop_front().expect("looked at just now").name;
            match self.names.remove(&name).expect("every name in the order has an entry") {
                Entry { state: Some(kept), .. } => changes.push(RowChange::Put(kept.row(name))),
                Entry { state: None, stored: true } => changes.push(RowChange::Delete(name)),
                Entry { state: None, stored: false } => {} // neither the table nor what stays of the journal holds it
            }
        }
        let through = self.order.front().map_or(last_commit, |due| due.commit - 1);
        Slice { rows: changes, through }
    }

    fn take_in(
        &mut self,
        commit: u64,
        now_ns: u64,
        records: &[u8],
        stored: impl Fn(&Change<'_>) -> bool,
    ) -> Result<(), Corrupt> {
        for change in decode(records) {
            let change = change?;
            let (name, state) = match &change {
                Change::Granted(record) | Change::Extended(record) => (record.name, Some(Kept::of(record))),
                Change::Gone { name } => (*name, None),
            };
            if let Some(entry) = self.names.get_mut(name) {
                entry.state = state;
            } else {
                let name = LockName::new(name).expect("decode checks names");
                self.order.push_back(Due { commit, since_ns: now_ns, name: name.clone() });
                self.names.insert(name, Entry { state, stored: stored(&change) });
            }
        }
        Ok(())
    }
}

impl Kept {
    fn of(record: &Record<'_>) -> Kept {
        let Record { user, lease_id, token, ttl, metadata, .. } = *record;
        Kept { user, lease_id, token, ttl, metadata: metadata.map(Box::from) }
    }

    fn row(self, name: LockName) -> Row {
        let Kept { user, lease_id, token, ttl, metadata } = self;
        Row { name, user, lease_id, token, ttl, metadata }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fence::Fence;
    use crate::journal::encode;

    fn record(name: &str) -> Record<'_> {
        Record {
            name,
            user: UserId(0),
            lease_id: Uuid::nil(),
            token: Fence::recovered(1).unwrap(),
            ttl: Ttl::DEFAULT,
            metadata: None,
        }
    }

    fn records(changes: &[Change<'_>]) -> Vec<u8> {
        let mut bytes = Vec::new();
        changes.iter().for_each(|change| encode(&mut bytes, change));
        bytes
    }

    fn all(dirty: &mut Dirty, last: u64) -> Slice {
        dirty.slice(u64::MAX, usize::MAX, 1000, last)
    }

    #[test]
    fn a_lock_that_comes_and_goes_between_two_folds_never_touches_a_row() {
        let mut dirty = Dirty::new();
        dirty.absorb(1, 0, &records(&[Change::Granted(record("a"))])).unwrap();
        dirty.absorb(2, 0, &records(&[Change::Gone { name: "a" }])).unwrap();
        assert_eq!(all(&mut dirty, 2), Slice { rows: vec![], through: 2 });
    }

    #[test]
    fn a_removal_of_a_folded_lock_deletes_its_row() {
        let mut dirty = Dirty::new();
        dirty.absorb(1, 0, &records(&[Change::Granted(record("a"))])).unwrap();
        assert_eq!(all(&mut dirty, 1).rows, [RowChange::Put(Row::from(&record("a")))]);
        dirty.absorb(2, 0, &records(&[Change::Gone { name: "a" }])).unwrap();
        assert_eq!(all(&mut dirty, 2).rows, [RowChange::Delete(LockName::new("a").unwrap())]);
    }

    #[test]
    fn rule_4_a_removal_over_an_older_row_is_kept_through_a_new_grant_and_its_end() {
        let mut dirty = Dirty::new();
        dirty.absorb(1, 0, &records(&[Change::Granted(record("a"))])).unwrap();
        all(&mut dirty, 1);
        let again = [Change::Gone { name: "a" }, Change::Granted(record("a")), Change::Gone { name: "a" }];
        dirty.absorb(2, 0, &records(&again)).unwrap();
        assert_eq!(all(&mut dirty, 2).rows, [RowChange::Delete(LockName::new("a").unwrap())]);
    }

    #[test]
    fn a_recovered_tail_takes_every_name_to_have_a_row() {
        let mut dirty = Dirty::new();
        dirty.absorb_recovered(5, 0, &records(&[Change::Granted(record("a"))])).unwrap();
        dirty.absorb(6, 0, &records(&[Change::Gone { name: "a" }])).unwrap();
        assert_eq!(all(&mut dirty, 6).rows, [RowChange::Delete(LockName::new("a").unwrap())]);
    }

    #[test]
    fn rule_6_trimming_stops_before_the_first_commit_that_is_not_folded() {
        let mut dirty = Dirty::new();
        dirty.absorb(1, 10, &records(&[Change::Granted(record("a"))])).unwrap();
        dirty.absorb(2, 20, &records(&[Change::Granted(record("b")), Change::Granted(record("c"))])).unwrap();
        dirty.absorb(3, 30, &records(&[Change::Extended(record("a"))])).unwrap();
        assert_eq!(dirty.slice(20, 2, 1000, 3).through, 1, "c of commit 2 is still behind");
        assert_eq!(dirty.slice(15, 2, 1000, 3), Slice { rows: vec![], through: 1 }, "c is not due yet");
        assert_eq!(dirty.slice(20, 2, 1000, 3).through, 3, "a's change of commit 3 was folded with its first");
        assert!(dirty.is_empty());
    }
}
