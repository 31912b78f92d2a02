//! One server per database: a lock on `<database>.lock`, held for life.
//!
//! Two processes on one database would grant the same lock twice. So the very first thing a start
//! does is to lock this file, before SQLite opens anything (whose EXCLUSIVE mode comes on top). The
//! kernel lets the lock go when the process ends, however it ends: after a kill -9 the next start
//! finds it free. The file itself stays: a file that is unlinked while somebody waits for it can be locked twice.
//!
//! The lock file belongs to the database's real path: reached through a symbolic link or from another
//! directory, it is the same one. The pid in it is for people alone.
//!
//! Root may run a command in a directory where the service's user can write, and put links. So the lock file itself is
//! never reached through a link, nor is it a second name of another file: what is written here is written to it alone.

use std::ffi::OsString;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Read, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::{Access, OFlags, access, statfs};
use rustix::io::Errno;

/// File systems over a network, by their numbers in `linux/magic.h`: neither their locks nor their syncs are sure.
const NETWORK: [(u64, &str); 5] =
    [(0x6969, "NFS"), (0x517B, "SMB"), (0xFF53_4D42, "CIFS"), (0xFE53_4D42, "SMB2"), (0x0102_1997, "9P")];

/// The lock on a database. It lasts until it is dropped or the process ends.
#[derive(Debug)]
pub struct DatabaseLock {
    database: PathBuf,
    _held: File,
}

/// Why the database cannot be had. One line that says what to do.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DatabaseLockError {
    /// Another process has it.
    #[error("{0}")]
    InUse(String),
    /// No database can be there.
    #[error("{0}")]
    Unfit(String),
}

impl DatabaseLock {
    /// Locks the database at `database`, which need not exist yet.
    ///
    /// # Errors
    /// Another process has it, or its directory is none that a database can live in.
    pub fn take(database: &Path) -> Result<DatabaseLock, DatabaseLockError> {
        let shown = database.display();
        let (directory, real) = real_path(database)?;
        if let Some(kind) = network_file_system(&directory) {
            let text =
                format!("{shown} is on a network file system ({kind}), which loses locks; put it on a local disk");
            return Err(DatabaseLockError::Unfit(text));
        }
        let mut path: OsString = real.clone().into();
        path.push(".lock");
        let unwritable = |e: io::Error| {
            let path = path.display();
            let advice = match e.kind() {
                io::ErrorKind::Other => "remove it", // see `open_no_link`
                _ => "the server's user must be able to write there",
            };
            DatabaseLockError::Unfit(format!("cannot lock {path}: {e}; {advice}"))
        };
        access(&directory, Access::WRITE_OK | Access::EXEC_OK).map_err(|e| unwritable(e.into()))?;
        // Mode 600: whoever may open the file, even for reading, may lock it.
        let options = OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).clone();
        let mut file = open_no_link(options, Path::new(&path)).map_err(unwritable)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let holder = holder(&mut file);
                let text = format!("{shown} is in use by {holder}: stop it, or give this server another --database");
                return Err(DatabaseLockError::InUse(text));
            }
            Err(TryLockError::Error(e)) => return Err(unwritable(e)),
        }
        file.set_len(0).and_then(|()| writeln!(file, "{}", std::process::id())).map_err(unwritable)?;
        Ok(DatabaseLock { database: real, _held: file })
    }

    /// As [`DatabaseLock::take`] for a file that may be a server's database or merely a copy of one: None if no
    /// server has ever had it, and then nothing is put beside it.
    ///
    /// # Errors
    /// Another process has it.
    pub fn take_if_any(file: &Path) -> Result<Option<DatabaseLock>, DatabaseLockError> {
        let (_, real) = real_path(file)?;
        let mut path: OsString = real.into();
        path.push(".lock");
        if Path::new(&path).symlink_metadata().is_ok() { DatabaseLock::take(file).map(Some) } else { Ok(None) }
    }

    /// The database's real path: absolute, no symbolic link in it.
    pub fn database(&self) -> &Path {
        &self.database
    }
}

/// Opens a regular file that has one name, and not through a symbolic link.
///
/// # Errors
/// It cannot be opened; or it is something else, with an error of the kind `Other`.
pub fn open_no_link(mut options: OpenOptions, path: &Path) -> io::Result<File> {
    // Without O_NONBLOCK a pipe would keep us waiting; to a regular file it means nothing.
    let flags = OFlags::NOFOLLOW | OFlags::NONBLOCK;
    let opened = options.custom_flags(flags.bits().cast_signed()).open(path);
    let file = opened.map_err(|error| match error.raw_os_error() {
        Some(code) if code == Errno::LOOP.raw_os_error() => io::Error::other("it is a symbolic link"),
        _ => error,
    })?;
    let found = file.metadata()?;
    match found.is_file() && found.nlink() == 1 {
        true => Ok(file),
        false => Err(io::Error::other("it is no regular file with a single name")),
    }
}

/// The real directory of a database that may not exist yet, and its real path.
fn real_path(database: &Path) -> Result<(PathBuf, PathBuf), DatabaseLockError> {
    let shown = database.display();
    let failed = DatabaseLockError::Unfit;
    if database.symlink_metadata().is_ok() {
        let real =
            fs::canonicalize(database).map_err(|e| failed(format!("{shown} is a link that leads nowhere: {e}")))?;
        return match real.parent() {
            Some(directory) if !real.is_dir() => Ok((directory.to_owned(), real)),
            _ => Err(failed(format!("{shown} is a directory; give --database a file in it, such as octostore.db"))),
        };
    }
    let Some(file_name) = database.file_name() else {
        return Err(failed(format!("{shown} does not name a file; give --database a path such as octostore.db")));
    };
    let parent = database.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let directory = fs::canonicalize(parent).map_err(|e| match e.kind() {
        io::ErrorKind::NotFound => {
            let parent = parent.display();
            failed(format!("the directory of {shown} does not exist: mkdir -p '{parent}', or give another --database"))
        }
        _ => failed(format!("the directory of {shown} cannot be reached: {e}; give another --database")),
    })?;
    if !directory.is_dir() {
        return Err(failed(format!("{} is no directory; give another --database", directory.display())));
    }
    let real = directory.join(file_name);
    Ok((directory, real))
}

/// The name of the network file system that `directory` is on. None: it is on none that is known.
fn network_file_system(directory: &Path) -> Option<&'static str> {
    let magic = statfs(directory).ok()?.f_type as u64 & 0xFFFF_FFFF; // some platforms extend its sign
    NETWORK.iter().find(|(known, _)| *known == magic).map(|(_, name)| *name)
}

/// Who has the lock, as far as it can be known.
fn holder(lock_file: &mut File) -> String {
    let mut text = String::new();
    let pid: Option<u32> = lock_file.take(32).read_to_string(&mut text).ok().and_then(|_| text.trim().parse().ok());
    let Some(pid) = pid else { return "another process".into() };
    match fs::read_to_string(format!("/proc/{pid}/comm")) {
        Ok(name) => format!("process {pid} ({})", name.trim_end()),
        Err(_) => format!("process {pid}"), // in another container, or hidden from us
    }
}

#[cfg(test)]
mod tests {
    use rustix::fs::{CWD, FileType, Mode};

    use super::*;
    use crate::scratch::directory;

    fn refusal(database: &Path) -> String {
        DatabaseLock::take(database).map(drop).unwrap_err().to_string()
    }

    #[test]
    fn a_second_server_is_told_who_has_the_database() {
        let database = directory("second").join("octostore.db");
        let lock = DatabaseLock::take(&database).unwrap();
        let comm = fs::read_to_string("/proc/self/comm").unwrap();
        let wanted = format!(
            "{} is in use by process {} ({}): stop it, or give this server another --database",
            database.display(),
            std::process::id(),
            comm.trim_end()
        );
        assert_eq!(refusal(&database), wanted);
        drop(lock);
        DatabaseLock::take(&database).unwrap();
    }

    #[test]
    fn a_lock_file_that_a_dead_server_left_is_taken_over() {
        let database = directory("dead").join("octostore.db");
        fs::write(database.with_file_name("octostore.db.lock"), "4294967295 and more than the new pid needs\n")
            .unwrap();
        let _lock = DatabaseLock::take(&database).unwrap();
        let kept = fs::read_to_string(database.with_file_name("octostore.db.lock")).unwrap();
        assert_eq!(kept, format!("{}\n", std::process::id()));
    }

    #[test]
    fn the_lock_file_is_not_for_others_and_stays() {
        use std::os::unix::fs::PermissionsExt;
        let database = directory("mode").join("octostore.db");
        drop(DatabaseLock::take(&database).unwrap());
        let mode = fs::metadata(database.with_file_name("octostore.db.lock")).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }

    #[test]
    fn a_link_and_a_detour_lead_to_the_same_lock() {
        let directory = directory("link");
        let database = directory.join("octostore.db");
        fs::write(&database, "").unwrap();
        let link = directory.join("other.db");
        std::os::unix::fs::symlink("octostore.db", &link).unwrap();
        let lock = DatabaseLock::take(&link).unwrap();
        assert_eq!(lock.database(), database);
        assert!(
            refusal(&directory.join("../").join(directory.file_name().unwrap()).join("octostore.db"))
                .contains("in use")
        );
    }

    #[test]
    fn a_lock_file_that_is_a_link_or_no_file_of_its_own_is_refused_and_its_target_kept() {
        let directory = directory("planted");
        let (database, planted) = (directory.join("octostore.db"), directory.join("octostore.db.lock"));
        let precious = directory.join("precious");
        fs::write(&precious, "precious").unwrap();
        let refused = |says: &str| {
            for refusal in [refusal(&database), DatabaseLock::take_if_any(&database).unwrap_err().to_string()] {
                assert!(refusal.contains(says) && refusal.ends_with("remove it"), "{refusal}");
            }
            fs::remove_file(&planted).unwrap();
            assert_eq!(fs::read(&precious).unwrap(), b"precious");
        };
        std::os::unix::fs::symlink(&precious, &planted).unwrap();
        refused("symbolic link");
        std::os::unix::fs::symlink(directory.join("nowhere"), &planted).unwrap();
        refused("symbolic link");
        assert!(!directory.join("nowhere").exists());
        fs::hard_link(&precious, &planted).unwrap();
        refused("no regular file");
        rustix::fs::mknodat(CWD, &planted, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap();
        refused("no regular file");
        DatabaseLock::take(&database).unwrap();
    }

    #[test]
    fn a_relative_path_is_made_absolute() {
        let (directory, real) = real_path(Path::new("not-there.db")).unwrap();
        assert_eq!(directory, fs::canonicalize(".").unwrap());
        assert_eq!(real, directory.join("not-there.db"));
    }

    #[test]
    fn a_place_where_no_database_can_be_says_what_to_do() {
        let directory = directory("place");
        assert!(refusal(&directory.join("no/such/octostore.db")).contains("mkdir -p"));
        assert!(refusal(&directory).contains("is a directory"));
        fs::write(directory.join("file"), "").unwrap();
        assert!(refusal(&directory.join("file/octostore.db")).contains("another --database"));
        std::os::unix::fs::symlink("nowhere", directory.join("dangling.db")).unwrap();
        assert!(refusal(&directory.join("dangling.db")).contains("leads nowhere"));
        assert!(refusal(Path::new("/proc/octostore.db")).contains("/proc/octostore.db.lock"));
    }
}
