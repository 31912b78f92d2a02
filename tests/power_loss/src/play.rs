//! Plays many seeds, on all processors.

use std::panic;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use crate::disk::Lie;
use crate::world::{self, Mistake, Tally};

/// A seed that broke a promise, and which.
pub type Broken = (u64, String);

/// Plays the seeds from `first` on, `count` of them, until one breaks a promise.
pub fn seeds(first: u64, count: u64, lie: Lie, mistake: Mistake) -> (Tally, Option<Broken>) {
    let (next, sum, broken) = (AtomicU64::new(0), Mutex::new(Tally::default()), Mutex::new(None::<Broken>));
    let hook = panic::take_hook();
    panic::set_hook(Box::new(|_| {}));
    thread::scope(|scope| {
        for _ in 0..thread::available_parallelism().map_or(1, usize::from) {
            scope.spawn(|| {
                let mut tally = Tally::default();
                loop {
                    let at = next.fetch_add(1, Ordering::Relaxed);
                    if at >= count {
                        break;
                    }
                    let seed = first.wrapping_add(at);
                    if let Some(what) = one(seed, lie, mistake, &mut tally) {
                        next.store(count, Ordering::Relaxed);
                        let mut broken = broken.lock().expect("no panic with it");
                        if broken.as_ref().is_none_or(|(earlier, _)| seed < *earlier) {
                            *broken = Some((seed, what));
                        }
                    }
                }
                sum.lock().expect("no panic with it").add(&tally);
            });
        }
    });
    panic::set_hook(hook);
    (sum.into_inner().expect("no panic with it"), broken.into_inner().expect("no panic with it"))
}

/// Which promise a seed breaks, if it does.
fn one(seed: u64, lie: Lie, mistake: Mistake, tally: &mut Tally) -> Option<String> {
    let broken = panic::catch_unwind(panic::AssertUnwindSafe(|| world::run(seed, lie, mistake, tally))).err()?;
    let text = broken.downcast_ref::<String>().cloned();
    Some(text.or(broken.downcast_ref::<&str>().map(|text| (*text).to_owned())).unwrap_or_default())
}
