//! A connection without its socket: bytes in, in pieces, and bytes out.
//!
//! Each request is answered with what was read of it, so two runs give the same bytes only if they saw the same
//! requests. The unit tests, the fuzz target and the replay of its corpus all use this one.

use super::http::limits::{BURST_BYTES, MAX_BODY_BYTES, MAX_REQUEST_BYTES};
use super::http::{CONTINUE, Date, Head, Inbound, Next, Request, RequestIds, respond};

/// What went out over a connection.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Talk {
    /// The answers, one after another.
    pub answers: Vec<u8>,
    /// Whether the connection has ended.
    pub ended: bool,
    /// How often the client was given leave to send a body: this depends on the pieces.
    pub continued: usize,
}

/// Talks to a client that sends these pieces. `answer` writes a request's body and gives its status.
pub fn talk<'a>(
    pieces: impl IntoIterator<Item = &'a [u8]>,
    mut answer: impl FnMut(&Request<'_>, &mut Vec<u8>) -> u16,
) -> Talk {
    let mut talk = Talk::default();
    let (mut inbound, mut ids, mut requests) = (Inbound::new(), RequestIds::new(1, 1), 0);
    for mut piece in pieces {
        while !piece.is_empty() && !talk.ended {
            let mut buffer = inbound.lend();
            let room = buffer.capacity() - buffer.len();
            assert!(room > 0 && buffer.capacity() <= (2 * MAX_REQUEST_BYTES).max(BURST_BYTES), "{room} bytes of room");
            let (now, later) = piece.split_at(room.min(piece.len()));
            buffer.extend_from_slice(now);
            inbound.put_back(buffer);
            piece = later;
            talk.read(&mut inbound, &mut ids, &mut requests, &mut answer);
        }
    }
    assert!(talk.continued <= requests + 1, "leave is given once a request");
    talk
}

impl Talk {
    fn read(
        &mut self,
        inbound: &mut Inbound,
        ids: &mut RequestIds,
        requests: &mut usize,
        answer: &mut impl FnMut(&Request<'_>, &mut Vec<u8>) -> u16,
    ) {
        let mut body = Vec::new();
        loop {
            body.clear();
            let (status, keep_alive, head_only) = match inbound.next_request() {
                Next::Request(request) => {
                    assert!(request.body.len() <= MAX_BODY_BYTES);
                    assert!(request.path.starts_with('/') || request.path == "*");
                    *requests += 1;
                    (answer(&request, &mut body), request.keep_alive, false)
                }
                Next::Refused(refusal) => {
                    body.extend_from_slice(refusal.details.as_bytes());
                    (refusal.status, false, refusal.head_only)
                }
                Next::More { expects_continue, .. } => {
                    if expects_continue {
                        assert!(CONTINUE.ends_with(b"\r\n\r\n"));
                        self.continued += 1;
                    }
                    return;
                }
                Next::Ended => {
                    self.ended = true;
                    return;
                }
            };
            let date = Date::at(1_795_416_000);
            let request_id = ids.mint();
            let head = Head { status, content_type: "text/plain", request_id, date, keep_alive, extra: &[] };
            respond(&mut self.answers, &head, &body, head_only);
        }
    }
}

/// Answers with all that was read.
pub fn echo(request: &Request<'_>, body: &mut Vec<u8>) -> u16 {
    let fields: Vec<_> = request.fields.iter().collect();
    let seen = (request.method, request.path, request.query, request.keep_alive, request.authorization, fields);
    body.extend_from_slice(format!("{seen:?} {:?}", request.body).as_bytes());
    200
}

/// Asserts that `bytes` are answered the same however they are cut: in two at each of `cuts` places, and byte by byte.
pub fn assert_same_however_cut(bytes: &[u8], cuts: impl IntoIterator<Item = usize>) {
    let whole = talk([bytes], echo);
    let same = |talk: Talk, how: &dyn std::fmt::Debug| {
        assert_eq!((&talk.answers, talk.ended), (&whole.answers, whole.ended), "cut {how:?}");
    };
    for cut in cuts.into_iter().filter(|cut| *cut <= bytes.len()) {
        let (first, second) = bytes.split_at(cut);
        same(talk([first, second], echo), &cut);
    }
    same(talk(bytes.chunks(1), echo), &"everywhere");
}
