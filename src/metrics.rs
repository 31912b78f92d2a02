//! Counters, kept where they are counted and summed when asked.
//!
//! The workers' own counters are plain cells on their threads or live beside what they count
//! ([`Gate::rings`](crate::handoff::Gate::rings), [`Inbox::refused`](crate::handoff::Inbox::refused)); here are those of the
//! journal's thread, which others read.

use crate::sync::{AtomicU64, Ordering};

/// What the journal's thread has done. Written by it alone; all orderings are Relaxed, since nothing rests on them.
#[derive(Debug, Default)]
pub struct JournalMetrics {
    commits: AtomicU64,
    changes: AtomicU64,
    commit_ns: AtomicU64,
    folds: AtomicU64,
    rows: AtomicU64,
}

/// The counters at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct JournalFigures {
    /// Commits, probes included.
    pub commits: u64,
    /// Changes in them.
    pub changes: u64,
    /// Time in them, in nanoseconds.
    pub commit_ns: u64,
    /// Folds.
    pub folds: u64,
    /// Rows changed by them.
    pub rows: u64,
}

impl JournalMetrics {
    /// Counts a commit of so many changes that took so long.
    pub fn committed(&self, changes: u32, took_ns: u64) {
        self.commits.fetch_add(1, Ordering::Relaxed);
        self.changes.fetch_add(changes.into(), Ordering::Relaxed);
        self.commit_ns.fetch_add(took_ns, Ordering::Relaxed);
    }

    /// Counts a fold of so many rows.
    pub fn folded(&self, rows: usize) {
        self.folds.fetch_add(1, Ordering::Relaxed);
        self.rows.fetch_add(rows as u64, Ordering::Relaxed);
    }

    /// The counters now.
    pub fn figures(&self) -> JournalFigures {
        JournalFigures {
            commits: self.commits.load(Ordering::Relaxed),
            changes: self.changes.load(Ordering::Relaxed),
            commit_ns: self.commit_ns.load(Ordering::Relaxed),
            folds: self.folds.load(Ordering::Relaxed),
            rows: self.rows.load(Ordering::Relaxed),
        }
    }
}
