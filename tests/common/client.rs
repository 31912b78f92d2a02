//! A client made of a socket: what goes over the wire is what the test wrote.
//!
//! It reads strictly. Each response needs a length, a request id of its own, and JSON where it says so;
//! whatever a test asks, these are checked along the way; and so is every answer, against the API's own description.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::time::Duration;

use serde_json::Value;

use super::{PATIENCE, assert_fields, contract};

/// One response, read to its end.
#[derive(Debug)]
pub struct Response {
    /// The status code.
    pub status: u16,
    /// The headers, names in lower case.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Vec<u8>,
}

impl Response {
    /// The value of a header, if it is there; there must not be two.
    #[track_caller]
    pub fn header(&self, name: &str) -> Option<&str> {
        let mut values = self.headers.iter().filter(|(n, _)| n == name).map(|(_, value)| value.as_str());
        let first = values.next();
        assert!(values.next().is_none(), "two headers {name}: {self:?}");
        first
    }

    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The body as JSON.
    #[track_caller]
    pub fn json(&self) -> Value {
        let kind = self.header("content-type").unwrap_or_default();
        assert!(kind.starts_with("application/json"), "content-type {kind:?} of {}", self.text());
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.text()))
    }

    /// The body of a response with this status.
    #[track_caller]
    pub fn expect(&self, status: u16) -> Value {
        assert_eq!(self.status, status, "{}", self.text());
        self.json()
    }

    /// Asserts that this is an error, with this status and all that an error must tell. Returns its code.
    #[track_caller]
    pub fn refusal(&self, status: u16) -> String {
        let body = self.expect(status);
        assert_fields(&body, &["error", "details", "code", "request_id"]);
        for field in ["error", "details"] {
            assert!(body[field].as_str().is_some_and(|text| !text.is_empty()), "{field} says nothing: {body}");
        }
        assert_eq!(body["request_id"].as_str(), self.header("x-request-id"));
        body["code"].as_str().expect("a code").to_owned()
    }

    /// Asserts that this is an error with this status and this code.
    #[track_caller]
    pub fn refused(&self, status: u16, code: &str) {
        assert_eq!(self.refusal(status), code, "{}", self.text());
    }
}

/// One request, as bytes. A body brings its length; so does a POST without one.
pub fn request(method: &str, target: &str, headers: &[(&str, &str)], body: &[u8]) -> Vec<u8> {
    let mut bytes = format!("{method} {target} HTTP/1.1\r\nHost: localhost\r\n").into_bytes();
    for (name, value) in headers {
        bytes.extend_from_slice(format!("{name}: {value}\r\n").as_bytes());
    }
    if !body.is_empty() || method == "POST" {
        bytes.extend_from_slice(format!("Content-Length: {}\r\n", body.len()).as_bytes());
    }
    bytes.extend_from_slice(b"\r\n");
    bytes.extend_from_slice(body);
    bytes
}

/// One connection.
#[derive(Debug)]
pub struct Connection {
    stream: TcpStream,
    unread: Vec<u8>,
}

impl Connection {
    /// Connects.
    #[track_caller]
    pub fn open(server: SocketAddr) -> Connection {
        Connection::try_open(server).expect("connect")
    }

    /// Connects, if the server is there.
    pub fn try_open(server: SocketAddr) -> io::Result<Connection> {
        let stream = TcpStream::connect_timeout(&server, PATIENCE)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        stream.set_nodelay(true)?;
        Ok(Connection { stream, unread: Vec::new() })
    }

    /// A second handle, to write on while another thread reads.
    pub fn writer(&self) -> TcpStream {
        self.stream.try_clone().expect("a second handle")
    }

    /// Sends bytes as they are.
    #[track_caller]
    pub fn send(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).expect("send");
    }

    /// Sends a request and reads its response.
    #[track_caller]
    pub fn call(&mut self, request: &[u8]) -> Response {
        self.send(request);
        let response = self.read();
        contract::check(request, &response);
        response
    }

    /// As [`Connection::call`], for a server that may be killed meanwhile.
    pub fn try_call(&mut self, request: &[u8]) -> io::Result<Response> {
        self.stream.write_all(request)?;
        self.try_read()
    }

    /// Says that nothing more will be sent.
    pub fn half_close(&self) {
        self.stream.shutdown(Shutdown::Write).expect("half-close");
    }

    /// Reads the next response.
    #[track_caller]
    pub fn read(&mut self) -> Response {
        self.try_read().expect("a response")
    }

    /// Reads the response to a HEAD: its headers only.
    #[track_caller]
    pub fn read_head(&mut self) -> Response {
        self.try_read_head().expect("a response")
    }

    /// Reads the next response; an error if the connection ends before it does.
    pub fn try_read(&mut self) -> io::Result<Response> {
        let mut response = self.try_read_head()?;
        if response.status >= 200 && !matches!(response.status, 204 | 304) {
            let length = response.header("content-length").expect("a length").parse().expect("a length in digits");
            while self.unread.len() < length {
                self.fill()?;
            }
            response.body = self.unread.drain(..length).collect();
        }
        Ok(response)
    }

    /// As [`Connection::read_head`]; an error if the connection ends before.
    pub fn try_read_head(&mut self) -> io::Result<Response> {
        let end = loop {
            if let Some(end) = self.unread.windows(4).position(|w| w == b"\r\n\r\n") {
                break end + 4;
            }
            self.fill()?;
        };
        let head: Vec<u8> = self.unread.drain(..end).collect();
        let response = parse_head(std::str::from_utf8(&head).expect("a head in ASCII"));
        if response.status >= 200 {
            let id = response.header("x-request-id").unwrap_or_default();
            assert!(!id.is_empty(), "a response without X-Request-Id: {response:?}");
        }
        Ok(response)
    }

    fn fill(&mut self) -> io::Result<()> {
        let mut piece = [0; 16 * 1024];
        match self.stream.read(&mut piece)? {
            0 => Err(ErrorKind::UnexpectedEof.into()),
            n => {
                self.unread.extend_from_slice(&piece[..n]);
                Ok(())
            }
        }
    }

    /// Whether something comes within that time. It stays there to be read.
    pub fn answers_within(&mut self, time: Duration) -> bool {
        self.stream.set_read_timeout(Some(time)).expect("a timeout");
        let came = !self.unread.is_empty() || self.fill().is_ok();
        self.stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
        came
    }

    /// Waits for the server to close. Everything it has sent must have been read.
    #[track_caller]
    pub fn expect_end(&mut self) {
        match self.fill() {
            Err(error) if error.kind() == ErrorKind::UnexpectedEof => assert!(self.unread.is_empty()),
            other => panic!("an end in order, not {other:?} with {:?}", String::from_utf8_lossy(&self.unread)),
        }
    }

    /// Reads until the connection ends, in whatever way. False if it did not end in time.
    pub fn drain(&mut self) -> bool {
        loop {
            match self.fill() {
                Ok(()) => self.unread.clear(),
                Err(error) => return !matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut),
            }
        }
    }
}

fn parse_head(head: &str) -> Response {
    let mut lines = head.trim_end_matches("\r\n").split("\r\n");
    let status_line = lines.next().expect("a status line");
    let status =
        status_line.strip_prefix("HTTP/1.1 ").and_then(|rest| rest.get(..3)).and_then(|code| code.parse().ok());
    let headers = lines
        .map(|line| line.split_once(':').unwrap_or_else(|| panic!("no header: {line:?}")))
        .map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned()));
    Response {
        status: status.unwrap_or_else(|| panic!("no status line: {status_line:?}")),
        headers: headers.collect(),
        body: Vec::new(),
    }
}
