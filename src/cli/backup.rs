//! `octostore backup`: a copy of the database that is whole, checked and on disk before it has its name.

use std::path::{Path, PathBuf};

use super::Failure;
use super::access::Access;
use super::files::{self, count, keep_to_the_owner, must_exist, tell, with_suffix};
use super::progress::Progress;
use crate::config::BackupArgs;
use crate::journal::{Inspected, SqliteJournal};

/// Makes the backup.
///
/// # Errors
/// The database cannot be read, or the file cannot be written. Then there is no file, or the one that there was.
pub fn run(args: &BackupArgs, database: &Path) -> Result<(), Failure> {
    keep_to_the_owner();
    must_exist(database)?;
    let file = target(args, database)?;
    let partial = with_suffix(&file, ".partial");
    files::remove(&partial)?; // of one that was killed
    let made = make(&partial, database).and_then(|inspected| {
        files::name(&partial, &file, args.force)?;
        Ok(inspected)
    });
    if made.is_err() {
        let _ = files::remove(&partial);
    }
    let Inspected { recovered, accounts, .. } = made?;
    let (users, locks) = (count(accounts.len(), "user"), count(recovered.locks.len(), "lock"));
    tell(&format!("{}: {users}, {locks}, up to commit {}; checked", file.display(), recovered.last_commit));
    Ok(())
}

fn make(partial: &Path, database: &Path) -> Result<Inspected, Failure> {
    let mut progress = Progress::new("copying");
    Access::to(database)?.copy(partial, &mut progress)?;
    progress.say("checking the copy");
    Ok(SqliteJournal::seal(partial)?)
}

/// Where the backup goes, as a path that means the same everywhere.
fn target(args: &BackupArgs, database: &Path) -> Result<PathBuf, Failure> {
    let shown = args.file.display();
    let Some(name) = args.file.file_name() else { return Err(format!("{shown} does not name a file").into()) };
    let parent = args.file.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let directory =
        std::fs::canonicalize(parent).map_err(|error| format!("the directory of {shown} cannot be used: {error}"))?;
    let file = directory.join(name);
    let real = std::fs::canonicalize(database).unwrap_or_else(|_| database.to_owned());
    if ["", "-wal", ".lock", ".admin", ".copy"].iter().any(|suffix| with_suffix(&real, suffix) == file) {
        return Err(format!("{shown} belongs to the database itself: name another file").into());
    }
    match file.symlink_metadata() {
        Ok(found) if found.is_dir() => Err(format!("{shown} is a directory: name a file in it").into()),
        Ok(_) if !args.force => Err(format!("{shown} exists: name another file, or use --force").into()),
        _ => Ok(file),
    }
}
