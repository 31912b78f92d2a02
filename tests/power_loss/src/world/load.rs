//! What the journal's thread does in a life: commits, folds, changes of accounts.

use std::collections::BTreeMap;

use octostore::fence::Fence;
use octostore::journal::{Commit, Dirty, Journal, JournalError, Row, SqliteJournal, decide, encode};
use octostore::lease::{Change, Record, Ttl, UserId};
use uuid::Uuid;

use super::known::replay;
use super::{Mistake, World};
use crate::people::People;
use crate::story::note;

/// As the journal's thread has it.
const SLICE_ROWS: usize = 256;

impl World<'_> {
    /// One thing.
    pub(super) fn work_once(&mut self, journal: &mut SqliteJournal, dirty: &mut Dirty) -> Result<(), JournalError> {
        match self.random.below(22) {
            0..12 => self.append(journal, dirty),
            12..16 => self.fold(journal, dirty),
            16..19 => self.change_an_account(journal),
            19 => journal.probe(),
            20 if self.known.grace_s > 0 && self.random.one_in(4) => self.end_grace(journal),
            _ => journal.tidy(),
        }
    }

    /// An errand, as the journal's thread runs it.
    fn change_an_account(&mut self, journal: &mut SqliteJournal) -> Result<(), JournalError> {
        let errand = self.known.people.draw_errand(&mut self.random);
        let found = journal.holder(&errand.whose)?;
        let Ok(change) = decide(&errand, found) else { return Ok(()) };
        let after = self.known.people.after(&change);
        note(|| format!("an account changes: {change:?}"));
        if self.mistake == Mistake::AccountAnsweredTooEarly {
            self.known.people = after.clone();
        } else {
            self.known.people_under_way = Some(after.clone());
        }
        let account = journal.change_account(&change)?;
        self.known.people_under_way = None;
        self.known.people = after;
        self.known.people.is_now(account);
        self.tally.account_changes += 1;
        if self.random.one_in(4) {
            let people = People::read(journal)?;
            assert!(people == self.known.people, "accounts are others: {people:?}, but not {:?}", self.known.people);
        }
        journal.tidy()
    }

    /// The time of the grace period has passed, as a process sees it.
    fn end_grace(&mut self, journal: &mut SqliteJournal) -> Result<(), JournalError> {
        self.known.grace_ends = true;
        journal.end_grace()?;
        (self.known.grace_s, self.known.grace_ends) = (0, false);
        Ok(())
    }

    pub(super) fn append(&mut self, journal: &mut SqliteJournal, dirty: &mut Dirty) -> Result<(), JournalError> {
        let records = self.draw_records();
        while !journal.room().fits(records.len()) {
            self.fold(journal, dirty)?;
        }
        let (number, mark) = (self.known.number + 1, self.known.tokens);
        if self.mistake == Mistake::AcknowledgedTooEarly {
            replay(&mut self.known.locks, &records);
            (self.known.number, self.known.mark) = (number, mark);
        } else {
            self.known.under_way = Some((mark, records.clone()));
        }
        note(|| format!("commit {number}, {} bytes", records.len()));
        journal.append(&Commit { number, mark, records: &records })?;
        if self.known.under_way.take().is_some() {
            replay(&mut self.known.locks, &records);
            (self.known.number, self.known.mark) = (number, mark);
        }
        dirty.absorb(number, 0, &records).expect("sound records");
        if self.random.one_in(2) { journal.tidy() } else { Ok(()) }
    }

    pub(super) fn fold(&mut self, journal: &mut SqliteJournal, dirty: &mut Dirty) -> Result<(), JournalError> {
        let rows = if self.random.one_in(2) { SLICE_ROWS } else { 1 + self.random.index(8) };
        let slice = dirty.slice(u64::MAX, rows, 8192, self.known.number);
        let mark = self.known.mark;
        self.known.mark_under_way = mark;
        note(|| format!("fold of {} rows through {}", slice.rows.len(), slice.through));
        let through = match self.mistake {
            Mistake::TrimmedTooFar => (slice.through + 1).min(self.known.number),
            _ => slice.through,
        };
        if self.mistake == Mistake::TrimmedBeforeTheRows {
            journal.fold(&[], mark, through)?;
        }
        journal.fold(&slice.rows, mark, through)?;
        if self.random.one_in(2) { journal.tidy() } else { Ok(()) }
    }

    /// Some changes, each of which follows from the state before. At times as many as the journal's thread would gather.
    fn draw_records(&mut self) -> Vec<u8> {
        let most = self.random.pick(&[1, 4, 4, 40, 300]);
        let mut held: BTreeMap<String, Option<Row>> = BTreeMap::new();
        let mut records = Vec::new();
        // Tokens that are minted for nothing count, too.
        self.known.tokens = self.known.tokens.max(self.known.mark) + self.random.below(3);
        for _ in 0..=self.random.below(most) {
            let name = format!("lock-{}", self.random.below(600));
            let before = held.get(&name).cloned().unwrap_or_else(|| self.known.locks.get(&name).cloned());
            let after = match before {
                Some(_) if self.random.one_in(2) => {
                    encode(&mut records, &Change::Gone { name: &name });
                    None
                }
                Some(row) => {
                    let ttl = self.draw_ttl();
                    let row = Row { ttl, ..row };
                    encode(&mut records, &Change::Extended(Record::from(&row)));
                    Some(row)
                }
                None => Some(self.grant(&name, &mut records)),
            };
            held.insert(name, after);
        }
        records
    }

    fn grant(&mut self, name: &str, records: &mut Vec<u8>) -> Row {
        self.known.tokens += 1;
        let note = "n".repeat(self.random.index(1024));
        let record = Record {
            name,
            user: UserId(self.random.below(self.known.people.0.len() as u64) as u32),
            lease_id: Uuid::from_u128(u128::from(self.random.bits())),
            token: Fence::recovered(self.known.tokens).expect("a token"),
            ttl: self.draw_ttl(),
            metadata: self.random.one_in(2).then_some(&note),
        };
        encode(records, &Change::Granted(record));
        Row::from(&record)
    }

    fn draw_ttl(&mut self) -> Ttl {
        Ttl::from_seconds(1 + self.random.below(3600)).expect("a TTL")
    }
}
