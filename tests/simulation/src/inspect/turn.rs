//! What the oracle sees of a turn.

use super::Turn;

impl Turn {
    /// Whether there may be leases that have run out.
    pub fn has_more_to_sweep(&self) -> bool {
        self.sweep_is_due.get()
    }
}
