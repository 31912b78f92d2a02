//! The way to a database: by its lock if no server runs, else through the server that has it.

use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::{fs, io, thread};

use rustix::fs::{CWD, RenameFlags, renameat_with};
use rustix::io::Errno;

use super::Failure;
use super::files::must_exist;
use super::progress::Progress;
use crate::admin::{Client, Reply, Request, copy_path};
use crate::clock::Duration;
use crate::database_lock::{DatabaseLock, DatabaseLockError, open_no_link};
use crate::journal::{Inspected, Pages, SqliteJournal};

/// How often, and after what pause, a database is tried that somebody has who does not answer: a server that is just
/// starting, or another command that is soon done.
const TRIES: u32 = 50;
const PAUSE: Duration = Duration::from_millis(100);

/// A database that can be worked on.
pub enum Access {
    /// No server runs, and none can start while this lasts.
    Stopped(DatabaseLock),
    /// A server runs, and answers. With the real path of its database.
    Running(Client, PathBuf),
}

impl Access {
    /// To the database at `database`, which need not exist.
    ///
    /// # Errors
    /// Somebody has it who does not answer, or it cannot be there.
    pub fn to(database: &Path) -> Result<Access, Failure> {
        for tries in 1.. {
            let text = match DatabaseLock::take(database) {
                Ok(lock) => return Ok(Access::Stopped(lock)),
                Err(DatabaseLockError::InUse(text)) => text,
                Err(error) => return Err(error.into()),
            };
            let real = fs::canonicalize(database).unwrap_or_else(|_| database.to_owned());
            match Client::connect(&real) {
                Ok(client) => return Ok(Access::Running(client, real)),
                Err(error) if tries == TRIES || !may_come(&error) => {
                    let (holder, _) = text.split_once(": ").unwrap_or((&text, ""));
                    return Err(format!("{holder}, and cannot be asked at its admin socket: {error}").into());
                }
                Err(_) => thread::sleep(PAUSE),
            }
        }
        unreachable!("the last try returns")
    }

    /// Has what the database holds copied to the new file `to`, on whatever disk it lies.
    ///
    /// # Errors
    /// What cannot be read or written; then there may be a piece of the file.
    pub fn copy(self, to: &Path, progress: &mut Progress) -> Result<(), Failure> {
        match self {
            Access::Stopped(lock) => {
                Ok(SqliteJournal::copy_stopped(lock.database(), to, &mut |pages| progress.show(pages))?)
            }
            Access::Running(mut client, real) => {
                let copy = copy_of(&mut client, &real, progress)?;
                progress.say("moving the copy to its place");
                take(&copy, to).map_err(|error| format!("{} cannot be written: {error}", to.display()).into())
            }
        }
    }
}

/// What the database at `database` holds: all of it, as of one moment.
///
/// # Errors
/// It cannot be read.
pub fn inspect(database: &Path) -> Result<Inspected, Failure> {
    look(database, Ok, |mut client, real| {
        // The server keeps the copy for as long as the client is there.
        let copy = copy_of(&mut client, &real, &mut Progress::new("copying"))?;
        Ok(SqliteJournal::inspect(&copy)?)
    })
}

/// Something of what the database at `database` holds: `of` what is in it, or what `ask` has from the server that runs on it.
///
/// # Errors
/// It cannot be read, or as `ask` says.
pub fn look<T>(
    database: &Path,
    of: impl FnOnce(Inspected) -> Result<T, Failure>,
    ask: impl FnOnce(Client, PathBuf) -> Result<T, Failure>,
) -> Result<T, Failure> {
    must_exist(database)?;
    // Of a file that no server ever had, such as a backup, nothing is made beside it.
    if matches!(DatabaseLock::take_if_any(database), Ok(None)) {
        return of(SqliteJournal::inspect(database)?);
    }
    match Access::to(database)? {
        Access::Stopped(lock) => of(SqliteJournal::inspect(lock.database())?),
        Access::Running(client, real) => ask(client, real),
    }
}

fn copy_of(client: &mut Client, real: &Path, progress: &mut Progress) -> Result<PathBuf, Failure> {
    let mut show = |part| {
        if let Reply::Progress { done, total } = part {
            progress.show(Pages { done, total });
        }
    };
    match client.ask(&Request::Copy, &mut show)? {
        Reply::Copied => Ok(copy_path(real)),
        _ => Err("the server has answered something else than a copy".to_owned().into()),
    }
}

/// Makes the server's copy the caller's own new file. One that is the caller's already is moved. Root's is made anew of
/// another user's: that user could have opened the file before it was moved, or have put a link in its place.
fn take(from: &Path, to: &Path) -> io::Result<()> {
    if is_callers(from)? {
        match renameat_with(CWD, from, CWD, to, RenameFlags::NOREPLACE) {
            Err(Errno::XDEV) => {}
            moved => return moved.map_err(io::Error::from),
        }
    }
    let mut from = open_no_link(fs::OpenOptions::new().read(true).clone(), from)?;
    let mut to = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(to)?;
    io::copy(&mut from, &mut to).map(|_| ())
}

/// Whether a file, and the directory it is in, belong to whoever runs this.
fn is_callers(file: &Path) -> io::Result<bool> {
    let caller = rustix::process::geteuid().as_raw();
    let directory = fs::metadata(file.parent().unwrap_or(file))?;
    Ok(directory.uid() == caller && fs::symlink_metadata(file)?.uid() == caller)
}

/// Whether a server that is starting may be there soon.
fn may_come(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused)
}
