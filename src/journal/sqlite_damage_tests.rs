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
        ("UPDATE locks SET user_id = 2 WHERE name = 'y'", "lock 'y' names account 2, which is none"),
        ("UPDATE locks SET name = 'a/b' WHERE name = 'y'", "lock 'a/b' has an impossible name"),
        ("UPDATE locks SET metadata = printf('%1025c', 'x') WHERE name = 'y'", "lock 'y' has an impossible metadata"),
        ("UPDATE accounts SET id = 4 WHERE id = 1", "account 4 is damaged"),
        ("UPDATE accounts SET public_id = 'nobody' WHERE id = 0", "account 0 is damaged"),
        ("UPDATE meta SET trimmed_through = 4", "commit 4 was trimmed, but the last was 3"),
        ("DROP TABLE journal", "no such table"),
    ];
    for (change, because) in cases {
        let directory = closed_database();
        directory.with_sql_and_sums(change);
        refused(&directory.file(), because);
        let why = why_not(&directory.file());
        assert!(why.contains("octostore.db") && why.ends_with(REMEDY), "{change}: {why}");
    }
}

#[test]
fn a_possible_value_in_the_place_of_another_is_refused_with_the_row_that_has_it() {
    let lock = "the row of lock 'y' does not match its checksum";
    let account = "the row of account 0 does not match its checksum";
    let token = "the row of a token of account 0 does not match its checksum";
    let meta = "the row of meta does not match its checksum";
    let cases = [
        ("UPDATE locks SET token = 2 WHERE name = 'y'", lock),
        ("UPDATE locks SET ttl_seconds = ttl_seconds + 1 WHERE name = 'y'", lock),
        ("UPDATE locks SET user_id = 1 WHERE name = 'y'", lock),
        ("UPDATE locks SET lease_id = replace(lease_id, '5', '4') WHERE name = 'y'", lock),
        ("UPDATE locks SET metadata = NULL WHERE name = 'y'", lock),
        ("UPDATE locks SET metadata = '' WHERE name = 'y'", lock),
        ("UPDATE locks SET name = 'x' WHERE name = 'y'", "the row of lock 'x' does not match its checksum"),
        ("UPDATE locks SET checksum = checksum - 1 WHERE name = 'y'", lock),
        ("DELETE FROM locks WHERE name = 'y'", "the rows of locks are not all there"),
        ("DELETE FROM locks", "the rows of locks are not all there"),
        ("UPDATE accounts SET external_id = 'adb'", account),
        ("UPDATE accounts SET created_at = '2026-01-01T00:00:00Z'", account),
        ("UPDATE accounts SET login = 'ada'", account),
        ("DELETE FROM accounts WHERE id = 1", "the rows of accounts are not all there"),
        ("UPDATE tokens SET user_id = 0", token),
        ("UPDATE tokens SET issued = 7", "the row of a token of account 1 does not match its checksum"),
        ("UPDATE tokens SET hash = zeroblob(32)", "the row of a token of account 1 does not match its checksum"),
        ("DELETE FROM tokens", "the rows of tokens are not all there"),
        ("UPDATE meta SET mark = mark - 1", meta),
        ("UPDATE meta SET trimmed_through = trimmed_through + 1", meta),
        ("UPDATE meta SET last_commit = last_commit - 1", meta),
        ("UPDATE meta SET grace_seconds = 1", meta),
        ("UPDATE meta SET locks_sum = 0", meta),
        ("DELETE FROM meta", "reading meta in"),
    ];
    for (change, because) in cases {
        let directory = closed_database();
        directory.with_sql(change);
        refused(&directory.file(), because);
        let why = why_not(&directory.file());
        assert!(why.contains("octostore.db") && why.ends_with(REMEDY), "{change}: {why}");
        let told = SqliteJournal::inspect(&directory.file()).unwrap_err().to_string();
        assert!(told.contains(because) && told.contains("octostore.db") && told.ends_with(REMEDY), "{change}: {told}");
    }
}

#[test]
fn an_old_page_in_the_place_of_a_newer_one_is_refused() {
    let directory = closed_database();
    let page = root_of(&directory, "locks");
    let old = fs::read(directory.file()).unwrap();
    let (mut journal, _) = opened(&directory.file());
    journal.fold(&[RowChange::Put(row("z", 2))], 3, 1).unwrap();
    journal.close().unwrap();
    let mut bytes = fs::read(directory.file()).unwrap();
    bytes[page.clone()].copy_from_slice(&old[page]);
    fs::write(directory.file(), bytes).unwrap();
    refused(&directory.file(), "the rows of locks are not all there, or some of them are old ones");
}

#[test]
fn a_header_that_would_have_sqlite_write_into_the_page_of_meta_is_refused() {
    let directory = closed_database();
    let mut bytes = fs::read(directory.file()).unwrap();
    bytes[55] = 1;
    fs::write(directory.file(), bytes).unwrap();
    refused(&directory.file(), "auto_vacuum");
    assert!(why_not(&directory.file()).ends_with(REMEDY));
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
        ("tokens", "is damaged (Tree"),
        ("meta", "reading meta in"),
    ] {
        let directory = closed_database();
        let page = root_of(&directory, table);
        let mut bytes = fs::read(directory.file()).unwrap();
        bytes[page].fill(0x5a);
        fs::write(directory.file(), bytes).unwrap();
        refused(&directory.file(), because);
        let why = why_not(&directory.file());
        assert!(why.ends_with(REMEDY), "{table}: {why}");
    }
}
