//! The journal in memory: the contract without a disk, for simulation.
//!
//! A [`Disk`] is what survives. A [`MemoryJournal`] is one run of the process on it: opening the disk
//! again is a crash and a restart, after which the earlier run's journal only fails. A call can be made
//! to fail before or after it takes effect, which is all that a caller can ever see of a broken disk.
//!
//! Commits are kept encoded, in slots, with checksums, and recovery is the very code that reads the
//! database: a simulated crash replays through it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use uuid::Uuid;

use super::accounts::{Account, AccountChange, Holder, TokenHash, Whose};
use super::memory_copy::{Copying, Held, Page, Slices};
use super::recovery::{self, Stored, checksum};
use super::restore::restored;
use super::ring::{Limits, Ring};
use super::{Commit, Journal, JournalError, Recovered, Room, RowChange, Source};
use crate::lease::UserId;
use crate::sync::Arc;

/// A call that can be made to fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Call {
    /// [`Journal::accounts`].
    Accounts,
    /// [`Journal::change_account`].
    ChangeAccount,
    /// [`Journal::append`].
    Append,
    /// [`Journal::fold`].
    Fold,
    /// [`Journal::probe`].
    Probe,
}

/// What a call that fails has done to the disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Nothing.
    Nothing,
    /// Everything: the crash came after the sync, before the return.
    Whole,
}

/// What survives a crash. A clone is the same disk.
#[derive(Clone, Debug)]
pub struct Disk {
    stored: Arc<Mutex<Content>>,
}

#[derive(Debug)]
pub(super) struct Content {
    limits: Limits,
    pub held: Held,
    /// The run that may write; earlier ones have crashed.
    run: u64,
    faults: Vec<(Call, Effect)>,
    pub copying: Option<Copying>,
    /// Copies that are whole, by the name of the file that they would be.
    pub backups: BTreeMap<PathBuf, Held>,
}

impl Disk {
    /// An empty disk.
    pub fn new(limits: Limits) -> Disk {
        Disk::holding(limits, Held::default())
    }

    fn holding(limits: Limits, held: Held) -> Disk {
        let (faults, backups) = (Vec::new(), BTreeMap::new());
        let content = Content { limits, held, run: 0, faults, copying: None, backups };
        Disk { stored: Arc::new(Mutex::new(content)) }
    }

    /// Makes the next `call` fail, having done `effect`, and the run with it: only another one can go on.
    pub fn fail_next(&self, call: Call, effect: Effect) {
        self.content().faults.push((call, effect));
    }

    /// The disk as it is now, apart from this one: what a copy or a backup holds.
    pub fn image(&self) -> Disk {
        let content = self.content();
        Disk::holding(content.limits, content.held.clone())
    }

    /// Takes the backup that was made under this name, if it is whole, as a disk.
    pub fn take_backup(&self, name: &Path) -> Option<Disk> {
        let mut content = self.content();
        let held = content.backups.remove(name)?;
        Some(Disk::holding(content.limits, held))
    }

    /// The disk of a server on which a backup of this one was restored, at `now_s` by the wall clock: what `octostore restore` makes of the file.
    ///
    /// # Errors
    /// The backup cannot be recovered, or its tokens are used up.
    pub fn restored(&self, with_grace: bool, now_s: u64) -> Result<Disk, JournalError> {
        let disk = self.image();
        let recovered = MemoryJournal::on(&disk).recover()?;
        let meta = restored(&recovered, with_grace, now_s)?;
        let mut content = disk.content();
        content.held.meta = meta;
        content.held.rows.clear();
        content.held.slots.clear();
        drop(content);
        Ok(disk)
    }

    pub(super) fn content(&self) -> MutexGuard<'_, Content> {
        // A caller that panicked, a failed test, has left whole values: nothing below panics between two writes.
        self.stored.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Content {
    /// The account of this name, made if there is none.
    fn account(&mut self, kind: &str, external_id: &str) -> &mut Account {
        let known = self.held.accounts.iter().position(|known| known.kind == kind && known.external_id == external_id);
        let at = known.unwrap_or_else(|| {
            let id = self.held.accounts.len() as u32;
            // Not random, so that a simulation is the same each time.
            let public_id = Uuid::from_u128(0x6f63_746f_0000_4000_8000_0000_0000_0000 + u128::from(id));
            let (kind, external_id) = (kind.to_owned(), external_id.to_owned());
            self.held.accounts.push(Account { id: UserId(id), public_id, kind, external_id, login: None });
            id as usize
        });
        &mut self.held.accounts[at]
    }

    /// A page was written: a copy under way is to know.
    fn wrote(&mut self, page: &Page) {
        if let Some(copying) = &mut self.copying {
            copying.follow(page, &self.held);
        }
    }
}

/// One run on a [`Disk`].
#[derive(Debug)]
pub struct MemoryJournal {
    disk: Disk,
    run: u64,
    ring: Ring,
}

impl MemoryJournal {
    /// A start on `disk`. If another journal was open on it, that one has crashed.
    pub fn on(disk: &Disk) -> MemoryJournal {
        let mut content = disk.content();
        content.run += 1;
        let run = content.run;
        drop(content);
        MemoryJournal { disk: disk.clone(), run, ring: Ring::unread() }
    }

    /// Does `work` on the disk, unless the run has crashed or the call is to fail.
    fn call<T>(
        &self,
        call: Option<Call>,
        work: impl FnOnce(&mut Content) -> Result<T, JournalError>,
    ) -> Result<T, JournalError> {
        let mut content = self.disk.content();
        if content.run != self.run {
            return Err(JournalError::Failed("this run of the journal has crashed".to_owned()));
        }
        let planned = content.faults.iter().position(|(planned, _)| Some(*planned) == call);
        let Some((_, effect)) = planned.map(|at| content.faults.remove(at)) else { return work(&mut content) };
        if effect == Effect::Whole {
            work(&mut content)?;
        }
        content.run += 1;
        Err(JournalError::Failed("the simulated disk has failed".to_owned()))
    }
}

impl Journal for MemoryJournal {
    fn recover(&mut self) -> Result<Recovered, JournalError> {
        let (recovered, ring) = self.call(None, |content| {
            let commits = recovery::untrimmed(content.held.meta, content.held.slots.values().cloned().collect())?;
            let live = commits.iter().map(|commit| (commit.slot, commit.records.len() as u64));
            let ring = Ring::new(content.limits, content.held.meta.last_commit, live);
            let rows = content.held.rows.values().cloned().map(Ok);
            Ok((recovery::replay(content.held.meta, commits, content.held.accounts.len(), rows)?, ring))
        })?;
        self.ring = ring;
        Ok(recovered)
    }

    fn accounts(&mut self, wanted: &[(&str, &str)]) -> Result<Vec<Account>, JournalError> {
        self.call(Some(Call::Accounts), |content| {
            for (kind, external_id) in wanted {
                content.account(kind, external_id);
            }
            content.wrote(&Page::Accounts);
            Ok(content.held.accounts.clone())
        })
    }

    fn tokens(&mut self) -> Result<Vec<(TokenHash, UserId)>, JournalError> {
        self.call(None, |content| Ok(content.held.tokens.clone()))
    }

    fn users(&mut self, from: UserId, most: usize) -> Result<Vec<(Account, u32)>, JournalError> {
        self.call(None, |content| {
            let tokens = |user: UserId| content.held.tokens.iter().filter(|(_, its)| *its == user).count() as u32;
            let accounts = content.held.accounts.iter().skip(from.0 as usize).take(most);
            Ok(accounts.map(|account| (account.clone(), tokens(account.id))).collect())
        })
    }

    fn holder(&mut self, whose: &Whose) -> Result<Option<Holder>, JournalError> {
        self.call(None, |content| {
            let user = match whose {
                Whose::Named { kind, external_id } => {
                    let is_it = |account: &&Account| account.kind == *kind && account.external_id == *external_id;
                    content.held.accounts.iter().find(is_it).map(|account| account.id)
                }
                Whose::Opened(token) => {
                    content.held.tokens.iter().find(|(hash, _)| hash == token).map(|(_, user)| *user)
                }
            };
            Ok(user.map(|user| Holder {
                account: content.held.accounts[user.0 as usize].clone(),
                tokens: content.held.tokens.iter().filter(|(_, its)| *its == user).map(|(hash, _)| *hash).collect(),
            }))
        })
    }

    fn change_account(&mut self, change: &AccountChange) -> Result<Account, JournalError> {
        self.call(Some(Call::ChangeAccount), |content| {
            let account = content.account(&change.account.kind, &change.account.external_id);
            if change.account.login.is_some() {
                account.login.clone_from(&change.account.login);
            }
            let account = account.clone();
            content.held.tokens.retain(|(hash, _)| !change.dropped.contains(hash));
            content.held.tokens.extend(change.added.map(|hash| (hash, account.id)));
            content.wrote(&Page::Accounts);
            Ok(account)
        })
    }

    fn append(&mut self, commit: &Commit<'_>) -> Result<(), JournalError> {
        let slot = self.ring.slot_for(commit)?;
        let Commit { number, mark, records } = *commit;
        self.call(Some(Call::Append), |content| {
            let stored = Stored { slot, number, mark, checksum: checksum(commit), records: records.to_vec() };
            let before = content.held.slots.insert(slot, stored);
            assert!(
                before.is_none_or(|before| before.number <= content.held.meta.trimmed_through),
                "slot {slot} holds a commit that is not trimmed"
            );
            content.held.meta.mark = content.held.meta.mark.max(mark);
            content.held.meta.last_commit = number;
            [Page::Slot(slot), Page::Meta].iter().for_each(|page| content.wrote(page));
            Ok(())
        })?;
        self.ring.appended(slot, records.len());
        Ok(())
    }

    fn fold(&mut self, rows: &[RowChange], mark: u64, through: u64) -> Result<(), JournalError> {
        self.ring.check_trim(through)?;
        self.call(Some(Call::Fold), |content| {
            let unknown = |change: &&RowChange| {
                matches!(change, RowChange::Put(row) if row.user.0 as usize >= content.held.accounts.len())
            };
            if let Some(change) = rows.iter().find(unknown) {
                return Err(JournalError::Failed(format!("the row names an account that is none: {change:?}")));
            }
            for change in rows {
                let name = match change {
                    RowChange::Put(row) => {
                        content.held.rows.insert(row.name.clone(), row.clone());
                        &row.name
                    }
                    RowChange::Delete(name) => {
                        content.held.rows.remove(name);
                        name
                    }
                };
                content.wrote(&Page::Row(name.clone()));
            }
            content.held.meta.mark = content.held.meta.mark.max(mark);
            content.held.meta.trimmed_through = content.held.meta.trimmed_through.max(through);
            content.wrote(&Page::Meta);
            Ok(())
        })?;
        self.ring.trimmed(through);
        Ok(())
    }

    fn room(&self) -> Room {
        self.ring.room()
    }

    fn probe(&mut self) -> Result<(), JournalError> {
        self.call(Some(Call::Probe), |_| Ok(()))
    }

    fn end_grace(&mut self) -> Result<(), JournalError> {
        self.call(None, |content| {
            content.held.meta.grace_s = 0;
            content.wrote(&Page::Meta);
            Ok(())
        })
    }

    fn source(&self) -> Option<Box<dyn Source>> {
        Some(Box::new(Slices(self.disk.clone())))
    }

    fn close(&mut self) -> Result<(), JournalError> {
        self.ring = Ring::unread();
        self.call(None, |content| {
            content.run += 1;
            Ok(())
        })
    }
}

#[cfg(test)]
#[path = "memory_tests.rs"]
mod tests;
