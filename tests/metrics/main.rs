//! `/metrics` and `octostore status`: every figure moves when its thing happens, Prometheus' own linter has nothing to say, and what is shipped
//! for Prometheus and Grafana names no figure that is not there.

#[path = "../common/mod.rs"]
mod common;

mod access;
mod figures;
mod shipped;
mod status;

use octostore::metrics::Reading;

use common::{Server, request};

/// The page, as text.
#[track_caller]
pub fn page(server: &Server) -> String {
    let response = server.connect().call(&request("GET", "/metrics", &[], b""));
    assert_eq!(response.status, 200, "{}", response.text());
    assert_eq!(response.header("content-type"), Some("text/plain; version=0.0.4; charset=utf-8"));
    response.text()
}

/// The page, read.
#[track_caller]
pub fn scrape(server: &Server) -> Reading {
    let page = page(server);
    Reading::of(&page).unwrap_or_else(|| panic!("no page of metrics: {page}"))
}

/// Traffic that touches every kind of operation, some of them at both workers.
pub fn some_traffic(server: &Server) {
    use serde_json::json;
    let (mut alice, mut bob) = (server.user("alice"), server.user("bob"));
    for i in 0..20 {
        let name = format!("job-{i}");
        let grant = alice.grant(&name, json!({ "ttl_seconds": 30 }));
        bob.acquire(&name, json!({})).expect(409);
        alice.renew(&name, &grant.lease_id, json!({})).expect(200);
        bob.status(&name);
        if i % 2 == 0 {
            alice.release(&name, &grant.lease_id).expect(200);
        }
    }
    alice.list("");
    alice.get("/nowhere").refused(404, "not_found");
    alice.get("/health").expect(200);
}
