use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use rusqlite::Connection;
use uuid::Uuid;

use super::super::backup::Copied;
use super::super::contract::{LIMITS, Site, keeps_the_contract};
use super::super::recovery::REMEDY;
use super::super::{Row, encode, sqlite_sums};
use super::*;
use crate::fence::Fence;
use crate::lease::{Change, LockName, Record, Ttl};
use crate::scratch;

#[path = "sqlite_damage_tests.rs"]
mod damaged;
#[path = "sqlite_flip_tests.rs"]
mod damaged_bits;
#[path = "sqlite_wal_tests.rs"]
mod damaged_wal;
#[path = "sqlite_upgrade_tests.rs"]
mod upgraded;

/// A directory for a database, empty at first, and gone after the test.
struct Directory(PathBuf);

impl Directory {
    fn new() -> Directory {
        Directory(scratch::directory("journal"))
    }

    fn file(&self) -> PathBuf {
        self.0.join("octostore.db")
    }

    fn wal(&self) -> PathBuf {
        self.0.join("octostore.db-wal")
    }

    fn files(&self) -> Vec<String> {
        let name = |entry: std::io::Result<fs::DirEntry>| entry.unwrap().file_name().into_string().unwrap();
        let mut files: Vec<String> = fs::read_dir(&self.0).unwrap().map(name).collect();
        files.sort();
        files
    }

    /// Lets `change` do to the closed database what no server would.
    fn with_sql(&self, change: &str) {
        self.edited(change).close().unwrap();
    }

    /// The same, and gives the rows the checksums that they would have if a server had written them.
    fn with_sql_and_sums(&self, change: &str) {
        let connection = self.edited(change);
        sqlite_sums::fill_in(&connection).unwrap();
        connection.close().unwrap();
    }

    fn edited(&self, change: &str) -> Connection {
        let connection = Connection::open(self.file()).unwrap();
        let pragmas = "PRAGMA ignore_check_constraints = ON; PRAGMA foreign_keys = OFF";
        connection.execute_batch(&format!("{pragmas}; {change}")).unwrap();
        connection
    }
}

struct InPlace(Directory);

impl Site for InPlace {
    type J = SqliteJournal;
    fn start(&mut self) -> SqliteJournal {
        SqliteJournal::open(self.0.file(), LIMITS).unwrap()
    }
}

fn opened(path: &Path) -> (SqliteJournal, Recovered) {
    let mut journal = SqliteJournal::open(path, LIMITS).unwrap();
    let recovered = journal.recover().unwrap();
    (journal, recovered)
}

fn row(name: &str, token: u64) -> Row {
    let token = Fence::recovered(token).unwrap();
    let name = LockName::new(name).unwrap();
    let metadata = Some("it's \"mine\"".into());
    Row { name, user: UserId(0), lease_id: Uuid::from_u128(5), token, ttl: Ttl::DEFAULT, metadata }
}

fn append(journal: &mut SqliteJournal, number: u64) {
    let row = row("a", number);
    let Row { name, user, lease_id, token, ttl, metadata } = &row;
    let metadata = metadata.as_deref();
    let record = Record { name, user: *user, lease_id: *lease_id, token: *token, ttl: *ttl, metadata };
    let mut records = Vec::new();
    encode(&mut records, &Change::Granted(record));
    journal.append(&Commit { number, mark: number, records: &records }).unwrap();
}

/// A database with the locks `y` and `z` in rows and three commits on `a`, one of them trimmed; two accounts, the second one
/// with a token; closed.
fn closed_database() -> Directory {
    let directory = Directory::new();
    let (mut journal, _) = opened(&directory.file());
    journal.accounts(&[("static", "ada")]).unwrap();
    let bob = Account {
        id: UserId(0),
        public_id: Uuid::nil(),
        kind: "github".into(),
        external_id: "7".into(),
        login: Some("bob".into()),
    };
    let token = TokenHash::from([7; 32]);
    journal.change_account(&AccountChange { account: bob, is_new: true, added: Some(token), dropped: vec![] }).unwrap();
    (1..=3).for_each(|number| append(&mut journal, number));
    journal.fold(&[RowChange::Put(row("z", 1)), RowChange::Put(row("y", 1))], 3, 1).unwrap();
    journal.close().unwrap();
    directory
}

/// Where in the file the first page of a table, or an index, lies.
fn root_of(directory: &Directory, table: &str) -> std::ops::Range<usize> {
    let connection = Connection::open(directory.file()).unwrap();
    let root = "SELECT rootpage FROM sqlite_schema WHERE name = ?1";
    let page = connection.query_row(root, [table], |row| row.get::<_, u32>(0)).unwrap() as usize;
    connection.close().unwrap();
    (page - 1) * PAGE_BYTES as usize..page * PAGE_BYTES as usize
}

fn why_not(path: &Path) -> String {
    let error = match SqliteJournal::open(path, LIMITS) {
        Err(error) => error,
        // As a start does.
        Ok(mut journal) => {
            journal.recover().and_then(|_| journal.accounts(&[])).and_then(|_| journal.tokens()).unwrap_err()
        }
    };
    let text = error.to_string();
    assert!(!text.contains('\n') && text.contains("octostore"), "{text}");
    text
}

fn refused(path: &Path, because: &str) {
    let text = why_not(path);
    assert!(text.contains(because), "expected '{because}': {text}");
}

#[test]
fn the_journal_on_sqlite_keeps_the_contract() {
    keeps_the_contract(|| InPlace(Directory::new()));
}

#[test]
fn a_copy_of_the_open_files_holds_every_commit_made_so_far() {
    let directory = Directory::new();
    let (mut journal, _) = opened(&directory.file());
    journal.accounts(&[("static", "ada")]).unwrap();
    for number in 1..=12 {
        append(&mut journal, number);
        if number % 4 == 0 {
            journal.fold(&[RowChange::Put(row("a", number))], number, number - 1).unwrap();
        }
        if number == 6 {
            journal.checkpoint().unwrap();
        }
        let image = Directory::new();
        fs::copy(directory.file(), image.file()).unwrap();
        fs::copy(directory.wal(), image.wal()).unwrap();
        let (_, found) = opened(&image.file());
        assert_eq!((found.locks, found.last_commit, found.mark), (vec![row("a", number)], number, number));
    }
}

#[test]
fn after_a_close_one_file_is_left_that_sqlite_reads() {
    let directory = closed_database();
    assert_eq!(directory.files(), ["octostore.db"]);
    let shell = Connection::open(directory.file()).unwrap();
    let text = |sql: &str| shell.query_row(sql, [], |row| row.get::<_, String>(0)).unwrap();
    assert_eq!(text("PRAGMA integrity_check"), "ok");
    let lease = "00000000-0000-0000-0000-000000000005";
    assert_eq!(
        text("SELECT name || ' ' || lease_id || ' ' || metadata FROM locks"),
        format!("y {lease} it's \"mine\"")
    );
    let created = text("SELECT created_at FROM accounts WHERE kind = 'static' AND external_id = 'ada'");
    assert!(created.len() == 20 && created.starts_with("20") && created.ends_with('Z'), "{created}");
    assert_eq!(shell.query_row("PRAGMA foreign_key_check", [], |_| Ok(())), Err(rusqlite::Error::QueryReturnedNoRows));
}

#[test]
fn a_journal_that_was_closed_only_fails() {
    let directory = Directory::new();
    let (mut journal, _) = opened(&directory.file());
    journal.close().unwrap();
    journal.close().unwrap();
    assert!(journal.append(&Commit { number: 1, mark: 0, records: b"" }).is_err());
    assert!(journal.probe().unwrap_err().to_string().ends_with("is closed"));
}

#[test]
fn checkpoints_keep_the_wal_file_from_growing() {
    let directory = Directory::new();
    let limits = Limits { commits: 8, bytes: 1 << 20 };
    let mut journal = SqliteJournal::open(directory.file(), limits).unwrap();
    journal.recover().unwrap();
    let commit_all = |journal: &mut SqliteJournal, numbers: std::ops::RangeInclusive<u64>, tidy: bool| {
        for number in numbers {
            let records = vec![number as u8; 25 * 4096]; // each another, since a page that is the same is not written
            journal.append(&Commit { number, mark: 0, records: &records }).unwrap();
            journal.fold(&[], 0, number).unwrap();
            if tidy {
                journal.tidy().unwrap();
            }
        }
        fs::metadata(directory.wal()).unwrap().len() / 4096
    };
    let tidied = commit_all(&mut journal, 1..=60, true);
    assert!((WAL_PAGES..WAL_PAGES + 100).contains(&tidied), "{tidied} pages");
    let left_alone = commit_all(&mut journal, 61..=260, false);
    assert!((WAL_PAGES_AT_MOST..WAL_PAGES_AT_MOST + 100).contains(&left_alone), "{left_alone} pages");
    assert_eq!(opened_again(journal, &directory).last_commit, 260);
}

fn opened_again(journal: SqliteJournal, directory: &Directory) -> Recovered {
    drop(journal);
    opened(&directory.file()).1
}

#[test]
fn folded_rows_bring_the_checkpoint_forward() {
    let directory = Directory::new();
    let (mut journal, _) = opened(&directory.file());
    journal.accounts(&[("static", "ada")]).unwrap();
    let rows: Vec<RowChange> = (0..FOLDED_ROWS).map(|n| RowChange::Put(row(&format!("l{n}"), 1))).collect();
    journal.fold(&rows[1..], 1, 0).unwrap();
    journal.tidy().unwrap();
    assert_eq!(journal.folded, FOLDED_ROWS - 1);
    journal.fold(&rows[..1], 1, 0).unwrap();
    journal.tidy().unwrap();
    assert_eq!(journal.folded, 0);
}

#[test]
fn a_second_opener_is_refused_and_does_not_disturb_the_first() {
    let directory = closed_database();
    let (mut journal, _) = opened(&directory.file());
    for _ in 0..2 {
        refused(&directory.file(), "is in use by another process");
    }
    append(&mut journal, 4);
    assert_eq!(opened_again(journal, &directory).last_commit, 4);
}

#[test]
fn what_is_in_the_way_is_said() {
    let directory = Directory::new();
    let inside = |name: &str| directory.0.join("octostore").join(name);
    refused(&inside("x.db"), "create it first");
    fs::write(directory.0.join("octostore"), b"").unwrap();
    refused(&inside("x.db"), "is no directory");
    fs::remove_file(directory.0.join("octostore")).unwrap();
    fs::create_dir(directory.0.join("octostore")).unwrap();
    refused(&directory.0.join("octostore"), "is a directory: name a file in it");
    assert!(SqliteJournal::open("/dev/null", LIMITS).unwrap_err().to_string().contains("is no regular file"));
    fs::write(inside("text.db"), b"Dear diary, this is no database at all.".repeat(200)).unwrap();
    refused(&inside("text.db"), "is no database");
    fs::write(inside("note.db"), b"Dear diary").unwrap();
    refused(&inside("note.db"), "is too short for a database");
    let foreign = Connection::open(inside("foreign.db")).unwrap();
    foreign.execute_batch("CREATE TABLE diary (day)").unwrap();
    foreign.close().unwrap();
    let before = fs::read(inside("foreign.db")).unwrap();
    refused(&inside("foreign.db"), "is another program's database");
    assert_eq!(fs::read(inside("foreign.db")).unwrap(), before, "a refused database is left as it was");
}

#[test]
fn a_file_that_may_not_be_written_is_refused() {
    if rustix::process::geteuid().is_root() {
        return read_only_is_no_bar_to_root();
    }
    let directory = closed_database();
    fs::set_permissions(directory.file(), fs::Permissions::from_mode(0o444)).unwrap();
    refused(&directory.file(), "cannot be written");
    fs::set_permissions(directory.file(), fs::Permissions::from_mode(0o644)).unwrap();
    fs::set_permissions(&directory.0, fs::Permissions::from_mode(0o555)).unwrap();
    refused(&directory.file(), "cannot be written");
    fs::set_permissions(&directory.0, fs::Permissions::from_mode(0o755)).unwrap();
}

fn read_only_is_no_bar_to_root() {
    let directory = closed_database();
    fs::set_permissions(directory.file(), fs::Permissions::from_mode(0o444)).unwrap();
    assert_eq!(opened(&directory.file()).1.last_commit, 3);
}

#[test]
fn another_schema_version_is_refused_with_what_to_do() {
    let directory = closed_database();
    directory.with_sql("PRAGMA user_version = 7");
    refused(&directory.file(), "schema version 7; this octostore knows version 3: use the newer octostore");
    directory.with_sql("PRAGMA user_version = 0");
    refused(&directory.file(), "schema version 0; this octostore knows version 3: move its files away");
}

#[test]
fn a_commit_in_a_slot_that_was_used_writes_its_page_and_that_of_meta_and_no_more() {
    let directory = Directory::new();
    let mut journal = SqliteJournal::open(directory.file(), Limits::STANDARD).unwrap();
    journal.recover().unwrap();
    let in_wal = |journal: &SqliteJournal| -> i64 {
        let connection = journal.connection().unwrap().lock();
        connection.query_row("PRAGMA wal_checkpoint(NOOP)", [], |row| row.get(1)).unwrap()
    };
    let mut number = 0;
    let mut round = |journal: &mut SqliteJournal, sizes: &[usize]| {
        for size in sizes {
            number += 1;
            journal.append(&Commit { number, mark: 1 << 40, records: &vec![number as u8; *size] }).unwrap();
        }
        journal.fold(&[], 0, number).unwrap();
    };
    round(&mut journal, &[3_000, 40, 500, 3_900]);
    let before = in_wal(&journal);
    round(&mut journal, &[20, 3_900, 1_700, 0]);
    assert_eq!(in_wal(&journal) - before, 4 * 2 + 1, "of four commits and a fold");
    round(&mut journal, &[9_000, 9_000]);
    let before = in_wal(&journal);
    round(&mut journal, &[9_000, 8_500]);
    assert_eq!(in_wal(&journal) - before, 2 * 4 + 1, "of two commits that need three pages each, and a fold");
}

#[test]
fn a_full_disk_is_called_that() {
    let directory = closed_database();
    let (mut journal, _) = opened(&directory.file());
    // The nearest to a full disk that needs no file system of its own: SQLite gives the same error.
    journal.run("limiting", |connection| connection.query_row("PRAGMA max_page_count = 1", [], |_| Ok(()))).unwrap();
    let error = journal.append(&Commit { number: 4, mark: 4, records: &[0; 9_000] }).unwrap_err().to_string();
    assert!(error.contains("the disk is full: free some space and start again"), "{error}");
    drop(journal);
    assert_eq!(opened(&directory.file()).1.last_commit, 3, "nothing of the commit is there");
}

#[test]
fn a_slot_that_is_not_trimmed_is_never_written_over() {
    let directory = closed_database();
    let (mut journal, _) = opened(&directory.file());
    journal.ring = Ring::new(LIMITS, 3, []); // forgets that commits 2 and 3 are in slots 1 and 2
    append(&mut journal, 4);
    let overwritten = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| append(&mut journal, 5)));
    assert!(overwritten.is_err());
    drop(journal);
    assert_eq!(opened(&directory.file()).1.last_commit, 4);
}

#[test]
fn a_path_that_looks_like_sqlites_own_syntax_is_a_file() {
    let directory = Directory::new();
    for name in ["file:octostore?mode=memory", ":memory:", "octostore ü 100%.db"] {
        let (mut journal, _) = opened(&directory.0.join(name));
        journal.close().unwrap();
        assert!(directory.files().contains(&name.to_owned()), "{name}");
    }
}

#[test]
fn a_backup_goes_on_while_commits_do_and_holds_those_made_up_to_its_end() {
    let directory = Directory::new();
    let (mut journal, _) = opened(&directory.file());
    journal.accounts(&[("static", "ada")]).unwrap();
    let rows: Vec<RowChange> = (1..=30_000).map(|n| RowChange::Put(row(&format!("lock-{n}"), n))).collect();
    append(&mut journal, 1);
    journal.fold(&rows, 30_000, 1).unwrap();
    let (source, copy) = (journal.source().unwrap(), directory.0.join("copy.db"));
    let (mut slices, mut last) = (0, 1);
    let copied = source.copy(&copy, &mut |pages| {
        slices += 1;
        assert!(pages.done <= 64 * slices && pages.done <= pages.total, "{pages:?} after {slices} slices");
        last += 1;
        append(&mut journal, last);
        if slices % 3 == 0 {
            let rows = [row(&format!("lock-{slices}"), 40_000), row("a", last)].map(RowChange::Put);
            journal.fold(&rows, 40_000, last).unwrap();
            journal.checkpoint().unwrap();
        }
        Ok(true)
    });
    assert_eq!(copied.unwrap(), Copied::Whole);
    assert!(slices > 5, "{slices}");
    drop(source);
    let held = SqliteJournal::seal(&copy).unwrap().recovered;
    assert_eq!(
        (held.locks.len(), held.last_commit),
        (30_001, last - 1),
        "all but the commit made after the last slice"
    );
    append(&mut journal, last + 1);
    journal.close().unwrap();
}

#[test]
fn a_backup_that_nobody_wants_any_more_leaves_nothing() {
    let directory = Directory::new();
    let (mut journal, _) = opened(&directory.file());
    journal.accounts(&[("static", "ada")]).unwrap();
    let rows: Vec<RowChange> = (1..=30_000).map(|n| RowChange::Put(row(&format!("lock-{n}"), n))).collect();
    journal.fold(&rows, 30_000, 0).unwrap();
    let source = journal.source().unwrap();
    assert_eq!(source.copy(&directory.0.join("copy.db"), &mut |_| Ok(false)).unwrap(), Copied::GivenUp);
    let fails = |_| Err(JournalError::Failed("the journal has failed".into()));
    assert!(source.copy(&directory.0.join("copy.db"), &mut { fails }).is_err());
    assert_eq!(directory.files(), ["octostore.db", "octostore.db-wal"]);
    std::fs::write(directory.0.join("copy.db"), "there").unwrap();
    let there = source.copy(&directory.0.join("copy.db"), &mut |_| Ok(true)).unwrap();
    assert!(matches!(there, Copied::Failed(why) if why.contains("copy.db")));
    append(&mut journal, 1);
}
