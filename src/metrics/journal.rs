//! What the journal's thread has done, and how full its files are. Written by it alone.

use super::Source;
use super::cell::{Counter, Distribution, Histogram, Scale};
use super::page::{Kind, Page};

/// The journal's counters.
#[derive(Debug)]
pub struct JournalMetrics {
    commits: Histogram,
    syncs: Histogram,
    batches: Histogram,
    commit_ns: Counter,
    folds: Histogram,
    rows: Counter,
    checkpoints: Histogram,
    /// Untrimmed commits and bytes, each used and at most.
    room: [Counter; 4],
    wal_bytes: Counter,
    database_bytes: Counter,
    disk_free_bytes: Counter,
    disk_bytes: Counter,
}

/// Some of the counters at one moment.
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

impl Default for JournalMetrics {
    fn default() -> Self {
        JournalMetrics {
            commits: Histogram::of_seconds(),
            syncs: Histogram::of_seconds(),
            batches: Histogram::new(&Scale::COUNT),
            commit_ns: Counter::default(),
            folds: Histogram::of_seconds(),
            rows: Counter::default(),
            checkpoints: Histogram::of_seconds(),
            room: Default::default(),
            wal_bytes: Counter::default(),
            database_bytes: Counter::default(),
            disk_free_bytes: Counter::default(),
            disk_bytes: Counter::default(),
        }
    }
}

impl JournalMetrics {
    /// Counts a commit of so many changes that took so long.
    pub fn committed(&self, changes: u32, took_ns: u64) {
        self.commits.observe(took_ns);
        self.batches.observe(changes.into());
        self.commit_ns.add(took_ns);
    }

    /// Counts a commit's sync: its pages written to the log and on the disk.
    pub fn synced(&self, took_ns: u64) {
        self.syncs.observe(took_ns);
    }

    /// Counts a fold of so many rows that took so long.
    pub fn folded(&self, rows: usize, took_ns: u64) {
        self.folds.observe(took_ns);
        self.rows.add(rows as u64);
    }

    /// Counts a checkpoint that took so long.
    pub fn checkpointed(&self, took_ns: u64) {
        self.checkpoints.observe(took_ns);
    }

    /// Notes how large the database is.
    pub fn database(&self, bytes: u64) {
        self.database_bytes.set(bytes);
    }

    /// Notes how full the journal is: commits and bytes that are not trimmed, and how many of each it can hold.
    pub fn room(&self, commits: u64, most_commits: u64, bytes: u64, most_bytes: u64) {
        self.room.iter().zip([commits, most_commits, bytes, most_bytes]).for_each(|(gauge, now)| gauge.set(now));
    }

    /// Notes how large the write-ahead log is.
    pub fn wal(&self, bytes: u64) {
        self.wal_bytes.set(bytes);
    }

    /// Notes how much room the disk has, of how much.
    pub fn disk(&self, free_bytes: u64, bytes: u64) {
        self.disk_free_bytes.set(free_bytes);
        self.disk_bytes.set(bytes);
    }

    /// Some of the counters now.
    pub fn figures(&self) -> JournalFigures {
        let count = |histogram| Distribution::of([histogram]).count();
        JournalFigures {
            commits: count(&self.commits),
            changes: Distribution::of([&self.batches]).sum() as u64,
            commit_ns: self.commit_ns.get(),
            folds: count(&self.folds),
            rows: self.rows.get(),
        }
    }
}

impl Source for JournalMetrics {
    fn collect(&self, page: &mut Page) {
        let histograms = [
            (
                "octostore_journal_commit_duration_seconds",
                "Time of a commit: one transaction and its sync, which all changes in it wait for.",
                &self.commits,
            ),
            (
                "octostore_journal_sync_duration_seconds",
                "Time of a commit's sync: its pages written to the write-ahead log, and fdatasync.",
                &self.syncs,
            ),
            (
                "octostore_journal_batch_changes",
                "Changes in a commit: the more wait together, the less each costs. 0: a probe of /health.",
                &self.batches,
            ),
            (
                "octostore_journal_fold_duration_seconds",
                "Time of a fold: one bounded slice of the rows per lock brought up to date, and the journal trimmed.",
                &self.folds,
            ),
            (
                "octostore_journal_checkpoint_duration_seconds",
                "Time of a checkpoint: the write-ahead log copied into the database file.",
                &self.checkpoints,
            ),
        ];
        for (name, help, histogram) in histograms {
            page.histogram(name, help, &Distribution::of([histogram]));
        }
        page.counter("octostore_journal_folded_rows_total", "Rows of locks written or deleted.", self.rows.get());
        let [commits, most_commits, bytes, most_bytes] = &self.room;
        let gauges = [
            ("octostore_journal_commits", "Commits that are not folded into the rows yet.", commits),
            ("octostore_journal_commits_limit", "The most of them: beyond it commits wait, then 503.", most_commits),
            ("octostore_journal_records_bytes", "Bytes of the changes in the commits not yet folded.", bytes),
            (
                "octostore_journal_records_limit_bytes",
                "The most of them: beyond it commits wait, then 503.",
                most_bytes,
            ),
            (
                "octostore_wal_bytes",
                "Bytes in SQLite's write-ahead log since it was last started over.",
                &self.wal_bytes,
            ),
            (
                "octostore_database_bytes",
                "Bytes of the database file, as of the last checkpoint.",
                &self.database_bytes,
            ),
            (
                "octostore_disk_free_bytes",
                "Bytes free on the database's disk, a minute old at most.",
                &self.disk_free_bytes,
            ),
            ("octostore_disk_bytes", "Bytes of the database's disk.", &self.disk_bytes),
        ];
        for (name, help, gauge) in gauges {
            page.family(Kind::Gauge, name, help).sample(&[], gauge.get());
        }
    }
}
