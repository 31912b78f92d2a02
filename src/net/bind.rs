//! The port, taken once.
//!
//! SO_REUSEADDR lets a restart have its port back while old connections linger. SO_REUSEPORT stays off: with
//! it a second server could take the same port and get half of the clients. `[::]` means IPv6 and
//! IPv4, whatever the system's default is. The workers get duplicates of this one socket.

use std::fs;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, ToSocketAddrs};
use std::thread;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use socket2::{Domain, Protocol, Socket, Type};

use crate::clock::Duration;
use crate::config::BindAddress;

/// Connections that may wait to be accepted; the kernel's `somaxconn` may lower it.
const BACKLOG: i32 = 4096;

/// A killed server's rings keep its socket listening until the kernel has torn them down, a moment after the process is
/// gone. So a port that no process seems to hold is asked for again, so often and so far apart.
const GHOST_RETRIES: u32 = 60;
const GHOST_PAUSE: Duration = Duration::from_millis(50);

/// Why there is no port. One line that says what to do.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct BindError(String);

/// Listens on `address`. A host name that has several addresses stands for the first IPv4 one, if any. The
/// socket is blocking.
///
/// # Errors
/// The port is taken or not to be had, or the host is not one of this machine's.
pub fn bind(address: &BindAddress) -> Result<TcpListener, BindError> {
    let hint = "give --bind another HOST:PORT";
    let found: Vec<SocketAddr> = (address.host.as_str(), address.port)
        .to_socket_addrs()
        .map_err(|e| BindError(format!("cannot find the address of '{}': {e}; {hint}", address.host)))?
        .collect();
    let chosen = found.iter().find(|found| found.is_ipv4()).or(found.first());
    let &chosen = chosen.ok_or_else(|| BindError(format!("'{}' has no address; {hint}", address.host)))?;
    for _ in 0..GHOST_RETRIES {
        match listen(chosen) {
            Err(e) if e.kind() == io::ErrorKind::AddrInUse && living_holder(chosen).is_none() => {
                thread::sleep(GHOST_PAUSE)
            }
            done => return done.map_err(|e| BindError(explained(address, chosen, &e))),
        }
    }
    listen(chosen).map_err(|e| BindError(explained(address, chosen, &e)))
}

/// Raises the soft limit of open descriptors to the hard one. Gives the limit that holds now.
pub fn raise_descriptor_limit() -> u64 {
    let before = getrlimit(Resource::Nofile);
    let wanted = Rlimit { current: before.maximum, maximum: before.maximum };
    let now = if setrlimit(Resource::Nofile, wanted).is_ok() { wanted } else { before };
    now.current.unwrap_or(u64::MAX)
}

fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    if address.is_ipv6() {
        socket.set_only_v6(false)?;
    }
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

fn explained(given: &BindAddress, address: SocketAddr, error: &io::Error) -> String {
    let port = address.port();
    match error.kind() {
        io::ErrorKind::AddrInUse => {
            format!("{given} is in use by {}: stop it, or give this server another --bind", holder(address))
        }
        io::ErrorKind::PermissionDenied if port < 1024 => {
            format!("{given} needs a privilege: give --bind a port from 1024 up, or the program CAP_NET_BIND_SERVICE")
        }
        io::ErrorKind::AddrNotAvailable => {
            let any = if address.is_ipv4() { "0.0.0.0" } else { "[::]" };
            format!("{given} is no address of this machine: give --bind one that is, or {any}:{port} for all of them")
        }
        _ if error.raw_os_error() == Some(rustix::io::Errno::AFNOSUPPORT.raw_os_error()) => {
            format!("{given} is IPv6, which this machine has switched off: give --bind an IPv4 address")
        }
        _ => format!("cannot listen on {given}: {error}"),
    }
}

/// A socket that listens, as the kernel lists it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Listening {
    address: SocketAddr,
    user: u32,
    inode: u64,
}

/// Who listens on `wanted`, as far as this process may know.
fn holder(wanted: SocketAddr) -> String {
    match (living_holder(wanted), listening_on(wanted)) {
        (Some(process), _) => process,
        (None, Some(socket)) => format!("a process of user {}", socket.user),
        (None, None) => "another process".into(),
    }
}

/// The process that listens on `wanted`. None if there is none, or if it is another user's and hidden from this one.
fn living_holder(wanted: SocketAddr) -> Option<String> {
    owner(listening_on(wanted)?.inode)
}

fn listening_on(wanted: SocketAddr) -> Option<Listening> {
    let lists = ["/proc/net/tcp", "/proc/net/tcp6"].map(|list| fs::read_to_string(list).unwrap_or_default());
    let mut all = lists.iter().flat_map(|list| list.lines().filter_map(listening));
    all.find(|socket| overlap(socket.address, wanted))
}

/// One line of `/proc/net/tcp` or `tcp6`, if it is a socket that listens.
fn listening(line: &str) -> Option<Listening> {
    const LISTEN: &str = "0A";
    let fields: Vec<&str> = line.split_ascii_whitespace().collect();
    let &[_, local, _, LISTEN, _, _, _, user, _, inode, ..] = fields.as_slice() else { return None };
    let (ip, port) = local.split_once(':')?;
    let address = SocketAddr::new(kernel_address(ip)?, u16::from_str_radix(port, 16).ok()?);
    Some(Listening { address, user: user.parse().ok()?, inode: inode.parse().ok()? })
}

/// An address as the kernel prints it: its 32-bit words, each in the machine's byte order, in hexadecimal.
fn kernel_address(hex: &str) -> Option<IpAddr> {
    let words = hex.as_bytes().chunks(8).map(|word| u32::from_str_radix(std::str::from_utf8(word).ok()?, 16).ok());
    let bytes: Vec<u8> = words.collect::<Option<Vec<u32>>>()?.into_iter().flat_map(u32::to_ne_bytes).collect();
    match bytes.len() {
        4 => Some(Ipv4Addr::from(<[u8; 4]>::try_from(bytes).ok()?).into()),
        16 => Some(Ipv6Addr::from(<[u8; 16]>::try_from(bytes).ok()?).into()),
        _ => None,
    }
}

/// Whether two sockets on these addresses are in each other's way.
fn overlap(a: SocketAddr, b: SocketAddr) -> bool {
    let (one, other) = (a.ip().to_canonical(), b.ip().to_canonical());
    a.port() == b.port() && (one == other || one.is_unspecified() || other.is_unspecified())
}

/// The process that has the socket, if we may look into it.
fn owner(inode: u64) -> Option<String> {
    let wanted = format!("socket:[{inode}]");
    let has = |descriptors: fs::ReadDir| {
        descriptors.flatten().any(|fd| fs::read_link(fd.path()).is_ok_and(|to| to.as_os_str() == wanted.as_str()))
    };
    let pids = fs::read_dir("/proc").ok()?.flatten().filter_map(|entry| entry.file_name().into_string().ok());
    let mut pids = pids.filter(|name| name.bytes().all(|b| b.is_ascii_digit()));
    let pid = pids.find(|pid| fs::read_dir(format!("/proc/{pid}/fd")).is_ok_and(has))?;
    let name = fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
    Some(format!("process {pid} ({})", name.trim_end()))
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::TcpStream;

    use super::*;

    fn on(host: &str, port: u16) -> BindAddress {
        BindAddress { host: host.into(), port }
    }

    #[test]
    fn a_free_port_is_taken_and_can_be_connected_to() {
        for host in ["127.0.0.1", "localhost"] {
            let listener = bind(&on(host, 0)).unwrap();
            let mut client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
            client.write_all(b"x").unwrap();
            let mut read = [0];
            listener.accept().unwrap().0.read_exact(&mut read).unwrap();
            assert_eq!(read, *b"x");
        }
    }

    #[test]
    fn a_name_with_several_addresses_stands_for_its_ipv4_one() {
        let listener = bind(&on("localhost", 0)).unwrap();
        assert_eq!(listener.local_addr().unwrap().ip(), Ipv4Addr::LOCALHOST);
    }

    #[test]
    fn a_taken_port_says_which_process_has_it() {
        let first = bind(&on("127.0.0.1", 0)).unwrap();
        let port = first.local_addr().unwrap().port();
        let comm = fs::read_to_string("/proc/self/comm").unwrap();
        let wanted = format!(
            "127.0.0.1:{port} is in use by process {} ({}): stop it, or give this server another --bind",
            std::process::id(),
            comm.trim_end()
        );
        assert_eq!(bind(&on("127.0.0.1", port)).unwrap_err().to_string(), wanted);
    }

    #[test]
    fn a_port_is_free_again_while_its_old_connections_linger() {
        let first = bind(&on("127.0.0.1", 0)).unwrap();
        let port = first.local_addr().unwrap().port();
        let client = TcpStream::connect(("127.0.0.1", port)).unwrap();
        let (served, _) = first.accept().unwrap();
        drop((served, first)); // the server's side closes first and so stays in TIME_WAIT
        drop(client);
        bind(&on("127.0.0.1", port)).unwrap();
    }

    #[test]
    fn an_address_of_another_machine_says_what_to_give_instead() {
        let text = bind(&on("192.0.2.1", 3000)).unwrap_err().to_string();
        assert!(text.contains("no address of this machine") && text.contains("0.0.0.0:3000"), "{text}");
    }

    #[test]
    fn every_other_refusal_is_one_line_that_names_the_address() {
        let address: SocketAddr = "127.0.0.1:80".parse().unwrap();
        let privileged = explained(&on("127.0.0.1", 80), address, &io::ErrorKind::PermissionDenied.into());
        assert!(privileged.contains("127.0.0.1:80") && privileged.contains("1024"), "{privileged}");
        let no_ipv6 = explained(&on("::1", 80), address, &rustix::io::Errno::AFNOSUPPORT.into());
        assert!(no_ipv6.contains("[::1]:80") && no_ipv6.contains("IPv4"), "{no_ipv6}");
        let no_name = bind(&on("no.such.host.invalid", 80)).unwrap_err().to_string();
        assert!(no_name.contains("no.such.host.invalid") && !no_name.contains('\n'), "{no_name}");
    }

    #[cfg(target_endian = "little")]
    #[test]
    fn the_kernels_list_is_read() {
        let line =
            "   0: 0100007F:0BB8 00000000:0000 0A 00000000:00000000 00:00000000 00000000  1000        0 61223 1 0 100";
        let wanted = Listening { address: "127.0.0.1:3000".parse().unwrap(), user: 1000, inode: 61223 };
        assert_eq!(listening(line), Some(wanted));
        assert_eq!(listening(&line.replace(" 0A ", " 01 ")), None, "a connection");
        assert_eq!(kernel_address("00000000000000000000000001000000"), Some(Ipv6Addr::LOCALHOST.into()));
        for bad in
            ["", "  sl  local_address rem_address   st tx_queue", "0: xx 0 0A 0 0 0 0 0 0", "0: é:1 0 0A 0 0 0 0 0 0"]
        {
            assert_eq!(listening(bad), None, "{bad:?}");
        }
    }

    #[test]
    fn sockets_overlap_on_one_port_if_their_addresses_do() {
        let overlap = |a: &str, b: &str| overlap(a.parse().unwrap(), b.parse().unwrap());
        assert!(overlap("127.0.0.1:1", "127.0.0.1:1"));
        assert!(overlap("0.0.0.0:1", "127.0.0.1:1"));
        assert!(overlap("127.0.0.1:1", "[::]:1"));
        assert!(overlap("[::ffff:127.0.0.1]:1", "127.0.0.1:1"));
        assert!(!overlap("127.0.0.1:1", "127.0.0.1:2"));
        assert!(!overlap("127.0.0.1:1", "127.0.0.2:1"));
    }

    #[test]
    fn the_descriptor_limit_is_raised_to_the_hard_one() {
        let limit = raise_descriptor_limit();
        let now = getrlimit(Resource::Nofile);
        assert_eq!(now.current.unwrap_or(u64::MAX), limit);
        assert_eq!(now.current, now.maximum);
    }
}
