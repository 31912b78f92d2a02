//! Can the simulator find anything? The core with each of the planted faults, and how many seeds it takes.

// The core's `ahash` is the simulator's, here too.
extern crate simulation as ahash;

use std::panic;

use simulation::faults::FAULTS;

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
            Some((seed + 1, text.or(broken.downcast_ref::<&str>().map(|text| (*text).to_owned())).unwrap_or_default()))
        });
        match found {
            Some((seeds, by)) => {
                println!("{seeds:>6}  {:>6}  {name:<56} {}", fault.within, by.chars().take(60).collect::<String>());
            }
            None => missed.push(name),
        }
    }
    let _ = panic::take_hook();
    assert!(missed.is_empty(), "the simulator did not find {missed:?}");
}
