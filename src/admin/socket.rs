//! Where the socket is, how it is bound and reached, and who may use it.
//!
//! The address of a Unix socket holds 107 bytes, and databases may lie deep. So the address is given by way of the open
//! directory, `/proc/self/fd/N/octostore.db.admin`, which is short whatever the directory is called.

use std::fs::{self, File, Permissions};
use std::io::{self, ErrorKind};
use std::os::fd::AsRawFd;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;

use rustix::net::UCred;
use rustix::net::sockopt::socket_peercred;
use rustix::process::geteuid;

use super::socket_path;

/// The longest name of a file that a socket's address has room for, after `/proc/self/fd/` and a number.
const MAX_NAME_BYTES: usize = 80;

/// Binds the socket of a database whose lock is held: what lies there was left by a server that was killed.
///
/// # Errors
/// What is in the way, and what to do.
pub(super) fn bind(database: &Path) -> io::Result<UnixListener> {
    let path = socket_path(database);
    match fs::remove_file(&path) {
        Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let listener = through_directory(&path, |short| UnixListener::bind(short))?;
    fs::set_permissions(&path, Permissions::from_mode(0o600))?;
    Ok(listener)
}

/// Connects to the socket of a database.
///
/// # Errors
/// No server listens there.
pub(super) fn connect(database: &Path) -> io::Result<UnixStream> {
    through_directory(&socket_path(database), |short| UnixStream::connect(short))
}

/// Who is at the other end, as the kernel says; None if it is somebody who may not use the socket.
pub(super) fn trusted_peer(stream: &UnixStream) -> Option<UCred> {
    socket_peercred(stream).ok().filter(|peer| may_use(peer.uid.as_raw(), geteuid().as_raw()))
}

fn may_use(peer: u32, own: u32) -> bool {
    peer == own || peer == 0
}

fn through_directory<T>(path: &Path, at: impl FnOnce(&Path) -> io::Result<T>) -> io::Result<T> {
    let (Some(directory), Some(name)) = (path.parent(), path.file_name()) else {
        return Err(io::Error::new(ErrorKind::InvalidInput, "the database has no directory"));
    };
    if name.len() > MAX_NAME_BYTES {
        let why = format!(
            "the name of the database is too long for a socket beside it: at most {} bytes",
            MAX_NAME_BYTES - 6
        );
        return Err(io::Error::new(ErrorKind::InvalidInput, why));
    }
    let directory = File::open(directory)?;
    at(&Path::new(&format!("/proc/self/fd/{}", directory.as_raw_fd())).join(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_socket_can_be_bound_and_reached_in_a_directory_deeper_than_its_address_is_long() {
        let top = std::env::temp_dir().join(format!("octostore-admin-{}", std::process::id()));
        let deep = (0..8).fold(top.clone(), |path, n| path.join(format!("{n}-{}", "d".repeat(40))));
        fs::create_dir_all(&deep).unwrap();
        let database = deep.join("octostore.db");
        fs::write(socket_path(&database), "left by a server that was killed").unwrap();
        let listener = bind(&database).unwrap();
        assert_eq!(fs::metadata(socket_path(&database)).unwrap().permissions().mode() & 0o777, 0o600);
        let client = connect(&database).unwrap();
        let peer = trusted_peer(&listener.accept().unwrap().0).unwrap();
        assert_eq!(peer.pid, rustix::process::getpid());
        drop((client, listener));
        assert_eq!(connect(&database).unwrap_err().kind(), ErrorKind::ConnectionRefused);
        let long = deep.join("n".repeat(90));
        assert!(bind(&long).unwrap_err().to_string().contains("too long"));
        fs::remove_dir_all(top).unwrap();
    }

    #[test]
    fn only_the_servers_own_user_and_root_may_use_it() {
        assert!(may_use(1000, 1000) && may_use(0, 1000) && may_use(0, 0));
        assert!(!may_use(1001, 1000) && !may_use(1000, 0));
    }
}
