//! What the seeds have found once, as stories that are always told: a first process that comes to grief, a second one that goes on with its
//! files and acknowledges something, a loss of power, and a third that must find it.
//!
//! Each is told for every call in which it can go wrong.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use octostore::fence::Fence;
use octostore::journal::{Commit, Journal, JournalError, Limits, SqliteJournal, encode};
use octostore::lease::{Change, Record, Ttl, UserId};
use power_loss::disk::{Disk, Left, Lie, Plan};
use power_loss::home::{Home, write_down};
use power_loss::random::Random;
use power_loss::vfs;
use rusqlite::ffi::SQLITE_IOERR_FSYNC;
use uuid::Uuid;

const LIMITS: Limits = Limits { commits: 96, bytes: 4 << 20 };
/// What is left of what was not synced, once the power goes. Other pieces with each seed, in the last case.
const LEFTOVERS: [Left; 3] = [Left::Nothing, Left::Everything, Left::Subset];

/// A machine, and what it owes: commit `n` holds the lock `lock-n`.
struct Machine {
    home: Home,
    random: Random,
    /// None while a process has it.
    disk: Option<Disk>,
    /// The last commit that was acknowledged, or that a start has shown.
    owed: u64,
}

/// A process, once it has started.
struct Process<'a> {
    journal: SqliteJournal,
    owed: &'a mut u64,
}

impl Machine {
    fn new(seed: u64) -> Machine {
        let disk = Disk::holding(&BTreeMap::new(), Lie::None, Random::new(seed));
        Machine { home: Home::new(), random: Random::new(seed), disk: Some(disk), owed: 0 }
    }

    fn database(&self) -> PathBuf {
        self.home.0.join("octostore.db")
    }

    /// A process starts, finds all that is owed, works, and is killed. Gives the number of its calls that changed something, and
    /// whether it came to its end.
    fn process(
        &mut self,
        plan: Plan,
        work: impl FnOnce(&mut Process) -> Result<(), JournalError>,
    ) -> (u64, Result<(), JournalError>) {
        let mut disk = self.disk.take().expect("no other process is running");
        disk.begin(plan);
        vfs::insert(Some(disk));
        let database = self.database();
        let owed = &mut self.owed;
        let end = SqliteJournal::open(&database, LIMITS).and_then(|mut journal| {
            find(&mut journal, owed)?;
            journal.accounts(&[("static", "ada")])?;
            work(&mut Process { journal, owed })
        });
        let disk = vfs::insert(None).expect("put there above");
        let is_planned = disk.is_off() || disk.failures() > 0;
        match &end {
            Err(error) if !is_planned || matches!(error, JournalError::Corrupt(_)) => panic!("{plan:?}: {error}"),
            _ => {}
        }
        let calls = disk.calls();
        self.disk = Some(disk);
        (calls, end)
    }

    fn lose_power(&mut self, left: Left) {
        let content = self.disk.take().expect("no process is running").left(left, &mut self.random);
        write_down(&self.home.0, &content);
        self.disk = Some(Disk::holding(&content, Lie::None, Random::new(self.random.bits())));
    }

    /// The disk is well: a start finds all that is owed, and goes on; the file is whole by SQLite's own check.
    fn is_well(&mut self) {
        let (_, end) = self.process(Plan::Well, |process| process.commit().and_then(|()| process.journal.close()));
        end.expect("a disk that is well");
        let flags = rusqlite::OpenFlags::SQLITE_OPEN_READ_WRITE;
        let check = rusqlite::Connection::open_with_flags_and_vfs(self.database(), flags, c"unix")
            .and_then(|connection| connection.query_row("PRAGMA integrity_check", [], |row| row.get::<_, String>(0)));
        assert_eq!(check.as_deref(), Ok("ok"), "SQLite's integrity check");
    }
}

/// All that is owed is there, and at most one commit more, which was under way; whatever is there is owed from now on.
fn find(journal: &mut SqliteJournal, owed: &mut u64) -> Result<(), JournalError> {
    let recovered = journal.recover()?;
    let last = recovered.last_commit;
    assert!((*owed..=*owed + 1).contains(&last), "the last commit is {last}, but {owed} was acknowledged");
    let found: BTreeSet<String> = recovered.locks.iter().map(|row| row.name.to_string()).collect();
    assert_eq!(found, (1..=last).map(|number| format!("lock-{number}")).collect(), "after commit {last}");
    assert!(recovered.mark >= last, "the mark is {}, after commit {last}", recovered.mark);
    *owed = last;
    Ok(())
}

impl Process<'_> {
    /// Grants a lock, and acknowledges it.
    fn commit(&mut self) -> Result<(), JournalError> {
        let number = *self.owed + 1;
        let mut records = Vec::new();
        encode(
            &mut records,
            &Change::Granted(Record {
                name: &format!("lock-{number}"),
                user: UserId(0),
                lease_id: Uuid::from_u128(u128::from(number)),
                token: Fence::recovered(number).expect("a token"),
                ttl: Ttl::from_seconds(60).expect("a TTL"),
                metadata: None,
            }),
        );
        self.journal.append(&Commit { number, mark: number, records: &records })?;
        *self.owed = number;
        Ok(())
    }
}

/// Found by seeds 686 and 1365. SQLite syncs the directory only with the first sync of a `-wal` file that it has made itself: not for the
/// next process, which finds one, nor for the rollback journal that this one deletes, and that would undo everything if it came back.
#[test]
fn the_first_grant_survives_a_loss_of_power_whatever_became_of_the_starts_before_it() {
    let well = Machine::new(0).process(Plan::Well, |process| process.commit());
    assert!(well.1.is_ok() && well.0 > 20, "{well:?}");
    let seeds_and_calls = (0..8).flat_map(|seed| (1..=well.0).map(move |at| (seed, at)));
    for ((seed, at), left) in seeds_and_calls.flat_map(|story| LEFTOVERS.map(|left| (story, left))) {
        for plan in
            [Plan::Fails { at, error: SQLITE_IOERR_FSYNC, from_then_on: true }, Plan::PowerGoes { at, after: true }]
        {
            let mut machine = Machine::new(seed);
            machine.process(plan, |process| process.commit()).1.expect_err("the first process comes to grief");
            if matches!(plan, Plan::PowerGoes { .. }) {
                machine.lose_power(Left::Subset);
            }
            let (_, second) = machine.process(Plan::Well, |process| process.commit());
            second.unwrap_or_else(|error| panic!("after {plan:?}: {error}"));
            assert!(machine.owed >= 1);
            machine.lose_power(left);
            machine.is_well();
        }
    }
}

/// SQLite takes no notice when the sync of a directory fails, and does not try again. So the server syncs it itself, and first of all when it
/// has made the database file: else a `-wal` file could be left without it, which every later start refuses.
#[test]
fn a_sync_of_the_directory_that_fails_unseen_takes_nothing_back_and_leaves_no_start_refused() {
    let fails = |at| Plan::Fails { at, error: SQLITE_IOERR_FSYNC, from_then_on: false };
    let (calls, _) = Machine::new(0).process(Plan::Well, |process| process.commit());
    let is_unseen = |at: &u64| Machine::new(0).process(fails(*at), |process| process.commit()).1.is_ok();
    let unseen: Vec<u64> = (1..=calls).filter(is_unseen).collect();
    assert!((1..5).contains(&unseen.len()), "of {calls} calls these fail unseen: {unseen:?}");
    // No torn first page: without the name of its rollback journal it is refused, as too short for a database.
    let leftovers = [Left::Nothing, Left::Everything, Left::SomeNames];
    for (seed, left) in (0..8).flat_map(|seed| leftovers.map(|left| (seed, left))) {
        for &at in &unseen {
            // The first grant is acknowledged, and then the power goes; or it goes in some call before.
            let goes = |later| Plan::FailsAndPowerGoes { fails: at, error: SQLITE_IOERR_FSYNC, at: later, after: true };
            for plan in (at + 1..=calls).map(goes).chain([fails(at)]) {
                let mut machine = Machine::new(seed);
                let (_, end) = machine.process(plan, |process| process.commit());
                assert_eq!(end.is_ok(), matches!(plan, Plan::Fails { .. }), "{plan:?}");
                machine.lose_power(left);
                machine.is_well();
            }
        }
    }
}

/// Found by seed 414. After a sync that failed, the process goes on to see what is not on the disk, and so does the next one: it shows a
/// commit that the next loss of power takes back, or that a checkpoint has half copied by then.
#[test]
fn a_commit_that_is_found_after_a_failed_sync_is_not_taken_back_by_a_loss_of_power() {
    let four = |process: &mut Process| (0..4).try_for_each(|_| process.commit());
    let (calls_of_four, end) = Machine::new(0).process(Plan::Well, four);
    end.expect("a disk that is well");
    let mut found = 0;
    for (seed, left) in (0..4).flat_map(|seed| LEFTOVERS.map(|left| (seed, left))) {
        for at in 1.. {
            let mut machine = Machine::new(seed);
            // The last call is the sync of the fourth commit.
            let plan = Plan::Fails { at: calls_of_four, error: SQLITE_IOERR_FSYNC, from_then_on: false };
            machine.process(plan, four).1.expect_err("the sync fails");
            assert_eq!(machine.owed, 3);
            let goes_on = |process: &mut Process| process.commit().and_then(|()| process.journal.close());
            let (_, end) = machine.process(Plan::PowerGoes { at, after: seed % 2 == 0 }, goes_on);
            found += u64::from(machine.owed >= 4);
            machine.lose_power(left);
            machine.is_well();
            if end.is_ok() {
                assert!(at > 10, "the whole second life was gone through: {at} calls");
                break;
            }
        }
    }
    assert!(found > 50, "the commit whose sync failed was found {found} times");
}
