//! Accepting: one task a worker, all on the one listening socket that the process has bound.
//!
//! Running out of descriptors neither ends the loop nor makes it spin: it waits a moment for connections to close.

use std::net::SocketAddr;
use std::os::fd::AsRawFd;
use std::rc::Rc;

use monoio::net::{TcpListener, TcpStream};
use monoio::time;

use super::admission::{Admission, Verdict};
use super::clients::Clients;
use super::conn::Conn;
use crate::api::error;
use crate::clock::Duration;
use crate::front::Front;
use crate::hub::Pace;
use crate::sync::Arc;

/// After an accept that failed for want of descriptors or memory, and while this worker has its share: time for others.
const BACKOFF: Duration = Duration::from_millis(50);
/// A worker that has so many connections more than the average leaves the next one to the others for a moment; if they
/// do not want it, it takes it.
const UNEVEN: usize = 4;
const COURTESY: Duration = Duration::from_millis(2);
/// Between two complaints about the same trouble.
const COMPLAINT_NS: u64 = 10_000_000_000;

/// Accepts until the server drains. A worker that has `share` connections leaves further ones to the others, for as
/// long as there are places left.
pub async fn accept(
    listener: TcpListener,
    admission: Arc<Admission>,
    clients: Rc<Clients>,
    front: Rc<Front>,
    share: usize,
) {
    let mut quiet_until_ns = 0;
    let mut pace = Pace::default();
    while !front.hub.is_draining() {
        front.hub.step(&mut pace).await;
        if clients.count() >= share && admission.has_room() {
            time::sleep(BACKOFF).await;
            continue;
        }
        // A burst of connections finds one worker awake; it leaves the others a moment to come and take some.
        if clients.count() * front.hub.cores() > admission.served() as usize + UNEVEN * front.hub.cores() {
            time::sleep(COURTESY).await;
        }
        match listener.accept().await {
            Ok((stream, from)) => welcome(stream, from, &admission, &clients, &front),
            Err(_) if front.hub.is_draining() => return,
            // The socket has been shut down, a moment before the word of it came.
            Err(error) if error.kind() == std::io::ErrorKind::InvalidInput => return,
            Err(error) if is_the_clients_fault(&error) => {}
            Err(error) => {
                if front.recent_ns() >= quiet_until_ns {
                    quiet_until_ns = front.recent_ns() + COMPLAINT_NS;
                    tracing::warn!("cannot accept a connection: {error}; raise the limit of descriptors (ulimit -n)");
                }
                time::sleep(BACKOFF).await;
            }
        }
    }
}

fn welcome(stream: TcpStream, from: SocketAddr, admission: &Arc<Admission>, clients: &Rc<Clients>, front: &Rc<Front>) {
    let (place, is_served) = match admission.judge(from.ip()) {
        Verdict::Serve(place) => (place, true),
        Verdict::Refuse(place) => (place, false),
        Verdict::Close => return,
    };
    let _ = stream.set_nodelay(true); // a connection that is dead already will show it when read
    let entry = clients.register(stream.as_raw_fd(), place);
    let conn = Conn::new(stream, from.ip(), entry, front.clone());
    if is_served {
        monoio::spawn(conn.serve());
    } else {
        monoio::spawn(conn.refuse(error::too_many_connections()));
    }
}

fn is_the_clients_fault(error: &std::io::Error) -> bool {
    use std::io::ErrorKind::{ConnectionAborted, ConnectionReset, Interrupted, PermissionDenied, TimedOut};
    matches!(error.kind(), ConnectionAborted | ConnectionReset | Interrupted | PermissionDenied | TimedOut)
}
