//! The turn of a hub: how it begins, what it does at its end, and how long a task may go on within one.
//!
//! Whatever begins a turn calls [`Hub::begin_turn`]; when the worker's run queue is empty the worker calls
//! [`Hub::end_turn`], which serves the inbox, hands the turn's changes to the journal in one batch, releases what has
//! become durable, and goes to sleep: says so at the gate, looks once more, and only then lets the runtime park. So
//! "asleep" means "no turn in progress", and one ring per sleep is enough for asks, answers and commits alike.
//!
//! A neighbour is knocked at once a turn, for all that was posted to it, and not at all for answers that rest on changes of
//! this turn: those go to the journal after the post, nobody may see the answers before their commit, and the commit wakes
//! every core that has asks outstanding. So a request that is handed over and back wakes its origin once, not twice. If the
//! journal fails there is no such commit, and nobody knocks for an answer then: each core is knocked at once, and wakes all its
//! tasks by itself, those whose answers have not come home too. It dozes only after it has done so, or before the failure
//! was said, and then the knock rings.
//!
//! An awake hub rings its own bell in two cases: when a turn's bounds leave something to do, and when a task that never
//! has to wait must rest. Both want to go on *after* the I/O that is ready by now, and the runtime looks at I/O only
//! when no task is ready; so no waker would do, and the bell, which is I/O, does. This costs a system call in 512 asks
//! or expiries, 1024 names forgotten, or 16 rounds of a task, and is counted apart from the neighbours' knocks
//! ([`Gate::self_rings`](crate::handoff::Gate::self_rings)).

use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::mem;
use std::task::{Context, Poll, Waker};

use super::Hub;
use crate::clock;

/// Expiries in one turn.
const SWEEP_PER_TURN: usize = 512;
/// Names forgotten in one turn, once their removal is durable.
const FORGET_PER_TURN: usize = 1024;
/// Rounds that a task may go without the turn ending, before it has to rest.
const ROUNDS_PER_TURN: u32 = 16;

/// What the turn in progress is about to do at its end.
#[derive(Default)]
pub(super) struct Turn {
    /// The worker's main future: waking it asks for an end of the turn.
    end: RefCell<Option<Waker>>,
    end_is_due: Cell<bool>,
    asleep: Cell<bool>,
    /// A task was woken: it runs before the worker sleeps, and begins a turn of its own.
    woke: Cell<bool>,
    /// Neighbours that something was posted to, one bit each.
    posted: Cell<u64>,
    /// A batch was handed over.
    handed_over: Cell<bool>,
    sweep_is_due: Cell<bool>,
    /// The journal has failed, and all who waited were woken. Whoever looks later sees that it has failed, and does not wait.
    told_of_failure: Cell<bool>,
    /// Ends of turns so far.
    ended: Cell<u64>,
    /// Tasks that let others go first.
    resting: RefCell<Vec<Waker>>,
}

/// How long a task has been going without a pause. On epoll an operation that is ready ends at once, without going
/// through the run queue: a client that is always ready would have its worker to itself.
#[derive(Default)]
pub struct Pace {
    turn: u64,
    rounds: u32,
}

impl Turn {
    /// Something was posted to a neighbour, at whose gate the turn's end is to knock.
    pub fn has_posted_to(&self, core: usize) {
        self.posted.set(self.posted.get() | 1 << core);
    }

    /// Wakes a task, which then runs before the worker sleeps.
    pub fn wake(&self, waiter: Waker) {
        self.woke.set(true);
        waiter.wake();
    }
}

impl Hub {
    /// Something happened: this turn will have an end. Cheap, and harmless twice.
    pub fn begin_turn(&self) {
        if !self.turn.end_is_due.replace(true) {
            if self.turn.asleep.replace(false) {
                self.gate().rouse();
            }
            if let Some(end) = &*self.turn.end.borrow() {
                end.wake_by_ref();
            }
        }
    }

    /// One more round of a task that may never have to wait: now and then it rests, while the turn ends and all I/O that
    /// is ready is looked at.
    pub async fn step(&self, pace: &mut Pace) {
        pace.rounds = if pace.turn == self.turns() { pace.rounds + 1 } else { 0 };
        if pace.rounds >= ROUNDS_PER_TURN {
            let mut has_rested = false;
            poll_fn(|cx| {
                if mem::replace(&mut has_rested, true) {
                    return Poll::Ready(());
                }
                // Neither a wake of its own nor one at the end of the turn would do: the runtime looks at I/O only when no task
                // is ready. The own bell is I/O, and whoever hears it wakes those that rest.
                self.turn.resting.borrow_mut().push(cx.waker().clone());
                self.gate().ring_self();
                Poll::Pending
            })
            .await;
            pace.rounds = 0;
        }
        pace.turn = self.turns();
    }

    /// The bell was heard: a turn begins, and those that rest go on.
    pub fn bell_was_heard(&self) {
        self.begin_turn();
        self.turn.resting.borrow_mut().drain(..).for_each(Waker::wake);
    }

    /// Lets the next end of a turn look for leases that have run out.
    pub fn sweep_soon(&self) {
        self.turn.sweep_is_due.set(true);
        self.begin_turn();
    }

    /// The end of a turn: see the module's text. The worker polls it when its run queue is empty.
    pub fn end_turn(&self, cx: &mut Context<'_>) {
        let turn = &self.turn;
        if turn.end.borrow().is_none() {
            turn.end.replace(Some(cx.waker().clone()));
        }
        turn.end_is_due.set(false);
        turn.woke.set(false);
        turn.ended.set(turn.ended.get() + 1);
        let gate = self.gate();
        loop {
            let mut more = self.serve_inbox();
            more |= self.go_on_with_lists();
            more |= self.sweep();
            more |= self.release();
            let waits_for_room = !self.hand_over();
            self.knock_at_neighbours();
            if turn.woke.get() {
                break; // the woken tasks run now, and their turn ends here again
            }
            if more {
                gate.ring_self(); // go on after the I/O that is ready by now
                break;
            }
            turn.asleep.set(true);
            gate.doze(waits_for_room || self.awaits_a_commit() || turn.sweep_is_due.get());
            if !self.has_news() {
                break;
            }
            turn.asleep.set(false);
            gate.rouse();
        }
        // After the doze, so that the journal finds this core asleep and does not wait for more from it.
        if turn.handed_over.take() {
            self.intake.gate().knock();
        }
    }

    /// How many turns have ended.
    pub fn turns(&self) -> u64 {
        self.turn.ended.get()
    }

    /// Ends what has run out, if that is due; true if more is to be done.
    pub(super) fn sweep(&self) -> bool {
        // No more until the journal has taken the last ones: a million expiries must not stand before a command. Its next
        // commit wakes this core.
        if !self.turn.sweep_is_due.get() || !self.intake.has_taken_all(self.core) {
            return false;
        }
        let mut shard = self.shard.borrow_mut();
        let more = !shard.sweep(clock::now_ns(), SWEEP_PER_TURN);
        self.turn.sweep_is_due.set(more);
        more
    }

    /// Wakes the connections whose answers have become durable, and forgets what is durably gone; true if
    /// there is more to forget.
    fn release(&self) -> bool {
        let durable = self.intake.watermark(self.core).durable();
        // Before the waiters are: a failure that comes right after this look is news, and told in the next turn.
        let has_failed = self.intake.has_failed();
        self.waiters.release(&self.intake, |waiter| self.turn.wake(waiter));
        if has_failed && !self.turn.told_of_failure.replace(true) {
            let tickets = self.tickets.borrow();
            tickets.waiters().filter_map(|parcel| parcel.waiter.take()).for_each(|waiter| self.turn.wake(waiter));
        }
        !self.shard.borrow_mut().forget(durable, FORGET_PER_TURN)
    }

    /// Hands this turn's changes to the journal; false if they have to wait for room.
    fn hand_over(&self) -> bool {
        let mut shard = self.shard.borrow_mut();
        if shard.has_changes() {
            if !shard.hand_over(self.core, &self.intake) {
                return false;
            }
            self.turn.handed_over.set(true);
        }
        true
    }

    fn knock_at_neighbours(&self) {
        let mut posted = self.turn.posted.take();
        while posted != 0 {
            self.mesh.inbox(posted.trailing_zeros() as usize).gate().knock();
            posted &= posted - 1;
        }
    }

    /// Whether somebody's answer rests on a commit to come: here, or on its way home from an owner who has not knocked.
    fn awaits_a_commit(&self) -> bool {
        self.waiters.any() || self.tickets.borrow().outstanding() > 0
    }

    /// The second look, after the doze: whether anything came that its sender may have thought us awake for.
    fn has_news(&self) -> bool {
        !self.mesh.inbox(self.core).is_empty()
            || self.waiters.has_news(&self.intake)
            || (self.shard.borrow().has_changes() && self.intake.has_room(self.core))
            || (self.turn.sweep_is_due.get() && self.intake.has_taken_all(self.core))
            || (self.intake.has_failed() && !self.turn.told_of_failure.get())
    }
}
