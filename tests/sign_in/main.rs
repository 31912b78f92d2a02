//! Signing in with GitHub, and tokens that are replaced: the real binary, a stand-in that speaks GitHub's protocol, and
//! a real browser.

#[path = "../common/mod.rs"]
mod common;

mod faults;
mod flow;
mod github;
mod guesses;
mod page;
mod rotation;
mod settings;
mod visitor;
