//! `GET /openapi.json`: what it says is there, its examples are true, and a client can get every answer that it describes.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::common::contract::validate;
use crate::common::{Connection, Driver, Options, Response, Server, User, request, token_of};

crate::both_drivers! {
    the_document_is_served_as_it_is_made,
    every_answer_about_locks_that_is_described_can_be_had,
    every_other_answer_that_is_described_can_be_had,
    what_is_said_to_be_sent_by_gzip_is_and_the_rest_is_not,
}

/// Described, and shown by other tests: the operation if it is one's own, status and code, the file and the test.
///
/// A disk that fails, a server with too much to do, one that stops or was restored, 2^53 tokens later, what is too
/// slow or a hundred wrong tokens late, and what takes a GitHub or other settings.
const SHOWN_ELSEWHERE: [(&str, u16, &str, &str, &str); 16] = [
    ("getMetrics", 401, "authentication_required", METRICS, "a_token_of_its_own_lets_others_in"),
    ("getMetrics", 401, "authentication_failed", METRICS, "a_token_of_its_own_lets_others_in"),
    ("getMetrics", 403, "forbidden", METRICS, "by_default_this_machine_reads_the_figures_and_nobody_else"),
    ("getMetrics", 404, "not_found", METRICS, "metrics_can_be_off"),
    ("", 408, "request_timeout", "tests/http/deadlines.rs", "a_head_that_trickles_is_cut_with_a_408"),
    (
        "",
        429,
        "rate_limited",
        "tests/sign_in/guesses.rs",
        "after_a_hundred_failures_an_address_is_told_to_wait_but_a_valid_token_is_not",
    ),
    ("", 503, "overloaded", "tests/http/connections.rs", "one_connection_too_many_is_turned_away"),
    ("acquireLock", 500, "internal_error", "src/api/tests.rs", "denials_are_errors_with_their_codes"),
    (
        "acquireLock",
        503,
        "grace_period",
        "tests/admin/grace.rs",
        "a_restored_server_grants_nothing_for_an_hour_and_a_restart_begins_it_again",
    ),
    (
        "signIn",
        302,
        "",
        "tests/sign_in/flow.rs",
        "the_way_there_has_pkce_a_state_and_a_cookie_that_scripts_cannot_read",
    ),
    ("signInCallback", 200, "", "tests/sign_in/flow.rs", "whoever_github_vouches_for_gets_a_token_and_can_lock"),
    ("signInCallback", 400, "bad_request", "tests/sign_in/flow.rs", "a_callback_without_code_or_state_is_refused"),
    ("signInCallback", 400, "sign_in_refused", "tests/sign_in/flow.rs", "who_refuses_at_github_is_not_signed_in"),
    (
        "signInCallback",
        502,
        "upstream_unavailable",
        "tests/sign_in/faults.rs",
        "a_github_that_fails_is_named_as_what_fails_and_the_next_sign_in_succeeds",
    ),
    (
        "rotateToken",
        200,
        "",
        "tests/sign_in/rotation.rs",
        "the_token_presented_is_replaced_and_locks_stay_with_their_user",
    ),
    (
        "getHealth",
        503,
        "overloaded",
        "tests/durability/time.rs",
        "with_syncs_of_5_s_health_is_503_and_what_is_answered_is_durable",
    ),
];

const METRICS: &str = "tests/metrics/access.rs";

#[test]
fn the_tests_that_show_the_other_answers_exist() {
    for (_, _, _, file, test) in SHOWN_ELSEWHERE {
        let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join(file);
        let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{file}: {error}"));
        assert!(text.contains(&format!("fn {test}(")), "{file} has no test {test}");
    }
}

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
    for (method, path, operation) in operations().filter(|(_, _, operation)| operation["tags"][0] == "Locks") {
        assert_had(&operation, had(&server, &method, &path));
    }
}

fn every_other_answer_that_is_described_can_be_had(driver: Driver) {
    let server = Server::on(driver);
    for (method, path, operation) in operations().filter(|(_, _, operation)| operation["tags"][0] != "Locks") {
        let mut rows = refused_by_http(&server, &method, &path);
        let mut note = |headers: &[(&str, &str)], body: &str| {
            let response =
                server.connect().call(&request(&method.to_ascii_uppercase(), &path, headers, body.as_bytes()));
            rows.insert(row(&response));
            response.header("etag").map(str::to_owned)
        };
        if operation["security"].as_array().is_some_and(|all| !all.is_empty()) {
            let alice = format!("Bearer {}", token_of("alice"));
            note(&[("Authorization", "Bearer nobody's")], "");
            note(&[("Authorization", &alice)], "[");
            note(&[("Authorization", &alice)], "");
        }
        if let Some(tag) = note(&[], "") {
            note(&[("If-None-Match", &tag)], "");
        }
        assert_had(&operation, rows);
    }
}

fn what_is_said_to_be_sent_by_gzip_is_and_the_rest_is_not(driver: Driver) {
    let server = Server::on(driver);
    let mut seen = BTreeSet::new();
    for (_, path, operation) in operations().filter(|(method, _, _)| method == "get") {
        let response = server.connect().call(&request("GET", &path, &[("Accept-Encoding", "gzip")], b""));
        let is_described = operation["responses"]["200"]["headers"]["Content-Encoding"].is_object();
        assert_eq!(response.header("content-encoding"), is_described.then_some("gzip"), "{path}");
        seen.insert(is_described);
    }
    assert_eq!(seen.len(), 2);
}

/// Method, path and description of each operation.
fn operations() -> impl Iterator<Item = (String, String, Value)> {
    let Value::Object(paths) = octostore::api::openapi::document()["paths"].take() else { panic!("no paths") };
    paths.into_iter().flat_map(|(path, item)| {
        let Value::Object(item) = item else { panic!("{path} is no object") };
        item.into_iter().map(move |(method, operation)| (method, path.clone(), operation))
    })
}

/// Asserts that these, and those that other tests show, are all that is described.
#[track_caller]
fn assert_had(operation: &Value, mut had: BTreeSet<(u16, String)>) {
    let described = described(operation);
    let id = operation["operationId"].as_str().expect("an id");
    let elsewhere = SHOWN_ELSEWHERE.into_iter().filter(|(own, ..)| own.is_empty() || *own == id);
    had.extend(elsewhere.map(|(_, status, code, ..)| (status, code.to_owned())).filter(|row| described.contains(row)));
    assert_eq!(had, described, "{id}");
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
    let mut rows = refused_by_http(server, method, path);
    let alice = format!("Bearer {}", token_of("alice"));
    let method = method.to_ascii_uppercase();
    let mut note = |response: Response| {
        rows.insert(row(&response));
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
    release_all(&mut server.user("alice"));
    rows
}

/// All that the HTTP side refuses, before any operation is found.
fn refused_by_http(server: &Server, method: &str, path: &str) -> BTreeSet<(u16, String)> {
    let (method, path) = (method.to_ascii_uppercase(), path.replace("{name}", "a"));
    let ask = |target: &str, headers: &[(&str, &str)], body: &str| request(&method, target, headers, body.as_bytes());
    let requests = [
        ask(&path, &[("Host", "twice")], ""),
        ask(&path, &[], &"x".repeat(20_000)),
        ask(&path, &[("X", &"x".repeat(17_000))], ""),
        ask(&path, &[("Expect", "much")], ""),
        ask(&format!("{path}?{}", "x".repeat(3000)), &[], ""),
        format!("{method} {path} HTTP/3.0\r\nHost: x\r\n\r\n").into_bytes(),
    ];
    requests.iter().map(|bytes| row(&server.connect().call(bytes))).collect()
}

/// Status and code of an answer.
fn row(response: &Response) -> (u16, String) {
    let is_meant = response.status < 400 || response.json()["status"] == "held";
    (response.status, if is_meant { String::new() } else { response.refusal(response.status) })
}

fn release_all(user: &mut User) {
    for lock in user.list("")["locks"].as_array().expect("a list") {
        let (name, lease) = (lock["name"].as_str().expect("a name"), lock["lease_id"].as_str().expect("a lease"));
        user.release(name, lease).expect(200);
    }
}
