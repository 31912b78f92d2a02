//! A worker or a disk that does not go on: `/health` says so within 5 seconds, and the watchdog ends the process.
//!
//! strace holds a thread up at a system call of its own, so what stalls is the real worker, and the real sync. Calls are
//! counted per thread: a worker that is kept busy comes to its n-th wait long before one that is not.

use std::time::{Duration, Instant};

use crate::common::{Driver, Options, Response, Server, User, eventually, request};

crate::both_drivers! {
    health_tells_of_a_stalled_worker_within_five_seconds_and_of_its_recovery,
    health_tells_of_a_hung_disk_within_five_seconds,
    rule_12_a_disk_that_hangs_ends_the_process_with_the_watchdog_on,
}

/// What the issue of a monitor is: how soon it must know.
const SOON: Duration = Duration::from_secs(5);

fn ask_health(server: &Server) -> Option<Response> {
    // The connection may be the stalled worker's.
    let mut connection = server.connect();
    connection.send(&request("GET", "/health", &[], b""));
    connection.answers_within(Duration::from_millis(2_500)).then(|| connection.read())
}

/// Asserts that health turns 503 in time, and that the reason has this word in it.
#[track_caller]
fn assert_unhealthy_soon(server: &Server, stalled_at: Instant, why: &str) {
    loop {
        if let Some(response) = ask_health(server).filter(|response| response.status == 503) {
            let late = stalled_at.elapsed();
            response.refused(503, "overloaded");
            assert!(response.text().contains(why), "{}", response.text());
            assert!(late < SOON + Duration::from_secs(2), "{late:?}: more than a slow machine explains");
            return;
        }
        assert!(stalled_at.elapsed() < 2 * SOON, "health never turned 503");
        std::thread::sleep(Duration::from_millis(50));
    }
}

fn health_tells_of_a_stalled_worker_within_five_seconds_and_of_its_recovery(driver: Driver) {
    let options = Options::new(driver).workers(2).args(&["--watchdog", "0"]);
    // An idle worker waits 40 times a second, so the other comes to its 600th wait in a quarter of a minute.
    let server = Server::start(options.inject_in_waits("delay_enter=9000000:when=600"));
    let mut busy = server.connect();
    let stalled_at = (0..5_000).find_map(|_| {
        busy.send(&request("GET", "/locks", &[], b""));
        let sent = Instant::now();
        if busy.answers_within(Duration::from_secs(1)) {
            busy.read().refused(401, "authentication_required");
            return None;
        }
        Some(sent)
    });
    assert_unhealthy_soon(&server, stalled_at.expect("the worker never stalls"), "a worker");
    assert!(busy.answers_within(Duration::from_secs(20)), "it goes on, since the watchdog is off");
    eventually("health is well again", || ask_health(&server).is_some_and(|response| response.status == 200));
}

fn hung(driver: Driver, watchdog_s: &str) -> (Server, User) {
    let options = Options::new(driver).args(&["--watchdog", watchdog_s, "--max-locks-per-user", "1000"]);
    let server = Server::start(options.inject("fdatasync", "delay_exit=25000000:when=61+"));
    let mut alice = server.user("alice");
    for i in 0..200 {
        alice.connection.send(&alice.post_bytes(&format!("/locks/before-{i}/acquire"), b""));
        if !alice.connection.answers_within(Duration::from_secs(1)) {
            return (server, alice);
        }
        alice.connection.read().expect(200);
    }
    panic!("the disk never hangs");
}

fn health_tells_of_a_hung_disk_within_five_seconds(driver: Driver) {
    let (server, _waiting) = hung(driver, "0");
    assert_unhealthy_soon(&server, Instant::now(), "disk");
}

fn rule_12_a_disk_that_hangs_ends_the_process_with_the_watchdog_on(driver: Driver) {
    let (mut server, _waiting) = hung(driver, "4");
    assert_unhealthy_soon(&server, Instant::now(), "disk");
    assert!(!server.wait().success(), "{}", server.log());
    let log = server.log();
    assert!(log.contains("the disk is stuck") && log.contains("was acknowledged is safe"), "{log}");
}
