//! `sim`: plays seeds, and shows what led to a failure. See `scripts/sim --help`.

use std::panic::{self, AssertUnwindSafe};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use simulation::{trace, world};

/// Lines of the trace that are shown.
const LINES: usize = 60;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["--seeds", count] => number(count).map_or_else(usage, |count| many(0, count, None)),
        ["--hours", hours] => match hours.parse::<f64>() {
            Ok(hours) if hours > 0.0 => many(fresh_seed(), u64::MAX, Some(Duration::from_secs_f64(hours * 3600.0))),
            _ => usage(),
        },
        [seed] => number(seed).map_or_else(usage, replay),
        _ => usage(),
    }
}

fn number(text: &str) -> Option<u64> {
    text.parse().ok()
}

fn usage() -> ExitCode {
    eprintln!("usage: sim SEED | sim --seeds N | sim --hours N");
    ExitCode::from(2)
}

/// Plays seeds from `first` on, on all processors, until one fails, all are done, or the time is over.
fn many(first: u64, count: u64, time: Option<Duration>) -> ExitCode {
    panic::set_hook(Box::new(|_| {}));
    let begin = Instant::now();
    let threads = std::thread::available_parallelism().map_or(1, usize::from) as u64;
    let failed = std::sync::atomic::AtomicU64::new(u64::MAX);
    let played = std::sync::atomic::AtomicU64::new(0);
    std::thread::scope(|scope| {
        for thread in 0..threads {
            let (failed, played) = (&failed, &played);
            scope.spawn(move || {
                for n in (thread..count).step_by(threads as usize) {
                    use std::sync::atomic::Ordering::Relaxed;
                    if failed.load(Relaxed) != u64::MAX || time.is_some_and(|time| begin.elapsed() >= time) {
                        return;
                    }
                    let seed = first.wrapping_add(n);
                    if panic::catch_unwind(|| world::run(seed)).is_err() {
                        failed.fetch_min(seed, Relaxed);
                    }
                    played.fetch_add(1, Relaxed);
                }
            });
        }
    });
    let (failed, played, took) = (failed.into_inner(), played.into_inner(), begin.elapsed().as_secs_f64());
    println!("{played} seeds in {took:.1} s: {:.0} a minute", played as f64 / took * 60.0);
    if failed == u64::MAX { ExitCode::SUCCESS } else { replay(failed) }
}

/// Plays one seed, and shows its last steps if it fails.
fn replay(seed: u64) -> ExitCode {
    trace::keep(LINES);
    panic::set_hook(Box::new(|info| trace::note(|| info.to_string())));
    let failed = panic::catch_unwind(AssertUnwindSafe(|| world::run(seed))).is_err();
    let _ = panic::take_hook();
    if !failed {
        println!("seed {seed}: every promise was kept");
        return ExitCode::SUCCESS;
    }
    for line in trace::lines() {
        println!("{line}");
    }
    println!("seed {seed} FAILED; scripts/sim {seed} plays it again");
    ExitCode::FAILURE
}

/// Where a long run begins: not where the last one did.
fn fresh_seed() -> u64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    since.as_secs() << 24
}
