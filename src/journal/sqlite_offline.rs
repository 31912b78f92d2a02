//! What is done with a database file that no server has open: looking it through, copying it, restoring it.
//!
//! Whoever calls these for the database of a server holds its lock. Looking changes nothing, neither in the file nor
//! beside it. A copy or a restore is made under a temporary name, synced, and gets its name when it is whole: a
//! crash leaves the name as it was, and a file that the next call removes.

use std::fs;
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, RenameFlags, renameat_with};

use super::backup::{Copied, Pages};
use super::recovery::{REMEDY, corrupt};
use super::restore::restored;
use super::ring::Limits;
use super::sqlite_backup::{self, sync};
use super::sqlite_files::beside;
use super::sqlite_meta::MetaRow;
pub use super::sqlite_schema::SCHEMA_VERSION;
use super::sqlite_sums::Sum;
use super::{Account, Journal, JournalError, Recovered, SqliteJournal, sqlite_schema};

const DROP_LEASES: &str = "DELETE FROM locks; DELETE FROM journal;";

/// What a database file holds, every field checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Inspected {
    /// All that a start would find, the locks in order of name.
    pub recovered: Recovered,
    /// The accounts, by number.
    pub accounts: Vec<Account>,
    /// How many stored tokens each has.
    pub tokens: Vec<u32>,
}

impl SqliteJournal {
    /// Reads the database at `path` as a start would, and changes nothing.
    ///
    /// # Errors
    /// As for a start; also if it is of an earlier version, which only a start can read.
    pub fn inspect(path: &Path) -> Result<Inspected, JournalError> {
        let path = absolute(path)?;
        let (connection, version) = sqlite_schema::open_to_read(&path)?;
        if version != SCHEMA_VERSION {
            return Err(JournalError::Failed(format!(
                "{} is of schema version {version}: if it is a backup, `octostore restore` takes it as it is; else start this \
                 octostore on it once, which makes it version {SCHEMA_VERSION}",
                path.display()
            )));
        }
        let journal = SqliteJournal::of(path, connection, Limits::STANDARD)?;
        inspected(&journal).map_err(|error| journal.name_file(error))
    }

    /// Has SQLite look at every page, index and constraint of the database at `path`: its `integrity_check`.
    ///
    /// # Errors
    /// The first thing that is wrong.
    pub fn verify(path: &Path) -> Result<(), JournalError> {
        let path = absolute(path)?;
        let (connection, _) = sqlite_schema::open_to_read(&path)?;
        let explain = |error| sqlite_schema::explain(&path, "checking", &error);
        sqlite_schema::look_through(&connection, &path, "PRAGMA integrity_check(1)")?;
        let mut stray = connection.prepare("PRAGMA foreign_key_check").map_err(explain)?;
        if stray.exists([]).map_err(explain)? {
            let path = path.display();
            return Err(JournalError::Corrupt(format!("{path} is damaged (a lock belongs to no account): {REMEDY}")));
        }
        Ok(())
    }

    /// Copies the database at `path` to the new file `to`, which is not sealed yet: see [`SqliteJournal::seal`].
    ///
    /// # Errors
    /// What cannot be read or written.
    pub fn copy_stopped(path: &Path, to: &Path, progress: &mut dyn FnMut(Pages)) -> Result<(), JournalError> {
        let (connection, _) = sqlite_schema::open_to_read(&absolute(path)?)?;
        let copied = sqlite_backup::copy(&connection, to, &mut |pages| {
            progress(pages);
            Ok(true)
        })?;
        match copied {
            Copied::Whole => Ok(()),
            Copied::Failed(why) => Err(JournalError::Failed(why)),
            Copied::GivenUp => unreachable!("it is always wanted"),
        }
    }

    /// Makes a copy a backup: one file, on disk, readable everywhere, looked through from end to end.
    ///
    /// # Errors
    /// It is damaged, or cannot be written.
    pub fn seal(copy: &Path) -> Result<Inspected, JournalError> {
        sqlite_backup::seal(copy)
    }

    /// Makes the database at `path`, which must not be there, of the backup at `backup`, at `now_s` by the wall clock: see
    /// [`super::restore`]. Gives what the backup held.
    ///
    /// # Errors
    /// Something is in the way, or the backup is not whole. Nothing is left behind then.
    pub fn restore(
        backup: &Path,
        path: &Path,
        with_grace: bool,
        now_s: u64,
        progress: &mut dyn FnMut(Pages),
    ) -> Result<Inspected, JournalError> {
        // A `-wal` file or a rollback journal that an earlier database has left would be played into the restored one.
        for there in [path.to_owned(), beside(path, "-wal"), beside(path, "-journal")] {
            if there.symlink_metadata().is_ok() {
                let there = there.display();
                return Err(JournalError::Failed(format!(
                    "{there} exists, and a restore overwrites nothing: move it away first"
                )));
            }
        }
        SqliteJournal::verify(backup)?;
        let new = beside(path, ".restoring");
        SqliteJournal::remove_remains(&new)?;
        let made = SqliteJournal::copy_stopped(backup, &new, progress)
            .and_then(|()| make_anew(&new, backup, with_grace, now_s))
            .and_then(|held| name(&new, path).map(|()| held));
        if made.is_err() {
            let _ = SqliteJournal::remove_remains(&new);
        }
        made
    }

    /// Removes what an earlier run that was killed has left under the temporary name `new`: the file, and what lies beside
    /// it, which SQLite would play into the next file of that name.
    ///
    /// # Errors
    /// Something is there that cannot be removed.
    pub fn remove_remains(new: &Path) -> Result<(), JournalError> {
        for remains in [new.to_owned(), beside(new, "-wal"), beside(new, "-journal")] {
            match fs::remove_file(&remains) {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                    return Err(JournalError::Failed(format!("{} cannot be removed: {error}", remains.display())));
                }
                _ => {}
            }
        }
        Ok(())
    }
}

/// Does to the copy what a restore does, and leaves it on disk.
fn make_anew(new: &Path, backup: &Path, with_grace: bool, now_s: u64) -> Result<Inspected, JournalError> {
    // Opened as a start opens it: one of an earlier version is brought up to date.
    let opened = SqliteJournal::open(new, Limits::STANDARD);
    let read = opened.and_then(|journal| inspected(&journal).map(|held| (journal, held)));
    // Whatever is wrong with it is wrong with the backup.
    let (mut journal, held) = read.map_err(|error| match error {
        JournalError::Corrupt(what) => JournalError::Corrupt(format!("{}: {what}", backup.display())),
        error => error,
    })?;
    let meta = restored(&held.recovered, with_grace, now_s)?;
    journal.change("restoring", |connection, row| {
        connection.execute_batch(DROP_LEASES)?;
        *row = MetaRow { meta, wal_holds_more: false, locks: Sum::default(), ..*row };
        Ok(())
    })?;
    journal.close()?;
    sync(new).map_err(|error| JournalError::Failed(format!("syncing {} failed: {error}", new.display())))?;
    Ok(held)
}

fn inspected(journal: &SqliteJournal) -> Result<Inspected, JournalError> {
    let (mut recovered, _) = journal.read()?;
    recovered.locks.sort_unstable_by(|a, b| a.name.cmp(&b.name));
    let accounts = journal.read_accounts()?;
    let mut tokens = vec![0; accounts.len()];
    for (_, user) in journal.read_tokens()? {
        let count = tokens.get_mut(user.0 as usize);
        *count.ok_or_else(|| corrupt(format!("a token opens account {}, which is none", user.0)))? += 1;
    }
    Ok(Inspected { recovered, accounts, tokens })
}

/// Gives the finished file its name, which nothing has, on disk.
fn name(new: &Path, path: &Path) -> Result<(), JournalError> {
    let failed = |error: std::io::Error| JournalError::Failed(format!("naming {} failed: {error}", path.display()));
    renameat_with(CWD, new, CWD, path, RenameFlags::NOREPLACE).map_err(|error| failed(error.into()))?;
    sync(path.parent().unwrap_or(path)).map_err(failed)
}

fn absolute(path: &Path) -> Result<PathBuf, JournalError> {
    std::path::absolute(path)
        .map_err(|error| JournalError::Failed(format!("'{}' is no path to a file ({error})", path.display())))
}
