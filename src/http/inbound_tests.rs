//! Requests from bytes that come in pieces, what is answered, and the size of the buffer meanwhile.

use std::fs;
use std::path::Path;

use proptest::prelude::*;

use super::super::cases::{Expect, cases};
use super::super::limits::MAX_BODY_BYTES;
use super::*;
use crate::http;

#[path = "../../tests/http_cases/echo.rs"]
mod echo;

fn bring(inbound: &mut Inbound, mut bytes: &[u8]) {
    while !bytes.is_empty() {
        let mut buffer = inbound.lend();
        let room = buffer.capacity() - buffer.len();
        assert!(room > 0, "a lent buffer has room");
        let (now, later) = bytes.split_at(room.min(bytes.len()));
        buffer.extend_from_slice(now);
        bytes = later;
        inbound.put_back(buffer);
    }
}

#[test]
fn nothing_comes_after_a_request_that_closes_or_a_refusal() {
    for bytes in [&b"GET /1 HTTP/1.0\r\n\r\nGET /2 HTTP/1.0\r\n\r\n"[..], b"\x16GET /2 HTTP/1.0\r\n\r\n"] {
        let mut inbound = Inbound::new();
        bring(&mut inbound, bytes);
        assert!(matches!(inbound.next_request(), Next::Request(_) | Next::Refused(_)));
        assert!(matches!(inbound.next_request(), Next::Ended));
        assert!(matches!(inbound.next_request(), Next::Ended));
    }
}

#[test]
fn every_case_of_the_table_ends_as_the_table_says_through_a_small_buffer() {
    for case in cases() {
        let mut inbound = Inbound::new();
        bring(&mut inbound, &case.bytes);
        for expect in &case.expect {
            match (inbound.next_request(), expect) {
                (Next::Request(request), Expect::Request { path, body, .. }) => {
                    assert_eq!((request.path, request.body), (*path, &body[..]), "{}", case.name);
                }
                (Next::Refused(refusal), Expect::Refused(status)) => assert_eq!(refusal.status, *status),
                (Next::More { expects_continue, .. }, Expect::Incomplete { continues }) => {
                    assert_eq!(expects_continue, *continues, "{}", case.name);
                }
                (next, expect) => panic!("{}: {next:?}, not {expect:?}", case.name),
            }
        }
    }
}

#[test]
fn an_idle_connection_keeps_a_small_buffer_whatever_it_sent() {
    let mut inbound = Inbound::new();
    let head = format!("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: {MAX_BODY_BYTES}\r\n\r\n");
    bring(&mut inbound, &[head.as_bytes(), &[b' '; MAX_BODY_BYTES]].concat());
    assert!(matches!(inbound.next_request(), Next::Request(_)));
    assert!(matches!(inbound.next_request(), Next::More { phase: Phase::Empty, .. }));
    assert_eq!(inbound.lend().capacity(), READ_BUFFER_BYTES);
}

#[test]
fn the_buffer_of_a_request_that_grows_is_bounded() {
    let mut inbound = Inbound::new();
    let mut most = 0;
    for _ in 0..MAX_REQUEST_BYTES {
        let buffer = inbound.lend();
        most = most.max(buffer.capacity());
        inbound.put_back(buffer);
        bring(&mut inbound, b"x");
        if let Next::Refused(_) = inbound.next_request() {
            break;
        }
    }
    assert!(matches!(inbound.next_request(), Next::Ended));
    assert!(most <= 64 * 1024, "{most}");
}

#[test]
fn a_burst_gets_room_once() {
    let mut bytes = vec![b'x'; READ_BUFFER_BYTES];
    bytes.shrink_to_fit();
    assert!(Inbound::make_room_for_a_burst(&mut bytes));
    assert!(bytes.capacity() >= BURST_BYTES && !Inbound::make_room_for_a_burst(&mut bytes));
    bytes.resize(bytes.capacity(), b'x');
    assert!(!Inbound::make_room_for_a_burst(&mut bytes), "the rest waits in the kernel");
}

#[test]
fn what_the_fuzzers_have_found_is_answered_the_same_wherever_it_is_cut() {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus");
    let mut count = 0;
    for target in ["parse", "connection"] {
        for entry in fs::read_dir(corpus.join(target)).expect("the corpus is in the repository") {
            let bytes = fs::read(entry.expect("an entry").path()).expect("an input");
            let step = 1 + bytes.len() / 200;
            echo::assert_same_however_cut(&bytes, (0..=bytes.len()).step_by(step));
            count += 1;
        }
    }
    assert!(count > 100, "{count} inputs");
}

/// Many cases one after another, and something between them.
fn conversation() -> impl Strategy<Value = Vec<u8>> {
    let table: Vec<Vec<u8>> = cases().into_iter().map(|case| case.bytes).filter(|bytes| bytes.len() < 2_000).collect();
    let good = table.iter().filter(|bytes| bytes.ends_with(b"\r\n\r\n")).cloned().collect::<Vec<_>>();
    let between = prop_oneof![8 => Just(Vec::new()), 1 => proptest::collection::vec(any::<u8>(), 1..4)];
    let part = (prop_oneof![2 => proptest::sample::select(good), 1 => proptest::sample::select(table)], between);
    proptest::collection::vec(part, 1..12)
        .prop_map(|parts| parts.into_iter().flat_map(|(case, between)| [between, case].concat()).collect())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_conversation_is_the_same_however_it_is_cut(
        bytes in conversation(),
        cuts in proptest::collection::vec(any::<proptest::sample::Index>(), 1..20),
    ) {
        echo::assert_same_however_cut(&bytes, cuts.iter().map(|cut| cut.index(bytes.len() + 1)));
    }
}
