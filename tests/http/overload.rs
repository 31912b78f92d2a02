//! Too many connections, too few descriptors, and what ten thousand idle ones cost.

use std::fs;
use std::io::{ErrorKind, Read};
use std::net::TcpStream;
use std::time::Duration;

use crate::common::{Connection, Driver, Options, PATIENCE, Server, eventually, request};

crate::both_drivers! {
    a_flood_above_the_limit_is_turned_away_and_those_inside_are_served,
    an_address_may_have_a_limit_of_its_own,
    every_place_can_be_had_whichever_worker_has_it,
    without_descriptors_the_server_neither_spins_nor_dies,
    ten_thousand_idle_connections_are_cheap,
}

fn health() -> Vec<u8> {
    request("GET", "/health", &[], b"")
}

fn is_served(connection: &mut Connection) -> bool {
    connection.try_call(&health()).is_ok_and(|response| response.status == 200)
}

fn a_flood_above_the_limit_is_turned_away_and_those_inside_are_served(driver: Driver) {
    let server = Server::start(Options::new(driver).args(&["--max-connections", "8"]));
    let mut inside: Vec<Connection> = (0..8).map(|_| server.connect()).collect();
    assert!(inside.iter_mut().all(is_served));
    let mut flood: Vec<TcpStream> = (0..500).map(|_| server.connect().writer()).collect();
    let (mut told, mut closed) = (0, 0);
    for stream in &mut flood {
        stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
        let mut answer = [0; 12];
        match stream.read_exact(&mut answer) {
            Ok(()) => {
                assert_eq!(&answer, b"HTTP/1.1 503");
                told += 1;
            }
            Err(error) => {
                assert!(matches!(error.kind(), ErrorKind::UnexpectedEof | ErrorKind::ConnectionReset), "{error}");
                closed += 1;
            }
        }
    }
    assert!(told >= 64, "{told} were told, {closed} closed");
    assert!(inside.iter_mut().all(is_served));
    drop((flood, inside));
    eventually("there is room again", || is_served(&mut server.connect()));
}

fn an_address_may_have_a_limit_of_its_own(driver: Driver) {
    let server = Server::start(Options::new(driver).args(&["--max-connections-per-address", "4"]));
    let mut inside: Vec<Connection> = (0..4).map(|_| server.connect()).collect();
    assert!(inside.iter_mut().all(is_served));
    let mut fifth = server.connect();
    let refusal = fifth.read();
    refusal.refused(503, "overloaded");
    assert!(refusal.header("retry-after").is_some());
    assert!(fifth.drain());
    // Another address of the loopback is another client.
    let socket = rustix::net::socket(rustix::net::AddressFamily::INET, rustix::net::SocketType::STREAM, None).unwrap();
    let other: std::net::SocketAddrV4 = "127.0.0.2:0".parse().unwrap();
    rustix::net::bind(&socket, &other).unwrap();
    rustix::net::connect(&socket, &server.address).unwrap();
    let mut other = TcpStream::from(socket);
    std::io::Write::write_all(&mut other, &health()).unwrap();
    let mut answer = [0; 12];
    other.read_exact(&mut answer).unwrap();
    assert_eq!(&answer, b"HTTP/1.1 200");
    inside.pop();
    eventually("there is room again", || is_served(&mut server.connect()));
}

fn every_place_can_be_had_whichever_worker_has_it(driver: Driver) {
    let server = Server::start(Options::new(driver).workers(3).args(&["--max-connections", "20"]));
    let mut all: Vec<Connection> = (0..20).map(|_| server.connect()).collect();
    assert!(all.iter_mut().all(is_served));
    // They come and go, so that no worker's share stays what it was.
    for _ in 0..10 {
        drop(all.split_off(7));
        eventually("all places are given again", || {
            while all.len() < 20 {
                all.push(server.connect());
            }
            all.retain_mut(is_served);
            all.len() == 20
        });
    }
}

/// CPU time of a process so far, in ticks of 10 ms.
fn cpu_ticks(pid: u32) -> u64 {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).expect("stat");
    let fields: Vec<&str> = stat.rsplit_once(')').expect("a name").1.split_ascii_whitespace().collect();
    fields[11].parse::<u64>().expect("utime") + fields[12].parse::<u64>().expect("stime")
}

fn without_descriptors_the_server_neither_spins_nor_dies(driver: Driver) {
    let server = Server::on(driver);
    let mut first = server.connect();
    assert!(is_served(&mut first));
    let taken = fs::read_dir(format!("/proc/{}/fd", server.pid())).expect("its descriptors").count() as u64;
    let few = rustix::process::Rlimit { current: Some(taken + 10), maximum: Some(taken + 10) };
    let pid = rustix::process::Pid::from_raw(server.pid() as i32);
    rustix::process::prlimit(pid, rustix::process::Resource::Nofile, few).expect("prlimit");
    let crowd: Vec<TcpStream> = (0..100).map(|_| server.connect().writer()).collect();
    eventually("the server has run out", || server.log().contains("ulimit -n"));
    let before = cpu_ticks(server.pid());
    std::thread::sleep(Duration::from_secs(1));
    let spent = cpu_ticks(server.pid()) - before;
    assert!(spent < 50, "{spent} ticks of CPU in a second of waiting");
    assert!(is_served(&mut first), "who is in is served");
    drop((crowd, first));
    eventually("it accepts again", || is_served(&mut server.connect()));
    let complaints = server.log().matches("cannot accept").count();
    assert!((1..=20).contains(&complaints), "{complaints} complaints");
}

/// The memory that a process has of its own, in bytes.
fn private_memory(pid: u32) -> u64 {
    let rollup = fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).expect("smaps_rollup");
    let kib = |line: &str| line.split_ascii_whitespace().nth(1).and_then(|kib| kib.parse::<u64>().ok()).expect("KiB");
    rollup.lines().filter(|line| line.starts_with("Private_")).map(kib).sum::<u64>() * 1024
}

fn ten_thousand_idle_connections_are_cheap(driver: Driver) {
    const MOST_BYTES: u64 = 8 * 1024;
    // As many as the two processes may have, up to the number that was promised.
    let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile);
    rustix::process::setrlimit(
        rustix::process::Resource::Nofile,
        rustix::process::Rlimit { current: limit.maximum, maximum: limit.maximum },
    )
    .expect("the hard limit");
    let count = limit.maximum.map_or(10_000, |most| most.saturating_sub(1000).min(10_000)) as usize;
    let server = Server::start(Options::new(driver).args(&["--max-connections", "10050", "--idle-timeout", "3600"]));
    let mut alice = server.user("alice");
    assert_eq!(alice.get("/locks").status, 200);
    let before = private_memory(server.pid());
    // Every one of them has been used, some for a large request, some for a burst.
    let large = alice.post_bytes("/locks/large/acquire", format!("{:<16000}", "{}").as_bytes());
    let burst = alice.get_bytes("/locks/small").repeat(64);
    let mut idle = Vec::with_capacity(count);
    for i in 0..count {
        let mut connection = server.connect();
        match i % 10 {
            0 => assert!([200, 409].contains(&connection.call(&large).status)),
            1 => {
                connection.send(&burst);
                (0..64).for_each(|_| assert_eq!(connection.read().status, 200));
            }
            _ => assert!(is_served(&mut connection)),
        }
        idle.push(connection.writer());
        drop(connection);
    }
    let each = private_memory(server.pid()).saturating_sub(before) / count as u64;
    println!("{count} idle connections take {each} bytes each on {}", driver.name());
    assert!(each <= MOST_BYTES, "{each} bytes for each of {count} idle connections");
    assert_eq!(alice.get("/locks").status, 200);
    drop(idle);
}
