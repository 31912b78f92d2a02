//! Who may connect: the limits of connections, over all workers and per address.
//!
//! Those above a limit are taken in for as long as it takes to tell them 503, but only a few at once:
//! the others are closed unheard, so that turning clients away cannot itself exhaust the server. All of them are counted.
//!
//! The limit per address is off unless asked for: behind a proxy all clients have one address. It is looked up under a
//! lock, once a connection, never for a request.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::address::counted_as;
use crate::metrics::{Kind, Page, Source};
use crate::sync::{Arc, AtomicU32, AtomicU64, Ordering};

/// So many above a limit are told so at once.
pub const REFUSED_AT_ONCE: u32 = 64;

/// The limits, and how far they are used. Shared by all workers. The counts are Relaxed: they order nothing.
#[derive(Debug)]
pub struct Admission {
    max: u32,
    /// 0: no limit.
    max_per_address: u32,
    served: AtomicU32,
    being_refused: AtomicU32,
    addresses: Mutex<HashMap<IpAddr, u32>>,
    admitted: AtomicU64,
    refused: AtomicU64,
    refused_address: AtomicU64,
    unheard: AtomicU64,
    cut_reading: AtomicU64,
    cut_writing: AtomicU64,
}

/// What has become of connections since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Figures {
    /// Served.
    pub admitted: u64,
    /// Told 503, because all places were taken.
    pub refused: u64,
    /// Told 503, because their address had as many as one may have.
    pub refused_address: u64,
    /// Closed without a word, because too many were being told 503.
    pub unheard: u64,
    /// Cut because they did not send in time: idle ones too.
    pub cut_reading: u64,
    /// Cut because they did not take their answers in time.
    pub cut_writing: u64,
}

/// What to do with a new connection.
#[derive(Debug)]
pub enum Verdict {
    /// Serve it.
    Serve(Place),
    /// Tell it 503.
    Refuse(Place),
    /// Close it.
    Close,
}

/// A connection's place, until it is dropped.
#[derive(Debug)]
pub struct Place {
    admission: Arc<Admission>,
    /// Served, and under this key; None while it is being refused.
    served_as: Option<IpAddr>,
}

impl Admission {
    /// At most `max` connections, and `max_per_address` of one address if that is not 0.
    pub fn new(max: u32, max_per_address: u32) -> Admission {
        Admission {
            max,
            max_per_address,
            served: AtomicU32::new(0),
            being_refused: AtomicU32::new(0),
            addresses: Mutex::default(),
            admitted: AtomicU64::new(0),
            refused: AtomicU64::new(0),
            refused_address: AtomicU64::new(0),
            unheard: AtomicU64::new(0),
            cut_reading: AtomicU64::new(0),
            cut_writing: AtomicU64::new(0),
        }
    }

    /// Judges a connection from `address`.
    pub fn judge(self: &Arc<Self>, address: IpAddr) -> Verdict {
        let key = counted_as(address);
        if !take_one(&self.served, self.max) {
            return self.refuse(&self.refused);
        }
        if !self.enter(key) {
            self.served.fetch_sub(1, Ordering::Relaxed);
            return self.refuse(&self.refused_address);
        }
        self.admitted.fetch_add(1, Ordering::Relaxed);
        Verdict::Serve(Place { admission: self.clone(), served_as: Some(key) })
    }

    /// Connections that are being served.
    pub fn served(&self) -> u32 {
        self.served.load(Ordering::Relaxed)
    }

    /// Whether one more would be served, wherever it comes from.
    pub fn has_room(&self) -> bool {
        self.served() < self.max
    }

    /// Counts a connection that was cut for being late, in sending or else in taking what it was sent.
    pub fn count_cut(&self, in_sending: bool) {
        let count = if in_sending { &self.cut_reading } else { &self.cut_writing };
        count.fetch_add(1, Ordering::Relaxed);
    }

    /// The counts now.
    pub fn figures(&self) -> Figures {
        let now = |count: &AtomicU64| count.load(Ordering::Relaxed);
        Figures {
            admitted: now(&self.admitted),
            refused: now(&self.refused),
            refused_address: now(&self.refused_address),
            unheard: now(&self.unheard),
            cut_reading: now(&self.cut_reading),
            cut_writing: now(&self.cut_writing),
        }
    }

    fn refuse(self: &Arc<Self>, count: &AtomicU64) -> Verdict {
        if !take_one(&self.being_refused, REFUSED_AT_ONCE) {
            self.unheard.fetch_add(1, Ordering::Relaxed);
            return Verdict::Close;
        }
        count.fetch_add(1, Ordering::Relaxed);
        Verdict::Refuse(Place { admission: self.clone(), served_as: None })
    }

    /// Counts one more of an address; false if it has as many as it may have.
    fn enter(&self, key: IpAddr) -> bool {
        if self.max_per_address == 0 {
            return true;
        }
        let mut addresses = self.addresses();
        let count = addresses.entry(key).or_default();
        let enters = *count < self.max_per_address;
        *count += u32::from(enters);
        enters
    }

    fn leave(&self, key: IpAddr) {
        if self.max_per_address == 0 {
            return;
        }
        let mut addresses = self.addresses();
        match addresses.get_mut(&key) {
            Some(count @ 2..) => *count -= 1,
            _ => _ = addresses.remove(&key),
        }
    }

    fn addresses(&self) -> MutexGuard<'_, HashMap<IpAddr, u32>> {
        self.addresses.lock().unwrap_or_else(PoisonError::into_inner) // a panic ends the process anyway
    }
}

impl Source for Admission {
    fn collect(&self, page: &mut Page) {
        let Figures { admitted, refused, refused_address, unheard, cut_reading, cut_writing } = self.figures();
        page.gauge("octostore_connections_limit", "The most open connections.", self.max);
        page.counter("octostore_connections_accepted_total", "Connections that were served.", admitted);
        let mut family = page.family(
            Kind::Counter,
            "octostore_connections_refused_total",
            "Connections refused: all places taken, too many of one address, or closed unheard because too many were.",
        );
        for (reason, count) in [("limit", refused), ("address_limit", refused_address), ("unheard", unheard)] {
            family.sample(&[("reason", reason)], count);
        }
        let mut family = page.family(
            Kind::Counter,
            "octostore_connections_cut_total",
            "Connections ended because the client was late: in sending (idle ones too), or in reading.",
        );
        for (reason, count) in [("sending", cut_reading), ("reading", cut_writing)] {
            family.sample(&[("late_in", reason)], count);
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        match self.served_as {
            Some(key) => {
                self.admission.leave(key);
                self.admission.served.fetch_sub(1, Ordering::Relaxed);
            }
            None => _ = self.admission.being_refused.fetch_sub(1, Ordering::Relaxed),
        }
    }
}

fn take_one(count: &AtomicU32, max: u32) -> bool {
    count.try_update(Ordering::Relaxed, Ordering::Relaxed, |n| (n < max).then_some(n + 1)).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    fn served(verdict: Verdict) -> Place {
        match verdict {
            Verdict::Serve(place) => place,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn places_are_given_up_to_the_limit_and_given_again() {
        let admission = Arc::new(Admission::new(2, 0));
        let first = served(admission.judge(ip("192.0.2.1")));
        let _second = served(admission.judge(ip("192.0.2.1")));
        assert!(!admission.has_room());
        assert!(matches!(admission.judge(ip("192.0.2.2")), Verdict::Refuse(_)));
        drop(first);
        assert!(admission.has_room());
        let _third = served(admission.judge(ip("192.0.2.2")));
        assert_eq!(admission.served(), 2);
        assert_eq!(admission.figures(), Figures { admitted: 3, refused: 1, ..Figures::default() });
    }

    #[test]
    fn only_so_many_are_told_at_once_that_there_is_no_place() {
        let admission = Arc::new(Admission::new(1, 0));
        let _served = served(admission.judge(ip("192.0.2.1")));
        let refused: Vec<Verdict> = (0..REFUSED_AT_ONCE).map(|_| admission.judge(ip("192.0.2.2"))).collect();
        assert!(refused.iter().all(|verdict| matches!(verdict, Verdict::Refuse(_))));
        assert!(matches!(admission.judge(ip("192.0.2.3")), Verdict::Close));
        drop(refused);
        assert!(matches!(admission.judge(ip("192.0.2.3")), Verdict::Refuse(_)));
        let figures = admission.figures();
        assert_eq!((figures.refused, figures.unheard), (u64::from(REFUSED_AT_ONCE) + 1, 1));
    }

    #[test]
    fn an_address_has_its_own_limit_if_that_is_asked_for() {
        let admission = Arc::new(Admission::new(10, 2));
        let mut places: Vec<Place> = (0..2).map(|_| served(admission.judge(ip("192.0.2.1")))).collect();
        assert!(matches!(admission.judge(ip("::ffff:192.0.2.1")), Verdict::Refuse(_)), "the same address");
        let _other = served(admission.judge(ip("192.0.2.2")));
        assert_eq!(admission.served(), 3, "one that is refused takes no place");
        places.pop();
        places.push(served(admission.judge(ip("192.0.2.1"))));
        assert_eq!(admission.figures().refused_address, 1);
        drop(places);
        assert_eq!(admission.addresses().len(), 1, "an address without connections is forgotten");
    }

    #[test]
    fn those_that_are_cut_are_counted_by_what_they_were_late_in() {
        let admission = Admission::new(1, 0);
        admission.count_cut(true);
        admission.count_cut(true);
        admission.count_cut(false);
        assert_eq!((admission.figures().cut_reading, admission.figures().cut_writing), (2, 1));
    }
}
