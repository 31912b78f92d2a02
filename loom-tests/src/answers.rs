//! Models of the way there and back: `handoff.rs` with the asker's `tickets.rs`.

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
fn hear(inbox: &Inbox<Mesh>, tickets: &mut Tickets<u32>) -> usize {
    let mut heard = 0;
    while heard == 0 {
        while let Some((ticket, client)) = inbox.take_answer() {
            if let Some(waiter) = tickets.settle(ticket) {
                assert_eq!(waiter, client, "an answer reached another's client");
            }
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
                let ticket = tickets.open(client).expect("an answer has come");
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

/// A client leaves while its answer is under way. The next one gets no ticket before that answer has
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
            let ask = |tickets: &mut Tickets<u32>, client| {
                let ticket = tickets.open(client)?;
                assert!(inbox.post_ask((ticket, client)).is_ok(), "there was room");
                inbox.gate().knock();
                Ok(ticket)
            };
            let gone = ask(&mut tickets, 0).expect("all tickets are free");
            tickets.abandon(gone);
            let mut heard = 0;
            if let Err(client) = ask(&mut tickets, 1) {
                heard += hear(&asker, &mut tickets);
                ask(&mut tickets, client).expect("the answer has come");
            }
            while heard < 2 {
                heard += hear(&asker, &mut tickets);
            }
            assert_eq!((heard, tickets.outstanding()), (2, 0), "more answers came than asks were sent");
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
            assert_eq!(tickets.settle(ticket), Some(client), "another ask came back"); // the client gets 503
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
            assert_eq!(tickets.settle(ticket), Some(client), "an answer reached another's client");
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
