//! The network: everything that names the runtime's I/O.
//!
//! `bind` opens the port once, `listener` accepts, `admission` says how many, `conn` is one client's connection,
//! `flight` one request on it, `clients` knows all connections and cuts those that are too slow, `doorbell` lets a
//! worker sleep on its bell, `runtime` builds the driver. The runtime is named here and in `worker.rs` only, so
//! that it stays replaceable.

pub mod admission;
pub mod bind;
pub mod clients;
pub mod conn;
pub mod doorbell;
pub mod flight;
mod issuing;
pub mod listener;
pub mod runtime;
