//! The lock table: one core's slice of the locks.
//!
//! Every known name has a slot. A slot holds a lease, or nothing but the number of the change that
//! removed one: a *tombstone*, kept until that change is durable, so that "free" is never said before
//! it is true on disk. Each slot carries the number of its last change, and every answer about it
//! rests on that number.
//!
//! Expiry is a change like a release. It is made when a command finds the lease past its deadline, or
//! when [`LockTable::sweep`] does, and answers that show it rest on it.
//!
//! A renewal that is not longer than what is recorded changes memory only: recovery gives every lease
//! its full recorded TTL again, so the disk never promises less than the holder was told.

use std::collections::VecDeque;

use ahash::RandomState;
use hashbrown::HashMap;
use uuid::Uuid;

use super::command::{Change, Command, Denied, Listed, Op, Outcome, Ports, Record, Reply, Seq, Ttl, UserId};
use super::expiry::Wheel;
use super::index::NameIndex;
use super::name::LockName;
use super::scan::Scan;
use crate::fence::FencingToken;

/// One core's locks.
pub struct LockTable {
    /// Slot numbers, by the name in the slot.
    names: NameIndex<u32>,
    slots: Vec<Slot>,
    vacant: Vec<u32>,
    hasher: RandomState,
    wheel: Wheel,
    /// Every user's held slots, in no order; a lease knows its place.
    by_user: HashMap<UserId, Vec<u32>, RandomState>,
    /// Removals whose commit is awaited, oldest first.
    tombstones: VecDeque<(Seq, u32)>,
    held: usize,
    /// Leases that have run out so far.
    expired: u64,
    /// Nothing is granted before.
    grants_from_ns: u64,
}

enum Slot {
    Vacant,
    Known { name: LockName, changed: Seq, lease: Option<Lease> },
}

struct Lease {
    id: Uuid,
    token: FencingToken,
    deadline_ns: u64,
    user: UserId,
    /// Its index in the user's list.
    place: u32,
    ttl: Ttl,
    /// The TTL that is durable, or on its way to the disk.
    recorded_ttl: Ttl,
    metadata: Option<Box<str>>,
}

impl LockTable {
    /// An empty table whose time begins at `now_ns`.
    pub fn new(now_ns: u64) -> LockTable {
        LockTable {
            names: NameIndex::default(),
            slots: Vec::new(),
            vacant: Vec::new(),
            hasher: RandomState::new(),
            wheel: Wheel::new(now_ns),
            by_user: HashMap::with_hasher(RandomState::new()),
            tombstones: VecDeque::new(),
            held: 0,
            expired: 0,
            grants_from_ns: 0,
        }
    }

    /// Makes room for `locks` locks that are about to be recovered, so that they need not be moved as the table grows.
    pub fn reserve(&mut self, locks: usize) {
        let LockTable { names, slots, hasher, wheel, .. } = self;
        slots.reserve(locks);
        wheel.reserve(locks);
        names.reserve(locks, |&slot| hash_in(slots, hasher, slot));
    }

    /// Refuses new leases until `until_ns`: after a backup was restored, those that it does not know must run out first.
    pub fn grant_nothing_before(&mut self, until_ns: u64) {
        self.grants_from_ns = until_ns;
    }

    /// Applies one command. `now_ns` must have been read after the command arrived: a deadline may rest on it.
    pub fn apply(&mut self, now_ns: u64, command: &Command<'_>, ports: &mut impl Ports) -> Reply {
        let hash = self.hasher.hash_one(&**command.name);
        let slot = self.find(hash, command.name);
        if let Some(slot) = slot
            && self.lease(slot).is_some_and(|lease| lease.deadline_ns <= now_ns)
        {
            self.end(slot, ports);
            self.expired += 1;
        }
        match command.op {
            Op::Acquire { lease_id, ttl, metadata } => match slot {
                Some(slot) if self.lease(slot).is_some_and(|l| l.id == lease_id && l.user == command.user) => {
                    self.extend(slot, now_ns, Some(ttl), metadata, ports);
                    self.reply(slot, acquired)
                }
                Some(slot) if self.lease(slot).is_some() => self.reply(slot, held),
                free => self.grant(hash, free, now_ns, command, lease_id, ttl, metadata, ports),
            },
            Op::Renew { lease_id, ttl } => match self.current(slot, command.user, lease_id) {
                Ok(slot) => {
                    self.extend(slot, now_ns, ttl, None, ports);
                    self.reply(slot, renewed)
                }
                Err(denied) => denied,
            },
            Op::Release { lease_id } => match self.current(slot, command.user, lease_id) {
                Ok(slot) => Reply { rests_on: self.end(slot, ports), outcome: Outcome::Released { lease_id } },
                Err(denied) => denied,
            },
            Op::Status => match slot {
                Some(slot) if self.lease(slot).is_some() => self.reply(slot, held),
                free => Reply { outcome: Outcome::Free, rests_on: self.changed(free) },
            },
        }
    }

    /// Puts a lock in that the journal has recovered. Its full TTL runs from `now_ns`; nothing is recorded.
    ///
    /// # Panics
    /// If the table knows the name already: recovery yields each name once.
    pub fn recover(&mut self, now_ns: u64, record: &Record<'_>) {
        let hash = self.hasher.hash_one(record.name);
        assert!(self.find(hash, record.name).is_none(), "{} was recovered twice", record.name);
        let name = LockName::new(record.name).expect("a record has a checked name");
        let slot = self.place(hash, name);
        let lease = Lease {
            id: record.lease_id,
            token: record.token,
            deadline_ns: now_ns + record.ttl.ns(),
            user: record.user,
            place: 0,
            ttl: record.ttl,
            recorded_ttl: record.ttl,
            metadata: record.metadata.map(Box::from),
        };
        self.hold(slot, lease, 0);
    }

    /// Ends leases that are past their deadline, at most `most`; says how many. Less than `most`: none is left.
    pub fn sweep(&mut self, now_ns: u64, most: usize, ports: &mut impl Ports) -> usize {
        let mut looked_at = 0;
        while looked_at < most
            && let Some(slot) = self.wheel.next_due(now_ns)
        {
            looked_at += 1;
            let deadline_ns = self.lease(slot).expect("an armed slot holds a lease").deadline_ns;
            self.wheel.arm(slot, deadline_ns);
            if deadline_ns <= now_ns {
                self.end(slot, ports);
                self.expired += 1;
            }
        }
        looked_at
    }

    /// Forgets names whose removal is durable, at most `most`, now that the core's changes up to `durable` are; false if
    /// there may be more.
    pub fn forget(&mut self, durable: Seq, most: usize) -> bool {
        for _ in 0..most {
            let Some(&(seq, slot)) = self.tombstones.front().filter(|(seq, _)| *seq <= durable) else { return true };
            self.tombstones.pop_front();
            // The name may have been taken again since; then the slot has a newer change.
            if let Slot::Known { name, changed, lease: None } = &self.slots[slot as usize]
                && *changed == seq
            {
                let hash = self.hasher.hash_one(&**name);
                self.names.remove(hash, |&s| s == slot);
                self.slots[slot as usize] = Slot::Vacant;
                self.vacant.push(slot);
            }
        }
        false
    }

    /// Goes on with a walk over a user's locks, by at most `most` of them; says whether it has come to its end. A lease
    /// that nobody has ended yet is a lease, past its deadline or not.
    pub fn scan(&self, scan: &mut Scan, most: usize) -> bool {
        let slots = self.by_user.get(&scan.user).map_or(&[][..], |slots| slots);
        let left = scan.left.map_or(slots.len(), |left| left.min(slots.len()));
        let end = left.saturating_sub(most);
        for &slot in slots[end..left].iter().rev() {
            let (name, lease) = self.known(slot);
            scan.see(name, || Listed {
                name: name.clone(),
                lease_id: lease.id,
                token: lease.token,
                deadline_ns: lease.deadline_ns,
                metadata: lease.metadata.clone(),
            });
        }
        scan.left = Some(end);
        end == 0
    }

    /// How many locks are held.
    pub fn held(&self) -> usize {
        self.held
    }

    /// How many leases have run out so far.
    pub fn expired(&self) -> u64 {
        self.expired
    }

    /// How many names take up a slot: held ones, and tombstones.
    pub fn known_names(&self) -> usize {
        self.names.count()
    }

    #[allow(clippy::too_many_arguments)] // a new lease has this many facts, and one caller
    fn grant(
        &mut self,
        hash: u64,
        free: Option<u32>,
        now_ns: u64,
        command: &Command<'_>,
        lease_id: Uuid,
        ttl: Ttl,
        metadata: Option<&str>,
        ports: &mut impl Ports,
    ) -> Reply {
        let user = command.user;
        if now_ns < self.grants_from_ns {
            return denied(Denied::GracePeriod { until_ns: self.grants_from_ns }, self.changed(free));
        }
        // A refusal says that the lock is free, too: held would have been answered first.
        if !ports.reserve(user) {
            return denied(Denied::LimitReached, self.changed(free));
        }
        let Some(token) = ports.mint() else {
            ports.give_back(user);
            return denied(Denied::TokensExhausted, self.changed(free));
        };
        let record = Record { name: command.name, user, lease_id, token, ttl, metadata };
        let changed = ports.record(Change::Granted(record));
        let slot = free.unwrap_or_else(|| self.place(hash, command.name.clone()));
        let lease = Lease {
            id: lease_id,
            token,
            deadline_ns: now_ns + ttl.ns(),
            user,
            place: 0,
            ttl,
            recorded_ttl: ttl,
            metadata: metadata.map(Box::from),
        };
        self.hold(slot, lease, changed);
        self.reply(slot, acquired)
    }

    /// Lets a lease run from now again, and records what a crash must not take back.
    fn extend(&mut self, slot: u32, now_ns: u64, ttl: Option<Ttl>, note: Option<&str>, ports: &mut impl Ports) {
        let Slot::Known { name, changed, lease: Some(lease) } = &mut self.slots[slot as usize] else {
            unreachable!("the caller found a lease");
        };
        lease.ttl = ttl.unwrap_or(lease.ttl);
        let deadline_ns = now_ns + lease.ttl.ns();
        let sooner = deadline_ns < lease.deadline_ns;
        lease.deadline_ns = deadline_ns;
        let noted = note.is_some() && note != lease.metadata.as_deref();
        if noted {
            lease.metadata = note.map(Box::from);
        }
        if noted || lease.ttl > lease.recorded_ttl {
            lease.recorded_ttl = lease.ttl;
            *changed = ports.record(Change::Extended(Record {
                name,
                user: lease.user,
                lease_id: lease.id,
                token: lease.token,
                ttl: lease.ttl,
                metadata: lease.metadata.as_deref(),
            }));
        }
        if sooner {
            self.wheel.disarm(slot);
            self.wheel.arm(slot, deadline_ns);
        }
    }

    /// Ends the slot's lease, leaves a tombstone, and gives the number of the change.
    fn end(&mut self, slot: u32, ports: &mut impl Ports) -> Seq {
        let Slot::Known { name, changed, lease } = &mut self.slots[slot as usize] else {
            unreachable!("the caller found a lease");
        };
        let lease = lease.take().expect("the caller found a lease");
        let seq = ports.record(Change::Gone { name });
        *changed = seq;
        ports.give_back(lease.user);
        self.wheel.disarm(slot);
        self.tombstones.push_back((seq, slot));
        self.held -= 1;

        let places = self.by_user.get_mut(&lease.user).expect("a holder has a list");
        places.swap_remove(lease.place as usize);
        match places.get(lease.place as usize) {
            Some(&moved) => self.lease_mut(moved).place = lease.place,
            None if places.is_empty() => {
                self.by_user.remove(&lease.user);
            }
            None => {}
        }
        seq
    }

    fn hold(&mut self, slot: u32, mut lease: Lease, seq: Seq) {
        let places = self.by_user.entry(lease.user).or_default();
        lease.place = places.len() as u32;
        places.push(slot);
        self.wheel.arm(slot, lease.deadline_ns);
        self.held += 1;
        let Slot::Known { changed, lease: free @ None, .. } = &mut self.slots[slot as usize] else {
            unreachable!("the caller found the slot free");
        };
        *free = Some(lease);
        *changed = seq;
    }

    /// A slot for a name that has none.
    fn place(&mut self, hash: u64, name: LockName) -> u32 {
        let known = Slot::Known { name, changed: 0, lease: None };
        let slot = match self.vacant.pop() {
            Some(slot) => {
                self.slots[slot as usize] = known;
                slot
            }
            None => {
                self.slots.push(known);
                u32::try_from(self.slots.len() - 1).ok().filter(|s| *s < 1 << 31).expect("under 2^31 locks a core")
            }
        };
        let (slots, hasher) = (&self.slots, &self.hasher);
        self.names.insert(hash, slot, |&s| hash_in(slots, hasher, s));
        slot
    }

    fn find(&self, hash: u64, name: &str) -> Option<u32> {
        let is_it = |&slot: &u32| matches!(&self.slots[slot as usize], Slot::Known { name: n, .. } if **n == *name);
        self.names.find(hash, is_it).copied()
    }

    /// The slot that the user's lease holds, or why it is not so.
    fn current(&self, slot: Option<u32>, user: UserId, lease_id: Uuid) -> Result<u32, Reply> {
        match slot {
            Some(slot) if let Some(lease) = self.lease(slot) => {
                let current = lease.id == lease_id && lease.user == user;
                if current { Ok(slot) } else { Err(denied(Denied::NotCurrent, self.changed(Some(slot)))) }
            }
            free => Err(denied(Denied::NotFound, self.changed(free))),
        }
    }

    fn reply(&self, slot: u32, outcome: fn(&Lease) -> Outcome) -> Reply {
        Reply { outcome: outcome(self.known(slot).1), rests_on: self.changed(Some(slot)) }
    }

    fn changed(&self, slot: Option<u32>) -> Seq {
        match slot.map(|slot| &self.slots[slot as usize]) {
            Some(Slot::Known { changed, .. }) => *changed,
            _ => 0,
        }
    }

    fn lease(&self, slot: u32) -> Option<&Lease> {
        match &self.slots[slot as usize] {
            Slot::Known { lease, .. } => lease.as_ref(),
            Slot::Vacant => None,
        }
    }

    fn lease_mut(&mut self, slot: u32) -> &mut Lease {
        match &mut self.slots[slot as usize] {
            Slot::Known { lease: Some(lease), .. } => lease,
            _ => unreachable!("a user's list names held slots"),
        }
    }

    fn known(&self, slot: u32) -> (&LockName, &Lease) {
        match &self.slots[slot as usize] {
            Slot::Known { name, lease: Some(lease), .. } => (name, lease),
            _ => unreachable!("a user's list names held slots"),
        }
    }
}

fn hash_in(slots: &[Slot], hasher: &RandomState, slot: u32) -> u64 {
    match &slots[slot as usize] {
        Slot::Known { name, .. } => hasher.hash_one(&**name),
        Slot::Vacant => unreachable!("a name's entry leads to its slot"),
    }
}

fn denied(why: Denied, rests_on: Seq) -> Reply {
    Reply { outcome: Outcome::Denied(why), rests_on }
}

fn acquired(lease: &Lease) -> Outcome {
    let Lease { id, token, deadline_ns, ttl, ref metadata, .. } = *lease;
    Outcome::Acquired { lease_id: id, token, deadline_ns, ttl, metadata: metadata.clone() }
}

fn held(lease: &Lease) -> Outcome {
    let Lease { user, token, deadline_ns, ref metadata, .. } = *lease;
    Outcome::Held { holder: user, token, deadline_ns, metadata: metadata.clone() }
}

fn renewed(lease: &Lease) -> Outcome {
    let Lease { id, token, deadline_ns, ttl, .. } = *lease;
    Outcome::Renewed { lease_id: id, token, deadline_ns, ttl }
}

#[cfg(test)]
#[path = "table_tests.rs"]
mod tests;
