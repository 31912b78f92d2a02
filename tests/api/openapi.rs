//! `GET /openapi.json`: what it says is there, its examples are true, and a client can get every answer that it describes.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::common::contract::validate;
use crate::common::{Connection, Driver, Options, Response, Server, User, request, token_of};

crate::both_drivers! {
    the_document_is_served_as_it_is_made,
    every_answer_about_locks_that_is_described_can_be_had,
}

/// Described, and shown by other tests: a disk that fails, a server with too much to do, one that stops or was
/// restored, 2^53 tokens later, and what is too slow or a hundred wrong tokens late.
const SHOWN_ELSEWHERE: [(u16, &str); 5] = [
    (408, "request_timeout"),
    (429, "rate_limited"),
    (500, "internal_error"),
    (503, "grace_period"),
    (503, "overloaded"),
];

fn the_document_is_served_as_it_is_made(driver: Driver) {
    let server = Server::on(driver);
    let response = server.connect().call(&request("GET", "/openapi.json", &[], b""));
    assert_eq!(response.expect(200), octostore::api::openapi::document());
    let tag = response.header("etag").expect("a tag").to_owned();
    let again = server.connect().call(&request("GET", "/openapi.json", &[("If-None-Match", &tag)], b""));
    assert_eq!(again.status, 304);
}

#[test]
fn every_example_is_what_its_schema_allows() {
    fn walk(value: &Value, checked: &mut usize) {
        if let (Some(schema), Value::Object(members)) = (value.get("schema"), value) {
            let examples = members.get("examples").and_then(Value::as_object).into_iter().flatten();
            for example in members.get("example").into_iter().chain(examples.map(|(_, example)| &example["value"])) {
                validate(schema, example).unwrap_or_else(|fault| panic!("{example}: {fault}"));
                *checked += 1;
            }
        }
        match value {
            Value::Object(members) => members.values().for_each(|value| walk(value, checked)),
            Value::Array(items) => items.iter().for_each(|value| walk(value, checked)),
            _ => {}
        }
    }
    let mut checked = 0;
    walk(&octostore::api::openapi::document(), &mut checked);
    assert!(checked > 100, "only {checked} examples");
}

#[test]
fn a_body_with_a_member_more_or_less_is_not_what_is_described() {
    let schema = json!({ "$ref": "#/components/schemas/Released" });
    let mut body = json!({ "status": "released", "name": "a", "lease_id": "1c7032dd-8fd0-4501-894a-af874480b316" });
    assert_eq!(validate(&schema, &body), Ok(()));
    body["more"] = 1.into();
    assert!(validate(&schema, &body).is_err());
    assert!(validate(&schema, &json!({ "status": "released", "name": "a" })).is_err());
    for name in ["a", ".a", "..a", "...", "-", &"a".repeat(128)] {
        assert_eq!(validate(&json!({ "$ref": "#/components/schemas/Released/properties/name" }), &name.into()), Ok(()));
    }
    for name in ["", ".", "..", "a_b", "a/b", &"a".repeat(129)] {
        let schema = json!({ "$ref": "#/components/schemas/Released/properties/name" });
        assert!(validate(&schema, &name.into()).is_err(), "{name}");
    }
}

fn every_answer_about_locks_that_is_described_can_be_had(driver: Driver) {
    let server = Server::start(Options::new(driver).args(&["--max-locks-per-user", "3"]));
    let document = octostore::api::openapi::document();
    for (path, item) in document["paths"].as_object().expect("paths") {
        for (method, operation) in item.as_object().expect("an item") {
            if operation["tags"][0] == "Locks" {
                let described = described(operation);
                let mut had = had(&server, method, path);
                had.extend(
                    SHOWN_ELSEWHERE
                        .map(|(status, code)| (status, code.to_owned()))
                        .into_iter()
                        .filter(|row| described.contains(row)),
                );
                assert_eq!(had, described, "{method} {path}");
            }
        }
    }
}

/// Status and code, or status and `status`, of every answer that is described.
fn described(operation: &Value) -> BTreeSet<(u16, String)> {
    let document = octostore::api::openapi::document();
    let mut rows = BTreeSet::new();
    for (status, response) in operation["responses"].as_object().expect("responses") {
        let shared =
            response["$ref"].as_str().and_then(|reference| document.pointer(reference.trim_start_matches('#')));
        let schema = &shared.unwrap_or(response)["content"]["application/json"]["schema"];
        let status = status.parse().expect("a status");
        match schema["properties"]["code"]["enum"].as_array() {
            Some(codes) => rows.extend(codes.iter().map(|code| (status, code.as_str().expect("a code").to_owned()))),
            None => rows.extend([(status, String::new())]),
        }
    }
    rows
}

/// All that this operation can be made to answer.
fn had(server: &Server, method: &str, path: &str) -> BTreeSet<(u16, String)> {
    let mut rows = BTreeSet::new();
    let alice = format!("Bearer {}", token_of("alice"));
    let method = method.to_ascii_uppercase();
    let mut note = |response: Response| {
        let code = if response.status < 300 || response.json()["status"] == "held" {
            String::new()
        } else {
            response.refusal(response.status)
        };
        rows.insert((response.status, code));
    };
    let ask = |name: &str, headers: &[(&str, &str)], body: &str| {
        let target = path.replace("{name}", name);
        let headers: Vec<(&str, &str)> = headers.iter().copied().chain([("Authorization", alice.as_str())]).collect();
        Connection::open(server.address).call(&request(&method, &target, &headers, body.as_bytes()))
    };
    let lease = server.user("alice").grant("its", json!({ "ttl_seconds": 3600 })).lease_id;
    let theirs = server.user("bob").acquire("theirs", json!({ "ttl_seconds": 3600 }));
    assert!(matches!(theirs.status, 200 | 409));
    let with_lease = json!({ "lease_id": lease }).to_string();

    // What it is for, and what the state of the lock refuses.
    note(ask("its", &[], &with_lease));
    note(ask("free", &[], &with_lease));
    note(ask("theirs", &[], &with_lease));
    release_all(&mut server.user("alice"));
    for name in ["one", "two", "three"] {
        server.user("alice").grant(name, json!({}));
    }
    note(ask("four", &[], &with_lease));
    // Who asks, and what is wrong with the request.
    for authorization in [None, Some("Bearer nobody's")] {
        let headers: Vec<(&str, &str)> = authorization.into_iter().map(|value| ("Authorization", value)).collect();
        let bytes = request(&method, &path.replace("{name}", "a"), &headers, b"");
        note(Connection::open(server.address).call(&bytes));
    }
    for body in ["[", r#"{"ttl_seconds":0,"lease_id":null}"#, r#"{"metadata":1}"#, r#"{"lease_id":1}"#, "{}"] {
        // A look ignores the body that comes with it.
        note(ask("three", &[], body));
    }
    let with_ttl = json!({ "lease_id": lease, "ttl_seconds": 0 }).to_string();
    note(ask("three", &[], &with_ttl));
    note(ask("a_b", &[], &with_lease));
    note(ask("a%", &[], &with_lease));
    if path == "/locks" {
        note(Connection::open(server.address).call(&request(
            &method,
            "/locks?limit=0",
            &[("Authorization", &alice)],
            b"",
        )));
    }
    // What the HTTP side refuses.
    note(ask("a", &[("Host", "twice")], &with_lease));
    note(ask("a", &[], &"x".repeat(20_000)));
    note(ask(&"a".repeat(1500), &[("X", &"x".repeat(17_000))], ""));
    note(ask("a", &[("Expect", "much")], ""));
    let old = format!("{method} {} HTTP/3.0\r\nHost: x\r\n\r\n", path.replace("{name}", "a"));
    note(Connection::open(server.address).call(old.as_bytes()));
    let long = format!("{}?{}", path.replace("{name}", "a"), "x".repeat(3000));
    note(Connection::open(server.address).call(&request(&method, &long, &[], b"")));
    release_all(&mut server.user("alice"));
    rows
}

fn release_all(user: &mut User) {
    for lock in user.list("")["locks"].as_array().expect("a list") {
        let (name, lease) = (lock["name"].as_str().expect("a name"), lock["lease_id"].as_str().expect("a lease"));
        user.release(name, lease).expect(200);
    }
}
