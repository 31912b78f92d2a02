//! The one row of `meta`, written as a whole by one statement, with its checksum.
//!
//! The journal keeps it in memory, being its only writer, since a checksum is over all of it: so a commit costs the
//! one update that it did before. What is in memory is what was committed last: a change is made to a copy, which takes its place when the
//! transaction has ended well.

use rusqlite::types::{ToSqlOutput, ValueRef};
use rusqlite::{Connection, Row, params_from_iter};

use super::recovery::Meta;
use super::sqlite_sums::{Sum, check, checksum};

const FIELDS: usize = 9;
const READ: &str = "
    SELECT mark, last_commit, trimmed_through, wal_holds_more, probe, grace_seconds, locks_sum, accounts_sum, tokens_sum, checksum
    FROM meta WHERE only = 1";
const WRITE: &str = "
    UPDATE meta SET
        mark = ?1, last_commit = ?2, trimmed_through = ?3, wal_holds_more = ?4, probe = ?5, grace_seconds = ?6,
        locks_sum = ?7, accounts_sum = ?8, tokens_sum = ?9, checksum = ?10
    WHERE only = 1";

/// All that is in it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct MetaRow {
    /// What every journal has.
    pub meta: Meta,
    /// See [`super::sqlite`].
    pub wal_holds_more: bool,
    /// Another one with each probe: an update that changes no byte writes no page, and so would sync nothing.
    pub probe: bool,
    /// Over the rows of `locks`.
    pub locks: Sum,
    /// Over the rows of `accounts`.
    pub accounts: Sum,
    /// Over the rows of `tokens`.
    pub tokens: Sum,
}

/// Reads it, and checks it.
pub(super) fn read(connection: &Connection) -> rusqlite::Result<MetaRow> {
    connection.query_one(READ, [], |row| {
        let read = fields(row)?;
        check(row, FIELDS, || "meta".to_owned()).map(|_| read)
    })
}

/// Reads it where it may have no checksum yet.
pub(super) fn read_unchecked(connection: &Connection) -> rusqlite::Result<MetaRow> {
    connection.query_one(READ, [], fields)
}

impl MetaRow {
    /// Writes it.
    pub fn write(&self, connection: &Connection) -> rusqlite::Result<()> {
        let MetaRow { meta: Meta { mark, last_commit, trimmed_through, grace_s }, wal_holds_more, probe, .. } = *self;
        let [mark, last_commit, trimmed_through, grace_s] = [mark, last_commit, trimmed_through, grace_s].map(as_sql);
        let sums = [self.locks, self.accounts, self.tokens].map(Sum::stored);
        let [locks, accounts, tokens] = sums;
        let (holds_more, probe) = (wal_holds_more.into(), probe.into());
        let fields: [i64; FIELDS] =
            [mark, last_commit, trimmed_through, holds_more, probe, grace_s, locks, accounts, tokens];
        let checksum = checksum(fields.map(ValueRef::Integer));
        let values = fields.into_iter().chain([checksum.into()]).map(ToSqlOutput::from);
        match connection.prepare_cached(WRITE)?.execute(params_from_iter(values))? {
            1 => Ok(()),
            _ => Err(rusqlite::Error::QueryReturnedNoRows),
        }
    }
}

fn fields(row: &Row<'_>) -> rusqlite::Result<MetaRow> {
    let meta = Meta {
        mark: unsigned(row, 0)?,
        last_commit: unsigned(row, 1)?,
        trimmed_through: unsigned(row, 2)?,
        grace_s: unsigned(row, 5)?,
    };
    let sum = |column| row.get(column).map(Sum::of);
    let (locks, accounts, tokens) = (sum(6)?, sum(7)?, sum(8)?);
    Ok(MetaRow { meta, wal_holds_more: row.get(3)?, probe: row.get(4)?, locks, accounts, tokens })
}

/// SQLite's integers are signed. Commit numbers never get near the end; marks stay below 2^53.
pub(super) fn as_sql(number: u64) -> i64 {
    i64::try_from(number).expect("a number above 2^63")
}

pub(super) fn unsigned(row: &Row<'_>, column: usize) -> rusqlite::Result<u64> {
    let value: i64 = row.get(column)?;
    u64::try_from(value).map_err(|_| rusqlite::Error::IntegralValueOutOfRange(column, value))
}
