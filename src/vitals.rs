//! Signs of life: whether every worker and the journal go on.
//!
//! Each worker's ticker counts its [`Pulse`] up, 40 times a second. The journal's thread may rest for long when there is
//! nothing to do, so its pulse says which: odd while it works, even while it rests. One thread, the main one, looks
//! every half second ([`Vitals::look`]) and counts, for each, the looks since the last sign. Looks, not time: a machine that was
//! suspended, or that runs nobody, has missed none.
//!
//! ```text
//!   workers ── beat ──▶ pulses ◀── look ── main thread ──▶ looks without a sign ──▶ /health: 503 after 4
//!   journal ── beat ──▶                                                         └─▶ watchdog: the process ends
//! ```
//!
//! The pulses order nothing, so everything is Relaxed.

use crate::sync::{AtomicU32, AtomicU64, CachePadded, Ordering};

/// Looks a second.
pub const LOOKS_PER_SECOND: u32 = 2;
/// After so many looks without a sign a part counts as stalled: 2 to 2.5 seconds.
const STALLED_LOOKS: u32 = 4;

/// A thread's signs of life. Written by it alone.
#[derive(Debug, Default)]
pub struct Pulse(CachePadded<AtomicU64>);

impl Pulse {
    /// A sign of a thread that is never silent.
    pub fn beat(&self) {
        self.0.store(self.0.load(Ordering::Relaxed) + 1, Ordering::Relaxed);
    }

    /// A sign of a thread that begins, or goes on, to work: until it rests it owes more of them.
    pub fn work(&self) {
        let beats = self.0.load(Ordering::Relaxed);
        self.0.store((beats + 1) | 1, Ordering::Relaxed);
    }

    /// The thread rests, as long as nothing comes.
    pub fn rest(&self) {
        let beats = self.0.load(Ordering::Relaxed);
        self.0.store((beats + 1) & !1, Ordering::Relaxed);
    }

    /// Whether a thread that may rest is at work.
    pub fn works(&self) -> bool {
        self.0.load(Ordering::Relaxed) % 2 == 1
    }

    fn beats(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// A part of the server that must go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// A worker, by its number.
    Worker(usize),
    /// The journal's thread: its disk, mostly.
    Journal,
}

/// What is known of one part.
#[derive(Debug, Default)]
struct Sign {
    /// The beats at the last look. Only the one who looks uses it.
    seen: AtomicU64,
    /// Looks since the beats last changed.
    looks: AtomicU32,
}

/// The signs of life of one server.
#[derive(Debug)]
pub struct Vitals {
    workers: Box<[Pulse]>,
    /// One for each worker, and the journal's.
    signs: Box<[Sign]>,
}

impl Vitals {
    /// For so many workers, all alive.
    pub fn new(workers: usize) -> Vitals {
        Vitals {
            workers: (0..workers).map(|_| Pulse::default()).collect(),
            signs: (0..=workers).map(|_| Sign::default()).collect(),
        }
    }

    /// A worker's pulse.
    pub fn worker(&self, worker: usize) -> &Pulse {
        &self.workers[worker]
    }

    /// Looks at all, for one thread to do [`LOOKS_PER_SECOND`] times a second. `journal_is_due`: something waits for
    /// the journal, so that it must not rest.
    pub fn look(&self, journal: &Pulse, journal_is_due: bool) {
        let workers = self.workers.iter().map(|pulse| (pulse, true));
        for ((pulse, is_due), sign) in workers.chain([(journal, journal_is_due || journal.works())]).zip(&self.signs) {
            let beats = pulse.beats();
            let is_new = sign.seen.load(Ordering::Relaxed) != beats;
            sign.seen.store(beats, Ordering::Relaxed);
            let looks = if is_new || !is_due { 0 } else { sign.looks.load(Ordering::Relaxed).saturating_add(1) };
            sign.looks.store(looks, Ordering::Relaxed);
        }
    }

    /// The first part that has given no sign of life for two seconds: the server is not well. None: everything is alive.
    pub fn stalled(&self) -> Option<Part> {
        self.silent_for(STALLED_LOOKS)
    }

    /// The first part that has given no sign of life for so many looks, or more.
    pub fn silent_for(&self, looks: u32) -> Option<Part> {
        let silent = |sign: &Sign| sign.looks.load(Ordering::Relaxed) >= looks;
        self.signs.iter().position(silent).map(|place| self.part(place))
    }

    /// Whether everything is alive: what may be told to a supervisor's watchdog.
    pub fn all_alive(&self) -> bool {
        self.stalled().is_none()
    }

    /// How many workers are stalled, and whether the journal is.
    pub fn count_stalled(&self) -> (usize, bool) {
        let is_stalled = |sign: &&Sign| sign.looks.load(Ordering::Relaxed) >= STALLED_LOOKS;
        let (workers, journal) = self.signs.split_at(self.workers.len());
        (workers.iter().filter(is_stalled).count(), journal.iter().any(|sign| is_stalled(&sign)))
    }

    fn part(&self, place: usize) -> Part {
        if place < self.workers.len() { Part::Worker(place) } else { Part::Journal }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn look(vitals: &Vitals, journal: &Pulse, times: u32) {
        (0..times).for_each(|_| vitals.look(journal, false));
    }

    #[test]
    fn a_worker_that_gives_no_sign_is_stalled_and_one_that_goes_on_is_not() {
        let (vitals, journal) = (Vitals::new(2), Pulse::default());
        for _ in 0..STALLED_LOOKS {
            assert!(vitals.all_alive());
            vitals.worker(0).beat();
            vitals.look(&journal, false);
        }
        assert_eq!(vitals.stalled(), Some(Part::Worker(1)));
        assert_eq!(vitals.count_stalled(), (1, false));
        assert_eq!(vitals.silent_for(STALLED_LOOKS + 2), None);
        vitals.worker(1).beat();
        vitals.look(&journal, false);
        assert!(vitals.all_alive(), "it goes on");
    }

    #[test]
    fn a_journal_may_rest_but_not_while_it_works_or_something_waits() {
        let (vitals, journal) = (Vitals::new(0), Pulse::default());
        look(&vitals, &journal, 100);
        assert!(vitals.all_alive(), "it rests");
        journal.work();
        look(&vitals, &journal, STALLED_LOOKS + 1);
        assert_eq!((vitals.stalled(), vitals.count_stalled()), (Some(Part::Journal), (0, true)));
        journal.work();
        look(&vitals, &journal, STALLED_LOOKS);
        assert!(vitals.all_alive(), "it works on");
        journal.rest();
        look(&vitals, &journal, 100);
        assert!(vitals.all_alive(), "it rests again");
        (0..STALLED_LOOKS).for_each(|_| vitals.look(&journal, true));
        assert_eq!(vitals.stalled(), Some(Part::Journal), "something waits, and it sleeps");
    }
}
