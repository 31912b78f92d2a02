//! The way from the workers into the journal: one lane per core, one gate, one watermark per core.
//!
//! A worker gathers the changes of its turn in a [`Batch`] and hands it over at the turn's end, if its
//! lane has room; if not, the batch goes on growing up to its bound, and then the worker refuses
//! commands. So while a sync hangs, what waits for it stays bounded.

use std::io;
use std::path::PathBuf;
use std::sync::mpsc::SyncSender;

use super::accounts::{Account, AccountChange, AccountErrand, AccountRefusal};
use super::backup::{Copied, Pages};
use super::record::encode;
use crate::fence::FencingToken;
use crate::handoff::Gate;
use crate::lease::{Change, Seq, UserId};
use crate::sync::{ArrayQueue, AtomicBool, Bell, Ordering};
use crate::vitals::Pulse;
use crate::watermark::Watermark;

/// Batches on their way, per core.
const LANE: usize = 16;
/// Errands that may wait.
const ERRANDS: usize = 64;
/// A batch this large takes no more commands.
pub(super) const BATCH_BYTES: usize = 256 << 10;
/// The most that one command adds: an expiry and a grant, names and metadata at their longest.
const COMMAND_BYTES: usize = 2 << 10;

const _: () = assert!(2 * (crate::lease::MAX_NAME_BYTES + 64) + crate::lease::MAX_METADATA_BYTES < COMMAND_BYTES);

/// The changes of one core that are handed over at once.
#[derive(Debug, Default)]
pub struct Batch {
    /// The changes, encoded, in order.
    pub records: Vec<u8>,
    /// How many.
    pub changes: u32,
    /// The number of the last one.
    pub last: Seq,
    /// The highest fencing token minted for them; 0 if none was. Taken when minted, before anything is left out.
    pub mark: u64,
    /// Nothing is in it, but somebody wants to know whether a commit succeeds.
    pub probe: bool,
}

impl Batch {
    /// Appends a change.
    pub fn push(&mut self, seq: Seq, change: &Change<'_>) {
        encode(&mut self.records, change);
        self.changes += 1;
        self.last = seq;
    }

    /// Notes a token as minted, whatever becomes of the change it was minted for.
    pub fn minted(&mut self, token: FencingToken) {
        self.mark = self.mark.max(token.get());
    }

    /// Whether one more command's changes find room.
    pub fn has_room(&self) -> bool {
        self.records.len() + COMMAND_BYTES <= BATCH_BYTES
    }

    /// How many expiries find room, leaving that of one command.
    pub fn room_for_expiries(&self) -> usize {
        (BATCH_BYTES - COMMAND_BYTES).saturating_sub(self.records.len()) / (crate::lease::MAX_NAME_BYTES + 64)
    }

    /// Whether there is nothing to commit.
    pub fn is_empty(&self) -> bool {
        self.changes == 0 && !self.probe
    }
}

/// Something else that the journal's thread is to do, between two commits: the way to the database for everybody who is
/// not a worker. If the journal fails first, the reply's other end sees it hang up.
#[derive(Debug)]
pub enum Errand {
    /// A change of an account.
    Account {
        /// Which.
        errand: AccountErrand,
        /// Told when the change is durable, or why there is none.
        reply: SyncSender<Result<(Account, AccountChange), AccountRefusal>>,
    },
    /// A part of the list of users: from this number on, by number, at most so many as are read between two commits.
    Users {
        /// The first that is wanted.
        from: UserId,
        /// Told the accounts, each with how many stored tokens it has: none, if there is none from there on.
        reply: SyncSender<Vec<(Account, u32)>>,
    },
    /// A copy of all that is committed, made a slice at a time while commits go on: see `backup.rs`.
    Copy {
        /// The new file.
        to: PathBuf,
        /// Told how far it is, as far as anybody listens; if that end is gone the copy is given up. Hung up at the end.
        progress: SyncSender<Pages>,
        /// Told how it has ended.
        reply: SyncSender<Copied>,
    },
}

struct Lane {
    batches: ArrayQueue<Batch>,
    /// Emptied buffers on their way back.
    spares: ArrayQueue<Vec<u8>>,
    watermark: Watermark,
}

/// What workers and the journal's thread share.
pub struct Intake {
    lanes: Box<[Lane]>,
    errands: ArrayQueue<Errand>,
    gate: Gate,
    pulse: Pulse,
    failed: AtomicBool,
    closing: AtomicBool,
}

impl Intake {
    /// Lanes for so many cores.
    ///
    /// # Errors
    /// No descriptor for the bell.
    pub fn new(cores: usize) -> io::Result<Intake> {
        let lane =
            |_| Lane { batches: ArrayQueue::new(LANE), spares: ArrayQueue::new(LANE), watermark: Watermark::new() };
        Ok(Intake {
            lanes: (0..cores).map(lane).collect(),
            errands: ArrayQueue::new(ERRANDS),
            gate: Gate::new(Bell::new(true)?),
            pulse: Pulse::default(),
            failed: AtomicBool::new(false),
            closing: AtomicBool::new(false),
        })
    }

    /// How many cores there are.
    pub fn cores(&self) -> usize {
        self.lanes.len()
    }

    /// Hands a core's batch over and leaves an empty one; false, and the batch stays, if the lane is full. Knock afterwards.
    pub fn hand_over(&self, core: usize, batch: &mut Batch) -> bool {
        if !self.has_room(core) {
            return false;
        }
        let lane = &self.lanes[core];
        let spare = lane.spares.pop().unwrap_or_default();
        let full = std::mem::replace(batch, Batch { records: spare, ..Batch::default() });
        assert!(lane.batches.push(full).is_ok(), "core {core} is not alone in its lane");
        true
    }

    /// Whether a core's lane has room. Only that core pushes, so for it a yes stays true.
    pub fn has_room(&self, core: usize) -> bool {
        !self.lanes[core].batches.is_full()
    }

    /// Whether the journal has taken all that a core has handed over. Only that core pushes, so for it a yes stays true.
    pub fn has_taken_all(&self, core: usize) -> bool {
        self.lanes[core].batches.is_empty()
    }

    /// The oldest batch of a core. For the journal's thread.
    pub(super) fn take(&self, core: usize) -> Option<Batch> {
        self.lanes[core].batches.pop()
    }

    /// Gives a buffer back to the core it came from.
    pub(super) fn give_back(&self, core: usize, mut records: Vec<u8>) {
        records.clear();
        let _ = self.lanes[core].spares.push(records); // a full lane of spares: let it go
    }

    /// Leaves an errand for the journal's thread, and knocks.
    ///
    /// # Errors
    /// Gives it back if too many wait.
    pub fn send(&self, errand: Errand) -> Result<(), Errand> {
        self.errands.push(errand)?;
        self.gate.knock();
        Ok(())
    }

    /// The oldest errand. For the journal's thread.
    pub(super) fn take_errand(&self) -> Option<Errand> {
        self.errands.pop()
    }

    /// Whether neither a batch nor an errand waits.
    pub(super) fn is_empty(&self) -> bool {
        self.lanes.iter().all(|lane| lane.batches.is_empty()) && self.errands.is_empty()
    }

    /// How far a core's changes are durable.
    pub fn watermark(&self, core: usize) -> &Watermark {
        &self.lanes[core].watermark
    }

    /// The gate of the journal's thread.
    pub fn gate(&self) -> &Gate {
        &self.gate
    }

    /// The pulse of the journal's thread.
    pub fn pulse(&self) -> &Pulse {
        &self.pulse
    }

    /// Whether something waits for the journal's thread.
    pub fn is_waited_for(&self) -> bool {
        !self.is_empty()
    }

    /// Whether the journal has failed. Then no watermark rises any more, and the process is about to end.
    pub fn has_failed(&self) -> bool {
        self.failed.load(Ordering::Acquire) // pairs with `fail`
    }

    pub(super) fn fail(&self) {
        self.failed.store(true, Ordering::Release); // pairs with `has_failed`
    }

    /// Asks the journal's thread to commit what there is, to tidy up, and to end.
    pub fn close(&self) {
        self.closing.store(true, Ordering::Release); // pairs with `is_closing`
        self.gate.knock();
    }

    pub(super) fn is_closing(&self) -> bool {
        self.closing.load(Ordering::Acquire) // pairs with `close`
    }
}
