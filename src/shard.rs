//! One core's share of the locks: its table, its open batch of changes, its numbers.
//!
//! A shard turns a command into a reply by a plain function call, on its owner's thread. What it
//! changes waits in the open batch until the worker hands it to the journal.

use std::sync::Arc;

use crate::fence::{Fence, FencingToken};
use crate::journal::{Batch, Intake, Row};
use crate::lease::{Change, Command, Listed, LockTable, Ports, Record, Reply, Scan, Seq, UserId};
use crate::quota::Quota;

/// A core's locks and their bookkeeping.
pub struct Shard {
    table: LockTable,
    ledger: Ledger,
}

/// The refusal of a command because too much is waiting for the disk. Nothing was applied.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Overloaded;

/// One page of a user's locks on one core.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page {
    /// The rows, by name.
    pub rows: Vec<Listed>,
    /// How many of the user's locks match the prefix.
    pub total: usize,
    /// The core's last change: all that the page shows or leaves out rests on it.
    pub rests_on: Seq,
}

struct Ledger {
    fence: Arc<Fence>,
    quota: Arc<Quota>,
    batch: Batch,
    last: Seq,
    /// The last change that was handed over.
    handed_over: Seq,
}

impl Shard {
    /// A shard that holds the recovered `rows`, each with its full TTL from `now_ns`. The quota counts them already: no
    /// core may grant before the rows of all cores are counted.
    pub fn new(now_ns: u64, rows: Vec<Row>, fence: Arc<Fence>, quota: Arc<Quota>) -> Shard {
        let mut table = LockTable::new(now_ns);
        table.reserve(rows.len());
        for row in &rows {
            table.recover(now_ns, &Record::from(row));
        }
        Shard { table, ledger: Ledger { fence, quota, batch: Batch::default(), last: 0, handed_over: 0 } }
    }

    /// Refuses new leases until `until_ns`: see [`LockTable::grant_nothing_before`].
    pub fn grant_nothing_before(&mut self, until_ns: u64) {
        self.table.grant_nothing_before(until_ns);
    }

    /// Applies a command. `now_ns` must have been read after the command arrived.
    ///
    /// # Errors
    /// The open batch is full, because the disk does not keep up.
    pub fn handle(&mut self, now_ns: u64, command: &Command<'_>) -> Result<Reply, Overloaded> {
        if !self.has_room() {
            return Err(Overloaded);
        }
        Ok(self.table.apply(now_ns, command, &mut self.ledger))
    }

    /// Whether a command finds room in the open batch.
    pub fn has_room(&self) -> bool {
        self.ledger.batch.has_room()
    }

    /// Goes on with a walk over a user's locks, by at most `most` of them: see [`LockTable::scan`]. The page, if that was
    /// the end.
    pub fn scan(&self, scan: &mut Scan, most: usize) -> Option<Page> {
        self.table.scan(scan, most).then(|| {
            let (rows, total) = scan.found();
            Page { rows, total, rests_on: self.ledger.last }
        })
    }

    /// Ends leases that have run out, at most `most`; false if there may be more.
    pub fn sweep(&mut self, now_ns: u64, most: usize) -> bool {
        let most = most.min(self.ledger.batch.room_for_expiries());
        self.table.sweep(now_ns, most, &mut self.ledger) < most
    }

    /// A number that becomes durable with the next commit that succeeds, though nothing changes.
    pub fn probe(&mut self) -> Seq {
        self.ledger.batch.probe = true;
        self.ledger.last += 1;
        self.ledger.batch.last = self.ledger.last;
        self.ledger.last
    }

    /// Hands the open batch over; false if it is not empty and has to wait.
    pub fn hand_over(&mut self, core: usize, intake: &Intake) -> bool {
        let done = self.ledger.batch.is_empty() || intake.hand_over(core, &mut self.ledger.batch);
        if done {
            self.ledger.handed_over = self.ledger.last;
        }
        done
    }

    /// Whether a change still waits to be handed over.
    pub fn is_open(&self, change: Seq) -> bool {
        change > self.ledger.handed_over
    }

    /// Whether something is waiting to be handed over.
    pub fn has_changes(&self) -> bool {
        !self.ledger.batch.is_empty()
    }

    /// Forgets names whose removal is durable, at most `most`; false if there may be more.
    pub fn forget(&mut self, durable: Seq, most: usize) -> bool {
        self.table.forget(durable, most)
    }

    /// How many locks are held.
    pub fn held(&self) -> usize {
        self.table.held()
    }

    /// How many leases have run out so far.
    pub fn expired(&self) -> u64 {
        self.table.expired()
    }
}

impl Ports for Ledger {
    fn mint(&mut self) -> Option<FencingToken> {
        let token = self.fence.mint()?;
        self.batch.minted(token);
        Some(token)
    }

    fn reserve(&mut self, user: UserId) -> bool {
        self.quota.reserve(user.0 as usize)
    }

    fn give_back(&mut self, user: UserId) {
        self.quota.give_back(user.0 as usize);
    }

    fn record(&mut self, change: Change<'_>) -> Seq {
        self.last += 1;
        self.batch.push(self.last, &change);
        self.last
    }
}
