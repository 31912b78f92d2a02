//! What the simulated journal's thread does between two commits, beside folding.

use super::{Journal, JournalError, Writer};

impl<J: Journal> Writer<J> {
    /// Makes the copy that was asked for, and does everything else between its slices.
    pub fn run_the_copy(&mut self) -> Result<(), JournalError> {
        let copy = self.run_an_errand()?.expect("a copy was asked for");
        self.copy(copy)
    }

    pub fn end_grace_if_it_is_over(&mut self, now_ns: u64) -> Result<(), JournalError> {
        self.end_grace(now_ns)
    }
}
