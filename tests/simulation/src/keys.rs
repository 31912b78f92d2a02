//! What `ahash` is here: a hash with keys from the seed, so that a name's owner and a map's order are the seed's choice.

use std::cell::Cell;
use std::hash::{BuildHasher, DefaultHasher, Hash, Hasher};

thread_local! {
    static SALT: Cell<u64> = const { Cell::new(0) };
}

/// Keys the hashes of this thread's simulation.
pub fn salt_hashes(salt: u64) {
    SALT.set(salt);
}

/// The keys of a hash.
#[derive(Clone, Copy, Debug)]
pub struct RandomState(u64);

impl RandomState {
    /// The seed's keys.
    pub fn new() -> RandomState {
        RandomState(SALT.get())
    }

    /// The hash of a value.
    pub fn hash_one(&self, value: impl Hash) -> u64 {
        BuildHasher::hash_one(self, value)
    }
}

impl Default for RandomState {
    fn default() -> Self {
        RandomState::new()
    }
}

impl BuildHasher for RandomState {
    type Hasher = DefaultHasher;

    fn build_hasher(&self) -> DefaultHasher {
        let mut hasher = DefaultHasher::new();
        hasher.write_u64(self.0);
        hasher
    }
}
