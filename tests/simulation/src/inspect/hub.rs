//! What the oracle sees of a hub.

use super::{Hub, Seq};

impl Hub {
    /// Who holds a lock in memory, durably or not: token and deadline.
    pub fn live(&self, name: &str) -> Option<(u64, u64)> {
        self.shard.borrow().live(name)
    }

    /// How many live locks each of the users `0..users` has on this core.
    pub fn count_locks(&self, users: &mut [u32]) {
        self.shard.borrow().count_locks(users);
    }

    /// All that must be 0 when the core sleeps: what it could have gone on with. At its last look it was durable up to `seen`.
    pub fn undone(&self, seen: Seq) -> [(&'static str, usize); 3] {
        let may_sweep = self.turn.has_more_to_sweep() && self.intake.has_taken_all(self.core);
        [
            ("lists under way", usize::from(!self.lists.are_done())),
            ("names to forget", self.shard.borrow().to_forget(seen)),
            ("sweeps that need not wait", usize::from(may_sweep)),
        ]
    }

    /// Whether a list is being made in parts.
    pub fn is_listing(&self) -> bool {
        !self.lists.are_done()
    }

    /// All that must be 0 when nothing is held and nobody waits.
    pub fn left_behind(&self) -> Vec<(&'static str, usize)> {
        let mut left = vec![("tickets", self.tickets.borrow().outstanding()), ("waiters", usize::from(self.waiters.any()))];
        left.extend(self.shard.borrow().left_behind());
        left
    }
}
