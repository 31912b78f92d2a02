//! `GET /openapi.json`: the API as an OpenAPI 3.1 document.
//!
//! It is put together from what is served, so that the two cannot part: the errors of an operation are the errors
//! themselves, texts and all, and the refusals of the HTTP side are its own table. What is written out by hand, the shapes of
//! bodies in [`schemas`] and the paths in [`operations`], is held against the routes, the types and every answer
//! that the black-box tests get to see: one that is not described fails its test.
//!
//! The document never changes while the program runs. It is made when it is first asked for, and kept.

mod operations;
mod responses;
mod schemas;
mod tokens;

use std::sync::LazyLock;

use serde_json::{Map, Value, json};

use super::pages::Page;
use super::{Answer, pages};
use crate::http::Fields;
use operations::Operation;

/// What the document says of the API as a whole.
const ABOUT: &str = "\
Locks for programs on different machines. A lock is a name; a **lease** on it runs out by itself unless it is renewed. \
Every lease has a **fencing token**, a number that only ever rises: hand it to whatever the lock protects, which \
refuses a number lower than one it has seen. No answer leaves the server before what it says is on disk.

Send `Authorization: Bearer <token>`. Bodies are JSON, whatever their Content-Type; members that are not described \
are ignored, and null means absent. Every answer has an `X-Request-Id`; errors carry it in their body too. \
HEAD is answered as GET is, without the body.

**Errors** have a stable `code`, for programs, and `details`, for people. Besides those of each operation: \
`404 not_found` for a path that is not listed here, `405 method_not_allowed` (with an Allow header) for a method \
that a path does not take, and `501 not_implemented` for a method that the server does not know.

**Count a lease from when you sent the request**, for `ttl_seconds`: the server counts from later on. `expires_at` \
is for people.";

static SERVED: LazyLock<Page> = LazyLock::new(|| {
    let text = document().to_string();
    Page::made("/openapi.json", "application/json", text.into_bytes())
});

/// The answer to a client that asks for the document.
pub(super) fn answer(fields: Fields<'_>) -> Answer {
    pages::answer(&SERVED, fields)
}

/// The document.
pub fn document() -> Value {
    let mut paths = Map::new();
    for operation in operations::all() {
        let path = paths.entry(operation.path).or_insert_with(|| json!({}));
        path[operation.method] = describe(&operation);
    }
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "OctoStore",
            "summary": "Distributed locks over HTTP, with fencing tokens.",
            "description": ABOUT,
            "version": env!("CARGO_PKG_VERSION"),
            "license": { "name": "MIT", "identifier": "MIT" },
        },
        "servers": [{ "url": ".", "description": "This server" }],
        "tags": [
            { "name": "Locks", "description": "Acquire, renew, release, and look." },
            { "name": "Tokens", "description": "Sign in with GitHub, where the operator has set it up, and replace a token." },
            { "name": "System", "description": "How the server is." },
            { "name": "Pages", "description": "For people, and this document." },
        ],
        "paths": paths,
        "components": {
            "securitySchemes": {
                "token": {
                    "type": "http",
                    "scheme": "bearer",
                    "description": "A token of this server: sign in at /auth/github, or the operator gives it to you. Where nothing was configured, it \
                                    is in the file `local.token` beside the database.",
                },
            },
            "schemas": schemas::all(),
            "headers": responses::headers(),
            "responses": responses::shared(),
        },
    })
}

fn describe(operation: &Operation) -> Value {
    let mut described = json!({
        "operationId": operation.id,
        "tags": [operation.tag],
        "summary": operation.summary,
        "description": operation.description,
    });
    if !operation.parameters.is_empty() {
        described["parameters"] = operation.parameters.clone().into();
    }
    if let Some(body) = &operation.body {
        described["requestBody"] = body.clone();
    }
    described["responses"] = responses::of(operation);
    described["security"] = if operation.needs_token { json!([{ "token": [] }]) } else { json!([]) };
    described
}

#[cfg(test)]
#[path = "openapi/tests.rs"]
mod tests;
