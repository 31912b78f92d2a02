//! Who waits for a commit: per owner, the tasks of this core whose answers rest on changes that are not durable yet.

use std::cell::RefCell;
use std::task::Waker;

use crate::journal::Intake;
use crate::lease::Seq;

/// The tasks that wait, by the core whose watermark they wait for.
pub(super) struct Waiters(RefCell<Box<[Held]>>);

#[derive(Default)]
struct Held {
    waiters: Vec<(Seq, Waker)>,
    /// The watermark when the waiters were last looked through.
    seen: Seq,
}

impl Waiters {
    /// Nobody, for so many cores.
    pub fn new(cores: usize) -> Waiters {
        Waiters(RefCell::new((0..cores).map(|_| Held::default()).collect()))
    }

    /// Has `waker` woken once the owner's changes are durable up to `rests_on`.
    pub fn add(&self, owner: usize, rests_on: Seq, waker: &Waker) {
        self.0.borrow_mut()[owner].waiters.push((rests_on, waker.clone()));
    }

    /// The task of `waker` no longer waits for `owner`. (Tasks are told apart by their data; `will_wake` compares vtables
    /// too, of which a build may have several.)
    pub fn forget(&self, owner: usize, waker: &Waker) {
        self.0.borrow_mut()[owner].waiters.retain(|(_, waiter)| waiter.data() != waker.data());
    }

    /// Gives those to `wake` who need wait no longer: all of them, if the journal has failed.
    pub fn release(&self, intake: &Intake, wake: impl Fn(Waker)) {
        let failed = intake.has_failed();
        for (owner, held) in self.0.borrow_mut().iter_mut().enumerate() {
            let durable = intake.watermark(owner).durable();
            if failed || (durable != held.seen && !held.waiters.is_empty()) {
                let ready = held.waiters.extract_if(.., |(rests_on, _)| failed || *rests_on <= durable);
                ready.for_each(|(_, waiter)| wake(waiter));
            }
            held.seen = durable;
        }
    }

    /// Whether somebody waits.
    pub fn any(&self) -> bool {
        self.0.borrow().iter().any(|held| !held.waiters.is_empty())
    }

    /// Whether somebody waits for a watermark that has moved since [`Waiters::release`].
    pub fn has_news(&self, intake: &Intake) -> bool {
        let news =
            |(owner, held): (usize, &Held)| !held.waiters.is_empty() && intake.watermark(owner).durable() != held.seen;
        self.0.borrow().iter().enumerate().any(news)
    }
}
