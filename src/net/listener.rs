//! Accepting: one task a worker, all on the one listening socket that the process has bound.

use std::rc::Rc;

use monoio::net::{TcpListener, TcpStream};
use monoio::time;
use std::os::fd::AsRawFd;

use super::clients::Clients;
use super::conn::Conn;
use crate::api::error;
use crate::clock::Duration;
use crate::front::Front;

/// After an accept that failed for want of descriptors or memory: time for others to give some back.
const BACKOFF: Duration = Duration::from_millis(50);
/// Above the limit of connections, so many more are taken in to be told so; further ones wait in the kernel's queue.
const REFUSED_AT_ONCE: u32 = 64;

/// Accepts until the server drains.
pub async fn accept(listener: TcpListener, clients: Rc<Clients>, front: Rc<Front>, max_connections: u32) {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => welcome(stream, &clients, &front, max_connections),
            Err(_) if front.hub.is_draining() => return,
            Err(error) if is_the_clients_fault(&error) => {}
            Err(error) => {
                // The socket has been shut down, a moment before the word of it came.
                if error.kind() == std::io::ErrorKind::InvalidInput {
                    return;
                }
                tracing::warn!("cannot accept a connection: {error}; raise the limit of descriptors (ulimit -n)");
                time::sleep(BACKOFF).await;
            }
        }
    }
}

fn welcome(stream: TcpStream, clients: &Rc<Clients>, front: &Rc<Front>, max_connections: u32) {
    let live = clients.live();
    if live >= max_connections.saturating_add(REFUSED_AT_ONCE) {
        return; // closed unheard
    }
    let _ = stream.set_nodelay(true); // a connection that is dead already will show it when read
    let entry = clients.register(stream.as_raw_fd());
    let conn = Conn::new(stream, entry, front.clone());
    if live < max_connections {
        monoio::spawn(conn.serve());
    } else {
        monoio::spawn(conn.refuse(error::too_many_connections()));
    }
}

fn is_the_clients_fault(error: &std::io::Error) -> bool {
    use std::io::ErrorKind::{ConnectionAborted, ConnectionReset, Interrupted, PermissionDenied, TimedOut};
    matches!(error.kind(), ConnectionAborted | ConnectionReset | Interrupted | PermissionDenied | TimedOut)
}
