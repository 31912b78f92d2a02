//! The operator's commands against stopped and running servers: check, dump, backup, restore.

#[path = "../common/mod.rs"]
mod common;

mod commands;
mod grace;
mod offline;
