//! A client that costs little beside the server it loads: bursts out, answers in, and of each no more read than is judged.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};

use crate::common::PATIENCE;

/// A connection on which many requests are under way.
pub struct Wire {
    stream: TcpStream,
    unread: Vec<u8>,
    /// Up to here `unread` has been read.
    at: usize,
}

impl Wire {
    /// Connects.
    pub fn open(server: SocketAddr) -> Wire {
        let stream = TcpStream::connect_timeout(&server, PATIENCE).expect("connect");
        stream.set_nodelay(true).expect("no delay");
        stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
        stream.set_write_timeout(Some(PATIENCE)).expect("a timeout");
        Wire { stream, unread: Vec::new(), at: 0 }
    }

    /// Sends bytes.
    pub fn send(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).expect("send");
    }

    /// The status and the body of the next answer.
    pub fn read(&mut self) -> (u16, &str) {
        let (status, begin, end) = loop {
            match self.next() {
                Some(found) => break found,
                None => self.fill().expect("an answer"),
            }
        };
        self.at = end;
        (status, std::str::from_utf8(&self.unread[begin..end]).expect("text"))
    }

    fn next(&self) -> Option<(u16, usize, usize)> {
        let unread = &self.unread[self.at..];
        let head = unread.windows(4).position(|end| end == b"\r\n\r\n")?;
        let text = std::str::from_utf8(&unread[..head]).expect("a head in ASCII");
        let status = text.get(9..12).and_then(|status| status.parse().ok()).expect("a status");
        let is_length = |line: &&str| line.get(..15).is_some_and(|name| name.eq_ignore_ascii_case("content-length:"));
        let length = text.split("\r\n").find(is_length).expect("a length")[15..].trim();
        let begin = self.at + head + 4;
        let end = begin + length.parse::<usize>().expect("a length in digits");
        (end <= self.unread.len()).then_some((status, begin, end))
    }

    fn fill(&mut self) -> io::Result<()> {
        self.unread.drain(..self.at);
        self.at = 0;
        let length = self.unread.len();
        self.unread.resize(length + (64 << 10), 0);
        let read = self.stream.read(&mut self.unread[length..]);
        self.unread.truncate(length + read.as_ref().copied().unwrap_or(0));
        if read? == 0 { Err(ErrorKind::UnexpectedEof.into()) } else { Ok(()) }
    }
}

/// Appends a request to `bytes`.
pub fn request(bytes: &mut Vec<u8>, method: &str, target: &str, token: &str, body: &str) {
    let length = body.len();
    write!(
        bytes,
        "{method} {target} HTTP/1.1\r\nHost: soak\r\nAuthorization: Bearer {token}\r\nContent-Length: {length}\r\n\r\n{body}"
    )
    .expect("memory");
}

/// The number that a field of a JSON text has.
pub fn number(body: &str, field: &str) -> Option<u64> {
    let (_, rest) = body.split_once(&format!("\"{field}\":"))?;
    rest.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok()
}
