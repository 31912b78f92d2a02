//! The answers of an operation: those it is for, its errors by status, and what the HTTP side refuses anywhere.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::operations::Operation;
use crate::api::error::{self, ApiError};
use crate::http::{REFUSALS, RequestIds};

/// Statuses that any operation may be answered with before it is looked at: the same answer everywhere.
const ANYWHERE: [(u16, &str); 7] = [
    (408, "RequestTimeout"),
    (413, "PayloadTooLarge"),
    (414, "UriTooLong"),
    (417, "ExpectationFailed"),
    (431, "HeadersTooLarge"),
    (505, "VersionNotSupported"),
    (503, "Overloaded"),
];

/// All answers of an operation, by status.
pub(super) fn of(operation: &Operation) -> Value {
    let mut responses: BTreeMap<u16, Value> = operation.answers.iter().cloned().collect();
    for (status, name) in ANYWHERE {
        responses.insert(status, json!({ "$ref": format!("#/components/responses/{name}") }));
    }
    for (status, errors) in by_status(operation.errors.iter().cloned().chain([example_of_a_bad_request()])) {
        assert!(!operation.answers.iter().any(|(own, _)| *own == status), "{}: {status} is two things", operation.id);
        // One that is answered anywhere, and for a reason of its own here too, is described whole.
        let errors =
            errors.into_iter().chain(anywhere().remove(&status).filter(|_| status == 503).into_iter().flatten());
        responses.insert(status, response(&errors.collect::<Vec<_>>()));
    }
    if operation.has_pages {
        for (_, response) in responses.iter_mut().filter(|(_, response)| response["content"].is_object()) {
            also_as_page(response);
        }
    }
    responses.into_iter().map(|(status, response)| (status.to_string(), response)).collect::<Map<_, _>>().into()
}

/// Adds to an answer in JSON that a browser gets a page instead, with headers that JSON does without.
fn also_as_page(response: &mut Value) {
    let content = json!({ "schema": { "type": "string" }, "example": "<!doctype html>…" });
    response["content"]["text/html; charset=utf-8"] = content;
    let own = response["headers"].as_object_mut().expect("every answer has headers");
    for name in ["Cache-Control", "Content-Security-Policy", "Referrer-Policy", "X-Content-Type-Options"] {
        let mut header = headers()[name].clone();
        header["required"] = false.into();
        own.entry(name).or_insert(header);
    }
}

/// The answers that several operations share.
pub(super) fn shared() -> Value {
    let errors = anywhere();
    let named = ANYWHERE.iter().map(|(status, name)| ((*name).to_owned(), response(&errors[status])));
    named.collect::<Map<_, _>>().into()
}

/// The headers that answers have.
pub(super) fn headers() -> Value {
    let text = |description: &str, example: &str| json!({ "description": description, "required": true, "schema": { "type": "string" }, "example": example });
    json!({
        "X-Request-Id": text("The id of the request, for questions about it.", "5a0c3d2e0001000000000007"),
        "Retry-After": {
            "description": "After so many seconds a new try may succeed.",
            "required": true,
            "schema": { "type": "integer", "minimum": 1 },
            "example": 1,
        },
        "WWW-Authenticate": text("How to authenticate.", "Bearer"),
        "Location": text("Where to go.", "https://github.com/login/oauth/authorize?client_id=…"),
        "Set-Cookie": text("Tells this browser from others when it comes back.", "octostore-sign-in=…; HttpOnly"),
        "ETag": text("Tells this version from others: send it as If-None-Match.", "\"5d2a1c0b3e8\""),
        "Cache-Control": text("Whether it may be kept.", "no-cache"),
        "Vary": text("What else the answer depends on.", "Accept-Encoding"),
        "Content-Security-Policy": text("What a browser is to let the page do.", "default-src 'none'; script-src 'self'"),
        "X-Content-Type-Options": text("The Content-Type is to be believed.", "nosniff"),
        "Referrer-Policy": text("Links from here tell nobody where they were.", "no-referrer"),
        "Content-Encoding": {
            "description": "Sent if the client takes gzip.",
            "schema": { "type": "string", "enum": ["gzip"] },
            "example": "gzip",
        },
    })
}

/// References to headers, by name; the request's id is always among them.
pub(super) fn with_headers(names: &[&str]) -> Value {
    let all = ["X-Request-Id"].iter().chain(names);
    let named = all.map(|name| ((*name).to_owned(), json!({ "$ref": format!("#/components/headers/{name}") })));
    named.collect::<Map<_, _>>().into()
}

/// What the HTTP side and the connection answer by themselves, by status.
fn anywhere() -> BTreeMap<u16, Vec<ApiError>> {
    let own = [error::request_timeout(), error::overloaded(), error::journal_failed(), error::too_many_connections()];
    by_status(REFUSALS.iter().map(|refusal| ApiError::from(*refusal)).chain(own))
}

/// One of the many: they differ only in what they say.
fn example_of_a_bad_request() -> ApiError {
    let refusal = REFUSALS.iter().find(|refusal| refusal.code == "bad_request");
    (*refusal.expect("some request is bad")).into()
}

fn by_status(errors: impl IntoIterator<Item = ApiError>) -> BTreeMap<u16, Vec<ApiError>> {
    let mut sorted: BTreeMap<u16, Vec<ApiError>> = BTreeMap::new();
    for error in errors {
        sorted.entry(error.status).or_default().push(error);
    }
    sorted
}

/// The answer that is one of these errors, all of one status.
fn response(errors: &[ApiError]) -> Value {
    let mut codes: Vec<&str> = errors.iter().map(|error| error.code).collect();
    codes.dedup();
    let summaries: Vec<&str> = codes.iter().map(|code| error::summary(code)).collect();
    let mut examples = Map::new();
    for error in errors {
        let mut body = Vec::new();
        error.write(&mut body, RequestIds::new(0x5a0c_3d2e, 1).mint());
        let value: Value = serde_json::from_slice(&body).expect("we wrote it");
        let before = examples.keys().filter(|key| key.split('-').next() == Some(error.code)).count();
        let key = if before == 0 { error.code.to_owned() } else { format!("{}-{}", error.code, before + 1) };
        examples.insert(key, json!({ "summary": error.details, "value": value }));
    }
    let headers: Vec<&str> =
        errors.iter().filter_map(|error| error.header.as_ref()).map(|(name, _)| *name).take(1).collect();
    json!({
        "description": summaries.join(". "),
        "headers": with_headers(&headers),
        "content": { "application/json": {
            "schema": {
                "allOf": [{ "$ref": "#/components/schemas/Error" }],
                "properties": { "code": { "enum": codes } },
            },
            "examples": examples,
        } },
    })
}
