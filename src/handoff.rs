//! The handoff: how work crosses from one core to another without a lock and without a lost wake-up.
//!
//! Every worker owns an [`Inbox`]: three bounded queues (asks, answers, control) behind one [`Gate`].
//! The gate is a flag, "asleep", and a bell. The protocol is two lines on each side:
//!
//! ```text
//!   producer                               consumer, at the end of its turn
//!   1. push                                1. gate.doze()          (flag := asleep)
//!   2. gate.knock()                        2. look at every queue once more
//!      (flag := awake; if it was asleep:      found something: gate.rouse(), go on working
//!       ring the bell)                        found nothing:   park until the bell rings
//! ```
//!
//! Both steps on the flag are read-modify-writes, so one of the two comes later in the flag's order
//! and has seen the other: either the producer finds "asleep" and rings, or the consumer dozed after
//! the producer's knock and its second look finds the push. There is no third case, and no fence.
//! A knock that finds the flag awake costs no system call; so there is at most one ring per sleep.
//! One push goes without a knock of its producer: that of an answer which a commit to come will wake its
//! reader for, see `hub/turn.rs`.
//!
//! The journal wakes a worker only if it sleeps *on a commit*: `doze` says whether it does, and
//! [`Gate::knock_if_waiting`] rings only then.
//!
//! **Room.** Asks may be refused: the ask comes back to the caller, who answers 503. Answers and
//! control messages never are: a worker has at most as many asks outstanding as its queue of answers
//! has places, and control messages are bounded by who sends them. So no two cores ever wait for
//! each other, and nothing here waits for room.

use crate::sync::{ArrayQueue, AtomicU32, AtomicU64, Bell, CachePadded, Ordering};

const AWAKE: u32 = 0;
const ASLEEP: u32 = 1;
/// Set only together with ASLEEP: the sleeper waits for a commit.
const WAITING: u32 = 2;

/// The flag and the bell of one sleeper. Anybody may knock; one thread dozes.
#[derive(Debug)]
pub struct Gate {
    state: CachePadded<AtomicU32>,
    bell: Bell,
    rings: AtomicU64,
    self_rings: AtomicU64,
}

impl Gate {
    /// A gate whose owner is awake.
    pub fn new(bell: Bell) -> Gate {
        Gate {
            state: CachePadded::new(AtomicU32::new(AWAKE)),
            bell,
            rings: AtomicU64::new(0),
            self_rings: AtomicU64::new(0),
        }
    }

    /// Wakes the owner if it sleeps. Call it after the push (or the raised watermark) that it should see.
    pub fn knock(&self) {
        // Release pairs with the Acquire in `doze` and `rouse`: who comes later in the flag's order sees the push.
        if self.state.swap(AWAKE, Ordering::Release) != AWAKE {
            self.rings.fetch_add(1, Ordering::Relaxed); // a statistic; orders nothing
            self.bell.ring();
        }
    }

    /// Wakes the owner if it sleeps waiting for a commit. Call it after the watermark was raised.
    pub fn knock_if_waiting(&self) {
        // A read-modify-write even where it changes nothing: a plain load could miss a doze that has
        // itself missed the raised mark. Release pairs with the Acquire in `doze`.
        if self.state.fetch_and(!WAITING, Ordering::Release) & WAITING != 0 {
            self.knock();
        }
    }

    /// The owner is about to sleep. It must look at all that may have arrived once more after this, and
    /// then either `rouse` or park on the bell. `waiting`: a commit would be news to it.
    pub fn doze(&self, waiting: bool) {
        let state = if waiting { ASLEEP | WAITING } else { ASLEEP };
        // Acquire pairs with the Release in `knock`: every push before an earlier knock is visible to the second look.
        self.state.swap(state, Ordering::Acquire);
    }

    /// The owner is awake again, by itself or by the bell.
    pub fn rouse(&self) {
        // A swap rather than a store: the flag's order stays a chain of read-modify-writes. Acquire pairs with
        // the Release in `knock`: what the bell was rung for is visible, though the bell itself orders nothing.
        self.state.swap(AWAKE, Ordering::Acquire);
    }

    /// The owner rings its own bell, awake or not: for one who hears the bell only together with what else has come,
    /// and so is back at its work only after a look at that. Nobody else is told, and the flag stays as it is.
    pub fn ring_self(&self) {
        self.self_rings.fetch_add(1, Ordering::Relaxed); // a statistic; orders nothing
        self.bell.ring();
    }

    /// Whether the owner sleeps just now: a hint for pacing, never for correctness.
    pub fn is_asleep(&self) -> bool {
        self.state.load(Ordering::Relaxed) != AWAKE
    }

    /// How often a knock has rung the bell since the start: at most once per sleep.
    pub fn rings(&self) -> u64 {
        self.rings.load(Ordering::Relaxed)
    }

    /// How often the owner has rung its own bell since the start.
    pub fn self_rings(&self) -> u64 {
        self.self_rings.load(Ordering::Relaxed)
    }

    /// The bell, for the owner to sleep on.
    pub fn bell(&self) -> &Bell {
        &self.bell
    }
}

/// The kinds of message that a family of inboxes carries.
pub trait Mail {
    /// A request to the owner of some names.
    type Ask;
    /// The owner's answer.
    type Answer;
    /// A message that is never refused.
    type Control;
}

/// A worker's three queues behind one gate. Many producers, one consumer.
pub struct Inbox<M: Mail> {
    gate: Gate,
    asks: ArrayQueue<M::Ask>,
    answers: ArrayQueue<M::Answer>,
    control: ArrayQueue<M::Control>,
    refused: AtomicU64,
}

impl<M: Mail> Inbox<M> {
    /// An empty inbox. `answers` must be the number of asks that its owner may have outstanding, and
    /// `control` the number of control messages that can be under way at once.
    pub fn new(bell: Bell, asks: usize, answers: usize, control: usize) -> Inbox<M> {
        Inbox {
            gate: Gate::new(bell),
            asks: ArrayQueue::new(asks),
            answers: ArrayQueue::new(answers),
            control: ArrayQueue::new(control),
            refused: AtomicU64::new(0),
        }
    }

    /// Puts an ask in, for the owner to find at its next turn; the caller knocks, once for many.
    ///
    /// # Errors
    /// Gives the ask back if the queue is full. It has had no effect.
    pub fn post_ask(&self, ask: M::Ask) -> Result<(), M::Ask> {
        self.asks.push(ask).inspect_err(|_| {
            self.refused.fetch_add(1, Ordering::Relaxed); // a statistic; orders nothing
        })
    }

    /// Puts an answer in; the caller knocks, once for many, or knows of a commit that will (`hub/turn.rs`).
    ///
    /// # Panics
    /// If the owner had more asks outstanding than it said it would.
    pub fn post_answer(&self, answer: M::Answer) {
        assert!(self.answers.push(answer).is_ok(), "more answers than outstanding asks");
    }

    /// Puts a control message in, and knocks.
    ///
    /// # Panics
    /// If more control messages are under way than the inbox was made for.
    pub fn send_control(&self, message: M::Control) {
        assert!(self.control.push(message).is_ok(), "more control messages than expected");
        self.gate.knock();
    }

    /// The oldest ask. Only the owner takes.
    pub fn take_ask(&self) -> Option<M::Ask> {
        self.asks.pop()
    }

    /// The oldest answer. Only the owner takes.
    pub fn take_answer(&self) -> Option<M::Answer> {
        self.answers.pop()
    }

    /// The oldest control message. Only the owner takes.
    pub fn take_control(&self) -> Option<M::Control> {
        self.control.pop()
    }

    /// Whether nothing is there: the second look, after [`Gate::doze`].
    pub fn is_empty(&self) -> bool {
        self.asks.is_empty() && self.answers.is_empty() && self.control.is_empty()
    }

    /// The gate: to knock at for others, to doze at for the owner.
    pub fn gate(&self) -> &Gate {
        &self.gate
    }

    /// How many asks were given back for want of room.
    pub fn refused(&self) -> u64 {
        self.refused.load(Ordering::Relaxed)
    }
}
