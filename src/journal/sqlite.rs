//! The journal on SQLite.
//!
//! A commit writes one row of `journal` (its records in one blob, whatever their number; see
//! [`super::sqlite_padding`]) and the one row of `meta`, and is one sync of the `-wal` file. The row per lock is written by [`fold`], later and
//! in bulk. [`super::sqlite_schema`] has the tables.
//!
//! **Checkpoints** copy the `-wal` file's pages into the database, so that it can begin again at its
//! start: a file that overwrites itself is cheaper to sync than one that grows. They cost some
//! milliseconds, so they are made by [`tidy`], when no answer waits: once the file has 1000 pages, or
//! sooner if rows were folded, whose pages lie all over the database and take far longer to sync than
//! as many of the journal's. A commit makes one itself only if it finds four times as many pages.
//!
//! **A lost `-wal` file.** SQLite takes a database without its `-wal` as it is, and so would forget every
//! commit since the last checkpoint: after a crash and a careless `rm`, or in a copy made with `cp` while the server
//! ran. `meta.wal_holds_more` catches that. It is 1 in the database file and 0 in the `-wal` file, for
//! each checkpoint is made between a commit that sets it and one that clears it. So whoever merges the
//! two files (this program, or `sqlite3` in a person's hands) gets a 0, and who has only the database
//! file sees the 1. What it cannot catch is a `-wal` file that was cut off: it looks like one whose last
//! commit was never acknowledged. [`super::sqlite_wal`] catches damage inside it.
//!
//! [`fold`]: Journal::fold
//! [`tidy`]: Journal::tidy

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parking_lot::ReentrantMutex;
use rusqlite::hooks::Wal;
use rusqlite::types::Type;
use rusqlite::{Connection, Row as SqlRow, params};
use uuid::Uuid;

use super::accounts::{Account, AccountChange, Holder, TokenHash, Whose};
use super::recovery::{self, Meta, Stored, checksum, corrupt};
use super::ring::{Limits, Ring};
use super::sqlite_backup::Shared;
use super::sqlite_padding::padding;
use super::sqlite_schema::PAGE_BYTES;
use super::{Commit, Journal, JournalError, Recovered, Room, Row, RowChange, Source, sqlite_accounts, sqlite_schema};
use crate::clock;
use crate::fence::Fence;
use crate::lease::{LockName, MAX_METADATA_BYTES, Ttl, UserId};
use crate::metrics::JournalMetrics;
use crate::sync::{AtomicU64, Ordering};

/// [`tidy`](Journal::tidy) checkpoints a `-wal` file of so many pages; the others do at [`WAL_PAGES_AT_MOST`].
const WAL_PAGES: u64 = 1000;
const WAL_PAGES_AT_MOST: u64 = 4 * WAL_PAGES;
/// It also checkpoints when so many rows were folded since the last time.
const FOLDED_ROWS: usize = 256;
/// How often the disk is looked at, at most.
const SURVEY_NS: u64 = 10_000_000_000;

// The guard makes it fail, rather than destroy a commit that is not trimmed.
const APPEND: &str = "
    INSERT INTO journal (slot, number, mark, checksum, records, padding) VALUES (?1, ?2, ?3, ?4, ?5, zeroblob(?6))
    ON CONFLICT (slot) DO UPDATE SET
        number = excluded.number, mark = excluded.mark, checksum = excluded.checksum, records = excluded.records,
        padding = excluded.padding
    WHERE number <= (SELECT trimmed_through FROM meta)";
const RAISE: &str = "UPDATE meta SET mark = max(mark, ?1), last_commit = ?2";
const TRIM: &str = "UPDATE meta SET mark = max(mark, ?1), trimmed_through = max(trimmed_through, ?2)";
const PUT: &str = "
    INSERT INTO locks (name, user_id, lease_id, token, ttl_seconds, metadata) VALUES (?1, ?2, ?3, ?4, ?5, ?6)
    ON CONFLICT (name) DO UPDATE SET
        user_id = excluded.user_id, lease_id = excluded.lease_id, token = excluded.token,
        ttl_seconds = excluded.ttl_seconds, metadata = excluded.metadata";
const READ_ROWS: &str = "SELECT name, user_id, lease_id, token, ttl_seconds, metadata FROM locks ORDER BY name";
const DELETE: &str = "DELETE FROM locks WHERE name = ?1";
const END_GRACE: &str = "UPDATE meta SET grace_seconds = 0";
// An update that changes no byte writes no page, and so would sync nothing.
const PROBE: &str = "UPDATE meta SET probe = 1 - probe";

/// A journal in an SQLite file.
#[derive(Debug)]
pub struct SqliteJournal {
    pub(super) path: PathBuf,
    /// None once it is closed. A backup under way holds it too, on the same thread: hence a lock that may be taken again.
    connection: Option<Arc<ReentrantMutex<Connection>>>,
    limits: Limits,
    ring: Ring,
    /// Row changes since the last checkpoint.
    folded: usize,
    /// Pages in the `-wal` file after the last commit, as SQLite's hook tells it: a PRAGMA that asks would be compiled anew each time.
    wal_pages: Arc<AtomicU64>,
    metrics: Arc<JournalMetrics>,
    surveyed_ns: u64,
}

impl SqliteJournal {
    /// Opens the database at `path`, or makes one if there is none; nobody else can open it then.
    ///
    /// # Errors
    /// What is in the way, and what to do.
    pub fn open(path: impl AsRef<Path>, limits: Limits) -> Result<SqliteJournal, JournalError> {
        let path = path.as_ref();
        let path = std::path::absolute(path)
            .map_err(|error| JournalError::Failed(format!("'{}' is no path to a file ({error})", path.display())))?;
        let connection = sqlite_schema::open(&path)?;
        Ok(SqliteJournal::of(path, connection, limits))
    }

    pub(super) fn of(path: PathBuf, mut connection: Connection, limits: Limits) -> SqliteJournal {
        let wal_pages = Arc::new(AtomicU64::new(0));
        let counter = wal_pages.clone();
        let hook = move |_: &mut Wal, pages| {
            counter.store(u64::try_from(pages).unwrap_or(0), Ordering::Relaxed);
            Ok(())
        };
        connection.wal_hook(Some(hook)).expect("a connection that is open takes a hook");
        SqliteJournal {
            path,
            connection: Some(Arc::new(ReentrantMutex::new(connection))),
            limits,
            ring: Ring::unread(),
            folded: 0,
            wal_pages,
            metrics: Arc::default(),
            surveyed_ns: 0,
        }
    }

    /// The same, counting in these from now on.
    pub fn counting_in(self, metrics: Arc<JournalMetrics>) -> SqliteJournal {
        let counting = SqliteJournal { metrics, ..self };
        counting.note_size();
        counting
    }

    pub(super) fn connection(&self) -> Result<&Arc<ReentrantMutex<Connection>>, JournalError> {
        self.connection.as_ref().ok_or_else(|| JournalError::Failed(format!("{} is closed", self.path.display())))
    }

    /// Does `work`; an error says what was being done, and to which file.
    pub(super) fn run<T>(
        &self,
        doing: &str,
        work: impl FnOnce(&Connection) -> rusqlite::Result<T>,
    ) -> Result<T, JournalError> {
        work(&self.connection()?.lock()).map_err(|error| sqlite_schema::explain(&self.path, doing, &error))
    }

    /// Does `work` in one transaction: all of it is on disk afterwards, or nothing. Gives the time of the commit at its end, too,
    /// which is the writing to the `-wal` file and its sync, in nanoseconds.
    fn timed_transaction<T>(
        &self,
        doing: &str,
        work: impl FnOnce(&Connection) -> rusqlite::Result<T>,
    ) -> Result<(T, u64), JournalError> {
        self.run(doing, |connection| {
            execute(connection, "BEGIN IMMEDIATE")?;
            let done = work(connection).and_then(|result| {
                let began_ns = clock::now_ns();
                execute(connection, "COMMIT").map(|()| (result, clock::now_ns().saturating_sub(began_ns)))
            });
            if done.is_err() && !connection.is_autocommit() {
                // The error that counts is the first one.
                let _ = execute(connection, "ROLLBACK");
            }
            done
        })
    }

    /// The same, untimed.
    pub(super) fn transaction<T>(
        &self,
        doing: &str,
        work: impl FnOnce(&Connection) -> rusqlite::Result<T>,
    ) -> Result<T, JournalError> {
        self.timed_transaction(doing, work).map(|(result, _)| result)
    }

    /// Checkpoints, if the `-wal` file has that many pages.
    fn checkpoint_at(&mut self, pages: u64) -> Result<(), JournalError> {
        let in_wal = self.wal_pages.load(Ordering::Relaxed);
        self.metrics.wal(in_wal * PAGE_BYTES);
        if in_wal < pages { Ok(()) } else { self.checkpoint() }
    }

    fn checkpoint(&mut self) -> Result<(), JournalError> {
        const DOING: &str = "checkpointing";
        let began_ns = clock::now_ns();
        let say_wal_holds_more = |more: bool| {
            self.run(DOING, |connection| {
                connection.prepare_cached("UPDATE meta SET wal_holds_more = ?1")?.execute([more])
            })
        };
        say_wal_holds_more(true)?;
        let (pages, copied): (i64, i64) = self.run(DOING, |connection| {
            let mut statement = connection.prepare_cached("PRAGMA wal_checkpoint(PASSIVE)")?;
            statement.query_one([], |row| Ok((row.get(1)?, row.get(2)?)))
        })?;
        assert_eq!(pages, copied, "somebody else reads a database that is ours alone");
        say_wal_holds_more(false)?;
        self.folded = 0;
        self.metrics.checkpointed(clock::now_ns().saturating_sub(began_ns));
        self.note_size();
        Ok(())
    }

    /// Notes how large the database is: SQLite knows without a look at the disk.
    fn note_size(&self) {
        let pages = self.run("reading", |connection| {
            connection.prepare_cached("PRAGMA page_count")?.query_row([], |row| row.get::<_, i64>(0))
        });
        self.metrics.database(pages.map_or(0, |pages| u64::try_from(pages).unwrap_or_default() * PAGE_BYTES));
    }

    pub(super) fn read(&self) -> Result<(Recovered, Ring), JournalError> {
        let meta = self.run("reading", read_meta)?;
        let (first, last) = (meta.trimmed_through + 1, meta.last_commit);
        let doing = format!("reading commits {first} to {last} in");
        let commits = recovery::untrimmed(meta, self.run(&doing, |connection| read_journal(connection, meta))?)?;
        let accounts = self.run("reading the accounts in", sqlite_accounts::count)?;
        let doing = format!("reading the locks as of commit {} in", meta.trimmed_through);
        let explain = |error| match error {
            // A field that cannot be; `read_row` has said which.
            rusqlite::Error::FromSqlConversionFailure(_, _, what) => corrupt(what.to_string()),
            error => sqlite_schema::explain(&self.path, &doing, &error),
        };
        let connection = self.connection()?.lock();
        let mut statement = connection.prepare(READ_ROWS).map_err(explain)?;
        let rows = statement.query_map([], read_row).map_err(explain)?.map(|row| row.map_err(explain));
        let live = commits.iter().map(|commit| (commit.slot, commit.records.len() as u64));
        let ring = Ring::new(self.limits, meta.last_commit, live);
        Ok((recovery::replay(meta, commits, accounts, rows)?, ring))
    }

    pub(super) fn read_accounts(&self) -> Result<Vec<Account>, JournalError> {
        let accounts = self.run("reading the accounts in", sqlite_accounts::read)?;
        accounts.map_err(|error| self.name_file(error))
    }

    /// Puts the path before what recovery found, which does not know it.
    pub(super) fn name_file(&self, error: JournalError) -> JournalError {
        let path = self.path.display();
        match error {
            JournalError::Corrupt(what) if !what.contains(&*path.to_string()) => {
                JournalError::Corrupt(format!("{path}: {what}"))
            }
            error => error,
        }
    }
}

impl Journal for SqliteJournal {
    fn recover(&mut self) -> Result<Recovered, JournalError> {
        let (recovered, ring) = self.read().map_err(|error| self.name_file(error))?;
        // Only now, that all is known to be well, are the files changed: see `wal_holds_more` above.
        self.checkpoint()?;
        self.ring = ring;
        Ok(recovered)
    }

    fn accounts(&mut self, wanted: &[(&str, &str)]) -> Result<Vec<Account>, JournalError> {
        let now_s = clock::wall_ns() / 1_000_000_000;
        let known = self.read_accounts()?;
        let known_names: HashSet<(&str, &str), ahash::RandomState> =
            known.iter().map(|account| (&*account.kind, &*account.external_id)).collect();
        if wanted.iter().all(|name| known_names.contains(name)) {
            return Ok(known);
        }
        self.transaction("adding accounts to", |connection| {
            wanted.iter().try_for_each(|(kind, id)| sqlite_accounts::ensure(connection, now_s, kind, id, None))
        })?;
        self.read_accounts()
    }

    fn tokens(&mut self) -> Result<Vec<(TokenHash, UserId)>, JournalError> {
        self.run("reading", sqlite_accounts::read_tokens)
    }

    fn users(&mut self, from: UserId, most: usize) -> Result<Vec<(Account, u32)>, JournalError> {
        self.run("reading", |connection| sqlite_accounts::users(connection, from, most))
    }

    fn holder(&mut self, whose: &Whose) -> Result<Option<Holder>, JournalError> {
        self.run("reading", |connection| sqlite_accounts::holder(connection, whose))
    }

    fn change_account(&mut self, change: &AccountChange) -> Result<Account, JournalError> {
        let now_s = clock::wall_ns() / 1_000_000_000;
        self.transaction("changing an account in", |connection| sqlite_accounts::change(connection, now_s, change))
    }

    fn append(&mut self, commit: &Commit<'_>) -> Result<(), JournalError> {
        let slot = self.ring.slot_for(commit)?;
        let Commit { number, mark, records } = *commit;
        let checksum = checksum(commit);
        let padding = padding(records.len(), [number, mark, checksum.into()]);
        let (_, synced_ns) = self.timed_transaction("appending to", |connection| {
            let mut append = connection.prepare_cached(APPEND)?;
            let written = append.execute(params![
                as_sql(slot),
                as_sql(number),
                as_sql(mark),
                checksum,
                records,
                padding as i64
            ])?;
            assert_eq!(written, 1, "slot {slot} holds a commit that is not trimmed");
            connection.prepare_cached(RAISE)?.execute([as_sql(mark), as_sql(number)])
        })?;
        self.metrics.synced(synced_ns);
        self.ring.appended(slot, records.len());
        self.checkpoint_at(WAL_PAGES_AT_MOST)
    }

    fn fold(&mut self, rows: &[RowChange], mark: u64, through: u64) -> Result<(), JournalError> {
        self.ring.check_trim(through)?;
        self.transaction("folding the journal of", |connection| {
            for change in rows {
                match change {
                    RowChange::Put(row) => put(connection, row)?,
                    RowChange::Delete(name) => _ = connection.prepare_cached(DELETE)?.execute([&**name])?,
                }
            }
            connection.prepare_cached(TRIM)?.execute([as_sql(mark), as_sql(through)])
        })?;
        self.ring.trimmed(through);
        self.folded += rows.len();
        self.checkpoint_at(WAL_PAGES_AT_MOST)
    }

    fn tidy(&mut self) -> Result<(), JournalError> {
        if self.folded >= FOLDED_ROWS { self.checkpoint() } else { self.checkpoint_at(WAL_PAGES) }
    }

    fn survey(&mut self) {
        let now_ns = clock::now_ns();
        if now_ns.saturating_sub(self.surveyed_ns) >= SURVEY_NS {
            self.surveyed_ns = now_ns;
            if let Ok(disk) = rustix::fs::statvfs(self.path.parent().unwrap_or(&self.path)) {
                self.metrics.disk(disk.f_bavail * disk.f_frsize, disk.f_blocks * disk.f_frsize);
            }
        }
    }

    fn room(&self) -> Room {
        self.ring.room()
    }

    fn probe(&mut self) -> Result<(), JournalError> {
        self.run("probing", |connection| execute(connection, PROBE))
    }

    fn end_grace(&mut self) -> Result<(), JournalError> {
        self.run("updating", |connection| execute(connection, END_GRACE))
    }

    fn source(&self) -> Option<Box<dyn Source>> {
        self.connection.clone().map(|connection| Box::new(Shared(connection)) as Box<dyn Source>)
    }

    fn close(&mut self) -> Result<(), JournalError> {
        self.ring = Ring::unread();
        let Some(connection) = self.connection.take() else { return Ok(()) };
        let connection =
            Arc::into_inner(connection).expect("no backup goes on while the journal is closed").into_inner();
        sqlite_schema::close(connection, &self.path)
    }
}

fn execute(connection: &Connection, sql: &str) -> rusqlite::Result<()> {
    connection.prepare_cached(sql)?.execute([]).map(|_| ())
}

/// SQLite's integers are signed. Commit numbers never get near the end; marks stay below 2^53.
fn as_sql(number: u64) -> i64 {
    i64::try_from(number).expect("a number above 2^63")
}

fn put(connection: &Connection, row: &Row) -> rusqlite::Result<()> {
    let Row { name, user, lease_id, token, ttl, metadata } = row;
    let mut buffer = Uuid::encode_buffer();
    let lease_id: &str = lease_id.hyphenated().encode_lower(&mut buffer);
    let token = as_sql(token.get());
    connection.prepare_cached(PUT)?.execute(params![
        &**name,
        user.0,
        lease_id,
        token,
        ttl.seconds(),
        metadata.as_deref()
    ])?;
    Ok(())
}

fn read_meta(connection: &Connection) -> rusqlite::Result<Meta> {
    connection.query_row("SELECT mark, last_commit, trimmed_through, grace_seconds FROM meta", [], |row| {
        let (mark, last_commit) = (unsigned(row, 0)?, unsigned(row, 1)?);
        Ok(Meta { mark, last_commit, trimmed_through: unsigned(row, 2)?, grace_s: unsigned(row, 3)? })
    })
}

/// The commits that are not trimmed, in any order. The dead ones' records are not read.
fn read_journal(connection: &Connection, meta: Meta) -> rusqlite::Result<Vec<Stored>> {
    let mut statement =
        connection.prepare("SELECT slot, number, mark, checksum, records FROM journal WHERE number > ?1")?;
    let rows = statement.query_map([as_sql(meta.trimmed_through)], |row| {
        Ok(Stored {
            slot: unsigned(row, 0)?,
            number: unsigned(row, 1)?,
            mark: unsigned(row, 2)?,
            checksum: row.get(3)?,
            records: row.get(4)?,
        })
    })?;
    rows.collect()
}

/// One lock's row, each field checked as it was when it was written.
fn read_row(row: &SqlRow<'_>) -> rusqlite::Result<Row> {
    let name = row.get_ref(0)?.as_str()?;
    let wrong = |column: usize, what: &str| {
        let what = format!("the row of lock '{name}' has an impossible {what}");
        rusqlite::Error::FromSqlConversionFailure(column, Type::Null, what.into())
    };
    let lease_id = row.get_ref(2)?.as_str().ok().and_then(|text| Uuid::try_parse(text).ok());
    let metadata = match row.get_ref(5)?.as_str_or_null().map_err(|_| wrong(5, "metadata"))? {
        Some(note) if note.len() > MAX_METADATA_BYTES => return Err(wrong(5, "metadata")),
        note => note.map(Box::from),
    };
    Ok(Row {
        name: LockName::new(name).map_err(|_| wrong(0, "name"))?,
        user: UserId(row.get(1).map_err(|_| wrong(1, "user_id"))?),
        lease_id: lease_id.ok_or_else(|| wrong(2, "lease_id"))?,
        token: unsigned(row, 3).ok().and_then(Fence::recovered).ok_or_else(|| wrong(3, "token"))?,
        ttl: unsigned(row, 4).ok().and_then(Ttl::from_seconds).ok_or_else(|| wrong(4, "ttl_seconds"))?,
        metadata,
    })
}

fn unsigned(row: &SqlRow<'_>, column: usize) -> rusqlite::Result<u64> {
    let value: i64 = row.get(column)?;
    u64::try_from(value).map_err(|_| rusqlite::Error::IntegralValueOutOfRange(column, value))
}

#[cfg(test)]
#[path = "sqlite_tests.rs"]
mod tests;
