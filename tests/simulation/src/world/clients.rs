//! The clients: what they ask for, and in which way they are a nuisance.
//!
//! Several share a user. Each pipelines, retries with the ids of its own leases, makes ids up, asks again for what it
//! gave up, and now and then uses another user's id.

use std::collections::VecDeque;

use uuid::Uuid;

use crate::lease::{Op, Ttl, UserId};
use crate::random::Random;

/// A request, from its sending to its answer.
#[derive(Clone, Debug)]
pub struct Request {
    pub number: u64,
    pub client: usize,
    pub user: UserId,
    pub sent_ns: u64,
    pub wanted: Wanted,
    /// Of each name, the newest state that was durable when it was sent: its answer cannot be older.
    pub floors: Vec<usize>,
}

#[derive(Clone, Debug)]
pub enum Wanted {
    /// An operation on the lock of this number.
    Lock(usize, Op<Box<str>>),
    List,
    Health,
}

/// One client.
pub struct Client {
    pub user: UserId,
    /// Its connection, if it has one.
    pub conn: Option<u64>,
    /// How many requests it has under way at most.
    pub pipelined: usize,
    /// Its latest attempts.
    leases: VecDeque<(usize, Uuid)>,
    ttls: [u64; 3],
}

impl Client {
    pub fn new(user: usize, random: &mut Random) -> Client {
        let ttls = [1 + random.below(2), 1 + random.below(5), 1 + random.below(30)];
        Client { user: UserId(user as u32), conn: None, pipelined: 1 + random.index(8), leases: VecDeque::new(), ttls }
    }

    /// What it asks for next. `names` is how many locks there are, `other` an attempt of another user's.
    pub fn next(&mut self, random: &mut Random, names: usize, other: Option<(usize, Uuid)>) -> Wanted {
        if random.one_in(25) {
            return Wanted::List;
        }
        if let Some((name, lease_id)) = other.filter(|_| random.one_in(20)) {
            return Wanted::Lock(name, self.about(random, lease_id));
        }
        if self.leases.is_empty() || random.below(5) < 2 {
            let (name, lease_id) = (random.index(names), Uuid::from_u128(u128::from(random.bits())));
            if self.leases.len() == 6 {
                self.leases.pop_front();
            }
            self.leases.push_back((name, lease_id));
            return Wanted::Lock(name, self.acquire(random, lease_id));
        }
        let at = random.index(self.leases.len());
        let (name, lease_id) = self.leases[at];
        let op = self.about(random, lease_id);
        if matches!(op, Op::Release { .. }) {
            self.leases.remove(at);
        }
        Wanted::Lock(name, op)
    }

    /// An attempt of this client's.
    pub fn any_lease(&self, random: &mut Random) -> Option<(usize, Uuid)> {
        (!self.leases.is_empty()).then(|| self.leases[random.index(self.leases.len())])
    }

    fn about(&self, random: &mut Random, lease_id: Uuid) -> Op<Box<str>> {
        match random.below(10) {
            0..3 => Op::Renew { lease_id, ttl: (!random.one_in(3)).then(|| self.ttl(random)) },
            3..7 => Op::Release { lease_id },
            7..9 => self.acquire(random, lease_id),
            _ => Op::Status,
        }
    }

    fn acquire(&self, random: &mut Random, lease_id: Uuid) -> Op<Box<str>> {
        let note = match random.below(6) {
            0 => Some("a note".into()),
            1 => Some("x".repeat(random.index(900)).into()),
            2 => Some("".into()),
            _ => None,
        };
        Op::Acquire { lease_id, ttl: self.ttl(random), metadata: note }
    }

    fn ttl(&self, random: &mut Random) -> Ttl {
        Ttl::from_seconds(random.pick(&self.ttls)).expect("1 to 30 seconds")
    }
}
