//! The journal: what makes changes durable.
//!
//! The workers put their changes into [`Batch`]es; one thread ([`writer`]) gathers the batches of
//! all cores, appends them as one [`Commit`] (one row, one fsync), and raises the watermarks. Later,
//! between commits, it *folds*: the rows per lock are brought up to date with what has been committed, and the journal
//! before them is trimmed, both in one transaction. A lock that is acquired and released between two
//! folds never touches a row.
//!
//! The table holds the state up to the trim mark, the untrimmed commits hold what came after; records say whole states, so
//! replaying a commit that a row has seen already changes nothing.

mod accounts;
mod backup;
#[cfg(test)]
mod contract;
mod fold;
mod intake;
mod memory;
mod memory_copy;
mod record;
mod recovery;
mod restore;
mod ring;
mod sqlite;
mod sqlite_accounts;
mod sqlite_backup;
mod sqlite_files;
mod sqlite_locks;
mod sqlite_meta;
mod sqlite_offline;
mod sqlite_padding;
mod sqlite_schema;
mod sqlite_sums;
mod sqlite_wal;
mod writer;

pub use accounts::{
    Account, AccountChange, AccountErrand, AccountOp, AccountRefusal, Holder, MAX_TOKENS, TokenHash, Whose, decide,
};
pub use backup::{Copied, Pages, Source};
pub use fold::{Dirty, Slice};
pub use intake::{Batch, Errand, Intake};
pub use memory::{Call, Disk, Effect, MemoryJournal};
pub use record::{Corrupt, Records, decode, encode};
pub use restore::{GRACE_S, TOKENS_A_SECOND};
pub use ring::Limits;
pub use sqlite::SqliteJournal;
pub use sqlite_offline::{Inspected, SCHEMA_VERSION};
pub use writer::{USERS_AT_ONCE, Workers, Writer};

use uuid::Uuid;

use crate::lease::{LockName, Record, Ttl, UserId};

/// One transaction of the commit path. Its number is one more than the last one's, over all runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Commit<'a> {
    /// The commit's number: 1, 2, 3, … over all runs of the server.
    pub number: u64,
    /// The highest fencing token known to be minted: never lower than in the commit before.
    pub mark: u64,
    /// The changes, in the order in which they took effect, as [`encode`] wrote them.
    pub records: &'a [u8],
}

/// A held lock, as it is stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// The lock.
    pub name: LockName,
    /// Who holds it.
    pub user: UserId,
    /// By which lease.
    pub lease_id: Uuid,
    /// With which token.
    pub token: crate::fence::FencingToken,
    /// How long the lease lasts, from the start that recovers it.
    pub ttl: Ttl,
    /// Its note.
    pub metadata: Option<Box<str>>,
}

impl From<&Record<'_>> for Row {
    /// # Panics
    /// If the record's name is none; [`decode`] gives no such record.
    fn from(record: &Record<'_>) -> Row {
        let Record { name, user, lease_id, token, ttl, metadata } = *record;
        let name = LockName::new(name).expect("a record has a checked name");
        Row { name, user, lease_id, token, ttl, metadata: metadata.map(Box::from) }
    }
}

impl<'a> From<&'a Row> for Record<'a> {
    fn from(row: &'a Row) -> Record<'a> {
        let Row { ref name, user, lease_id, token, ttl, ref metadata } = *row;
        Record { name, user, lease_id, token, ttl, metadata: metadata.as_deref() }
    }
}

/// What a fold does to one lock's row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RowChange {
    /// Write it.
    Put(Row),
    /// Delete it.
    Delete(LockName),
}

/// What a start finds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Recovered {
    /// Every held lock: the table's rows with the journal replayed over them. Each name once.
    pub locks: Vec<Row>,
    /// The highest fencing token that the meta row, the journal or the table shows.
    pub mark: u64,
    /// The number of the last commit, 0 if there was none.
    pub last_commit: u64,
    /// The untrimmed commits, number and records, in order: their rows may be behind.
    pub tail: Vec<(u64, Vec<u8>)>,
    /// For so long no lock may be granted, from this start: a backup was restored, and no start has run that long yet.
    pub grace_s: u64,
}

/// Why something could not be stored or read. Its text is for the operator.
#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    /// The disk or the database failed. After it nothing may be tried again: memory is ahead of the disk.
    #[error("{0}")]
    Failed(String),
    /// What is stored contradicts itself. Nothing was skipped.
    #[error("{0}")]
    Corrupt(String),
    /// Another node has taken over (a journal that several nodes share; none of today's).
    #[error("another node has taken over this journal")]
    Deposed,
}

/// Where commits go. Blocking; owned and called by one thread. Every call either has its whole
/// effect, on disk, before it returns, or fails; after a failure the journal is not used again.
pub trait Journal: Send {
    /// Reads back everything that was acknowledged. Called once, before the first commit: until then there is no room.
    ///
    /// # Errors
    /// What could not be read, and what to do.
    fn recover(&mut self) -> Result<Recovered, JournalError>;

    /// Sees to it that every account of `wanted` (kind, external id) exists, durably, and gives all there are, by number.
    /// Numbers count up from 0 and are never used twice. Records and rows may name no others.
    ///
    /// # Errors
    /// As for `append`.
    fn accounts(&mut self, wanted: &[(&str, &str)]) -> Result<Vec<Account>, JournalError>;

    /// Every stored token with its account, in no order.
    ///
    /// # Errors
    /// What could not be read.
    fn tokens(&mut self) -> Result<Vec<(TokenHash, UserId)>, JournalError>;

    /// The accounts from number `from` on, by number, at most so many; each with how many stored tokens it has.
    ///
    /// # Errors
    /// What could not be read.
    fn users(&mut self, from: UserId, most: usize) -> Result<Vec<(Account, u32)>, JournalError>;

    /// The account that is meant, with its tokens, if there is one.
    ///
    /// # Errors
    /// What could not be read.
    fn holder(&mut self, whose: &Whose) -> Result<Option<Holder>, JournalError>;

    /// Makes a change of an account durable, and gives the account: a new one with the next number and a public id.
    ///
    /// # Errors
    /// As for `append`.
    fn change_account(&mut self, change: &AccountChange) -> Result<Account, JournalError>;

    /// Makes a commit durable. There must be room for it, and its number must be the next.
    ///
    /// # Errors
    /// The commit may or may not be there; the process must end.
    fn append(&mut self, commit: &Commit<'_>) -> Result<(), JournalError>;

    /// Applies the row changes, raises the stored mark, and trims all commits up to number `through`, in one transaction.
    /// Row changes and trimming are idempotent. `through` never falls.
    ///
    /// # Errors
    /// Nothing of it happened, or all; the process must end.
    fn fold(&mut self, rows: &[RowChange], mark: u64, through: u64) -> Result<(), JournalError>;

    /// Does what can be put off, if it is due: called after every commit and fold, when the answers that
    /// waited for it are on their way. Without it the next commit must do the work, once it is overdue.
    ///
    /// # Errors
    /// As for `append`; everything acknowledged is safe.
    fn tidy(&mut self) -> Result<(), JournalError> {
        Ok(())
    }

    /// Notes how full the disk is, now and then: called when there is nothing else to do.
    fn survey(&mut self) {}

    /// How full the journal is.
    fn room(&self) -> Room;

    /// Proves that a commit can succeed, without changing anything.
    ///
    /// # Errors
    /// As for `append`.
    fn probe(&mut self) -> Result<(), JournalError>;

    /// Notes that the time of [`Recovered::grace_s`] has passed: the next start need not wait again.
    ///
    /// # Errors
    /// As for `append`.
    fn end_grace(&mut self) -> Result<(), JournalError>;

    /// What a backup is copied from, while the journal goes on; None if it has no backups.
    fn source(&self) -> Option<Box<dyn Source>> {
        None
    }

    /// Closes after the last commit, leaving the tidiest file.
    ///
    /// # Errors
    /// As for `append`; everything acknowledged is safe.
    fn close(&mut self) -> Result<(), JournalError>;
}

/// How full the journal is: what is not trimmed, of what it can hold, in commits and in bytes of their records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Room {
    /// Untrimmed commits.
    pub used: u64,
    /// The most commits it can hold.
    pub capacity: u64,
    /// Bytes of the untrimmed commits' records.
    pub used_bytes: u64,
    /// The most bytes it can hold.
    pub capacity_bytes: u64,
}

impl Room {
    /// Whether one more commit can be appended, with so many bytes of records.
    pub fn fits(&self, bytes: usize) -> bool {
        self.used < self.capacity && self.used_bytes.saturating_add(bytes as u64) <= self.capacity_bytes
    }

    /// The fuller of the two measures: 0.0 is empty, 1.0 full.
    pub fn fraction(&self) -> f64 {
        let of = |used: u64, capacity: u64| if used >= capacity { 1.0 } else { used as f64 / capacity as f64 };
        of(self.used, self.capacity).max(of(self.used_bytes, self.capacity_bytes))
    }
}
