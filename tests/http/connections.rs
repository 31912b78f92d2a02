//! Keep-alive, half-closed clients, HTTP/1.0, the limit of connections.

use std::io::Write;
use std::time::Duration;

use serde_json::json;

use crate::common::{Connection, Driver, Options, Server, eventually, request, token_of};

const HEALTH: &[u8] = b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n";

crate::both_drivers! {
    a_connection_serves_many_requests,
    errors_of_the_api_leave_the_connection_open,
    connection_close_is_heeded,
    http_1_0_closes_after_its_answer,
    a_client_that_has_said_all_still_gets_its_answer,
    a_request_may_come_byte_by_byte,
    a_client_that_waits_for_100_continue_is_told_to_go_on,
    a_body_on_a_get_is_read_over,
    an_absolute_target_is_served,
    one_connection_too_many_is_turned_away,
    clients_that_hang_up_leave_no_connection_behind,
    an_idle_connection_is_closed_after_its_time,
    a_burst_of_connections_is_shared_by_the_workers,
    a_request_that_never_ends_is_given_up,
}

fn a_connection_serves_many_requests(driver: Driver) {
    let server = Server::on(driver);
    let mut alice = server.user("alice");
    for i in 0..300 {
        let grant = alice.grant(&format!("lock-{}", i % 7), json!({}));
        assert_eq!(alice.release(&format!("lock-{}", i % 7), &grant.lease_id).status, 200);
    }
}

fn errors_of_the_api_leave_the_connection_open(driver: Driver) {
    let server = Server::on(driver);
    let mut alice = server.user("alice");
    for _ in 0..3 {
        alice.get("/nowhere").refused(404, "not_found");
        alice.post("/health", json!({})).refused(405, "method_not_allowed");
        alice.post_raw("/locks/a/acquire", b"{").refused(400, "invalid_json");
        alice.get("/locks/a_b").refused(400, "invalid_lock_name");
        alice.connection.call(b"GET /locks HTTP/1.1\r\nHost: x\r\n\r\n").refused(401, "authentication_required");
        assert_eq!(alice.get("/health").status, 200);
    }
}

fn connection_close_is_heeded(driver: Driver) {
    let server = Server::on(driver);
    for value in ["close", "Close", "foo, close"] {
        let mut connection = server.connect();
        let response = connection.call(&request("GET", "/health", &[("Connection", value)], b""));
        assert_eq!(response.status, 200);
        assert!(response.header("connection").is_some_and(|value| value.eq_ignore_ascii_case("close")));
        connection.expect_end();
    }
}

fn http_1_0_closes_after_its_answer(driver: Driver) {
    let server = Server::on(driver);
    let mut connection = server.connect();
    assert_eq!(connection.call(b"GET /health HTTP/1.0\r\n\r\n").status, 200);
    connection.expect_end();
}

fn a_client_that_has_said_all_still_gets_its_answer(driver: Driver) {
    let server = Server::on(driver);
    let mut alice = server.user("alice");
    let requests: Vec<u8> = (0..5).flat_map(|i| alice.post_bytes(&format!("/locks/lock-{i}/acquire"), b"")).collect();
    alice.connection.send(&requests);
    alice.connection.half_close();
    for _ in 0..5 {
        assert_eq!(alice.connection.read().expect(200)["status"], "acquired");
    }
    alice.connection.expect_end();
}

fn a_request_may_come_byte_by_byte(driver: Driver) {
    let server = Server::on(driver);
    let mut alice = server.user("alice");
    let bytes = alice.post_bytes("/locks/slow/acquire", b"{\"ttl_seconds\": 77}");
    for byte in &bytes {
        alice.connection.send(&[*byte]);
        std::thread::sleep(Duration::from_micros(200));
    }
    assert_eq!(alice.connection.read().expect(200)["ttl_seconds"], 77);
}

fn a_client_that_waits_for_100_continue_is_told_to_go_on(driver: Driver) {
    let server = Server::on(driver);
    let mut connection = server.connect();
    let bearer = format!("Bearer {}", token_of("alice"));
    let body = b"{\"ttl_seconds\": 77}";
    let whole = request("POST", "/locks/big/acquire", &[("Authorization", &bearer), ("Expect", "100-continue")], body);
    let (head, body) = whole.split_at(whole.len() - body.len());
    for _ in 0..2 {
        connection.send(head);
        assert_eq!(connection.read().status, 100);
        connection.send(body);
        let response = connection.read();
        assert!([200, 409].contains(&response.status), "{}", response.text());
    }
    server.connect().call(&request("POST", "/locks/a/acquire", &[("Expect", "a-miracle")], b"{}")).refusal(417);
}

fn a_body_on_a_get_is_read_over(driver: Driver) {
    let server = Server::on(driver);
    let mut connection = server.connect();
    for _ in 0..3 {
        assert_eq!(connection.call(&request("GET", "/health", &[], b"GET /nowhere HTTP/1.1\r\n\r\n")).status, 200);
    }
}

fn an_absolute_target_is_served(driver: Driver) {
    let server = Server::on(driver);
    assert_eq!(server.connect().call(&request("GET", "http://localhost/health", &[], b"")).status, 200);
}

fn one_connection_too_many_is_turned_away(driver: Driver) {
    let server = Server::start(Options::new(driver).args(&["--max-connections", "8"]));
    let mut connections: Vec<Connection> = (0..8).map(|_| server.connect()).collect();
    for connection in &mut connections {
        assert_eq!(connection.call(HEALTH).status, 200);
    }
    for _ in 0..5 {
        let mut ninth = server.connect();
        let response = ninth.call(HEALTH);
        response.refused(503, "overloaded");
        assert!(response.header("retry-after").is_some_and(|seconds| seconds.parse::<u64>().is_ok_and(|s| s >= 1)));
        ninth.expect_end();
    }
    for connection in &mut connections {
        assert_eq!(connection.call(HEALTH).status, 200, "those that were there first are served");
    }
    drop(connections.pop());
    eventually("there is room for one again", || {
        Connection::try_open(server.address).and_then(|mut c| c.try_call(HEALTH)).is_ok_and(|r| r.status == 200)
    });
}

fn clients_that_hang_up_leave_no_connection_behind(driver: Driver) {
    let server = Server::start(Options::new(driver).args(&["--max-connections", "16"]));
    for round in 0..20 {
        for i in 0..4 {
            let mut user = server.user("alice");
            let bytes = user.post_bytes(&format!("/locks/lock-{round}-{i}/acquire"), b"");
            // In the middle of a request, or with an answer that is never read.
            user.connection.send(if i % 2 == 0 { &bytes[..bytes.len() / 2] } else { &bytes });
        }
        eventually("there is room again", || {
            Connection::try_open(server.address).and_then(|mut c| c.try_call(HEALTH)).is_ok_and(|r| r.status == 200)
        });
    }
    eventually("all places are free again", || {
        let mut all: Vec<Connection> = (0..16).map(|_| server.connect()).collect();
        all.iter_mut().all(|connection| connection.try_call(HEALTH).is_ok_and(|r| r.status == 200))
    });
}

fn an_idle_connection_is_closed_after_its_time(driver: Driver) {
    let server = Server::start(Options::new(driver).args(&["--idle-timeout", "1"]));
    let mut fresh = server.connect();
    let mut used = server.connect();
    assert_eq!(used.call(HEALTH).status, 200);
    used.expect_end();
    assert!(fresh.drain());
    server.assert_healthy();
}

fn a_burst_of_connections_is_shared_by_the_workers(driver: Driver) {
    let server = Server::start(Options::new(driver).workers(2));
    let mut all: Vec<_> = (0..200).map(|_| server.connect()).collect();
    let mut of = [0; 2];
    for connection in &mut all {
        let response = connection.call(HEALTH);
        // A request id has the worker in its 9th to 12th digit.
        let id = response.header("x-request-id").expect("an id");
        of[usize::from_str_radix(&id[8..12], 16).expect("a worker")] += 1;
    }
    assert!(of.iter().all(|n| *n >= 50), "{of:?}");
}

fn a_request_that_never_ends_is_given_up(driver: Driver) {
    let server = Server::start(Options::new(driver).args(&["--head-timeout", "1", "--body-timeout", "1"]));
    let mut head = server.connect();
    head.send(b"GET /health HTTP/1.1\r\nHost: x\r\n");
    let mut body = server.user("alice");
    let whole = body.post_bytes("/locks/never/acquire", b"{\"ttl_seconds\": 77}");
    body.connection.send(&whole[..whole.len() - 3]);
    // A byte now and then is no excuse: the time is for the whole head.
    let mut trickle = head.writer();
    let trickling = std::thread::spawn(move || {
        while trickle.write_all(b"X-Header: 1\r\n").is_ok() {
            std::thread::sleep(Duration::from_millis(300));
        }
    });
    head.read().refusal(408);
    body.connection.read().refusal(408);
    assert!(head.drain() && body.connection.drain());
    drop(head);
    trickling.join().expect("the end of the trickle");
    assert!(!server.user("alice").sees_held("never"));
}
