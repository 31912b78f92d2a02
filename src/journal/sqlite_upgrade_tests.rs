//! Databases of earlier versions: all that is in them is there afterwards, and has its checksums.

use super::*;

/// The tables of version 2, as they were made.
const VERSION_2: &str = "
CREATE TABLE meta (                       -- one row
    only             INTEGER PRIMARY KEY CHECK (only = 1),
    mark             INTEGER NOT NULL CHECK (mark BETWEEN 0 AND 9007199254740991), -- highest fencing token minted
    last_commit      INTEGER NOT NULL CHECK (last_commit >= 0),
    trimmed_through  INTEGER NOT NULL CHECK (trimmed_through BETWEEN 0 AND last_commit), -- these are in the rows
    wal_holds_more   INTEGER NOT NULL CHECK (wal_holds_more IN (0, 1)), -- newer commits were written to the -wal file
    probe            INTEGER NOT NULL,    -- changes when the disk is probed
    grace_seconds    INTEGER NOT NULL DEFAULT 0 CHECK (grace_seconds BETWEEN 0 AND 3600) -- see restore.rs
) STRICT;
CREATE TABLE accounts (
    id           INTEGER PRIMARY KEY CHECK (id BETWEEN 0 AND 4294967295),
    public_id    TEXT NOT NULL UNIQUE CHECK (length(public_id) = 36),
    kind         TEXT NOT NULL CHECK (kind <> ''),
    external_id  TEXT NOT NULL,
    created_at   TEXT NOT NULL,
    login        TEXT,                    -- what the user is called, where that is not external_id
    UNIQUE (kind, external_id)
) STRICT;
CREATE TABLE locks (                      -- as of commit meta.trimmed_through, or later
    name         TEXT NOT NULL PRIMARY KEY CHECK (length(name) BETWEEN 1 AND 128 AND name NOT GLOB '*[^a-zA-Z0-9.-]*'),
    user_id      INTEGER NOT NULL REFERENCES accounts (id),
    lease_id     TEXT NOT NULL CHECK (length(lease_id) = 36),
    token        INTEGER NOT NULL CHECK (token BETWEEN 1 AND 9007199254740991),
    ttl_seconds  INTEGER NOT NULL CHECK (ttl_seconds BETWEEN 1 AND 3600),
    metadata     TEXT CHECK (length(CAST(metadata AS BLOB)) <= 1024)
) STRICT, WITHOUT ROWID;
CREATE TABLE journal (                    -- the commits after meta.trimmed_through count; others are dead
    slot      INTEGER PRIMARY KEY,
    number    INTEGER NOT NULL CHECK (number > 0),
    mark      INTEGER NOT NULL CHECK (mark >= 0),
    checksum  INTEGER NOT NULL,           -- CRC-32 of number, mark (8 bytes each, little-endian) and records
    records   BLOB NOT NULL,
    padding   BLOB                        -- zeros: see sqlite_padding.rs
) STRICT;
CREATE TABLE tokens (
    hash     BLOB PRIMARY KEY CHECK (length(hash) = 32),  -- SHA-256 of the token
    user_id  INTEGER NOT NULL REFERENCES accounts (id),
    issued   INTEGER NOT NULL             -- a later token of the account has a higher number
) STRICT, WITHOUT ROWID;
CREATE INDEX tokens_of_account ON tokens (user_id, issued);
PRAGMA application_id = 0x4f63746f;
PRAGMA user_version = 2;
PRAGMA journal_mode = WAL;
";
/// As a server of that version fills them: 2 accounts, 3 tokens, 2001 locks in rows, commit 6 of 7 trimmed.
const ROWS: &str = "
INSERT INTO meta VALUES (1, 5000, 7, 6, 0, 1, 12);
INSERT INTO accounts VALUES
    (0, '00000000-0000-4000-8000-000000000000', 'static', 'ada', '2026-01-02T03:04:05Z', NULL),
    (1, '00000000-0000-4000-8000-000000000001', 'github', '7', '2026-01-02T03:04:06Z', 'bob');
INSERT INTO tokens VALUES
    (x'0000000000000000000000000000000000000000000000000000000000000000', 1, 0),
    (x'0100000000000000000000000000000000000000000000000000000000000000', 1, 1),
    (x'0200000000000000000000000000000000000000000000000000000000000000', 0, 0);
WITH RECURSIVE n (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n WHERE n < 2000)
INSERT INTO locks SELECT 'lock-' || n, n % 2, printf('00000000-0000-4000-8000-%012x', n), n, 1 + n % 3600,
    CASE n % 3 WHEN 0 THEN NULL WHEN 1 THEN '' ELSE 'note ' || n END FROM n;
INSERT INTO locks VALUES ('a', 0, '00000000-0000-0000-0000-000000000005', 4000, 60, 'it''s \"mine\"');
";

/// A database of version 2 whose last commit takes the lock `a` with token 7, as [`append`] has it.
fn of_version_2() -> Directory {
    let directory = Directory::new();
    let connection = Connection::open(directory.file()).unwrap();
    connection.execute_batch(&format!("{VERSION_2} {ROWS}")).unwrap();
    let (record, mut records) = (row("a", 5001), Vec::new());
    encode(&mut records, &Change::Granted(Record::from(&record)));
    let commit = Commit { number: 7, mark: 5001, records: &records };
    let values = params![3, 7, 5001, checksum(&commit), records];
    connection.execute("INSERT INTO journal VALUES (?1, ?2, ?3, ?4, ?5, NULL)", values).unwrap();
    connection.execute("INSERT INTO journal VALUES (0, 6, 9, 0, x'00', NULL)", []).unwrap();
    connection.close().unwrap();
    directory
}

/// All rows but for their checksums.
fn rows(path: &Path) -> Vec<String> {
    let connection = Connection::open(path).unwrap();
    let tables = [
        "SELECT mark, last_commit, trimmed_through, wal_holds_more, grace_seconds FROM meta",
        "SELECT id, public_id, kind, external_id, created_at, login FROM accounts",
        "SELECT hash, user_id, issued FROM tokens",
        "SELECT name, user_id, lease_id, token, ttl_seconds, metadata FROM locks",
        "SELECT slot, number, mark, checksum, records FROM journal",
    ];
    let read = |sql: &str| {
        let mut statement = connection.prepare(sql).unwrap();
        let columns = statement.column_count();
        let text = |row: &rusqlite::Row<'_>| {
            Ok((0..columns).map(|at| format!("{:?} ", row.get_ref_unwrap(at))).collect::<String>())
        };
        statement.query_map([], text).unwrap().collect::<Result<Vec<String>, _>>().unwrap()
    };
    let found = tables.into_iter().flat_map(read).collect();
    connection.close().unwrap();
    found
}

#[test]
fn a_database_of_version_2_is_brought_up_to_date_with_all_that_is_in_it_and_every_row_checked() {
    let directory = of_version_2();
    let before = rows(&directory.file());
    assert_eq!(before.len(), 1 + 2 + 3 + 2001 + 2);
    let refused = SqliteJournal::inspect(&directory.file()).unwrap_err().to_string();
    assert!(refused.contains("version 2") && refused.contains("start"), "{refused}");
    for _ in 0..2 {
        let (mut journal, recovered) = opened(&directory.file());
        assert_eq!((recovered.locks.len(), recovered.mark, recovered.last_commit), (2001, 5001, 7));
        assert_eq!((recovered.tail.len(), recovered.grace_s), (1, 12));
        assert!(recovered.locks.contains(&row("a", 5001)));
        assert_eq!((journal.accounts(&[]).unwrap().len(), journal.tokens().unwrap().len()), (2, 3));
        journal.close().unwrap();
        assert_eq!(rows(&directory.file()), before);
        SqliteJournal::verify(&directory.file()).unwrap();
        SqliteJournal::inspect(&directory.file()).unwrap();
    }
    for (change, because) in [
        ("UPDATE locks SET token = token + 1 WHERE name = 'lock-77'", "the row of lock 'lock-77'"),
        ("DELETE FROM locks WHERE name = 'lock-78'", "the rows of locks"),
        ("UPDATE accounts SET login = 'eve' WHERE id = 1", "the row of account 1"),
        ("UPDATE tokens SET user_id = 0 WHERE user_id = 1", "the row of a token of account 0"),
        ("UPDATE meta SET mark = 4999", "the row of meta"),
    ] {
        let image = Directory::new();
        fs::copy(directory.file(), image.file()).unwrap();
        image.with_sql(change);
        super::refused(&image.file(), because);
    }
}

#[test]
fn a_database_of_version_1_is_brought_up_to_date_with_all_that_is_in_it() {
    let directory = of_version_2();
    directory.with_sql(
        "ALTER TABLE meta DROP COLUMN grace_seconds; ALTER TABLE accounts DROP COLUMN login; DROP TABLE tokens;
         ALTER TABLE journal DROP COLUMN padding; PRAGMA user_version = 1",
    );
    for _ in 0..2 {
        let (mut journal, recovered) = opened(&directory.file());
        assert_eq!((recovered.locks.len(), recovered.mark, recovered.grace_s), (2001, 5001, 0));
        assert_eq!((journal.accounts(&[]).unwrap().len(), journal.tokens().unwrap().len()), (2, 0));
        journal.close().unwrap();
    }
    SqliteJournal::verify(&directory.file()).unwrap();
}

#[test]
fn an_upgrade_that_fails_leaves_the_database_as_it_was() {
    let directory = of_version_2();
    directory.with_sql("DROP TABLE tokens; CREATE TABLE tokens (hash BLOB)");
    let before = fs::read(directory.file()).unwrap();
    refused(&directory.file(), "bringing the tables up to date in");
    assert!(why_not(&directory.file()).ends_with(REMEDY));
    directory.with_sql("SELECT 1");
    assert_eq!(fs::read(directory.file()).unwrap()[..24], before[..24]);
    assert_eq!(fs::read(directory.file()).unwrap()[100..], before[100..], "but for the counters of its header");
}

#[test]
fn a_restore_takes_a_backup_of_an_earlier_version() {
    let directory = of_version_2();
    let restored = directory.0.join("restored.db");
    let held = SqliteJournal::restore(&directory.file(), &restored, true, 1_800_000_000, &mut |_| {}).unwrap();
    assert_eq!((held.recovered.locks.len(), held.accounts.len(), held.tokens), (2001, 2, vec![1, 2]));
    let (mut journal, recovered) = opened(&restored);
    assert_eq!((recovered.locks.len(), recovered.mark, recovered.grace_s), (0, 1_800_000_000 << 20, 3600));
    assert_eq!(journal.tokens().unwrap().len(), 3);
}

#[test]
fn damage_in_a_database_of_an_earlier_version_gets_no_checksum() {
    for (change, because) in [
        ("UPDATE locks SET token = 9007199254740992 WHERE name = 'lock-77'", "CHECK constraint failed in locks"),
        ("UPDATE accounts SET kind = '' WHERE id = 1", "CHECK constraint failed in accounts"),
    ] {
        let directory = of_version_2();
        directory.with_sql(change);
        refused(&directory.file(), because);
        assert!(why_not(&directory.file()).ends_with(REMEDY));
    }
}
