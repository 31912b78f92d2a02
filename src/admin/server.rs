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

use super::{MAX_LINE_BYTES, Reply, Request, UserChange, socket};
use crate::clock::Duration;
use crate::journal::{Copied, Errand, Intake};
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

/// What the admin socket is for.
pub struct Office {
    database: PathBuf,
    intake: Arc<Intake>,
    registrar: Arc<Registrar>,
    connections: AtomicU64,
    copying: Mutex<()>,
}

impl Office {
    /// Opens the admin socket of a database whose lock is held, given by its real path.
    ///
    /// # Errors
    /// There can be none.
    pub fn open(database: &Path, intake: Arc<Intake>, registrar: Arc<Registrar>) -> io::Result<()> {
        let listener = socket::bind(database)?;
        let office = Office {
            database: database.to_owned(),
            intake,
            registrar,
            connections: AtomicU64::new(0),
            copying: Mutex::new(()),
        };
        let _ = fs::remove_file(office.copy_path()); // of a server that was killed
        let office = Arc::new(office);
        thread::Builder::new().name("admin".into()).spawn(move || accept(&listener, &office))?;
        Ok(())
    }

    /// Takes the socket away, at the end of the process.
    pub fn close(database: &Path) {
        let _ = fs::remove_file(socket::socket_path(database));
    }

    fn copy_path(&self) -> PathBuf {
        let mut path = self.database.as_os_str().to_owned();
        path.push(".copy");
        path.into()
    }

    fn serve(&self, stream: UnixStream) -> io::Result<()> {
        stream.set_read_timeout(Some(REQUEST_TIMEOUT))?;
        stream.set_write_timeout(Some(WRITE_TIMEOUT))?;
        if !socket::is_trusted(&stream) {
            return tell(&stream, &refused("only the server's own user, and root, may use its admin socket"));
        }
        let mut line = String::new();
        BufReader::new((&stream).take(MAX_LINE_BYTES)).read_line(&mut line)?;
        match serde_json::from_str(&line) {
            Ok(request) => self.answer(&request, &stream),
            Err(_) => tell(&stream, &refused("the server is of another version: use its own binary")),
        }
    }

    fn answer(&self, request: &Request, stream: &UnixStream) -> io::Result<()> {
        match request {
            Request::Copy => self.copy(stream),
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
        let path = self.copy_path();
        let told = self.copy_to(&path, stream);
        let _ = fs::remove_file(&path);
        told
    }

    fn copy_to(&self, path: &Path, stream: &UnixStream) -> io::Result<()> {
        let (progress, pages) = sync_channel(1);
        let (reply, end) = sync_channel(1);
        let errand = Errand::Copy { to: path.to_owned(), progress, reply };
        if self.intake.send(errand).is_err() {
            return tell(stream, &refused("the server has too much to do: try again in a moment"));
        }
        // Ends when the journal's thread has let go of its end. An error here lets go of ours, and so ends the copy.
        for pages in &pages {
            tell(stream, &Reply::Progress { done: pages.done, total: pages.total })?;
        }
        match end.recv() {
            Ok(Copied::Whole) => tell(stream, &Reply::Copied { path: path.to_owned() })?,
            Ok(Copied::Failed(why)) => return tell(stream, &refused(why)),
            Ok(Copied::GivenUp) | Err(_) => return tell(stream, &refused("the server is stopping")),
        }
        stream.set_read_timeout(Some(COPY_TIMEOUT))?;
        let _ = (&mut { stream }).read(&mut [0; 1]); // until the client hangs up, or has had its time
        Ok(())
    }

    fn is_room_for_a_copy(&self) -> Result<(), String> {
        let mut wal = self.database.as_os_str().to_owned();
        wal.push("-wal");
        let size = |path: &Path| fs::metadata(path).map_or(0, |found| found.len());
        let needed = size(&self.database) + size(Path::new(&wal)) + SPARE_BYTES;
        let directory = self.database.parent().unwrap_or(&self.database);
        match rustix::fs::statvfs(directory) {
            Ok(disk) if disk.f_bavail.saturating_mul(disk.f_frsize) < needed => Err(format!(
                "the disk of the database has no room for a copy of it, which the backup begins with: free {} MiB in {}",
                needed >> 20,
                directory.display()
            )),
            _ => Ok(()),
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
