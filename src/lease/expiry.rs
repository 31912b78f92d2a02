//! When to look at which lock: a timing wheel, so that a million leases cost nothing until they run out.
//!
//! One ring of buckets covers more than the longest TTL, one bucket per tick of 2^26 ns (67 ms), each
//! a doubly linked list threaded through the slots' numbers (Varghese and Lauck, "Hashed and
//! Hierarchical Timing Wheels", 1987, scheme 6 with a single round). Arming, disarming and firing
//! are O(1) and touch two neighbours.
//!
//! The wheel is a hint, never the truth: it names slots *worth looking at*. A deadline that moved
//! later needs no word to the wheel; the slot fires at the old time, is found alive and armed again.

/// 2^26 ns = 67.1 ms: with a sweep every 25 ms an expiry is noticed less than 100 ms late.
const TICK_BITS: u32 = 26;
/// Buckets on the ring; one more, after them, holds what is due.
const RING: usize = 1 << 16;
const DUE: u32 = RING as u32;
/// In a link: no neighbour.
const NONE: u32 = u32::MAX;
/// In `prev`: the rest is a bucket's number, and this slot is its first.
const FIRST: u32 = 1 << 31;

const _: () = assert!(
    (super::Ttl::MAX_SECONDS as u64 * 1_000_000_000) >> TICK_BITS < RING as u64 - 2,
    "the longest TTL must fit on the ring"
);

#[derive(Clone, Copy)]
struct Link {
    prev: u32,
    next: u32,
}

const UNLINKED: Link = Link { prev: NONE, next: NONE };

/// Slots by the time at which to look at them.
pub struct Wheel {
    heads: Box<[u32]>,
    links: Vec<Link>,
    /// The first tick that has not been moved to the due list.
    cursor: u64,
}

impl Wheel {
    /// A wheel whose time begins at `now_ns`.
    pub fn new(now_ns: u64) -> Wheel {
        Wheel { heads: vec![NONE; RING + 1].into(), links: Vec::new(), cursor: now_ns >> TICK_BITS }
    }

    /// Makes room for so many slots.
    pub fn reserve(&mut self, slots: usize) {
        self.links.reserve(slots);
    }

    /// Arms an unarmed slot for `deadline_ns`.
    pub fn arm(&mut self, slot: u32, deadline_ns: u64) {
        if self.links.len() <= slot as usize {
            self.links.resize(slot as usize + 1, UNLINKED);
        }
        let tick = (deadline_ns >> TICK_BITS).max(self.cursor);
        self.link(slot, tick as u32 % DUE);
    }

    /// Disarms an armed slot.
    pub fn disarm(&mut self, slot: u32) {
        let Link { prev, next } = std::mem::replace(&mut self.links[slot as usize], UNLINKED);
        assert!(prev != NONE, "slot {slot} is not armed");
        if prev & FIRST != 0 {
            self.heads[(prev & !FIRST) as usize] = next;
        } else {
            self.links[prev as usize].next = next;
        }
        if next != NONE {
            self.links[next as usize].prev = prev;
        }
    }

    /// Disarms and gives a slot whose time has come; None when there is none at `now_ns`.
    pub fn next_due(&mut self, now_ns: u64) -> Option<u32> {
        let now = now_ns >> TICK_BITS;
        // After a long sleep one round is enough: it visits every bucket.
        self.cursor = self.cursor.max(now.saturating_sub(RING as u64));
        loop {
            let first = self.heads[DUE as usize];
            if first != NONE {
                self.disarm(first);
                return Some(first);
            }
            if self.cursor >= now {
                return None;
            }
            let bucket = (self.cursor % u64::from(DUE)) as usize;
            let first = std::mem::replace(&mut self.heads[bucket], NONE);
            if first != NONE {
                self.heads[DUE as usize] = first;
                self.links[first as usize].prev = FIRST | DUE;
            }
            self.cursor += 1;
        }
    }

    fn link(&mut self, slot: u32, bucket: u32) {
        debug_assert!(self.links[slot as usize].prev == NONE, "slot {slot} is armed already");
        let next = std::mem::replace(&mut self.heads[bucket as usize], slot);
        self.links[slot as usize] = Link { prev: FIRST | bucket, next };
        if next != NONE {
            self.links[next as usize].prev = slot;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const SECOND: u64 = 1_000_000_000;
    const TICK: u64 = 1 << TICK_BITS;

    fn due(wheel: &mut Wheel, now_ns: u64) -> Vec<u32> {
        let mut slots: Vec<u32> = std::iter::from_fn(|| wheel.next_due(now_ns)).collect();
        slots.sort_unstable();
        slots
    }

    #[test]
    fn a_slot_fires_within_a_tick_after_its_deadline_and_never_before() {
        let mut wheel = Wheel::new(5 * SECOND);
        wheel.arm(0, 6 * SECOND);
        assert_eq!(due(&mut wheel, 6 * SECOND - 1), Vec::<u32>::new());
        assert_eq!(due(&mut wheel, 6 * SECOND + TICK), [0]);
        assert_eq!(due(&mut wheel, 9 * SECOND), Vec::<u32>::new());
    }

    #[test]
    fn the_longest_ttl_does_not_wrap_round_the_ring() {
        let mut wheel = Wheel::new(0);
        wheel.arm(7, 3600 * SECOND);
        assert_eq!(due(&mut wheel, 3599 * SECOND), Vec::<u32>::new());
        assert_eq!(due(&mut wheel, 3601 * SECOND), [7]);
    }

    #[test]
    fn a_sleep_longer_than_the_ring_fires_all_once() {
        let mut wheel = Wheel::new(0);
        for slot in 0..100 {
            wheel.arm(slot, u64::from(slot) * 36 * SECOND);
        }
        assert_eq!(due(&mut wheel, 1_000_000 * SECOND), (0..100).collect::<Vec<_>>());
    }

    proptest! {
        /// Against a list of (slot, deadline): what is due is exactly what the list says, whatever was disarmed.
        #[test]
        fn it_agrees_with_a_plain_list(
            steps in prop::collection::vec((0u32..40, 0u64..4000, any::<bool>(), 0u64..30_000), 1..200)
        ) {
            let mut now = 17 * SECOND;
            let mut wheel = Wheel::new(now);
            let mut model = std::collections::BTreeMap::<u32, u64>::new();
            for (slot, ttl_s, disarm, pause_ms) in steps {
                match model.remove(&slot) {
                    Some(_) => wheel.disarm(slot),
                    None if !disarm => {
                        let deadline = now + ttl_s.min(3600) * SECOND;
                        wheel.arm(slot, deadline);
                        model.insert(slot, deadline);
                    }
                    None => {}
                }
                now += pause_ms * 1_000_000;
                let fired = due(&mut wheel, now);
                let expected: Vec<u32> =
                    model.iter().filter(|(_, d)| (**d >> TICK_BITS) < now >> TICK_BITS).map(|(s, _)| *s).collect();
                prop_assert_eq!(&fired, &expected);
                model.retain(|slot, _| !fired.contains(slot));
            }
        }
    }
}
