//! What the simulated journal's thread does between two commits, beside folding.

use super::{Journal, JournalError, Writer};

impl<J: Journal> Writer<J> {
    pub fn end_grace_if_it_is_over(&mut self, now_ns: u64) -> Result<(), JournalError> {
        self.end_grace(now_ns)
    }
}
