//! Models of the way there and back: `handoff.rs` with the asker's `tickets.rs`.

use std::cell::Cell;
use std::rc::Rc;

use super::handoff::{Inbox, Mail};
use super::sleep::sleep_unless;
use super::sync::Bell;
use super::tickets::{Ticket, Tickets};
use crate::explore::{Bound, Part, explore, together};

/// Asks and answers, as the mesh sends them.
struct Mesh;

impl Mail for Mesh {
    /// The asker's ticket, and the client for whom it was opened.
    type Ask = (Ticket, u32);
    type Answer = (Ticket, u32);
    /// "I need no more answers, and ask no more."
    type Control = ();
}

/// Where a client waits, as in the hub: the client has a share of it and the ticket's place has one. A client that goes
/// drops its own, and tells nobody.
#[derive(Debug)]
struct Parcel {
    client: u32,
    has_come: Cell<bool>,
}

impl Parcel {
    fn of(client: u32) -> Rc<Parcel> {
        Rc::new(Parcel { client, has_come: Cell::new(false) })
    }
}

/// An owner answers what it is asked, so many times, and sleeps between.
fn owner(inbox: Rc<Inbox<Mesh>>, asker: Rc<Inbox<Mesh>>, times: usize) -> Part {
    Box::new(move || {
        let mut answered = 0;
        while answered < times {
            while let Some((ticket, client)) = inbox.take_ask() {
                asker.post_answer((ticket, client));
                asker.gate().knock();
                answered += 1;
            }
            if answered < times {
                sleep_unless(inbox.gate(), false, || !inbox.is_empty());
            }
        }
    })
}

/// The asker waits for one answer at least, and takes all that have come.
fn hear(inbox: &Inbox<Mesh>, tickets: &mut Tickets<Rc<Parcel>>) -> usize {
    let mut heard = 0;
    while heard == 0 {
        while let Some((ticket, client)) = inbox.take_answer() {
            let parcel = tickets.settle(ticket);
            assert_eq!(parcel.client, client, "an answer reached another's client");
            assert!(!parcel.has_come.replace(true), "an answer came twice");
            heard += 1;
        }
        if heard == 0 {
            sleep_unless(inbox.gate(), false, || !inbox.is_empty());
        }
    }
    heard
}

/// Two owners answer one asker, out of turn: the places for answers go round, and the owner that was
/// overtaken must see that there is room again (`post_answer` panics if not). Nothing but the queue tells it.
///
/// Two tickets, two places, three asks. Bound: 1 preemption, deep 2.
pub fn an_answer_always_finds_its_place() {
    explore("an answer always finds its place", Bound { usual: Some(1), deep: Some(2) }, || {
        let asker = Rc::new(Inbox::<Mesh>::new(Bell::new(), 1, 2, 1));
        let owners = [(); 2].map(|()| Rc::new(Inbox::<Mesh>::new(Bell::new(), 2, 1, 1)));
        let (slow, quick) = (owner(owners[0].clone(), asker.clone(), 1), owner(owners[1].clone(), asker.clone(), 2));
        let asks = Box::new(move || {
            let mut tickets = Tickets::new(2);
            let mut answers = 0;
            for (client, owner) in [(0, 0), (1, 1), (2, 1)] {
                if tickets.outstanding() == tickets.capacity() {
                    answers += hear(&asker, &mut tickets);
                }
                let ticket = tickets.open(Parcel::of(client)).expect("an answer has come");
                assert!(owners[owner].post_ask((ticket, client)).is_ok(), "there was room");
                owners[owner].gate().knock();
            }
            while answers < 3 {
                answers += hear(&asker, &mut tickets);
            }
        });
        together([slow, quick, asks]);
    });
}

/// A client leaves while its answer is under way, and tells nobody. The next one gets no ticket before that answer has
/// come, never sees it, and the queue of answers, which has one place, does not overflow.
///
/// One asker, one owner, two clients of whom the first leaves. Bound: 4 preemptions, deep 5.
pub fn a_client_that_has_gone_leaves_its_place_taken() {
    explore("a client that has gone leaves its place taken", Bound { usual: Some(4), deep: Some(5) }, || {
        let asker = Rc::new(Inbox::<Mesh>::new(Bell::new(), 1, 1, 1));
        let inbox = Rc::new(Inbox::<Mesh>::new(Bell::new(), 2, 1, 1));
        let answers = owner(inbox.clone(), asker.clone(), 2);
        let asks = Box::new(move || {
            let mut tickets = Tickets::new(1);
            let ask = |tickets: &mut Tickets<Rc<Parcel>>, parcel: &Rc<Parcel>| {
                let ticket = tickets.open(parcel.clone())?;
                assert!(inbox.post_ask((ticket, parcel.client)).is_ok(), "there was room");
                inbox.gate().knock();
                Ok::<_, Rc<Parcel>>(())
            };
            let (gone, next) = (Parcel::of(0), Parcel::of(1));
            ask(&mut tickets, &gone).expect("all tickets are free");
            drop(gone);
            let mut heard = 0;
            if ask(&mut tickets, &next).is_err() {
                heard += hear(&asker, &mut tickets);
                assert!(!next.has_come.get(), "an answer to nothing");
                ask(&mut tickets, &next).expect("the answer has come");
            }
            while heard < 2 {
                heard += hear(&asker, &mut tickets);
            }
            assert_eq!((heard, tickets.outstanding()), (2, 0), "more answers came than asks were sent");
            assert!(next.has_come.get() && Rc::strong_count(&next) == 1, "the second client has no answer");
        });
        together([answers, asks]);
    });
}

/// Two workers, each full of the other's asks, keep asking: what finds no room comes back, and both get
/// to their ends. Neither ever waits for room.
///
/// Each asks the other twice, into one place. Bound: 3 preemptions, deep 4.
pub fn workers_that_ask_each_other_never_wait_for_room() {
    explore("workers that ask each other", Bound { usual: Some(3), deep: Some(4) }, || {
        let inboxes = [(); 2].map(|()| Rc::new(Inbox::<Mesh>::new(Bell::new(), 1, 2, 1)));
        let [a, b] = [0, 1].map(|me| -> Part {
            let (mine, theirs) = (inboxes[me].clone(), inboxes[1 - me].clone());
            Box::new(move || work(&mine, &theirs))
        });
        together([a, b]);
    });
}

/// Asks twice, then answers and hears until nobody needs the other any more.
fn work(mine: &Inbox<Mesh>, theirs: &Inbox<Mesh>) {
    let mut tickets = Tickets::new(2);
    for client in 0..2 {
        let ticket = tickets.open(client).expect("a ticket for each");
        if let Err((ticket, client)) = theirs.post_ask((ticket, client)) {
            assert_eq!(tickets.settle(ticket), client, "another ask came back"); // the client gets 503
        }
    }
    theirs.gate().knock();
    let (mut said, mut heard) = (false, false);
    loop {
        while let Some((ticket, client)) = mine.take_ask() {
            theirs.post_answer((ticket, client));
            theirs.gate().knock();
        }
        while let Some((ticket, client)) = mine.take_answer() {
            assert_eq!(tickets.settle(ticket), client, "an answer reached another's client");
        }
        heard |= mine.take_control().is_some();
        if tickets.outstanding() == 0 && !said {
            theirs.send_control(());
            said = true;
        }
        if said && heard {
            break;
        }
        sleep_unless(mine.gate(), false, || !mine.is_empty());
    }
}
