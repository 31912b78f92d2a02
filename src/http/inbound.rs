//! What a client has sent and nobody has read yet, and the requests in it: a connection's receiving side
//! without the socket.
//!
//! The owner lends the buffer to a read, puts it back, and then takes requests until it is told to wait
//! for more. An idle connection keeps a small buffer, however much it once sent; a large one
//! is there only while there are bytes in it.

use super::limits::{BURST_BYTES, MAX_REQUEST_BYTES, READ_BUFFER_BYTES};
use super::parse::{Phase, Request, Step, parse};
use super::refusal::Refusal;

/// The unread bytes of a connection.
#[derive(Debug, Default)]
pub struct Inbound {
    bytes: Vec<u8>,
    /// So many at the front have been read.
    taken: usize,
    ended: bool,
}

/// What comes next on a connection.
#[derive(Debug)]
pub enum Next<'a> {
    /// A request.
    Request(Request<'a>),
    /// Something to be answered like this. Nothing comes after it.
    Refused(Refusal),
    /// Nothing, before more is read.
    More {
        /// What is waited for.
        phase: Phase,
        /// The client waits for leave to send the body: see [`Step::Incomplete`].
        expects_continue: bool,
    },
    /// Nothing any more: the last request was the connection's last, or one was refused.
    Ended,
}

impl Inbound {
    /// Nothing yet.
    pub fn new() -> Inbound {
        Inbound::default()
    }

    /// The next request, if all of it is there.
    pub fn next_request(&mut self) -> Next<'_> {
        if self.ended {
            return Next::Ended;
        }
        match parse(&mut self.bytes[self.taken..]) {
            Ok(Step::Complete { request, consumed }) => {
                self.taken += consumed;
                self.ended = !request.keep_alive;
                Next::Request(request)
            }
            Ok(Step::Incomplete { phase, expects_continue }) => Next::More { phase, expects_continue },
            Err(refusal) => {
                self.ended = true;
                Next::Refused(refusal)
            }
        }
    }

    /// Gives the buffer away for more to be read behind the bytes in it: there is room.
    pub fn lend(&mut self) -> Vec<u8> {
        let mut bytes = std::mem::take(&mut self.bytes);
        bytes.drain(..std::mem::take(&mut self.taken));
        if bytes.is_empty() && bytes.capacity() != READ_BUFFER_BYTES {
            return Vec::with_capacity(READ_BUFFER_BYTES);
        }
        if bytes.len() == bytes.capacity() {
            bytes.reserve_exact(bytes.len().min(MAX_REQUEST_BYTES));
        }
        bytes
    }

    /// Takes the buffer back, with what has been read.
    pub fn put_back(&mut self, bytes: Vec<u8>) {
        debug_assert!(self.bytes.is_empty() && self.taken == 0, "it was lent");
        self.bytes = bytes;
    }

    /// Makes room for a burst of which a read has filled `bytes`; says whether there is more room now.
    pub fn make_room_for_a_burst(bytes: &mut Vec<u8>) -> bool {
        let is_full = bytes.len() == bytes.capacity() && bytes.len() < BURST_BYTES;
        if is_full {
            bytes.reserve_exact(BURST_BYTES - bytes.len());
        }
        is_full
    }
}

#[cfg(test)]
#[path = "inbound_tests.rs"]
mod tests;
