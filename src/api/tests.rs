use serde_json::{Value, json};
use uuid::Uuid;

use super::*;
use crate::auth::{Credential, hash_of};
use crate::fence::Fence;
use crate::http::{self, Step};
use crate::journal::Account;
use crate::lease::{Denied, Listed, Outcome, Ttl};
use crate::shard::Page;

const TOKEN: &str = "0123456789abcdef";

fn principals() -> Principals {
    let (kind, external_id) = ("static".to_owned(), "alice".to_owned());
    let account = Account { id: UserId(0), public_id: Uuid::from_u128(7), kind, external_id, login: None };
    let token_hash = hash_of(TOKEN.as_bytes());
    Principals::new(&[Credential { kind: "static", external_id: "alice".into(), token_hash }], &[account], &[]).unwrap()
}

/// What a request line and a body come to, with alice's token: the call as Rust shows it, or the error's code.
fn understood(line: &str, body: &str) -> Result<String, (u16, &'static str)> {
    let head = format!("{line} HTTP/1.1\r\nHost: h\r\nAuthorization: bearer {TOKEN}\r\n");
    understood_bytes(&format!("{head}Content-Length: {}\r\n\r\n{body}", body.len()))
}

fn understood_bytes(bytes: &str) -> Result<String, (u16, &'static str)> {
    let mut bytes = bytes.as_bytes().to_vec();
    let Ok(Step::Complete { request, .. }) = http::parse(&mut bytes) else { panic!("no request: {bytes:?}") };
    match understand(&request, &principals()) {
        Ok(call) => Ok(format!("{call:?}")),
        Err(error) => Err((error.status, error.code)),
    }
}

fn refused(line: &str, body: &str) -> (u16, &'static str) {
    understood(line, body).expect_err(body)
}

#[test]
fn an_acquire_takes_its_defaults_and_its_members() {
    let plain = understood("POST /locks/a/acquire", "").unwrap();
    assert!(plain.contains("ttl: Ttl(60), metadata: None"), "{plain}");
    let body = r#" {"ttl_seconds":5,"metadata":"n","lease_id":"3FA85F64-5717-4562-b3fc-2c963f66afa6","x":[1,{}]} "#;
    let full = understood("POST /locks/a/acquire", body).unwrap();
    let wanted = r#"lease_id: 3fa85f64-5717-4562-b3fc-2c963f66afa6, ttl: Ttl(5), metadata: Some("n")"#;
    assert!(full.contains(wanted), "{full}");
    let with_point = understood("POST /locks/a/acquire", r#"{"ttl_seconds":60.0}"#).unwrap();
    assert!(with_point.contains("ttl: Ttl(60)"), "{with_point}");
    let null = understood("POST /locks/a/acquire", r#"{"ttl_seconds":null,"metadata":null,"lease_id":null}"#).unwrap();
    assert!(null.contains("ttl: Ttl(60), metadata: None"), "{null}");
}

#[test]
fn two_acquires_without_an_id_get_different_ones() {
    let ask = || understood("POST /locks/a/acquire", "").unwrap();
    assert_ne!(ask(), ask());
}

#[test]
fn a_body_that_is_no_object_is_invalid_json() {
    for body in
        ["x", "[]", "[1,2,3]", "null", "\"a\"", "{", "{}x", r#"{"ttl_seconds":1,"ttl_seconds":1}"#, "{\"a\":\u{1}}"]
    {
        assert_eq!(refused("POST /locks/a/acquire", body), (400, "invalid_json"), "{body}");
    }
    assert_eq!(refused("POST /locks/a/renew", ""), (400, "invalid_json"));
}

#[test]
fn each_member_has_its_error() {
    for ttl in ["0", "3601", "-1", "1.5", "-60.0", "0.0", "1e300", "\"60\"", "true", "{}", "18446744073709551616"] {
        let body = format!("{{\"ttl_seconds\":{ttl}}}");
        assert_eq!(refused("POST /locks/a/acquire", &body), (400, "invalid_ttl"), "{ttl}");
    }
    for metadata in ["1", "[]", "{\"a\":1}", &format!("\"{}\"", "x".repeat(1025))] {
        let body = format!("{{\"metadata\":{metadata}}}");
        assert_eq!(refused("POST /locks/a/acquire", &body), (400, "invalid_metadata"), "{metadata}");
    }
    for id in ["1", "\"\"", "\"3fa85f6457174562b3fc2c963f66afa6\"", "\"zfa85f64-5717-4562-b3fc-2c963f66afa6\""] {
        let body = format!("{{\"lease_id\":{id}}}");
        assert_eq!(refused("POST /locks/a/release", &body), (400, "invalid_lease_id"), "{id}");
    }
    assert_eq!(refused("POST /locks/a/release", "{}"), (400, "invalid_lease_id"));
}

#[test]
fn the_checks_come_in_the_order_of_the_contract() {
    let bad_token =
        "POST /locks/%zz/acquire HTTP/1.1\r\nHost: h\r\nAuthorization: Bearer x\r\nContent-Length: 1\r\n\r\n[";
    assert_eq!(understood_bytes(bad_token), Err((401, "authentication_failed")));
    assert_eq!(understood_bytes("GET /locks/a/acquire HTTP/1.1\r\nHost: h\r\n\r\n"), Err((405, "method_not_allowed")));
    assert_eq!(understood_bytes("GET /locks HTTP/1.1\r\nHost: h\r\n\r\n"), Err((401, "authentication_required")));
    assert_eq!(refused("POST /locks/%zz/acquire", "["), (400, "invalid_json"));
    assert_eq!(refused("POST /locks/%zz/acquire", r#"{"ttl_seconds":0}"#), (400, "invalid_lock_name"));
    assert_eq!(refused("POST /locks/a_b/renew", r#"{"lease_id":1}"#), (400, "invalid_lock_name"));
}

#[test]
fn only_a_bearer_token_authenticates() {
    for value in ["", "Bearer", "Bearer ", "Basic abc", "bearer:abc", TOKEN] {
        let bytes = format!("GET /locks HTTP/1.1\r\nHost: h\r\nAuthorization: {value}\r\n\r\n");
        assert_eq!(understood_bytes(&bytes), Err((401, "authentication_required")), "{value}");
    }
    let bytes = format!("GET /locks HTTP/1.1\r\nHost: h\r\nAuthorization: BEARER   {TOKEN}\r\n\r\n");
    assert!(understood_bytes(&bytes).is_ok());
}

#[test]
fn a_list_takes_prefix_limit_and_cursor() {
    let call = understood("GET /locks?prefix=job%2D&limit=7&cursor=am9iLTE&other=%zz", "").unwrap();
    assert!(call.contains(r#"prefix: "job-", after: Some("job-1"), limit: 7"#), "{call}");
    for bad in ["limit=0", "limit=1001", "limit=+5", "limit=", "limit=1&limit=1", "cursor=!", "prefix=%zz"] {
        assert_eq!(refused(&format!("GET /locks?{bad}"), ""), (400, "bad_request"), "{bad}");
    }
}

fn view(principals: &Principals) -> View<'_> {
    // Ten seconds of uptime; the wall clock stands at 2026-11-23T00:00:00Z.
    View { now_ns: 10_000_000_000, wall_ns: 1_795_392_000_000_000_000, principals }
}

fn written(asked: &locks::Asked, outcome: &Outcome) -> (Answer, Value) {
    let (mut body, principals) = (Vec::new(), principals());
    let answer = locks::answer(&mut body, asked, outcome, &view(&principals)).unwrap();
    (answer, serde_json::from_slice(&body).unwrap())
}

#[test]
fn answers_have_the_members_of_the_contract_and_no_others() {
    let (token, deadline_ns) = (Fence::recovered(5).unwrap(), 70_001_500_000);
    let (lease_id, ttl) = (Uuid::from_u128(1), Ttl::DEFAULT);
    let ok = Answer::OK;
    let id = "00000000-0000-0000-0000-000000000001";
    let at = "2026-11-23T00:01:00.001Z";

    let acquired = Outcome::Acquired { lease_id, token, deadline_ns, ttl, metadata: None };
    let members = json!({"status": "acquired", "lease_id": id, "fencing_token": 5, "expires_at": at,
        "metadata": null, "ttl_seconds": 60});
    assert_eq!(written(&locks::Asked::Acquire, &acquired), (ok.clone(), members));

    let held = Outcome::Held { holder: UserId(0), token, deadline_ns, metadata: Some("\"\n".into()) };
    let holder_id = "00000000-0000-0000-0000-000000000007";
    let members = json!({"status": "held", "holder_id": holder_id, "expires_at": at, "metadata": "\"\n",
        "retry_after_ms": 60002});
    let refused = Answer { status: 409, retry_after_s: Some(61), more: None };
    assert_eq!(written(&locks::Asked::Acquire, &held), (refused, members));
    let members = json!({"name": "a", "status": "held", "holder_id": holder_id, "fencing_token": 5,
        "expires_at": at, "metadata": "\"\n"});
    assert_eq!(written(&locks::Asked::Status(name("a")), &held), (ok.clone(), members));

    let members = json!({"name": "a", "status": "free", "holder_id": null, "fencing_token": null,
        "expires_at": null, "metadata": null});
    assert_eq!(written(&locks::Asked::Status(name("a")), &Outcome::Free), (ok.clone(), members));
    let members = json!({"status": "released", "name": "a", "lease_id": id});
    assert_eq!(written(&locks::Asked::Release(name("a")), &Outcome::Released { lease_id }), (ok, members));
}

#[test]
fn denials_are_errors_with_their_codes() {
    let (mut body, principals) = (Vec::new(), principals());
    for (denied, status, code) in [
        (Denied::NotFound, 404, "lock_not_found"),
        (Denied::NotCurrent, 409, "lease_not_current"),
        (Denied::LimitReached, 403, "lock_limit_exceeded"),
        (Denied::TokensExhausted, 500, "internal_error"),
        (Denied::GracePeriod { until_ns: 0 }, 503, "grace_period"),
    ] {
        let asked = locks::Asked::Renew;
        let error = locks::answer(&mut body, &asked, &Outcome::Denied(denied), &view(&principals)).unwrap_err();
        assert_eq!((error.status, error.code), (status, code));
    }
}

fn name(text: &str) -> LockName {
    LockName::new(text).unwrap()
}

#[test]
fn the_cores_pages_are_merged_by_name_and_a_cursor_leads_on() {
    let row = |text: &str| Listed {
        name: name(text),
        lease_id: Uuid::nil(),
        token: Fence::recovered(1).unwrap(),
        deadline_ns: 10_000_000_000,
        metadata: None,
    };
    let page = |names: &[&str], total| Page { rows: names.iter().map(|n| row(n)).collect(), total, rests_on: 0 };
    let pages = [page(&["a", "d"], 2), page(&["b", "c"], 3)];
    let (mut body, principals) = (Vec::new(), principals());
    list::answer(&mut body, &pages, 3, &view(&principals));
    let shown: Value = serde_json::from_slice(&body).unwrap();
    let names: Vec<&str> = shown["locks"].as_array().unwrap().iter().map(|l| l["name"].as_str().unwrap()).collect();
    assert_eq!((names, &shown["total"], &shown["next_cursor"]), (vec!["a", "b", "c"], &json!(5), &json!("Yw")));

    body.clear();
    list::answer(&mut body, &pages, 4, &view(&principals));
    assert_eq!(serde_json::from_slice::<Value>(&body).unwrap()["next_cursor"], Value::Null);
}
