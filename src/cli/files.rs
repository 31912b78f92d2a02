//! Databases and other files, as the commands find them.

use std::fs;
use std::io::{self, ErrorKind, Write, stderr, stdout};
use std::os::unix::fs::{MetadataExt, fchown};
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, Mode, RenameFlags, renameat_with};

use super::Failure;
use crate::database_lock::open_no_link;

/// Whatever a command makes is its owner's alone: databases hold lease ids.
pub fn keep_to_the_owner() {
    rustix::process::umask(Mode::RWXG | Mode::RWXO);
}

/// Leaves a database that root has made to the owner of its directory: the server's user, who could not open it otherwise.
pub fn leave_to_the_owner(database: &Path) -> Result<(), Failure> {
    if !rustix::process::geteuid().is_root() {
        return Ok(());
    }
    let directory = database.parent().unwrap_or(database);
    let failed = |error: io::Error| -> Failure {
        format!("{} cannot be given to the owner of its directory: {error}", database.display()).into()
    };
    let owner = fs::metadata(directory).map_err(failed)?;
    for file in [database.to_owned(), with_suffix(database, ".lock")] {
        // Not by its name: the owner of the directory could have led it to somebody else's file.
        let own = open_no_link(fs::OpenOptions::new().read(true).clone(), &file).map_err(failed)?;
        fchown(own, Some(owner.uid()), Some(owner.gid())).map_err(failed)?;
    }
    Ok(())
}

/// That there is a database at all: a command that only looks makes none.
pub fn must_exist(database: &Path) -> Result<(), Failure> {
    match database.symlink_metadata() {
        Ok(_) => Ok(()),
        Err(error) => {
            Err(format!("there is no database {}: {error}; give its path with --database", database.display()).into())
        }
    }
}

/// A path with something appended to its name.
pub fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

/// Gives the file `new` the name `path`, on disk. If there is one of that name it is replaced, or that is an error.
pub fn name(new: &Path, path: &Path, replace: bool) -> Result<(), Failure> {
    let flags = if replace { RenameFlags::empty() } else { RenameFlags::NOREPLACE };
    let renamed = renameat_with(CWD, new, CWD, path, flags).map_err(io::Error::from);
    let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    renamed
        .and_then(|()| fs::File::open(directory)?.sync_all())
        .map_err(|error| format!("naming {} failed: {error}", path.display()).into())
}

/// Writes to stdout. If whoever read it has gone, as `head` does, there is nothing more to do, and that is no error.
pub fn print(write: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> Result<(), Failure> {
    let mut out = io::BufWriter::new(stdout().lock());
    match write(&mut out).and_then(|()| out.flush()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => Err(format!("writing to stdout failed: {error}").into()),
        _ => Ok(()),
    }
}

/// So many of something, for people.
pub fn count(number: usize, one: &str) -> String {
    format!("{number} {one}{}", if number == 1 { "" } else { "s" })
}

/// Says something to the person at the terminal, or to the log. Not eprintln: it panics when stderr is closed.
pub fn tell(text: &str) {
    let _ = writeln!(stderr(), "{text}");
}
