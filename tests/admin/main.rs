//! The operator's commands against stopped and running servers: check, dump, backup, restore, user.

#[path = "../common/mod.rs"]
mod common;

mod commands;
mod grace;
mod offline;
mod online;
mod socket;
mod under_load;
mod users;
