//! Operations to bytes, and bytes to verdicts, for each server that is compared. Pure.
//!
//! The same lock is taken and given back everywhere: with OctoStore by its API; with Redis by the usual `SET NX PX` and
//! a script that deletes only one's own; with etcd by a transaction that puts a key only where there is none, and one that
//! deletes it only while it is one's own, over its JSON gateway.

use std::io::Write;

use clap::ValueEnum;

use crate::script::{Family, Lock, Operation};

/// What the server speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Protocol {
    /// HTTP, and the API of this project.
    Octostore,
    /// RESP.
    Redis,
    /// The JSON gateway of etcd's v3 API.
    Etcd,
}

/// What an answer says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It is done.
    Done,
    /// Somebody else holds the lock: an answer like any other, but not a grant.
    Held,
    /// The server is overloaded: 503.
    Refused,
    /// Another status.
    Other(u16),
}

/// What is no answer in the protocol.
#[derive(Debug)]
pub struct Nonsense;

/// The script that gives a lock back in Redis: only one's own.
const REDIS_RELEASE: &str =
    "if redis.call('get',KEYS[1])==ARGV[1] then return redis.call('del',KEYS[1]) else return 0 end";

/// Turns operations into requests for one server.
pub struct Encoder {
    protocol: Protocol,
    ttl: u64,
    hold_ttl: u64,
    /// The end of every head.
    head: String,
}

impl Encoder {
    /// For a server called `host`, and a caller with this token.
    pub fn new(protocol: Protocol, host: &str, token: &str, ttl: u64, hold_ttl: u64) -> Encoder {
        let sign_in = if token.is_empty() { String::new() } else { format!("Authorization: Bearer {token}\r\n") };
        Encoder { protocol, ttl, hold_ttl, head: format!("Host: {host}\r\n{sign_in}") }
    }

    /// Appends the request.
    pub fn encode(&self, operation: &Operation, out: &mut Vec<u8>) {
        match self.protocol {
            Protocol::Octostore => self.octostore(operation, out),
            Protocol::Redis => self.redis(operation, out),
            Protocol::Etcd => self.etcd(operation, out),
        }
    }

    fn octostore(&self, operation: &Operation, out: &mut Vec<u8>) {
        let (lock, verb, ttl) = match operation {
            Operation::Acquire(lock) => {
                (lock, "acquire", Some(if lock.family == Family::Held { self.hold_ttl } else { self.ttl }))
            }
            Operation::Renew(lock) => (lock, "renew", None),
            Operation::Release(lock) => (lock, "release", None),
            Operation::Status(lock) => return self.get(format_args!("/locks/{}", name(lock)), out),
            Operation::List => return self.get(format_args!("/locks?limit=100"), out),
            Operation::Health => return self.get(format_args!("/health"), out),
        };
        let mut body = [0u8; 128];
        let room = body.len();
        let mut rest = &mut body[..];
        let (high, low) = (lock.lease >> 48, lock.lease & 0xFFFF_FFFF_FFFF);
        let written = match ttl {
            Some(ttl) => write!(rest, r#"{{"lease_id":"{high:08x}-0000-4000-8000-{low:012x}","ttl_seconds":{ttl}}}"#),
            None => write!(rest, r#"{{"lease_id":"{high:08x}-0000-4000-8000-{low:012x}"}}"#),
        };
        written.expect("room for a body");
        let length = room - rest.len();
        let head = &self.head;
        let _ = write!(out, "POST /locks/{}/{verb} HTTP/1.1\r\n{head}Content-Length: {length}\r\n\r\n", name(lock));
        out.extend_from_slice(&body[..length]);
    }

    fn get(&self, target: std::fmt::Arguments<'_>, out: &mut Vec<u8>) {
        let _ = write!(out, "GET {target} HTTP/1.1\r\n{}\r\n", self.head);
    }

    fn redis(&self, operation: &Operation, out: &mut Vec<u8>) {
        let ttl_ms = (self.ttl * 1000).to_string();
        match operation {
            Operation::Acquire(lock) => {
                resp(out, &["SET", &name(lock).to_string(), &lease(lock), "NX", "PX", &ttl_ms]);
            }
            Operation::Release(lock) => {
                resp(out, &["EVAL", REDIS_RELEASE, "1", &name(lock).to_string(), &lease(lock)]);
            }
            Operation::Renew(lock) => resp(out, &["PEXPIRE", &name(lock).to_string(), &ttl_ms]),
            Operation::Status(lock) => resp(out, &["GET", &name(lock).to_string()]),
            Operation::List | Operation::Health => resp(out, &["PING"]),
        }
    }

    fn etcd(&self, operation: &Operation, out: &mut Vec<u8>) {
        let (path, body) = match operation {
            Operation::Acquire(lock) => {
                let (key, value) = (base64(&name(lock).to_string()), base64(&lease(lock)));
                let body = format!(
                    r#"{{"compare":[{{"key":"{key}","target":"CREATE","create_revision":"0"}}],"success":[{{"request_put":{{"key":"{key}","value":"{value}"}}}}]}}"#
                );
                ("txn", body)
            }
            Operation::Release(lock) => {
                let (key, value) = (base64(&name(lock).to_string()), base64(&lease(lock)));
                let body = format!(
                    r#"{{"compare":[{{"key":"{key}","target":"VALUE","value":"{value}"}}],"success":[{{"request_delete_range":{{"key":"{key}"}}}}]}}"#
                );
                ("txn", body)
            }
            Operation::Renew(lock) | Operation::Status(lock) => {
                ("range", format!(r#"{{"key":"{}"}}"#, base64(&name(lock).to_string())))
            }
            Operation::List | Operation::Health => ("range", r#"{"key":"AA=="}"#.to_owned()),
        };
        let length = body.len();
        let _ = write!(out, "POST /v3/kv/{path} HTTP/1.1\r\n{}Content-Length: {length}\r\n\r\n{body}", self.head);
    }
}

impl Protocol {
    /// The first answer in `bytes` and its length; None if it is not all there.
    ///
    /// # Errors
    /// It is no answer in this protocol.
    pub fn decode(self, bytes: &[u8]) -> Result<Option<(usize, Verdict)>, Nonsense> {
        match self {
            Protocol::Octostore => Ok(http(bytes)?.map(|(length, status, _)| (length, of_status(status)))),
            Protocol::Etcd => Ok(http(bytes)?.map(|(length, status, body)| match status {
                // The gateway leaves false out.
                200 if contains(body, b"\"succeeded\":true") || contains(body, b"\"kvs\"") => (length, Verdict::Done),
                200 => (length, Verdict::Held),
                status => (length, of_status(status)),
            })),
            Protocol::Redis => redis_answer(bytes),
        }
    }
}

fn of_status(status: u16) -> Verdict {
    match status {
        200 => Verdict::Done,
        409 => Verdict::Held,
        503 => Verdict::Refused,
        other => Verdict::Other(other),
    }
}

/// Length, status, and body of the first answer.
type HttpAnswer<'a> = (usize, u16, &'a [u8]);

fn http(bytes: &[u8]) -> Result<Option<HttpAnswer<'_>>, Nonsense> {
    let mut headers = [httparse::EMPTY_HEADER; 24];
    let mut response = httparse::Response::new(&mut headers);
    let head = match response.parse(bytes) {
        Ok(httparse::Status::Complete(head)) => head,
        Ok(httparse::Status::Partial) => return Ok(None),
        Err(_) => return Err(Nonsense),
    };
    let length = response.headers.iter().find(|h| h.name.eq_ignore_ascii_case("content-length")).ok_or(Nonsense)?;
    let length: usize = std::str::from_utf8(length.value).ok().and_then(|text| text.parse().ok()).ok_or(Nonsense)?;
    let status = response.code.ok_or(Nonsense)?;
    Ok(bytes.get(head..head + length).map(|body| (head + length, status, body)))
}

fn redis_answer(bytes: &[u8]) -> Result<Option<(usize, Verdict)>, Nonsense> {
    let Some(end) = bytes.windows(2).position(|pair| pair == b"\r\n") else { return Ok(None) };
    let (line, length) = (&bytes[..end], end + 2);
    match line {
        [b'+', ..] | b":1" => Ok(Some((length, Verdict::Done))),
        b"$-1" | b":0" => Ok(Some((length, Verdict::Held))),
        [b'$', digits @ ..] => {
            let body: usize = std::str::from_utf8(digits).ok().and_then(|d| d.parse().ok()).ok_or(Nonsense)?;
            Ok((bytes.len() >= length + body + 2).then_some((length + body + 2, Verdict::Done)))
        }
        [b'-', ..] => Ok(Some((length, Verdict::Other(500)))),
        _ => Err(Nonsense),
    }
}

fn resp(out: &mut Vec<u8>, words: &[&str]) {
    let _ = write!(out, "*{}\r\n", words.len());
    for word in words {
        let _ = write!(out, "${}\r\n{word}\r\n", word.len());
    }
}

/// 24 bytes for a held lock's name.
struct Name<'a>(&'a Lock);

fn name(lock: &Lock) -> Name<'_> {
    Name(lock)
}

impl std::fmt::Display for Name<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.0.family {
            Family::Held => write!(f, "held-{:019}", self.0.number),
            Family::Load => write!(f, "load-{:019}", self.0.number),
            Family::Left => write!(f, "left-{:019}", self.0.number),
        }
    }
}

fn lease(lock: &Lock) -> String {
    format!("{:032x}", lock.lease)
}

fn contains(text: &[u8], part: &[u8]) -> bool {
    text.windows(part.len()).any(|window| window == part)
}

fn base64(text: &str) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut out = String::new();
    for part in text.as_bytes().chunks(3) {
        let word = part.iter().fold(0u32, |word, byte| word << 8 | u32::from(*byte)) << (8 * (3 - part.len()));
        for digit in 0..4 {
            let c = DIGITS[(word >> (18 - 6 * digit)) as usize & 63] as char;
            out.push(if digit <= part.len() { c } else { '=' });
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::script::held;

    fn encoded(protocol: Protocol, operation: &Operation) -> String {
        let mut out = Vec::new();
        Encoder::new(protocol, "host:1", "secret", 60, 3600).encode(operation, &mut out);
        String::from_utf8(out).expect("text")
    }

    #[test]
    fn an_acquire_is_a_post_with_a_lease_of_the_callers_own() {
        let text = encoded(Protocol::Octostore, &Operation::Acquire(held(5)));
        let (head, body) = text.split_once("\r\n\r\n").expect("a head and a body");
        assert!(
            head.starts_with("POST /locks/held-0000000000000000005/acquire HTTP/1.1\r\nHost: host:1\r\n"),
            "{head}"
        );
        assert!(head.ends_with(&format!("Content-Length: {}", body.len())), "{head}");
        assert_eq!(body, r#"{"lease_id":"00000000-0000-4000-8000-000000000005","ttl_seconds":3600}"#);
    }

    #[test]
    fn answers_are_found_whole_and_in_pieces() {
        let answer = b"HTTP/1.1 409 Conflict\r\ncontent-length: 2\r\n\r\n{}HTTP/1.1";
        for end in 0..46 {
            assert_eq!(Protocol::Octostore.decode(&answer[..end]).expect("no nonsense"), None, "{end}");
        }
        assert_eq!(Protocol::Octostore.decode(answer).expect("no nonsense"), Some((46, Verdict::Held)));
        assert!(Protocol::Octostore.decode(b"SSH-2.0\r\n\r\n").is_err());
    }

    #[test]
    fn redis_answers_are_understood() {
        let verdict = |bytes: &[u8]| Protocol::Redis.decode(bytes).expect("no nonsense");
        assert_eq!(verdict(b"+OK\r\n+OK\r\n"), Some((5, Verdict::Done)));
        assert_eq!(verdict(b"$-1\r\n"), Some((5, Verdict::Held)));
        assert_eq!(verdict(b"$3\r\nab"), None);
        assert_eq!(verdict(b"$3\r\nabc\r\n"), Some((9, Verdict::Done)));
        assert_eq!(verdict(b":1\r"), None);
    }

    #[test]
    fn etcd_says_false_by_leaving_it_out() {
        let answer = |body: &str| format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len());
        let verdict = |body| Protocol::Etcd.decode(answer(body).as_bytes()).expect("no nonsense").expect("whole").1;
        assert_eq!(verdict(r#"{"header":{},"succeeded":true}"#), Verdict::Done);
        assert_eq!(verdict(r#"{"header":{}}"#), Verdict::Held);
    }

    #[test]
    fn base64_is_padded() {
        assert_eq!(["", "f", "fo", "foo", "foob"].map(base64), ["", "Zg==", "Zm8=", "Zm9v", "Zm9vYg=="]);
    }
}
