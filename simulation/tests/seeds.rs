//! The promises, over thousands of seeds.

use simulation::world;

/// `OCTOSTORE_SEEDS` says how many (default 10,000).
#[test]
fn every_promise_is_kept_whatever_the_seed() {
    let seeds: u64 = std::env::var("OCTOSTORE_SEEDS").map_or(10_000, |seeds| seeds.parse().expect("a number of seeds"));
    let failed = world::many::play(0, seeds, None).failed;
    assert!(failed.is_none(), "seed {} breaks a promise; scripts/sim {} shows how", failed.unwrap(), failed.unwrap());
}
