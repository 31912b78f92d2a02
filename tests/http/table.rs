//! The table of cases, over real sockets: whole, in pieces, and byte by byte.
//!
//! What is asked for does not matter here: a path of a case leads nowhere, so its answer is a 404, or a 405, or
//! whatever the API says. What matters is how many requests were seen, which of them were refused, and
//! whether the connection ends.

use std::io::ErrorKind;
use std::time::Duration;

use crate::cases::{Case, Expect, cases};
use crate::common::{Connection, Driver, Options, Server, request};

crate::both_drivers! {
    every_case_is_answered_as_the_table_says,
    every_case_is_answered_the_same_in_pieces,
    a_body_is_neither_lost_nor_taken_for_a_request,
}

/// Cases at a time, each on a connection of its own.
const AT_ONCE: usize = 16;

fn every_case_is_answered_as_the_table_says(driver: Driver) {
    let server = Server::on(driver);
    for batch in cases().chunks(AT_ONCE) {
        let sent: Vec<Connection> = batch.iter().map(|case| send(&server, &[&case.bytes])).collect();
        batch.iter().zip(sent).for_each(|(case, connection)| expect(case, connection));
    }
    server.assert_healthy();
}

fn every_case_is_answered_the_same_in_pieces(driver: Driver) {
    let server = Server::start(Options::new(driver).workers(1));
    let cases = cases();
    for pieces in [2, 3, 17] {
        for batch in cases.chunks(AT_ONCE) {
            let sent: Vec<Connection> = batch
                .iter()
                .map(|case| {
                    let piece = case.bytes.len().div_ceil(pieces).max(1);
                    send(&server, &case.bytes.chunks(piece).collect::<Vec<_>>())
                })
                .collect();
            batch.iter().zip(sent).for_each(|(case, connection)| expect(case, connection));
        }
    }
    server.assert_healthy();
}

fn a_body_is_neither_lost_nor_taken_for_a_request(driver: Driver) {
    let server = Server::on(driver);
    let mut alice = server.user("alice");
    let authorization = format!("Authorization: Bearer {}", alice.token);
    let metadata = "GET /locks/evil HTTP/1.1 ".repeat(20);
    let body = format!("{{\"ttl_seconds\":77,\"metadata\":\"{metadata}\"}}");
    let plain = alice.post_bytes("/locks/kept/acquire", body.as_bytes());
    let chunks: String =
        body.as_bytes().chunks(7).map(|c| format!("{:x}\r\n{}\r\n", c.len(), String::from_utf8_lossy(c))).collect();
    let chunked = format!(
        "POST /locks/chunked/acquire HTTP/1.1\r\nHost: x\r\n{authorization}\r\nTransfer-Encoding: chunked\r\n\r\n{chunks}0\r\n\r\n"
    );
    for (name, bytes) in [("kept", plain), ("chunked", chunked.into_bytes())] {
        for cut in (0..bytes.len()).step_by(bytes.len() / 12) {
            let (first, second) = bytes.split_at(cut);
            alice.connection.send(first);
            std::thread::sleep(Duration::from_millis(2));
            alice.connection.send(second);
            let grant = crate::common::Grant::of(&alice.connection.read());
            assert_eq!(alice.status(name)["metadata"], metadata);
            assert_eq!(alice.release(name, &grant.lease_id).status, 200);
        }
    }
}

/// Sends the pieces, with a pause between them that mostly makes the server read each by itself.
fn send(server: &Server, pieces: &[&[u8]]) -> Connection {
    let connection = server.connect();
    for (i, piece) in pieces.iter().enumerate() {
        if i > 0 {
            std::thread::sleep(Duration::from_micros(300));
        }
        // A refusal may come before the last piece.
        if std::io::Write::write_all(&mut connection.writer(), piece).is_err() {
            break;
        }
    }
    connection
}

#[track_caller]
fn expect(case: &Case, mut connection: Connection) {
    let name = case.name;
    let mut closes = false;
    for expect in &case.expect {
        match expect {
            Expect::Request { method, keep_alive, .. } => {
                let response = if *method == "HEAD" { connection.try_read_head() } else { connection.try_read() };
                let response = response.unwrap_or_else(|error| panic!("{name}: {error}"));
                let served = [200, 401, 404, 405].contains(&response.status);
                assert!(served, "{name}: {} {}", response.status, response.text());
                closes = !keep_alive;
                assert_eq!(response.header("connection") == Some("close"), closes, "{name}");
                let of_1_0 = case.bytes.windows(10).any(|w| w == b"HTTP/1.0\r\n");
                assert!(closes || !of_1_0, "{name}");
            }
            Expect::Refused(status) => {
                let response = connection.try_read().unwrap_or_else(|error| panic!("{name}: {error}"));
                assert_eq!(response.status, *status, "{name}: {}", response.text());
                response.refusal(*status);
                assert_eq!(response.header("connection"), Some("close"), "{name}");
                closes = true;
            }
            Expect::Incomplete { continues: true } => {
                assert_eq!(connection.try_read().map(|response| response.status).ok(), Some(100), "{name}");
            }
            Expect::Incomplete { continues: false } => {}
        }
    }
    if closes {
        connection.expect_end();
    } else if matches!(case.expect.last(), Some(Expect::Request { .. })) {
        // The same connection goes on.
        assert_eq!(connection.call(&request("GET", "/health", &[], b"")).status, 200, "{name}");
    } else {
        // It waits: nothing comes before the client gives up, and then the end does.
        assert!(!connection.answers_within(Duration::from_millis(1)), "{name}");
        connection.half_close();
        match connection.try_read() {
            Err(error) => assert_eq!(error.kind(), ErrorKind::UnexpectedEof, "{name}"),
            Ok(response) => panic!("{name}: {response:?}"),
        }
    }
}
