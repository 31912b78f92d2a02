//! The load on the journal, and what must be true after each start.
//!
//! One seed is a few lives of a process on one disk. A life starts as `octostore serve` does (open, recover, accounts),
//! then commits, folds (what the shipping `Dirty` says), changes accounts, tidies, probes and makes backups as the journal's thread does, until
//! the power goes, a call fails, or it ends: in order, or by a kill. The next life finds what the disk has left; or a
//! backup is restored before.

mod backups;
mod known;
mod load;

use std::collections::BTreeMap;
use std::path::PathBuf;

use octostore::journal::{Dirty, Journal, JournalError, Limits, SqliteJournal};
use rusqlite::ffi::{SQLITE_FULL, SQLITE_IOERR_FSYNC, SQLITE_IOERR_WRITE};

use self::backups::Backup;
use self::known::Known;
use crate::disk::{Disk, LEFT, Lie, Plan};
use crate::home::{Home, write_down};
use crate::people::People;
use crate::random::Random;
use crate::story::note;
use crate::vfs;

const USERS: [(&str, &str); 3] = [("static", "ada"), ("static", "bob"), ("static", "cid")];
const LIMITS: Limits = Limits { commits: 96, bytes: 4 << 20 };

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
    /// A change of an account is answered before it is made.
    AccountAnsweredTooEarly,
    /// A backup is said to be made, and not synced.
    BackedUpWithoutASync,
    /// A database is said to be restored, and not synced.
    RestoredWithoutASync,
    /// A restored database grants locks at once.
    RestoredWithoutGrace,
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
    /// Changes of accounts that were acknowledged.
    pub account_changes: u64,
    /// That were under way when it happened, and are there as a whole.
    pub account_changes_but_there: u64,
    /// And that are not.
    pub account_changes_and_gone: u64,
    /// Backups that were made of a journal that went on.
    pub backups: u64,
    /// What the journal did between the slices of a backup.
    pub between_slices: u64,
    /// Tries to restore one.
    pub restores: u64,
    /// In which the power went.
    pub in_a_restore: u64,
    /// After which the restored database was there.
    pub restored: u64,
    /// Of these, though nobody was told so.
    pub restored_but_unacknowledged: u64,
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
        self.account_changes += other.account_changes;
        self.account_changes_but_there += other.account_changes_but_there;
        self.account_changes_and_gone += other.account_changes_and_gone;
        self.backups += other.backups;
        self.between_slices += other.between_slices;
        self.restores += other.restores;
        self.in_a_restore += other.in_a_restore;
        self.restored += other.restored;
        self.restored_but_unacknowledged += other.restored_but_unacknowledged;
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
        backup: None,
        files: 0,
        calls_of_a_restore: 0,
        now_s: 1_800_000_000,
        tally,
    };
    for _ in 0..=world.random.below(5) {
        world.life();
        if world.random.one_in(3) {
            world.restore();
        }
    }
    world.last_look();
    vfs::insert(None);
}

struct World<'a> {
    random: Random,
    database: PathBuf,
    /// None while the thread has it.
    disk: Option<Disk>,
    lie: Lie,
    mistake: Mistake,
    known: Known,
    /// The last one that was made.
    backup: Option<Backup>,
    /// Backups, and databases moved away, so far: each has a name of its own.
    files: u64,
    /// Of the last one that went well, those that changed something.
    calls_of_a_restore: u64,
    /// The wall clock of whoever restores one.
    now_s: u64,
    tally: &'a mut Tally,
}

impl World<'_> {
    fn life(&mut self) {
        let is_new = self.disk.as_ref().is_some_and(Disk::is_empty);
        let plan = match self.draw_plan() {
            // A new database whose names are not on the disk, unseen by SQLite, and whose first page is torn then, is refused: nothing was
            // acknowledged yet, and it cannot be told from one that was cut off.
            Plan::FailsAndPowerGoes { at, after, .. } if self.known.people.0.is_empty() => {
                Plan::PowerGoes { at, after }
            }
            plan => plan,
        };
        self.switch_on(plan);
        let mut journal = None;
        let end = self.work(&mut journal);
        drop(journal);
        let disk = self.switch_off(end.as_ref().err());
        self.tally.checkpoints += disk.database_syncs();
        self.tally.in_a_call += u64::from(disk.is_off());
        self.tally.in_the_first_start += u64::from(disk.is_off() && is_new && self.known.people.0.is_empty());
        self.tally.failures += u64::from(end.is_err() && !disk.is_off());
        note(|| format!("the life ends: {end:?}"));
        self.after(disk, plan);
    }

    /// The process has ended, in order or with this error.
    fn switch_off(&mut self, error: Option<&JournalError>) -> Disk {
        let disk = vfs::insert(None).expect("a process was running");
        assert!(disk.has_lost_track().is_none(), "the disk was not told of it: {:?}", disk.has_lost_track());
        if let Some(error) = error {
            let planned = disk.is_off() || disk.failures() > 0;
            assert!(planned, "no fault was planned, but the journal says: {error}");
            assert!(!matches!(error, JournalError::Corrupt(_)), "nothing is damaged, but the journal says: {error}");
            assert!(error.to_string().contains(".db"), "an error without the file's name: {error}");
        }
        disk
    }

    /// The disk as the next process finds it. A kill leaves what was written, a loss of power what was synced and some of the rest.
    fn after(&mut self, disk: Disk, plan: Plan) {
        let power_goes = disk.is_off() || self.random.one_in(2);
        note(|| format!("{plan:?}, the power goes: {power_goes}"));
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
                match self.random.below(3) {
                    0 => Plan::Fails { at, error, from_then_on: true },
                    1 => Plan::Fails { at, error, from_then_on: false },
                    _ => {
                        let later = at + 1 + self.random.below(most);
                        Plan::FailsAndPowerGoes { fails: at, error, at: later, after: self.random.one_in(2) }
                    }
                }
            }
            _ => Plan::PowerGoes { at, after: self.random.one_in(2) },
        }
    }

    fn work(&mut self, place: &mut Option<SqliteJournal>) -> Result<(), JournalError> {
        let journal = place.insert(SqliteJournal::open(&self.database, LIMITS)?);
        let mut dirty = self.start(journal)?;
        for _ in 0..self.random.below(150) {
            if self.random.one_in(60) {
                self.back_up(journal, &mut dirty)?;
            }
            self.work_once(journal, &mut dirty)?;
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
        self.known.judge(&recovered, self.tally);
        self.tally.starts += 1;
        self.known.judge_people(People::read(journal)?, self.tally);
        let wanted = &USERS[..=self.random.index(USERS.len())];
        let after = self.known.people.with(wanted);
        self.known.people_under_way = Some(after.clone());
        journal.accounts(wanted)?;
        let people = People::read(journal)?;
        assert!(people.are(&after), "accounts are others: {people:?}, but not {after:?}");
        (self.known.people, self.known.people_under_way) = (people, None);
        let mut dirty = Dirty::new();
        for (number, records) in &recovered.tail {
            dirty.absorb_recovered(*number, 0, records).expect("a tail that was judged");
        }
        Ok(dirty)
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
