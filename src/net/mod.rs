//! The network: everything that names the runtime's I/O.
//!
//! `bind` opens the port once, `listener` accepts, `conn` is one client's connection, `clients` knows
//! them all and cuts those that are too slow, `doorbell` lets a worker sleep on its bell, `runtime` builds the
//! driver. The runtime is named here and in `worker.rs` only, so that it stays replaceable.

pub mod bind;
pub mod clients;
pub mod conn;
pub mod doorbell;
pub mod listener;
pub mod runtime;
