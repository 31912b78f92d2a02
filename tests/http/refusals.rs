//! Requests that are refused before anybody looks at what they ask, and that the client hears of it.

use std::io::Write;

use crate::common::{Driver, Response, Server, request};

crate::both_drivers! {
    each_malformed_request_gets_its_status_and_the_connection_ends,
    a_body_too_large_is_refused_while_it_is_still_being_sent,
    a_body_too_large_in_chunks_is_refused,
    the_largest_body_is_read,
    an_error_is_always_in_the_shape_of_the_api,
}

#[track_caller]
fn refusal(server: &Server, bytes: &[u8]) -> Response {
    let mut connection = server.connect();
    let response = connection.call(bytes);
    response.refusal(response.status);
    assert!(connection.drain(), "the connection ends");
    response
}

fn each_malformed_request_gets_its_status_and_the_connection_ends(driver: Driver) {
    let server = Server::on(driver);
    let long_target = format!("GET /{} HTTP/1.1\r\nHost: x\r\n\r\n", "a".repeat(9000));
    let long_head = format!("GET /health HTTP/1.1\r\nHost: x\r\nX: {}\r\n\r\n", "a".repeat(20_000));
    let many_headers = format!("GET /health HTTP/1.1\r\nHost: x\r\n{}\r\n", "X: 1\r\n".repeat(100));
    let rows: [(u16, &str); 19] = [
        (414, &long_target),
        (431, &long_head),
        (431, &many_headers),
        (501, "BREW /health HTTP/1.1\r\nHost: x\r\n\r\n"),
        (501, "CONNECT x:80 HTTP/1.1\r\nHost: x\r\n\r\n"),
        (505, "GET /health HTTP/2.0\r\nHost: x\r\n\r\n"),
        (505, "GET /health HTTP/1.2\r\nHost: x\r\n\r\n"),
        (400, "nonsense\r\n\r\n"),
        (400, "\u{16}\u{3}\u{1}\u{0}\u{5}hello"),
        (400, "GET /health HTTP/1.1\r\n\r\n"),
        (400, "GET /health HTTP/1.1\r\nHost: x\r\nHost: y\r\n\r\n"),
        (400, "GET /health HTTP/1.1\nHost: x\n\n"),
        (400, "GET  /health HTTP/1.1\r\nHost: x\r\n\r\n"),
        (400, "GET /health HTTP/1.1\r\nHost : x\r\n\r\n"),
        (400, "GET /health HTTP/1.1\r\nHost: x\r\n folded\r\n\r\n"),
        (400, "POST /locks/a/acquire HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\nContent-Length: 2\r\n\r\n{}"),
        (400, "POST /locks/a/acquire HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n"),
        (400, "POST /locks/a/acquire HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n{}"),
        (400, "POST /locks/a/acquire HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n"),
    ];
    for (status, bytes) in rows {
        let response = refusal(&server, bytes.as_bytes());
        assert_eq!(response.status, status, "{} to {}", response.text(), &bytes[..bytes.len().min(100)]);
    }
    server.assert_healthy();
}

fn a_body_too_large_is_refused_while_it_is_still_being_sent(driver: Driver) {
    let server = Server::on(driver);
    for _ in 0..5 {
        let mut alice = server.user("alice");
        let head = format!(
            "POST /locks/a/acquire HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {}\r\nContent-Length: 10000000\r\n\r\n",
            alice.token
        );
        alice.connection.send(head.as_bytes());
        // The client goes on sending, and looks at the answer only later. A reset would have taken it away.
        let mut writer = alice.connection.writer();
        for _ in 0..16 {
            let _ = writer.write_all(&[b' '; 16 * 1024]);
        }
        alice.connection.read().refused(413, "payload_too_large");
        drop(writer);
        alice.connection.half_close();
        assert!(alice.connection.drain());
    }
}

fn a_body_too_large_in_chunks_is_refused(driver: Driver) {
    let server = Server::on(driver);
    let mut alice = server.user("alice");
    let head = format!(
        "POST /locks/a/acquire HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {}\r\nTransfer-Encoding: chunked\r\n\r\n",
        alice.token
    );
    let chunks = format!("400\r\n{}\r\n", " ".repeat(1024)).repeat(64);
    alice.connection.send((head + &chunks).as_bytes());
    alice.connection.read().refused(413, "payload_too_large");
}

fn the_largest_body_is_read(driver: Driver) {
    let server = Server::on(driver);
    let mut alice = server.user("alice");
    let body = format!("{:<16384}", "{\"ttl_seconds\": 77}");
    assert_eq!(alice.post_raw("/locks/a/acquire", body.as_bytes()).expect(200)["ttl_seconds"], 77);
    alice.post_raw("/locks/b/acquire", format!("{body} ").as_bytes()).refused(413, "payload_too_large");
}

fn an_error_is_always_in_the_shape_of_the_api(driver: Driver) {
    let server = Server::on(driver);
    for bytes in [&b"\r\n\r\n\r\n"[..], b"GET", b"GET / HTTP/1.1\r\nHost: a b\r\n\r\n", b"{\"a\": 1}\r\n\r\n", b"\0"] {
        let mut connection = server.connect();
        connection.send(bytes);
        connection.half_close();
        if let Ok(response) = connection.try_read() {
            response.refusal(response.status);
        }
    }
    let head = request("HEAD", "/nowhere", &[], b"");
    let mut connection = server.connect();
    connection.send(&head);
    assert_eq!(connection.read_head().status, 404);
    assert_eq!(connection.call(&request("GET", "/health", &[], b"")).status, 200, "a HEAD's error has no body either");
}
