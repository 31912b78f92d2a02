//! Backups of an SQLite file, with SQLite's backup API.
//!
//! [`copy`] makes a file that nobody has synced, with the header of a database in WAL mode. [`seal`] makes it what
//! is handed out: one file in rollback mode, so that `sqlite3` can read it wherever it lies, without a `-wal`
//! or `-shm` beside it and without the right to write there; synced; and looked through from end to end.
//!
//! `meta.wal_holds_more` is 0 in it: the API reads through the `-wal` file, where it is 0 between two checkpoints (see
//! [`super::sqlite`]).

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::Arc;

use parking_lot::ReentrantMutex;
use rusqlite::backup::{Backup, StepResult};
use rusqlite::{Connection, OpenFlags};

use super::backup::{Copied, Pages, Source};
use super::{Inspected, JournalError, SqliteJournal, sqlite_schema};

/// Pages copied at once: 256 KiB, which takes a fraction of the time of a sync.
const SLICE_PAGES: i32 = 64;

/// The connection of a journal that goes on.
pub(super) struct Shared(pub Arc<ReentrantMutex<Connection>>);

impl Source for Shared {
    fn copy(
        &self,
        to: &Path,
        between: &mut dyn FnMut(Pages) -> Result<bool, JournalError>,
    ) -> Result<Copied, JournalError> {
        copy(&self.0.lock(), to, between)
    }
}

/// Copies all that `source` holds to the new file `to`: see [`Source::copy`]. What was begun and is not wanted is removed.
pub(super) fn copy(
    source: &Connection,
    to: &Path,
    between: &mut dyn FnMut(Pages) -> Result<bool, JournalError>,
) -> Result<Copied, JournalError> {
    let copied = match open_new(to) {
        Ok(mut target) => copy_slices(source, &mut target, to, between),
        Err(why) => return Ok(Copied::Failed(why)),
    };
    if !matches!(copied, Ok(Copied::Whole)) {
        let _ = fs::remove_file(to);
    }
    copied
}

fn copy_slices(
    source: &Connection,
    target: &mut Connection,
    to: &Path,
    between: &mut dyn FnMut(Pages) -> Result<bool, JournalError>,
) -> Result<Copied, JournalError> {
    let failed = |error: rusqlite::Error| Ok(Copied::Failed(sqlite_schema::explain(to, "writing", &error).to_string()));
    let backup = match Backup::new(source, target) {
        Ok(backup) => backup,
        Err(error) => return failed(error),
    };
    loop {
        let step = match backup.step(SLICE_PAGES) {
            Ok(step) => step,
            Err(error) => return failed(error),
        };
        let progress = backup.progress();
        let total = u64::try_from(progress.pagecount).unwrap_or(0);
        let done = total.saturating_sub(u64::try_from(progress.remaining).unwrap_or(0));
        match step {
            StepResult::Done if between(Pages { done: total, total })? => return Ok(Copied::Whole),
            StepResult::Done => return Ok(Copied::GivenUp),
            StepResult::More => {}
            _ => return Ok(Copied::Failed(format!("{} cannot be written: it is in use", to.display()))),
        }
        if !between(Pages { done, total })? {
            return Ok(Copied::GivenUp);
        }
    }
}

/// Makes `copy` what a backup should be, on disk, and looks through it.
///
/// # Errors
/// It is damaged, or cannot be written.
pub(super) fn seal(copy: &Path) -> Result<Inspected, JournalError> {
    let failed = |error: rusqlite::Error| sqlite_schema::explain(copy, "finishing", &error);
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let opened = Connection::open_with_flags(copy, flags).map_err(failed)?;
    opened.query_row("PRAGMA locking_mode = EXCLUSIVE", [], |_| Ok(())).map_err(failed)?;
    // To the end of the statement, where the header is written: `query_row` would stop before.
    let mode: String = opened.query_one("PRAGMA journal_mode = DELETE", [], |row| row.get(0)).map_err(failed)?;
    assert_eq!(mode, "delete", "SQLite has refused the rollback mode");
    opened.close().map_err(|(_, error)| failed(error))?;
    sync(copy).map_err(|error| JournalError::Failed(format!("syncing {} failed: {error}", copy.display())))?;
    let inspected = SqliteJournal::inspect(copy)?;
    SqliteJournal::verify(copy)?;
    Ok(inspected)
}

/// Waits until a file, or the names in a directory, are on disk.
pub(super) fn sync(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_all()
}

/// A new file, its owner's alone, that is written without a journal and without a sync: until it is whole it is nothing.
fn open_new(to: &Path) -> Result<Connection, String> {
    let created = OpenOptions::new().write(true).create_new(true).mode(0o600).open(to);
    created.map_err(|error| format!("{} cannot be made: {error}", to.display()))?;
    let open = || {
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let opened = Connection::open_with_flags(to, flags)?;
        opened.query_row("PRAGMA locking_mode = EXCLUSIVE", [], |_| Ok(()))?;
        opened.query_row("PRAGMA journal_mode = OFF", [], |_| Ok(()))?;
        // A page cache no larger than a slice: what a slice has copied is written by it, and not all at the end.
        opened.execute_batch(&format!("PRAGMA synchronous = OFF; PRAGMA cache_size = {SLICE_PAGES}"))?;
        Ok(opened)
    };
    open().map_err(|error| {
        let _ = fs::remove_file(to);
        sqlite_schema::explain(to, "making", &error).to_string()
    })
}
