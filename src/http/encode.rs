//! From an answer to its bytes.
//!
//! [`respond`] appends to the connection's output, so that several answers go out in one write, and
//! allocates only if that output must grow. Every answer has Date, X-Request-Id and, but for 204 and
//! 304, Content-Type and Content-Length; so a client always knows where it ends.
//!
//! **No response splitting.** Header names and values are asserted to be visible ASCII and spaces, in
//! release builds too. A client's bytes do not belong in a header; one that must carry them encodes them first.

use super::request_id::RequestId;
use crate::calendar::{Utc, digits};

/// What a client that sent `Expect: 100-continue` waits for.
pub const CONTINUE: &[u8] = b"HTTP/1.1 100 Continue\r\n\r\n";

/// What most bodies are.
pub const JSON: &str = "application/json";

/// A second's Date header, ready to be copied: `Date: Mon, 23 Nov 2026 06:40:00 GMT` and its line end (RFC 9110, 5.6.7).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Date([u8; "Date: Mon, 23 Nov 2026 06:40:00 GMT\r\n".len()]);

impl Date {
    /// The date `unix_s` seconds after 1970. It stops at the end of the year 9999.
    pub fn at(unix_s: u64) -> Date {
        let Utc { year, month, day, weekday, hour, minute, second } = Utc::at(unix_s);
        let mut line = *b"Date: Sun, 00 Jan 0000 00:00:00 GMT\r\n";
        line[6..9].copy_from_slice(WEEKDAYS[weekday as usize]);
        line[14..17].copy_from_slice(MONTHS[month as usize - 1]);
        for (place, number) in [(11..13, day), (18..22, year), (23..25, hour), (26..28, minute), (29..31, second)] {
            digits(&mut line[place], number);
        }
        Date(line)
    }
}

const WEEKDAYS: [&[u8; 3]; 7] = [b"Sun", b"Mon", b"Tue", b"Wed", b"Thu", b"Fri", b"Sat"];
const MONTHS: [&[u8; 3]; 12] =
    [b"Jan", b"Feb", b"Mar", b"Apr", b"May", b"Jun", b"Jul", b"Aug", b"Sep", b"Oct", b"Nov", b"Dec"];

/// An answer without its body.
#[derive(Clone, Copy, Debug)]
pub struct Head<'a> {
    /// The status: 200 to 599.
    pub status: u16,
    /// What the body is: [`JSON`] for most.
    pub content_type: &'static str,
    /// The request's id.
    pub request_id: RequestId,
    /// Now; the caller keeps it for a second.
    pub date: Date,
    /// Whether the connection stays open after it. If not, it says `Connection: close`.
    pub keep_alive: bool,
    /// Further headers: Retry-After, Allow, WWW-Authenticate, Location, Set-Cookie, …
    pub extra: &'a [(&'static str, &'a str)],
}

/// Appends a whole answer to `out`. With `head_only`, the answer to a HEAD request: all headers of
/// the answer to GET, Content-Length included, and no body.
///
/// # Panics
/// If a header would split the response, the status is none of a final answer, or a 204 or 304 has a body.
pub fn respond(out: &mut Vec<u8>, head: &Head<'_>, body: &[u8], head_only: bool) {
    // The fixed parts are shorter than this, so one reservation is enough.
    out.reserve(FIXED_BYTES + head.content_type.len() + extra_bytes(head.extra) + body.len());
    respond_head(out, head, body.len());
    if !head_only {
        out.extend_from_slice(body);
    }
}

/// Appends the headers of an answer whose body, `body_bytes` long, is sent by other means; or not at all, to a HEAD.
///
/// # Panics
/// As [`respond`].
pub fn respond_head(out: &mut Vec<u8>, head: &Head<'_>, body_bytes: usize) {
    status_line(out, head.status);
    if matches!(head.status, 204 | 304) {
        assert!(body_bytes == 0, "a {} has no body", head.status);
    } else {
        match head.content_type {
            JSON => out.extend_from_slice(b"Content-Type: application/json\r\n"),
            other => field(out, "Content-Type", other),
        }
        out.extend_from_slice(b"Content-Length: ");
        decimal(out, body_bytes as u64);
        out.extend_from_slice(b"\r\n");
    }
    out.extend_from_slice(&head.date.0);
    out.extend_from_slice(b"X-Request-Id: ");
    out.extend_from_slice(&head.request_id.to_hex());
    out.extend_from_slice(b"\r\n");
    for (name, value) in head.extra {
        field(out, name, value);
    }
    out.extend_from_slice(if head.keep_alive { b"\r\n" } else { b"Connection: close\r\n\r\n" });
}

/// More than the status line, the headers' names, their fixed values and the date take.
const FIXED_BYTES: usize = 224;

fn extra_bytes(extra: &[(&str, &str)]) -> usize {
    extra.iter().map(|(name, value)| name.len() + value.len() + ": \r\n".len()).sum()
}

fn status_line(out: &mut Vec<u8>, status: u16) {
    if status == 200 {
        return out.extend_from_slice(b"HTTP/1.1 200 OK\r\n");
    }
    assert!((200..600).contains(&status), "{status} is no final status");
    out.extend_from_slice(b"HTTP/1.1 ");
    decimal(out, status.into());
    out.push(b' ');
    out.extend_from_slice(reason(status).as_bytes());
    out.extend_from_slice(b"\r\n");
}

fn reason(status: u16) -> &'static str {
    match status {
        204 => "No Content",
        302 => "Found",
        303 => "See Other",
        304 => "Not Modified",
        400 => "Bad Request",
        401 => "Unauthorized",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        408 => "Request Timeout",
        409 => "Conflict",
        413 => "Content Too Large",
        414 => "URI Too Long",
        415 => "Unsupported Media Type",
        417 => "Expectation Failed",
        429 => "Too Many Requests",
        431 => "Request Header Fields Too Large",
        500 => "Internal Server Error",
        501 => "Not Implemented",
        502 => "Bad Gateway",
        503 => "Service Unavailable",
        504 => "Gateway Timeout",
        505 => "HTTP Version Not Supported",
        // A reason may be empty; the space before it may not be left out.
        _ => "",
    }
}

fn field(out: &mut Vec<u8>, name: &str, value: &str) {
    assert!(!name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-'), "header name {name:?}");
    assert!(value.bytes().all(|b| matches!(b, b' '..=b'~')), "header {name} with value {value:?}");
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(b": ");
    out.extend_from_slice(value.as_bytes());
    out.extend_from_slice(b"\r\n");
}

/// Appends a number in digits.
pub fn decimal(out: &mut Vec<u8>, mut number: u64) {
    let mut digits = [0; 20];
    let mut at = digits.len();
    loop {
        at -= 1;
        digits[at] = b'0' + (number % 10) as u8;
        number /= 10;
        if number == 0 {
            break;
        }
    }
    out.extend_from_slice(&digits[at..]);
}

#[cfg(test)]
#[path = "encode_tests.rs"]
mod tests;
