//! The simulator's silence means something only where it has been, and its stories only if they can be told again.

use simulation::corners::{self, CORNERS};
use simulation::{trace, world};

#[test]
fn every_corner_is_met_within_three_hundred_seeds() {
    (0..300).for_each(world::run);
    let missed: Vec<&str> = CORNERS.into_iter().filter(|corner| corners::count(corner) < 10).collect();
    assert!(missed.is_empty(), "hardly ever or never met: {missed:?}");
}

#[test]
fn a_seed_tells_the_same_story_each_time() {
    let story = |seed| {
        trace::keep(usize::MAX);
        world::run(seed);
        trace::lines()
    };
    for seed in 1000..1020 {
        let (first, second) = (story(seed), std::thread::spawn(move || story(seed)).join().expect("the same"));
        assert!(first.len() > 50, "seed {seed} has hardly a story");
        assert_eq!(first, second, "seed {seed}");
    }
}
