//! The words that go in and out of a [`LockTable`](super::LockTable).

use uuid::Uuid;

use super::LockName;
use crate::fence::FencingToken;

/// A core's number for one of its changes: 1, 2, 3, …; 0 is "before all changes".
pub type Seq = u64;

/// The longest metadata, in bytes.
pub const MAX_METADATA_BYTES: usize = 1024;

/// An account's number, as the database knows it. Stable across restarts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UserId(pub u32);

/// How long a lease lasts from its grant or renewal: 1 to 3600 whole seconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Ttl(u16);

impl Ttl {
    /// The longest TTL, in seconds.
    pub const MAX_SECONDS: u16 = 3600;
    /// What an acquire gets that names no TTL.
    pub const DEFAULT: Ttl = Ttl(60);

    /// A TTL of so many seconds; None unless it is 1 to 3600.
    pub fn from_seconds(seconds: u64) -> Option<Ttl> {
        u16::try_from(seconds).ok().filter(|s| (1..=Ttl::MAX_SECONDS).contains(s)).map(Ttl)
    }

    /// Its length in seconds.
    pub fn seconds(self) -> u16 {
        self.0
    }

    /// Its length in nanoseconds.
    pub fn ns(self) -> u64 {
        u64::from(self.0) * 1_000_000_000
    }
}

/// One request about one lock.
#[derive(Clone, Copy, Debug)]
pub struct Command<'a> {
    /// Who asks.
    pub user: UserId,
    /// The lock.
    pub name: &'a LockName,
    /// What for.
    pub op: Op<&'a str>,
}

/// What can be asked of a lock. `M` is the metadata: borrowed, or owned where it travels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Op<M> {
    /// Take the lock, or, if `lease_id` holds it already, take note of the retry.
    Acquire {
        /// The new lease's id: the caller's own, or a random one made for it.
        lease_id: Uuid,
        /// How long from now.
        ttl: Ttl,
        /// A note that others may read. None keeps what a retried lease has.
        metadata: Option<M>,
    },
    /// Let the lease run from now again.
    Renew {
        /// The lease that must hold the lock.
        lease_id: Uuid,
        /// How long from now; None for the lease's last TTL.
        ttl: Option<Ttl>,
    },
    /// Give the lock up.
    Release {
        /// The lease that must hold the lock.
        lease_id: Uuid,
    },
    /// Look.
    Status,
}

impl<M> Op<M> {
    /// The same with its metadata in another form.
    pub fn map<'s, N>(&'s self, form: impl FnOnce(&'s M) -> N) -> Op<N> {
        match self {
            Op::Acquire { lease_id, ttl, metadata } => {
                Op::Acquire { lease_id: *lease_id, ttl: *ttl, metadata: metadata.as_ref().map(form) }
            }
            Op::Renew { lease_id, ttl } => Op::Renew { lease_id: *lease_id, ttl: *ttl },
            Op::Release { lease_id } => Op::Release { lease_id: *lease_id },
            Op::Status => Op::Status,
        }
    }
}

/// What became of a command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The caller's lease holds the lock.
    Acquired {
        /// The lease.
        lease_id: Uuid,
        /// Its token: the same one for a retry.
        token: FencingToken,
        /// When it runs out.
        deadline_ns: u64,
        /// How long it lasts.
        ttl: Ttl,
        /// Its note.
        metadata: Option<Box<str>>,
    },
    /// Somebody's lease holds the lock: a refusal to an acquire, a fact to a status.
    Held {
        /// Whose.
        holder: UserId,
        /// Its token.
        token: FencingToken,
        /// When it runs out.
        deadline_ns: u64,
        /// Its note.
        metadata: Option<Box<str>>,
    },
    /// The lease runs from now again.
    Renewed {
        /// The lease.
        lease_id: Uuid,
        /// Its token.
        token: FencingToken,
        /// When it runs out now.
        deadline_ns: u64,
        /// How long it lasts now.
        ttl: Ttl,
    },
    /// The lock is free again.
    Released {
        /// The lease that held it.
        lease_id: Uuid,
    },
    /// Nobody holds the lock: what a status finds.
    Free,
    /// Refused; nothing has changed for the caller.
    Denied(Denied),
}

/// Why a command was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Denied {
    /// Renew or release: nothing holds the lock.
    NotFound,
    /// Renew or release: another lease holds it.
    NotCurrent,
    /// Acquire: the user has as many live locks as allowed.
    LimitReached,
    /// Acquire: all tokens below 2^53 have been given out.
    TokensExhausted,
    /// Acquire: the lock is free here, but a backup was restored, and leases that it does not know may still be believed.
    GracePeriod {
        /// When it is over.
        until_ns: u64,
    },
}

/// An outcome, and the change that must be durable before anybody may see it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reply {
    /// What became of the command.
    pub outcome: Outcome,
    /// The number of the last change that the outcome rests on, of the core that applied it; 0 if none.
    pub rests_on: Seq,
}

/// One row of a user's list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    /// The lock.
    pub name: LockName,
    /// The caller's lease on it.
    pub lease_id: Uuid,
    /// The lease's token.
    pub token: FencingToken,
    /// When it runs out.
    pub deadline_ns: u64,
    /// Its note.
    pub metadata: Option<Box<str>>,
}

/// All that recovery needs to know of a held lock. It says the whole state, never a difference, so a
/// replay may begin anywhere before the last change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Record<'a> {
    /// The lock.
    pub name: &'a str,
    /// Who holds it.
    pub user: UserId,
    /// By which lease.
    pub lease_id: Uuid,
    /// With which token.
    pub token: FencingToken,
    /// How long the lease lasts, from the start that recovers it.
    pub ttl: Ttl,
    /// Its note.
    pub metadata: Option<&'a str>,
}

/// What must be made durable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change<'a> {
    /// The lock was free, and is held like this now.
    Granted(Record<'a>),
    /// The lock was held, and is held like this now.
    Extended(Record<'a>),
    /// The lock is free now.
    Gone {
        /// Which.
        name: &'a str,
    },
}

/// What the table needs from outside, at the moment it needs it.
pub trait Ports {
    /// The next fencing token; None when there are no more.
    fn mint(&mut self) -> Option<FencingToken>;
    /// A place for one more lock of the user; false if it has as many as allowed.
    fn reserve(&mut self, user: UserId) -> bool;
    /// A place given back.
    fn give_back(&mut self, user: UserId);
    /// Takes a change down to be made durable, and numbers it.
    fn record(&mut self, change: Change<'_>) -> Seq;
}
