//! `sim`: plays seeds, and shows what led to a failure. See `scripts/sim --help`.

use std::process::ExitCode;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use simulation::play;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["--seeds", seeds] => seeds.parse().map_or_else(|_| usage(), |seeds| many(0, seeds, None)),
        ["--hours", hours] => match hours.parse::<f64>() {
            Ok(hours) if hours > 0.0 => many(fresh_seed(), u64::MAX, Some(Duration::from_secs_f64(hours * 3600.0))),
            _ => usage(),
        },
        [seed] => seed.parse().map_or_else(|_| usage(), one),
        _ => usage(),
    }
}

fn usage() -> ExitCode {
    eprintln!("usage: sim SEED | sim --seeds N | sim --hours N");
    ExitCode::from(2)
}

fn many(first: u64, seeds: u64, time: Option<Duration>) -> ExitCode {
    let played = play::seeds(first, seeds, time);
    println!("from seed {first} on: {played}");
    played.failed.map_or(ExitCode::SUCCESS, one)
}

fn one(seed: u64) -> ExitCode {
    let story = play::story(seed);
    if story.is_empty() {
        println!("seed {seed}: every promise was kept");
        return ExitCode::SUCCESS;
    }
    story.iter().for_each(|line| println!("{line}"));
    println!("seed {seed} breaks a promise; scripts/sim {seed} plays it again");
    ExitCode::FAILURE
}

/// Where a long run begins: not where the last one did.
fn fresh_seed() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs() << 24
}
