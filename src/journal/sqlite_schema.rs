//! The database file: its tables, how it is opened, and what its errors mean to an operator.
//!
//! One connection, in exclusive mode, owns the file from open to close: no `-shm` file, and no lock to
//! take for a commit. The mode is set before the first read, and the file's identity is looked at
//! before anything in it is changed.
//!
//! A connection that is merely dropped leaves the file and its `-wal` as a crash would
//! (NO_CKPT_ON_CLOSE); only [`close`] merges them, and then one file is left.
//!
//! Recovery reads every row of every table that counts, and checks each field and each checksum (of a commit, a row, a table: see
//! [`super::sqlite_sums`]). What leads to the rows has none: so SQLite is asked whether each page is used once, the free ones too,
//! and whether all keys are in order ([`check_pages`]). Else a row that a start finds could be missed by whoever looks for it, or
//! a page in use be written over as a free one.

use std::path::Path;

use rusqlite::config::DbConfig;
use rusqlite::{Connection, ErrorCode, OpenFlags};
use rustix::fs::{Access, access};

use super::JournalError;
use super::recovery::{REMEDY, corrupt};
use super::sqlite::name_file;
use super::sqlite_files::{self, size, sync_directory};
use super::sqlite_meta::{self, MetaRow};
use super::sqlite_sums::{self, Wrong, wrong};
use super::sqlite_wal;

/// `application_id` in the file's header, so that `file` and others can tell it: "Octo".
pub(super) const APPLICATION_ID: i32 = 0x4f63_746f;
/// `user_version`: of the tables, and of the bytes in `journal.records`. [`migrate`] knows the earlier ones.
pub const SCHEMA_VERSION: i32 = 3;

/// SQLite's page cache, in KiB: the upper pages of a table of millions of rows, and the hot lower ones.
const CACHE_KIB: u32 = 16 * 1024;

/// A page of a database of ours.
pub(super) const PAGE_BYTES: u64 = 4096;

const SCHEMA: &str = "
CREATE TABLE meta (                       -- one row
    only             INTEGER PRIMARY KEY CHECK (only = 1),
    mark             INTEGER NOT NULL CHECK (mark BETWEEN 0 AND 9007199254740991), -- highest fencing token minted
    last_commit      INTEGER NOT NULL CHECK (last_commit >= 0),
    trimmed_through  INTEGER NOT NULL CHECK (trimmed_through BETWEEN 0 AND last_commit), -- these are in the rows
    wal_holds_more   INTEGER NOT NULL CHECK (wal_holds_more IN (0, 1)), -- newer commits were written to the -wal file
    probe            INTEGER NOT NULL,    -- changes when the disk is probed
    grace_seconds    INTEGER NOT NULL DEFAULT 0 CHECK (grace_seconds BETWEEN 0 AND 3600), -- see restore.rs
    locks_sum        INTEGER NOT NULL,    -- over the rows of each table: 2^32 + checksum, modulo 2^64; see sqlite_sums.rs
    accounts_sum     INTEGER NOT NULL,
    tokens_sum       INTEGER NOT NULL,
    checksum         INTEGER NOT NULL     -- CRC-32 of all but only
) STRICT;
INSERT INTO meta VALUES (1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0);

CREATE TABLE accounts (
    id           INTEGER PRIMARY KEY CHECK (id BETWEEN 0 AND 4294967295),
    public_id    TEXT NOT NULL UNIQUE CHECK (length(public_id) = 36),
    kind         TEXT NOT NULL CHECK (kind <> ''),
    external_id  TEXT NOT NULL,
    created_at   TEXT NOT NULL,
    login        TEXT,                    -- what the user is called, where that is not external_id
    checksum     INTEGER NOT NULL,        -- CRC-32 of the others
    UNIQUE (kind, external_id)
) STRICT;

CREATE TABLE locks (                      -- as of commit meta.trimmed_through, or later
    name         TEXT NOT NULL PRIMARY KEY CHECK (length(name) BETWEEN 1 AND 128 AND name NOT GLOB '*[^a-zA-Z0-9.-]*'),
    user_id      INTEGER NOT NULL REFERENCES accounts (id),
    lease_id     TEXT NOT NULL CHECK (length(lease_id) = 36),
    token        INTEGER NOT NULL CHECK (token BETWEEN 1 AND 9007199254740991),
    ttl_seconds  INTEGER NOT NULL CHECK (ttl_seconds BETWEEN 1 AND 3600),
    metadata     TEXT CHECK (length(CAST(metadata AS BLOB)) <= 1024),
    checksum     INTEGER NOT NULL         -- CRC-32 of the others
) STRICT, WITHOUT ROWID;

CREATE TABLE journal (                    -- the commits after meta.trimmed_through count; others are dead
    slot      INTEGER PRIMARY KEY,
    number    INTEGER NOT NULL CHECK (number > 0),
    mark      INTEGER NOT NULL CHECK (mark >= 0),
    checksum  INTEGER NOT NULL,           -- CRC-32 of number, mark (8 bytes each, little-endian) and records
    records   BLOB NOT NULL,
    padding   BLOB                        -- zeros: see sqlite_padding.rs
) STRICT;
";

/// The tokens that users were given; those of the configuration are not stored.
const TOKENS: &str = "
CREATE TABLE tokens (
    hash     BLOB PRIMARY KEY CHECK (length(hash) = 32),  -- SHA-256 of the token
    user_id  INTEGER NOT NULL REFERENCES accounts (id),
    issued   INTEGER NOT NULL,            -- a later token of the account has a higher number
    checksum INTEGER NOT NULL             -- CRC-32 of the others
) STRICT, WITHOUT ROWID;
CREATE INDEX tokens_of_account ON tokens (user_id, issued);
";

/// What makes version 2 of version 1, beside the table of tokens.
const TO_VERSION_2: &str = "
ALTER TABLE meta ADD COLUMN
    grace_seconds    INTEGER NOT NULL DEFAULT 0 CHECK (grace_seconds BETWEEN 0 AND 3600); -- see restore.rs
ALTER TABLE accounts ADD COLUMN login TEXT;
ALTER TABLE journal ADD COLUMN padding BLOB;
";

/// What makes version 3 of version 2: columns that [`sqlite_sums::fill_in`] fills in.
const TO_VERSION_3: &str = "
ALTER TABLE locks ADD COLUMN checksum INTEGER NOT NULL DEFAULT 0;
ALTER TABLE accounts ADD COLUMN checksum INTEGER NOT NULL DEFAULT 0;
ALTER TABLE meta ADD COLUMN locks_sum INTEGER NOT NULL DEFAULT 0;
ALTER TABLE meta ADD COLUMN accounts_sum INTEGER NOT NULL DEFAULT 0;
ALTER TABLE meta ADD COLUMN tokens_sum INTEGER NOT NULL DEFAULT 0;
ALTER TABLE meta ADD COLUMN checksum INTEGER NOT NULL DEFAULT 0;
";
const TOKENS_TO_VERSION_3: &str = "ALTER TABLE tokens ADD COLUMN checksum INTEGER NOT NULL DEFAULT 0;";

/// What a file holds.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Found {
    Nothing,
    /// Tables of ours, of a version that this program knows.
    Version(i32),
}

/// Opens the database at `path`, or makes one. One of an earlier version is brought up to date.
///
/// # Errors
/// What is in the way, and what to do.
pub(super) fn open(path: &Path) -> Result<Connection, JournalError> {
    let wal_bytes = look_around(path)?;
    // NO_MUTEX: one thread has the connection. The path is absolute, so that none is read as a URI or `:memory:`.
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connect = || Connection::open_with_flags(path, flags).map_err(|error| explain(path, "opening", &error));
    if wal_bytes > 0 {
        // Only once it is known that nobody else has the file: to be told, one has to take it.
        let taken = connect()?;
        identify(&taken, path)?;
        let last_commit = last_commit(&taken);
        drop(taken);
        // What was there of an unfinished database is gone now.
        if size(path, "-wal") > 0 {
            sqlite_wal::refuse_damage(path, last_commit)?;
            sqlite_files::renew_wal(path)?;
        }
    }
    let opened = connect()?;
    let found = identify(&opened, path)?;
    if found == Found::Nothing {
        // Else a loss of power could leave a `-wal` file without its database, which is refused.
        sync_directory(path)?;
    }
    configure(&opened).map_err(|error| explain(path, "preparing", &error))?;
    match found {
        Found::Nothing => create(&opened).map_err(|error| explain(path, "creating the tables", &error))?,
        Found::Version(version) => {
            refuse_what_is_not_whole(&opened, path, version, wal_bytes)?;
            if version < SCHEMA_VERSION {
                upgrade(&opened, path, version)?;
            }
        }
    }
    sync_directory(path)?;
    Ok(opened)
}

/// Opens the database at `path` to read it, and gives its version. Nothing is changed, neither in the file nor
/// beside it: without a `-wal` file it may lie on a disk that cannot be written.
///
/// # Errors
/// What is in the way, and what to do.
pub(super) fn open_to_read(path: &Path) -> Result<(Connection, i32), JournalError> {
    let file = path.display();
    let wal_bytes = look_at_files(path)?;
    if !path.exists() {
        return Err(JournalError::Failed(format!("there is no file {file}")));
    }
    let opened = if wal_bytes > 0 {
        // Its commits are read in place; no checkpoint follows.
        Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX)
    } else {
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX | OpenFlags::SQLITE_OPEN_URI;
        Connection::open_with_flags(immutable_uri(path), flags)
    };
    let opened = opened.map_err(|error| explain(path, "opening", &error))?;
    let found = identify(&opened, path);
    if wal_bytes > 0 {
        // Whatever else is wrong may come of it.
        sqlite_wal::refuse_damage(path, last_commit(&opened))?;
    }
    let Found::Version(version) = found? else {
        return Err(JournalError::Failed(format!("{file} is empty: it holds no database")));
    };
    refuse_what_is_not_whole(&opened, path, version, wal_bytes)?;
    opened
        .execute_batch(&format!("PRAGMA cell_size_check = ON; PRAGMA cache_size = -{CACHE_KIB};"))
        .map_err(|error| explain(path, "preparing", &error))?;
    Ok((opened, version))
}

/// As SQLite's documentation of `immutable` has it: no lock, no `-wal`, no change.
fn immutable_uri(path: &Path) -> String {
    use std::fmt::Write as _;
    use std::os::unix::ffi::OsStrExt;
    let mut uri = String::from("file:");
    for &byte in path.as_os_str().as_bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'/' | b'.' | b'-' | b'_' => uri.push(byte.into()),
            _ => write!(uri, "%{byte:02X}").expect("a String takes everything"),
        }
    }
    uri + "?immutable=1"
}

/// Merges the `-wal` file into the database and closes it: one file is left.
///
/// # Errors
/// What failed. What was committed is safe.
pub(super) fn close(connection: Connection, path: &Path) -> Result<(), JournalError> {
    let merged: rusqlite::Result<bool> = connection.query_one("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get(0));
    match merged {
        Ok(false) => {}
        Ok(true) => return Err(JournalError::Failed(format!("closing {} failed: it is in use", path.display()))),
        Err(error) => return Err(explain(path, "closing", &error)),
    }
    connection
        .set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, false)
        .and_then(|_| connection.close().map_err(|(_, error)| error))
        .map_err(|error| explain(path, "closing", &error))
}

/// How SQLite begins to say that tables or columns are not what a statement takes them for.
const ABOUT_THE_TABLES: [&str; 2] = ["no such ", "duplicate column name"];

/// SQLite's error as one line: what failed, on which file, what to do.
pub(super) fn explain(path: &Path, doing: &str, error: &rusqlite::Error) -> JournalError {
    let file = path.display();
    let said = error.to_string();
    // It may quote the text of a table, which has many lines.
    let said = said.split(char::is_control).next().unwrap_or_default();
    let damaged = || JournalError::Corrupt(format!("{doing} {file} failed ({said}): it is damaged: {REMEDY}"));
    let (code, message) = match error {
        rusqlite::Error::SqliteFailure(code, message) => (code, message.as_deref().unwrap_or_default()),
        rusqlite::Error::FromSqlConversionFailure(_, _, what) if what.is::<Wrong>() => {
            return corrupt(what.to_string());
        }
        // The others say that a row is missing, or holds what it cannot.
        _ => return damaged(),
    };
    JournalError::Failed(match code.code {
        ErrorCode::DatabaseCorrupt => return damaged(),
        // All statements are fixed: what one of them does not find, or finds already, is not as it was made.
        ErrorCode::Unknown if ABOUT_THE_TABLES.iter().any(|about| message.starts_with(about)) => return damaged(),
        ErrorCode::NotADatabase => {
            format!(
                "{file} is no database: give the path of octostore's; if it was octostore's, it is damaged: {REMEDY}"
            )
        }
        ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked | ErrorCode::FileLockingProtocolFailed => {
            format!("{file} is in use by another process ({said}): stop that one first")
        }
        ErrorCode::DiskFull => format!("{doing} {file} failed: the disk is full: free some space and start again"),
        ErrorCode::ReadOnly | ErrorCode::PermissionDenied | ErrorCode::AuthorizationForStatementDenied => {
            format!("{doing} {file} failed ({said}): octostore must be allowed to write to it and to its directory")
        }
        ErrorCode::SystemIoFailure => {
            let code = code.extended_code;
            format!("{doing} {file} failed ({said}, code {code}): see the kernel's log about the disk")
        }
        _ => format!("{doing} {file} failed ({said})"),
    })
}

/// As [`look_at_files`], of files that are to be written.
fn look_around(path: &Path) -> Result<u64, JournalError> {
    let wal_bytes = look_at_files(path)?;
    let directory = path.parent().unwrap_or(path);
    let not_allowed =
        |what, error| JournalError::Failed(format!("{what} cannot be written ({error}): allow octostore to"));
    access(directory, Access::WRITE_OK | Access::EXEC_OK).map_err(|e| not_allowed(directory.display(), e))?;
    match access(path, Access::READ_OK | Access::WRITE_OK) {
        Ok(()) | Err(rustix::io::Errno::NOENT) => Ok(wal_bytes),
        Err(error) => Err(not_allowed(path.display(), error)),
    }
}

/// What can be told of the files before SQLite opens them, which says only "unable to open". Gives the size of the
/// `-wal` file, 0 if there is none. Opens nothing: closing a file drops every lock this process has on it.
fn look_at_files(path: &Path) -> Result<u64, JournalError> {
    let refuse = |why: String| Err(JournalError::Failed(why));
    let file = path.display();
    let directory = path.parent().unwrap_or(path);
    match std::fs::metadata(directory) {
        Ok(found) if found.is_dir() => {}
        Ok(_) => return refuse(format!("{} is no directory, so {file} cannot be in it", directory.display())),
        Err(error) => {
            return refuse(format!("the directory {} cannot be used ({error}): create it first", directory.display()));
        }
    }
    let wal_bytes = size(path, "-wal");
    let wal = format!("{file}-wal");
    // A rollback journal is there only while a database is made, before anything rests on it.
    let is_unfinished = size(path, "-journal") > 0;
    match std::fs::metadata(path) {
        Ok(found) if found.is_dir() => return refuse(format!("{file} is a directory: name a file in it")),
        Ok(found) if !found.is_file() => return refuse(format!("{file} is no regular file: name another")),
        // SQLite would take the shortest for an empty one, and begin anew. So it may, if it was made only just now.
        Ok(found) if (1..PAGE_BYTES).contains(&found.len()) && !is_unfinished => {
            return refuse(format!("{file} is too short for a database: {REMEDY}; or give another path"));
        }
        Ok(found) if found.len() > 0 => {}
        // SQLite would make a new database and delete the -wal file.
        _ if wal_bytes > 0 && !is_unfinished => {
            return refuse(format!("{wal} is there, but {file} is not: put it back; if it is lost, {REMEDY}"));
        }
        _ => {}
    }
    Ok(wal_bytes)
}

/// Takes the file for this connection alone, and says what is in it. Refuses what is not ours.
fn identify(connection: &Connection, path: &Path) -> Result<Found, JournalError> {
    let file = path.display();
    let read = || {
        connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)?;
        // Nobody who has the file gives it back soon.
        connection.query_row("PRAGMA busy_timeout = 0", [], |_| Ok(()))?;
        connection.query_row("PRAGMA locking_mode = EXCLUSIVE", [], |_| Ok(()))?;
        let number = |sql: &str| connection.query_row(sql, [], |row| row.get::<_, i64>(0));
        let tables = number("SELECT count(*) FROM sqlite_schema")?;
        // Were it on, SQLite would keep notes of its own in the page of `meta`.
        if number("PRAGMA auto_vacuum")? != 0 {
            return Err(wrong(
                "the header names a layout of pages (auto_vacuum) that octostore does not use".to_owned(),
            ));
        }
        Ok((number("PRAGMA application_id")?, number("PRAGMA user_version")?, tables))
    };
    let ours = i64::from(APPLICATION_ID);
    match read().map_err(|error| explain(path, "opening", &error))? {
        (0, 0, 0) => Ok(Found::Nothing),
        (id, version, _) if id == ours && (1..=i64::from(SCHEMA_VERSION)).contains(&version) => {
            Ok(Found::Version(version as i32))
        }
        (id, version, _) if id == ours => {
            let remedy = if version > i64::from(SCHEMA_VERSION) { "use the newer octostore" } else { REMEDY };
            Err(JournalError::Failed(format!(
                "{file} is a database of schema version {version}; this octostore knows version {SCHEMA_VERSION}: {remedy}"
            )))
        }
        _ => Err(JournalError::Failed(format!(
            "{file} is another program's database: give the path of octostore's; if it was octostore's, it is damaged: {REMEDY}"
        ))),
    }
}

/// The last commit that SQLite finds: of a damaged `-wal` file, the last one before the damage. None if that is no longer to be told.
fn last_commit(connection: &Connection) -> Option<u64> {
    let number: rusqlite::Result<i64> = connection.query_row("SELECT last_commit FROM meta", [], |row| row.get(0));
    number.ok().and_then(|number| u64::try_from(number).ok())
}

fn configure(connection: &Connection) -> rusqlite::Result<()> {
    connection.execute_batch(&format!("PRAGMA page_size = {PAGE_BYTES}"))?; // heeded by a new database only
    // `query_one`, not `query_row`: it goes on to the end of the statement, where a new database's header is written. An error there
    // would go unseen, and the database be one with a rollback journal, whose commits a loss of power can undo.
    let mode: String = connection.query_one("PRAGMA journal_mode = WAL", [], |row| row.get(0))?;
    assert_eq!(mode, "wal", "SQLite has refused the WAL mode");
    // FULL: each commit is synced. Autocheckpoint is off, because checkpoints are ours to time.
    connection.execute_batch(&format!(
        "PRAGMA synchronous = FULL;
         PRAGMA wal_autocheckpoint = 0;
         PRAGMA foreign_keys = ON;
         PRAGMA cell_size_check = ON;
         PRAGMA cache_size = -{CACHE_KIB};
         PRAGMA temp_store = MEMORY;"
    ))
}

/// All in one transaction, the header's numbers too: a file is empty or complete.
fn create(connection: &Connection) -> rusqlite::Result<()> {
    connection
        .execute_batch(&format!("BEGIN IMMEDIATE; {SCHEMA} {TOKENS} PRAGMA application_id = {APPLICATION_ID};"))?;
    MetaRow::default().write(connection)?;
    connection.execute_batch(&format!("PRAGMA user_version = {SCHEMA_VERSION}; COMMIT;"))
}

/// Brings a database of an earlier version up to date, and says so. Its rows have no checksums yet: what they are given must be for
/// what is possible at least.
fn upgrade(connection: &Connection, path: &Path, version: i32) -> Result<(), JournalError> {
    let file = path.display();
    look_through(connection, path, "PRAGMA integrity_check(1)")?;
    tracing::info!("bringing {file} from schema version {version} to {SCHEMA_VERSION}: each row gets a checksum");
    migrate(connection, version).map_err(|error| explain(path, "bringing the tables up to date in", &error))?;
    tracing::info!("{file} is of schema version {SCHEMA_VERSION} now");
    Ok(())
}

/// Brings its tables up to date, in one transaction; the `-wal` file, as large as the database after it,
/// begins anew.
fn migrate(connection: &Connection, version: i32) -> rusqlite::Result<()> {
    let changes = match version {
        1 => [TO_VERSION_2, TOKENS, TO_VERSION_3],
        _ => ["", TOKENS_TO_VERSION_3, TO_VERSION_3],
    };
    connection.execute_batch(&format!("BEGIN IMMEDIATE; {}", changes.concat()))?;
    sqlite_sums::fill_in(connection)?;
    connection.execute_batch(&format!("PRAGMA user_version = {SCHEMA_VERSION}; COMMIT;"))?;
    connection.query_one("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))
}

/// Has SQLite look at all pages, by its `quick_check`: each must be used once, be it as a free one, and keys be in order. The
/// rules for values are left out, since those who read the rows know them all.
///
/// # Errors
/// The first thing that is wrong.
pub(super) fn check_pages(connection: &Connection, path: &Path) -> Result<(), JournalError> {
    let rules = |ignore: &str| {
        let set = format!("PRAGMA ignore_check_constraints = {ignore}");
        connection.execute_batch(&set).map_err(|error| explain(path, "checking", &error))
    };
    rules("ON")?;
    let found = look_through(connection, path, "PRAGMA quick_check(1)");
    let back = rules("OFF");
    found.and(back)
}

/// Runs one of SQLite's checks.
///
/// # Errors
/// The first thing that is wrong.
pub(super) fn look_through(connection: &Connection, path: &Path, check: &str) -> Result<(), JournalError> {
    let found: String =
        connection.query_row(check, [], |row| row.get(0)).map_err(|error| explain(path, "checking", &error))?;
    match found.as_str() {
        "ok" => Ok(()),
        _ => {
            let what = found.lines().last().unwrap_or_default();
            Err(JournalError::Corrupt(format!("{} is damaged ({what}): {REMEDY}", path.display())))
        }
    }
}

/// See `wal_holds_more` in [`super::sqlite`]'s header. Missing pages are SQLite's to notice; a piece of one is not.
fn refuse_what_is_not_whole(
    connection: &Connection,
    path: &Path,
    version: i32,
    wal_bytes: u64,
) -> Result<(), JournalError> {
    let file = path.display();
    if version == SCHEMA_VERSION {
        // Before a flipped bit has somebody look for a file that never was.
        sqlite_meta::read(connection).map_err(|error| name_file(path, explain(path, "reading meta in", &error)))?;
    }
    let holds_more: bool = connection
        .query_row("SELECT wal_holds_more FROM meta", [], |row| row.get(0))
        .map_err(|error| explain(path, "reading meta in", &error))?;
    if wal_bytes > 0 {
        return Ok(());
    }
    let cut_off = std::fs::metadata(path).is_ok_and(|found| found.len() % PAGE_BYTES != 0);
    let why = match holds_more {
        true => {
            let last = last_commit(connection).unwrap_or_default();
            format!(
                "what was committed after commit {last} is in {file}-wal, which is missing: put that beside it; if it is lost, {REMEDY}"
            )
        }
        false if cut_off => format!("its end is missing: {REMEDY}"),
        false => return Ok(()),
    };
    Err(JournalError::Corrupt(format!("{file} is not whole: {why}")))
}
