//! What a caller does next: operations by weight, names by distribution. Pure; the same seed gives the same script, but for
//! the names that are left, which begin where the caller of [`Script::new`] says: a second run must not meet them again.

use crate::options::{Mix, Names, Options};

/// Of a hundred cycles on `--names hot`, so many meet on the one name.
const HOT_PERCENT: u64 = 10;

/// One request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    /// Take a lock.
    Acquire(Lock),
    /// Lengthen a lease.
    Renew(Lock),
    /// Give a lock back.
    Release(Lock),
    /// Look at a lock.
    Status(Lock),
    /// A page of one's own locks.
    List,
    /// Is the server well?
    Health,
}

/// The names of the kinds, in the order of [`Operation::kind`].
pub const KINDS: [&str; 6] = ["acquire", "renew", "release", "status", "list", "health"];

/// A name, and the lease by which a caller takes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lock {
    /// Which family of names.
    pub family: Family,
    /// Which of the family.
    pub number: u64,
    /// The id of the lease.
    pub lease: u64,
}

/// Names that never meet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Family {
    /// Taken first and kept.
    Held,
    /// For cycles.
    Load,
    /// Taken once, and never given back.
    Left,
}

impl Operation {
    /// Its index in [`KINDS`].
    pub fn kind(&self) -> usize {
        match self {
            Operation::Acquire(_) => 0,
            Operation::Renew(_) => 1,
            Operation::Release(_) => 2,
            Operation::Status(_) => 3,
            Operation::List => 4,
            Operation::Health => 5,
        }
    }
}

/// The n-th of the locks that are taken first and kept. The same in every run, so that a later run can renew it.
pub fn held(number: u64) -> Lock {
    Lock { family: Family::Held, number, lease: number }
}

/// What the callers of one thread do.
pub struct Script {
    mix: Mix,
    names: Names,
    population: u64,
    exponent: f64,
    hold: u64,
    random: Random,
    fresh: u64,
    left: u64,
    leases: u64,
}

/// What a caller remembers between its requests.
#[derive(Clone, Copy, Debug)]
pub struct Caller {
    /// Its number among all callers; with [`Names::Local`], one that no other caller has.
    pub number: u64,
    /// What it holds.
    pub holds: Option<Lock>,
}

impl Script {
    /// The script of thread `thread`, in a run that begins `now_us` microseconds after 1970. No run leaves so many locks that
    /// a later one meets them: they are fewer than one in a microsecond.
    pub fn new(options: &Options, mix: Mix, thread: u64, now_us: u64) -> Script {
        Script {
            mix,
            names: options.names,
            population: options.population,
            exponent: options.exponent,
            hold: options.hold,
            random: Random::new(options.seed.wrapping_mul(0x1_0001).wrapping_add(thread)),
            // Names and leases of different threads, and of runs with different seeds, never meet.
            fresh: (options.seed << 52) | (thread << 40),
            leases: (options.seed << 52) | (thread << 40) | (1 << 63),
            left: (thread << 52) | now_us,
        }
    }

    /// A look at the lock of a caller's own: what [`Names::Local`] is found out by.
    pub fn look_at_own(caller: &Caller) -> Operation {
        Operation::Status(Lock { family: Family::Load, number: 1 + caller.number, lease: 0 })
    }

    /// The caller's next request.
    pub fn next(&mut self, caller: &Caller) -> Operation {
        let mut at = self.random.fraction() * self.mix.total();
        let mut drawn = |weight: f64| {
            at -= weight;
            at < 0.0
        };
        let mix = self.mix;
        if drawn(mix.renew) {
            return self.renew(caller);
        }
        if drawn(mix.status) {
            return Operation::Status(self.looked_at(caller));
        }
        if drawn(mix.contend) {
            self.leases += 1;
            return Operation::Acquire(Lock { lease: self.leases, ..held(self.random.below(self.hold)) });
        }
        if drawn(mix.leave) {
            self.left += 1;
            return Operation::Acquire(Lock { family: Family::Left, number: self.left, lease: self.left });
        }
        if drawn(mix.list) {
            return Operation::List;
        }
        if drawn(mix.health) {
            return Operation::Health;
        }
        match caller.holds {
            Some(lock) => Operation::Release(lock),
            None => Operation::Acquire(self.some_lock(caller)),
        }
    }

    fn renew(&mut self, caller: &Caller) -> Operation {
        match caller.holds {
            _ if self.hold > 0 => Operation::Renew(held(self.random.below(self.hold))),
            Some(lock) => Operation::Renew(lock),
            None => Operation::Acquire(self.some_lock(caller)),
        }
    }

    fn looked_at(&mut self, caller: &Caller) -> Lock {
        match caller.holds {
            _ if self.hold > 0 => held(self.random.below(self.hold)),
            Some(lock) => lock,
            None => self.some_lock(caller),
        }
    }

    fn some_lock(&mut self, caller: &Caller) -> Lock {
        self.leases += 1;
        let number = match self.names {
            Names::Hot if self.random.below(100) < HOT_PERCENT => 0,
            Names::Own | Names::Hot | Names::Local => 1 + caller.number,
            Names::Fresh => self.fresh(),
            Names::Uniform => self.random.below(self.population),
            Names::Zipf => self.random.zipf(self.population, self.exponent),
        };
        Lock { family: Family::Load, number, lease: self.leases }
    }

    /// A number that was not there before.
    fn fresh(&mut self) -> u64 {
        self.fresh += 1;
        self.fresh
    }
}

/// SplitMix64 (Steele, Lea and Flood, "Fast splittable pseudorandom number generators", 2014).
pub struct Random(u64);

impl Random {
    /// A sequence of its own for each seed.
    pub fn new(seed: u64) -> Random {
        Random(seed)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// From 0 up to, but not, 1.
    pub fn fraction(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1u64 << 53) as f64
    }

    /// From 0 up to, but not, `end`.
    pub fn below(&mut self, end: u64) -> u64 {
        ((u128::from(self.next()) * u128::from(end)) >> 64) as u64
    }

    /// From 0 up to, but not, `end`, the k-th in proportion to 1 / (k + 1)^exponent, by the inverse of the continuous
    /// distribution: exact enough for a load, and without a table.
    pub fn zipf(&mut self, end: u64, exponent: f64) -> u64 {
        let (u, n) = (self.fraction(), end as f64 + 1.0);
        let x = if (exponent - 1.0).abs() < 1e-9 {
            n.powf(u)
        } else {
            let power = 1.0 - exponent;
            (1.0 + u * (n.powf(power) - 1.0)).powf(1.0 / power)
        };
        (x as u64 - 1).min(end - 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    fn script(arguments: &[&str]) -> Script {
        let options = Options::parse_from([&["load"], arguments].concat());
        let mix = options.check().expect("options that make a run");
        Script::new(&options, mix, 0, 1_800_000_000_000_000)
    }

    #[test]
    fn a_cycle_releases_what_it_acquired() {
        let mut script = script(&[]);
        let mut caller = Caller { number: 4, holds: None };
        let Operation::Acquire(lock) = script.next(&caller) else { panic!("an acquire first") };
        assert_eq!((lock.family, lock.number), (Family::Load, 5));
        caller.holds = Some(lock);
        assert_eq!(script.next(&caller), Operation::Release(lock));
        caller.holds = None;
        let Operation::Acquire(next) = script.next(&caller) else { panic!("an acquire again") };
        assert_ne!(next.lease, lock.lease, "each lease has an id of its own");
    }

    #[test]
    fn the_weights_are_kept() {
        let mut script = script(&["--mix", "cycle=1,status=3", "--names", "fresh"]);
        let caller = Caller { number: 0, holds: None };
        let looks = (0..10_000).filter(|_| matches!(script.next(&caller), Operation::Status(_))).count();
        assert!((7_300..7_700).contains(&looks), "{looks}");
    }

    #[test]
    fn what_is_left_is_a_new_name_each_time() {
        let mut script = script(&["--mix", "leave"]);
        let caller = Caller { number: 0, holds: None };
        let mut left = || match script.next(&caller) {
            Operation::Acquire(lock) => lock,
            other => panic!("{other:?}"),
        };
        let (one, other) = (left(), left());
        assert_eq!((one.family, other.family), (Family::Left, Family::Left));
        assert_ne!(one.number, other.number);
    }

    #[test]
    fn what_one_run_has_left_no_later_run_meets_though_its_seed_is_the_same() {
        let options = Options::parse_from(["load", "--mix", "leave", "--threads", "2"]);
        let mix = options.check().expect("options that make a run");
        let caller = Caller { number: 0, holds: None };
        let mut seen = std::collections::HashSet::new();
        for (thread, now_us) in [(0, 1_800_000_000_000_000), (1, 1_800_000_000_000_000), (0, 1_800_000_001_000_000)] {
            let mut script = Script::new(&options, mix, thread, now_us);
            for _ in 0..1000 {
                let Operation::Acquire(lock) = script.next(&caller) else { panic!("nothing else is in the mix") };
                assert!(seen.insert(lock.number) && lock.number < 1 << 63, "{lock:?}");
            }
        }
    }

    #[test]
    fn held_locks_are_what_is_renewed_and_looked_at() {
        let mut script = script(&["--mix", "renew=1,status=1", "--hold", "10"]);
        let caller = Caller { number: 0, holds: None };
        for _ in 0..100 {
            let (Operation::Renew(lock) | Operation::Status(lock)) = script.next(&caller) else { panic!("no other") };
            assert_eq!(lock, held(lock.number));
            assert!(lock.number < 10);
        }
    }

    #[test]
    fn zipf_draws_each_in_its_proportion_and_none_beyond_the_end() {
        let mut random = Random::new(7);
        for exponent in [0.0, 0.8, 1.0, 1.5] {
            let mut drawn = [0u32; 100];
            for _ in 0..100_000 {
                drawn[random.zipf(100, exponent) as usize] += 1;
            }
            let (first, tenth) = (f64::from(drawn[0]), f64::from(drawn[9]));
            let (wanted, is) = (10f64.powf(exponent), first / tenth);
            assert!(is > wanted * 0.5 && is < wanted * 1.6, "exponent {exponent}: {is} and not {wanted}");
        }
    }
}
