//! What the oracle knows: every durable state that every lock has had, and what every client was told.
//!
//! It learns of a state when the commit that holds it can no longer be undone. An answer is right if it fits some state
//! between two points: the newest one that was durable when the request was *sent* (a state that is durable has taken effect, so
//! what comes later cannot be answered from before it), and the newest one that is durable *now* (else a crash could undo
//! what was shown). This is linearizability with the journal's own order as its witness.
//!
//! Of each attempt at a lock it keeps how long its client may believe to hold it: from the sending of the last
//! confirmed request, and no longer than any request still under way may have shortened it to.

use std::collections::{BTreeMap, BTreeSet};

use uuid::Uuid;

use crate::corners;
use crate::hub::Unavailable;
use crate::journal::{Commit, Recovered, Row, RowChange, decode};
use crate::lease::{Change, Denied, Op, Outcome, Reply, Ttl};
use crate::mesh::Answered;
use crate::shard::Page;

use super::clients::{Request, Wanted};
use super::conns::Answer;
use super::promises;

pub struct Oracle {
    pub names: Vec<String>,
    pub users: usize,
    /// Of each name, its durable states, the first one free.
    pub states: Vec<Vec<Option<Row>>>,
    /// Every token of a durable grant.
    pub tokens: BTreeSet<u64>,
    /// What was ever asked for: name, lease, user; and the TTLs.
    asked: BTreeMap<(usize, Uuid, u32), BTreeSet<u16>>,
    pub attempts: Vec<Attempt>,
    /// Leases of before a restore, which their holders believe in: the lock, and until when.
    pub forgotten: Vec<(usize, u64)>,
    /// The number of the last commit.
    last_commit: u64,
    /// Commits up to this number have been trimmed.
    trimmed: u64,
    /// What the backup that is being made must hold, once its last slice is copied.
    backup: Option<Copy>,
    /// The newest request.
    last_sent: u64,
}

/// What is durable at some moment.
pub struct Copy {
    pub locks: BTreeMap<String, Row>,
    pub last_commit: u64,
    pub tokens: BTreeSet<u64>,
}

/// One client's attempt at one lock.
#[derive(Debug)]
pub struct Attempt {
    pub client: usize,
    pub name: usize,
    pub lease_id: Uuid,
    /// Its token, once it has been told.
    pub token: Option<u64>,
    /// Until when it was told to hold the lock, counted from when it asked.
    confirmed_ns: u64,
    /// Requests under way, and until when the lease lasts at least if that one comes last.
    open: Vec<(u64, u64)>,
    /// Likewise of requests whose answers are lost: until one is answered that was sent when they had taken effect, if
    /// ever. Each with the last request sent before that was sure.
    lost: Vec<(u64, u64)>,
    shortest: Ttl,
    /// Its release was asked for.
    pub over: bool,
}

impl Attempt {
    /// Until when the client is sure to hold the lock.
    pub fn until_ns(&self) -> u64 {
        self.open.iter().chain(&self.lost).map(|(_, until_ns)| *until_ns).fold(self.confirmed_ns, u64::min)
    }
}

impl Oracle {
    pub fn new(names: Vec<String>, users: usize) -> Oracle {
        let states = names.iter().map(|_| vec![None]).collect();
        let (tokens, asked, attempts) = (BTreeSet::new(), BTreeMap::new(), Vec::new());
        let (forgotten, backup) = (Vec::new(), None);
        let (last_commit, trimmed, last_sent) = (0, 0, 0);
        Oracle { names, users, states, tokens, asked, attempts, forgotten, last_commit, trimmed, backup, last_sent }
    }

    /// Where the answers of a request that is sent now begin.
    pub fn floors(&self) -> Vec<usize> {
        self.states.iter().map(|states| states.len() - 1).collect()
    }

    /// The state of each held name that a crash would leave now.
    pub fn durable(&self) -> BTreeMap<&str, &Row> {
        let last = self.states.iter().map(|states| states.last().expect("the first is there").as_ref());
        self.names.iter().zip(last).filter_map(|(name, row)| Some((&**name, row?))).collect()
    }

    pub fn sent(&mut self, request: &Request) {
        self.last_sent = request.number;
        let now_ns = request.sent_ns;
        self.forgotten.retain(|(_, until_ns)| *until_ns > now_ns);
        self.attempts.retain(|attempt| !attempt.open.is_empty() || attempt.confirmed_ns > now_ns);
        let Wanted::Lock(name, op) = &request.wanted else { return };
        let (lease_id, ttl) = match op {
            Op::Acquire { lease_id, ttl, .. } => (*lease_id, Some(*ttl)),
            Op::Renew { lease_id, ttl } => (*lease_id, *ttl),
            Op::Release { .. } => {
                self.attempt(request).over = true;
                return;
            }
            Op::Status => return,
        };
        if let Some(ttl) = ttl {
            self.asked.entry((*name, lease_id, request.user.0)).or_default().insert(ttl.seconds());
        }
        let attempt = self.attempt(request);
        attempt.shortest = attempt.shortest.min(ttl.unwrap_or(attempt.shortest));
        let until_ns = request.sent_ns + attempt.shortest.ns();
        attempt.open.push((request.number, until_ns));
    }

    /// Its client will never know what became of it. If it took effect, it has done so by now.
    pub fn lost(&mut self, request: &Request) {
        self.close(request, Some(self.last_sent));
    }

    /// The same of one that is still on its way between the cores: it may take effect at any time, after later ones, too.
    pub fn adrift(&mut self, request: &Request) {
        self.close(request, Some(u64::MAX));
    }

    /// A commit is on disk.
    pub fn committed(&mut self, commit: &Commit<'_>) {
        self.last_commit = commit.number;
        for change in decode(commit.records) {
            let change = change.expect("a commit that can be decoded");
            let (name, state) = match &change {
                Change::Granted(record) | Change::Extended(record) => (record.name, Some(Row::from(record))),
                Change::Gone { name } => (*name, None),
            };
            let index = self.names.iter().position(|n| n == name).expect("a name that somebody asked for");
            let before = self.states[index].last().expect("the first is there");
            promises::changes_follow_from_what_was(before.as_ref(), &change);
            let ended = before.as_ref().filter(|_| state.is_none());
            let given_up = |row: &Row| self.attempts.iter().any(|a| a.over && a.lease_id == row.lease_id);
            if ended.is_some_and(|row| !given_up(row)) {
                corners::met("a lease runs out");
            }
            if let Some(row) = &state {
                let ttls = self.asked.get(&(index, row.lease_id, row.user.0));
                let asked = ttls.is_some_and(|ttls| ttls.contains(&row.ttl.seconds()));
                assert!(asked, "integrity: nobody asked for what is on disk: {row:?}");
            }
            if let Change::Granted(record) = &change {
                promises::tokens_rise(&self.tokens, &self.states[index], record.token.get());
                self.tokens.insert(record.token.get());
            }
            self.states[index].push(state);
        }
        promises::the_mark_covers_the_tokens(&self.tokens, commit.mark);
    }

    /// A fold is on disk.
    pub fn folded(&mut self, _rows: &[RowChange], through: u64) {
        assert!(through >= self.trimmed, "trimming goes back from {} to {through}", self.trimmed);
        self.trimmed = through;
    }

    /// An older state has come in the place of the disk: nothing is held any more, but whoever held a lease believes in it.
    pub fn restored(&mut self) {
        let believed = self.attempts.drain(..).filter(|attempt| attempt.token.is_some() && !attempt.over);
        self.forgotten.extend(believed.map(|attempt| (attempt.name, attempt.confirmed_ns)));
        for states in self.states.iter_mut().filter(|states| states.last().is_some_and(Option::is_some)) {
            states.push(None);
        }
        self.trimmed = 0;
    }

    /// The last slice of a backup is copied.
    pub fn copied(&mut self) {
        let locks = self.durable().into_iter().map(|(name, row)| (name.to_owned(), row.clone())).collect();
        self.backup = Some(Copy { locks, last_commit: self.last_commit, tokens: self.tokens.clone() });
    }

    /// A backup is whole: this is read from it.
    pub fn backed_up(&mut self, recovered: &Recovered) {
        promises::a_backup_is_one_state(&self.backup.take().expect("its last slice was copied"), recovered);
    }

    /// A process starts with what it has read.
    pub fn started(&mut self, recovered: &Recovered) {
        self.last_commit = recovered.last_commit;
        self.recovered(recovered);
    }

    /// A start has read this, or would.
    pub fn recovered(&self, recovered: &Recovered) {
        promises::recovery_finds_what_was_committed(&self.durable(), recovered);
        promises::the_mark_covers_the_tokens(&self.tokens, recovered.mark);
    }

    /// A client reads an answer.
    pub fn shown(&mut self, request: &Request, answer: &Answer) {
        match (answer, &request.wanted) {
            (Answer::Lock(Answered::Lock(Ok(Reply { outcome, .. }))), Wanted::Lock(name, op)) => {
                promises::an_answer_fits_a_durable_state(self, request, *name, op, outcome);
                self.told(request, outcome);
            }
            (Answer::List(pages), Wanted::List) => {
                corners::met("a list is shown");
                self.note_a_list_of_many_moments(request, pages);
                promises::a_list_fits_durable_states(self, request, pages);
            }
            (Answer::Healthy, Wanted::Health) => corners::met("the server is well"),
            (Answer::Unavailable(Unavailable::Overloaded), _) => {
                corners::met("a request is refused for want of room");
                self.close(request, None);
            }
            (Answer::Unavailable(Unavailable::JournalFailed), _) => {
                corners::met("a client is told that the journal has failed");
                self.lost(request);
            }
            _ => panic!("an answer of another kind than the request: {answer:?}"),
        }
    }

    fn note_a_list_of_many_moments(&self, request: &Request, pages: &[Page]) {
        let names = self.states.iter().zip(&request.floors);
        let changes: usize = names.map(|(states, floor)| states.len() - 1 - floor).sum();
        // More than a core looks at at once.
        if changes > 0 && pages.iter().any(|page| page.total > 2) {
            corners::met("names come and go while a list is made in parts");
        }
    }

    /// What the client of an attempt knows now.
    fn told(&mut self, request: &Request, outcome: &Outcome) {
        self.close(request, None);
        if matches!(&request.wanted, Wanted::Lock(_, Op::Status)) {
            return;
        }
        match outcome {
            Outcome::Acquired { token, deadline_ns, ttl, .. } | Outcome::Renewed { token, deadline_ns, ttl, .. } => {
                let until_ns = request.sent_ns + ttl.ns();
                assert!(*deadline_ns >= until_ns, "a short deadline: {} ns too early", until_ns - deadline_ns);
                let attempt = self.attempt(request);
                if attempt.token == Some(token.get()) && matches!(outcome, Outcome::Acquired { .. }) {
                    corners::met("a retry gets the lease that it has");
                }
                attempt.token = Some(token.get());
                attempt.confirmed_ns = until_ns;
                attempt.lost.retain(|(last_sent, _)| *last_sent >= request.number);
            }
            Outcome::Denied(Denied::LimitReached) => corners::met("the limit is reached"),
            Outcome::Denied(Denied::GracePeriod { .. }) => {
                corners::met("a grant is refused after a restore");
                self.attempt(request).token = None;
            }
            other => {
                if *other == Outcome::Denied(Denied::NotCurrent) {
                    corners::met("a lease is not current");
                }
                self.attempt(request).token = None;
            }
        }
    }

    fn attempt(&mut self, request: &Request) -> &mut Attempt {
        let at = self.find(request).unwrap_or_else(|| {
            let Some((name, lease_id)) = lease_of(request) else { unreachable!("a request about a lease") };
            let longest = Ttl::from_seconds(Ttl::MAX_SECONDS.into()).expect("the longest");
            self.attempts.push(Attempt {
                client: request.client,
                name,
                lease_id,
                token: None,
                confirmed_ns: 0,
                open: Vec::new(),
                lost: Vec::new(),
                shortest: longest,
                over: false,
            });
            self.attempts.len() - 1
        });
        &mut self.attempts[at]
    }

    fn find(&self, request: &Request) -> Option<usize> {
        let (name, lease_id) = lease_of(request)?;
        let is_it = |a: &Attempt| (a.client, a.name, a.lease_id) == (request.client, name, lease_id);
        self.attempts.iter().position(is_it)
    }

    /// A request is under way no longer. If nobody knows whether it took effect, requests that come after this one are sure to have come later.
    fn close(&mut self, request: &Request, unknown_until: Option<u64>) {
        let Some(at) = self.find(request) else { return };
        let attempt = &mut self.attempts[at];
        if let Some(open) = attempt.open.iter().position(|(number, _)| *number == request.number) {
            let (_, until_ns) = attempt.open.remove(open);
            attempt.lost.extend(unknown_until.map(|last_sent| (last_sent, until_ns)));
        }
    }
}

fn lease_of(request: &Request) -> Option<(usize, Uuid)> {
    match &request.wanted {
        Wanted::Lock(name, Op::Acquire { lease_id, .. } | Op::Renew { lease_id, .. } | Op::Release { lease_id }) => {
            Some((*name, *lease_id))
        }
        _ => None,
    }
}
