//! From a connection's unread bytes to its next request.
//!
//! [`parse`] keeps nothing between calls: while a request is incomplete it is called again with all the bytes there
//! are, and reads them from the front again. Nothing is changed before the request is whole, so that is
//! safe; and what it costs is bounded. A request sent one byte at a time is read at most
//! [`MAX_REQUEST_BYTES`](super::limits::MAX_REQUEST_BYTES) times over: tens of milliseconds
//! for the longest head, about what the kernel spends on as many packets.
//!
//! A request in pieces gets the answer that it gets in one piece: what is wrong is looked for in
//! the order of the bytes, and what needs the whole head is decided only when the head is whole.

use super::chunked::{self, Measured};
use super::fields::{self, Facts, Fields, Framing, Lines};
use super::limits::MAX_HEAD_BYTES;
use super::line::{Line, Method};
use super::refusal::{self, Refusal};

/// What the unread bytes of a connection are.
#[derive(Clone, Copy, Debug)]
pub enum Step<'a> {
    /// The beginning of a request, or nothing. Call again when there is more.
    Incomplete {
        /// How far it got, for the deadline that applies.
        phase: Phase,
        /// The client waits for [`CONTINUE`](super::CONTINUE) before it sends its body. The head has been checked, and
        /// no byte of the body is there; so this is said at most once a request, if parsing is done only after reading.
        expects_continue: bool,
    },
    /// A request, and perhaps more after it.
    Complete {
        /// The request.
        request: Request<'a>,
        /// How many bytes it took. They are spent: a body in chunks has been moved within them.
        consumed: usize,
    },
}

/// How far a request has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// Not begun: no byte of it is there.
    Empty,
    /// Within the request line or the headers.
    Head,
    /// Within the body. The head is all right.
    Body,
}

/// A request that has one reading only. It borrows from the connection's buffer.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    /// What to do.
    pub method: Method,
    /// The target's path as it was sent: it begins with `/` (only `OPTIONS *` has `*`), and is visible ASCII,
    /// percent-encoding unchecked.
    pub path: &'a str,
    /// What follows the target's first `?`, as it was sent.
    pub query: Option<&'a str>,
    /// Whether the connection stays open after the answer: HTTP/1.1 without `Connection: close`.
    pub keep_alive: bool,
    /// The value of the one Authorization header.
    pub authorization: Option<&'a [u8]>,
    /// All headers, for those that few requests need: Accept, Cookie, X-Forwarded-For, …
    pub fields: Fields<'a>,
    /// The body, out of its chunks; empty if there is none.
    pub body: &'a [u8],
}

/// Reads the request that `unread` begins with. One empty line before it is skipped (RFC 9112, 2.2: some clients
/// send it after a body), a second one is refused.
///
/// With [`MAX_REQUEST_BYTES`](super::limits::MAX_REQUEST_BYTES) of unread bytes the step is never Incomplete.
///
/// # Errors
/// What to answer before the connection is closed.
pub fn parse(unread: &mut [u8]) -> Result<Step<'_>, Refusal> {
    let start = match unread {
        [] | [b'\r'] | [b'\r', b'\n'] => return Ok(Step::Incomplete { phase: Phase::Empty, expects_continue: false }),
        [b'\r', b'\n', ..] => 2,
        _ => 0,
    };
    let window = &unread[start..unread.len().min(start + MAX_HEAD_BYTES)];
    let end = match fields::lines(window) {
        Lines::End(len) => start + len,
        Lines::BareLf(at) => return head(&window[..at]).and(Err(refusal::BARE_CR_OR_LF)),
        Lines::Open => {
            head(window)?;
            if window.len() == MAX_HEAD_BYTES {
                return Err(refusal::HEAD_TOO_LONG);
            }
            return Ok(Step::Incomplete { phase: Phase::Head, expects_continue: false });
        }
    };
    let (before, after) = unread.split_at_mut(end);
    let before: &[u8] = &before[start..];
    let Some((line, facts)) = head(before)? else { return Err(refusal::NOT_HTTP) };
    let measured = match facts.framing {
        Framing::Length(length) => (after.len() >= length).then_some(Measured { body: length, wire: length }),
        Framing::Chunked => chunked::measure(after).map_err(|refusal| refusal.of(line.method))?,
    };
    let Some(Measured { body, wire }) = measured else {
        // A client that has begun to send the body does not wait for leave to send it.
        let expects_continue = facts.expects_continue && after.is_empty();
        return Ok(Step::Incomplete { phase: Phase::Body, expects_continue });
    };
    if facts.framing == Framing::Chunked {
        chunked::compact(after);
    }
    let request = Request {
        method: line.method,
        path: line.path,
        query: line.query,
        keep_alive: facts.keep_alive,
        authorization: facts.authorization,
        fields: Fields::of(&before[line.len..]),
        body: &after[..body],
    };
    Ok(Step::Complete { request, consumed: end + wire })
}

/// Reads a head, or checks the beginning of one as far as it goes: then None.
fn head(bytes: &[u8]) -> Result<Option<(Line<'_>, Facts<'_>)>, Refusal> {
    let Some(line) = Line::parse(bytes)? else { return Ok(None) };
    let facts = fields::parse(&bytes[line.len..], line.version).map_err(|refusal| refusal.of(line.method))?;
    Ok(facts.map(|facts| (line, facts)))
}

#[cfg(test)]
#[path = "parse_tests.rs"]
mod tests;
