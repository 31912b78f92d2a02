//! What the oracle sees of a shard.

use super::{Seq, Shard};

impl Shard {
    pub fn live(&self, name: &str) -> Option<(u64, u64)> {
        self.table.live(name)
    }

    pub fn count_locks(&self, users: &mut [u32]) {
        self.table.count_locks(users);
    }

    pub fn to_forget(&self, durable: Seq) -> usize {
        self.table.to_forget(durable)
    }

    pub fn left_behind(&self) -> Vec<(&'static str, usize)> {
        let mut left = self.table.left_behind().to_vec();
        left.push(("open batch", self.ledger.batch.records.len()));
        left
    }
}
