//! Bits that flip anywhere in a database: each is refused, or what is stored is told as it was.
//!
//! What may pass is what says nothing: free room in a page, commits that are trimmed, counters of SQLite's in the header, a rule in the
//! text of the tables. So what is compared is all that a start finds, and what accounts and tokens are found by.

use std::os::unix::fs::FileExt;

use super::*;

/// All that is stored, by every way to it.
#[derive(Debug, PartialEq, Eq)]
struct Told {
    recovered: Recovered,
    accounts: Vec<Account>,
    tokens: Vec<(TokenHash, UserId)>,
    by_name: Vec<Option<Holder>>,
    users: Vec<(Account, u32)>,
}

fn told(journal: &mut SqliteJournal, mut recovered: Recovered) -> Result<Told, JournalError> {
    recovered.locks.sort_by(|a, b| a.name.cmp(&b.name));
    let (accounts, tokens) = (journal.accounts(&[])?, journal.tokens()?);
    let named = |kind, external_id: &str| Whose::Named { kind, external_id: external_id.to_owned() };
    let whose = [named("static", "ada"), named("github", "7"), Whose::Opened(TokenHash::from([7; 32]))];
    let by_name = whose.iter().map(|whose| journal.holder(whose)).collect::<Result<_, _>>()?;
    Ok(Told { recovered, accounts, tokens, by_name, users: journal.users(UserId(0), 10)? })
}

/// What a start finds, and what the next one does when the server has gone on for a while in between.
fn lived_with(path: &Path) -> Result<Vec<Told>, JournalError> {
    let mut journal = SqliteJournal::open(path, LIMITS)?;
    let recovered = journal.recover()?;
    let first = told(&mut journal, recovered)?;
    let carol = Account { kind: "github".into(), external_id: "8".into(), ..first.accounts[1].clone() };
    let token = Some(TokenHash::from([8; 32]));
    journal.change_account(&AccountChange { account: carol, is_new: true, added: token, dropped: vec![] })?;
    let records = records_of(&row("y", 5000));
    journal.append(&Commit { number: 4, mark: 5000, records: &records })?;
    let mut rows = vec![RowChange::Put(row("y", 5000)), RowChange::Delete(LockName::new("z").unwrap())];
    rows.extend(
        (0..40).map(|n| RowChange::Put(Row { metadata: Some("n".repeat(1000).into()), ..row(&format!("l{n}"), 9) })),
    );
    journal.fold(&rows, 5000, 2)?;
    journal.append(&Commit { number: 5, mark: 5001, records: &records_of(&row("b", 5001)) })?;
    journal.close()?;
    let mut journal = SqliteJournal::open(path, LIMITS)?;
    let recovered = journal.recover()?;
    let mut second = told(&mut journal, recovered)?;
    second.accounts[2].public_id = Uuid::nil(); // it is random
    second.users[2].0.public_id = Uuid::nil();
    Ok(vec![first, second])
}

/// What `check` finds: the same reading, without a sync.
fn looked_at(path: &Path) -> Result<Vec<Told>, JournalError> {
    let (connection, _) = sqlite_schema::open_to_read(path)?;
    let mut journal = SqliteJournal::of(path.to_owned(), connection, LIMITS)?;
    let recovered = journal.read()?.0;
    told(&mut journal, recovered).map(|told| vec![told])
}

fn records_of(row: &Row) -> Vec<u8> {
    let mut records = Vec::new();
    encode(&mut records, &Change::Granted(Record::from(row)));
    records
}

/// The file, of which one byte at a time is another.
struct Flipped {
    directory: Directory,
    whole: Vec<u8>,
    read: fn(&Path) -> Result<Vec<Told>, JournalError>,
    expected: Vec<Told>,
    refusals: u32,
    passed: u32,
}

impl Flipped {
    fn new(read: fn(&Path) -> Result<Vec<Told>, JournalError>) -> Flipped {
        let directory = closed_database();
        let whole = fs::read(directory.file()).unwrap();
        let expected = read(&directory.file()).unwrap();
        let Told { recovered, tokens, users, .. } = &expected[0];
        assert_eq!((recovered.locks.len(), recovered.tail.len(), tokens.len(), users.len()), (3, 2, 1, 2));
        let flipped = Flipped { directory, whole, read, expected, refusals: 0, passed: 0 };
        flipped.make_whole();
        flipped
    }

    /// Undoes what a start has done.
    fn make_whole(&self) {
        fs::write(self.directory.file(), &self.whole).unwrap();
        let _ = fs::remove_file(self.directory.wal());
    }

    fn flip(&mut self, at: usize, bits: u8) {
        let path = self.directory.file();
        let file = fs::OpenOptions::new().write(true).open(&path).unwrap();
        let write = |byte: u8| file.write_all_at(&[byte], at as u64).unwrap();
        write(self.whole[at] ^ bits);
        match (self.read)(&path) {
            Ok(found) => {
                assert_eq!(found, self.expected, "byte {at}, bits {bits:#x}");
                self.passed += 1;
            }
            Err(error) => {
                let (error, is_in_header) = (error.to_string(), at < 100);
                let says_what_to_do = error.contains(REMEDY) || is_in_header && error.contains("octostore");
                assert!(says_what_to_do && !error.contains('\n'), "byte {at}, bits {bits:#x}: {error}");
                self.refusals += 1;
            }
        }
        write(self.whole[at]);
    }
}

#[test]
fn a_bit_that_flips_in_the_files_header_is_refused_or_changes_nothing_that_is_stored() {
    let mut flipped = Flipped::new(lived_with);
    for at in 0..100 {
        for bit in 0..8 {
            flipped.flip(at, 1 << bit);
            flipped.make_whole();
        }
    }
    assert!(flipped.refusals > 100 && flipped.passed > 100, "{} and {}", flipped.refusals, flipped.passed);
}

#[test]
fn a_byte_that_changes_in_any_table_is_refused_or_changes_nothing_that_is_stored() {
    let mut flipped = Flipped::new(looked_at);
    let tables = ["meta", "accounts", "locks", "tokens"];
    let indexes = ["sqlite_autoindex_accounts_1", "sqlite_autoindex_accounts_2", "tokens_of_account"];
    let pages = tables.iter().chain(&indexes).map(|table| root_of(&flipped.directory, table)).collect::<Vec<_>>();
    assert_eq!(fs::read(flipped.directory.file()).unwrap(), flipped.whole);
    let first = 100..PAGE_BYTES as usize; // the text of the tables
    for at in std::iter::once(first).chain(pages).flatten() {
        // A byte in the middle of free room says nothing, whatever it is: a few of them will do.
        let is_free = flipped.whole[at.saturating_sub(8)..=at].iter().all(|&byte| byte == 0);
        let patterns: &[u8] = match is_free {
            true if at % 8 != 0 => &[],
            true => &[0x55],
            false => &[0x01, 0x80, 0x55],
        };
        patterns.iter().for_each(|&bits| flipped.flip(at, bits));
    }
    assert!(flipped.refusals > 1000 && flipped.passed > 1000, "{} and {}", flipped.refusals, flipped.passed);
}

#[test]
fn a_byte_that_changes_anywhere_is_refused_by_a_server_or_changes_nothing_that_is_stored() {
    let mut flipped = Flipped::new(lived_with);
    for at in (100..flipped.whole.len()).step_by(97) {
        flipped.flip(at, 0x55);
        flipped.make_whole();
    }
    assert!(flipped.refusals > 0 && flipped.passed > 0);
}
