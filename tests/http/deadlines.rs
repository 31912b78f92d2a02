//! Clients that are slow, on purpose or not: each is cut after its time, and nobody else notices.

use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::thread;
use std::time::{Duration, Instant};

use serde_json::json;

use crate::common::{Connection, Driver, Options, PATIENCE, Server, User, eventually, request, token_of};

crate::both_drivers! {
    a_head_that_trickles_is_cut_with_a_408,
    a_body_that_trickles_is_cut_with_a_408,
    a_body_that_was_given_leave_has_its_own_deadline,
    each_request_of_a_connection_has_its_full_time,
    the_idle_time_does_not_run_while_the_server_works,
    a_connection_without_a_request_is_closed_as_soon_as_a_head_must_be_whole,
    what_a_client_never_reads_does_not_stay_in_the_kernel,
    large_answers_that_nobody_reads_stop_being_made,
    a_client_that_never_reads_is_cut_and_its_memory_freed,
    many_slow_clients_do_not_slow_the_others,
}

/// Sends `bytes` one at a time until the server has enough of it; what it then says. Fails if it never has.
#[track_caller]
fn trickle(connection: &mut Connection, endless: impl Iterator<Item = u8>) -> u16 {
    let mut writer = connection.writer();
    let start = Instant::now();
    for byte in endless {
        if connection.answers_within(Duration::from_millis(20)) || writer.write_all(&[byte]).is_err() {
            break;
        }
        assert!(start.elapsed() < PATIENCE, "a trickle is taken for ever");
    }
    connection.read().status
}

fn a_head_that_trickles_is_cut_with_a_408(driver: Driver) {
    let server = Server::start(Options::new(driver).args(&["--head-timeout", "0.5", "--idle-timeout", "3600"]));
    let mut connection = server.connect();
    let start = Instant::now();
    connection.send(b"GET /health HTTP/1.1\r\nX: ");
    assert_eq!(trickle(&mut connection, std::iter::repeat(b'x')), 408);
    assert!(start.elapsed() >= Duration::from_millis(450), "the client had its time");
    connection.half_close();
    assert!(connection.drain());
}

fn a_body_that_trickles_is_cut_with_a_408(driver: Driver) {
    let server = Server::start(Options::new(driver).args(&["--body-timeout", "0.5", "--idle-timeout", "3600"]));
    for framing in ["Content-Length: 10000\r\n\r\n", "Transfer-Encoding: chunked\r\n\r\n2000\r\n"] {
        let mut connection = server.connect();
        connection.send(format!("POST /locks/a/acquire HTTP/1.1\r\nHost: x\r\n{framing}").as_bytes());
        assert_eq!(trickle(&mut connection, std::iter::repeat(b' ')), 408, "{framing}");
    }
}

fn a_body_that_was_given_leave_has_its_own_deadline(driver: Driver) {
    let server = Server::start(Options::new(driver).args(&["--body-timeout", "0.5", "--idle-timeout", "3600"]));
    let mut alice = server.user("alice");
    let waits = [("Authorization", &*format!("Bearer {}", alice.token)), ("Expect", "100-continue")];
    let whole = request("POST", "/locks/a/acquire", &waits, b"{}");
    // The answers to what came before go first; then leave is given, once.
    let before = [alice.get_bytes("/locks/x"), alice.get_bytes("/locks/y")].concat();
    alice.connection.send(&[&before, &whole[..whole.len() - 2]].concat());
    let statuses: Vec<u16> = (0..4).map(|_| alice.connection.read().status).collect();
    assert_eq!(statuses, [200, 200, 100, 408]);
    assert!(!server.user("alice").sees_held("a"));
}

fn each_request_of_a_connection_has_its_full_time(driver: Driver) {
    let server = Server::start(Options::new(driver).args(&["--head-timeout", "1", "--idle-timeout", "3600"]));
    let mut connection = server.connect();
    // Each head takes less than its time, all together take more; each write has the end of one and the beginning of
    // the next.
    connection.send(b"GET /health HTT");
    for _ in 0..6 {
        thread::sleep(Duration::from_millis(300));
        connection.send(b"P/1.1\r\nHost: x\r\n\r\nGET /health HTT");
        assert_eq!(connection.read().status, 200);
    }
}

fn the_idle_time_does_not_run_while_the_server_works(driver: Driver) {
    let options = Options::new(driver).args(&["--idle-timeout", "0.3", "--head-timeout", "0.3"]);
    let server = Server::start(options);
    let mut alice = server.user("alice");
    // Enough, on one connection, to keep the server at it for longer than the idle time: the answers of the first
    // rounds are written long before the last request is answered, and the client sends nothing meanwhile.
    let mut requests = Vec::new();
    for i in 0..64 {
        requests.extend(alice.post_bytes(&format!("/locks/lock-{i}/acquire"), b"{\"ttl_seconds\":3600}"));
    }
    let rounds = 60;
    let (all, mut writer) = (requests.repeat(rounds), alice.connection.writer());
    let writing = thread::spawn(move || writer.write_all(&all));
    for i in 0..rounds * 64 {
        let status = alice.connection.read().status;
        assert!([200, 409].contains(&status), "answer {i}: {status}");
    }
    writing.join().expect("the writer").expect("all was taken");
}

/// The kernel's list of TCP sockets: how many bytes wait to be sent from the server's port.
fn unsent_bytes(port: u16) -> u64 {
    let list = fs::read_to_string("/proc/net/tcp").expect("the kernel's list");
    let of_port = list.lines().skip(1).filter_map(|line| {
        let fields: Vec<&str> = line.split_ascii_whitespace().collect();
        let local = fields[1].rsplit_once(':')?.1;
        (u16::from_str_radix(local, 16) == Ok(port)).then(|| fields[4].split_once(':').map(|(unsent, _)| unsent))?
    });
    of_port.map(|unsent| u64::from_str_radix(unsent, 16).expect("a number")).sum()
}

fn a_client_that_never_reads_is_cut_and_its_memory_freed(driver: Driver) {
    let server = Server::start(Options::new(driver).args(&[
        "--write-timeout",
        "0.5",
        "--idle-timeout",
        "3600",
        "--max-connections",
        "9",
    ]));
    let mut alice = server.user("alice");
    for i in 0..50 {
        alice.grant(&format!("lock-{i}"), json!({ "ttl_seconds": 3600, "metadata": "x".repeat(1000) }));
    }
    let list = alice.get_bytes("/locks?limit=1000").repeat(2000);
    let mut greedy: Vec<Connection> = (0..8).map(|_| server.connect()).collect();
    greedy.iter_mut().for_each(|connection| connection.send(&list));
    let unsent = || unsent_bytes(server.address.port());
    eventually("the kernel holds what nobody reads", || unsent() > 0);
    eventually("the kernel has forgotten what nobody reads", || unsent() == 0);
    assert_eq!(alice.get("/health").status, 200);
    // Their places are free again, though the clients still hold their ends.
    eventually("there is room for as many again", || {
        let mut all: Vec<Connection> = (0..8).map(|_| server.connect()).collect();
        all.iter_mut().all(|c| c.try_call(&request("GET", "/health", &[], b"")).is_ok_and(|r| r.status == 200))
    });
    for connection in &mut greedy {
        assert!(connection.drain(), "it was cut");
    }
}

fn a_connection_without_a_request_is_closed_as_soon_as_a_head_must_be_whole(driver: Driver) {
    let server = Server::start(Options::new(driver).args(&["--head-timeout", "1", "--idle-timeout", "3600"]));
    let (mut fresh, mut used) = (server.connect(), server.connect());
    assert_eq!(used.call(&request("GET", "/health", &[], b"")).status, 200);
    assert!(fresh.drain(), "it was closed");
    assert_eq!(used.call(&request("GET", "/health", &[], b"")).status, 200, "one that was used may be idle");
}

/// Locks whose list is large: 100 with metadata of which each byte takes six in JSON.
fn with_a_large_list(server: &Server) -> User {
    let mut alice = server.user("alice");
    for i in 0..100 {
        alice.grant(&format!("lock-{i}"), json!({ "ttl_seconds": 3600, "metadata": "\u{1}".repeat(1000) }));
    }
    alice
}

fn what_a_client_never_reads_does_not_stay_in_the_kernel(driver: Driver) {
    let server = Server::start(Options::new(driver).args(&["--write-timeout", "1", "--idle-timeout", "1"]));
    let mut alice = server.user("alice");
    for i in 0..50 {
        alice.grant(&format!("lock-{i}"), json!({ "ttl_seconds": 3600, "metadata": "x".repeat(1000) }));
    }
    // So little that the kernel takes it all, and no write ever waits; and more than the client's kernel takes.
    let lists = alice.get_bytes("/locks?limit=1000").repeat(10);
    let mut greedy: Vec<TcpStream> = (0..8).map(|_| narrow(&server)).collect();
    greedy.iter_mut().for_each(|stream| stream.write_all(&lists).expect("send"));
    let unsent = || unsent_bytes(server.address.port());
    eventually("the kernel holds what nobody reads", || unsent() > 0);
    eventually("the kernel has forgotten what nobody reads", || unsent() == 0);
    server.assert_healthy();
}

fn large_answers_that_nobody_reads_stop_being_made(driver: Driver) {
    let server = Server::start(Options::new(driver).workers(1));
    let mut alice = with_a_large_list(&server);
    let lists = alice.get_bytes("/locks").repeat(20);
    let mut greedy = Vec::new();
    let stopped = (0..400).any(|_| {
        let mut stream = narrow(&server);
        stream.write_all(&lists).expect("send");
        greedy.push(stream);
        alice.get("/locks").status == 503
    });
    assert!(stopped, "{} clients that read nothing were given all that they asked for", greedy.len());
    assert_eq!(alice.get("/locks/lock-1").status, 200, "small answers go on");
}

/// A connection whose client's kernel takes next to nothing that nobody reads.
fn narrow(server: &Server) -> TcpStream {
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).expect("a socket");
    socket.set_recv_buffer_size(2048).expect("a small buffer");
    socket.connect(&server.address.into()).expect("a connection");
    socket.into()
}

fn many_slow_clients_do_not_slow_the_others(driver: Driver) {
    let server = Server::start(Options::new(driver).args(&["--head-timeout", "1", "--max-connections", "2000"]));
    let mut slow: Vec<TcpStream> = (0..500).map(|_| server.connect().writer()).collect();
    for stream in &mut slow {
        stream.write_all(b"GET /health HTTP/1.1\r\nX: ").expect("send");
    }
    // While all of them trickle, a client works as if they were not there: the test waits for its answers, not longer.
    let mut alice = server.user("alice");
    let trickling = thread::spawn(move || {
        let mut cut = 0;
        let start = Instant::now();
        while cut < slow.len() && start.elapsed() < PATIENCE {
            cut = slow.iter_mut().map(|stream| usize::from(stream.write_all(b"x").is_err())).sum();
            thread::sleep(Duration::from_millis(100));
        }
        for stream in &mut slow {
            let mut answer = [0; 12];
            stream.read_exact(&mut answer).expect("an answer before the end");
            assert_eq!(&answer, b"HTTP/1.1 408");
        }
        cut
    });
    while !trickling.is_finished() {
        let grant = alice.grant("quick", json!({}));
        assert_eq!(alice.release("quick", &grant.lease_id).status, 200);
    }
    assert_eq!(trickling.join().expect("the trickle"), 500);
    assert_eq!(token_of("alice"), alice.token);
}
