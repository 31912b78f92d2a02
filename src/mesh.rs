//! The mesh: which core owns a name, and the inboxes between the cores.
//!
//! A request that lands on the wrong core travels as an [`Ask`] to the owner and comes home as an
//! [`Answer`]; the ticket finds the place where its connection waits. One hop out, one hop home.

use std::fmt;
use std::sync::mpsc::Sender;

use ahash::RandomState;
use uuid::Uuid;

use crate::handoff::{Inbox, Mail};
use crate::journal::{Account, AccountChange, Workers};
use crate::lease::{Command, LockName, Op, Reply, Seq, UserId};
use crate::metrics::{self, Source};
use crate::shard::{Overloaded, Page};
use crate::sync::{Arc, Bell};
use crate::tickets::Ticket;

/// Asks that may wait at one core. Beyond it: 503.
pub const ASKS: usize = 4096;
/// Asks that one core may have outstanding, and so the places for answers.
pub const OUTSTANDING: usize = 16384;
/// Control messages that can be under way to one core.
const CONTROL: usize = 64;

/// A request to the owner of a name, or of a share of a list.
#[derive(Debug)]
pub struct Ask {
    /// Where the answer belongs, at the origin.
    pub ticket: Ticket,
    /// The core that asks.
    pub origin: u16,
    /// On whose behalf.
    pub user: UserId,
    /// What.
    pub what: What,
}

/// What is asked.
#[derive(Debug)]
pub enum What {
    /// One operation on one lock.
    Lock {
        /// The lock.
        name: LockName,
        /// The operation.
        op: Op<Box<str>>,
    },
    /// The owner's share of a list.
    List(Box<Query>),
}

/// Which of a user's locks a list shows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Query {
    /// Names that begin with this.
    pub prefix: String,
    /// Names after this one.
    pub after: Option<String>,
    /// At most so many.
    pub limit: usize,
}

/// The owner's answer.
#[derive(Debug)]
pub struct Answer {
    /// Of the ask.
    pub ticket: Ticket,
    /// When it was applied, on the clock of the deadlines.
    pub applied_ns: u64,
    /// What the owner says.
    pub body: Answered,
}

/// What an owner says.
#[derive(Debug)]
pub enum Answered {
    /// To an operation.
    Lock(Result<Reply, Overloaded>),
    /// To a list.
    List(Page),
    /// To a request for a token, from outside the mesh: see [`ReturnAddress`].
    Token(Box<Result<Issued, NotIssued>>),
}

/// A token that was issued just now, and its user.
pub struct Issued {
    /// The token, in clear: to be shown once.
    pub token: String,
    /// What others see of the user.
    pub public_id: Uuid,
    /// What the user is called at GitHub, if that is where the account comes from.
    pub login: Option<String>,
}

/// Why no token was issued.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NotIssued {
    /// The token that was to be replaced is not a stored one, or not any more.
    NotStored,
    /// The sign-in was refused; the text is for the user.
    Refused(&'static str),
    /// The one who vouches for users failed; the text is for the user.
    Upstream(&'static str),
    /// Nobody has time for it, or the process is about to end. It may have taken effect.
    Unavailable,
}

/// Where an answer goes that does not come from a neighbour: the origin's inbox. Posts
/// [`NotIssued::Unavailable`] if it is dropped unused, so that a place is never taken for ever.
pub struct ReturnAddress {
    mesh: Arc<Mesh>,
    origin: usize,
    ticket: Option<Ticket>,
}

impl Answered {
    /// The owner's change that must be durable before anybody may see this.
    pub fn rests_on(&self) -> Seq {
        match self {
            Answered::Lock(Ok(reply)) => reply.rests_on,
            Answered::Lock(Err(Overloaded)) => 0,
            Answered::List(page) => page.rests_on,
            Answered::Token(_) => 0, // it was durable before it was posted
        }
    }
}

/// A message that is never refused.
#[derive(Debug, Clone)]
pub enum Control {
    /// Accept no more, answer what is in flight, and end.
    Drain,
    /// An account has changed.
    Account(Arc<AccountNews>),
}

/// What has become of an account, durably, for every core to take over.
#[derive(Debug)]
pub struct AccountNews {
    /// The account.
    pub account: Account,
    /// Its change.
    pub change: AccountChange,
    /// Told once by each core, when it acts on the news.
    pub heard: Sender<()>,
}

// What crosses between cores is copied twice; keep it small.
const _: () = assert!(size_of::<Ask>() <= 96);
const _: () = assert!(size_of::<Answer>() <= 112);

/// The kinds of message between workers.
pub struct WorkerMail;

impl Mail for WorkerMail {
    type Ask = Ask;
    type Answer = Answer;
    type Control = Control;
}

/// The inboxes of all cores, and the rule that gives each name to one of them.
pub struct Mesh {
    inboxes: Box<[Inbox<WorkerMail>]>,
    /// Keyed at random in each process, so that nobody can aim at one core.
    hasher: RandomState,
}

impl Mesh {
    /// A mesh of as many cores as there are bells.
    pub fn new(bells: Vec<Bell>) -> Mesh {
        let inbox = |bell| Inbox::new(bell, ASKS, OUTSTANDING, CONTROL);
        Mesh { inboxes: bells.into_iter().map(inbox).collect(), hasher: RandomState::new() }
    }

    /// How many cores there are.
    pub fn cores(&self) -> usize {
        self.inboxes.len()
    }

    /// The core that owns a name.
    pub fn owner_of(&self, name: &str) -> usize {
        // The high half of the hash times the cores: an even split without a division.
        (((self.hasher.hash_one(name) >> 32) * self.inboxes.len() as u64) >> 32) as usize
    }

    /// A core's inbox.
    pub fn inbox(&self, core: usize) -> &Inbox<WorkerMail> {
        &self.inboxes[core]
    }

    /// All inboxes.
    pub fn inboxes(&self) -> &[Inbox<WorkerMail>] {
        &self.inboxes
    }
}

impl Workers for Mesh {
    fn all_asleep(&self) -> bool {
        self.inboxes.iter().all(|inbox| inbox.gate().is_asleep())
    }

    fn wake_waiting(&self) {
        self.inboxes.iter().for_each(|inbox| inbox.gate().knock_if_waiting());
    }

    fn wake_all(&self) {
        self.inboxes.iter().for_each(|inbox| inbox.gate().knock());
    }
}

impl ReturnAddress {
    /// Of a ticket that core `origin` has opened.
    pub fn new(mesh: Arc<Mesh>, origin: usize, ticket: Ticket) -> ReturnAddress {
        ReturnAddress { mesh, origin, ticket: Some(ticket) }
    }

    /// Posts the answer, and wakes the origin.
    pub fn answer(mut self, token: Result<Issued, NotIssued>) {
        self.post(token);
    }

    fn post(&mut self, token: Result<Issued, NotIssued>) {
        if let Some(ticket) = self.ticket.take() {
            let inbox = self.mesh.inbox(self.origin);
            inbox.post_answer(Answer { ticket, applied_ns: 0, body: Answered::Token(Box::new(token)) });
            inbox.gate().knock();
        }
    }
}

impl Drop for ReturnAddress {
    fn drop(&mut self) {
        self.post(Err(NotIssued::Unavailable));
    }
}

impl fmt::Debug for ReturnAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ReturnAddress({}, {:?})", self.origin, self.ticket)
    }
}

impl fmt::Debug for Issued {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Issued(a token of {}, hidden)", self.public_id)
    }
}

impl Source for Mesh {
    fn collect(&self, page: &mut metrics::Page) {
        let sum = |count: fn(&Inbox<WorkerMail>) -> u64| self.inboxes.iter().map(count).sum::<u64>();
        page.gauge("octostore_workers", "Worker threads.", self.cores());
        page.counter(
            "octostore_doorbell_rings_total",
            "System calls made to wake a worker that slept, by the others and by the journal.",
            sum(|inbox| inbox.gate().rings()),
        );
        page.counter(
            "octostore_doorbell_self_rings_total",
            "Rings of a worker's own bell, to go on after the I/O that is ready.",
            sum(|inbox| inbox.gate().self_rings()),
        );
        page.counter(
            "octostore_inbox_full_total",
            "Requests refused with 503 because the inbox of the worker that owns the lock was full.",
            sum(Inbox::refused),
        );
    }
}

impl What {
    /// An operation, packed for the way.
    pub fn lock(command: &Command<'_>) -> What {
        What::Lock { name: command.name.clone(), op: command.op.map(|metadata| Box::from(*metadata)) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_has_one_owner_and_the_split_is_even() {
        let mesh = Mesh::new((0..4).map(|_| Bell::new(true).unwrap()).collect());
        let mut counts = [0u32; 4];
        for n in 0..8000 {
            let name = format!("job-{n}");
            let owner = mesh.owner_of(&name);
            assert_eq!(owner, mesh.owner_of(&name));
            counts[owner] += 1;
        }
        assert!(counts.iter().all(|n| (1600..2400).contains(n)), "{counts:?}");
    }

    #[test]
    fn rule_14_the_owner_differs_from_process_to_process() {
        let bells = || (0..2).map(|_| Bell::new(true).unwrap()).collect();
        let (a, b) = (Mesh::new(bells()), Mesh::new(bells()));
        let names: Vec<String> = (0..64).map(|n| format!("job-{n}")).collect();
        assert!(names.iter().any(|n| a.owner_of(n) != b.owner_of(n)), "the same keys twice");
    }
}
