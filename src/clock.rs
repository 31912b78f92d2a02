//! The only reader of the system's clocks.
//!
//! Every decision rests on CLOCK_BOOTTIME: it never steps, and it goes on while the machine sleeps, so
//! a lease does not outlive a suspended laptop. The wall clock is read for people: `expires_at`,
//! `Date`, log lines; and once for a decision, by `octostore restore`, which says why.

pub use std::time::Duration;

use rustix::time::{ClockId, Timespec, clock_gettime};

/// Nanoseconds since boot, suspension included.
pub fn now_ns() -> u64 {
    ns(clock_gettime(ClockId::Boottime))
}

/// Nanoseconds of the wall clock since 1970-01-01 UTC: for people, and for a restore's mark.
pub fn wall_ns() -> u64 {
    ns(clock_gettime(ClockId::Realtime))
}

/// CPU time of this process so far, user and system, in nanoseconds.
pub fn process_cpu_ns() -> u64 {
    ns(clock_gettime(ClockId::ProcessCPUTime))
}

fn ns(t: Timespec) -> u64 {
    // Neither clock is before its zero on a machine that runs us; a wall clock set before 1970 shows as 1970.
    u64::try_from(t.tv_sec).map_or(0, |s| s * 1_000_000_000 + t.tv_nsec as u64)
}
