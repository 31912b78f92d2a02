//! Which names are local: whether the server has handed a request to another worker, by its own account.
//!
//! Which worker owns a name is the server's secret, drawn anew at each start. But it counts what it hands over, and its
//! workers publish what they have counted every 25 ms.

use std::io::{Read, Write};
use std::mem;
use std::net::{SocketAddr, TcpStream};
use std::thread;
use std::time::Duration;

/// Names that are tried for one caller: with 8 workers, all of them belong to others once in 5000.
const CANDIDATES: u64 = 64;
/// Until the workers have surely published what they counted.
const PUBLISHED: Duration = Duration::from_millis(40);
const COUNTER: &str = "octostore_handoffs_total ";

/// Has `look` look at one candidate after the other, until one is not handed over. `before`: the server's count until now.
///
/// # Errors
/// All are handed over, or the server does not say.
pub fn find(server: SocketAddr, before: &mut u64, mut look: impl FnMut(u64)) -> Result<(), String> {
    for candidate in 0..CANDIDATES {
        look(candidate);
        let after = handoffs(server)?;
        if mem::replace(before, after) == after {
            return Ok(());
        }
    }
    Err("--names local: every name is handed over; is somebody else using the server?".into())
}

/// How many requests the server has handed over so far.
///
/// # Errors
/// It does not say.
pub fn handoffs(server: SocketAddr) -> Result<u64, String> {
    thread::sleep(PUBLISHED);
    let page = metrics(server).map_err(|e| format!("--names local: /metrics: {e}"))?;
    let count = page.lines().find_map(|line| line.strip_prefix(COUNTER)?.trim().parse().ok());
    count.ok_or_else(|| {
        "--names local: /metrics does not show octostore_handoffs_total; may this machine see it?".into()
    })
}

fn metrics(server: SocketAddr) -> std::io::Result<String> {
    let mut stream = TcpStream::connect(server)?;
    stream.write_all(format!("GET /metrics HTTP/1.1\r\nHost: {server}\r\nConnection: close\r\n\r\n").as_bytes())?;
    let mut page = String::new();
    stream.read_to_string(&mut page)?;
    Ok(page)
}
