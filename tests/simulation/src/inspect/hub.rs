//! What the oracle sees of a hub.

use super::Hub;

impl Hub {
    /// Who holds a lock in memory, durably or not: token and deadline.
    pub fn live(&self, name: &str) -> Option<(u64, u64)> {
        self.shard.borrow().live(name)
    }

    /// How many live locks each of the users `0..users` has on this core.
    pub fn count_locks(&self, users: &mut [u32]) {
        self.shard.borrow().count_locks(users);
    }

    /// All that must be 0 when nothing is held and nobody waits.
    pub fn left_behind(&self) -> Vec<(&'static str, usize)> {
        let mut left = vec![("tickets", self.tickets.borrow().outstanding()), ("waiters", usize::from(self.waiters.any()))];
        left.extend(self.shard.borrow().left_behind());
        left
    }
}
