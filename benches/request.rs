//! A whole request in process: everything that a worker does for it but the kernel's part.
//!
//! From the bytes of a request to the bytes of its answer, over the shipping code: parse, understand and sign in, the
//! hub's turn, the lock table, the batch, a commit to a journal in memory, the watermark, the answer's JSON and head.
//! What is missing to the real thing is sockets, the runtime, and the disk. "64 a turn" is 64 requests between two ends
//! of a turn, which one commit makes durable together, as with 64 connections; the time is that of one request.

use std::hint::black_box;
use std::sync::Arc;
use std::task::{Context, Waker};

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use octostore::api::locks::{self, Asked};
use octostore::api::{self, Call, View};
use octostore::auth::{Credential, Principals, hash_of};
use octostore::clock;
use octostore::fence::Fence;
use octostore::http::{self, Date, Head, RequestIds, Step};
use octostore::hub::Hub;
use octostore::journal::{Disk, Intake, Journal, Limits, MemoryJournal, Writer};
use octostore::lease::Command;
use octostore::mesh::{Answered, Mesh};
use octostore::metrics::JournalMetrics;
use octostore::quota::Quota;
use octostore::shard::Shard;
use octostore::sync::Bell;

const TOKEN: &str = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFG";
const LEASE: &str = "6f9619ff-8b86-4011-b42d-00cf4fc964ff";
/// So many rounds, then what was committed is folded, as the writer does between commits.
const ROUNDS_PER_FOLD: u32 = 64;

/// One core, and the thread of its journal, on one thread.
struct Rig {
    hub: Hub,
    writer: Writer<MemoryJournal>,
    principals: Principals,
    ids: RequestIds,
    date: Date,
    body: Vec<u8>,
    out: Vec<u8>,
    rounds: u32,
}

impl Rig {
    fn new() -> Rig {
        let mut journal = MemoryJournal::on(&Disk::new(Limits::STANDARD));
        let recovered = journal.recover().expect("an empty journal");
        let accounts = journal.accounts(&[("static", "bench")]).expect("an account");
        let credential =
            Credential { kind: "static", external_id: "bench".into(), token_hash: hash_of(TOKEN.as_bytes()) };
        let principals = Principals::new(&[credential], &accounts, &[]).expect("a table of one");
        let mesh = Arc::new(Mesh::new(vec![Bell::new(true).expect("an eventfd")]));
        let intake = Arc::new(Intake::new(1).expect("an intake"));
        let metrics = Arc::new(JournalMetrics::default());
        let writer = Writer::new(journal, &recovered, intake.clone(), mesh.clone(), metrics).expect("a writer");
        let (fence, quota) = (Arc::new(Fence::above(0)), Arc::new(Quota::new(1, u32::MAX)));
        let hub = Hub::new(0, Shard::new(clock::now_ns(), Vec::new(), fence, quota), mesh, intake);
        hub.end_turn(&mut Context::from_waker(Waker::noop()));
        let (ids, date) = (RequestIds::new(0x5eed, 0), Date::at(1_795_416_000));
        Rig { hub, writer, principals, ids, date, body: Vec::new(), out: Vec::with_capacity(1 << 16), rounds: 0 }
    }

    /// All of `requests` in one turn, one commit, and their answers.
    fn round(&mut self, requests: &mut [Vec<u8>]) {
        let mut flights = Vec::with_capacity(requests.len());
        for bytes in requests {
            let now_ns = clock::now_ns();
            let Ok(Step::Complete { request, .. }) = http::parse(bytes) else { panic!("a request") };
            let Ok(Call::Lock { user, name, op }) = api::understand(&request, &self.principals) else {
                panic!("an operation on a lock");
            };
            let asked = Asked::of(&op, &name);
            let command = Command { user, name: &name, op: op.map(|metadata| &**metadata) };
            flights.push((asked, self.hub.send(now_ns, &command)));
        }
        let end_turn = || self.hub.end_turn(&mut Context::from_waker(Waker::noop()));
        end_turn();
        self.writer.commit().expect("memory does not fail");
        end_turn();
        self.out.clear();
        for (asked, mut pending) in flights {
            let Some(Ok(Answered::Lock(Ok(reply)))) = self.hub.settled(&mut pending) else { panic!("an answer") };
            self.body.clear();
            let view =
                View { now_ns: clock::now_ns(), wall_ns: 1_795_416_000_000_000_000, principals: &self.principals };
            let answer = locks::answer(&mut self.body, &asked, &reply.outcome, &view).expect("success");
            let head = Head {
                status: answer.status,
                content_type: http::JSON,
                request_id: self.ids.mint(),
                date: self.date,
                keep_alive: true,
                extra: &[],
            };
            http::respond(&mut self.out, &head, &self.body, false);
        }
        self.rounds += 1;
        if self.rounds.is_multiple_of(ROUNDS_PER_FOLD) {
            while self.writer.fold(u64::MAX).expect("memory does not fail") {}
        }
        black_box(&self.out);
    }
}

fn post(name: usize, verb: &str, body: &str) -> Vec<u8> {
    format!(
        "POST /locks/bench-{name:06}/{verb} HTTP/1.1\r\nHost: 127.0.0.1:3000\r\nAuthorization: Bearer {TOKEN}\r\n\
         Content-Length: {}\r\n\r\n{body}",
        body.len()
    )
    .into_bytes()
}

fn get(name: usize) -> Vec<u8> {
    format!("GET /locks/bench-{name:06} HTTP/1.1\r\nHost: 127.0.0.1:3000\r\nAuthorization: Bearer {TOKEN}\r\n\r\n")
        .into()
}

fn requests(c: &mut Criterion) {
    let mut group = c.benchmark_group("request");
    let body = format!(r#"{{"lease_id":"{LEASE}"}}"#);
    for together in [1usize, 64] {
        let of = |request: &dyn Fn(usize) -> Vec<u8>| -> Vec<Vec<u8>> { (0..together).map(request).collect() };
        let mut acquires = of(&|n| post(n, "acquire", &body));
        let mut releases = of(&|n| post(n, "release", &body));
        let (mut renews, mut looks) = (of(&|n| post(n, "renew", &body)), of(&get));

        let mut rig = Rig::new();
        group.throughput(Throughput::Elements(2 * together as u64));
        group.bench_function(BenchmarkId::new("acquire, release", format!("{together} a turn")), |b| {
            b.iter(|| {
                rig.round(&mut acquires);
                rig.round(&mut releases);
            });
        });
        rig.round(&mut acquires);
        group.throughput(Throughput::Elements(together as u64));
        group.bench_function(BenchmarkId::new("renew", format!("{together} a turn")), |b| {
            b.iter(|| rig.round(&mut renews));
        });
        group.bench_function(BenchmarkId::new("status", format!("{together} a turn")), |b| {
            b.iter(|| rig.round(&mut looks));
        });
    }
    group.finish();
}

criterion_group!(benches, requests);
criterion_main!(benches);
