//! How the simulated core differs from the one that ships: it has no SQLite, and its bounds are small.
//!
//! With the bounds that ship it takes thousands of requests to fill an inbox, a batch or a commit; with these a
//! handful does, so every seed comes to the places where something is full.

/// A text in a file of the core, which must be there exactly once, and what stands there instead.
pub struct Edit {
    /// Below `src/`.
    pub file: &'static str,
    /// What ships.
    pub find: &'static str,
    /// What is compiled.
    pub replace: &'static str,
}

/// The edits of every copy.
pub const FOR_SIMULATION: [Edit; 31] = [
    Edit { file: "journal/mod.rs", find: "mod sqlite;\n", replace: "" },
    Edit { file: "journal/mod.rs", find: "mod sqlite_accounts;\n", replace: "" },
    Edit { file: "journal/mod.rs", find: "mod sqlite_backup;\n", replace: "" },
    Edit { file: "journal/mod.rs", find: "mod sqlite_locks;\n", replace: "" },
    Edit { file: "journal/mod.rs", find: "mod sqlite_meta;\n", replace: "" },
    Edit { file: "journal/mod.rs", find: "mod sqlite_offline;\n", replace: "" },
    Edit { file: "journal/mod.rs", find: "mod sqlite_padding;\n", replace: "" },
    Edit { file: "journal/mod.rs", find: "mod sqlite_schema;\n", replace: "" },
    Edit { file: "journal/mod.rs", find: "mod sqlite_sums;\n", replace: "" },
    Edit { file: "journal/mod.rs", find: "mod sqlite_wal;\n", replace: "" },
    Edit { file: "journal/mod.rs", find: "mod sqlite_files;\n", replace: "" },
    Edit { file: "journal/mod.rs", find: "pub use sqlite::SqliteJournal;\n", replace: "" },
    Edit { file: "journal/mod.rs", find: "pub use sqlite_offline::{Inspected, SCHEMA_VERSION};\n", replace: "" },
    Edit { file: "mesh.rs", find: "ASKS: usize = 4096", replace: "ASKS: usize = 6" },
    Edit { file: "mesh.rs", find: "OUTSTANDING: usize = 16384", replace: "OUTSTANDING: usize = 12" },
    Edit { file: "hub/mod.rs", find: "ASKS_PER_TURN: usize = 512", replace: "ASKS_PER_TURN: usize = 3" },
    Edit { file: "hub/turn.rs", find: "FORGET_PER_TURN: usize = 1024", replace: "FORGET_PER_TURN: usize = 2" },
    Edit { file: "journal/writer.rs", find: "FOLD_AT_ONCE: usize = 1024", replace: "FOLD_AT_ONCE: usize = 2" },
    Edit { file: "hub/turn.rs", find: "SWEEP_PER_TURN: usize = 512", replace: "SWEEP_PER_TURN: usize = 2" },
    Edit { file: "hub/lists.rs", find: "SCAN_AT_ONCE: usize = 512", replace: "SCAN_AT_ONCE: usize = 2" },
    Edit { file: "hub/lists.rs", find: "SCAN_PER_TURN: usize = 512", replace: "SCAN_PER_TURN: usize = 1" },
    Edit { file: "journal/fold.rs", find: "ROOM_KEPT: usize = 4096", replace: "ROOM_KEPT: usize = 2" },
    Edit { file: "journal/intake.rs", find: "LANE: usize = 16", replace: "LANE: usize = 2" },
    Edit { file: "journal/intake.rs", find: "BATCH_BYTES: usize = 256 << 10", replace: "BATCH_BYTES: usize = 3 << 10" },
    Edit { file: "journal/writer.rs", find: "COMMIT_BYTES: usize = 2 << 20", replace: "COMMIT_BYTES: usize = 7 << 10" },
    Edit { file: "journal/writer.rs", find: "SLICE_ROWS: usize = 256", replace: "SLICE_ROWS: usize = 2" },
    Edit { file: "journal/writer.rs", find: "SLICE_NAMES: usize = 8192", replace: "SLICE_NAMES: usize = 3" },
    Edit { file: "journal/memory_copy.rs", find: "SLICE_PAGES: usize = 64", replace: "SLICE_PAGES: usize = 2" },
    Edit { file: "lease/index.rs", find: "PARTS: usize = 64", replace: "PARTS: usize = 2" },
    Edit { file: "lease/expiry.rs", find: "RING: usize = 1 << 16", replace: "RING: usize = 1 << 9" },
    Edit { file: "lease/command.rs", find: "MAX_SECONDS: u16 = 3600", replace: "MAX_SECONDS: u16 = 30" },
];

/// Files whose private parts the oracle looks at, and the child module in `src/inspect/` that lets it.
pub const INSPECTED: [(&str, &str); 5] = [
    ("journal/writer.rs", "writer.rs"),
    ("hub/mod.rs", "hub.rs"),
    ("hub/turn.rs", "turn.rs"),
    ("shard.rs", "shard.rs"),
    ("lease/table.rs", "table.rs"),
];
