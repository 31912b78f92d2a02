//! Failed authentications, counted per address: who guesses tokens is told 429, and to go away for the rest of a minute.
//! Sign-ins are counted in the same way, each step of each, so that one address cannot crowd out the others.
//!
//! Only a request whose token is nobody's comes here, so a valid token is never limited, and the mutex is none of
//! a good request's. Time is cut into minutes, from the first failure on; with each the counts begin anew. A minute
//! knows at most [`MAX_ADDRESSES`] addresses: guesses from more than those are refused like all, but not counted.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};

use crate::address::counted_as;
use crate::sync::{AtomicU64, Ordering};

/// Failed authentications of one address in one minute that are told 401.
pub const MAX_FAILURES: u32 = 100;
/// Steps of sign-ins, of one address in one minute.
pub const MAX_SIGN_IN_STEPS: u32 = 300;
const MINUTE_NS: u64 = 60_000_000_000;
/// Addresses that are counted in one minute.
const MAX_ADDRESSES: usize = 65_536;

/// The counts. Shared by all workers.
#[derive(Debug)]
pub struct Failures {
    most: u32,
    minute: Mutex<Minute>,
    failed: AtomicU64,
    limited: AtomicU64,
}

#[derive(Debug, Default)]
struct Minute {
    began_ns: u64,
    by_address: HashMap<IpAddr, u32>,
}

impl Failures {
    /// None yet; more than `most` of one address in one minute are too many.
    pub fn new(most: u32) -> Failures {
        Failures { most, minute: Mutex::default(), failed: AtomicU64::new(0), limited: AtomicU64::new(0) }
    }

    /// Counts one more failure of `address`; if it has too many, gives the seconds until the next minute.
    pub fn count(&self, now_ns: u64, address: IpAddr) -> Option<u64> {
        // A panic ends the process, so nobody sees a lock that is poisoned.
        let left_s =
            self.minute.lock().unwrap_or_else(PoisonError::into_inner).count(now_ns, counted_as(address), self.most);
        let figure = if left_s.is_some() { &self.limited } else { &self.failed };
        figure.fetch_add(1, Ordering::Relaxed); // a statistic; orders nothing
        left_s
    }

    /// Requests so far whose token was nobody's: those told 401, and those told 429.
    pub fn figures(&self) -> (u64, u64) {
        (self.failed.load(Ordering::Relaxed), self.limited.load(Ordering::Relaxed))
    }
}

impl Minute {
    fn count(&mut self, now_ns: u64, address: IpAddr, most: u32) -> Option<u64> {
        let passed_ns = now_ns.saturating_sub(self.began_ns);
        if passed_ns >= MINUTE_NS || self.by_address.is_empty() {
            *self = Minute { began_ns: now_ns, by_address: HashMap::new() };
            self.by_address.insert(address, 1);
            return None;
        }
        let is_full = self.by_address.len() >= MAX_ADDRESSES;
        let count = match self.by_address.get_mut(&address) {
            Some(count) => count,
            None if is_full => return None,
            None => self.by_address.entry(address).or_default(),
        };
        *count = count.saturating_add(1);
        (*count > most).then(|| (MINUTE_NS - passed_ns).div_ceil(1_000_000_000))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000_000;

    fn ip(n: u32) -> IpAddr {
        IpAddr::V4(n.into())
    }

    #[test]
    fn a_hundred_failures_in_a_minute_are_told_401_the_next_ones_429() {
        let failures = Failures::new(MAX_FAILURES);
        for _ in 0..100 {
            assert_eq!(failures.count(5 * SECOND, ip(1)), None);
        }
        assert_eq!(failures.count(25 * SECOND, ip(1)), Some(40));
        assert_eq!(failures.count(25 * SECOND, ip(2)), None, "another address");
        assert_eq!(failures.count(65 * SECOND, ip(1)), None, "another minute");
        assert_eq!(failures.figures(), (102, 1));
    }

    #[test]
    fn a_network_of_ipv6_is_one_address() {
        let failures = Failures::new(MAX_FAILURES);
        let of = |n: u128| IpAddr::V6((0x2001_0db8_u128 << 96 | n).into());
        assert!((0..100).all(|n| failures.count(SECOND, of(n)).is_none()));
        assert!(failures.count(SECOND, of(100)).is_some());
        assert!(failures.count(SECOND, of(1 << 64)).is_none(), "another network");
    }

    #[test]
    fn so_many_addresses_are_known_and_no_more() {
        let mut minute = Minute::default();
        for n in 0..MAX_ADDRESSES as u32 + 10 {
            assert_eq!(minute.count(SECOND, ip(n), MAX_FAILURES), None);
        }
        assert_eq!(minute.by_address.len(), MAX_ADDRESSES);
    }
}
