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

/// Tables with pages above those that hold the rows, and free pages.
fn with_many_pages() -> Directory {
    let directory = closed_database();
    let mut journal = SqliteJournal::open(directory.file(), LIMITS).unwrap();
    let names = (0..300).map(|n| format!("user-{n}")).collect::<Vec<_>>();
    journal.accounts(&names.iter().map(|name| ("static", &**name)).collect::<Vec<_>>()).unwrap();
    journal.recover().unwrap();
    let long = |n: u32| Row { metadata: Some("n".repeat(500).into()), ..row(&format!("lock-{n}"), 9) };
    let puts = (0..300).map(|n| RowChange::Put(long(n))).collect::<Vec<_>>();
    let deletes = (0..250).map(|n| RowChange::Delete(long(n).name)).collect::<Vec<_>>();
    journal.fold(&puts, 9, 1).unwrap();
    journal.fold(&deletes, 9, 1).unwrap();
    journal.close().unwrap();
    directory.with_sql_and_sums("INSERT INTO tokens SELECT randomblob(32), id, 1, 0 FROM accounts");
    directory
}

#[test]
fn a_page_above_the_rows_that_leads_elsewhere_is_refused() {
    let directory = with_many_pages();
    let whole = fs::read(directory.file()).unwrap();
    let told = |path: &Path| -> Result<_, JournalError> {
        let mut read = looked_at(path)?;
        let (connection, _) = sqlite_schema::open_to_read(path)?;
        let mut journal = SqliteJournal::of(path.to_owned(), connection, LIMITS)?;
        let tokens = read[0].tokens.clone();
        let holders = tokens.iter().map(|(hash, _)| journal.holder(&Whose::Opened(*hash)));
        Ok((read.remove(0), holders.collect::<Result<Vec<_>, _>>()?))
    };
    let expected = told(&directory.file()).unwrap();
    assert_eq!(expected.1.len(), 303);
    let mut refusals = 0;
    for table in ["accounts", "locks", "tokens", "sqlite_autoindex_accounts_2", "tokens_of_account"] {
        let page = root_of(&directory, table);
        assert!([2, 5].contains(&whole[page.start]), "{table} has one page only");
        let told_of = page.filter(|&at| whole[at] != 0).collect::<Vec<_>>();
        for &at in told_of.iter().step_by(told_of.len().div_ceil(100)) {
            let mut flipped = whole.clone();
            flipped[at] ^= 0x01;
            fs::write(directory.file(), flipped).unwrap();
            match told(&directory.file()) {
                Ok(found) => assert!(found == expected, "{table}, byte {at}"),
                Err(error) => {
                    assert!(error.to_string().contains(REMEDY), "{table}, byte {at}: {error}");
                    refusals += 1;
                }
            }
        }
    }
    assert!(refusals > 50, "{refusals}");
}

#[test]
fn a_page_that_is_free_and_in_use_is_refused_before_it_is_written_over() {
    let directory = with_many_pages();
    let whole = fs::read(directory.file()).unwrap();
    let number = |at: usize| u32::from_be_bytes(*whole[at..].first_chunk().unwrap()) as usize;
    let (trunk, pages) = ((number(32) - 1) * PAGE_BYTES as usize, whole.len() / PAGE_BYTES as usize);
    let leaves = number(trunk + 4);
    assert!(leaves > 5, "{leaves} free pages");
    let free: Vec<usize> = (0..leaves).map(|leaf| number(trunk + 8 + 4 * leaf)).collect();
    for in_use in (1..=pages as u32 + 1).filter(|page| !free.contains(&(*page as usize))) {
        let mut changed = whole.clone();
        changed[trunk + 8..][..4].copy_from_slice(&in_use.to_be_bytes());
        fs::write(directory.file(), changed).unwrap();
        assert!(why_not(&directory.file()).contains(REMEDY), "page {in_use}");
        let _ = fs::remove_file(directory.wal());
    }
}
