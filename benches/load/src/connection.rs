//! One connection: bytes out, answers in, and which caller each answer belongs to.
//!
//! The socket does not block. What the kernel does not take at once stays in `output` until epoll says that there is room.

use std::collections::VecDeque;
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use crate::protocol::{Encoder, Protocol, Verdict};
use crate::script::Operation;

/// How long a connect may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// Read at once.
const CHUNK: usize = 16 * 1024;

/// A request under way.
#[derive(Clone, Copy, Debug)]
pub struct Request {
    /// Its caller.
    pub lane: u32,
    /// What was asked.
    pub operation: Operation,
    /// When it was sent, or, in an open loop, due: nanoseconds of the run.
    pub since_ns: u64,
}

/// A connection and its requests under way, oldest first: answers come in their order.
pub struct Connection {
    stream: TcpStream,
    input: Vec<u8>,
    output: Vec<u8>,
    waiting: VecDeque<Request>,
    /// The kernel has not taken all, and epoll is to say when it takes more.
    pub wants_room: bool,
}

impl Connection {
    /// Connects.
    ///
    /// # Errors
    /// The server cannot be reached.
    pub fn open(address: SocketAddr) -> io::Result<Connection> {
        let stream = TcpStream::connect_timeout(&address, CONNECT_TIMEOUT)?;
        stream.set_nodelay(true)?;
        stream.set_nonblocking(true)?;
        Ok(Connection { stream, input: Vec::new(), output: Vec::new(), waiting: VecDeque::new(), wants_room: false })
    }

    /// The socket, for epoll.
    pub fn stream(&self) -> &TcpStream {
        &self.stream
    }

    /// Puts a request behind those that wait to be written.
    pub fn push(&mut self, encoder: &Encoder, request: Request) {
        encoder.encode(&request.operation, &mut self.output);
        self.waiting.push_back(request);
    }

    /// Writes what the kernel takes; says whether something is left.
    ///
    /// # Errors
    /// The connection is broken.
    pub fn flush(&mut self) -> io::Result<bool> {
        let mut written = 0;
        while written < self.output.len() {
            match self.stream.write(&self.output[written..]) {
                Ok(n) => written += n,
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => break,
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => return Err(e),
            }
        }
        self.output.drain(..written);
        Ok(!self.output.is_empty())
    }

    /// Reads once, and gives each whole answer to `answered`.
    ///
    /// # Errors
    /// The connection is broken, closed, or says what nobody asked.
    pub fn read(
        &mut self,
        protocol: Protocol,
        scratch: &mut Vec<u8>,
        mut answered: impl FnMut(Request, Verdict),
    ) -> io::Result<()> {
        scratch.resize(CHUNK, 0);
        let read = match self.stream.read(scratch) {
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(read) => read,
            Err(e) if matches!(e.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) => return Ok(()),
            Err(e) => return Err(e),
        };
        // Mostly an answer comes whole, and nothing has to be kept.
        let kept = !self.input.is_empty();
        if kept {
            self.input.extend_from_slice(&scratch[..read]);
        }
        let bytes: &[u8] = if kept { &self.input } else { &scratch[..read] };
        let mut used = 0;
        loop {
            match protocol.decode(&bytes[used..]) {
                Ok(Some((length, verdict))) => {
                    used += length;
                    let Some(request) = self.waiting.pop_front() else {
                        return Err(io::Error::new(io::ErrorKind::InvalidData, "an answer that nobody asked for"));
                    };
                    answered(request, verdict);
                }
                Ok(None) => break,
                Err(_) => return Err(io::Error::new(io::ErrorKind::InvalidData, "not an answer in this protocol")),
            }
        }
        if kept {
            self.input.drain(..used);
        } else {
            self.input.extend_from_slice(&scratch[used..read]);
        }
        Ok(())
    }

    /// The requests under way.
    pub fn waiting(&self) -> impl Iterator<Item = &Request> {
        self.waiting.iter()
    }

    /// The requests that will not be answered any more.
    pub fn lost(&mut self) -> impl Iterator<Item = Request> + '_ {
        self.waiting.drain(..)
    }
}
