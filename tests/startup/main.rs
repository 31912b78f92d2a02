//! Starts that succeed, and starts that must be refused with an error that helps.

#[path = "../common/mod.rs"]
mod common;

mod command_line;
mod drivers;
mod refusals;
mod secrets;
