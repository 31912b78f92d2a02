//! What is missing or damaged in the files of a database, and how it is refused.

use super::*;

#[test]
fn a_database_without_the_wal_file_that_holds_its_newest_commits_is_refused() {
    let directory = Directory::new();
    let (mut journal, _) = opened(&directory.file());
    journal.accounts(&[("static", "ada")]).unwrap();
    for checkpointed in [false, true] {
        let number = 1 + u64::from(checkpointed);
        append(&mut journal, number);
        if checkpointed {
            journal.checkpoint().unwrap();
        }
        let image = Directory::new();
        fs::copy(directory.file(), image.file()).unwrap();
        let last = if checkpointed { 2 } else { 0 };
        refused(&image.file(), &format!("what was committed after commit {last} is in"));
        // The refusal itself changes nothing, so that it stands.
        refused(&image.file(), "put that beside it");
        fs::copy(directory.wal(), image.wal()).unwrap();
        assert_eq!(opened(&image.file()).1.last_commit, number);
    }
}

#[test]
fn whoever_merges_the_wal_file_leaves_a_whole_database() {
    let directory = Directory::new();
    let (mut journal, _) = opened(&directory.file());
    journal.accounts(&[("static", "ada")]).unwrap();
    append(&mut journal, 1);
    drop(journal);
    directory.with_sql("SELECT * FROM locks");
    assert_eq!(directory.files(), ["octostore.db"]);
    assert_eq!(opened(&directory.file()).1.last_commit, 1);
}

#[test]
fn a_wal_file_without_its_database_is_not_thrown_away() {
    let directory = Directory::new();
    drop(opened(&directory.file()));
    for cut in [true, false] {
        if cut {
            fs::write(directory.file(), b"").unwrap();
        } else {
            fs::remove_file(directory.file()).unwrap();
        }
        refused(&directory.file(), "put it back; if it is lost, move its files away");
        assert!(fs::metadata(directory.wal()).unwrap().len() > 0);
    }
}

#[test]
fn a_database_that_was_cut_off_is_refused() {
    let directory = closed_database();
    let whole = fs::read(directory.file()).unwrap();
    for length in [1, 99, 512, 4096, 4097, 8192, whole.len() / 2, whole.len() - 4096, whole.len() - 1] {
        fs::write(directory.file(), &whole[..length]).unwrap();
        let _ = fs::remove_file(directory.wal());
        why_not(&directory.file());
    }
}

#[test]
fn damage_inside_the_tables_is_named() {
    let cases = [
        ("DELETE FROM journal WHERE number = 2", "commit 2 is missing"),
        ("DELETE FROM journal WHERE number = 3", "commit 3 is missing"),
        ("UPDATE journal SET records = x'00' WHERE number = 3", "the checksum of commit 3"),
        ("UPDATE journal SET mark = 99 WHERE number = 2", "the checksum of commit 2"),
        ("UPDATE locks SET lease_id = 'nonsense' WHERE name = 'z'", "lock 'z' has an impossible lease_id"),
        ("UPDATE locks SET token = 0 WHERE name = 'y'", "lock 'y' has an impossible token"),
        ("UPDATE locks SET ttl_seconds = 3601 WHERE name = 'y'", "lock 'y' has an impossible ttl_seconds"),
        ("UPDATE locks SET user_id = -1 WHERE name = 'y'", "lock 'y' has an impossible user_id"),
        ("UPDATE locks SET user_id = 1 WHERE name = 'y'", "lock 'y' names account 1, which is none"),
        ("UPDATE locks SET name = 'a/b' WHERE name = 'y'", "lock 'a/b' has an impossible name"),
        ("UPDATE locks SET metadata = printf('%1025c', 'x') WHERE name = 'y'", "lock 'y' has an impossible metadata"),
        ("UPDATE accounts SET id = 4", "account 4 is damaged"),
        ("UPDATE accounts SET public_id = 'nobody'", "account 0 is damaged"),
        ("UPDATE meta SET trimmed_through = 4", "commit 4 was trimmed, but the last was 3"),
        ("DELETE FROM meta", "is damaged"),
        ("DROP TABLE journal", "no such table"),
    ];
    for (change, because) in cases {
        let directory = closed_database();
        directory.with_sql(&format!("PRAGMA foreign_keys = OFF; {change}"));
        refused(&directory.file(), because);
        let why = why_not(&directory.file());
        assert!(why.contains("octostore.db") && why.ends_with(REMEDY), "{change}: {why}");
    }
}

#[test]
fn dead_commits_may_hold_anything() {
    let directory = closed_database();
    directory.with_sql("UPDATE journal SET records = x'00', checksum = 0 WHERE number = 1");
    assert_eq!(opened(&directory.file()).1.last_commit, 3);
}

#[test]
fn a_destroyed_page_is_refused_with_the_commits_that_it_may_have_held() {
    for (table, because) in [
        ("journal", "reading commits 2 to 3 in"),
        ("locks", "reading the locks as of commit 1 in"),
        ("accounts", "reading the accounts in"),
    ] {
        let directory = closed_database();
        let connection = Connection::open(directory.file()).unwrap();
        let root = "SELECT rootpage FROM sqlite_schema WHERE name = ?1";
        let page: u32 = connection.query_row(root, [table], |row| row.get(0)).unwrap();
        connection.close().unwrap();
        let mut bytes = fs::read(directory.file()).unwrap();
        bytes[(page as usize - 1) * PAGE_BYTES as usize..][..PAGE_BYTES as usize].fill(0x5a);
        fs::write(directory.file(), bytes).unwrap();
        refused(&directory.file(), because);
        let why = why_not(&directory.file());
        assert!(why.ends_with(REMEDY), "{table}: {why}");
    }
}

#[test]
fn a_damaged_page_is_refused_or_leaves_what_the_commits_hold_as_it_was() {
    let directory = closed_database();
    let whole = fs::read(directory.file()).unwrap();
    let expected = opened(&directory.file()).1;
    fs::remove_file(directory.wal()).unwrap();
    let mut refusals = 0;
    for at in (100..whole.len()).step_by(193) {
        let mut damaged = whole.clone();
        damaged[at] ^= 0x55;
        fs::write(directory.file(), &damaged).unwrap();
        let found = SqliteJournal::open(directory.file(), LIMITS).and_then(|mut journal| journal.recover());
        match found {
            Err(error) => {
                assert!(error.to_string().ends_with(REMEDY), "at {at}: {error}");
                refusals += 1;
            }
            // A bit of a row that is as good as the one before: only what has a checksum can be told.
            Ok(found) => assert_eq!((found.last_commit, found.tail), (expected.last_commit, expected.tail.clone())),
        }
        let _ = fs::remove_file(directory.wal());
    }
    assert!(refusals > 0);
}
