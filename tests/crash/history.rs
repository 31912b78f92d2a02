//! Whether a history could have been: what clients asked and were told, and when, against what a lease promises.
//!
//! Each lock is judged by itself; its leases have an order, that of their tokens, and every answer that names a token
//! has *seen* that lease at some moment between its request and its arrival. A client *surely holds* a lock from the first
//! time that its lease was seen until its TTL after it asked for it (or for its last renewal), or until it first asked for
//! its release. Then nothing else may have been true meanwhile:
//!
//! * the order of the tokens is the order in time: a lower token is not seen after a higher one,
//! * while one client surely holds the lock, no later lease is seen, nobody finds it free, and its holder is not refused,
//! * a lease is not seen again after its release, or after the lock was found free,
//! * a lease is not seen before somebody asked for it, nor under two names or ids,
//! * over all locks: who asks after a token was seen gets a higher one.
//!
//! An answer that never came proves nothing: its request may have taken effect, or not. Crashes are not mentioned, because
//! they change nothing in what was promised.

use std::collections::BTreeMap;

/// What was asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Op {
    Acquire,
    Renew,
    Release,
    Status,
}

/// What was answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// With this token.
    Acquired(u64),
    Renewed(u64),
    Released,
    /// By the lease with this token; 0 if it was not told.
    Held(u64),
    /// Nobody holds the lock.
    Free,
    /// Another lease holds it.
    NotCurrent,
    /// Nothing was done.
    Overloaded,
    /// No answer came.
    Unknown,
}

/// One request. Times are counted from the beginning of the test.
#[derive(Clone, Debug)]
pub struct Event {
    pub client: usize,
    pub name: String,
    pub op: Op,
    pub lease_id: String,
    pub ttl_s: u64,
    pub begin_ns: u64,
    pub end_ns: u64,
    pub outcome: Outcome,
}

/// All that happened to the locks in use.
#[derive(Default)]
pub struct History {
    locks: BTreeMap<String, Vec<Event>>,
    /// Of every token ever seen, the lock; for those of locks no longer in use too.
    tokens: BTreeMap<u64, String>,
    /// The highest token of the locks that are forgotten, and when it had been seen.
    forgotten: (u64, u64),
}

/// What is known of a lease.
struct Lease {
    token: u64,
    /// Once its holder has told.
    lease_id: Option<String>,
    /// When it was seen: from when to when that may have been.
    seen: Vec<(u64, u64)>,
    /// Its holder counts on it until then.
    promised_ns: u64,
}

impl Lease {
    fn sure_from(&self) -> u64 {
        self.seen.iter().map(|(_, end)| *end).min().expect("a lease was seen")
    }

    fn last_seen(&self) -> u64 {
        self.seen.iter().map(|(begin, _)| *begin).max().expect("a lease was seen")
    }
}

impl History {
    pub fn push(&mut self, event: Event) {
        self.locks.entry(event.name.clone()).or_default().push(event);
    }

    /// How many leases were seen.
    pub fn leases(&self) -> usize {
        self.tokens.len()
    }

    pub fn events(&self) -> impl Iterator<Item = &Event> {
        self.locks.values().flatten()
    }

    /// Forgets locks that nobody uses any more: they have been judged.
    pub fn forget(&mut self, over: impl Fn(&str) -> bool) {
        for (_, events) in self.locks.extract_if(.., |name, _| over(name)) {
            for lease in leases(&events) {
                self.forgotten = self.forgotten.max((lease.token, lease.sure_from()));
            }
        }
    }

    /// Judges all that is known so far.
    ///
    /// # Errors
    /// What cannot have been.
    pub fn check(&mut self) -> Result<(), String> {
        let mut granted: Vec<(u64, u64)> = Vec::new();
        let mut seen = vec![(self.forgotten.1, self.forgotten.0)];
        for (name, events) in &self.locks {
            let leases = leases(events);
            for lease in &leases {
                let its = self.tokens.entry(lease.token).or_insert_with(|| name.clone());
                if its != name {
                    return Err(format!("token {} belongs to {its} and to {name}", lease.token));
                }
                granted.extend(asked_ns(lease, events).map(|begin_ns| (begin_ns, lease.token)));
                seen.push((lease.sure_from(), lease.token));
            }
            one_lock(events, &leases).map_err(|what| format!("{name}: {what}"))?;
        }
        tokens_rise_over_all_locks(granted, seen)
    }
}

/// The leases of one lock, by token.
fn leases(events: &[Event]) -> Vec<Lease> {
    let mut leases: BTreeMap<u64, Lease> = BTreeMap::new();
    for event in events {
        let (Outcome::Acquired(token) | Outcome::Renewed(token) | Outcome::Held(token)) = event.outcome else {
            continue;
        };
        if token == 0 {
            continue;
        }
        let new = || Lease { token, lease_id: None, seen: Vec::new(), promised_ns: 0 };
        let lease = leases.entry(token).or_insert_with(new);
        lease.seen.push((event.begin_ns, event.end_ns));
        if event.op != Op::Status {
            lease.lease_id.get_or_insert_with(|| event.lease_id.clone());
            lease.promised_ns = lease.promised_ns.max(event.begin_ns + event.ttl_s * 1_000_000_000);
        }
    }
    for lease in leases.values_mut() {
        let given_up = events.iter().filter(|e| e.op == Op::Release && Some(&e.lease_id) == lease.lease_id.as_ref());
        let earliest = given_up.map(|event| event.begin_ns).min().unwrap_or(u64::MAX);
        lease.promised_ns = lease.promised_ns.min(earliest);
    }
    leases.into_values().collect()
}

/// When the lease was first asked for, if its holder is known.
fn asked_ns(lease: &Lease, events: &[Event]) -> Option<u64> {
    let lease_id = lease.lease_id.as_ref()?;
    let asked = events.iter().filter(|event| event.op == Op::Acquire && event.lease_id == *lease_id);
    asked.map(|event| event.begin_ns).min()
}

fn one_lock(events: &[Event], leases: &[Lease]) -> Result<(), String> {
    in_order(leases)?;
    for event in events {
        for lease in leases {
            let surely_held = lease.sure_from() <= event.begin_ns && event.end_ns <= lease.promised_ns;
            let own = lease.lease_id.as_ref() == Some(&event.lease_id);
            let contradicts = match event.outcome {
                Outcome::Free | Outcome::Released => !own || event.outcome == Outcome::Free,
                Outcome::NotCurrent => own,
                Outcome::Held(0) => own,
                Outcome::Acquired(token) if own => token != lease.token,
                _ => false,
            };
            if surely_held && contradicts {
                return Err(format!("token {} was surely held during {event:?}", lease.token));
            }
            let ends = event.outcome == Outcome::Free || (event.outcome == Outcome::Released && own);
            let known_before = lease.sure_from() <= event.begin_ns;
            if ends && known_before && lease.last_seen() > event.end_ns {
                return Err(format!("token {} was seen again after {event:?}", lease.token));
            }
        }
    }
    for lease in leases {
        if asked_ns(lease, events).is_some_and(|asked_ns| lease.sure_from() < asked_ns) {
            return Err(format!("token {} was seen before anybody asked for it", lease.token));
        }
        let ids = events
            .iter()
            .filter(|e| e.outcome == Outcome::Acquired(lease.token) || e.outcome == Outcome::Renewed(lease.token));
        if let Some(other) = ids.map(|event| &event.lease_id).find(|id| Some(*id) != lease.lease_id.as_ref()) {
            return Err(format!("token {} belongs to two leases, one of them {other}", lease.token));
        }
    }
    Ok(())
}

/// Lower tokens before higher ones, and no one before the last one's time is over.
fn in_order(leases: &[Lease]) -> Result<(), String> {
    let (mut last_seen, mut promised) = ((0, 0), (0, 0));
    for lease in leases {
        let since = lease.sure_from();
        if since < last_seen.0 {
            return Err(format!("token {} was seen after token {}", last_seen.1, lease.token));
        }
        if since < promised.0 {
            return Err(format!("token {} was seen while token {} was surely held", lease.token, promised.1));
        }
        last_seen = last_seen.max((lease.last_seen(), lease.token));
        promised = promised.max((lease.promised_ns, lease.token));
    }
    Ok(())
}

/// Who asks for a lease after a token was seen, of whatever lock, gets a higher one.
fn tokens_rise_over_all_locks(mut granted: Vec<(u64, u64)>, mut seen: Vec<(u64, u64)>) -> Result<(), String> {
    granted.sort_unstable();
    seen.sort_unstable();
    let (mut highest, mut at) = (0, 0);
    for (asked_ns, token) in granted {
        while seen.get(at).is_some_and(|(seen_ns, _)| *seen_ns < asked_ns) {
            highest = highest.max(seen[at].1);
            at += 1;
        }
        if token <= highest {
            return Err(format!("token {token} was asked for when token {highest} had been seen"));
        }
    }
    Ok(())
}
