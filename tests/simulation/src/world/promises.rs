//! What must be true: one function for each promise. Each panics with a text that begins with the promise's name.

use std::collections::{BTreeMap, BTreeSet};

use crate::journal::{Disk, Journal, MemoryJournal, Recovered, Row};
use crate::lease::{Change, Denied, Op, Outcome, UserId};
use crate::quota::Quota;
use crate::shard::Page;

use super::clients::Request;
use super::disk;
use super::oracle::{Copy, Oracle};

/// A lease that its client may believe in is the one live lease of its lock: no other, and no earlier end.
pub fn every_lease_lasts_and_excludes(oracle: &Oracle, now_ns: u64, live: impl Fn(&str) -> Vec<(u64, u64)>) {
    for name in &oracle.names {
        assert!(live(name).len() <= 1, "exclusion: {name} is live on two cores");
    }
    for (name, until_ns) in oracle.forgotten.iter().filter(|(_, until_ns)| *until_ns > now_ns) {
        let (name, live) = (&oracle.names[*name], live(&oracle.names[*name]));
        assert!(live.is_empty(), "restore: {name} is granted, and a lease of before lasts until {until_ns}");
    }
    for attempt in &oracle.attempts {
        let (Some(token), until_ns) = (attempt.token, attempt.until_ns()) else { continue };
        if attempt.over || until_ns <= now_ns {
            continue;
        }
        let (name, client) = (&oracle.names[attempt.name], attempt.client);
        match live(name)[..] {
            [(its, deadline_ns)] if its == token => {
                assert!(deadline_ns >= until_ns, "no early end: {name} of client {client} ends before its TTL");
            }
            [(other, _)] => panic!("exclusion: client {client} holds {name} with token {token}, and so does {other}"),
            _ => panic!("no early end: client {client} holds {name} with token {token}, and it is free"),
        }
    }
}

/// A change follows from the state before it: one lease at a time, and only a held lock is extended or given up.
pub fn changes_follow_from_what_was(before: Option<&Row>, change: &Change<'_>) {
    let follows = match change {
        Change::Granted(_) => before.is_none(),
        Change::Extended(record) => before
            .is_some_and(|row| (row.token, row.lease_id, row.user) == (record.token, record.lease_id, record.user)),
        Change::Gone { .. } => before.is_some(),
    };
    assert!(follows, "one order: after {before:?} on disk comes {change:?}");
}

/// A token is higher than all before it on its lock, and nobody else's.
pub fn tokens_rise(all: &BTreeSet<u64>, states: &[Option<Row>], token: u64) {
    assert!(!all.contains(&token), "tokens: {token} was given out twice");
    let highest = states.iter().flatten().map(|row| row.token.get()).max().unwrap_or(0);
    assert!(token > highest, "tokens: {token} comes after {highest} on the same lock");
}

/// What is stored says of every token on disk that it has been minted.
pub fn the_mark_covers_the_tokens(all: &BTreeSet<u64>, mark: u64) {
    let highest = all.last().copied().unwrap_or(0);
    assert!(mark >= highest, "tokens: the mark is {mark}, but {highest} has been given out");
}

/// A start finds exactly what was committed: every acknowledged change, and of the others none by half.
pub fn recovery_finds_what_was_committed(committed: &BTreeMap<&str, &Row>, recovered: &Recovered) {
    let found: BTreeMap<&str, &Row> = recovered.locks.iter().map(|row| (&*row.name, row)).collect();
    assert!(found.len() == recovered.locks.len(), "recovery: a lock was found twice");
    for (name, row) in committed {
        let its = found.get(name);
        assert!(its == Some(row), "recovery: of {name} it finds {its:?}, but committed was {row:?}");
    }
    let more = found.keys().find(|name| !committed.contains_key(*name));
    assert!(more.is_none(), "recovery: it finds {more:?}, which was given up");
}

/// A backup holds what was durable when its last slice was copied, and nothing of what came later: one state, not a mixture of several.
pub fn a_backup_is_one_state(copied: &Copy, backup: &Recovered) {
    let (its, last) = (backup.last_commit, copied.last_commit);
    assert!(its == last, "backups: its last commit is {its}, but {last} was the last at its end");
    let committed = copied.locks.iter().map(|(name, row)| (&**name, row)).collect();
    recovery_finds_what_was_committed(&committed, backup);
    the_mark_covers_the_tokens(&copied.tokens, backup.mark);
}

/// The same of the disk as it is now, in the middle of everything.
pub fn what_is_stored_is_what_was_committed(stored: &Disk) {
    let recovered = MemoryJournal::on(&stored.image()).recover();
    let recovered = recovered.unwrap_or_else(|error| panic!("recovery: the disk would be refused: {error}"));
    disk::with_fleet(|fleet| fleet.oracle.recovered(&recovered));
}

/// An answer fits a state that was durable when the client read it, and not superseded when it asked. So
/// nothing is shown that a crash can undo, and nothing is renewed or granted again after an end that was on disk.
pub fn an_answer_fits_a_durable_state(
    oracle: &Oracle,
    request: &Request,
    name: usize,
    op: &Op<Box<str>>,
    outcome: &Outcome,
) {
    let states = &oracle.states[name];
    let floor = request.floors[name];
    let user = request.user;
    let fits = |at: usize| {
        let row = states[at].as_ref();
        match outcome {
            Outcome::Acquired { lease_id, token, ttl, metadata, .. } => row.is_some_and(|row| {
                (row.lease_id, row.token, row.user) == (*lease_id, *token, user)
                    && row.ttl >= *ttl
                    && row.metadata == *metadata
            }),
            Outcome::Renewed { lease_id, token, ttl, .. } => row
                .is_some_and(|row| (row.lease_id, row.token, row.user) == (*lease_id, *token, user) && row.ttl >= *ttl),
            Outcome::Held { holder, token, metadata, .. } => {
                row.is_some_and(|row| (row.user, row.token) == (*holder, *token) && row.metadata == *metadata)
            }
            Outcome::Released { lease_id } => {
                at > floor && row.is_none() && states[at - 1].as_ref().is_some_and(|row| row.lease_id == *lease_id)
            }
            // Who is over the limit is told that the lock is free, too: held would have been answered first.
            Outcome::Free | Outcome::Denied(Denied::NotFound | Denied::LimitReached | Denied::GracePeriod { .. }) => {
                row.is_none()
            }
            Outcome::Denied(Denied::NotCurrent) => row.is_some_and(|row| !is_current(row, user, op)),
            Outcome::Denied(Denied::TokensExhausted) => false,
        }
    };
    let shown = (floor..states.len()).any(fits);
    assert!(
        shown,
        "durable before shown: client {} reads {outcome:?}, but from its request on the disk says {:?}",
        request.client,
        &states[floor..]
    );
}

/// A list shows of each lock a state as above, and counts as many as it shows, but for what came and went while it was made in parts.
pub fn a_list_fits_durable_states(oracle: &Oracle, request: &Request, pages: &[Page]) {
    let rows: Vec<_> = pages.iter().flat_map(|page| &page.rows).collect();
    let total: usize = pages.iter().map(|page| page.total).sum();
    let changes: usize =
        oracle.states.iter().zip(&request.floors).map(|(states, floor)| states.len() - 1 - floor).sum();
    assert!(
        total.abs_diff(rows.len()) <= changes,
        "lists: {total} locks are counted, {} are shown, and there were {changes} changes meanwhile",
        rows.len()
    );
    for (index, name) in oracle.names.iter().enumerate() {
        let listed: Vec<_> = rows.iter().filter(|row| *row.name == **name).collect();
        let shows = |state: &Option<Row>| {
            let own = state.as_ref().filter(|row| row.user == request.user);
            match (&listed[..], own) {
                ([], None) => true,
                ([row], Some(own)) => {
                    (row.lease_id, row.token, &row.metadata) == (own.lease_id, own.token, &own.metadata)
                }
                _ => false,
            }
        };
        let states = &oracle.states[index][request.floors[index]..];
        assert!(states.iter().any(shows), "lists: of {name} it shows {listed:?}, but the disk says {states:?}");
    }
}

/// The count that limits a user is the number of its live locks.
pub fn counts_are_right(live: &[u32], quota: &Quota) {
    for (user, live) in live.iter().enumerate() {
        let count = quota.count(user);
        assert!(count == *live, "counts: user {user} has {live} live locks, and {count} are counted");
    }
}

/// When nothing is held, nothing is stored but the mark.
pub fn the_disk_is_empty(stored: &Disk) {
    let recovered = MemoryJournal::on(&stored.image()).recover().expect("a disk that can be read");
    assert!(recovered.locks.is_empty(), "leak: rows of locks that nobody holds: {:?}", recovered.locks);
    assert!(recovered.tail.is_empty(), "leak: {} commits are never trimmed", recovered.tail.len());
}

fn is_current(row: &Row, user: UserId, op: &Op<Box<str>>) -> bool {
    match op {
        Op::Renew { lease_id, .. } | Op::Release { lease_id } => row.lease_id == *lease_id && row.user == user,
        Op::Acquire { .. } | Op::Status => false,
    }
}
