//! Bytes that nobody who means well would send.

use serde_json::json;

use crate::common::{Connection, Driver, Random, Server};

crate::both_drivers! {
    random_bytes_harm_nobody,
    requests_with_a_byte_changed_harm_nobody,
}

#[track_caller]
fn survives(server: &Server, blobs: impl Iterator<Item = Vec<u8>>) {
    let mut alice = server.user("alice");
    let grant = alice.grant("witness", json!({ "ttl_seconds": 3600 }));
    for blob in blobs {
        let mut connection = Connection::open(server.address);
        // The server may close before it has read all.
        let _ = std::io::Write::write_all(&mut connection.writer(), &blob);
        let _ = connection.writer().shutdown(std::net::Shutdown::Write);
        assert!(connection.drain(), "the server never closes after {:?}", String::from_utf8_lossy(&blob));
    }
    assert_eq!(alice.renew("witness", &grant.lease_id, json!({})).expect(200)["fencing_token"], grant.token);
    server.assert_healthy();
}

fn random_bytes_harm_nobody(driver: Driver) {
    let server = Server::on(driver);
    let mut random = Random::new(7);
    let beginnings: [&[u8]; 5] =
        [b"", b"GET ", b"POST /locks/a/acquire HTTP/1.1\r\n", b"GET /health HTTP/1.1\r\nHost: x\r\n", b"\r\n"];
    survives(
        &server,
        (0..500).map(|i| {
            let mut blob = beginnings[i % beginnings.len()].to_vec();
            let length = random.below(3000);
            blob.extend((0..length).map(|_| random.below(256) as u8));
            blob
        }),
    );
}

fn requests_with_a_byte_changed_harm_nobody(driver: Driver) {
    let server = Server::on(driver);
    let mut random = Random::new(8);
    let alice = server.user("alice");
    let body =
        json!({ "ttl_seconds": 60, "metadata": "x", "lease_id": "c0ffee00-0000-4000-8000-000000000000" }).to_string();
    let chunked = format!(
        "POST /locks/b/acquire HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {}\r\nTransfer-Encoding: chunked\r\n\r\n\
         5\r\n{{\"ttl\r\n10\r\n_seconds\": 77}}  \r\n0\r\n\r\n",
        alice.token
    );
    let models = [
        alice.post_bytes("/locks/a/acquire", body.as_bytes()),
        alice.get_bytes("/locks?prefix=a&limit=5&cursor=YQ"),
        chunked.into_bytes(),
    ];
    survives(
        &server,
        (0..500).map(|i| {
            let mut blob = models[i % models.len()].clone();
            for _ in 0..=random.below(3) {
                let at = random.below(blob.len() as u64) as usize;
                match random.below(3) {
                    0 => blob[at] = random.below(256) as u8,
                    1 => blob.insert(at, random.below(256) as u8),
                    _ => _ = blob.remove(at),
                }
            }
            blob
        }),
    );
}
