//! What the oracle sees of a lock table.

use super::{LockTable, Seq};

impl LockTable {
    pub fn live(&self, name: &str) -> Option<(u64, u64)> {
        let slot = self.find(self.hasher.hash_one(name), name)?;
        self.lease(slot).map(|lease| (lease.token.get(), lease.deadline_ns))
    }

    pub fn count_locks(&self, users: &mut [u32]) {
        for (user, slots) in &self.by_user {
            users[user.0 as usize] += slots.len() as u32;
        }
    }

    /// How many removals are durable and not forgotten.
    pub fn to_forget(&self, durable: Seq) -> usize {
        self.tombstones.iter().filter(|(seq, _)| *seq <= durable).count()
    }

    pub fn left_behind(&self) -> [(&'static str, usize); 5] {
        let leases = self.slots.len() - self.vacant.len();
        let users = self.by_user.len();
        [
            ("held locks", self.held),
            ("known names", self.known_names()),
            ("occupied slots", leases),
            ("users' lists", users),
            ("tombstones", self.tombstones.len()),
        ]
    }
}
