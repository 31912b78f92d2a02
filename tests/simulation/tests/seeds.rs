//! The promises, over thousands of seeds.

use simulation::play;

/// `OCTOSTORE_SEEDS` says how many (default 5,000).
#[test]
fn every_promise_is_kept_whatever_the_seed() {
    let seeds: u64 = std::env::var("OCTOSTORE_SEEDS").map_or(5_000, |seeds| seeds.parse().expect("a number of seeds"));
    let played = play::seeds(0, seeds, None);
    println!("{played}");
    if let Some(seed) = played.failed {
        panic!("seed {seed} breaks a promise; scripts/sim {seed} plays it again\n{}", play::story(seed).join("\n"));
    }
}
