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
use rusqlite::{Connection, params};

use super::accounts::{Account, AccountChange, Holder, TokenHash, Whose};
use super::recovery::{self, Meta, Stored, checksum};
use super::ring::{Limits, Ring};
use super::sqlite_backup::Shared;
use super::sqlite_meta::{self, MetaRow, as_sql, unsigned};
use super::sqlite_padding::padding;
use super::sqlite_schema::PAGE_BYTES;
use super::sqlite_sums::Sum;
use super::{
    Commit, Journal, JournalError, Recovered, Room, RowChange, Source, sqlite_accounts, sqlite_locks, sqlite_schema,
};
use crate::clock;
use crate::lease::UserId;
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
    /// As it was committed last: see [`super::sqlite_meta`].
    meta: MetaRow,
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
        SqliteJournal::of(path, connection, limits)
    }

    pub(super) fn of(path: PathBuf, mut connection: Connection, limits: Limits) -> Result<SqliteJournal, JournalError> {
        let meta = sqlite_meta::read(&connection)
            .map_err(|error| name_file(&path, sqlite_schema::explain(&path, "reading meta in", &error)))?;
        let wal_pages = Arc::new(AtomicU64::new(0));
        let counter = wal_pages.clone();
        let hook = move |_: &mut Wal, pages| {
            counter.store(u64::try_from(pages).unwrap_or(0), Ordering::Relaxed);
            Ok(())
        };
        connection.wal_hook(Some(hook)).expect("a connection that is open takes a hook");
        Ok(SqliteJournal {
            path,
            connection: Some(Arc::new(ReentrantMutex::new(connection))),
            limits,
            ring: Ring::unread(),
            folded: 0,
            wal_pages,
            metrics: Arc::default(),
            surveyed_ns: 0,
            meta,
        })
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

    /// Does `work` in one transaction, which may change the row of `meta`: it is written at the end. Timed as above.
    fn timed_change<T>(
        &mut self,
        doing: &str,
        work: impl FnOnce(&Connection, &mut MetaRow) -> rusqlite::Result<T>,
    ) -> Result<(T, u64), JournalError> {
        let mut meta = self.meta;
        let done = self.timed_transaction(doing, |connection| {
            let result = work(connection, &mut meta)?;
            meta.write(connection).map(|()| result)
        })?;
        self.meta = meta;
        Ok(done)
    }

    /// The same, untimed.
    pub(super) fn change<T>(
        &mut self,
        doing: &str,
        work: impl FnOnce(&Connection, &mut MetaRow) -> rusqlite::Result<T>,
    ) -> Result<T, JournalError> {
        self.timed_change(doing, work).map(|(result, _)| result)
    }

    /// Writes this row of `meta`, alone.
    fn write_meta(&mut self, doing: &str, meta: MetaRow) -> Result<(), JournalError> {
        self.run(doing, |connection| meta.write(connection))?;
        self.meta = meta;
        Ok(())
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
        self.write_meta(DOING, MetaRow { wal_holds_more: true, ..self.meta })?;
        let (pages, copied): (i64, i64) = self.run(DOING, |connection| {
            let mut statement = connection.prepare_cached("PRAGMA wal_checkpoint(PASSIVE)")?;
            statement.query_one([], |row| Ok((row.get(1)?, row.get(2)?)))
        })?;
        assert_eq!(pages, copied, "somebody else reads a database that is ours alone");
        self.write_meta(DOING, MetaRow { wal_holds_more: false, ..self.meta })?;
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
        let MetaRow { meta, locks: kept, .. } = self.meta;
        let (first, last) = (meta.trimmed_through + 1, meta.last_commit);
        let doing = format!("reading commits {first} to {last} in");
        let commits = recovery::untrimmed(meta, self.run(&doing, |connection| read_journal(connection, meta))?)?;
        let accounts = self.run("reading the accounts in", sqlite_accounts::count)?;
        let doing = format!("reading the locks as of commit {} in", meta.trimmed_through);
        let explain = |error| sqlite_schema::explain(&self.path, &doing, &error);
        let connection = self.connection()?.lock();
        let mut statement = connection.prepare(sqlite_locks::READ).map_err(explain)?;
        let mut sum = Sum::default();
        let rows = statement.query_map([], |row| sqlite_locks::read(row, &mut sum)).map_err(explain)?;
        let live = commits.iter().map(|commit| (commit.slot, commit.records.len() as u64));
        let ring = Ring::new(self.limits, meta.last_commit, live);
        let recovered = recovery::replay(meta, commits, accounts, rows.map(|row| row.map_err(explain)))?;
        sum.check(kept, "locks").map_err(explain)?;
        sqlite_schema::check_pages(&connection, &self.path)?;
        Ok((recovered, ring))
    }

    pub(super) fn read_accounts(&self) -> Result<Vec<Account>, JournalError> {
        self.run("reading the accounts in", |connection| sqlite_accounts::read(connection, self.meta.accounts))
    }

    pub(super) fn read_tokens(&self) -> Result<Vec<(TokenHash, UserId)>, JournalError> {
        self.run("reading the tokens in", |connection| sqlite_accounts::read_tokens(connection, self.meta.tokens))
    }

    /// Puts the path before what was found, where it is not named.
    pub(super) fn name_file(&self, error: JournalError) -> JournalError {
        name_file(&self.path, error)
    }
}

impl Journal for SqliteJournal {
    fn recover(&mut self) -> Result<Recovered, JournalError> {
        let (recovered, ring) = self.read().map_err(|error| self.name_file(error))?;
        // Only now, that pages, commits and locks are known to be well, are the files changed: see `wal_holds_more` above.
        self.checkpoint()?;
        self.ring = ring;
        Ok(recovered)
    }

    fn accounts(&mut self, wanted: &[(&str, &str)]) -> Result<Vec<Account>, JournalError> {
        let now_s = clock::wall_ns() / 1_000_000_000;
        let known = self.read_accounts().map_err(|error| self.name_file(error))?;
        let known_names: HashSet<(&str, &str), ahash::RandomState> =
            known.iter().map(|account| (&*account.kind, &*account.external_id)).collect();
        if wanted.iter().all(|name| known_names.contains(name)) {
            return Ok(known);
        }
        let ensured = self.change("adding accounts to", |connection, meta| {
            let mut ensure =
                |name| sqlite_accounts::ensure(connection, now_s, name, None, &mut meta.accounts).map(drop);
            wanted.iter().copied().try_for_each(&mut ensure)
        });
        ensured.and_then(|()| self.read_accounts()).map_err(|error| self.name_file(error))
    }

    fn tokens(&mut self) -> Result<Vec<(TokenHash, UserId)>, JournalError> {
        self.read_tokens().map_err(|error| self.name_file(error))
    }

    fn users(&mut self, from: UserId, most: usize) -> Result<Vec<(Account, u32)>, JournalError> {
        self.run("reading the accounts in", |connection| sqlite_accounts::users(connection, from, most))
            .map_err(|error| self.name_file(error))
    }

    fn holder(&mut self, whose: &Whose) -> Result<Option<Holder>, JournalError> {
        self.run("reading an account in", |connection| sqlite_accounts::holder(connection, whose))
            .map_err(|error| self.name_file(error))
    }

    fn change_account(&mut self, change: &AccountChange) -> Result<Account, JournalError> {
        let now_s = clock::wall_ns() / 1_000_000_000;
        let work =
            |connection: &Connection, meta: &mut MetaRow| sqlite_accounts::change(connection, now_s, change, meta);
        self.change("changing an account in", work).map_err(|error| self.name_file(error))
    }

    fn append(&mut self, commit: &Commit<'_>) -> Result<(), JournalError> {
        let slot = self.ring.slot_for(commit)?;
        let Commit { number, mark, records } = *commit;
        let checksum = checksum(commit);
        let padding = padding(records.len(), [number, mark, checksum.into()]);
        let ((), synced_ns) = self.timed_change("appending to", |connection, row| {
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
            row.meta = Meta { mark: mark.max(row.meta.mark), last_commit: number, ..row.meta };
            Ok(())
        })?;
        self.metrics.synced(synced_ns);
        self.ring.appended(slot, records.len());
        self.checkpoint_at(WAL_PAGES_AT_MOST)
    }

    fn fold(&mut self, rows: &[RowChange], mark: u64, through: u64) -> Result<(), JournalError> {
        self.ring.check_trim(through)?;
        self.change("folding the journal of", |connection, row| {
            let mut change = |change| sqlite_locks::change(connection, change, &mut row.locks);
            rows.iter().try_for_each(&mut change)?;
            row.meta.mark = mark.max(row.meta.mark);
            row.meta.trimmed_through = through.max(row.meta.trimmed_through);
            Ok(())
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
        self.write_meta("probing", MetaRow { probe: !self.meta.probe, ..self.meta })
    }

    fn end_grace(&mut self) -> Result<(), JournalError> {
        self.write_meta("updating", MetaRow { meta: Meta { grace_s: 0, ..self.meta.meta }, ..self.meta })
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

/// Puts the path before what recovery found, which does not know it.
pub(super) fn name_file(path: &Path, error: JournalError) -> JournalError {
    let path = path.display();
    match error {
        JournalError::Corrupt(what) if !what.contains(&*path.to_string()) => {
            JournalError::Corrupt(format!("{path}: {what}"))
        }
        error => error,
    }
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

#[cfg(test)]
#[path = "sqlite_tests.rs"]
mod tests;
