//! SIGTERM and SIGINT: what is under way gets its answer, then the process ends.

use std::time::{Duration, Instant};

use rustix::process::Signal;
use serde_json::json;

use crate::common::{Driver, Options, Server, User, eventually, request};

/// How long a stop may take: the five seconds that clients get, and as many for a slow machine.
const STOP: Duration = Duration::from_secs(10);

crate::both_drivers! {
    a_signal_stops_an_idle_server,
    idle_connections_do_not_hold_up_a_stop,
    a_request_half_sent_does_not_hold_up_a_stop_for_long,
    a_request_under_way_gets_its_answer_before_the_stop,
    a_second_signal_ends_the_process_at_once,
    a_stop_does_not_wait_for_ever_for_a_disk_that_hangs,
    no_new_connection_is_served_after_a_stop,
}

#[track_caller]
fn assert_stops(server: &mut Server) {
    let start = Instant::now();
    let status = server.wait();
    assert!(status.success(), "{status}: {}", server.log());
    assert!(start.elapsed() < STOP, "after {:?}: {}", start.elapsed(), server.log());
}

fn a_signal_stops_an_idle_server(driver: Driver) {
    let mut server = Server::on(driver);
    for signal in [Signal::TERM, Signal::INT] {
        server.signal(signal);
        assert_stops(&mut server);
        server.start_again();
    }
    server.assert_healthy();
}

fn idle_connections_do_not_hold_up_a_stop(driver: Driver) {
    let mut server = Server::on(driver);
    let mut fresh = server.connect();
    let mut users: Vec<_> = (0..8).map(|_| server.user("alice")).collect();
    for (i, user) in users.iter_mut().enumerate() {
        user.grant(&format!("lock-{i}"), json!({}));
    }
    server.signal(Signal::TERM);
    assert_stops(&mut server);
    assert!(fresh.drain() && users[0].connection.drain(), "the connections have ended");
}

fn a_request_half_sent_does_not_hold_up_a_stop_for_long(driver: Driver) {
    let mut server = Server::on(driver);
    let mut alice = server.user("alice");
    let whole = alice.post_bytes("/locks/job/acquire", b"{\"ttl_seconds\": 60}");
    alice.connection.send(&whole[..whole.len() - 5]);
    let mut other = server.connect();
    other.send(b"GET /hea");
    server.assert_healthy(); // so that the halves have been read
    server.signal(Signal::TERM);
    assert_stops(&mut server);
}

/// A server one of whose commits takes so long that a test can act meanwhile: the 41st sync, well after the start.
fn with_a_slow_commit(driver: Driver, seconds: u32) -> Server {
    Server::start(Options::new(driver).inject("fdatasync", &format!("delay_exit={seconds}000000:when=41")))
}

/// Acquires locks until a commit hangs; that request is then under way on the connection returned.
fn until_a_commit_hangs(server: &Server) -> User {
    let mut alice = server.user("alice");
    for i in 0..100 {
        let bytes = alice.post_bytes(&format!("/locks/lock-{i}/acquire"), b"");
        alice.connection.send(&bytes);
        if !alice.connection.answers_within(Duration::from_secs(1)) {
            return alice;
        }
        assert_eq!(alice.connection.read().status, 200);
    }
    panic!("no commit hangs");
}

fn a_request_under_way_gets_its_answer_before_the_stop(driver: Driver) {
    let mut server = with_a_slow_commit(driver, 4);
    let mut alice = until_a_commit_hangs(&server);
    server.signal(Signal::TERM);
    let response = alice.connection.read();
    assert_eq!(response.expect(200)["status"], "acquired");
    assert!(server.wait().success(), "{}", server.log());
}

fn a_second_signal_ends_the_process_at_once(driver: Driver) {
    let mut server = with_a_slow_commit(driver, 4);
    let mut alice = until_a_commit_hangs(&server);
    server.signal(Signal::TERM);
    eventually("the first signal is heard", || server.log().contains("stopping"));
    server.signal(Signal::TERM);
    // That it waited for nothing shows in what was not answered; strace itself holds the process up a little.
    assert!(!server.wait().success(), "it stopped in order: {}", server.log());
    assert!(alice.connection.try_read().is_err(), "nothing was acknowledged");
}

fn a_stop_does_not_wait_for_ever_for_a_disk_that_hangs(driver: Driver) {
    let mut server = with_a_slow_commit(driver, 12);
    let mut alice = until_a_commit_hangs(&server);
    server.signal(Signal::TERM);
    eventually("it gives up", || server.log().contains("the disk has not answered"));
    assert!(!server.wait().success(), "it stopped in order: {}", server.log());
    assert!(alice.connection.try_read().is_err(), "nothing was acknowledged");
}

fn no_new_connection_is_served_after_a_stop(driver: Driver) {
    let mut server = Server::on(driver);
    let address = server.address;
    assert!(server.terminate().success());
    let again = crate::common::Connection::try_open(address);
    let answered = again.and_then(|mut connection| connection.try_call(&request("GET", "/health", &[], b"")));
    assert!(answered.is_err(), "{answered:?}");
}
