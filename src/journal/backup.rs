//! What a backup of a running server is, to the journal's thread.
//!
//! The pages are copied in slices of a bounded number, and between two slices the thread goes on with its work. So a
//! backup holds up no commit for longer than a slice, however large the database is; and what is committed meanwhile
//! is in the backup too, because whoever writes to a page that has been copied writes it to the copy as well. The
//! backup shows the moment of its end.

use std::path::Path;

use super::JournalError;

/// How far a backup is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pages {
    /// Pages copied.
    pub done: u64,
    /// Pages in all; it may grow.
    pub total: u64,
}

/// How a backup has ended. None of it is of any harm to the journal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Copied {
    /// It is whole, but on no disk for certain.
    Whole,
    /// Nobody wants it any more.
    GivenUp,
    /// It could not be written. One line that says why.
    Failed(String),
}

/// What a backup is copied from. It does not keep the journal from being used.
pub trait Source {
    /// Copies everything to the new file `to`. After each slice it calls `between`, which does the journal's work and
    /// says whether the backup is still wanted.
    ///
    /// # Errors
    /// What `between` has failed with.
    fn copy(
        &self,
        to: &Path,
        between: &mut dyn FnMut(Pages) -> Result<bool, JournalError>,
    ) -> Result<Copied, JournalError>;
}
