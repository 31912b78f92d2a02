//! `limit [PORT]`: the least that an answer over HTTP costs: a server that reads a request and writes a fixed answer.
//!
//! It stands on what the real server stands on (the same runtime, the same ring flags, the same parser), and leaves out all else:
//! no lock, no token, no disk. What the real server costs more than this, it costs for being a lock server. It listens on
//! the loopback, and prints where, as the real one does. With `--epoll` it runs on epoll.

#![forbid(unsafe_code)]

use std::net::SocketAddr;

use monoio::buf::{IoBuf, IoBufMut};
use monoio::io::{AsyncReadRent, AsyncWriteRentExt};
use monoio::net::{ListenerOpts, TcpListener, TcpStream};
use monoio::{IoUringDriver, LegacyDriver, RuntimeBuilder};

/// As long as an answer of the real server.
const BODY: &str = concat!(
    r#"{"status":"acquired","lease_id":"0190d2c8-7c1e-7b3a-9d2e-0123456789ab","fencing_token":123456789,"#,
    r#""expires_at":"2026-11-23T01:54:52.123Z","metadata":null,"ttl_seconds":60}"#
);
/// Read at once, and the longest request.
const BUFFER: usize = 16 * 1024;
/// Entries of the ring.
const ENTRIES: u32 = 1024;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let (mut port, mut epoll) = (0, false);
    for argument in std::env::args().skip(1) {
        match argument.as_str() {
            "--epoll" => epoll = true,
            number => port = number.parse().map_err(|_| "limit [--epoll] [PORT]")?,
        }
    }
    let address = SocketAddr::from(([127, 0, 0, 1], port));
    if epoll {
        RuntimeBuilder::<LegacyDriver>::new().build()?.block_on(serve(address))?;
    } else {
        let mut ring = io_uring::IoUring::builder();
        ring.setup_coop_taskrun().setup_single_issuer();
        let builder = RuntimeBuilder::<IoUringDriver>::new().with_entries(ENTRIES).uring_builder(ring);
        builder.build()?.block_on(serve(address))?;
    }
    Ok(())
}

async fn serve(address: SocketAddr) -> std::io::Result<()> {
    let listener = TcpListener::bind_with_config(address, &ListenerOpts::new().reuse_port(false).backlog(1024))?;
    eprintln!("listening on http://{}", listener.local_addr()?);
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        monoio::spawn(connection(stream));
    }
}

async fn connection(mut stream: TcpStream) {
    let answer =
        format!("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{BODY}", BODY.len());
    let (mut input, mut output) = (Vec::with_capacity(BUFFER), Vec::with_capacity(BUFFER));
    loop {
        let kept = input.len();
        if kept == BUFFER {
            return;
        }
        let (read, slice) = stream.read(IoBufMut::slice_mut(input, kept..BUFFER)).await;
        input = slice.into_inner();
        if !read.is_ok_and(|n| n > 0) {
            return;
        }
        let Some(used) = answered(&input, &mut output, answer.as_bytes()) else { return };
        input.drain(..used);
        if output.bytes_init() > 0 {
            let (written, buffer) = stream.write_all(output).await;
            output = buffer;
            output.clear();
            if written.is_err() {
                return;
            }
        }
    }
}

/// Appends an answer for each whole request, and says how many bytes they were; None for what is no request.
fn answered(bytes: &[u8], output: &mut Vec<u8>, answer: &[u8]) -> Option<usize> {
    let mut used = 0;
    while used < bytes.len() {
        let mut headers = [httparse::EMPTY_HEADER; 32];
        let mut request = httparse::Request::new(&mut headers);
        let httparse::Status::Complete(head) = request.parse(&bytes[used..]).ok()? else { break };
        let length = request.headers.iter().find(|header| header.name.eq_ignore_ascii_case("content-length"));
        let length: usize = length.map_or(Some(0), |header| std::str::from_utf8(header.value).ok()?.parse().ok())?;
        if bytes.len() < used + head + length {
            break;
        }
        used += head + length;
        output.extend_from_slice(answer);
    }
    Some(used)
}
