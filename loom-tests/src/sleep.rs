//! Models of `handoff.rs`: sleeping, waking, and what the queues carry meanwhile.
//!
//! The consumer in them does what a worker does: it takes all there is, dozes, looks once more, and
//! waits at the bell only if it found nothing.

use std::cell::Cell;
use std::rc::Rc;

use super::handoff::{Gate, Inbox, Mail};
use super::sync::Bell;
use crate::explore::{Bound, Part, explore, together};

/// What the models send about.
pub struct Post;

/// "I send no more", from this producer.
pub struct Done(pub usize);

impl Mail for Post {
    /// From which producer, and its how manieth.
    type Ask = (usize, u32);
    type Answer = ();
    type Control = Done;
}

/// What a caller does with the gate: the part of the protocol that is not in `handoff.rs`.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Caller {
    /// As the header of `handoff.rs` says.
    Careful,
    /// The consumer goes to the bell without a second look.
    LooksOnce,
    /// The producer knocks before it pushes.
    KnocksFirst,
}

/// Sleeps as the owner of a gate does, unless `news` at the second look.
pub fn sleep_unless(gate: &Gate, waiting: bool, news: impl FnOnce() -> bool) {
    gate.doze(waiting);
    if !news() {
        gate.bell().wait();
    }
    gate.rouse();
}

/// Two producers, an ask each; one consumer. It gets both, however its sleep falls between them, and
/// the bell is rung at most once per sleep.
///
/// Bound: 3 preemptions, deep 4.
pub fn no_wake_up_is_lost() {
    explore("no wake-up is lost", Bound { usual: Some(3), deep: Some(4) }, || two_producers(Caller::Careful));
}

/// The model of [`no_wake_up_is_lost`], with a caller that may be careless.
pub fn two_producers(caller: Caller) {
    let inbox = Rc::new(Inbox::<Post>::new(Bell::new(), 2, 1, 1));
    let producer = |inbox: Rc<Inbox<Post>>, me| {
        Box::new(move || {
            if caller == Caller::KnocksFirst {
                inbox.gate().knock();
            }
            assert!(inbox.post_ask((me, 0)).is_ok(), "there was room");
            if caller != Caller::KnocksFirst {
                inbox.gate().knock();
            }
        })
    };
    let (a, b) = (producer(inbox.clone(), 0), producer(inbox.clone(), 1));
    let consumer = Box::new(move || {
        let (mut seen, mut sleeps) = ([false; 2], 0);
        while seen != [true; 2] {
            while let Some((from, _)) = inbox.take_ask() {
                assert!(!std::mem::replace(&mut seen[from], true), "a message came twice");
            }
            if seen != [true; 2] {
                sleeps += 1;
                sleep_unless(inbox.gate(), false, || caller != Caller::LooksOnce && !inbox.is_empty());
            }
        }
        assert!(inbox.gate().rings() <= sleeps, "the bell was rung more than once per sleep");
    });
    together([a, b, consumer]);
}

/// The smallest case with nothing left out: one producer, one ask, one consumer.
///
/// Bound: none.
pub fn one_ask_always_arrives() {
    explore("one ask always arrives", Bound { usual: None, deep: None }, || {
        let inbox = Rc::new(Inbox::<Post>::new(Bell::new(), 1, 1, 1));
        let theirs = inbox.clone();
        let producer = Box::new(move || {
            assert!(theirs.post_ask((0, 0)).is_ok(), "there was room");
            theirs.gate().knock();
        });
        let consumer = Box::new(move || {
            while inbox.take_ask().is_none() {
                sleep_unless(inbox.gate(), false, || !inbox.is_empty());
            }
        });
        together([producer, consumer]);
    });
}

/// A consumer that something else woke (its clients, its timer) leaves a ring behind or misses one; at
/// its next sleep it still loses nothing.
///
/// Bound: 5 preemptions, deep 7.
pub fn a_sleeper_woken_by_something_else_loses_nothing() {
    explore("a sleeper woken by something else", Bound { usual: Some(5), deep: Some(7) }, || {
        let inbox = Rc::new(Inbox::<Post>::new(Bell::new(), 2, 1, 1));
        let theirs = inbox.clone();
        let producer = Box::new(move || {
            for n in 0..2 {
                assert!(theirs.post_ask((0, n)).is_ok(), "there was room");
                theirs.gate().knock();
            }
        });
        let consumer = Box::new(move || {
            inbox.gate().doze(false);
            inbox.gate().rouse(); // not by the bell
            let mut next = 0;
            while next < 2 {
                while let Some((_, n)) = inbox.take_ask() {
                    assert_eq!(n, next, "messages of one producer came out of order");
                    next += 1;
                }
                if next < 2 {
                    sleep_unless(inbox.gate(), false, || !inbox.is_empty());
                }
            }
        });
        together([producer, consumer]);
    });
}

/// Two producers knock at one who sleeps once: one ring at most, and one at least if both came later.
///
/// Bound: none.
pub fn a_sleeper_is_rung_at_most_once() {
    explore("a sleeper is rung at most once", Bound { usual: None, deep: None }, || {
        let gate = Rc::new(Gate::new(Bell::new()));
        let [a, b] = [gate.clone(), gate.clone()].map(|gate| -> Part { Box::new(move || gate.knock()) });
        let sleeper = gate.clone();
        together([a, b, Box::new(move || sleeper.doze(false))]);
        assert!(gate.rings() <= 1, "the bell was rung more than once per sleep");
        assert_eq!(gate.rings() == 0, gate.is_asleep(), "one who sleeps on was rung, or one who was not is awake");
    });
}

/// A knock at one who has roused itself is no system call. Only the flag's own order says which came first,
/// so this has no second thread.
///
/// Bound: none.
pub fn one_who_is_awake_is_not_rung() {
    explore("one who is awake is not rung", Bound { usual: None, deep: None }, || {
        let gate = Gate::new(Bell::new());
        gate.knock();
        gate.doze(true);
        assert!(gate.is_asleep());
        gate.rouse();
        gate.knock();
        gate.knock_if_waiting();
        assert!(gate.rings() == 0 && !gate.is_asleep(), "rung while awake");
    });
}

/// A full queue gives the ask back, which then has had no effect; what was taken arrives once and in
/// each producer's order; the queue goes several times around.
///
/// Three asks by two producers into one place. Both say when they are done, by a control message, which
/// always finds room. Bound: 2 preemptions, deep 3.
pub fn a_full_inbox_refuses_and_loses_nothing() {
    explore("a full inbox refuses and loses nothing", Bound { usual: Some(2), deep: Some(3) }, || {
        until_all_are_done(1, [2, 1]);
    });
}

/// Each producer's last word comes after all it posted: a consumer that has heard them all, and looks
/// once more, has everything.
///
/// Two producers with an ask and a last word each; room for all. Bound: 2 preemptions, deep 3.
pub fn a_stop_finds_everything_that_came_before_it() {
    explore("a stop finds everything before it", Bound { usual: Some(2), deep: Some(3) }, || {
        until_all_are_done(2, [1, 1]);
    });
}

/// Producers that post so many asks each, without waiting for room, then say that they are done.
fn until_all_are_done(places: usize, asks: [u32; 2]) {
    let inbox = Rc::new(Inbox::<Post>::new(Bell::new(), places, 1, 2));
    let accepted = Rc::new(Cell::new([0u32; 2])); // a bit for each ask; for the last check only
    let producer = |inbox: Rc<Inbox<Post>>, accepted: Rc<Cell<[u32; 2]>>, me: usize| {
        Box::new(move || {
            for n in 0..asks[me] {
                match inbox.post_ask((me, n)) {
                    Ok(()) => {
                        let mut all = accepted.get();
                        all[me] |= 1 << n;
                        accepted.set(all);
                    }
                    Err(ask) => assert_eq!(ask, (me, n), "another ask came back"),
                }
            }
            inbox.send_control(Done(me));
        })
    };
    let (a, b) = (producer(inbox.clone(), accepted.clone(), 0), producer(inbox.clone(), accepted.clone(), 1));
    let consumer = Box::new(move || {
        let (mut done, mut got) = ([false; 2], [0u32; 2]);
        loop {
            while let Some(Done(from)) = inbox.take_control() {
                assert!(!std::mem::replace(&mut done[from], true), "a message came twice");
            }
            let last = done == [true; 2];
            while let Some((from, n)) = inbox.take_ask() {
                assert!(got[from] >> n == 0, "messages of one producer came twice or out of order");
                got[from] |= 1 << n;
            }
            if last {
                break;
            }
            sleep_unless(inbox.gate(), false, || !inbox.is_empty());
        }
        assert_eq!(got, accepted.get(), "a message was lost, or one that was refused arrived");
        let arrived = got.map(u32::count_ones).iter().sum::<u32>();
        assert_eq!(u64::from(asks[0] + asks[1] - arrived), inbox.refused(), "a refusal was not counted");
    });
    together([a, b, consumer]);
}
