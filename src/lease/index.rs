//! An index by name that never moves all it holds at once.
//!
//! A hash table that has become full moves every entry to a larger one, and looks up each name for it: with a million names
//! in no order that takes 50 ms and more, in which nobody is served. So the index is in parts, by bits of the hash
//! that a part does not go by itself, and a part moves its share alone.

use hashbrown::HashTable;

/// Parts: a million entries are some 16,000 in each.
const PARTS: usize = 64;

/// What is known by name: a `T` says where the name is. The caller hashes, and compares.
pub struct NameIndex<T>(Box<[HashTable<T>; PARTS]>);

impl<T> Default for NameIndex<T> {
    fn default() -> NameIndex<T> {
        NameIndex(Box::new([const { HashTable::new() }; PARTS]))
    }
}

impl<T> NameIndex<T> {
    /// The one with this hash that is what is looked for.
    pub fn find(&self, hash: u64, is_it: impl FnMut(&T) -> bool) -> Option<&T> {
        self.0[part(hash)].find(hash, is_it)
    }

    /// Adds one that is not there yet. `hash_of` hashes others again, if they must be moved.
    pub fn insert(&mut self, hash: u64, value: T, hash_of: impl Fn(&T) -> u64) {
        self.0[part(hash)].insert_unique(hash, value, hash_of);
    }

    /// Takes one out that is there.
    ///
    /// # Panics
    /// It is not.
    pub fn remove(&mut self, hash: u64, is_it: impl FnMut(&T) -> bool) {
        self.0[part(hash)].find_entry(hash, is_it).ok().expect("what is taken out is there").remove();
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.0.iter().map(HashTable::len).sum()
    }

    /// Makes room for so many more, which are spread evenly as good as can be.
    pub fn reserve(&mut self, more: usize, hash_of: impl Fn(&T) -> u64) {
        let share = more / PARTS;
        self.0.iter_mut().for_each(|part| part.reserve(share + share / 16, &hash_of));
    }

    /// Gives up room beyond what so many need.
    pub fn shrink_to(&mut self, room: usize, hash_of: impl Fn(&T) -> u64) {
        self.0.iter_mut().for_each(|part| part.shrink_to(room / PARTS, &hash_of));
    }
}

fn part(hash: u64) -> usize {
    (hash >> 40) as usize % PARTS
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_added_is_found_until_it_is_taken_out() {
        let hasher = ahash::RandomState::new();
        let hash = |n: &u32| hasher.hash_one(n);
        let mut index = NameIndex::default();
        index.reserve(1000, hash);
        (0..10_000).for_each(|n| index.insert(hash(&n), n, hash));
        (0..10_000).filter(|n| n % 3 == 0).for_each(|n| index.remove(hash(&n), |found| *found == n));
        index.shrink_to(7_000, hash);
        assert_eq!(index.count(), 6_666);
        for n in 0..10_000 {
            assert_eq!(index.find(hash(&n), |found| *found == n).copied(), (n % 3 != 0).then_some(n));
        }
        assert!(index.0.iter().all(|part| (50..160).contains(&part.len())), "each part has about its share");
    }
}
