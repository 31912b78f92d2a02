//! What was acknowledged, and what was under way; and the judgement of what a start finds.

use std::collections::BTreeMap;

use octostore::journal::{GRACE_S, Inspected, Recovered, Row, TOKENS_A_SECOND, decode};
use octostore::lease::Change;

use super::Tally;
use crate::people::People;

/// What was acknowledged, and what was under way.
#[derive(Clone, Default)]
pub(super) struct Known {
    pub number: u64,
    pub mark: u64,
    pub locks: BTreeMap<String, Row>,
    /// The commit whose append has not returned: mark and records.
    pub under_way: Option<(u64, Vec<u8>)>,
    /// A fold may have raised the mark to this.
    pub mark_under_way: u64,
    pub people: People,
    /// The accounts as they are after the change that has not returned.
    pub people_under_way: Option<People>,
    /// After a restore, until its end is acknowledged.
    pub grace_s: u64,
    pub grace_ends: bool,
    /// The highest token minted.
    pub tokens: u64,
}

impl Known {
    /// Everything acknowledged is there; what was under way is there as a whole, or not at all.
    pub fn judge(&mut self, recovered: &Recovered, tally: &mut Tally) {
        let Known { number, mark, locks, under_way, mark_under_way, grace_s, grace_ends, .. } = self;
        let found = recovered.last_commit;
        if let Some((its_mark, records)) = under_way.take() {
            if found == *number + 1 {
                tally.unacknowledged_but_there += 1;
                replay(locks, &records);
                (*number, *mark) = (found, its_mark);
            } else {
                tally.unacknowledged_and_gone += 1;
            }
        }
        assert!(found == *number, "the last commit is {found}, but {number} was acknowledged");
        let highest = (*mark).max(*mark_under_way);
        let its = recovered.mark;
        assert!((*mark..=highest).contains(&its), "the mark is {its}, but {mark} was acknowledged");
        *mark = its;
        *mark_under_way = 0;
        let its = recovered.grace_s;
        assert!(its == *grace_s || (its == 0 && *grace_ends), "the grace period is {its} s, but {grace_s} s are due");
        (*grace_s, *grace_ends) = (its, false);
        let stored: BTreeMap<String, &Row> = recovered.locks.iter().map(|row| (row.name.to_string(), row)).collect();
        assert!(stored.len() == recovered.locks.len(), "a lock was found twice");
        for (name, row) in &*locks {
            assert!(
                stored.get(name) == Some(&row),
                "of {name} it finds {:?}, acknowledged is {row:?}",
                stored.get(name)
            );
        }
        let more = stored.keys().find(|name| !locks.contains_key(*name));
        assert!(more.is_none(), "it finds {more:?}, which was given up");
    }

    /// The same of accounts and tokens.
    pub fn judge_people(&mut self, found: People, tally: &mut Tally) {
        let under_way = self.people_under_way.take();
        if let Some(after) = &under_way {
            if found.are(after) {
                tally.account_changes_but_there += 1;
                self.people = found;
                return;
            }
            tally.account_changes_and_gone += 1;
        }
        let known = &self.people;
        assert!(found == *known, "accounts or tokens are others: found {found:?}, acknowledged {known:?}");
    }

    /// This and nothing else is what a file holds.
    pub fn is_held_by(&self, Inspected { recovered, accounts, tokens }: &Inspected) {
        assert_eq!(recovered.last_commit, self.number, "of the file: its last commit");
        assert_eq!(recovered.mark, self.mark, "of the file: its mark");
        assert_eq!(recovered.grace_s, self.grace_s, "of the file: its grace period");
        assert!(recovered.locks.iter().eq(self.locks.values()), "its locks are others: {:?}", recovered.locks);
        let people = accounts.iter().zip(tokens.iter().map(|count| *count as usize));
        let known = self.people.0.iter().map(|(account, tokens)| (account, tokens.len()));
        assert!(people.eq(known), "its accounts are others: {accounts:?}");
    }

    /// What is known once this is restored from a backup at `now_s` by the wall clock, `minted` being the highest token of before.
    pub fn restored(&self, now_s: u64, minted: u64) -> Known {
        let mark = now_s * TOKENS_A_SECOND;
        assert!(mark >= minted, "the mark is {mark} after a restore, but {minted} was minted");
        let people = self.people.clone();
        Known { number: self.number, mark, tokens: mark, people, grace_s: GRACE_S, ..Known::default() }
    }
}

pub(super) fn replay(locks: &mut BTreeMap<String, Row>, records: &[u8]) {
    for change in decode(records) {
        match change.expect("sound records") {
            Change::Granted(record) | Change::Extended(record) => {
                locks.insert(record.name.to_owned(), Row::from(&record));
            }
            Change::Gone { name } => _ = locks.remove(name),
        }
    }
}
