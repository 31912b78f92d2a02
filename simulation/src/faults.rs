//! Faults that the simulator must find.
pub use crate::edits::Edit;
/// A fault.
pub struct Fault {
    pub name: &'static str,
    pub within: u64,
    pub edits: &'static [Edit],
}
pub const FAULTS: [Fault; 0] = [];
