//! What a service manager is told: a socket stands in for systemd's.

use std::io::ErrorKind;
use std::os::unix::net::UnixDatagram;
use std::time::{Duration, Instant};

use serde_json::json;

use super::acquire_until_it_ends;
use crate::common::options::text;
use crate::common::{Driver, Options, PATIENCE, Server, eventually, request};

crate::both_drivers! {
    a_start_and_a_stop_are_told_and_signs_of_life_between_them,
    signs_of_life_stop_while_a_worker_is_stalled,
    signs_of_life_stop_while_the_journal_is_stalled_and_come_back_with_it,
}

/// The server looks every half second, and misses a sign of life after 4 s: this long without one is no delay.
const SILENCE: Duration = Duration::from_secs(3);

struct Manager {
    socket: UnixDatagram,
}

impl Manager {
    /// Listens, and has the server of `options` told where. With a watchdog, or without.
    fn of(options: &mut Options, watchdog: bool) -> Manager {
        let path = options.home.file("notify");
        let socket = UnixDatagram::bind(&path).expect("a socket");
        options.env.push(("NOTIFY_SOCKET".into(), text(&path).into()));
        if watchdog {
            options.env.push(("WATCHDOG_USEC".into(), "10000000".into()));
        }
        Manager { socket }
    }

    /// The next message, if one comes in time.
    fn message(&self, within: Duration) -> Option<String> {
        let mut bytes = [0; 4096];
        self.socket.set_read_timeout(Some(within)).expect("a timeout");
        // Whoever stops and continues the test interrupts it.
        let received = std::iter::repeat_with(|| self.socket.recv(&mut bytes))
            .find(|received| !matches!(received, Err(error) if error.kind() == ErrorKind::Interrupted));
        let length = received?.ok()?;
        Some(String::from_utf8_lossy(&bytes[..length]).into_owned())
    }

    /// Waits for a message in which a line begins with this; gives the message.
    #[track_caller]
    fn told(&self, beginning: &str) -> String {
        let start = Instant::now();
        while let Some(message) = self.message(PATIENCE) {
            if message.lines().any(|line| line.starts_with(beginning)) {
                return message;
            }
            assert!(start.elapsed() < PATIENCE, "waited in vain for {beginning}");
        }
        panic!("waited in vain for {beginning}");
    }

    /// Waits until no sign of life has come for [`SILENCE`].
    #[track_caller]
    fn falls_silent(&self) {
        let start = Instant::now();
        let mut last = Instant::now();
        while last.elapsed() < SILENCE {
            if self.message(Duration::from_millis(100)).is_some_and(|message| message.contains("WATCHDOG=1")) {
                last = Instant::now();
            }
            assert!(start.elapsed() < PATIENCE, "signs of life go on and on");
        }
    }
}

fn a_start_and_a_stop_are_told_and_signs_of_life_between_them(driver: Driver) {
    let mut options = Options::new(driver);
    let manager = Manager::of(&mut options, true);
    let mut server = Server::start(options);
    let ready = manager.told("READY=1");
    let status = format!("STATUS=listening on http://{}, 2 workers, {}", server.address, driver.name());
    assert!(ready.lines().any(|line| line == status), "{ready}");
    for _ in 0..10 {
        manager.told("WATCHDOG=1");
    }
    assert!(server.terminate().success());
    manager.told("STOPPING=1");
    let after = std::iter::from_fn(|| manager.message(Duration::from_millis(100))).collect::<Vec<_>>();
    assert!(!after.concat().contains("READY=1"), "{after:?}");
}

#[test]
fn signs_of_life_are_sent_only_if_they_are_asked_for() {
    let mut options = Options::new(Driver::Epoll);
    let manager = Manager::of(&mut options, false);
    let mut server = Server::start(options);
    manager.told("READY=1");
    assert_eq!(manager.message(Duration::from_secs(2)), None);
    assert!(server.terminate().success());
    manager.told("STOPPING=1");
}

#[test]
fn a_manager_that_is_not_there_keeps_nobody_from_serving_and_is_said_once() {
    let options = Options::new(Driver::Epoll).env("NOTIFY_SOCKET", "/nowhere/notify");
    let mut server = Server::start(options.env("WATCHDOG_USEC", "10000000"));
    server.user("alice").grant("job", json!({}));
    // A sign of life is tried twice a second.
    let uptime = || server.connect().call(&request("GET", "/health", &[], b"")).expect(200)["uptime_seconds"].as_u64();
    eventually("some signs of life were tried", || uptime() >= Some(3));
    assert!(server.terminate().success());
    assert_eq!(server.log().matches("NOTIFY_SOCKET cannot be told").count(), 1, "{}", server.log());
}

fn signs_of_life_stop_while_a_worker_is_stalled(driver: Driver) {
    let options = Options::new(driver).args(&["--watchdog", "10"]);
    let mut options = options.inject_in_waits("delay_enter=14000000:when=100");
    let manager = Manager::of(&mut options, true);
    let mut server = Server::start(options);
    manager.told("WATCHDOG=1");
    manager.falls_silent();
    assert!(!server.has_ended(), "it was silent because it had ended: {}", server.log());
    assert!(server.log().contains("has shown no life"), "{}", server.log());
    assert!(!server.wait().success(), "{}", server.log());
}

fn signs_of_life_stop_while_the_journal_is_stalled_and_come_back_with_it(driver: Driver) {
    let mut options = Options::new(driver).inject("fdatasync", "delay_enter=12000000:when=30");
    let manager = Manager::of(&mut options, true);
    let mut server = Server::start(options);
    manager.told("WATCHDOG=1");
    acquire_until_it_ends(&server);
    manager.told("STATUS=the journal has shown no life");
    manager.falls_silent();
    assert!(!server.has_ended(), "it was silent because it had ended: {}", server.log());
    manager.told("STATUS=listening on");
    manager.told("WATCHDOG=1");
    server.kill9();
}
