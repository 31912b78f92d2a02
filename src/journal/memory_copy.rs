//! What a disk in memory holds, and a backup of it: made in slices, as SQLite makes one (see `backup.rs`).
//!
//! What is stored is taken as pages, in an order that never changes: what there is one of, then each row, then each slot. A slice
//! copies the next few. Whoever then changes a page that has been copied changes it in the copy as well, so the copy
//! shows the moment of its last slice, whatever came in between.

use std::collections::BTreeMap;
use std::ops::Bound::{Excluded, Unbounded};
use std::path::{Path, PathBuf};

use super::accounts::{Account, TokenHash};
use super::backup::{Copied, Pages, Source};
use super::memory::Disk;
use super::recovery::{Meta, Stored};
use super::{JournalError, Row};
use crate::lease::{LockName, UserId};

/// Pages copied at once.
const SLICE_PAGES: usize = 64;

/// What is stored.
#[derive(Clone, Debug, Default)]
pub(super) struct Held {
    pub meta: Meta,
    pub slots: BTreeMap<u64, Stored>,
    pub rows: BTreeMap<LockName, Row>,
    pub accounts: Vec<Account>,
    /// In the order in which they were issued.
    pub tokens: Vec<(TokenHash, UserId)>,
}

/// A part of it that is written at once. In the order in which they are copied.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Page {
    Meta,
    /// All accounts with their tokens.
    Accounts,
    Row(LockName),
    Slot(u64),
}

/// A copy under way.
#[derive(Debug, Default)]
pub(super) struct Copying {
    held: Held,
    /// The last page that was copied.
    last: Option<Page>,
    done: u64,
}

impl Held {
    /// The page after this one, if there is one.
    fn next(&self, last: Option<&Page>) -> Option<Page> {
        let row = |row: Option<(&LockName, &Row)>| row.map(|(name, _)| Page::Row(name.clone()));
        let slot = |from| self.slots.range(from..).next().map(|(slot, _)| Page::Slot(*slot));
        match last {
            None => Some(Page::Meta),
            Some(Page::Meta) => Some(Page::Accounts),
            Some(Page::Accounts) => row(self.rows.first_key_value()).or_else(|| slot(0)),
            Some(Page::Row(name)) => {
                row(self.rows.range((Excluded(name.clone()), Unbounded)).next()).or_else(|| slot(0))
            }
            Some(Page::Slot(last)) => slot(last + 1),
        }
    }

    /// Makes a page what it is in `other`.
    fn take(&mut self, page: &Page, other: &Held) {
        match page {
            Page::Meta => self.meta = other.meta,
            Page::Accounts => {
                self.accounts.clone_from(&other.accounts);
                self.tokens.clone_from(&other.tokens);
            }
            Page::Row(name) => match other.rows.get(name) {
                Some(row) => _ = self.rows.insert(name.clone(), row.clone()),
                None => _ = self.rows.remove(name),
            },
            Page::Slot(slot) => match other.slots.get(slot) {
                Some(stored) => _ = self.slots.insert(*slot, stored.clone()),
                None => _ = self.slots.remove(slot),
            },
        }
    }
}

impl Copying {
    /// Copies the next slice; true if it was the last one.
    fn slice(&mut self, held: &Held) -> bool {
        for _ in 0..SLICE_PAGES {
            let Some(page) = held.next(self.last.as_ref()) else { return true };
            self.held.take(&page, held);
            self.last = Some(page);
            self.done += 1;
        }
        held.next(self.last.as_ref()).is_none()
    }

    /// A page was changed in what is copied: in the copy, too, if it is there.
    pub fn follow(&mut self, page: &Page, held: &Held) {
        if self.last.as_ref().is_some_and(|last| page <= last) {
            self.held.take(page, held);
        }
    }
}

/// A disk that a journal goes on to use.
pub(super) struct Slices(pub Disk);

impl Source for Slices {
    fn copy(
        &self,
        to: &Path,
        between: &mut dyn FnMut(Pages) -> Result<bool, JournalError>,
    ) -> Result<Copied, JournalError> {
        let copied = self.copy_slices(to, between);
        self.0.content().copying = None;
        copied
    }
}

impl Slices {
    fn copy_slices(
        &self,
        to: &Path,
        between: &mut dyn FnMut(Pages) -> Result<bool, JournalError>,
    ) -> Result<Copied, JournalError> {
        if self.0.content().backups.contains_key(to) {
            return Ok(Copied::Failed(format!("{} cannot be made: it exists", to.display())));
        }
        self.0.content().copying = Some(Copying::default());
        loop {
            let (pages, whole) = self.slice();
            if !between(pages)? {
                return Ok(Copied::GivenUp);
            }
            if let Some(held) = whole {
                self.0.content().backups.insert(PathBuf::from(to), held);
                return Ok(Copied::Whole);
            }
        }
    }

    /// One slice; the copy, if that was the last one: what is written later is not in it.
    fn slice(&self) -> (Pages, Option<Held>) {
        let mut content = self.0.content();
        let content = &mut *content;
        let copying = content.copying.as_mut().expect("a copy is under way");
        let is_last = copying.slice(&content.held);
        let (done, total) = (copying.done, (2 + content.held.rows.len() + content.held.slots.len()) as u64);
        if is_last {
            let whole = content.copying.take().map(|copying| copying.held);
            return (Pages { done: total, total }, whole);
        }
        // Pages that were copied may be gone since.
        (Pages { done: done.min(total - 1), total }, None)
    }
}
