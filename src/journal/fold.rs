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
use uuid::Uuid;

use super::record::{Corrupt, decode};
use super::{Row, RowChange};
use crate::fence::FencingToken;
use crate::lease::{Change, LockName, NameIndex, Record, Ttl, UserId};

/// Room that is kept after a burst, in names.
const ROOM_KEPT: usize = 4096;

/// The rows that are behind, oldest first change first.
#[derive(Default)]
pub struct Dirty {
    behind: VecDeque<Entry>,
    /// By name, the entries' numbers: the first there ever was is number 0.
    numbers: NameIndex<u64>,
    /// How many entries have been taken out: the number of the first one in `behind`.
    first: u64,
    hasher: RandomState,
}

struct Entry {
    name: LockName,
    /// The commit of its first change, and the time of that.
    commit: u64,
    since_ns: u64,
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
        self.behind.len()
    }

    /// Whether every row is exact.
    pub fn is_empty(&self) -> bool {
        self.behind.is_empty()
    }

    /// Since when the oldest row has been behind.
    pub fn oldest_ns(&self) -> Option<u64> {
        self.behind.front().map(|entry| entry.since_ns)
    }

    /// Whether so many names, at least one, fell behind at `until_ns` or before.
    pub fn are_behind(&self, names: usize, until_ns: u64) -> bool {
        self.behind.get(names - 1).is_some_and(|entry| entry.since_ns <= until_ns)
    }

    /// Takes out the names whose row fell behind at `until_ns` or before, the oldest first, until `rows` row
    /// changes are found or `names` names looked at. `last_commit` is the newest commit absorbed.
    pub fn slice(&mut self, until_ns: u64, rows: usize, names: usize, last_commit: u64) -> Slice {
        let mut changes = Vec::new();
        for _ in 0..names {
            if changes.len() == rows || self.oldest_ns().is_none_or(|since_ns| since_ns > until_ns) {
                break;
            }
            let Entry { name, state, stored, .. } = self.take_out();
            match state {
                Some(kept) => changes.push(RowChange::Put(kept.row(name))),
                None if stored => changes.push(RowChange::Delete(name)),
                None => {} // neither the table nor what stays of the journal holds it
            }
        }
        self.give_up_room();
        let through = self.behind.front().map_or(last_commit, |entry| entry.commit - 1);
        Slice { rows: changes, through }
    }

    /// Takes out the oldest entry.
    fn take_out(&mut self) -> Entry {
        let entry = self.behind.pop_front().expect("looked at just now");
        let (hash, number) = (self.hasher.hash_one(&*entry.name), self.first);
        self.numbers.remove(hash, |&n| n == number);
        self.first += 1;
        entry
    }

    /// After a burst: a million names are behind for a second, and their room is no longer needed.
    fn give_up_room(&mut self) {
        let Dirty { behind, numbers, first, hasher } = self;
        if behind.capacity() > ROOM_KEPT.max(8 * behind.len()) {
            behind.shrink_to(ROOM_KEPT.max(2 * behind.len()));
            numbers.shrink_to(behind.capacity(), |&n| hasher.hash_one(&*behind[(n - *first) as usize].name));
        }
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
            let Dirty { behind, numbers, first, hasher } = self;
            let hash = hasher.hash_one(name);
            if let Some(&n) = numbers.find(hash, |&n| *behind[(n - *first) as usize].name == *name) {
                let entry = &mut behind[(n - *first) as usize];
                entry.state = state;
                continue;
            }
            let name = LockName::new(name).expect("decode checks names");
            behind.push_back(Entry { name, commit, since_ns: now_ns, state, stored: stored(&change) });
            let number = *first + behind.len() as u64 - 1;
            numbers.insert(hash, number, |&n| hasher.hash_one(&*behind[(n - *first) as usize].name));
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
        dirty.slice(u64::MAX, usize::MAX, usize::MAX, last)
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
    fn the_room_of_a_burst_is_given_up_and_nothing_that_is_behind_is_lost() {
        let mut dirty = Dirty::new();
        let names: Vec<String> = (0..100_000).map(|n| format!("lock-{n}")).collect();
        for (number, name) in (1..).zip(&names) {
            dirty.absorb(number, number, &records(&[Change::Granted(record(name))])).unwrap();
        }
        let room = dirty.behind.capacity();
        assert_eq!(dirty.slice(99_000, usize::MAX, usize::MAX, 100_000).through, 99_000);
        assert!(dirty.behind.capacity() < room / 8 && dirty.numbers.count() == dirty.len());
        dirty.absorb(100_001, 100_001, &records(&[Change::Gone { name: &names[99_500] }])).unwrap();
        let rest = all(&mut dirty, 100_001);
        assert_eq!((rest.rows.len(), rest.through), (999, 100_001), "{} came and went", names[99_500]);
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
