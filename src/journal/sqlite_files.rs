//! The database's files and their directory, where SQLite leaves something open that a loss of power can find.
//!
//! **The directory is synced at each start.** SQLite does it only with the first sync of a `-wal` file that it has made just now, and
//! not after it has deleted a rollback journal, which a new database has until it has a WAL. Else a loss of power could take a
//! `-wal` file away that an earlier process had made, or bring such a journal back, which undoes everything since.
//!
//! **A synced copy takes the place of a `-wal` file that was left over.** After a sync that failed, Linux takes the file's pages for clean:
//! they may be missing on the disk, though whoever reads the file still sees them. SQLite would take such a commit for durable and begin
//! to copy it into the database; if the power goes then, the `-wal` file on the disk ends before it, and its older pages
//! would be replayed over newer ones: a mixture of two states. What is read, written anew and synced without an error is on the disk.
//! It is done beside the file and not in place, so that it risks nothing, and costs milliseconds, once a start after a crash.
//!
//! `tests/power_loss` has found both.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use super::JournalError;

/// What is read and written at once.
const PIECE: usize = 256 << 10;

/// The size of the file beside the database with this ending, 0 if there is none.
pub(super) fn size(database: &Path, ending: &str) -> u64 {
    fs::metadata(beside(database, ending)).map_or(0, |found| found.len())
}

/// Makes durable which files are in the database's directory.
///
/// # Errors
/// It cannot.
pub(super) fn sync_directory(database: &Path) -> Result<(), JournalError> {
    let directory = database.parent().unwrap_or(database);
    File::open(directory)
        .and_then(|opened| opened.sync_all())
        .map_err(|e| JournalError::Failed(format!("syncing the directory of {} failed ({e})", database.display())))
}

/// Puts a synced copy in the place of the `-wal` file. Not to be called once SQLite has it open: to close a file drops all locks on it.
///
/// # Errors
/// It cannot; the `-wal` file is as it was.
pub(super) fn renew_wal(database: &Path) -> Result<(), JournalError> {
    let (wal, copy) = (beside(database, "-wal"), beside(database, "-wal-copy"));
    copied(&wal, &copy).and_then(|()| fs::rename(&copy, &wal)).map_err(|error| {
        let (wal, copy) = (wal.display(), copy.display());
        JournalError::Failed(format!("{wal} cannot be copied to {copy} ({error}): free some space, or see to the disk"))
    })?;
    sync_directory(database)
}

fn copied(from: &Path, to: &Path) -> io::Result<()> {
    let from = File::open(from)?;
    let to = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(to)?;
    let mut piece = vec![0; PIECE];
    let mut at = 0;
    loop {
        let length = from.read_at(&mut piece, at)?;
        if length == 0 {
            return to.sync_all();
        }
        to.write_all_at(&piece[..length], at)?;
        at += length as u64;
    }
}

/// The file beside the database with this ending.
pub(super) fn beside(database: &Path, ending: &str) -> PathBuf {
    let mut name = database.as_os_str().to_owned();
    name.push(ending);
    name.into()
}
