//! The journal's thread: group commit.
//!
//! One [`Writer::commit`] gathers what all cores have handed over, appends it as one commit, raises
//! the watermarks, and wakes who waits for them. The more it gathers, the less a change costs, so the
//! thread waits until every worker has gone to sleep (then nothing more is coming), but never longer
//! than [`PATIENCE_US`].
//!
//! Between commits it folds (see `fold.rs`), in bounded slices: when nobody commits and much is behind, or every few
//! milliseconds, or beside every commit once the journal is three quarters full. When it is full nothing is
//! appended until a fold has made room; batches wait in their lanes, and the workers refuse commands.
//!
//! Beside commits and folds it runs the [`Errand`]s of whoever is no worker, one between two commits. A copy of the
//! database is the one that takes longer: it is made in slices, with commits, folds and other errands between them, and
//! a pause ([`COPY_PAUSE_NS`]), so that the disk is the commits' for most of the time.
//!
//! A journal that fails is never tried again: memory is ahead of the disk then, and going on would
//! lie. The thread says so in the intake, wakes everybody, and ends with the error.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::{SyncSender, TrySendError};

use super::accounts::decide;
use super::backup::{Copied, Pages};
use super::fold::Dirty;
use super::intake::{BATCH_BYTES, Errand, Intake};
use super::recovery::corrupt;
use super::{Commit, Journal, JournalError, Recovered, Room};
use crate::clock;
use crate::lease::Seq;
use crate::metrics::JournalMetrics;

/// The longest wait for more, in microseconds: little against a sync, much against a worker's turn.
const PATIENCE_US: u64 = 200;
/// The most that one commit takes.
const COMMIT_BYTES: usize = 2 << 20;
const _: () = assert!(BATCH_BYTES <= COMMIT_BYTES);
/// Rows are left behind for this long, so that short leases never get one.
const FOLD_AFTER_NS: u64 = 1_000_000_000;
/// So many names that are behind are folded without a pause while nobody commits, which is seen when there was no commit for
/// so long. A fold is two syncs and more, whatever it holds: with one after each commit, commits would wait for folds most of the time.
const FOLD_AT_ONCE: usize = 1024;
const IDLE_NS: u64 = 2_000_000;
/// The least time between two other folds, by the quarters of the journal that are used.
const FOLD_PAUSE_NS: [u64; 3] = [50_000_000, 10_000_000, 2_000_000];
/// The longest that folding may hold up the end of the process.
const FINISH_NS: u64 = 1_000_000_000;
/// The least time between two slices of a copy: with 256 KiB a slice, 32 MB/s, which leaves most of a disk to the commits, and
/// has a database of 300 MB copied in some 10 s.
const COPY_PAUSE_NS: u64 = 8_000_000;
/// Row changes in one slice, and names looked at.
const SLICE_ROWS: usize = 256;
const SLICE_NAMES: usize = 8192;

/// Users read between two commits: about a millisecond's work.
pub const USERS_AT_ONCE: usize = 256;

/// What the journal's thread knows of the workers.
pub trait Workers: Send + Sync {
    /// Whether all of them sleep, so that nothing more is coming: a hint.
    fn all_asleep(&self) -> bool;
    /// Wakes those that wait for a commit.
    fn wake_waiting(&self);
    /// Wakes them all.
    fn wake_all(&self);
}

/// [`Errand::Copy`], taken.
pub struct CopyErrand {
    to: PathBuf,
    progress: SyncSender<Pages>,
    reply: SyncSender<Copied>,
}

/// The journal's thread's state.
pub struct Writer<J: Journal> {
    journal: J,
    intake: Arc<Intake>,
    workers: Arc<dyn Workers>,
    metrics: Arc<JournalMetrics>,
    dirty: Dirty,
    number: u64,
    mark: u64,
    records: Vec<u8>,
    /// Per core, the last change in the commit being made.
    lasts: Vec<Seq>,
    last_fold_ns: u64,
    last_commit_ns: u64,
    /// When the time after a restore is over, in which nothing is granted.
    grace_until_ns: Option<u64>,
}

impl<J: Journal> Writer<J> {
    /// A writer that goes on where `recovered` ended.
    ///
    /// # Errors
    /// The recovered tail cannot be decoded.
    pub fn new(
        journal: J,
        recovered: &Recovered,
        intake: Arc<Intake>,
        workers: Arc<dyn Workers>,
        metrics: Arc<JournalMetrics>,
    ) -> Result<Writer<J>, JournalError> {
        let mut dirty = Dirty::new();
        let now_ns = clock::now_ns();
        for (number, records) in &recovered.tail {
            dirty.absorb_recovered(*number, now_ns, records).map_err(|e| corrupt(format!("in commit {number} {e}")))?;
        }
        Ok(Writer {
            lasts: vec![0; intake.cores()],
            journal,
            intake,
            workers,
            metrics,
            dirty,
            number: recovered.last_commit,
            mark: recovered.mark,
            records: Vec::new(),
            last_fold_ns: now_ns,
            last_commit_ns: now_ns,
            grace_until_ns: (recovered.grace_s > 0).then(|| now_ns + recovered.grace_s * 1_000_000_000),
        })
    }

    /// The thread's life: commits and folds until the intake is closed, then leaves everything folded.
    ///
    /// # Errors
    /// The journal has failed. Nothing after the last raised watermark was acknowledged, and everybody has been told.
    pub fn run(mut self) -> Result<(), JournalError> {
        let end = self.work().and_then(|()| self.finish());
        if end.is_err() {
            self.intake.fail();
            self.workers.wake_all();
        }
        end
    }

    /// Commits what all cores have handed over; false if there was nothing, or no room.
    ///
    /// # Errors
    /// The journal has failed.
    pub fn commit(&mut self) -> Result<bool, JournalError> {
        self.intake.pulse().work(); // here, since a copy that takes long commits between its slices
        if !self.journal.room().fits(COMMIT_BYTES) {
            return Ok(false);
        }
        let (changes, probe) = self.gather();
        if changes == 0 && !probe {
            return Ok(false);
        }
        let began_ns = clock::now_ns();
        if changes == 0 {
            self.journal.probe()?;
        } else {
            self.number += 1;
            self.journal.append(&Commit { number: self.number, mark: self.mark, records: &self.records })?;
        }
        let now_ns = clock::now_ns();
        self.last_commit_ns = now_ns;
        for (core, last) in self.lasts.iter_mut().enumerate() {
            if *last != 0 {
                self.intake.watermark(core).raise(*last);
                *last = 0;
            }
        }
        self.workers.wake_waiting();
        self.metrics.committed(changes, now_ns.saturating_sub(began_ns));
        self.note_room();
        if changes > 0 {
            // Behind the wake-ups: the clients' answers are on their way while the rows are looked after.
            let what = |e| JournalError::Corrupt(format!("commit {}, written just now: {e}", self.number));
            self.dirty.absorb(self.number, now_ns, &self.records).map_err(what)?;
        }
        self.journal.tidy()?;
        Ok(true)
    }

    /// Folds one slice of the rows that fell behind at `until_ns` or before; false if there was nothing to do.
    ///
    /// # Errors
    /// The journal has failed.
    pub fn fold(&mut self, until_ns: u64) -> Result<bool, JournalError> {
        if self.dirty.oldest_ns().is_none_or(|oldest| oldest > until_ns) {
            return Ok(false);
        }
        let began_ns = clock::now_ns();
        let slice = self.dirty.slice(until_ns, SLICE_ROWS, SLICE_NAMES, self.number);
        self.journal.fold(&slice.rows, self.mark, slice.through)?;
        self.last_fold_ns = clock::now_ns();
        self.metrics.folded(slice.rows.len(), self.last_fold_ns.saturating_sub(began_ns));
        self.note_room();
        self.journal.tidy()?;
        Ok(true)
    }

    fn work(&mut self) -> Result<(), JournalError> {
        self.note_room();
        while !self.intake.is_closing() {
            let committed = self.commit()?;
            self.end_grace(clock::now_ns())?;
            if let Some(copy) = self.run_an_errand()? {
                self.copy(copy)?;
            }
            if self.fold_is_due() && self.fold(self.fold_horizon_ns())? {
                continue;
            }
            if !committed || self.intake.is_empty() {
                self.sleep(u64::MAX);
            }
            self.gather_patience();
        }
        Ok(())
    }

    fn note_room(&self) {
        let Room { used, capacity, used_bytes, capacity_bytes } = self.journal.room();
        self.metrics.room(used, capacity, used_bytes, capacity_bytes);
    }

    /// Notes that the grace of a restored backup has run its time. A crash before it makes the next start wait in full.
    fn end_grace(&mut self, now_ns: u64) -> Result<(), JournalError> {
        if self.grace_until_ns.is_some_and(|until_ns| until_ns <= now_ns) {
            self.journal.end_grace()?;
            self.grace_until_ns = None;
        }
        Ok(())
    }

    /// Runs the oldest errand, if there is one: one between two commits, so that errands hold nobody up. A copy takes
    /// many commits' time, and is given back.
    ///
    /// # Errors
    /// The journal has failed.
    pub fn run_an_errand(&mut self) -> Result<Option<CopyErrand>, JournalError> {
        match self.intake.take_errand() {
            None => {}
            Some(Errand::Copy { to, progress, reply }) => return Ok(Some(CopyErrand { to, progress, reply })),
            Some(Errand::Users { from, reply }) => {
                let _ = reply.try_send(self.journal.users(from, USERS_AT_ONCE)?); // whoever asked may have gone
            }
            Some(Errand::Account { errand, reply }) => {
                let found = self.journal.holder(&errand.whose)?;
                let answer = match decide(&errand, found) {
                    Ok(change) => Ok((self.journal.change_account(&change)?, change)),
                    Err(refusal) => Err(refusal),
                };
                let _ = reply.try_send(answer); // as above
                self.journal.tidy()?;
            }
        }
        Ok(None)
    }

    /// Copies everything, and between two slices does what else there is to do.
    fn copy(&mut self, CopyErrand { to, progress, reply }: CopyErrand) -> Result<(), JournalError> {
        let Some(source) = self.journal.source() else {
            let _ = reply.try_send(Copied::Failed("this journal has no backups".to_owned()));
            return Ok(());
        };
        let copied = source.copy(&to, &mut |pages| {
            if matches!(progress.try_send(pages), Err(TrySendError::Disconnected(_))) {
                return Ok(false);
            }
            let pause_ns = if pages.done < pages.total { COPY_PAUSE_NS } else { 0 };
            self.work_between_slices(clock::now_ns() + pause_ns)
        })?;
        let _ = reply.try_send(copied); // as above
        Ok(())
    }

    /// What [`Writer::work`] does, once and then until `until_ns`; false if it is time to stop.
    fn work_between_slices(&mut self, until_ns: u64) -> Result<bool, JournalError> {
        while !self.intake.is_closing() {
            let committed = self.commit()?;
            self.end_grace(clock::now_ns())?;
            if let Some(another) = self.run_an_errand()? {
                let _ = another.reply.try_send(Copied::Failed("another copy is being made".to_owned()));
            }
            if self.fold_is_due() {
                self.fold(self.fold_horizon_ns())?;
            }
            if clock::now_ns() >= until_ns {
                return Ok(true);
            }
            if !committed || self.intake.is_empty() {
                self.sleep(until_ns);
            }
            self.gather_patience();
        }
        Ok(false)
    }

    fn finish(&mut self) -> Result<(), JournalError> {
        while self.commit()? {}
        // What is left behind here is folded after the next start: the journal is as good as the rows.
        let until_ns = clock::now_ns() + FINISH_NS;
        while clock::now_ns() < until_ns && self.fold(u64::MAX)? {}
        self.journal.close()
    }

    /// Moves the waiting batches into `records` and `lasts`; counts their changes, and says whether somebody probes.
    fn gather(&mut self) -> (u32, bool) {
        self.records.clear();
        let (mut changes, mut probe) = (0, false);
        for core in 0..self.intake.cores() {
            while self.records.len() + BATCH_BYTES <= COMMIT_BYTES
                && let Some(batch) = self.intake.take(core)
            {
                self.records.extend_from_slice(&batch.records);
                self.lasts[core] = batch.last;
                self.mark = self.mark.max(batch.mark);
                changes += batch.changes;
                probe |= batch.probe;
                self.intake.give_back(core, batch.records);
            }
        }
        (changes, probe)
    }

    /// How many quarters of the journal are used: 0 to 4.
    fn quarters_full(&self) -> usize {
        (self.journal.room().fraction() * 4.0) as usize
    }

    fn fold_is_due(&self) -> bool {
        clock::now_ns() >= self.next_fold_ns()
    }

    /// When there may be a fold again.
    fn next_fold_ns(&self) -> u64 {
        let after_pause_ns = self.last_fold_ns + FOLD_PAUSE_NS.get(self.quarters_full()).unwrap_or(&0);
        match self.dirty.are_behind(FOLD_AT_ONCE, self.fold_horizon_ns()) {
            true => after_pause_ns.min(self.last_commit_ns + IDLE_NS),
            false => after_pause_ns,
        }
    }

    /// Rows that fell behind before this are to be folded: the young ones only when the journal fills up.
    fn fold_horizon_ns(&self) -> u64 {
        if self.quarters_full() >= 2 { u64::MAX } else { clock::now_ns().saturating_sub(FOLD_AFTER_NS) }
    }

    /// Sleeps until a batch comes, or the next row is due, or it is `until_ns`.
    fn sleep(&mut self, until_ns: u64) {
        self.journal.survey();
        let gate = self.intake.gate();
        gate.doze(false);
        if self.intake.is_empty() && !self.intake.is_closing() {
            let due_ns = |oldest: u64| (oldest + FOLD_AFTER_NS).max(self.next_fold_ns());
            let due_ns = self.dirty.oldest_ns().map_or(u64::MAX, due_ns).min(until_ns);
            let pause_us = due_ns.saturating_sub(clock::now_ns()) / 1_000 + 1;
            self.intake.pulse().rest();
            gate.bell().wait(pause_us.min(60_000_000));
            self.intake.pulse().work();
        }
        gate.rouse();
    }

    /// Waits for the workers to fall asleep, so that the commit is as large as it can be without making anybody wait.
    fn gather_patience(&self) {
        let until_ns = clock::now_ns() + PATIENCE_US * 1_000;
        while !self.workers.all_asleep() {
            let left_ns = until_ns.saturating_sub(clock::now_ns());
            if left_ns == 0 || self.intake.is_closing() {
                return;
            }
            if self.intake.cores() == 1 {
                std::thread::yield_now();
            } else {
                self.intake.gate().doze(false);
                if !self.workers.all_asleep() {
                    self.intake.gate().bell().wait(left_ns / 1_000);
                }
                self.intake.gate().rouse();
            }
        }
    }
}

#[cfg(test)]
#[path = "writer_tests.rs"]
mod tests;
