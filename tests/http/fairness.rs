//! Clients that never pause: they slow nobody else down for long, and stop nothing.

use std::io::{Read, Write};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use crate::common::{Driver, Options, Server};

crate::both_drivers! {
    a_client_that_never_pauses_leaves_the_others_their_turn,
}

/// Requests that cost much to read and little to refuse, so that answers are ready as fast as they come.
fn flood() -> Vec<u8> {
    let headers: String = (0..50).map(|n| format!("X-{n}: x\r\n")).collect();
    format!("HEAD /x HTTP/1.1\r\nHost: h\r\n{headers}\r\n").into_bytes().repeat(200)
}

fn a_client_that_never_pauses_leaves_the_others_their_turn(driver: Driver) {
    let server = Server::start(Options::new(driver).workers(1));
    let (bytes, over) = (flood(), AtomicBool::new(false));
    thread::scope(|scope| {
        for _ in 0..2 {
            let mut writer = server.connect().writer();
            let mut reader = writer.try_clone().expect("a second handle");
            let (bytes, over) = (&bytes, &over);
            scope.spawn(move || while !over.load(Ordering::Relaxed) && writer.write_all(bytes).is_ok() {});
            scope.spawn(move || {
                let mut answers = vec![0; 1 << 16];
                while !over.load(Ordering::Relaxed) && reader.read(&mut answers).is_ok_and(|n| n > 0) {}
                let _ = reader.shutdown(std::net::Shutdown::Both); // frees the writer
            });
        }
        thread::sleep(Duration::from_millis(500));
        // Each on a connection of its own: the accept loop, the ticker and the commits must have their turns too. A
        // worker that is kept busy without an end answers none of them, and is ended by the watchdog.
        let all_answered = (0..20).all(|n| {
            let mut alice = server.user("alice");
            let granted = alice.post(&format!("/locks/job-{n}/acquire"), serde_json::json!({}));
            thread::sleep(Duration::from_millis(20));
            granted.status == 200
        });
        over.store(true, Ordering::Relaxed);
        assert!(all_answered);
    });
    server.assert_healthy();
}
