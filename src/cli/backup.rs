//! `octostore backup`: a copy of the database that is whole, checked and on disk before it has its name.

use std::path::{Path, PathBuf};

use super::Failure;
use super::access::Access;
use super::files::{self, count, keep_to_the_owner, must_exist, tell, with_suffix};
use super::progress::Progress;
use crate::auth::local_token_path;
use crate::config::BackupArgs;
use crate::journal::{Inspected, SqliteJournal};

/// What lies beside a database and is the server's own, by what is appended to the database's name; the token of the
/// user `local` comes on top.
const OWN: [&str; 11] = [
    "",
    "-wal",
    "-wal-copy",
    "-journal",
    "-shm",
    ".lock",
    ".admin",
    ".copy",
    ".restoring",
    ".restoring-wal",
    ".restoring-journal",
];
/// What a backup makes, or removes when an earlier one has left it.
const MADE: [&str; 4] = ["", ".partial", ".partial-wal", ".partial-journal"];

/// Makes the backup.
///
/// # Errors
/// The database cannot be read, or the file cannot be written. Then there is no file, or the one that there was.
pub fn run(args: &BackupArgs, database: &Path) -> Result<(), Failure> {
    keep_to_the_owner();
    must_exist(database)?;
    let file = target(args, database)?;
    let partial = with_suffix(&file, ".partial");
    SqliteJournal::remove_remains(&partial)?; // of one that was killed
    let made = make(&partial, database).and_then(|inspected| {
        files::name(&partial, &file, args.force)?;
        Ok(inspected)
    });
    if made.is_err() {
        let _ = SqliteJournal::remove_remains(&partial);
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
    let own = own_files(database);
    if MADE.iter().any(|suffix| own.contains(&with_suffix(&file, suffix))) {
        return Err(format!("{shown} belongs to the database itself: name another file").into());
    }
    // A file that was there may have left something that SQLite would play into the new one.
    for left in ["-wal", "-journal"].map(|suffix| with_suffix(&file, suffix)) {
        if left.symlink_metadata().is_ok() {
            let left = left.display();
            return Err(format!("{left} exists, and would change what is read from {shown}: move it away first").into());
        }
    }
    match file.symlink_metadata() {
        Ok(found) if found.is_dir() => Err(format!("{shown} is a directory: name a file in it").into()),
        Ok(_) if !args.force => Err(format!("{shown} exists: name another file, or use --force").into()),
        _ => Ok(file),
    }
}

/// The server's own files, by the database's real name and by the one that was given, which may be a link.
fn own_files(database: &Path) -> Vec<PathBuf> {
    let real = |path: &Path| std::fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    let parent = database.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let given = database.file_name().map(|name| real(parent).join(name));
    let names = [Some(real(database)), given].into_iter().flatten();
    names
        .flat_map(|name| OWN.map(|suffix| with_suffix(&name, suffix)).into_iter().chain([local_token_path(&name)]))
        .collect()
}
