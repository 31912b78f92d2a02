//! A walk over a user's locks in bounded steps, for lists: a user may hold a million.
//!
//! The locks of a user are in no order, so a page needs a look at each of them. Between two steps locks come and go.
//! A user's places are kept dense: when a lock goes, the *last* one moves to its place. So the walk goes from the last
//! place to the first: what moves into the part that is still to come was seen already, and is seen twice at worst, while a
//! lock that is held from the first step to the last is never missed. What came after the first step is not
//! looked for. So each row was true at one moment of the walk, and the total may be off by what came and went in it.

use std::collections::BTreeMap;

use super::LockName;
use super::command::{Listed, UserId};

/// A walk under way, and what it has found.
#[derive(Debug)]
pub struct Scan {
    /// Whose locks.
    pub user: UserId,
    prefix: String,
    after: Option<String>,
    most: usize,
    /// Places not looked at yet; None before the first step.
    pub(super) left: Option<usize>,
    found: BTreeMap<LockName, Listed>,
    total: usize,
}

impl Scan {
    /// The user's locks whose names begin with `prefix` and come after `after`, by name, the first `most`; and how many
    /// begin with `prefix` in all.
    pub fn new(user: UserId, prefix: &str, after: Option<&str>, most: usize) -> Scan {
        let (prefix, after) = (prefix.to_owned(), after.map(str::to_owned));
        Scan { user, prefix, after, most, left: None, found: BTreeMap::new(), total: 0 }
    }

    /// Looks at one lock; `row` makes its row.
    pub(super) fn see(&mut self, name: &LockName, row: impl FnOnce() -> Listed) {
        if !name.starts_with(&*self.prefix) {
            return;
        }
        self.total += 1;
        let beyond =
            || self.found.len() >= self.most && self.found.last_key_value().is_some_and(|(last, _)| last < name);
        if self.after.as_deref().is_some_and(|after| **name <= *after) || beyond() {
            return;
        }
        self.found.insert(name.clone(), row());
        if self.found.len() > self.most {
            self.found.pop_last();
        }
    }

    /// What was found: the rows by name, and how many begin with the prefix.
    pub fn found(&mut self) -> (Vec<Listed>, usize) {
        (std::mem::take(&mut self.found).into_values().collect(), self.total)
    }
}
