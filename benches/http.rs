//! What HTTP costs a request, without the kernel: `cargo bench --bench http`.
//!
//! A request without chunks is parsed without changing it, so every round can parse the same bytes.

use std::hint::black_box;

use criterion::{BatchSize, Criterion, criterion_group, criterion_main};
use octostore::http::{Date, Head, JSON, RequestIds, Step, parse, respond};

const GET: &[u8] = b"GET /locks/job-42.nightly HTTP/1.1\r\nHost: 127.0.0.1:3000\r\n\
    Authorization: Bearer 0123456789abcdefghijklmnopqrstuvwxyzABCDEFG\r\nUser-Agent: bench\r\nAccept: */*\r\n\r\n";
const POST: &[u8] = b"POST /locks/job-42.nightly/acquire HTTP/1.1\r\nHost: 127.0.0.1:3000\r\n\
    Authorization: Bearer 0123456789abcdefghijklmnopqrstuvwxyzABCDEFG\r\nUser-Agent: bench\r\nAccept: */*\r\n\
    Content-Type: application/json\r\nContent-Length: 18\r\n\r\n{\"ttl_seconds\":60}";
const CHUNKED: &[u8] = b"POST /locks/job-42.nightly/acquire HTTP/1.1\r\nHost: 127.0.0.1:3000\r\n\
    Authorization: Bearer 0123456789abcdefghijklmnopqrstuvwxyzABCDEFG\r\nTransfer-Encoding: chunked\r\n\r\n\
    12\r\n{\"ttl_seconds\":60}\r\n0\r\n\r\n";
const ANSWER: &[u8] = b"{\"status\":\"acquired\",\"lease_id\":\"6f9619ff-8b86-4011-b42d-00cf4fc964ff\",\
    \"fencing_token\":42,\"expires_at\":\"2026-11-23T06:41:00Z\",\"metadata\":null,\"ttl_seconds\":60}";

fn consumed(bytes: &mut [u8]) -> usize {
    match parse(black_box(bytes)) {
        Ok(Step::Complete { request, consumed }) => {
            black_box(&request);
            consumed
        }
        other => panic!("{other:?}"),
    }
}

fn parsing(c: &mut Criterion) {
    for (name, bytes) in [("parse GET", GET), ("parse POST", POST)] {
        let mut bytes = bytes.to_vec();
        c.bench_function(name, |b| b.iter(|| consumed(&mut bytes)));
    }
    c.bench_function("parse POST in a chunk", |b| {
        b.iter_batched_ref(|| CHUNKED.to_vec(), |bytes| consumed(bytes), BatchSize::SmallInput);
    });
}

fn encoding(c: &mut Criterion) {
    let mut ids = RequestIds::new(0x5eed, 0);
    let date = Date::at(1_795_416_000);
    let mut out = Vec::with_capacity(4096);
    c.bench_function("encode 200", |b| {
        b.iter(|| {
            out.clear();
            let request_id = ids.mint();
            let head =
                Head { status: 200, content_type: JSON, request_id, date, keep_alive: true, extra: black_box(&[]) };
            respond(&mut out, &head, black_box(ANSWER), false);
            black_box(out.len())
        });
    });
}

criterion_group!(benches, parsing, encoding);
criterion_main!(benches);
