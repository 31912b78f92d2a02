//! `octostore check`: is a database, or a backup, whole?
//!
//! Two looks that see different things: recovery's own (every checksum, every field, the order of the rows) and
//! SQLite's (every page, index and constraint). Neither changes anything.

use std::path::Path;

use super::Failure;
use super::files::{must_exist, print};
use super::progress::Progress;
use crate::database_lock::{DatabaseLock, DatabaseLockError};
use crate::journal::{Inspected, JournalError, SCHEMA_VERSION, SqliteJournal};

/// Checks `file`, or else `database`.
///
/// # Errors
/// [`Failure::Damaged`]; or why it cannot be told.
pub fn run(file: Option<&Path>, database: &Path) -> Result<(), Failure> {
    let path = file.unwrap_or(database);
    must_exist(path)?;
    let _lock = DatabaseLock::take_if_any(path).map_err(|error| match error {
        DatabaseLockError::InUse(text) => {
            let (holder, _) = text.split_once(": ").unwrap_or((&text, ""));
            Failure::from(format!("{holder}: take a backup of it with `octostore backup FILE`, which is checked"))
        }
        error => error.into(),
    })?;
    let damaged = |error| match error {
        JournalError::Corrupt(text) => Failure::Damaged(text),
        error => error.into(),
    };
    let mut progress = Progress::new("checking");
    progress.say("reading every lock and commit");
    let inspected = SqliteJournal::inspect(path).map_err(damaged)?;
    progress.say("checking every page, index and constraint");
    SqliteJournal::verify(path).map_err(damaged)?;
    drop(progress);
    print(|out| out.write_all(report(path, &inspected).as_bytes()))
}

fn report(path: &Path, Inspected { recovered, accounts, .. }: &Inspected) -> String {
    let grace = match recovered.grace_s {
        0 => "none".to_owned(),
        grace_s => format!("{grace_s} s after the next start no lock is granted: it was restored from a backup"),
    };
    let (locks, accounts, mark) = (recovered.locks.len(), accounts.len(), recovered.mark);
    let (last, behind) = (recovered.last_commit, recovered.tail.len());
    let path = path.display();
    format!(
        "{path}: whole\n  schema version  {SCHEMA_VERSION}\n  accounts        {accounts}\n  locks held      {locks}\n  \
         highest token   {mark}\n  last commit     {last} ({behind} not yet in the rows)\n  grace           {grace}\n"
    )
}
