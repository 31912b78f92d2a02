//! What a commit, a fold and a start cost, on a real file in the file system of the build directory.
//!
//! Wall time: an append is mostly one fdatasync(2), so its time says more of the disk than of us. Run
//! it on an idle machine, and compare with a run of the same day.

use std::fs;
use std::path::PathBuf;

use criterion::{BatchSize, BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use octostore::fence::Fence;
use octostore::journal::{Commit, Journal, Limits, Row, RowChange, SqliteJournal, encode};
use octostore::lease::{Change, Record, Ttl, UserId};
use uuid::Uuid;

/// Locks in the database that is recovered, and rows in the one that is folded into.
const LOCKS: u64 = 100_000;
/// Rows per fold.
const SLICE: u64 = 256;

/// A database of its own, gone at the end.
struct Database {
    directory: PathBuf,
}

impl Database {
    fn new(name: &str) -> Database {
        let directory =
            PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("journal-{name}-{}", std::process::id()));
        fs::create_dir_all(&directory).expect("the build directory can be written");
        Database { directory }
    }

    fn open(&self) -> SqliteJournal {
        SqliteJournal::open(self.directory.join("octostore.db"), Limits::STANDARD).expect("the database opens")
    }

    /// Opened and recovered, with one account.
    fn start(&self) -> SqliteJournal {
        let mut journal = self.open();
        journal.accounts(&[("static", "bench")]).expect("the account is added");
        journal.recover().expect("the database is recovered");
        journal
    }

    /// Opened and recovered, with `LOCKS` rows.
    fn start_full(&self) -> SqliteJournal {
        let mut journal = self.start();
        for first in (0..LOCKS).step_by(10_000) {
            let rows: Vec<RowChange> = (first..first + 10_000).map(|n| put(n, n + 1)).collect();
            journal.fold(&rows, LOCKS, 0).expect("the rows are written");
        }
        journal
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.directory);
    }
}

/// About 80 bytes when encoded.
fn record(name: &str, token: u64) -> Record<'_> {
    Record {
        name,
        user: UserId(0),
        lease_id: Uuid::from_u128(u128::from(token) << 64 | 1),
        token: Fence::recovered(token).expect("a token above 0"),
        ttl: Ttl::DEFAULT,
        metadata: Some("held by worker-17 of pool-3"),
    }
}

fn put(lock: u64, token: u64) -> RowChange {
    RowChange::Put(Row::from(&record(&format!("lock-{lock:015}"), token)))
}

fn append(c: &mut Criterion) {
    let mut group = c.benchmark_group("journal/append");
    for changes in [1u64, 64, 256] {
        let database = Database::new("append");
        let mut journal = database.start();
        let (mut number, mut token) = (0, 0);
        let mut records = Vec::new();
        group.throughput(Throughput::Elements(changes));
        group.bench_function(BenchmarkId::from_parameter(changes), |b| {
            b.iter(|| {
                records.clear();
                for _ in 0..changes {
                    token += 1;
                    encode(&mut records, &Change::Granted(record("lock-000000000000042", token)));
                }
                number += 1;
                journal.append(&Commit { number, mark: token, records: &records }).expect("the commit is appended");
                // A thousand commits stay untrimmed, as under a steady load.
                if number % 256 == 0 {
                    journal.fold(&[], token, number.saturating_sub(1000)).expect("the journal is trimmed");
                }
                journal.tidy().expect("the file is tidied");
            });
        });
    }
    group.finish();
}

fn fold(c: &mut Criterion) {
    let mut group = c.benchmark_group("journal/fold");
    let database = Database::new("fold");
    let mut journal = database.start_full();
    let (mut token, mut lock) = (LOCKS, 1);
    group.throughput(Throughput::Elements(SLICE));
    group.bench_function(BenchmarkId::new("rows over 100 000", SLICE), |b| {
        let slice = || {
            let next = || {
                token += 1;
                lock = lock * 48_271 % 2_147_483_647; // Lehmer's generator, with Park and Miller's numbers
                put(lock % LOCKS, token)
            };
            std::iter::repeat_with(next).take(SLICE as usize).collect::<Vec<RowChange>>()
        };
        let write = |rows: Vec<RowChange>| {
            journal.fold(&rows, 2 * LOCKS, 0).expect("the rows are written");
            journal.tidy().expect("the file is tidied");
        };
        b.iter_batched(slice, write, BatchSize::PerIteration);
    });
    group.finish();
}

fn recover(c: &mut Criterion) {
    let mut group = c.benchmark_group("journal/recover");
    let database = Database::new("recover");
    database.start_full().close().expect("the database is closed");
    group.sample_size(20).throughput(Throughput::Elements(LOCKS));
    group.bench_function("100 000 locks", |b| {
        b.iter(|| {
            let recovered = database.open().recover().expect("the database is recovered");
            assert_eq!(recovered.locks.len() as u64, LOCKS);
            recovered
        });
    });
    group.finish();
}

criterion_group!(benches, append, fold, recover);
criterion_main!(benches);
