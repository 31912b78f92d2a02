//! Runs a model: through all its interleavings, up to a bound on preemptions.
//!
//! A preemption is a switch away from a thread that could have gone on. Most faults in lock-free code
//! show with two or three (Musuvathi and Qadeer, "Iterative context bounding", 2007); without a bound
//! only the smallest models end. `OCTOSTORE_LOOM=deep` takes each model's higher bound, and loom's own
//! `LOOM_MAX_PREEMPTIONS` overrides both.

use std::cell::{Cell, RefCell};
use std::env;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use loom::thread::{self, Thread};

/// What a model fails with when everybody sleeps and no bell rings.
pub const LOST: &str = "everybody sleeps: a wake-up was lost";

/// How many preemptions are explored; None for all.
#[derive(Clone, Copy, Debug)]
pub struct Bound {
    /// In a run of minutes.
    pub usual: Option<usize>,
    /// In a deep run.
    pub deep: Option<usize>,
}

/// A model that takes longer than this fails: it must end, not stop.
const PATIENCE: Duration = Duration::from_secs(1800);
/// The length of the longest run that is followed: far above any here, so that a spin without end is noticed.
const LONGEST_RUN: usize = 10_000;

/// One part of a model: what one thread does.
pub type Part = Box<dyn FnOnce()>;

/// Explores a model, and says how many runs it had.
///
/// # Panics
/// With whatever the model found.
pub fn explore(name: &str, bound: Bound, model: impl Fn() + Send + Sync + 'static) {
    let mut builder = loom::model::Builder::new();
    let deep = env::var("OCTOSTORE_LOOM").is_ok_and(|depth| depth == "deep");
    builder.preemption_bound = builder.preemption_bound.or(if deep { bound.deep } else { bound.usual });
    builder.max_branches = LONGEST_RUN;
    builder.checkpoint_interval = 1000; // how often `max_duration` is looked at
    builder.max_duration = Some(PATIENCE);
    builder.max_permutations = None;
    let runs = Arc::new(AtomicU64::new(0));
    let counted = runs.clone();
    let started = Instant::now();
    builder.check(move || {
        counted.fetch_add(1, Ordering::Relaxed);
        model();
    });
    let bound = builder.preemption_bound.map_or("all preemptions".to_owned(), |n| format!("up to {n} preemptions"));
    let seconds = started.elapsed().as_secs_f64();
    println!("loom: {:>8} runs, {bound}, {seconds:.1} s: {name}", runs.load(Ordering::Relaxed));
    assert!(started.elapsed() < PATIENCE, "{name} was not explored to the end in {PATIENCE:?}");
}

// All threads of a model are coroutines of one thread, so these need no atomics, and loom does not see them.
thread_local! {
    static RUNNING: Cell<usize> = const { Cell::new(0) };
    static ASLEEP: Cell<usize> = const { Cell::new(0) };
    static RUNG: RefCell<Vec<Thread>> = const { RefCell::new(Vec::new()) };
    static PAUSED: RefCell<Vec<Thread>> = const { RefCell::new(Vec::new()) };
}

/// Runs the parts of a model side by side, to their ends; the last one in the calling thread.
pub fn together<const N: usize>(parts: [Part; N]) {
    RUNNING.set(N);
    ASLEEP.set(0);
    RUNG.take();
    PAUSED.take();
    let run = |part: Part| {
        part();
        RUNNING.set(RUNNING.get() - 1);
    };
    let mut threads = vec![thread::spawn(wake_sleepers)];
    let mut parts = Vec::from(parts);
    let own = parts.pop();
    threads.extend(parts.into_iter().map(|part| thread::spawn(move || run(part))));
    if let Some(part) = own {
        run(part);
    }
    for thread in threads {
        thread.join().expect("a part that panicked ends the model");
    }
}

/// What the kernel does: wakes those whose bell was rung, and lets those who spin go on when all others rest.
/// A thread of its own, because in loom the woken learn all that the waker knows; this one knows nothing.
fn wake_sleepers() {
    while RUNNING.get() > 0 {
        for sleeper in RUNG.take() {
            ASLEEP.set(ASLEEP.get() - 1);
            sleeper.unpark();
        }
        assert!(RUNNING.get() == 0 || ASLEEP.get() < RUNNING.get(), "{LOST}");
        if ASLEEP.get() + PAUSED.with_borrow(Vec::len) == RUNNING.get() {
            PAUSED.take().iter().for_each(Thread::unpark);
        }
        thread::yield_now();
    }
}

/// Waits, spinning, for another thread to finish what it has begun.
///
/// Not with loom's yield alone: two threads that spin would be explored taking turns without end.
pub(crate) fn pause() {
    PAUSED.with_borrow_mut(|paused| paused.push(thread::current()));
    thread::park();
    thread::yield_now(); // loom's word that what was read before is not read again
}

/// Sleeps until `wakes` has been called for this thread.
pub(crate) fn sleep() {
    ASLEEP.set(ASLEEP.get() + 1);
    thread::park();
}

/// The bell of a sleeper was rung.
pub(crate) fn wakes(sleeper: Thread) {
    RUNG.with_borrow_mut(|rung| rung.push(sleeper));
}
