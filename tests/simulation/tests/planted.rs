//! Can the simulator find anything? The core with each of the planted faults, and how many seeds it takes. A panic counts
//! only if it is a promise's: one that the fault itself makes would show nothing of the simulator.

// The core's `ahash` is the simulator's, here too.
extern crate simulation as ahash;

use std::panic;

use simulation::faults::FAULTS;

/// How the messages of the promises begin: see `world/promises.rs`, `world/oracle.rs`, and where the world checks that cores
/// come to rest. The last is the core's own, which finds its index at odds with itself.
const PROMISES: [&str; 17] = [
    "a short deadline: ",
    "backups: ",
    "counts: ",
    "durable before shown: ",
    "exclusion: ",
    "integrity: ",
    "leak: ",
    "lists: ",
    "liveness: ",
    "no early end: ",
    "one order: ",
    "recovery: ",
    "rest: ",
    "restore: ",
    "tokens: ",
    "trimming goes back ",
    "what is taken out is there",
];

include!(concat!(env!("OUT_DIR"), "/twins.rs"));

#[test]
fn every_planted_fault_is_found_within_its_number_of_seeds() {
    panic::set_hook(Box::new(|_| {}));
    let mut missed = Vec::new();
    println!("{:>6}  {:>6}  {:<56} by", "seeds", "within", "fault");
    for (fault, (name, run)) in FAULTS.iter().zip(TWINS) {
        assert_eq!(fault.name, name);
        let found = (0..fault.within).find_map(|seed| {
            let broken = panic::catch_unwind(|| run(seed)).err()?;
            let text = broken.downcast_ref::<String>().cloned();
            let text = text.or(broken.downcast_ref::<&str>().map(|text| (*text).to_owned())).unwrap_or_default();
            Some((seed + 1, text))
        });
        match found {
            Some((seeds, by)) => {
                if !PROMISES.iter().any(|promise| by.starts_with(promise)) {
                    missed.push(name); // by a panic of its own
                }
                println!("{seeds:>6}  {:>6}  {name:<56} {}", fault.within, by.chars().take(60).collect::<String>());
            }
            None => missed.push(name),
        }
    }
    let _ = panic::take_hook();
    assert!(missed.is_empty(), "the simulator did not find {missed:?}");
}
