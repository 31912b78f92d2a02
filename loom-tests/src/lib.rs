//! Every interleaving of the server's lock-free files, explored by [loom](https://docs.rs/loom).
//!
//! The four files that share memory between threads import `crate::sync` and nothing else. This crate
//! has a [`sync`] of its own, made of loom's types, and compiles **the very files that ship** against
//! it: no `cfg`, no copy, nothing in the server that knows of loom. `tickets.rs` is here too: it shares
//! nothing, but the queue of answers rests on it. Run it with
//!
//! ```text
//! scripts/loom              # about a minute
//! scripts/loom --deep       # higher bounds
//! ```
//!
//! # What is checked
//! | models | of | claims |
//! |---|---|---|
//! | [`sleep`] | `handoff.rs` | no wake-up is lost, no message is lost, doubled or reordered; a full inbox refuses; at most one ring a sleep; a stop drains |
//! | [`answers`] | `handoff.rs`, `tickets.rs` | an answer always has a place, and never reaches another client's |
//! | [`commit`] | `watermark.rs`, `handoff.rs` | no response goes out before its commit, none is kept after it; no batch is lost, and a worker whose lane is full goes on |
//! | [`counters`] | `fence.rs`, `quota.rs` | tokens are unique and rise; the limit is never passed |
//!
//! Each model states its bound. Each line that matters is in [`guards`], with the weaker line that the
//! same model must catch; `build.rs` makes those copies, and refuses to build when a line is no longer there, or when no line
//! is listed for a model.
//!
//! # What is trusted
//! * **The queue.** crossbeam's `ArrayQueue` knows nothing of loom. [`array_queue`] is a port of it with the same
//!   operations in the same orders; the real one runs in `src/handoff_stress.rs`, under Miri and ThreadSanitizer too.
//! * **The lanes.** `journal/intake.rs`, where workers hand their batches to the journal, is not compiled here, for it needs
//!   more than `crate::sync`. [`commit`] models what it does (a queue per worker, "has it room?", one gate), as it models the
//!   hub's end of a turn; the files themselves run in the simulator and under the soak.
//! * **The bell.** An eventfd keeps a ring until it is read: [`sync::Bell`] assumes that, and no ordering of memory at all.
//! * **loom**: it takes a SeqCst access for AcqRel (so weaker, never stronger), remembers the last seven stores of each atomic,
//!   and a spin that it explores is one that finds the world changed after each yield.

#![forbid(unsafe_code)]
#![allow(clippy::duplicate_mod)] // each twin compiles the models once more, against its own weakened files

pub mod array_queue;
pub mod explore;
pub mod guards;
pub mod sync;

#[path = "../../src/fence.rs"]
pub mod fence;
#[path = "../../src/handoff.rs"]
pub mod handoff;
#[path = "../../src/quota.rs"]
pub mod quota;
#[path = "../../src/tickets.rs"]
pub mod tickets;
#[path = "../../src/watermark.rs"]
pub mod watermark;

pub mod answers;
pub mod commit;
pub mod counters;
pub mod sleep;

#[cfg(test)]
mod tests;

/// One module for each of [`guards::GUARDS`], made by `build.rs`.
#[cfg(test)]
mod twins {
    include!(concat!(env!("OUT_DIR"), "/twins.rs"));
}
