//! What is counted in: by one thread, read by any.
//!
//! All orderings are Relaxed, since nothing rests on a figure. A reader may see one histogram's sum a moment
//! ahead of its buckets; its count is the sum of the buckets, so those two never contradict each other.

use crate::sync::{AtomicU64, Ordering};

/// A number that one thread writes. A counter if it is only added to, a gauge if it is set.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    /// Adds. Only the one thread may: it is a load and a store, since nobody can come between.
    pub fn add(&self, n: u64) {
        self.0.store(self.0.load(Ordering::Relaxed).wrapping_add(n), Ordering::Relaxed);
    }

    /// Sets.
    pub fn set(&self, n: u64) {
        self.0.store(n, Ordering::Relaxed);
    }

    /// The number now.
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// A moment of the last hour, to the microsecond: as much as a metric needs, in half the room of a time in nanoseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Moment(u32);

impl Moment {
    /// The moment at `ns` of some clock.
    pub const fn at(ns: u64) -> Moment {
        Moment((ns / US) as u32) // it wraps, and so does the difference
    }

    /// The time from it to `ns` of the same clock, if that is an hour at most; 0 if it was before.
    pub const fn ns_until(self, ns: u64) -> u64 {
        let us = Moment::at(ns).0.wrapping_sub(self.0);
        if us > u32::MAX - 1_000_000 { 0 } else { us as u64 * US }
    }
}

/// The most buckets of a histogram, the one without an end included.
const BUCKETS: usize = 28;

/// What a histogram counts, and where its buckets end.
#[derive(Debug)]
pub struct Scale {
    /// The upper ends of the buckets, included, as they are counted; one more bucket has no end.
    bounds: &'static [u64],
    /// How many of what is counted make one of what is shown.
    per_unit: f64,
}

const US: u64 = 1_000;
const MS: u64 = 1_000_000;
const S: u64 = 1_000_000_000;

impl Scale {
    /// Nanoseconds, shown as seconds: fine where answers come from memory, and where they come with a sync.
    pub const SECONDS: Scale = Scale {
        bounds: &[
            10 * US,
            20 * US,
            50 * US,
            100 * US,
            150 * US,
            200 * US,
            300 * US,
            500 * US,
            750 * US,
            MS,
            1500 * US,
            2 * MS,
            3 * MS,
            5 * MS,
            7500 * US,
            10 * MS,
            15 * MS,
            20 * MS,
            30 * MS,
            50 * MS,
            100 * MS,
            200 * MS,
            500 * MS,
            S,
            2 * S,
            5 * S,
            10 * S,
        ],
        per_unit: S as f64,
    };
    /// Things, by powers of two.
    pub const COUNT: Scale =
        Scale { bounds: &[1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 2048, 4096, 8192], per_unit: 1.0 };
}

const _: () = assert!(Scale::SECONDS.bounds.len() < BUCKETS && Scale::COUNT.bounds.len() < BUCKETS);

/// How often which size came. One thread writes.
#[derive(Debug)]
pub struct Histogram {
    scale: &'static Scale,
    buckets: [Counter; BUCKETS],
    sum: Counter,
}

impl Histogram {
    /// An empty one.
    pub fn new(scale: &'static Scale) -> Histogram {
        Histogram { scale, buckets: Default::default(), sum: Counter::default() }
    }

    /// An empty one of times.
    pub fn of_seconds() -> Histogram {
        Histogram::new(&Scale::SECONDS)
    }

    /// Counts one.
    pub fn observe(&self, size: u64) {
        let bucket = self.scale.bounds.partition_point(|bound| *bound < size);
        self.buckets[bucket].add(1);
        self.sum.add(size);
    }

    /// Adds what it has counted to a distribution of the same scale.
    pub fn add_to(&self, total: &mut Distribution) {
        for (sum, bucket) in total.buckets.iter_mut().zip(&self.buckets) {
            *sum += bucket.get();
        }
        total.sum += self.sum.get();
    }
}

/// What one histogram has counted, or several together.
#[derive(Clone, Debug)]
pub struct Distribution {
    scale: &'static Scale,
    buckets: [u64; BUCKETS],
    sum: u64,
}

impl Distribution {
    /// What `histograms` have counted.
    ///
    /// # Panics
    /// If there is none, or if their scales differ.
    pub fn of<'a>(histograms: impl IntoIterator<Item = &'a Histogram>) -> Distribution {
        let mut histograms = histograms.into_iter();
        let first = histograms.next().expect("one at least");
        let mut total = Distribution { scale: first.scale, buckets: [0; BUCKETS], sum: 0 };
        first.add_to(&mut total);
        for histogram in histograms {
            assert!(histogram.scale.bounds == total.scale.bounds, "histograms of two scales");
            histogram.add_to(&mut total);
        }
        total
    }

    /// Each bucket's upper end and how many are in it or below, as they are shown.
    pub fn cumulative(&self) -> impl Iterator<Item = (f64, u64)> {
        let ends = self.scale.bounds.iter().map(|bound| *bound as f64 / self.scale.per_unit);
        let mut below = 0;
        ends.zip(&self.buckets).map(move |(end, count)| {
            below += count;
            (end, below)
        })
    }

    /// How many in all.
    pub fn count(&self) -> u64 {
        self.buckets.iter().sum()
    }

    /// The sum of all sizes, as it is shown.
    pub fn sum(&self) -> f64 {
        self.sum as f64 / self.scale.per_unit
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_size_is_counted_in_the_first_bucket_that_reaches_it() {
        let histogram = Histogram::new(&Scale::COUNT);
        [0, 1, 2, 3, 8192, 8193].into_iter().for_each(|size| histogram.observe(size));
        let seen = Distribution::of([&histogram]);
        let cumulative: Vec<(f64, u64)> = seen.cumulative().collect();
        assert_eq!(cumulative[..3], [(1.0, 2), (2.0, 3), (4.0, 4)]);
        assert_eq!(cumulative.last(), Some(&(8192.0, 5)));
        assert_eq!((seen.count(), seen.sum()), (6, 16391.0));
    }

    #[test]
    fn the_time_from_a_moment_is_right_where_its_number_wraps() {
        let wrap_ns = (1 << 32) * US;
        let moment = Moment::at(wrap_ns - 5 * US);
        assert_eq!(moment.ns_until(wrap_ns + 7 * US), 12 * US);
        assert_eq!(moment.ns_until(wrap_ns - 6 * US), 0, "before it");
        assert_eq!(moment.ns_until(wrap_ns + 3600 * S), 3600 * S + 5 * US);
    }

    #[test]
    fn bounds_rise() {
        for scale in [Scale::SECONDS, Scale::COUNT] {
            assert!(scale.bounds.is_sorted_by(|a, b| a < b));
        }
    }

    #[test]
    fn histograms_of_several_threads_are_added() {
        let (one, other) = (Histogram::of_seconds(), Histogram::of_seconds());
        one.observe(MS);
        other.observe(MS + 1);
        let both = Distribution::of([&one, &other]);
        assert_eq!((both.count(), both.sum()), (2, 0.002000001));
        assert_eq!(both.cumulative().find(|(end, _)| *end == 0.001), Some((0.001, 1)));
    }
}
