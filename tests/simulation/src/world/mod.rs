//! One simulated world: a disk, the processes that run on it one after the other, and their clients.
//!
//! [`run`] plays one seed. It draws the world's size and temper first, then a few hundred steps: a client sends, a core does
//! one thing, the journal's thread commits or folds, time passes, somebody breaks a connection, the process dies or
//! is stopped, and another one starts on its disk with another number of cores. In the end all clients are answered, all leases
//! run out, and nothing may be left.
//!
//! While the journal's thread is in a commit or a fold the others go on: see `disk.rs`.

mod clients;
mod conns;
mod disk;
mod fleet;
mod oracle;
mod promises;

use std::cell::RefCell;
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::mpsc::sync_channel;

use crate::clock;
use crate::corners;
use crate::fence::Fence;
use crate::hub::Hub;
use crate::journal::{Copied, Disk, Errand, Intake, Journal, JournalError, Limits, MemoryJournal, Row, Writer};
use crate::mesh::Mesh;
use crate::metrics::JournalMetrics;
use crate::quota::Quota;
use crate::random::Random;
use crate::shard::Shard;
use crate::sync::{Arc, Bell};
use crate::trace;

use clients::Client;
use disk::{Fate, SlowJournal, Wakers};
use fleet::{Core, Fleet, Run};
use oracle::Oracle;

const MS: u64 = 1_000_000;
const SECOND: u64 = 1_000 * MS;
/// More rounds than it ever takes until all clients have their answers.
const ROUNDS: usize = 2_000;

/// Plays one seed to its end.
///
/// # Panics
/// If a promise is broken; the text says which.
pub fn run(seed: u64) {
    let mut world = World::new(seed);
    for _ in 0..world.steps {
        world.step();
    }
    world.settle();
    world.run_out();
    disk::set_fleet(None);
}

struct World {
    random: Random,
    steps: usize,
    /// One in so many steps.
    crashes: u64,
    users: usize,
    limit: u32,
    disk: Disk,
    /// The last backup that became whole.
    backup: Option<Disk>,
    /// None only between two processes.
    writer: Option<Writer<SlowJournal>>,
    fleet: Rc<RefCell<Fleet>>,
    /// Steps for which no commit begins.
    hangs: usize,
}

impl World {
    fn new(seed: u64) -> World {
        let mut random = Random::new(seed);
        let stalls = random.pick(&[0, 0, 60, 400]);
        clock::reset(random.bits(), stalls);
        crate::keys::salt_hashes(random.bits());
        // Mostly few, so that clients are in each other's way; at times more than some bounds allow at once.
        let most = random.pick(&[5, 5, 5, 5, 5, 40]);
        let names = (0..=random.index(most)).map(|n| format!("lock-{n}")).collect();
        let users = 1 + random.index(3);
        let clients = (0..=random.index(6)).map(|_| Client::new(random.index(users), &mut random)).collect();
        let limits = Limits { commits: 2 + random.below(12), bytes: (8 << 10) + random.below(32 << 10) };
        let fleet = Rc::new(RefCell::new(Fleet::new(random.bits(), Oracle::new(names, users), clients)));
        disk::set_fleet(Some(fleet.clone()));
        let mut world = World {
            steps: 100 + random.index(500),
            crashes: random.pick(&[30, 100, 300, 10_000]),
            users,
            limit: random.pick(&[1, 2, 4, 1000]),
            disk: Disk::new(limits),
            backup: None,
            writer: None,
            fleet,
            hangs: 0,
            random,
        };
        world.start();
        world
    }

    /// Starts a process on the disk, as `octostore serve` does.
    fn start(&mut self) {
        clock::advance(self.random.below(3 * SECOND));
        let cores = 1 + self.random.index(4);
        let mut journal = SlowJournal::on(&self.disk);
        let mut recovered = journal.recover().unwrap_or_else(|error| panic!("recovery: the disk is refused: {error}"));
        let accounts: Vec<String> = (0..self.users).map(|user| format!("user-{user}")).collect();
        let wanted: Vec<(&str, &str)> = accounts.iter().map(|name| ("static", &**name)).collect();
        journal.accounts(&wanted).expect("accounts");
        trace::note(|| format!("a process starts, {cores} cores, {} locks recovered", recovered.locks.len()));
        self.fleet.borrow_mut().oracle.started(&recovered);
        if !recovered.locks.is_empty() {
            corners::met("a start finds locks");
        }
        if !recovered.tail.is_empty() {
            corners::met("a start finds commits that are not in the rows");
        }

        let grace_s = recovered.grace_s;
        let mesh = Arc::new(Mesh::new((0..cores).map(|_| Bell::new(true).expect("a bell")).collect()));
        let intake = Arc::new(Intake::new(cores).expect("an intake"));
        let fence = Arc::new(Fence::above(recovered.mark));
        let quota = Arc::new(Quota::new(self.users, self.limit));
        let mut shares: Vec<Vec<Row>> = (0..cores).map(|_| Vec::new()).collect();
        for row in std::mem::take(&mut recovered.locks) {
            quota.recover(row.user.0 as usize);
            shares[mesh.owner_of(&row.name)].push(row);
        }
        let (wakers, metrics) = (Arc::new(Wakers(mesh.clone())), Arc::new(JournalMetrics::default()));
        self.writer = Some(Writer::new(journal, &recovered, intake.clone(), wakers, metrics).expect("a sound tail"));
        let core = |(core, rows)| {
            let now_ns = clock::now_ns();
            let mut shard = Shard::new(now_ns, rows, fence.clone(), quota.clone());
            shard.grant_nothing_before(now_ns + grace_s * SECOND);
            Core::new(Hub::new(core, shard, mesh.clone(), intake.clone()))
        };
        let cores = shares.into_iter().enumerate().map(core).collect();
        self.fleet.borrow_mut().run = Some(Run { cores, mesh, intake, quota });
    }

    fn step(&mut self) {
        self.pass_time();
        match self.random.below(100) {
            0..30 => self.fleet.borrow_mut().send(),
            30..72 => _ = self.fleet.borrow_mut().any_core(),
            72..86 if self.hangs > 0 => self.hangs -= 1,
            72..86 => self.commit(),
            86..93 => self.fold(),
            93..96 => self.fleet.borrow_mut().tick(),
            // Whatever the disk does, the cores come to rest.
            96 => {
                self.fleet.borrow_mut().all_cores();
                self.fleet.borrow().rest_is_rest();
            }
            97 => self.fleet.borrow_mut().break_a_connection(),
            98 => self.hangs = self.random.index(20),
            _ => self.fleet.borrow_mut().look_at_health(),
        }
        if self.random.one_in(self.crashes) {
            if self.random.one_in(4) { self.stop() } else { self.crash("the process is killed") }
        }
        if self.random.one_in(150) {
            self.back_up();
        }
        self.fleet.borrow().check();
    }

    /// Mostly next to nothing, at times a second, rarely as long as a laptop's lid is closed.
    fn pass_time(&mut self) {
        clock::advance(match self.random.below(200) {
            0 => self.random.below(40 * SECOND),
            1..10 => self.random.below(SECOND),
            10..100 => self.random.below(20 * MS),
            _ => self.random.below(MS),
        });
        if self.random.one_in(100) {
            clock::set_the_wall_clock(self.random.pick(&[3_600_000_000_000, -3_600_000_000_000]));
        }
    }

    /// One commit, in which the process may die.
    fn commit(&mut self) {
        let writer = self.writer.as_mut().expect("a process runs");
        writer.end_grace_if_it_is_over(clock::peek_ns()).expect("nothing fails yet");
        self.draw_fate();
        let end = self.writer.as_mut().expect("a process runs").commit();
        self.after(end, "the process dies in a commit");
    }

    /// One slice of folding, in which the process may die.
    fn fold(&mut self) {
        self.draw_fate();
        let until_ns = if self.random.one_in(3) { u64::MAX } else { clock::peek_ns().saturating_sub(SECOND) };
        let end = self.writer.as_mut().expect("a process runs").fold(until_ns);
        self.after(end, "the process dies in a fold");
    }

    /// A backup in slices, as the journal's thread makes it, with commits, folds and everything else between them. The process may die
    /// in it, or whoever wants it may go.
    fn back_up(&mut self) {
        trace::note(|| "a backup begins".to_owned());
        let to = PathBuf::from("backup.db");
        let ((progress, listener), (reply, ended)) = (sync_channel(1), sync_channel(1));
        let listener = (!self.random.one_in(8)).then_some(listener);
        let sent = self.fleet.borrow().intake().send(Errand::Copy { to: to.clone(), progress, reply });
        sent.expect("the first errand");
        if self.random.one_in(1 + self.crashes / 8) {
            let fate = self.random.pick(&[Fate::DiesBefore, Fate::DiesAfter]);
            disk::set_fate_after(self.random.below(12), fate);
        }
        let end = self.writer.as_mut().expect("a process runs").run_the_copy();
        if end.is_err() {
            corners::met("the process dies while a backup is made");
        }
        match ended.try_recv() {
            Ok(Copied::Whole) => {
                corners::met("a backup is made");
                trace::note(|| "the backup is whole".to_owned());
                let backup = self.disk.take_backup(&to).expect("a backup that is whole");
                let recovered = MemoryJournal::on(&backup.image()).recover();
                let recovered = recovered.unwrap_or_else(|error| panic!("backups: it would be refused: {error}"));
                self.fleet.borrow_mut().oracle.backed_up(&recovered);
                self.backup = Some(backup);
            }
            Ok(Copied::GivenUp) if listener.is_none() => corners::met("a backup is given up"),
            Err(_) if end.is_err() => {}
            other => panic!("backups: it ends with {other:?}"),
        }
        self.after(end.map(|()| true), "the process dies while a backup is made");
    }

    /// The journal fails if that was its fate, and never else.
    fn after(&mut self, end: Result<bool, JournalError>, how: &str) {
        match end {
            Ok(_) => disk::set_fate(Fate::Goes),
            Err(error) => {
                assert!(disk::fate() != Fate::Goes, "the journal is at odds with itself: {error}");
                self.crash(how);
            }
        }
    }

    fn draw_fate(&mut self) {
        if self.random.one_in(1 + self.crashes / 8) {
            disk::set_fate(self.random.pick(&[Fate::DiesBefore, Fate::DiesAfter]));
        }
    }

    fn crash(&mut self, how: &str) {
        corners::met("the process is killed");
        trace::note(|| how.to_owned());
        disk::set_fate(Fate::Goes);
        self.writer = None;
        self.fleet.borrow_mut().die();
        // The same one more than once, at times.
        if self.random.one_in(4)
            && let Some(backup) = self.backup.clone()
        {
            self.restore(&backup);
        }
        self.start();
    }

    /// The database is lost, or taken for lost, and an older one comes in its place.
    fn restore(&mut self, backup: &Disk) {
        corners::met("a backup is restored");
        trace::note(|| "the backup is restored".to_owned());
        // By a clock that is right, unlike the server's.
        let now_s = 1_800_000_000 + clock::peek_ns() / SECOND;
        self.disk = backup.restored(true, now_s).expect("a backup that is sound");
        self.fleet.borrow_mut().oracle.restored();
    }

    /// A stop in order: what has been handed over is committed and folded. The journal may fail even now.
    fn stop(&mut self) {
        trace::note(|| "the process is stopped".to_owned());
        corners::met("the process is stopped");
        self.draw_fate();
        let writer = self.writer.take().expect("a process runs");
        self.fleet.borrow().intake().close();
        let end = writer.run();
        if let Err(error) = &end {
            assert!(disk::fate() != Fate::Goes, "the journal is at odds with itself: {error}");
            corners::met("the journal fails while the process goes on");
        }
        trace::note(|| format!("the journal has ended: {end:?}"));
        let steps = self.random.below(30);
        for _ in 0..steps {
            self.fleet.borrow_mut().any_core();
        }
        if end.is_err() && steps < 15 {
            // No timer helps here either: all are told at once that there will be no commit.
            self.fleet.borrow_mut().all_cores();
            let waiting = self.fleet.borrow().waiting();
            assert!(waiting == 0, "liveness: {waiting} requests wait though the journal has failed");
        }
        self.crash("the process has ended");
    }

    /// Until every client has its answers: no wake-up may be missing, so no timer helps.
    fn settle(&mut self) {
        self.fleet.borrow_mut().quiet = true;
        for _ in 0..ROUNDS {
            let moved = self.fleet.borrow_mut().all_cores();
            let writer = self.writer.as_mut().expect("a process runs");
            let committed = writer.commit().expect("nothing fails any more");
            let folded = writer.fold(u64::MAX).expect("nothing fails any more");
            self.fleet.borrow().check();
            if !moved && !committed && !folded {
                self.fleet.borrow().rest_is_rest();
                let waiting = self.fleet.borrow().waiting();
                assert!(waiting == 0, "liveness: {waiting} requests wait for ever");
                return;
            }
        }
        panic!("liveness: no end after {ROUNDS} rounds");
    }

    /// Until every lease has run out: then nothing is left, in memory or on the disk.
    fn run_out(&mut self) {
        clock::advance(40 * SECOND);
        for _ in 0..50 {
            clock::advance(25 * MS);
            self.fleet.borrow_mut().tick_all();
            self.settle();
        }
        self.fleet.borrow().nothing_is_left();
        promises::the_disk_is_empty(&self.disk);
    }
}
