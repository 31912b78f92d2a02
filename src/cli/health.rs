//! `octostore health`: whether a server is well, for a container's health check or a script, without an HTTP client
//! beside the binary.

use std::error::Error;
use std::io::{self, Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream, ToSocketAddrs};

use crate::clock::Duration;
use crate::config::BindAddress;

/// The server answers within 2 s, even when its disk does not.
const PATIENCE: Duration = Duration::from_secs(4);
/// The most of an answer that is read.
const ANSWER_BYTES: u64 = 64 << 10;

/// Asks the server that listens at `bind`, and prints what it says of itself.
///
/// # Errors
/// It is not there, or not well.
pub fn run(bind: &BindAddress) -> Result<(), Box<dyn Error>> {
    let not_there = |error: io::Error| format!("no server answers at {bind}: {error}");
    let answer = ask(bind).map_err(not_there)?;
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((&answer, ""));
    let status = head.split(' ').nth(1).unwrap_or("no status");
    if !head.starts_with("HTTP/1.1 200 ") {
        return Err(format!("the server at {bind} is not well: {status} {}", body.trim()).into());
    }
    writeln!(io::stdout(), "{}", body.trim())?;
    Ok(())
}

fn ask(bind: &BindAddress) -> io::Result<String> {
    let mut stream = connect(bind)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    write!(stream, "GET /health HTTP/1.1\r\nHost: {bind}\r\nConnection: close\r\n\r\n")?;
    let mut answer = Vec::new();
    stream.take(ANSWER_BYTES).read_to_end(&mut answer)?;
    Ok(String::from_utf8_lossy(&answer).into_owned())
}

/// Connects to the first of the host's addresses that takes a connection.
fn connect(bind: &BindAddress) -> io::Result<TcpStream> {
    let mut failure = io::Error::other("the host has no address");
    for address in (bind.host.as_str(), bind.port).to_socket_addrs()? {
        match TcpStream::connect_timeout(&reachable(address), PATIENCE) {
            Ok(stream) => return Ok(stream),
            Err(error) => failure = error,
        }
    }
    Err(failure)
}

/// Who listens on every address is reached on the loopback.
fn reachable(address: SocketAddr) -> SocketAddr {
    let host = match address.ip() {
        IpAddr::V4(host) if host.is_unspecified() => IpAddr::V4(Ipv4Addr::LOCALHOST),
        IpAddr::V6(host) if host.is_unspecified() => IpAddr::V6(Ipv6Addr::LOCALHOST),
        host => host,
    };
    SocketAddr::new(host, address.port())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_listens_everywhere_is_asked_on_the_loopback() {
        for (bound, asked) in [
            ("0.0.0.0:3000", "127.0.0.1:3000"),
            ("[::]:3000", "[::1]:3000"),
            ("192.0.2.7:80", "192.0.2.7:80"),
            ("[2001:db8::1]:80", "[2001:db8::1]:80"),
        ] {
            assert_eq!(reachable(bound.parse().unwrap()), asked.parse().unwrap());
        }
    }
}
