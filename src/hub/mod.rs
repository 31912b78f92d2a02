//! The hub: where one core's requests, asks, answers and commits meet.
//!
//! Everything a worker does to locks goes through its hub, on its own thread. [`Hub::send`] applies a
//! command to this core's shard, or hands it to the owner's; [`Pending`] is the place where the
//! connection waits, first for the owner's answer, then for the owner's watermark.
//!
//! Work happens in *turns*: `turn.rs` says how one begins and what is done at its end. Beside its first purpose a hub has
//! three smaller ones, each in its file: lists that are made in parts (`lists.rs`), news of accounts (`news.rs`), and
//! probes of the journal (`probe.rs`).

mod lists;
mod news;
mod pending;
mod probe;
mod turn;
mod waiters;

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;
use std::task::Waker;

pub use pending::{Pending, Unavailable};
pub use probe::Probe;
pub use turn::Pace;

use self::lists::{Asker, Lists};
use self::news::News;
use self::pending::{Parcel, State};
use self::turn::Turn;
use self::waiters::Waiters;
use crate::clock;
use crate::handoff::Gate;
use crate::journal::Intake;
use crate::lease::{Command, Seq, UserId};
use crate::mesh::{AccountNews, Answer, Answered, Ask, Control, Mesh, OUTSTANDING, Query, ReturnAddress, What};
use crate::metrics::WorkerFigures;
use crate::shard::{Overloaded, Shard};
use crate::tickets::{Ticket, Tickets};

/// Asks served in one turn; the others' clients wait, this core's own go first.
const ASKS_PER_TURN: usize = 512;

/// One core's meeting point. Not shared: each worker has its own.
pub struct Hub {
    core: usize,
    shard: RefCell<Shard>,
    mesh: Arc<Mesh>,
    intake: Arc<Intake>,
    tickets: RefCell<Tickets<Rc<Parcel>>>,
    waiters: Waiters,
    turn: Turn,
    lists: Lists,
    news: News,
    /// When the journal was last probed, and the number of that probe.
    probed: Cell<Option<(u64, Seq)>>,
    draining: Cell<bool>,
    tally: Tally,
}

/// What the hub counts, for the ticker to publish.
#[derive(Default)]
struct Tally {
    handoffs: Cell<u64>,
    outstanding_full: Cell<u64>,
    batch_full: Cell<u64>,
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
            waiters: Waiters::new(cores),
            turn: Turn::default(),
            lists: Lists::default(),
            news: News::default(),
            probed: Cell::new(None),
            draining: Cell::new(false),
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
        self.news.next().await
    }

    /// The answer, once it is here and everything it shows is durable; None before.
    pub fn settled(&self, pending: &mut Pending) -> Option<Result<Answered, Unavailable>> {
        self.begin_turn();
        pending.settle(&self.intake)
    }

    /// Has `waker` woken when [`Hub::settled`] may have news. The woken task must ask it again, whatever else it does:
    /// the turn in progress counts on it.
    pub fn wake_when_settled(&self, pending: &Pending, waker: &Waker) {
        pending.wake_when_settled(&self.waiters, waker);
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
                self.turn.has_posted_to(owner);
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
                    if let Some(reader) = self.news.add(news) {
                        self.turn.wake(reader);
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
        // Nobody may see it before a commit that has not begun: then it is time enough to wake the origin, and the
        // journal does that, for whoever has asks outstanding. Should it fail instead, the origin tells them by itself.
        let a_commit_wakes_it = self.shard.borrow().is_open(body.rests_on());
        self.mesh.inbox(origin.into()).post_answer(Answer { ticket, applied_ns, body });
        if !a_commit_wakes_it {
            self.turn.has_posted_to(origin.into());
        }
    }

    fn deliver(&self, parcel: &Parcel, answered: Answered) {
        parcel.answer.set(Some(answered));
        if let Some(waiter) = parcel.waiter.take() {
            self.turn.wake(waiter);
        }
    }

    /// This core's share of a list. None if the user has many locks: then the asker hears of it some turns later.
    fn list(&self, user: UserId, query: &Query, asker: Asker) -> Option<Answered> {
        self.lists.begin(&self.shard.borrow(), user, query, asker).map(Answered::List)
    }

    /// Goes on with a long list; true if more is to be done.
    fn go_on_with_lists(&self) -> bool {
        if self.lists.are_done() {
            return false;
        }
        let whole = self.lists.go_on(&self.shard.borrow());
        match whole {
            None => {}
            Some((Asker::Here(parcel), page)) => self.deliver(&parcel, Answered::List(page)),
            Some((Asker::Away { ticket, origin }, page)) => self.post(origin, ticket, 0, Answered::List(page)),
        }
        !self.lists.are_done()
    }
}

fn add_one(count: &Cell<u64>) {
    count.set(count.get() + 1);
}

#[cfg(test)]
mod tests;
