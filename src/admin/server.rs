//! The server's end of the admin socket: a thread that accepts, and one for each of a few connections.
//!
//! Nothing here is on the way of a request of the API. What takes long, copying the database, is the journal's
//! work, a slice at a time ([`Errand::Copy`]); this end only passes on how far it is.
//!
//! **The copy** lies beside the database until its client hangs up, so it is there exactly as long as
//! somebody wants it: a client that is killed, or that goes away in the middle, leaves nothing behind. Beside the
//! database, because there the server may write, whatever its sandbox, and the disk is one that it relies on anyway; a
//! disk without room for it is not filled.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::mpsc::sync_channel;
use std::{fs, thread};

use super::{
    Configured, MAX_REQUEST_BYTES, Reply, Request, UserChange, UserRow, beside, copy_path, socket, socket_path,
};
use crate::clock::Duration;
use crate::journal::{Copied, Errand, Intake};
use crate::lease::UserId;
use crate::metrics::Registry;
use crate::registrar::{NotChanged, Registrar};
use crate::sync::{Arc, AtomicU64, Ordering};

/// Connections at a time. Beyond it: refused.
const MAX_CONNECTIONS: u64 = 8;
/// How long a client may take to send its request, to read a line, and to do what it wants with a copy.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(5);
const WRITE_TIMEOUT: Duration = Duration::from_secs(5);
const COPY_TIMEOUT: Duration = Duration::from_secs(300);
/// What a copy must leave free on the database's disk, beside its own size.
const SPARE_BYTES: u64 = 64 << 20;

/// What is said when the journal's thread has no place for an errand.
const BUSY: &str = "the server has too much to do: try again in a moment";

/// What the admin socket is for.
pub struct Office {
    database: PathBuf,
    intake: Arc<Intake>,
    registrar: Arc<Registrar>,
    registry: Registry,
    configured: Configured,
    connections: AtomicU64,
    copying: Mutex<()>,
}

impl Office {
    /// Opens the admin socket of a database whose lock is held, given by its real path.
    ///
    /// # Errors
    /// There can be none.
    pub fn open(
        database: &Path,
        intake: Arc<Intake>,
        registrar: Arc<Registrar>,
        registry: Registry,
        configured: Configured,
    ) -> io::Result<()> {
        let listener = socket::bind(database)?;
        let office = Office {
            database: database.to_owned(),
            intake,
            registrar,
            registry,
            configured,
            connections: AtomicU64::new(0),
            copying: Mutex::new(()),
        };
        let _ = fs::remove_file(copy_path(database)); // of a server that was killed
        let office = Arc::new(office);
        thread::Builder::new().name("admin".into()).spawn(move || accept(&listener, &office))?;
        Ok(())
    }

    /// Takes the socket away, at the end of the process.
    pub fn close(database: &Path) {
        let _ = fs::remove_file(socket_path(database));
    }

    fn serve(&self, stream: UnixStream) -> io::Result<()> {
        stream.set_read_timeout(Some(REQUEST_TIMEOUT))?;
        stream.set_write_timeout(Some(WRITE_TIMEOUT))?;
        let Some(peer) = socket::trusted_peer(&stream) else {
            return tell(&stream, &refused("only the server's own user, and root, may use its admin socket"));
        };
        let mut line = String::new();
        BufReader::new((&stream).take(MAX_REQUEST_BYTES)).read_line(&mut line)?;
        match serde_json::from_str(&line) {
            Ok(request) => {
                let (uid, pid) = (peer.uid.as_raw(), peer.pid.as_raw_nonzero());
                match request {
                    // As often as somebody who watches likes.
                    Request::Figures => tracing::debug!(uid, pid, "admin socket: {request:?}"),
                    _ => tracing::info!(uid, pid, "admin socket: {request:?}"),
                }
                self.answer(&request, &stream)
            }
            Err(_) => tell(&stream, &refused("the server is of another version: use its own binary")),
        }
    }

    fn answer(&self, request: &Request, stream: &UnixStream) -> io::Result<()> {
        match request {
            Request::Copy => self.copy(stream),
            Request::Figures => tell(stream, &Reply::Figures { page: self.registry.page() }),
            Request::ListUsers => self.list_users(stream),
            Request::AddUser { .. } | Request::RotateUser { .. } | Request::RemoveUser { .. } => {
                tell(stream, &self.change_user(request))
            }
        }
    }

    /// Makes a copy, and keeps it as long as the client stays.
    fn copy(&self, stream: &UnixStream) -> io::Result<()> {
        let Ok(_alone) = self.copying.try_lock() else {
            return tell(stream, &refused("another backup or dump is under way: try again when it is done"));
        };
        if let Err(why) = self.is_room_for_a_copy() {
            return tell(stream, &refused(why));
        }
        let path = copy_path(&self.database);
        let told = self.copy_to(&path, stream);
        let _ = fs::remove_file(&path);
        told
    }

    fn copy_to(&self, path: &Path, stream: &UnixStream) -> io::Result<()> {
        let (progress, pages) = sync_channel(1);
        let (reply, end) = sync_channel(1);
        let errand = Errand::Copy { to: path.to_owned(), progress, reply };
        if self.intake.send(errand).is_err() {
            return tell(stream, &refused(BUSY));
        }
        // Ends when the journal's thread has let go of its end. An error here lets go of ours, and so ends the copy.
        for pages in &pages {
            tell(stream, &Reply::Progress { done: pages.done, total: pages.total })?;
        }
        match end.recv() {
            Ok(Copied::Whole) => tell(stream, &Reply::Copied)?,
            Ok(Copied::Failed(why)) => return tell(stream, &refused(why)),
            Ok(Copied::GivenUp) | Err(_) => return tell(stream, &refused("the server is stopping")),
        }
        stream.set_read_timeout(Some(COPY_TIMEOUT))?;
        let _ = (&mut { stream }).read(&mut [0; 1]); // until the client hangs up, or has had its time
        Ok(())
    }

    fn is_room_for_a_copy(&self) -> Result<(), String> {
        let size = |path: &Path| fs::metadata(path).map_or(0, |found| found.len());
        let bytes = size(&self.database) + size(&beside(&self.database, "-wal"));
        let directory = self.database.parent().unwrap_or(&self.database);
        // A disk that does not say how much is free is tried: a copy that does not fit fails alone.
        match rustix::fs::statvfs(directory) {
            Ok(disk) => is_room(disk.f_bavail.saturating_mul(disk.f_frsize), bytes, directory),
            Err(_) => Ok(()),
        }
    }

    /// Passes the users on, as many at a time as the journal's thread reads between two commits.
    fn list_users(&self, stream: &UnixStream) -> io::Result<()> {
        let mut from = UserId(0);
        loop {
            let (reply, answer) = sync_channel(1);
            if self.intake.send(Errand::Users { from, reply }).is_err() {
                return tell(stream, &refused(BUSY));
            }
            let Ok(users) = answer.recv() else { return tell(stream, &refused("the server is stopping")) };
            let Some((last, _)) = users.last() else { return tell(stream, &Reply::Done) };
            from = UserId(last.id.0 + 1);
            let row = |(account, stored): &(_, u32)| UserRow::new(account, *stored, Some(&self.configured));
            tell(stream, &Reply::Users { users: users.iter().map(row).collect() })?;
        }
    }

    fn change_user(&self, request: &Request) -> Reply {
        let change = match UserChange::of(request) {
            Ok(change) => change.expect("a request about a user"),
            Err(why) => return refused(why),
        };
        match self.registrar.change(change.errand.clone()) {
            Ok((account, _)) => change.made(&account),
            Err(NotChanged::Refused(why)) => change.refused(why),
            Err(error @ NotChanged::Unavailable) => refused(error.to_string()),
        }
    }
}

/// Whether a copy of so many bytes leaves the server enough of what is free.
fn is_room(free_bytes: u64, copy_bytes: u64, directory: &Path) -> Result<(), String> {
    let needed = copy_bytes.saturating_add(SPARE_BYTES);
    if free_bytes >= needed {
        return Ok(());
    }
    let lacking = (needed - free_bytes).div_ceil(1 << 20);
    let directory = directory.display();
    Err(format!(
        "the server makes a copy beside its database, and {directory} has no room for it: free {lacking} MiB there"
    ))
}

fn accept(listener: &UnixListener, office: &Arc<Office>) {
    for stream in listener.incoming() {
        let Ok(stream) = stream else {
            thread::sleep(Duration::from_millis(100)); // no descriptors: others have them back soon
            continue;
        };
        // Relaxed: it is a count, and orders nothing.
        if office.connections.fetch_add(1, Ordering::Relaxed) >= MAX_CONNECTIONS {
            let _ = stream.set_write_timeout(Some(WRITE_TIMEOUT));
            let _ = tell(&stream, &refused("too many commands at once: try again in a moment"));
            office.connections.fetch_sub(1, Ordering::Relaxed);
            continue;
        }
        let place = Place(office.clone());
        let _ = thread::Builder::new().name("admin-request".into()).spawn(move || {
            let _ = place.0.serve(stream); // whoever asked may have gone
        });
    }
}

/// One of the connections at a time.
struct Place(Arc<Office>);

impl Drop for Place {
    fn drop(&mut self) {
        self.0.connections.fetch_sub(1, Ordering::Relaxed);
    }
}

fn refused(why: impl Into<String>) -> Reply {
    Reply::Refused { why: why.into() }
}

/// Sends one line.
fn tell(mut stream: &UnixStream, reply: &Reply) -> io::Result<()> {
    let mut line = serde_json::to_vec(reply)?;
    line.push(b'\n');
    stream.write_all(&line)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_copy_must_leave_the_server_room_to_go_on() {
        let room = |free: u64| is_room(free, 10 << 20, Path::new("/var/lib/octostore"));
        assert!(room(74 << 20).is_ok() && room(u64::MAX).is_ok());
        assert!(is_room(u64::MAX, u64::MAX, Path::new("/")).is_ok());
        for (free, lacking) in [((74 << 20) - 1, "free 1 MiB"), (64 << 20, "free 10 MiB"), (0, "free 74 MiB")] {
            let why = room(free).unwrap_err();
            assert!(why.contains(lacking) && why.contains("/var/lib/octostore"), "{why}");
        }
    }
}
