//! The HTTP contract, row by row, against the real binary on both drivers.

#[path = "../common/mod.rs"]
mod common;

mod acquire;
mod authentication;
mod bodies;
mod expiry;
mod held;
mod limit;
mod list;
mod names;
mod openapi;
mod order;
mod release;
mod renew;
mod status;
mod system;
