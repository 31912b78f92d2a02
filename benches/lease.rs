//! Operations of the lock table, with 1 k to 10 M locks held: no disk, no network, one core. Ten million take 3 GB of memory
//! and a minute to set up.

use std::hint::black_box;
use std::time::{Duration, Instant};

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use octostore::fence::{Fence, FencingToken};
use octostore::lease::{Change, Command, LockName, LockTable, Op, Ports, Scan, Seq, Ttl, UserId};
use uuid::Uuid;

/// Ports that cost next to nothing.
struct Ledger {
    fence: Fence,
    seq: Seq,
}

impl Ports for Ledger {
    fn mint(&mut self) -> Option<FencingToken> {
        self.fence.mint()
    }

    fn reserve(&mut self, _: UserId) -> bool {
        true
    }

    fn give_back(&mut self, _: UserId) {}

    fn record(&mut self, change: Change<'_>) -> Seq {
        black_box(change);
        self.seq += 1;
        self.seq
    }
}

fn name(text: &str) -> LockName {
    LockName::new(text).expect("a lock name")
}

fn operations(c: &mut Criterion) {
    let mut group = c.benchmark_group("lease");
    for held in [1_000u32, 100_000, 10_000_000] {
        let mut ledger = Ledger { fence: Fence::above(0), seq: 0 };
        let mut table = LockTable::new(0);
        let names: Vec<LockName> = (0..held).map(|n| name(&format!("bench-lock-{n:012}"))).collect();
        let lease_id = Uuid::from_u128(1);
        let acquire = Op::Acquire { lease_id, ttl: Ttl::DEFAULT, metadata: None };
        let user = UserId(0);
        for name in &names {
            table.apply(0, &Command { user, name, op: acquire }, &mut ledger);
        }
        // A stride that visits all names in an order that no cache guesses.
        let mut at = 0;
        let mut next = || {
            at = (at + 7919) % names.len();
            &names[at]
        };
        group.bench_function(BenchmarkId::new("renew", held), |b| {
            b.iter(|| {
                table.apply(1, &Command { user, name: next(), op: Op::Renew { lease_id, ttl: None } }, &mut ledger)
            });
        });
        group.bench_function(BenchmarkId::new("held", held), |b| {
            let op = Op::Acquire { lease_id: Uuid::nil(), ttl: Ttl::DEFAULT, metadata: None };
            b.iter(|| table.apply(1, &Command { user, name: next(), op }, &mut ledger));
        });
        group.bench_function(BenchmarkId::new("release and acquire", held), |b| {
            b.iter(|| {
                let name = next();
                table.apply(1, &Command { user, name, op: Op::Release { lease_id } }, &mut ledger);
                table.apply(1, &Command { user, name, op: acquire }, &mut ledger);
                // As the hub does at the end of a turn: else each release leaves a tombstone that stays.
                table.forget(ledger.seq, usize::MAX);
            });
        });
        group.bench_function(BenchmarkId::new("acquire and release a new name", held), |b| {
            let mut n = 0u64;
            b.iter(|| {
                n += 1;
                let name = name(&format!("new-{n}"));
                table.apply(1, &Command { user, name: &name, op: acquire }, &mut ledger);
                table.apply(1, &Command { user, name: &name, op: Op::Release { lease_id } }, &mut ledger);
                table.forget(ledger.seq, usize::MAX);
            });
        });
    }
    group.finish();
}

/// A page of 100 of a user who holds many locks.
fn lists(c: &mut Criterion) {
    let mut group = c.benchmark_group("list");
    for held in [1_000u32, 100_000] {
        let mut ledger = Ledger { fence: Fence::above(0), seq: 0 };
        let mut table = LockTable::new(0);
        let op = Op::Acquire { lease_id: Uuid::from_u128(1), ttl: Ttl::DEFAULT, metadata: None };
        for n in 0..held {
            let name = name(&format!("bench-lock-{:012}", n.wrapping_mul(2_654_435_761)));
            table.apply(0, &Command { user: UserId(0), name: &name, op }, &mut ledger);
        }
        group.bench_function(BenchmarkId::new("a page", held), |b| {
            b.iter(|| {
                let mut scan = Scan::new(UserId(0), "", Some("bench-lock-002"), 101);
                assert!(table.scan(&mut scan, usize::MAX));
                scan.found()
            });
        });
    }
    group.finish();
}

/// A turn's share of an expiry storm: as many leases as the hub ends in one turn, among more or fewer that have run
/// out in the same moment; and their names are forgotten, as after their commit.
fn sweeps(c: &mut Criterion) {
    const A_TURN: usize = 512;
    let mut group = c.benchmark_group("sweep");
    // What takes the time is to fill the table again, which is not measured.
    group.sample_size(20).warm_up_time(Duration::from_secs(1)).measurement_time(Duration::from_secs(2));
    group.throughput(Throughput::Elements(A_TURN as u64));
    for due in [A_TURN, 100_000, 1_000_000] {
        let names: Vec<LockName> = (0..due).map(|n| name(&format!("bench-lock-{n:012}"))).collect();
        // The shortest TTL, so that hardly any of the time is the wheel's way to them.
        let ttl = Ttl::from_seconds(1).expect("a TTL");
        let op = Op::Acquire { lease_id: Uuid::from_u128(1), ttl, metadata: None };
        let mut ledger = Ledger { fence: Fence::above(0), seq: 0 };
        let mut table = LockTable::new(0);
        let mut now_ns = 0;
        group.bench_function(BenchmarkId::new("512 leases that have run out", due), |b| {
            b.iter_custom(|turns| {
                let mut took = Duration::ZERO;
                for _ in 0..turns {
                    if table.held() < A_TURN {
                        // All are due again, and in one moment.
                        let acquired_ns = now_ns;
                        now_ns += 2 * ttl.ns();
                        for name in &names {
                            table.apply(acquired_ns, &Command { user: UserId(0), name, op }, &mut ledger);
                        }
                    }
                    let begin = Instant::now();
                    let ended = table.sweep(now_ns, A_TURN, &mut ledger);
                    table.forget(ledger.seq, usize::MAX);
                    took += begin.elapsed();
                    assert_eq!(ended, A_TURN);
                }
                took
            });
        });
    }
    group.finish();
}

criterion_group!(benches, operations, lists, sweeps);
criterion_main!(benches);
