//! Plays many seeds, or tells what led to the failure of one.

use std::panic::{self, AssertUnwindSafe};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};
use std::{fmt, thread};

use crate::{trace, world};

/// Lines of the story of a failure.
const LINES: usize = 60;
/// No seed has failed yet.
const NONE: u64 = u64::MAX;

/// What became of many seeds.
pub struct Played {
    /// How many were played.
    pub seeds: u64,
    /// How long that took.
    pub took: Duration,
    /// One that broke a promise.
    pub failed: Option<u64>,
}

impl fmt::Display for Played {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.took.as_secs_f64();
        write!(f, "{} seeds in {seconds:.1} s: {:.0} a minute", self.seeds, self.seeds as f64 / seconds * 60.0)
    }
}

/// Plays `count` seeds from `first` on, on all processors, until one fails or the time is over.
pub fn seeds(first: u64, count: u64, time: Option<Duration>) -> Played {
    let hook = panic::take_hook();
    panic::set_hook(Box::new(|_| {}));
    let begin = Instant::now();
    let (failed, played) = (AtomicU64::new(NONE), AtomicU64::new(0));
    let threads = thread::available_parallelism().map_or(1, usize::from);
    thread::scope(|scope| {
        for at in 0..threads as u64 {
            let (failed, played) = (&failed, &played);
            scope.spawn(move || {
                for seed in (at..count).step_by(threads).map(|n| first.wrapping_add(n)) {
                    let over = time.is_some_and(|time| begin.elapsed() >= time);
                    if over || failed.load(Ordering::Relaxed) != NONE {
                        return;
                    }
                    if panic::catch_unwind(|| world::run(seed)).is_err() {
                        failed.fetch_min(seed, Ordering::Relaxed);
                    }
                    played.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
    });
    panic::set_hook(hook);
    let failed = Some(failed.into_inner()).filter(|seed| *seed != NONE);
    Played { seeds: played.into_inner(), took: begin.elapsed(), failed }
}

/// Plays one seed: the last things that happened before a promise was broken, and which it was. Nothing if all were kept.
pub fn story(seed: u64) -> Vec<String> {
    let hook = panic::take_hook();
    panic::set_hook(Box::new(|info| trace::note(|| info.to_string())));
    trace::keep(LINES);
    let kept = panic::catch_unwind(AssertUnwindSafe(|| world::run(seed))).is_ok();
    let lines = trace::lines();
    trace::keep(0);
    panic::set_hook(hook);
    if kept { Vec::new() } else { lines }
}
