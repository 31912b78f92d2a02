//! What a handoff costs, there and back between two threads that sleep and wake as the workers do.
//!
//! A round trip is an ask pushed, the owner woken if it sleeps, the answer pushed, the asker woken if it sleeps.
//! "At depth n" n asks cross together, with one knock for all, and their n answers likewise. The sides are either
//! *parked*, sleeping on their eventfds as soon as nothing is there, or *awake*, looking again without a pause and so
//! never rung; beside them a bare pair of crossbeam `ArrayQueue`s between two threads that spin. Wall time of a whole round trip
//! of n; what the gate costs is "awake" less "bare queues".
//! With fewer than two idle cores the spinning ones measure the scheduler.

use std::hint::spin_loop;
use std::thread;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use octostore::handoff::{Inbox, Mail};
use octostore::sync::{Arc, ArrayQueue, AtomicBool, Bell, Ordering};

const DEPTHS: [u64; 3] = [1, 16, 64];
/// Places in every queue.
const ROOM: usize = 64;
/// A sleeper that nobody wakes looks by itself after this long: only the end of a bench needs it.
const LONGEST_SLEEP_US: u64 = 100_000;

struct Post;

impl Mail for Post {
    type Ask = u64;
    type Answer = u64;
    type Control = ();
}

type Mailbox = Arc<Inbox<Post>>;

fn mailbox() -> Mailbox {
    Arc::new(Inbox::new(Bell::new(false).expect("an eventfd"), ROOM, ROOM, 1))
}

/// Looks again at once, or, having looked in vain for long, lets another thread of this core run.
#[derive(Default)]
struct Spin(u32);

impl Spin {
    fn again(&mut self) {
        self.0 += 1;
        if self.0.is_multiple_of(4096) { thread::yield_now() } else { spin_loop() }
    }
}

/// The end of a turn in which there was nothing to do.
fn rest(inbox: &Inbox<Post>, parks: bool, spin: &mut Spin) {
    if parks {
        inbox.gate().doze(false);
        if inbox.is_empty() {
            inbox.gate().bell().wait(LONGEST_SLEEP_US);
        }
        inbox.gate().rouse();
    } else {
        spin.again();
    }
}

/// Answers every ask, one knock a turn, until `stop`.
fn serve(inbox: &Inbox<Post>, asker: &Inbox<Post>, parks: bool, stop: &AtomicBool) {
    let mut spin = Spin::default();
    while !stop.load(Ordering::Relaxed) {
        let mut served = false;
        while let Some(ask) = inbox.take_ask() {
            asker.post_answer(ask);
            served = true;
        }
        if served {
            asker.gate().knock();
        } else {
            rest(inbox, parks, &mut spin);
        }
    }
}

/// Sends `depth` asks and waits for all their answers.
fn round(inbox: &Inbox<Post>, owner: &Inbox<Post>, parks: bool, depth: u64) {
    for ask in 0..depth {
        owner.post_ask(ask).expect("there is room for all that are outstanding");
    }
    owner.gate().knock();
    let (mut answered, mut spin) = (0, Spin::default());
    while answered < depth {
        let before = answered;
        while inbox.take_answer().is_some() {
            answered += 1;
        }
        if answered == before {
            rest(inbox, parks, &mut spin);
        }
    }
}

/// The same with nothing but the two queues.
fn bare_round(there: &ArrayQueue<u64>, back: &ArrayQueue<u64>, depth: u64) {
    for ask in 0..depth {
        there.push(ask).expect("there is room for all that are outstanding");
    }
    let (mut answered, mut spin) = (0, Spin::default());
    while answered < depth {
        match back.pop() {
            Some(_) => answered += 1,
            None => spin.again(),
        }
    }
}

fn handoff(c: &mut Criterion) {
    let mut group = c.benchmark_group("handoff/round trip");
    for depth in DEPTHS {
        group.throughput(Throughput::Elements(depth));
        for (name, parks) in [("parked", true), ("awake", false)] {
            let (asker, owner, stop) = (mailbox(), mailbox(), Arc::new(AtomicBool::new(false)));
            let server = {
                let (asker, owner, stop) = (asker.clone(), owner.clone(), stop.clone());
                thread::spawn(move || serve(&owner, &asker, parks, &stop))
            };
            group.bench_function(BenchmarkId::new(name, depth), |b| b.iter(|| round(&asker, &owner, parks, depth)));
            stop.store(true, Ordering::Relaxed);
            owner.gate().knock();
            server.join().expect("the owner ends");
        }
        let (there, back) = (Arc::new(ArrayQueue::new(ROOM)), Arc::new(ArrayQueue::new(ROOM)));
        let stop = Arc::new(AtomicBool::new(false));
        let server = {
            let (there, back, stop) = (there.clone(), back.clone(), stop.clone());
            thread::spawn(move || {
                let mut spin = Spin::default();
                while !stop.load(Ordering::Relaxed) {
                    match there.pop() {
                        Some(ask) => back.push(ask).expect("there is room for all that are outstanding"),
                        None => spin.again(),
                    }
                }
            })
        };
        group.bench_function(BenchmarkId::new("bare queues", depth), |b| b.iter(|| bare_round(&there, &back, depth)));
        stop.store(true, Ordering::Relaxed);
        server.join().expect("the owner ends");
    }
    group.finish();
}

criterion_group!(benches, handoff);
criterion_main!(benches);
