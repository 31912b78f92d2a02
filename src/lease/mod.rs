//! The lock state machine: what is held, by whom, until when. Pure: no clock, no I/O, no runtime.
//!
//! [`LockTable::apply`] takes `now` and a [`Command`], and gives an [`Outcome`]; what must be made
//! durable comes out through [`Ports::record`], which numbers it. Nothing here knows of HTTP, of
//! cores or of SQLite, so a simulator can drive it through years in a second.

mod command;
mod expiry;
mod index;
mod name;
mod scan;
mod table;

pub use command::{
    Change, Command, Denied, Listed, MAX_METADATA_BYTES, Op, Outcome, Ports, Record, Reply, Seq, Ttl, UserId,
};
pub use index::NameIndex;
pub use name::{LockName, MAX_NAME_BYTES, NameError};
pub use scan::Scan;
pub use table::LockTable;
