//! The load on the journal, and what must be true after each start.
//!
//! One seed is a few lives of a process on one disk. A life starts as `octostore serve` does (open, recover, accounts),
//! then commits, folds (what the shipping `Dirty` says), tidies and probes as the journal's thread does, until the power
//! goes, a call fails, or it ends: in order, or by a kill. The next life finds what the disk has left.

use std::collections::BTreeMap;
use std::path::PathBuf;

use octostore::fence::Fence;
use octostore::journal::{
    Account, Commit, Dirty, Journal, JournalError, Limits, Recovered, Row, SqliteJournal, decode, encode,
};
use octostore::lease::{Change, Record, Ttl, UserId};
use rusqlite::ffi::{SQLITE_FULL, SQLITE_IOERR_FSYNC, SQLITE_IOERR_WRITE};
use uuid::Uuid;

use crate::disk::{Disk, LEFT, Lie, Plan};
use crate::home::{Home, write_down};
use crate::random::Random;
use crate::story::note;
use crate::vfs;

const USERS: [(&str, &str); 3] = [("static", "ada"), ("static", "bob"), ("static", "cid")];
const LIMITS: Limits = Limits { commits: 96, bytes: 4 << 20 };
/// As the journal's thread has it.
const SLICE_ROWS: usize = 256;

/// A mistake in how the journal is used: the planted faults that are no lie of the disk's.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Mistake {
    /// None.
    #[default]
    None,
    /// A commit is acknowledged before it is appended.
    AcknowledgedTooEarly,
    /// One commit too many is trimmed by each fold.
    TrimmedTooFar,
    /// The rows are written by one fold, after another has trimmed.
    TrimmedBeforeTheRows,
}

/// What was come to.
#[derive(Clone, Copy, Debug, Default)]
pub struct Tally {
    /// Starts that had to find what was acknowledged.
    pub starts: u64,
    /// Of these, after the power went in the middle of a call.
    pub in_a_call: u64,
    /// Of these, in a first start, when there was no database yet.
    pub in_the_first_start: u64,
    /// A call failed.
    pub failures: u64,
    /// Commits that were under way when it happened, and are there as a whole.
    pub unacknowledged_but_there: u64,
    /// And that are not.
    pub unacknowledged_and_gone: u64,
    /// Syncs of the database file: each ends a checkpoint.
    pub checkpoints: u64,
}

impl Tally {
    /// Adds what another has counted.
    pub fn add(&mut self, other: &Tally) {
        self.starts += other.starts;
        self.in_a_call += other.in_a_call;
        self.in_the_first_start += other.in_the_first_start;
        self.failures += other.failures;
        self.unacknowledged_but_there += other.unacknowledged_but_there;
        self.unacknowledged_and_gone += other.unacknowledged_and_gone;
        self.checkpoints += other.checkpoints;
    }
}

/// Plays one seed on a disk that has this fault.
///
/// # Panics
/// If a promise is broken; the text says which.
pub fn run(seed: u64, lie: Lie, mistake: Mistake, tally: &mut Tally) {
    let home = Home::new();
    let mut world = World {
        random: Random::new(seed),
        database: home.0.join("octostore.db"),
        disk: Some(Disk::holding(&BTreeMap::new(), lie, Random::new(seed))),
        lie,
        mistake,
        known: Known::default(),
        tally,
    };
    for _ in 0..=world.random.below(5) {
        world.life();
    }
    world.last_look();
    vfs::insert(None);
}

/// What was acknowledged, and what was under way.
#[derive(Default)]
struct Known {
    number: u64,
    mark: u64,
    locks: BTreeMap<String, Row>,
    /// The commit whose append has not returned: mark and records.
    under_way: Option<(u64, Vec<u8>)>,
    /// A fold may have raised the mark to this.
    mark_under_way: u64,
    accounts: Vec<Account>,
    tokens: u64,
}

struct World<'a> {
    random: Random,
    database: PathBuf,
    /// None while the thread has it.
    disk: Option<Disk>,
    lie: Lie,
    mistake: Mistake,
    known: Known,
    tally: &'a mut Tally,
}

impl World<'_> {
    fn life(&mut self) {
        let plan = self.draw_plan();
        let is_new = self.disk.as_ref().is_some_and(Disk::is_empty);
        self.switch_on(plan);
        let mut journal = None;
        let end = self.work(&mut journal);
        drop(journal);
        let disk = vfs::insert(None).expect("put there above");
        let fails = match &end {
            Err(error) => {
                let planned = disk.is_off() || disk.failures() > 0;
                assert!(planned, "no fault was planned, but the journal says: {error}");
                assert!(
                    !matches!(error, JournalError::Corrupt(_)),
                    "nothing is damaged, but the journal says: {error}"
                );
                assert!(error.to_string().contains("octostore.db"), "an error without the file's name: {error}");
                true
            }
            Ok(()) => false,
        };
        self.tally.checkpoints += disk.database_syncs();
        self.tally.in_a_call += u64::from(disk.is_off());
        self.tally.in_the_first_start += u64::from(disk.is_off() && is_new && self.known.accounts.is_empty());
        self.tally.failures += u64::from(fails && !disk.is_off());
        // A kill leaves what was written, a loss of power what was synced and some of the rest.
        let power_goes = disk.is_off() || self.random.one_in(2);
        note(|| format!("the life ends: {end:?}, {plan:?}, the power goes: {power_goes}"));
        self.disk = Some(if power_goes { self.lose_power(&disk) } else { disk });
    }

    fn switch_on(&mut self, plan: Plan) {
        let mut disk = self.disk.take().expect("no life goes on");
        disk.begin(plan);
        vfs::insert(Some(disk));
    }

    /// The disk as a start finds it after the power has gone, and the real files as the disk has them.
    fn lose_power(&mut self, disk: &Disk) -> Disk {
        let left = self.random.pick(&LEFT);
        note(|| format!("of what was not synced is left: {left:?}"));
        let content = disk.left(left, &mut self.random);
        write_down(self.database.parent().expect("the home"), &content);
        Disk::holding(&content, self.lie, Random::new(self.random.bits()))
    }

    /// When and how it goes wrong: mostly early or late, by powers of two, so that all stages of a life have their share.
    fn draw_plan(&mut self) -> Plan {
        let most = 1 << self.random.below(12);
        let at = 1 + self.random.below(most);
        match self.random.below(8) {
            0 => Plan::Well,
            1 | 2 => {
                let error = self.random.pick(&[SQLITE_FULL, SQLITE_IOERR_WRITE, SQLITE_IOERR_FSYNC]);
                Plan::Fails { at, error, from_then_on: self.random.one_in(2) }
            }
            _ => Plan::PowerGoes { at, after: self.random.one_in(2) },
        }
    }

    fn work(&mut self, place: &mut Option<SqliteJournal>) -> Result<(), JournalError> {
        let journal = place.insert(SqliteJournal::open(&self.database, LIMITS)?);
        let mut dirty = self.start(journal)?;
        for _ in 0..self.random.below(150) {
            match self.random.below(20) {
                0..12 => self.append(journal, &mut dirty)?,
                12..16 => self.fold(journal, &mut dirty)?,
                16 => journal.probe()?,
                _ => journal.tidy()?,
            }
        }
        if self.random.one_in(3) {
            while !dirty.is_empty() {
                self.fold(journal, &mut dirty)?;
            }
            note(|| "close".to_owned());
            journal.close()?;
        }
        Ok(())
    }

    /// What `octostore serve` does, and the judgement of what it finds.
    fn start(&mut self, journal: &mut SqliteJournal) -> Result<Dirty, JournalError> {
        let recovered = journal.recover()?;
        self.judge(&recovered);
        let wanted = &USERS[..=self.random.index(USERS.len())];
        let accounts = journal.accounts(wanted)?;
        let known = &self.known.accounts;
        assert!(accounts.len() >= known.len(), "accounts are gone: {known:?}, but now {accounts:?}");
        assert_eq!(&accounts[..known.len()], &known[..], "accounts have changed");
        self.known.accounts = accounts;
        let mut dirty = Dirty::new();
        for (number, records) in &recovered.tail {
            dirty.absorb_recovered(*number, 0, records).expect("a tail that was judged");
        }
        Ok(dirty)
    }

    /// Everything acknowledged is there; what was under way is there as a whole, or not at all.
    fn judge(&mut self, recovered: &Recovered) {
        self.tally.starts += 1;
        let Known { number, mark, locks, under_way, mark_under_way, .. } = &mut self.known;
        let found = recovered.last_commit;
        if let Some((its_mark, records)) = under_way.take() {
            if found == *number + 1 {
                self.tally.unacknowledged_but_there += 1;
                replay(locks, &records);
                (*number, *mark) = (found, its_mark);
            } else {
                self.tally.unacknowledged_and_gone += 1;
            }
        }
        assert!(found == *number, "the last commit is {found}, but {number} was acknowledged");
        let highest = (*mark).max(*mark_under_way);
        let its = recovered.mark;
        assert!((*mark..=highest).contains(&its), "the mark is {its}, but {mark} was acknowledged");
        *mark = its;
        *mark_under_way = 0;
        let stored: BTreeMap<String, &Row> = recovered.locks.iter().map(|row| (row.name.to_string(), row)).collect();
        assert!(stored.len() == recovered.locks.len(), "a lock was found twice");
        for (name, row) in &*locks {
            assert!(
                stored.get(name) == Some(&row),
                "of {name} it finds {:?}, acknowledged is {row:?}",
                stored.get(name)
            );
        }
        let more = stored.keys().find(|name| !locks.contains_key(*name));
        assert!(more.is_none(), "it finds {more:?}, which was given up");
    }

    fn append(&mut self, journal: &mut SqliteJournal, dirty: &mut Dirty) -> Result<(), JournalError> {
        let records = self.draw_records();
        while !journal.room().fits(records.len()) {
            self.fold(journal, dirty)?;
        }
        let (number, mark) = (self.known.number + 1, self.known.tokens);
        if self.mistake == Mistake::AcknowledgedTooEarly {
            replay(&mut self.known.locks, &records);
            (self.known.number, self.known.mark) = (number, mark);
        } else {
            self.known.under_way = Some((mark, records.clone()));
        }
        note(|| format!("commit {number}, {} bytes", records.len()));
        journal.append(&Commit { number, mark, records: &records })?;
        if self.known.under_way.take().is_some() {
            replay(&mut self.known.locks, &records);
            (self.known.number, self.known.mark) = (number, mark);
        }
        dirty.absorb(number, 0, &records).expect("sound records");
        if self.random.one_in(2) { journal.tidy() } else { Ok(()) }
    }

    fn fold(&mut self, journal: &mut SqliteJournal, dirty: &mut Dirty) -> Result<(), JournalError> {
        let rows = if self.random.one_in(2) { SLICE_ROWS } else { 1 + self.random.index(8) };
        let slice = dirty.slice(u64::MAX, rows, 8192, self.known.number);
        let mark = self.known.mark;
        self.known.mark_under_way = mark;
        note(|| format!("fold of {} rows through {}", slice.rows.len(), slice.through));
        let through = match self.mistake {
            Mistake::TrimmedTooFar => (slice.through + 1).min(self.known.number),
            _ => slice.through,
        };
        if self.mistake == Mistake::TrimmedBeforeTheRows {
            journal.fold(&[], mark, through)?;
        }
        journal.fold(&slice.rows, mark, through)?;
        if self.random.one_in(2) { journal.tidy() } else { Ok(()) }
    }

    /// Some changes, each of which follows from the state before. At times as many as the journal's thread would gather.
    fn draw_records(&mut self) -> Vec<u8> {
        let most = self.random.pick(&[1, 4, 4, 40, 300]);
        let mut held: BTreeMap<String, Option<Row>> = BTreeMap::new();
        let mut records = Vec::new();
        // Tokens that are minted for nothing count, too.
        self.known.tokens = self.known.tokens.max(self.known.mark) + self.random.below(3);
        for _ in 0..=self.random.below(most) {
            let name = format!("lock-{}", self.random.below(600));
            let before = held.get(&name).cloned().unwrap_or_else(|| self.known.locks.get(&name).cloned());
            let after = match before {
                Some(_) if self.random.one_in(2) => {
                    encode(&mut records, &Change::Gone { name: &name });
                    None
                }
                Some(row) => {
                    let ttl = self.draw_ttl();
                    let row = Row { ttl, ..row };
                    encode(&mut records, &Change::Extended(Record::from(&row)));
                    Some(row)
                }
                None => Some(self.grant(&name, &mut records)),
            };
            held.insert(name, after);
        }
        records
    }

    fn grant(&mut self, name: &str, records: &mut Vec<u8>) -> Row {
        self.known.tokens += 1;
        let note = "n".repeat(self.random.index(1024));
        let record = Record {
            name,
            user: UserId(self.random.below(self.known.accounts.len() as u64) as u32),
            lease_id: Uuid::from_u128(u128::from(self.random.bits())),
            token: Fence::recovered(self.known.tokens).expect("a token"),
            ttl: self.draw_ttl(),
            metadata: self.random.one_in(2).then_some(&note),
        };
        encode(records, &Change::Granted(record));
        Row::from(&record)
    }

    fn draw_ttl(&mut self) -> Ttl {
        Ttl::from_seconds(1 + self.random.below(3600)).expect("a TTL")
    }

    /// In the end the disk is well: all is there, and the file is whole by SQLite's own check.
    fn last_look(&mut self) {
        self.switch_on(Plan::Well);
        let mut journal =
            SqliteJournal::open(&self.database, LIMITS).unwrap_or_else(|error| panic!("no start: {error}"));
        self.start(&mut journal).unwrap_or_else(|error| panic!("no start: {error}"));
        journal.close().unwrap_or_else(|error| panic!("no close: {error}"));
        let disk = vfs::insert(None).expect("put there above");
        assert!(disk.calls() > 0, "the journal has not come to the disk");
        // By the default VFS: ours has no shared memory, without which only an exclusive connection reads a WAL.
        let flags = rusqlite::OpenFlags::SQLITE_OPEN_READ_WRITE;
        let check = rusqlite::Connection::open_with_flags_and_vfs(&self.database, flags, c"unix")
            .and_then(|connection| connection.query_row("PRAGMA integrity_check", [], |row| row.get::<_, String>(0)));
        assert_eq!(check.as_deref(), Ok("ok"), "SQLite's integrity check");
    }
}

fn replay(locks: &mut BTreeMap<String, Row>, records: &[u8]) {
    for change in decode(records) {
        match change.expect("sound records") {
            Change::Granted(record) | Change::Extended(record) => {
                locks.insert(record.name.to_owned(), Row::from(&record));
            }
            Change::Gone { name } => _ = locks.remove(name),
        }
    }
}
