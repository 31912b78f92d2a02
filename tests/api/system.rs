//! `GET /health`.

use crate::common::{Driver, Options, Server, assert_fields, request};

crate::both_drivers! {
    health_tells_version_driver_and_workers_without_a_token,
    health_is_asked_as_often_as_one_likes,
}

fn health_tells_version_driver_and_workers_without_a_token(driver: Driver) {
    let server = Server::start(Options::new(driver).workers(3));
    let health = server.connect().call(&request("GET", "/health", &[], b"")).expect(200);
    assert_fields(&health, &["status", "version", "driver", "workers", "uptime_seconds"]);
    assert_eq!(health["status"], "ok");
    assert_eq!(health["version"], env!("CARGO_PKG_VERSION"));
    assert_eq!(health["driver"], driver.name());
    assert_eq!(health["workers"], 3);
    assert!(health["uptime_seconds"].as_f64().is_some_and(|seconds| (0.0..600.0).contains(&seconds)), "{health}");
}

fn health_is_asked_as_often_as_one_likes(driver: Driver) {
    let server = Server::on(driver);
    let mut connection = server.connect();
    for _ in 0..500 {
        assert_eq!(connection.call(&request("GET", "/health", &[], b"")).expect(200)["status"], "ok");
    }
}
