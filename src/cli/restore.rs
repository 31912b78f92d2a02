//! `octostore restore`: makes a new database of a backup. What that does to it is in `journal/restore.rs`.

use std::path::Path;

use super::Failure;
use super::files::{count, keep_to_the_owner, leave_to_the_owner, must_exist, tell};
use super::progress::Progress;
use crate::clock;
use crate::config::RestoreArgs;
use crate::database_lock::DatabaseLock;
use crate::journal::{GRACE_S, SqliteJournal, TOKENS_A_SECOND};

/// Restores.
///
/// # Errors
/// Something is in the way, or the backup is not whole; nothing has been changed then.
pub fn run(args: &RestoreArgs, database: &Path) -> Result<(), Failure> {
    keep_to_the_owner();
    must_exist(&args.file)?;
    let lock = DatabaseLock::take(database)?;
    let mut progress = Progress::new("restoring");
    let now_s = clock::wall_ns() / 1_000_000_000;
    let show = &mut |pages| progress.show(pages);
    let held = SqliteJournal::restore(&args.file, lock.database(), !args.no_grace, now_s, show)?;
    drop(progress);
    leave_to_the_owner(lock.database())?;
    let (users, leases) = (count(held.accounts.len(), "user"), count(held.recovered.locks.len(), "lease"));
    tell(&format!("{} is restored from {}:", lock.database().display(), args.file.display()));
    tell(&format!("  {users} with their tokens kept, {leases} dropped;"));
    tell("  tokens that were rotated or removed since the backup are valid again: rotate them;");
    tell(&format!("  fencing tokens go on above {};", now_s * TOKENS_A_SECOND));
    match args.no_grace {
        false => tell(&format!(
            "  no lock is granted for {GRACE_S} s from the first start, until older leases have run out."
        )),
        true => tell("  locks are granted at once (--no-grace)."),
    }
    Ok(())
}
