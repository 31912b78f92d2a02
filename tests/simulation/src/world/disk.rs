//! The disk, and what goes on while it works.
//!
//! The shipping `MemoryJournal` keeps what survives. Around it: before a call takes effect, after it, and before those who
//! wait are woken, the cores take some steps, as they do beside the journal's thread; and there the process may die. What a
//! commit or a fold has done is told to the oracle at the moment from which a crash cannot undo it.

use std::cell::{Cell, RefCell};
use std::path::Path;
use std::rc::Rc;

use crate::corners;
use crate::journal::{
    Account, AccountChange, Commit, Copied, Disk, Holder, Journal, JournalError, MemoryJournal, Pages, Recovered, Room,
    RowChange, Source, TokenHash, Whose, Workers,
};
use crate::lease::UserId;
use crate::mesh::Mesh;
use crate::sync::{self, Arc};

use super::fleet::Fleet;
use super::promises;

/// What becomes of the next call that writes.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    Goes,
    /// The process dies before it has any effect.
    DiesBefore,
    /// The process dies between the effect and the return.
    DiesAfter,
}

thread_local! {
    static FLEET: RefCell<Option<Rc<RefCell<Fleet>>>> = const { RefCell::new(None) };
    /// What it is, and how many calls come before.
    static FATE: Cell<(Fate, u64)> = const { Cell::new((Fate::Goes, 0)) };
    /// A slice of a backup was copied, and not the last one.
    static COPYING: Cell<bool> = const { Cell::new(false) };
}

/// Whose steps go on meanwhile.
pub fn set_fleet(fleet: Option<Rc<RefCell<Fleet>>>) {
    FLEET.set(fleet);
    set_fate(Fate::Goes);
    sync::set_while_waiting(|timeout_us| with_fleet(|fleet| fleet.while_the_journal_waits(timeout_us)));
}

pub fn set_fate(fate: Fate) {
    set_fate_after(0, fate);
}

/// The fate of the call that writes after so many others.
pub fn set_fate_after(calls: u64, fate: Fate) {
    FATE.set((fate, calls));
}

/// The fate of the next call.
pub fn fate() -> Fate {
    let (fate, calls) = FATE.get();
    if calls == 0 { fate } else { Fate::Goes }
}

/// One run of the process on the disk.
pub struct SlowJournal {
    disk: Disk,
    inner: MemoryJournal,
}

impl SlowJournal {
    pub fn on(disk: &Disk) -> SlowJournal {
        SlowJournal { disk: disk.clone(), inner: MemoryJournal::on(disk) }
    }

    fn write(
        &mut self,
        work: impl FnOnce(&mut MemoryJournal) -> Result<(), JournalError>,
        done: impl FnOnce(&mut Fleet),
    ) -> Result<(), JournalError> {
        with_fleet(Fleet::meanwhile);
        let fate = fate();
        if fate == Fate::DiesBefore {
            corners::met("the process dies before a write");
            return Err(JournalError::Failed("the process dies before the write".to_owned()));
        }
        work(&mut self.inner)?;
        with_fleet(done);
        promises::what_is_stored_is_what_was_committed(&self.disk);
        with_fleet(Fleet::meanwhile);
        if fate == Fate::DiesAfter {
            corners::met("the process dies after a write");
            return Err(JournalError::Failed("the process dies after the write".to_owned()));
        }
        let (later, calls) = FATE.get();
        set_fate_after(calls.saturating_sub(1), later);
        Ok(())
    }
}

impl Journal for SlowJournal {
    fn recover(&mut self) -> Result<Recovered, JournalError> {
        self.inner.recover()
    }

    fn accounts(&mut self, wanted: &[(&str, &str)]) -> Result<Vec<Account>, JournalError> {
        self.inner.accounts(wanted)
    }

    fn tokens(&mut self) -> Result<Vec<(TokenHash, UserId)>, JournalError> {
        self.inner.tokens()
    }

    fn users(&mut self, from: UserId, most: usize) -> Result<Vec<(Account, u32)>, JournalError> {
        self.inner.users(from, most)
    }

    fn holder(&mut self, whose: &Whose) -> Result<Option<Holder>, JournalError> {
        self.inner.holder(whose)
    }

    fn change_account(&mut self, change: &AccountChange) -> Result<Account, JournalError> {
        self.inner.change_account(change)
    }

    fn append(&mut self, commit: &Commit<'_>) -> Result<(), JournalError> {
        if COPYING.get() {
            corners::met("a commit comes between two slices of a backup");
        }
        self.write(|journal| journal.append(commit), |fleet| fleet.oracle.committed(commit))
    }

    fn fold(&mut self, rows: &[RowChange], mark: u64, through: u64) -> Result<(), JournalError> {
        if COPYING.get() {
            corners::met("a fold comes between two slices of a backup");
        }
        self.write(|journal| journal.fold(rows, mark, through), |fleet| fleet.oracle.folded(rows, through))
    }

    fn room(&self) -> Room {
        let room = self.inner.room();
        if room.used == room.capacity {
            corners::met("the journal is full");
        }
        room
    }

    fn probe(&mut self) -> Result<(), JournalError> {
        self.write(Journal::probe, |_| {})
    }

    fn end_grace(&mut self) -> Result<(), JournalError> {
        self.inner.end_grace()
    }

    fn source(&self) -> Option<Box<dyn Source>> {
        self.inner.source().map(|source| Box::new(SlowSource(source)) as Box<dyn Source>)
    }

    fn close(&mut self) -> Result<(), JournalError> {
        self.inner.close()
    }
}

/// What a backup is copied from.
struct SlowSource(Box<dyn Source>);

impl Source for SlowSource {
    fn copy(
        &self,
        to: &Path,
        between: &mut dyn FnMut(Pages) -> Result<bool, JournalError>,
    ) -> Result<Copied, JournalError> {
        let copied = self.0.copy(to, &mut |pages| {
            COPYING.set(pages.done < pages.total);
            if pages.done == pages.total {
                // The moment that the backup shows: what comes from here on is not in it.
                with_fleet(|fleet| fleet.oracle.copied());
            }
            with_fleet(Fleet::meanwhile);
            between(pages)
        });
        COPYING.set(false);
        copied
    }
}

/// The workers, as the journal's thread knows them: they go on while it gets round to waking them.
pub struct Wakers(pub Arc<Mesh>);

impl Workers for Wakers {
    fn all_asleep(&self) -> bool {
        self.0.all_asleep()
    }

    fn wake_waiting(&self) {
        with_fleet(Fleet::meanwhile);
        self.0.wake_waiting();
    }

    fn wake_all(&self) {
        with_fleet(Fleet::meanwhile);
        self.0.wake_all();
    }
}

pub fn with_fleet<T>(work: impl FnOnce(&mut Fleet) -> T) -> T {
    let fleet = FLEET.with_borrow(|fleet| fleet.clone()).expect("a world is running");
    work(&mut fleet.borrow_mut())
}
