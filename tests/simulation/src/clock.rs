//! The clocks: each thread, so each simulation, has its own, and nothing moves them but the simulator.

use std::cell::Cell;

use crate::random::Random;

thread_local! {
    static NOW_NS: Cell<u64> = const { Cell::new(0) };
    static WALL_NS: Cell<u64> = const { Cell::new(0) };
    /// The thread may lose the processor before any read: how often, in 1 of so many reads, and the dice for it.
    static STALLS: Cell<(u64, u64)> = const { Cell::new((0, 0)) };
}

/// Nanoseconds since boot. Some time may pass before it is read.
pub fn now_ns() -> u64 {
    let (one_in, state) = STALLS.get();
    let mut random = Random::new(state);
    let stall_ns = if one_in > 0 && random.one_in(one_in) { random.below(2_500_000_000) } else { random.below(2_000) };
    STALLS.set((one_in, random.below(u64::MAX)));
    advance(stall_ns);
    peek_ns()
}

/// Nanoseconds of the wall clock, which the simulator sets back and forth.
pub fn wall_ns() -> u64 {
    WALL_NS.get()
}

/// The time, without letting any pass: for the simulator.
pub fn peek_ns() -> u64 {
    NOW_NS.get()
}

/// Sets the clocks to where a simulation begins.
pub fn reset(seed: u64, stall_one_in: u64) {
    NOW_NS.set(100_000_000_000);
    WALL_NS.set(1_800_000_000_000_000_000);
    STALLS.set((stall_one_in, seed));
}

/// Lets time pass.
pub fn advance(ns: u64) {
    NOW_NS.set(NOW_NS.get() + ns);
    WALL_NS.set(WALL_NS.get() + ns);
}

/// Sets the wall clock forward or back, as somebody does by hand.
pub fn set_the_wall_clock(by_ns: i64) {
    WALL_NS.set(WALL_NS.get().saturating_add_signed(by_ns));
}
