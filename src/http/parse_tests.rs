//! The table of cases, and what must hold of any bytes.

use proptest::prelude::*;

use super::super::cases::{Expect, cases};
use super::super::limits::*;
use super::*;

/// All that `bytes` hold, read as a connection would that gets them in the given pieces.
fn read_in(bytes: &[u8], ends: impl IntoIterator<Item = usize>) -> Vec<Expect> {
    let mut seen = Vec::new();
    let mut unread: Vec<u8> = Vec::new();
    let mut arrived = 0;
    for end in ends.into_iter().chain([bytes.len()]) {
        unread.extend_from_slice(&bytes[arrived..end]);
        arrived = end;
        loop {
            let before = unread.clone();
            let (expect, consumed) = step(&mut unread);
            match expect {
                Expect::Incomplete { .. } => {
                    assert_eq!(before, unread, "an incomplete request was changed");
                    break;
                }
                Expect::Refused(_) => return [seen, vec![expect]].concat(),
                _ => seen.push(expect),
            }
            assert!(0 < consumed && consumed <= unread.len());
            unread.drain(..consumed);
        }
    }
    if !unread.is_empty() || seen.is_empty() {
        seen.push(step(&mut unread).0);
    }
    seen
}

fn read(bytes: &[u8]) -> Vec<Expect> {
    read_in(bytes, [])
}

/// The next request as the table has it. Paths are leaked, for the table's are static.
fn step(unread: &mut [u8]) -> (Expect, usize) {
    let leak = |text: &str| &*text.to_owned().leak();
    match parse(unread) {
        Err(refusal) => (Expect::Refused(refusal.status), 0),
        Ok(Step::Incomplete { expects_continue, .. }) => (Expect::Incomplete { continues: expects_continue }, 0),
        Ok(Step::Complete { request, consumed }) => {
            let method = match request.method {
                Method::Get => "GET",
                Method::Head => "HEAD",
                Method::Post => "POST",
                Method::Other => "other",
            };
            let (path, query) = (leak(request.path), request.query.map(leak));
            let (body, keep_alive) = (request.body.to_vec(), request.keep_alive);
            (Expect::Request { method, path, query, body, keep_alive }, consumed)
        }
    }
}

/// The one request that `bytes` are.
fn whole(bytes: &mut [u8]) -> Request<'_> {
    let len = bytes.len();
    match parse(bytes) {
        Ok(Step::Complete { request, consumed }) if consumed == len => request,
        other => panic!("{other:?}"),
    }
}

#[test]
fn every_case_of_the_table_is_read_as_the_table_says() {
    for case in cases() {
        assert_eq!(read(&case.bytes), case.expect, "{}: {:?}", case.name, String::from_utf8_lossy(&case.bytes));
    }
}

#[test]
fn every_case_is_read_the_same_in_two_pieces_wherever_it_is_cut() {
    for case in cases() {
        // Long cases are cut around their middle and at their ends, where the bounds are.
        let len = case.bytes.len();
        for cut in (0..=len).filter(|cut| len < 2_500 || cut % 97 == 0 || len - cut < 40 || *cut < 100) {
            assert_eq!(read_in(&case.bytes, [cut]), case.expect, "{}, cut at {cut}", case.name);
        }
    }
}

#[test]
fn every_case_is_read_the_same_byte_by_byte() {
    for case in cases().iter().filter(|case| case.bytes.len() < 2_500) {
        assert_eq!(read_in(&case.bytes, 0..case.bytes.len()), case.expect, "{}", case.name);
    }
}

#[test]
fn a_refusal_says_the_same_wherever_the_bytes_are_cut() {
    for case in cases().iter().filter(|case| matches!(case.expect[..], [Expect::Refused(_)])) {
        let whole = parse(&mut case.bytes.clone()).expect_err(case.name);
        for cut in (0..case.bytes.len()).filter(|cut| case.bytes.len() < 2_500 || cut % 97 == 0) {
            if let Err(early) = parse(&mut case.bytes[..cut].to_vec()) {
                assert_eq!(early, whole, "{}, cut at {cut}", case.name);
            }
        }
    }
}

#[test]
fn what_can_be_no_request_is_refused_at_the_byte_that_shows_it() {
    for (enough, status) in [
        (&b"\x16"[..], 400),
        (b"{", 400),
        (b"GET /\x80", 400),
        (b"GET /a#", 400),
        (b"GET /\r", 400),
        (b"GET / X", 400),
        (b"GET / HTTP/1.1\n", 400),
        (b"GET / HTTP/3.0\r\n", 505),
        (b"BREW / HTTP/1.1\r\n", 501),
        (b"GET / HTTP/1.1\r\n ", 400),
        (b"GET / HTTP/1.1\r\nHost ", 400),
        (b"GET / HTTP/1.1\r\nHost: a\n", 400),
    ] {
        let mut one_less = enough[..enough.len() - 1].to_vec();
        assert!(matches!(parse(&mut one_less), Ok(Step::Incomplete { .. })), "{one_less:?}");
        assert_eq!(parse(&mut enough.to_vec()).expect_err("refused").status, status, "{enough:?}");
    }
}

#[test]
fn what_is_too_long_is_refused_at_the_byte_that_is_too_many() {
    let chunk = "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";
    for (begin, room, status) in [
        ("", MAX_METHOD_BYTES, 501),
        ("GET /", MAX_TARGET_BYTES - "/".len(), 414),
        ("GET / HTTP/1.1\r\nX: ", MAX_HEAD_BYTES - 1 - "GET / HTTP/1.1\r\nX: ".len(), 431),
        (&format!("{chunk}1;"), MAX_CHUNK_EXTENSION_BYTES - ";".len(), 400),
        (&format!("{chunk}0\r\nX: "), MAX_TRAILER_BYTES - 1 - "X: ".len(), 431),
    ] {
        let mut most = format!("{begin}{}", "x".repeat(room)).into_bytes();
        assert!(matches!(parse(&mut most), Ok(Step::Incomplete { .. })), "{begin:?}");
        most.push(b'x');
        assert_eq!(parse(&mut most).expect_err("refused").status, status, "{begin:?}");
    }
}

#[test]
fn the_phase_tells_an_idle_connection_from_a_slow_one() {
    let phase = |text: &str| match parse(&mut text.as_bytes().to_vec()) {
        Ok(Step::Incomplete { phase, .. }) => phase,
        other => panic!("{other:?}"),
    };
    for idle in ["", "\r", "\r\n"] {
        assert_eq!(phase(idle), Phase::Empty);
    }
    for head in ["G", "\r\nG", "GET / HTTP/1.1\r\nHost: a\r\n\r"] {
        assert_eq!(phase(head), Phase::Head);
    }
    assert_eq!(phase("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\n"), Phase::Body);
}

#[test]
fn a_request_shows_its_headers() {
    let mut bytes = b"POST /x HTTP/1.1\r\nHost: a\r\nAuthorization:  Bearer t \r\nCookie: a=b\r\n\
        X-Forwarded-For: 1, 2\r\nx-forwarded-for:3\r\nTransfer-Encoding: chunked\r\n\r\n\
        2\r\n{}\r\n0\r\nCookie: late\r\n\r\n"
        .to_vec();
    let request = whole(&mut bytes);
    assert_eq!(request.authorization, Some(&b"Bearer t"[..]));
    assert_eq!(request.fields.named("COOKIE").collect::<Vec<_>>(), [b"a=b"]);
    assert_eq!(request.fields.named("X-Forwarded-For").last(), Some(&b"3"[..]));
    assert_eq!(request.fields.named("accept").next(), None);
    assert_eq!(request.fields.iter().count(), 6);
    assert_eq!(request.body, b"{}");
}

#[test]
fn a_refused_head_request_gets_no_body() {
    let refused = |text: &str| parse(&mut text.as_bytes().to_vec()).expect_err(text);
    assert!(refused("HEAD / HTTP/1.1\r\n\r\n").head_only);
    assert!(refused("HEAD * HTTP/1.1\r\nHost: a\r\n\r\n").head_only);
    assert!(refused("HEAD / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nx").head_only);
    assert!(!refused("GET / HTTP/1.1\r\n\r\n").head_only);
}

#[test]
fn a_refusal_names_what_is_wrong() {
    for (text, named) in [
        ("hello\r\n", "no HTTP/1.1 request"),
        ("GET /a#b HTTP/1.1\r\n", "'#'"),
        ("GET /a\"b HTTP/1.1\r\n", "percent-encode"),
        ("GET /a\r\n", "'HTTP/1.1'"),
        ("GET  /a HTTP/1.1\r\n", "'HTTP/1.1'"),
        ("GET * HTTP/1.1\r\n", "begins with '/'"),
        ("GET / HTTP/1.1\r\nHost: a\n\r\n", "CR LF"),
        ("GET / HTTP/1.1\r\nHost : a\r\n\r\n", "colon"),
        ("GET / HTTP/1.1\r\nHost: \0\r\n\r\n", "control byte"),
        ("GET / HTTP/1.1\r\n\r\n", "must have a Host"),
        ("GET / HTTP/1.1\r\nHost: a\r\nContent-Length: x\r\n\r\n", "digits only"),
        ("GET / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: x\r\n\r\n", "'chunked'"),
        ("GET / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n", "HTTP/1.0"),
    ] {
        let refusal = parse(&mut text.as_bytes().to_vec()).expect_err(text);
        assert!(refusal.details.contains(named), "{text:?}: {}", refusal.details);
    }
}

#[test]
fn the_texts_of_refusals_are_for_people() {
    for case in cases() {
        if let Err(refusal) = parse(&mut case.bytes.clone()) {
            assert!(refusal.details.len() > 30 && refusal.details.len() < 160, "{}", refusal.details);
            assert!(refusal.details.is_ascii() && !refusal.details.ends_with('.'), "{}", refusal.details);
            assert!(refusal.code.bytes().all(|b| b.is_ascii_lowercase() || b == b'_'), "{}", refusal.code);
        }
    }
}

/// A request of any shape that is allowed, and how it should be read.
fn any_request() -> impl Strategy<Value = (Vec<u8>, Expect)> {
    let path = "/[a-zA-Z0-9._~!$&'()*+,;=:@%/-]{0,40}";
    let query = proptest::option::of("[a-zA-Z0-9._~!$&'()*+,;=:@%/?-]{0,20}");
    let headers =
        proptest::collection::vec(("X-[a-zA-Z0-9!#$%&'*+.^_`|~-]{0,10}", "([!-~]([ \t!-~]{0,20}[!-~])?)?"), 0..8);
    let chunks = proptest::option::of(proptest::collection::vec(1..40usize, 0..6));
    let body = proptest::collection::vec(any::<u8>(), 0..100);
    let method = prop_oneof![Just("GET"), Just("HEAD"), Just("POST")];
    (method, path, query, headers, body, chunks).prop_map(|(method, path, query, headers, body, chunks)| {
        let target = query.as_ref().map_or(path.clone(), |query| format!("{path}?{query}"));
        let mut bytes = format!("{method} {target} HTTP/1.1\r\nHost: a\r\n").into_bytes();
        for (name, value) in headers {
            bytes.extend(format!("{name}: {value}\r\n").bytes());
        }
        match chunks {
            None => {
                bytes.extend(format!("Content-Length: {}\r\n\r\n", body.len()).bytes());
                bytes.extend(&body);
            }
            Some(sizes) => {
                bytes.extend(b"Transfer-Encoding: chunked\r\n\r\n");
                let mut rest = &body[..];
                for size in sizes.into_iter().chain([rest.len()]) {
                    let (chunk, after) = rest.split_at(size.min(rest.len()));
                    rest = after;
                    if !chunk.is_empty() {
                        bytes.extend(format!("{:x}\r\n", chunk.len()).bytes());
                        bytes.extend([chunk, b"\r\n"].concat());
                    }
                }
                bytes.extend(b"0\r\n\r\n");
            }
        }
        let (path, query) = (&*path.leak(), query.map(|query| &*query.leak()));
        (bytes, Expect::Request { method, path, query, body, keep_alive: true })
    })
}

/// Chunks that are mostly extension.
const LONG_LINES: &str = "1;xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx\r\nz\r\n";

/// Bytes near to requests: cases with a piece cut out, doubled, or written over.
fn spoilt() -> impl Strategy<Value = Vec<u8>> {
    let table: Vec<Vec<u8>> = cases().into_iter().map(|case| case.bytes).filter(|bytes| bytes.len() < 400).collect();
    let byte = prop_oneof![any::<u8>(), proptest::sample::select(b"\r\n :;\t0\0,".to_vec())];
    let edit = (any::<proptest::sample::Index>(), 0..3usize, proptest::collection::vec(byte, 0..4));
    (proptest::sample::select(table), proptest::collection::vec(edit, 1..4)).prop_map(|(mut bytes, edits)| {
        for (at, cut, put) in edits {
            let at = at.index(bytes.len() + 1);
            bytes.splice(at..(at + cut).min(bytes.len()), put);
        }
        bytes
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_bytes_are_read_the_same_however_they_are_cut(
        bytes in prop_oneof![3 => spoilt(), 1 => proptest::collection::vec(any::<u8>(), 0..300)],
        cuts in proptest::collection::vec(any::<proptest::sample::Index>(), 0..6),
    ) {
        let mut ends: Vec<usize> = cuts.iter().map(|cut| cut.index(bytes.len() + 1)).collect();
        ends.sort_unstable();
        prop_assert_eq!(read_in(&bytes, ends), read(&bytes));
    }

    #[test]
    fn any_bytes_are_refused_with_the_same_text_however_early(bytes in spoilt()) {
        let early = (0..bytes.len()).find_map(|cut| parse(&mut bytes[..cut].to_vec()).err());
        if let Some(early) = early {
            prop_assert_eq!(parse(&mut bytes.clone()).err(), Some(early));
        }
    }

    #[test]
    fn requests_in_a_row_are_read_as_they_were_written(requests in proptest::collection::vec(any_request(), 1..6)) {
        let (bytes, expect): (Vec<_>, Vec<_>) = requests.into_iter().unzip();
        prop_assert_eq!(read(&bytes.concat()), expect);
    }

    #[test]
    fn the_headers_shown_are_those_that_httparse_reads((mut bytes, _) in any_request()) {
        let copy = bytes.clone();
        let mut room = [httparse::EMPTY_HEADER; MAX_HEADERS];
        let mut theirs = httparse::Request::new(&mut room);
        prop_assert!(theirs.parse(&copy).is_ok());
        let theirs: Vec<_> = theirs.headers.iter().map(|header| (header.name.as_bytes(), header.value)).collect();
        prop_assert_eq!(whole(&mut bytes).fields.iter().collect::<Vec<_>>(), theirs);
    }

    #[test]
    fn a_request_that_fills_the_largest_buffer_is_complete_or_refused(
        begin in spoilt(),
        fill in proptest::sample::select(vec!["x", "X: y\r\n", "1\r\nz\r\n", LONG_LINES, "\r\n", "0"]),
    ) {
        let mut bytes: Vec<u8> = begin.into_iter().chain(fill.bytes().cycle()).take(MAX_REQUEST_BYTES).collect();
        let step = parse(&mut bytes);
        prop_assert!(!matches!(step, Ok(Step::Incomplete { .. })), "{:?}", step);
    }
}
