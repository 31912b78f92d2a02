//! One request to a server that is not ours, on a connection of its own: to the stand-in for GitHub, to a browser's driver.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};

use super::PATIENCE;

/// An answer, read to its end.
#[derive(Debug)]
pub struct Plain {
    /// The status.
    pub status: u16,
    /// The head, as it came.
    pub head: String,
    /// The body.
    pub body: Vec<u8>,
}

impl Plain {
    /// The value of the first header of that name.
    pub fn header(&self, name: &str) -> Option<&str> {
        header_in(&self.head, name)
    }
}

/// The value of the first header of that name in a head, be it of a request or of an answer.
pub fn header_in<'a>(head: &'a str, name: &str) -> Option<&'a str> {
    let mut fields = head.lines().skip(1).filter_map(|line| line.split_once(':'));
    fields.find(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, value)| value.trim())
}

/// Reads a head, and as many bytes after it as it announces; None if the connection ends before.
pub fn read_message(stream: &mut impl Read) -> Option<(String, Vec<u8>)> {
    let mut bytes = Vec::new();
    let mut piece = [0; 16 * 1024];
    loop {
        if let Some(end) = bytes.windows(4).position(|w| w == b"\r\n\r\n") {
            let head = String::from_utf8_lossy(&bytes[..end]).into_owned();
            let length = header_in(&head, "Content-Length").map_or(0, |value| value.parse().expect("a length"));
            if bytes.len() - (end + 4) >= length {
                return Some((head, bytes[end + 4..end + 4 + length].to_vec()));
            }
        }
        match stream.read(&mut piece) {
            Ok(0) | Err(_) => return None,
            Ok(n) => bytes.extend_from_slice(&piece[..n]),
        }
    }
}

/// Sends one request and reads its answer. A body is JSON.
#[track_caller]
pub fn exchange(server: SocketAddr, method: &str, target: &str, body: Option<&str>) -> Plain {
    let mut stream = TcpStream::connect_timeout(&server, PATIENCE).expect("connect");
    stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
    let body = body.unwrap_or_default();
    let length = body.len();
    let head = format!(
        "{method} {target} HTTP/1.1\r\nHost: localhost:{}\r\nContent-Type: application/json\r\n\
         Content-Length: {length}\r\nConnection: close\r\n\r\n",
        server.port()
    );
    stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(body.as_bytes())).expect("send");
    let (head, body) =
        read_message(&mut stream).unwrap_or_else(|| panic!("no answer in {PATIENCE:?}: {method} {target}"));
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok());
    Plain { status: status.unwrap_or_else(|| panic!("no status: {head}")), head, body }
}
