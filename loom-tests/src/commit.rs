//! Models of the way to the disk and back: `watermark.rs`, and `handoff.rs` on both its ends.
//!
//! The disk is a cell that the journal writes and a released response reads; loom reports a read that no
//! ordering puts after the write.

use std::rc::Rc;

use loom::cell::UnsafeCell;

use super::handoff::Gate;
use super::sleep::sleep_unless;
use super::sync::{ArrayQueue, Bell};
use super::watermark::Watermark;
use crate::explore::{Bound, Part, explore, together};

/// One core's durable changes, and the mark that says how far they reach.
struct Core {
    disk: [UnsafeCell<()>; 2],
    mark: Watermark,
}

impl Core {
    fn new() -> Rc<Core> {
        Rc::new(Core { disk: [UnsafeCell::new(()), UnsafeCell::new(())], mark: Watermark::new() })
    }

    /// The journal syncs change `seq`, then says so.
    fn commit(&self, seq: u64) {
        self.disk[seq as usize - 1].with_mut(|_| ());
        self.mark.raise(seq);
    }

    /// A worker holds a response that rests on change `seq`, and sends it when the mark allows.
    fn hold(&self, gate: &Gate, seq: u64) {
        while self.mark.durable() < seq {
            sleep_unless(gate, true, || self.mark.durable() >= seq);
        }
        for change in &self.disk[..seq as usize] {
            change.with(|_| ());
        }
    }
}

/// What the journal does after a commit.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Writer {
    /// Raises the mark, then knocks.
    Careful,
    /// Knocks, then raises the mark.
    KnocksFirst,
}

/// A response goes out after its commit, and does go out: the worker sleeps on a mark that is another
/// core's or its own, it makes no difference.
///
/// One worker, two responses, two commits. Bound: 5 preemptions, deep none.
pub fn a_response_waits_for_its_commit_and_no_longer() {
    explore("a response waits for its commit", Bound { usual: Some(5), deep: None }, || two_commits(Writer::Careful));
}

/// The model of [`a_response_waits_for_its_commit_and_no_longer`], with a journal that may be careless.
pub fn two_commits(writer: Writer) {
    let (core, gate) = (Core::new(), Rc::new(Gate::new(Bell::new())));
    let (theirs, door) = (core.clone(), gate.clone());
    let journal = Box::new(move || {
        for seq in 1..=2 {
            if writer == Writer::KnocksFirst {
                door.knock_if_waiting();
            }
            theirs.commit(seq);
            if writer != Writer::KnocksFirst {
                door.knock_if_waiting();
            }
        }
    });
    let worker = Box::new(move || {
        core.hold(&gate, 1);
        core.hold(&gate, 2);
        assert!(gate.rings() <= 2, "the bell was rung more than once per commit");
    });
    together([journal, worker]);
}

/// Whom the bell has woken sees at once what it was woken for, though the bell itself orders no memory.
///
/// Bound: none.
pub fn what_woke_a_sleeper_is_there_at_once() {
    explore("what woke a sleeper is there at once", Bound { usual: None, deep: None }, || {
        let (core, gate) = (Core::new(), Rc::new(Gate::new(Bell::new())));
        let (theirs, door) = (core.clone(), gate.clone());
        let journal = Box::new(move || {
            theirs.commit(1);
            door.knock_if_waiting();
        });
        let worker = Box::new(move || {
            sleep_unless(&gate, true, || core.mark.durable() >= 1);
            assert!(core.mark.durable() >= 1, "woken for nothing");
        });
        together([journal, worker]);
    });
}

/// The same while another core knocks, and so wakes the worker for something else.
///
/// Bound: 3 preemptions, deep 4.
pub fn a_commit_and_a_message_may_come_together() {
    explore("a commit and a message together", Bound { usual: Some(3), deep: Some(4) }, || {
        let (core, gate) = (Core::new(), Rc::new(Gate::new(Bell::new())));
        let asks = Rc::new(ArrayQueue::new(1));
        let (theirs, door) = (core.clone(), gate.clone());
        let journal = Box::new(move || {
            theirs.commit(1);
            door.knock_if_waiting();
        });
        let (posts, door) = (asks.clone(), gate.clone());
        let other = Box::new(move || {
            assert!(posts.push(()).is_ok(), "there was room");
            door.knock();
        });
        let worker = Box::new(move || {
            let (mut asked, mut sent) = (false, false);
            while !(asked && sent) {
                asked |= asks.pop().is_some();
                sent |= core.mark.durable() >= 1;
                if !(asked && sent) {
                    sleep_unless(&gate, !sent, || !asks.is_empty() || !sent && core.mark.durable() >= 1);
                }
            }
            core.hold(&gate, 1);
        });
        together([journal, other, worker]);
    });
}

/// A worker that sleeps, but not on a commit, is not woken by one.
///
/// Bound: none.
pub fn a_commit_wakes_nobody_who_does_not_wait_for_it() {
    explore("a commit wakes nobody else", Bound { usual: None, deep: None }, || {
        let (core, gate) = (Core::new(), Rc::new(Gate::new(Bell::new())));
        let (theirs, door) = (core.clone(), gate.clone());
        let journal = Box::new(move || {
            theirs.commit(1);
            door.knock_if_waiting();
        });
        let worker = Box::new(move || {
            gate.doze(false);
            gate.rouse();
            gate.doze(false);
            assert_eq!(gate.rings(), 0, "rung by a commit it does not wait for");
        });
        together([journal, worker]);
    });
}

/// The whole round: workers hand their batches to the journal, through a queue each and one gate; it
/// sleeps between commits, and wakes those who wait.
///
/// Two workers, a batch and a response each. Bound: 2 preemptions, deep 3.
pub fn every_batch_is_committed_and_answered() {
    explore("every batch is committed and answered", Bound { usual: Some(2), deep: Some(3) }, || {
        let door = Rc::new(Gate::new(Bell::new()));
        let cores = [(); 2].map(|()| (Core::new(), Rc::new(Gate::new(Bell::new())), Rc::new(ArrayQueue::new(1))));
        let [a, b] = cores.clone().map(|(core, gate, batches)| -> Part {
            let door = door.clone();
            Box::new(move || {
                assert!(batches.push(1u64).is_ok(), "there was room");
                door.knock();
                core.hold(&gate, 1);
            })
        });
        let journal = Box::new(move || {
            let mut committed = 0;
            while committed < 2 {
                for (core, gate, batches) in &cores {
                    if let Some(seq) = batches.pop() {
                        core.commit(seq);
                        gate.knock_if_waiting();
                        committed += 1;
                    }
                }
                if committed < 2 {
                    sleep_unless(&door, false, || cores.iter().any(|(_, _, batches)| !batches.is_empty()));
                }
            }
        });
        together([a, b, journal]);
    });
}

/// An answer that rests on a commit to come is posted to another core without a knock. That core says that it waits for a
/// commit as long as its ask is out: so the commit wakes it, and it finds the answer.
///
/// Bound: 3 preemptions, deep 4.
pub fn an_answer_that_rests_on_a_commit_needs_no_knock() {
    explore("an answer without a knock", Bound { usual: Some(3), deep: Some(4) }, || {
        let (owners, gate) = (Core::new(), Rc::new(Gate::new(Bell::new())));
        let (answers, batches) = (Rc::new(ArrayQueue::new(1)), Rc::new(ArrayQueue::new(1)));
        let door = Rc::new(Gate::new(Bell::new()));
        let (posts, lane, knocks_at) = (answers.clone(), batches.clone(), door.clone());
        let owner = Box::new(move || {
            assert!(posts.push(()).is_ok() && lane.push(1u64).is_ok(), "there was room");
            knocks_at.knock();
        });
        let (theirs, asleep) = (owners.clone(), gate.clone());
        let journal = Box::new(move || {
            while batches.is_empty() {
                sleep_unless(&door, false, || !batches.is_empty());
            }
            theirs.commit(batches.pop().expect("the lane has one taker"));
            asleep.knock_if_waiting();
        });
        let asker = Box::new(move || {
            while answers.is_empty() {
                sleep_unless(&gate, true, || !answers.is_empty());
            }
            assert!(answers.pop().is_some(), "the answers have one taker");
            owners.hold(&gate, 1);
        });
        together([owner, journal, asker]);
    });
}

/// Whether a worker that has no room for its batch says, when it goes to sleep, that a commit would be news to it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Full {
    /// As the hub does.
    SaysSo,
    /// As if only answers were worth waking for.
    KeepsIt,
}

/// A worker whose lane is full keeps its batch, sleeps, and is woken when the journal has made room: nobody sleeps for
/// ever, and all is committed in order. The lane is `journal/intake.rs`' as far as this goes: a queue that one worker
/// pushes to, if it is not full, and that the journal empties before it commits.
///
/// One worker, three batches, a lane of one place. Bound: 3 preemptions, deep 4.
pub fn a_worker_without_room_goes_on_after_the_commit() {
    explore("a worker without room", Bound { usual: Some(3), deep: Some(4) }, || full_lane(Full::SaysSo));
}

/// The model of [`a_worker_without_room_goes_on_after_the_commit`], with a worker that may be careless.
pub fn full_lane(full: Full) {
    const BATCHES: u64 = 3;
    let (mark, gate, door) =
        (Rc::new(Watermark::new()), Rc::new(Gate::new(Bell::new())), Rc::new(Gate::new(Bell::new())));
    let lane = Rc::new(ArrayQueue::new(1));
    let (raises, wakes, hears, takes) = (mark.clone(), gate.clone(), door.clone(), lane.clone());
    let worker = Box::new(move || {
        let mut handed = 0;
        while handed < BATCHES {
            // The end of a turn that had changes: hand over, doze, look once more, and knock at the journal after the doze.
            let has_room = !lane.is_full();
            if has_room {
                handed += 1;
                assert!(lane.push(handed).is_ok(), "the worker is not alone in its lane");
            }
            gate.doze(!has_room && full == Full::SaysSo);
            if has_room {
                door.knock(); // and the next request wakes the worker
            } else if lane.is_full() {
                gate.bell().wait();
            }
            gate.rouse();
        }
    });
    let journal = Box::new(move || {
        let mut committed = 0;
        while committed < BATCHES {
            if let Some(batch) = takes.pop() {
                assert_eq!(batch, committed + 1, "a batch was lost, or overtaken");
                committed = batch;
                raises.raise(committed);
                wakes.knock_if_waiting();
            } else {
                sleep_unless(&hears, false, || !takes.is_empty());
            }
        }
    });
    together([worker, journal]);
    assert_eq!(mark.durable(), BATCHES, "a batch was not committed");
}
