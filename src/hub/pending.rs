//! An answer on its way to a connection: first it waits to come home, if another core owns the name, and then for the
//! owner's watermark to pass the change that it rests on.

use std::cell::Cell;
use std::mem;
use std::rc::Rc;
use std::task::Waker;

use super::waiters::Waiters;
use crate::journal::Intake;
use crate::mesh::Answered;
use crate::metrics::Moment;
use crate::shard::Overloaded;

/// An answer on its way to a connection.
pub struct Pending {
    owner: u16,
    /// It had to wait for a commit.
    waited: bool,
    /// When it was applied.
    applied: Moment,
    state: State,
}

/// Why there is no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unavailable {
    /// Too much is waiting, here or at the owner or for the disk. Nothing was applied.
    Overloaded,
    /// The journal has failed. Whether it was applied will be known after the restart.
    JournalFailed,
}

/// Where it is.
pub(super) enum State {
    Refused,
    Away(Rc<Parcel>),
    Here(Answered),
    Taken,
}

/// What a ticket stands for: the place where an answer is put when it comes home.
#[derive(Default)]
pub(super) struct Parcel {
    pub answer: Cell<Option<Answered>>,
    pub applied_ns: Cell<u64>,
    pub waiter: Cell<Option<Waker>>,
}

impl Pending {
    pub(super) fn new(owner: usize, applied_ns: u64, state: State) -> Pending {
        Pending { owner: owner as u16, waited: false, applied: Moment::at(applied_ns), state }
    }

    /// How long it has waited for a commit, if it had to, now that it is settled.
    pub fn commit_wait_ns(&self, now_ns: u64) -> Option<u64> {
        self.waited.then(|| self.applied.ns_until(now_ns))
    }

    /// The answer, once it is here and everything it shows is durable; None before.
    pub(super) fn settle(&mut self, intake: &Intake) -> Option<Result<Answered, Unavailable>> {
        if intake.has_failed() {
            return Some(Err(Unavailable::JournalFailed));
        }
        if let State::Away(parcel) = &self.state {
            let answer = parcel.answer.take()?;
            self.applied = Moment::at(parcel.applied_ns.get());
            self.state = State::Here(answer);
        }
        match &self.state {
            State::Here(Answered::Lock(Err(Overloaded))) | State::Refused => return Some(Err(Unavailable::Overloaded)),
            State::Here(answered) if answered.rests_on() > intake.watermark(self.owner.into()).durable() => {
                self.waited = true;
                return None;
            }
            _ => {}
        }
        match mem::replace(&mut self.state, State::Taken) {
            State::Here(answered) => Some(Ok(answered)),
            _ => unreachable!("an answer is taken once"),
        }
    }

    /// Has `waker` woken when [`Pending::settle`] may have news.
    pub(super) fn wake_when_settled(&self, waiters: &Waiters, waker: &Waker) {
        match &self.state {
            State::Away(parcel) => parcel.waiter.set(Some(waker.clone())),
            State::Here(answered) => waiters.add(self.owner.into(), answered.rests_on(), waker),
            State::Refused | State::Taken => unreachable!("nobody waits for what is settled"),
        }
    }
}
