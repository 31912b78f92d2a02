//! What outlives a server: stopped in order, killed under load, and started again on its files.

#[path = "../common/mod.rs"]
mod common;

mod crash;
mod database;
mod local_token;
mod recovery;
mod signals;
