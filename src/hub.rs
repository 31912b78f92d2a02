//! The hub: where one core's requests, asks, answers and commits meet.
//!
//! Everything a worker does to locks goes through its hub, on its own thread. [`Hub::send`] applies a
//! command to this core's shard, or hands it to the owner's; [`Pending`] is the place where the
//! connection waits, first for the owner's answer, then for the owner's watermark.
//!
//! Work happens in *turns*. Whatever begins a turn calls [`Hub::begin_turn`]; when the worker's run
//! queue is empty the worker calls [`Hub::end_turn`], which serves the inbox, hands the turn's changes
//! to the journal in one batch, releases what has become durable, and goes to sleep: says so at the gate, looks
//! once more, and only then lets the runtime park. So "asleep" means "no turn in progress", and one
//! ring per sleep is enough for asks, answers and commits alike.
//!
//! An awake hub rings its own bell in two cases: when a turn's bounds leave something to do, and when a task that never
//! has to wait must rest. Both want to go on *after* the I/O that is ready by now, and the runtime looks at I/O only
//! when no task is ready; so no waker would do, and the bell, which is I/O, does. This costs a system call in 512 asks
//! or expiries, or in 16 rounds of a task, and is counted apart from the neighbours' knocks ([`Gate::self_rings`]).

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::future::poll_fn;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use crate::clock;
use crate::handoff::Gate;
use crate::journal::Intake;
use crate::lease::{Command, Scan, Seq, UserId};
use crate::mesh::{AccountNews, Answer, Answered, Ask, Control, Mesh, OUTSTANDING, Query, ReturnAddress, What};
use crate::metrics::{Moment, WorkerFigures};
use crate::shard::{Overloaded, Shard};
use crate::tickets::{Ticket, Tickets};

/// Asks served in one turn; the others' clients wait, this core's own go first.
const ASKS_PER_TURN: usize = 512;
/// Expiries in one turn.
const SWEEP_PER_TURN: usize = 512;
/// Locks looked at for a list before it is known to be long, and then in one turn.
const SCAN_AT_ONCE: usize = 512;
const SCAN_PER_TURN: usize = 512;
/// Rounds that a task may go without the turn ending, before it has to rest.
const ROUNDS_PER_TURN: u32 = 16;
/// A probe of the journal answers for this long.
const PROBE_NS: u64 = 1_000_000_000;

/// One core's meeting point. Not shared: each worker has its own.
pub struct Hub {
    core: usize,
    shard: RefCell<Shard>,
    mesh: Arc<Mesh>,
    intake: Arc<Intake>,
    tickets: RefCell<Tickets<Rc<Parcel>>>,
    /// Per owner: who waits for its watermark.
    held: RefCell<Box<[Held]>>,
    turn: Turn,
    /// Lists of users with many locks, under way: the first is served, a part in each turn.
    scans: RefCell<VecDeque<(Scan, Asker)>>,
    probed: Cell<Option<(u64, Seq)>>,
    draining: Cell<bool>,
    /// Ends of turns so far.
    turns: Cell<u64>,
    /// Tasks that let others go first.
    resting: RefCell<Vec<Waker>>,
    /// What has become of accounts, and the task that acts on it.
    news: RefCell<VecDeque<Arc<AccountNews>>>,
    news_reader: Cell<Option<Waker>>,
    tally: Tally,
}

/// What the hub counts, for the ticker to publish.
#[derive(Default)]
struct Tally {
    handoffs: Cell<u64>,
    outstanding_full: Cell<u64>,
    batch_full: Cell<u64>,
}

/// How long a task has been going without a pause. On epoll an operation that is ready ends at once, without going
/// through the run queue: a client that is always ready would have its worker to itself.
#[derive(Default)]
pub struct Pace {
    turn: u64,
    rounds: u32,
}

/// An answer on its way to a connection.
pub struct Pending {
    owner: u16,
    /// It had to wait for a commit.
    waited: bool,
    /// When it was applied.
    applied: Moment,
    state: State,
}

impl Pending {
    fn new(owner: usize, applied_ns: u64, state: State) -> Pending {
        Pending { owner: owner as u16, waited: false, applied: Moment::at(applied_ns), state }
    }

    /// How long it has waited for a commit, if it had to, now that it is settled.
    pub fn commit_wait_ns(&self, now_ns: u64) -> Option<u64> {
        self.waited.then(|| self.applied.ns_until(now_ns))
    }
}

/// Why there is no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unavailable {
    /// Too much is waiting, here or at the owner or for the disk. Nothing was applied.
    Overloaded,
    /// The journal has failed. Whether it was applied will be known after the restart.
    JournalFailed,
}

enum State {
    Refused,
    Away(Rc<Parcel>),
    Here(Answered),
    Taken,
}

#[derive(Default)]
struct Parcel {
    answer: Cell<Option<Answered>>,
    applied_ns: Cell<u64>,
    waiter: Cell<Option<Waker>>,
}

/// Who is to hear of a list.
enum Asker {
    /// A connection of this core.
    Here(Rc<Parcel>),
    /// Another core.
    Away { ticket: Ticket, origin: u16 },
}

#[derive(Default)]
struct Held {
    waiters: Vec<(Seq, Waker)>,
    /// The watermark when the waiters were last looked through.
    seen: Seq,
}

/// A question whether commits succeed.
pub struct Probe {
    rests_on: Seq,
}

/// What the turn in progress is about to do at its end.
#[derive(Default)]
struct Turn {
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
}

impl Hub {
    /// The hub of core number `core`.
    pub fn new(core: usize, shard: Shard, mesh: Arc<Mesh>, intake: Arc<Intake>) -> Hub {
        let cores = mesh.cores();
        assert!(cores <= 64, "neighbours are bits of a u64");
        Hub {
            core,
            shard: RefCell::new(shard),
            mesh,
            intake,
            tickets: RefCell::new(Tickets::new(OUTSTANDING)),
            held: RefCell::new((0..cores).map(|_| Held::default()).collect()),
            turn: Turn::default(),
            scans: RefCell::default(),
            probed: Cell::new(None),
            draining: Cell::new(false),
            turns: Cell::new(0),
            resting: RefCell::default(),
            news: RefCell::default(),
            news_reader: Cell::default(),
            tally: Tally::default(),
        }
    }

    /// Applies a command here, or sends it to the core that owns the name. `now_ns` must have been read after
    /// the command arrived.
    pub fn send(&self, now_ns: u64, command: &Command<'_>) -> Pending {
        self.begin_turn();
        let owner = self.mesh.owner_of(command.name);
        if owner != self.core {
            return self.ask(owner, command.user, What::lock(command));
        }
        let state = match self.shard.borrow_mut().handle(now_ns, command) {
            Ok(reply) => State::Here(Answered::Lock(Ok(reply))),
            Err(Overloaded) => {
                add_one(&self.tally.batch_full);
                State::Refused
            }
        };
        Pending::new(owner, now_ns, state)
    }

    /// Asks every core for its share of a list.
    pub fn send_list(&self, user: UserId, query: &Query) -> Vec<Pending> {
        self.begin_turn();
        let share = |owner| {
            if owner != self.core {
                return self.ask(owner, user, What::List(Box::new(query.clone())));
            }
            let parcel = Rc::new(Parcel::default());
            let state = match self.list(user, query, Asker::Here(parcel.clone())) {
                Some(answered) => State::Here(answered),
                None => State::Away(parcel),
            };
            Pending::new(owner, 0, state)
        };
        (0..self.mesh.cores()).map(share).collect()
    }

    /// Sends something to somebody outside the mesh, who answers to the address. If that drops it, the answer says so.
    pub fn send_outside(&self, send: impl FnOnce(ReturnAddress)) -> Pending {
        self.begin_turn();
        let parcel = Rc::new(Parcel::default());
        let Ok(ticket) = self.tickets.borrow_mut().open(parcel.clone()) else {
            add_one(&self.tally.outstanding_full);
            return Pending::new(self.core, 0, State::Refused);
        };
        send(ReturnAddress::new(self.mesh.clone(), self.core, ticket));
        Pending::new(self.core, 0, State::Away(parcel))
    }

    /// The next change of an account. For the one task that acts on them.
    pub async fn account_news(&self) -> Arc<AccountNews> {
        poll_fn(|cx| match self.news.borrow_mut().pop_front() {
            Some(news) => Poll::Ready(news),
            None => {
                self.news_reader.set(Some(cx.waker().clone()));
                Poll::Pending
            }
        })
        .await
    }

    /// Asks the journal whether a commit succeeds: settles once one has. One commit a second answers for all who ask.
    pub fn send_probe(&self) -> Probe {
        self.begin_turn();
        let now_ns = clock::now_ns();
        let rests_on = match self.probed.get() {
            Some((at_ns, seq)) if now_ns.saturating_sub(at_ns) < PROBE_NS => seq,
            _ => {
                let seq = self.shard.borrow_mut().probe();
                self.probed.set(Some((now_ns, seq)));
                seq
            }
        };
        Probe { rests_on }
    }

    /// The answer, once it is here and everything it shows is durable; None before.
    pub fn settled(&self, pending: &mut Pending) -> Option<Result<Answered, Unavailable>> {
        self.begin_turn();
        if self.intake.has_failed() {
            return Some(Err(Unavailable::JournalFailed));
        }
        if let State::Away(parcel) = &pending.state {
            let answer = parcel.answer.take()?;
            pending.applied = Moment::at(parcel.applied_ns.get());
            pending.state = State::Here(answer);
        }
        match &pending.state {
            State::Here(Answered::Lock(Err(Overloaded))) | State::Refused => return Some(Err(Unavailable::Overloaded)),
            State::Here(answered) if answered.rests_on() > self.intake.watermark(pending.owner.into()).durable() => {
                pending.waited = true;
                return None;
            }
            _ => {}
        }
        match std::mem::replace(&mut pending.state, State::Taken) {
            State::Here(answered) => Some(Ok(answered)),
            _ => unreachable!("an answer is taken once"),
        }
    }

    /// Has `waker` woken when [`Hub::settled`] may have news. The woken task must ask it again, whatever else it does:
    /// the turn in progress counts on it.
    pub fn wake_when_settled(&self, pending: &Pending, waker: &Waker) {
        match &pending.state {
            State::Away(parcel) => parcel.waiter.set(Some(waker.clone())),
            State::Here(answered) => self.hold(pending.owner.into(), answered.rests_on(), waker),
            State::Refused | State::Taken => unreachable!("nobody waits for what is settled"),
        }
    }

    /// Ready once a commit has succeeded since the probe was sent.
    pub fn poll_probe(&self, probe: &Probe, cx: &mut Context<'_>) -> Poll<Result<(), Unavailable>> {
        self.begin_turn();
        if self.intake.has_failed() {
            return Poll::Ready(Err(Unavailable::JournalFailed));
        }
        if self.intake.watermark(self.core).durable() >= probe.rests_on {
            return Poll::Ready(Ok(()));
        }
        self.hold(self.core, probe.rests_on, cx.waker());
        Poll::Pending
    }

    /// The task of `waker` waits for a probe no longer, and must not be woken for it. (Tasks are told apart by their data;
    /// `will_wake` compares vtables too, of which a build may have several.)
    pub fn give_up_probe(&self, waker: &Waker) {
        self.held.borrow_mut()[self.core].waiters.retain(|(_, waiter)| waiter.data() != waker.data());
    }

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
        pace.rounds = if pace.turn == self.turns.get() { pace.rounds + 1 } else { 0 };
        if pace.rounds >= ROUNDS_PER_TURN {
            let mut has_rested = false;
            poll_fn(|cx| {
                if std::mem::replace(&mut has_rested, true) {
                    return Poll::Ready(());
                }
                // Neither a wake of its own nor one at the end of the turn would do: the runtime looks at I/O only when no task
                // is ready. The own bell is I/O, and whoever hears it wakes those that rest.
                self.resting.borrow_mut().push(cx.waker().clone());
                self.gate().ring_self();
                Poll::Pending
            })
            .await;
            pace.rounds = 0;
        }
        pace.turn = self.turns.get();
    }

    /// The bell was heard: a turn begins, and those that rest go on.
    pub fn bell_was_heard(&self) {
        self.begin_turn();
        self.resting.borrow_mut().drain(..).for_each(Waker::wake);
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
        self.turns.set(self.turns.get() + 1);
        let gate = self.gate();
        loop {
            let mut more = self.serve_inbox();
            more |= self.scan();
            more |= self.sweep();
            self.release();
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
            gate.doze(waits_for_room || self.somebody_waits());
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
        self.turns.get()
    }

    /// Whether the server is shutting down.
    pub fn is_draining(&self) -> bool {
        self.draining.get()
    }

    /// Whether the journal has failed, so that nothing can be acknowledged any more.
    pub fn has_failed(&self) -> bool {
        self.intake.has_failed()
    }

    /// What this core has done, and holds.
    pub fn figures(&self) -> WorkerFigures {
        let shard = self.shard.borrow();
        WorkerFigures {
            held: shard.held() as u64,
            expired: shard.expired(),
            handoffs: self.tally.handoffs.get(),
            outstanding_full: self.tally.outstanding_full.get(),
            batch_full: self.tally.batch_full.get(),
        }
    }

    /// How many cores there are.
    pub fn cores(&self) -> usize {
        self.mesh.cores()
    }

    fn gate(&self) -> &Gate {
        self.mesh.inbox(self.core).gate()
    }

    fn ask(&self, owner: usize, user: UserId, what: What) -> Pending {
        let parcel = Rc::new(Parcel::default());
        let Ok(ticket) = self.tickets.borrow_mut().open(parcel.clone()) else {
            add_one(&self.tally.outstanding_full);
            return Pending::new(owner, 0, State::Refused);
        };
        let ask = Ask { ticket, origin: self.core as u16, user, what };
        let state = match self.mesh.inbox(owner).post_ask(ask) {
            Ok(()) => {
                self.turn.posted.set(self.turn.posted.get() | 1 << owner);
                add_one(&self.tally.handoffs);
                State::Away(parcel)
            }
            Err(ask) => {
                self.tickets.borrow_mut().settle(ask.ticket);
                State::Refused
            }
        };
        Pending::new(owner, 0, state)
    }

    /// Takes what has arrived; true if asks remain.
    fn serve_inbox(&self) -> bool {
        let inbox = self.mesh.inbox(self.core);
        while let Some(control) = inbox.take_control() {
            match control {
                Control::Drain => self.draining.set(true),
                Control::Account(news) => {
                    self.news.borrow_mut().push_back(news);
                    if let Some(reader) = self.news_reader.take() {
                        self.wake(&reader);
                    }
                }
            }
        }
        while let Some(Answer { ticket, applied_ns, body }) = inbox.take_answer() {
            // If its client has gone the parcel is ours alone, and goes with the answer.
            let parcel = self.tickets.borrow_mut().settle(ticket);
            parcel.applied_ns.set(applied_ns);
            self.deliver(&parcel, body);
        }
        for _ in 0..ASKS_PER_TURN {
            let Some(ask) = inbox.take_ask() else { return false };
            self.serve(ask);
        }
        true
    }

    fn serve(&self, Ask { ticket, origin, user, what }: Ask) {
        let mut applied_ns = 0;
        let body = match what {
            What::Lock { name, op } => {
                // Read after the ask was taken: a deadline rests on it.
                let now_ns = clock::now_ns();
                let command = Command { user, name: &name, op: op.map(|metadata| &**metadata) };
                applied_ns = now_ns;
                let handled = self.shard.borrow_mut().handle(now_ns, &command);
                if handled.is_err() {
                    add_one(&self.tally.batch_full);
                }
                Answered::Lock(handled)
            }
            What::List(query) => match self.list(user, &query, Asker::Away { ticket, origin }) {
                Some(body) => body,
                None => return,
            },
        };
        self.post(origin, ticket, applied_ns, body);
    }

    fn post(&self, origin: u16, ticket: Ticket, applied_ns: u64, body: Answered) {
        self.mesh.inbox(origin.into()).post_answer(Answer { ticket, applied_ns, body });
        self.turn.posted.set(self.turn.posted.get() | 1 << origin);
    }

    fn deliver(&self, parcel: &Parcel, answered: Answered) {
        parcel.answer.set(Some(answered));
        if let Some(waiter) = parcel.waiter.take() {
            self.wake(&waiter);
        }
    }

    /// This core's share of a list: one row more than the page shows, which tells whether there is a next one. None if
    /// the user has many locks: then the asker hears of it when the coming turns have looked at them all.
    fn list(&self, user: UserId, query: &Query, asker: Asker) -> Option<Answered> {
        let mut scan = Scan::new(user, &query.prefix, query.after.as_deref(), query.limit + 1);
        let page = self.shard.borrow().scan(&mut scan, SCAN_AT_ONCE);
        if page.is_none() {
            self.scans.borrow_mut().push_back((scan, asker));
        }
        page.map(Answered::List)
    }

    /// Goes on with a long list; true if more is to be done.
    fn scan(&self) -> bool {
        let mut scans = self.scans.borrow_mut();
        let Some((scan, asker)) = scans.front_mut() else { return false };
        let page = self.shard.borrow().scan(scan, SCAN_PER_TURN);
        match (page, &*asker) {
            // Its client has gone.
            (_, Asker::Here(parcel)) if Rc::strong_count(parcel) == 1 => {}
            (None, _) => return true,
            (Some(page), Asker::Here(parcel)) => self.deliver(parcel, Answered::List(page)),
            (Some(page), Asker::Away { ticket, origin }) => self.post(*origin, *ticket, 0, Answered::List(page)),
        }
        scans.pop_front();
        !scans.is_empty()
    }

    /// Ends what has run out, if that is due; true if more is to be done.
    fn sweep(&self) -> bool {
        if !self.turn.sweep_is_due.get() {
            return false;
        }
        let mut shard = self.shard.borrow_mut();
        let more = !shard.sweep(clock::now_ns(), SWEEP_PER_TURN);
        // Without room in the batch there is nothing to be done now; the ticker asks again.
        let goes_on = more && shard.has_room_for_expiries();
        self.turn.sweep_is_due.set(goes_on);
        goes_on
    }

    /// Wakes the connections whose answers have become durable, and forgets what is durably gone.
    fn release(&self) {
        self.shard.borrow_mut().forget(self.intake.watermark(self.core).durable());
        let failed = self.intake.has_failed();
        for (owner, held) in self.held.borrow_mut().iter_mut().enumerate() {
            let durable = self.intake.watermark(owner).durable();
            if failed || (durable != held.seen && !held.waiters.is_empty()) {
                held.waiters.retain(|(rests_on, waiter)| {
                    let ready = failed || *rests_on <= durable;
                    if ready {
                        self.wake(waiter);
                    }
                    !ready
                });
            }
            held.seen = durable;
        }
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

    /// The second look, after the doze: whether anything came that its sender may have thought us awake for.
    fn has_news(&self) -> bool {
        let news = |(owner, held): (usize, &Held)| {
            !held.waiters.is_empty() && self.intake.watermark(owner).durable() != held.seen
        };
        !self.mesh.inbox(self.core).is_empty()
            || self.held.borrow().iter().enumerate().any(news)
            || (self.shard.borrow().has_changes() && self.intake.has_room(self.core))
            || (self.intake.has_failed() && self.somebody_waits())
    }

    fn somebody_waits(&self) -> bool {
        self.held.borrow().iter().any(|held| !held.waiters.is_empty())
    }

    fn hold(&self, owner: usize, rests_on: Seq, waker: &Waker) {
        self.held.borrow_mut()[owner].waiters.push((rests_on, waker.clone()));
    }

    fn wake(&self, waiter: &Waker) {
        self.turn.woke.set(true);
        waiter.wake_by_ref();
    }
}

fn add_one(count: &Cell<u64>) {
    count.set(count.get() + 1);
}

#[cfg(test)]
#[path = "hub_tests.rs"]
mod tests;
