//! A deterministic simulator of OctoStore: one seed, one run, always the same.
//!
//! It compiles **the files that ship** (the lock table, the shard, the hub, the mesh, the handoff, group commit, folding,
//! recovery, fence, quota, watermark, tickets), copied by `build.rs`, with other modules under the names they import:
//!
//! | they import | here it is | it plays |
//! |---|---|---|
//! | `crate::clock` | [`clock`] | a clock that the simulator turns: it leaps, as when a machine sleeps, and stalls between any two reads |
//! | `crate::sync` | [`sync`] | the same atomics and queues; a bell that only counts |
//! | `ahash` | [`RandomState`] | a hash whose keys come from the seed |
//!
//! So the server holds no seam and no `cfg` for this. The disk is the shipping `MemoryJournal`, which shares its
//! recovery with SQLite's; the network is a queue per connection. What differs from the shipping text is listed in
//! `edits.rs`: SQLite left out, and bounds made so small that a handful of requests reaches them.
//!
//! [`world`] drives it: clients, cores, turns, commits, folds, expiries, stalls, crashes, backups in slices and restores of them, interleaved by
//! the seed.
//! `world/oracle.rs` holds what must be true, one function for each promise, checked after each step. `faults.rs` is the list
//! of faults that the simulator must find: `tests/planted.rs` compiles the core with each and counts the seeds it takes.
//!
//! What is *not* simulated: interleavings within a turn (that is loom's), SQLite and the file system under it (a commit or a
//! fold here is there as a whole or not at all, and once it has returned it stays), and the bytes of HTTP. The slices of a backup are the
//! journal's thread's own, but what a slice copies is a piece of the memory journal; that SQLite's pages make one state, too, is shown by
//! `a_backup_goes_on_while_commits_do_and_holds_those_made_up_to_its_end` and by the backups in `tests/power_loss`.

// The core's `ahash` is this crate, under that name.
extern crate self as ahash;

pub mod clock;
pub mod corners;
pub mod faults;
pub mod keys;
pub mod play;
pub mod random;
pub mod sync;
pub mod trace;
pub mod world;

pub mod edits;

pub use keys::RandomState;

include!(concat!(env!("OUT_DIR"), "/shipping.rs"));
