//! The parser and the encoder allocate nothing for a request: counted by an allocator that counts.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

use octostore::http::{Date, Head, Inbound, JSON, Next, RequestIds, respond};

struct Counting;

thread_local! {
    static COUNT: Cell<u64> = const { Cell::new(0) };
}

// SAFETY: everything is left to the system's allocator; counting touches a cell of this thread, which needs no memory.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        COUNT.set(COUNT.get() + 1);
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        COUNT.set(COUNT.get() + 1);
        unsafe { System.realloc(pointer, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

const GET: &[u8] = b"GET /locks/job-42 HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer 0123456789\r\nAccept: */*\r\n\r\n";
const POST: &[u8] = b"POST /locks/job-42/acquire HTTP/1.1\r\nHost: a\r\nContent-Length: 18\r\n\r\n{\"ttl_seconds\":60}";
const CHUNKED: &[u8] =
    b"POST /x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1\r\n{\r\n1\r\n}\r\n0\r\n\r\n";
const BAD: &[u8] = b"GET /x HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n";

#[test]
fn the_allocator_counts() {
    let before = COUNT.get();
    drop(std::hint::black_box(vec![1u8; 100]));
    assert_eq!(COUNT.get() - before, 1);
}

#[test]
fn a_request_is_read_and_answered_without_an_allocation() {
    let mut ids = RequestIds::new(1, 1);
    let date = Date::at(1_795_416_000);
    let mut inbound = Inbound::new();
    let mut out = Vec::with_capacity(64 * 1024);
    let mut serve = |bytes: &[u8]| {
        out.clear();
        let mut buffer = inbound.lend();
        buffer.extend_from_slice(bytes);
        inbound.put_back(buffer);
        let mut served = 0;
        loop {
            match inbound.next_request() {
                Next::Request(request) => {
                    let extra = [("Retry-After", "1")];
                    let head = Head {
                        status: 200,
                        content_type: JSON,
                        request_id: ids.mint(),
                        date,
                        keep_alive: request.keep_alive,
                        extra: &extra,
                    };
                    respond(&mut out, &head, request.body, false);
                    served += request.fields.iter().count();
                }
                Next::More { .. } => return served,
                other => panic!("{other:?}"),
            }
        }
    };
    let burst = [GET, POST, CHUNKED].repeat(8).concat();
    let warm = serve(&burst); // the connection's buffer, once
    let before = COUNT.get();
    for _ in 0..1000 {
        for bytes in [GET, POST, CHUNKED, &burst, &GET[..20], &GET[20..]] {
            assert!(serve(bytes) <= warm);
        }
    }
    assert_eq!(COUNT.get() - before, 0);
}

#[test]
fn a_refusal_is_found_without_an_allocation() {
    let mut bytes = BAD.to_vec();
    let before = COUNT.get();
    for _ in 0..1000 {
        assert_eq!(octostore::http::parse(&mut bytes).expect_err("refused").status, 400);
    }
    assert_eq!(COUNT.get() - before, 0);
}
