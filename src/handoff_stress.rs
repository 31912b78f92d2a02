//! The handoff as it ships, crossbeam's queue and the kernel's eventfd included, under real threads.
//!
//! loom explores every interleaving of a stand-in; this runs a great many of the real thing, and it is what
//! Miri and ThreadSanitizer run (`scripts/sanitize`). No assertion here is about time.

use std::thread;
use std::time::Duration;

use crate::clock;
use crate::handoff::{Gate, Inbox, Mail};
use crate::sync::{Arc, Bell, Ordering};
use crate::tickets::{Ticket, Tickets};
use crate::watermark::Watermark;

/// From each of two threads; fewer under Miri, which is some thousand times slower.
const MESSAGES: u64 = if cfg!(miri) { 100 } else { 500_000 };

/// Longer than any pause here: whoever has slept so long has lost a wake-up.
const FOR_EVER_US: u64 = 60_000_000;

struct Post;

impl Mail for Post {
    /// From which producer, and its how manieth.
    type Ask = (usize, u64);
    type Answer = ();
    /// "I send no more."
    type Control = usize;
}

struct Mesh;

impl Mail for Mesh {
    type Ask = (Ticket, u64);
    type Answer = (Ticket, u64);
    type Control = ();
}

/// xorshift: pauses need no better randomness, and a fixed seed.
struct Pauses(u64);

impl Pauses {
    /// Mostly goes on, sometimes gives way, rarely sleeps.
    fn pause(&mut self) {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        match self.0 % 4096 {
            0 => thread::sleep(Duration::from_micros(self.0 >> 57)),
            1..64 => thread::yield_now(),
            _ => {}
        }
    }
}

fn bell() -> Bell {
    Bell::new(true).expect("an eventfd")
}

/// Sleeps as the owner of a gate does, unless there is news at the second look.
fn sleep_unless(gate: &Gate, waiting: bool, news: impl FnOnce() -> bool) {
    gate.doze(waiting);
    if !news() {
        park(gate);
    }
    gate.rouse();
}

fn park(gate: &Gate) {
    if cfg!(miri) {
        // Miri has no ppoll(2); the flag is set just before the bell is rung. A lost wake-up never ends.
        while gate.is_asleep() {
            thread::yield_now();
        }
    } else {
        let since_ns = clock::now_ns();
        gate.bell().wait(FOR_EVER_US);
        assert!(clock::now_ns() - since_ns < FOR_EVER_US * 1_000, "a wake-up was lost");
    }
}

#[test]
fn a_million_messages_arrive_once_and_in_order_at_a_consumer_that_sleeps() {
    let inbox = Arc::new(Inbox::<Post>::new(bell(), 64, 1, 2));
    let producers = [0, 1].map(|me| {
        let inbox = inbox.clone();
        thread::spawn(move || {
            let mut pauses = Pauses(88_172_645_463_325_252 + me as u64);
            let mut refused = 0;
            for n in 0..MESSAGES {
                while let Err(ask) = inbox.post_ask((me, n)) {
                    assert_eq!(ask, (me, n));
                    refused += 1;
                    thread::yield_now();
                }
                inbox.gate().knock();
                pauses.pause();
            }
            inbox.send_control(me);
            refused
        })
    });
    let (mut next, mut done, mut sleeps) = ([0; 2], [false; 2], 0);
    let mut pauses = Pauses(2_463_534_242);
    loop {
        while let Some(from) = inbox.take_control() {
            done[from] = true;
        }
        let last = done == [true; 2];
        while let Some((from, n)) = inbox.take_ask() {
            assert_eq!(n, next[from], "lost, doubled or out of order");
            next[from] += 1;
            pauses.pause();
        }
        if last {
            break;
        }
        sleeps += 1;
        sleep_unless(inbox.gate(), false, || !inbox.is_empty());
    }
    let refused: u64 = producers.into_iter().map(|producer| producer.join().unwrap()).sum();
    assert_eq!(next, [MESSAGES; 2]);
    assert_eq!(refused, inbox.refused());
    assert!(inbox.gate().rings() <= sleeps, "more than one ring per sleep");
}

#[test]
fn two_workers_full_of_each_other_s_asks_refuse_and_finish() {
    let inboxes = [(); 2].map(|()| Arc::new(Inbox::<Mesh>::new(bell(), 8, 32, 1)));
    let workers = [0, 1].map(|me| {
        let (mine, theirs) = (inboxes[me].clone(), inboxes[1 - me].clone());
        thread::spawn(move || work(&mine, &theirs))
    });
    let counts = workers.map(|worker| worker.join().unwrap());
    for (me, (answered, refused)) in counts.into_iter().enumerate() {
        assert_eq!(answered + refused, MESSAGES, "an ask was neither answered nor refused");
        assert_eq!(refused, inboxes[1 - me].refused());
    }
}

/// Asks as often as it has tickets, several asks to a knock, and answers the other in between; leaves
/// when both have asked enough. Returns how many asks
/// were answered, and how many refused.
fn work(mine: &Inbox<Mesh>, theirs: &Inbox<Mesh>) -> (u64, u64) {
    let mut tickets = Tickets::new(32);
    let (mut asked, mut answered, mut refused) = (0, 0, 0);
    let (mut said, mut heard) = (false, false);
    let mut pauses = Pauses(362_436_069);
    while !(said && heard) {
        for _ in 0..16 {
            if asked == MESSAGES {
                break;
            }
            let Ok(ticket) = tickets.open(asked) else { break };
            match theirs.post_ask((ticket, asked)) {
                Ok(()) => {}
                Err((ticket, client)) => {
                    assert_eq!(tickets.settle(ticket), client);
                    refused += 1;
                }
            }
            asked += 1;
            pauses.pause();
        }
        theirs.gate().knock();
        while let Some((ticket, client)) = mine.take_ask() {
            theirs.post_answer((ticket, client));
        }
        theirs.gate().knock();
        while let Some((ticket, client)) = mine.take_answer() {
            assert_eq!(tickets.settle(ticket), client, "another's answer");
            answered += 1;
        }
        heard |= mine.take_control().is_some();
        if asked == MESSAGES && tickets.outstanding() == 0 && !said {
            theirs.send_control(());
            said = true;
        }
        let idle = asked == MESSAGES || tickets.outstanding() == tickets.capacity();
        if idle && !(said && heard) {
            sleep_unless(mine.gate(), false, || !mine.is_empty());
        }
    }
    (answered, refused)
}

#[test]
fn no_response_goes_out_before_its_commit_and_none_is_kept() {
    let (mark, door) = (Arc::new(Watermark::new()), Arc::new(Gate::new(bell())));
    let disk: Arc<[_]> = (0..MESSAGES).map(|_| crate::sync::AtomicBool::new(false)).collect();
    let journal = {
        let (mark, door, disk) = (mark.clone(), door.clone(), disk.clone());
        thread::spawn(move || {
            let mut pauses = Pauses(521_288_629);
            for seq in 1..=MESSAGES {
                disk[seq as usize - 1].store(true, Ordering::Relaxed); // only the mark orders it
                mark.raise(seq);
                door.knock_if_waiting();
                pauses.pause();
            }
        })
    };
    for seq in 1..=MESSAGES {
        while mark.durable() < seq {
            sleep_unless(&door, true, || mark.durable() >= seq);
        }
        assert!(disk[seq as usize - 1].load(Ordering::Relaxed), "released before its commit");
    }
    journal.join().unwrap();
}
