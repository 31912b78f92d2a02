//! Recovery: from what is stored to what is held. Pure, and the same for every journal.
//!
//! The rows show the state up to the last trim; the commits after it hold what came since. Which
//! commits count is decided by number alone: those up to `trimmed_through` are dead, whatever their
//! slots still hold; those after it must be there without a gap, up to the last that was written, each
//! with its checksum right and every record well formed. Anything else is refused: a start that skips
//! a commit would forget an acknowledged lock or mint a token twice.
//!
//! The commits are read first, into a map that keeps the last state of each name they touch; the rows
//! then stream past it. So the cost beyond reading is a map as large as the journal, not as the table.

use std::collections::HashMap;

use super::{Commit, JournalError, Recovered, Row, decode};
use crate::lease::{Change, LockName, Record, UserId};

/// What is stored once.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Meta {
    /// The highest fencing token known to be minted.
    pub mark: u64,
    /// The number of the last commit.
    pub last_commit: u64,
    /// Commits up to this number are in the rows.
    pub trimmed_through: u64,
    /// For so long after a start no lock is granted: see [`super::restored`]. 0 if that is over.
    pub grace_s: u64,
}

/// A commit as it is stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Stored {
    pub slot: u64,
    pub number: u64,
    pub mark: u64,
    pub checksum: u32,
    pub records: Vec<u8>,
}

/// The checksum stored with a commit: CRC-32 (IEEE) over number, mark and records.
pub(super) fn checksum(commit: &Commit<'_>) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&commit.number.to_le_bytes());
    hasher.update(&commit.mark.to_le_bytes());
    hasher.update(commit.records);
    hasher.finalize()
}

/// Sorts out of `journal` the commits that count, in order, and checks them.
///
/// # Errors
/// The first commit that is missing or damaged.
pub(super) fn untrimmed(meta: Meta, mut journal: Vec<Stored>) -> Result<Vec<Stored>, JournalError> {
    let Meta { last_commit, trimmed_through, .. } = meta;
    if trimmed_through > last_commit {
        return Err(corrupt(format!("commit {trimmed_through} was trimmed, but the last was {last_commit}")));
    }
    journal.retain(|stored| stored.number > trimmed_through);
    journal.sort_unstable_by_key(|stored| stored.number);
    let mut numbers = trimmed_through + 1..=last_commit;
    for stored in &journal {
        let Stored { number, mark, ref records, .. } = *stored;
        match numbers.next() {
            None => return Err(corrupt(format!("there is a commit {number}, but the last was {last_commit}"))),
            Some(expected) if expected < number => return Err(corrupt(format!("commit {expected} is missing"))),
            Some(expected) if expected > number => return Err(corrupt(format!("there are two commits {number}"))),
            Some(_) if checksum(&Commit { number, mark, records }) != stored.checksum => {
                return Err(corrupt(format!("the checksum of commit {number} does not match its content")));
            }
            Some(_) => {}
        }
    }
    match numbers.next() {
        Some(missing) => Err(corrupt(format!("commit {missing} is missing"))),
        None => Ok(journal),
    }
}

/// Replays `commits`, as [`untrimmed`] gave them, over `rows`, which come in order of name.
///
/// # Errors
/// The first row or record that cannot be, or names an account that is not one of `0..accounts`.
pub(super) fn replay(
    meta: Meta,
    commits: Vec<Stored>,
    accounts: usize,
    rows: impl Iterator<Item = Result<Row, JournalError>>,
) -> Result<Recovered, JournalError> {
    let known = |user: UserId| (user.0 as usize) < accounts;
    let mut overlay: HashMap<&str, Option<Record<'_>>, ahash::RandomState> = HashMap::default();
    let mut mark = meta.mark;
    for Stored { number, mark: its_mark, records, .. } in &commits {
        mark = mark.max(*its_mark);
        for change in decode(records) {
            match change.map_err(|error| corrupt(format!("in commit {number} {error}")))? {
                Change::Granted(record) | Change::Extended(record) if !known(record.user) => {
                    let Record { name, user, .. } = record;
                    return Err(corrupt(format!(
                        "commit {number} gives lock '{name}' to account {}, which is none",
                        user.0
                    )));
                }
                Change::Granted(record) | Change::Extended(record) => {
                    mark = mark.max(record.token.get());
                    overlay.insert(record.name, Some(record));
                }
                Change::Gone { name } => _ = overlay.insert(name, None),
            }
        }
    }
    let mut locks: Vec<Row> = Vec::new();
    let mut last_name: Option<LockName> = None;
    for row in rows {
        let row = row?;
        if last_name.as_ref().or(locks.last().map(|last| &last.name)).is_some_and(|last| *last >= row.name) {
            return Err(corrupt(format!("the row of lock '{}' is out of order", row.name)));
        }
        if !known(row.user) {
            return Err(corrupt(format!("the row of lock '{}' names account {}, which is none", row.name, row.user.0)));
        }
        mark = mark.max(row.token.get());
        match overlay.contains_key(&*row.name) {
            true => last_name = Some(row.name),
            false => {
                last_name = None;
                locks.push(row);
            }
        }
    }
    locks.extend(overlay.into_values().flatten().map(|record| Row::from(&record)));
    let tail = commits.into_iter().map(|commit| (commit.number, commit.records)).collect();
    Ok(Recovered { locks, mark, last_commit: meta.last_commit, tail, grace_s: meta.grace_s })
}

/// What to do about damage: the last words of every error that is one. A restore overwrites nothing.
pub(super) const REMEDY: &str = "move its files away, but keep them, and restore a backup (octostore restore BACKUP)";

/// An error that says what to do.
pub(super) fn corrupt(what: String) -> JournalError {
    JournalError::Corrupt(format!("{what}: the database is damaged: {REMEDY}"))
}

#[cfg(test)]
#[path = "recovery_tests.rs"]
mod tests;
