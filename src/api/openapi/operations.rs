//! The operations: what is at which path, what it takes, and how it may end.

use serde_json::{Value, json};

use super::responses::with_headers;
use super::schemas::{self, LEASE, TIME, USER};
use super::tokens;
use crate::api::error::{self, ApiError};
use crate::api::pages;
use crate::lease::NameError;
use crate::metrics;

/// One method on one path.
pub(super) struct Operation {
    pub path: &'static str,
    /// In lower case, as the document has it.
    pub method: &'static str,
    pub id: &'static str,
    pub tag: &'static str,
    pub summary: &'static str,
    pub description: &'static str,
    pub needs_token: bool,
    /// Whether a browser gets pages instead of JSON.
    pub has_pages: bool,
    pub parameters: Vec<Value>,
    pub body: Option<Value>,
    /// What is answered that is no error, by status.
    pub answers: Vec<(u16, Value)>,
    /// All errors that this operation has for reasons of its own.
    pub errors: Vec<ApiError>,
}

/// All of them, in the order in which they are to be read.
pub(super) fn all() -> Vec<Operation> {
    let mut all = vec![acquire(), renew(), release(), status(), list()];
    all.extend(tokens::all());
    all.extend([health(), metrics(), openapi()]);
    all.extend(pages::ALL.iter().map(|page| self::page(page.path, page.content_type, page.has_gzip())));
    all
}

/// What all operations on one lock share.
fn of_a_lock(path: &'static str, method: &'static str) -> Operation {
    let mut errors = unauthenticated();
    errors.extend([error::bad_percent_encoding(), error::invalid_name(NameError::Character)]);
    let name = json!({
        "name": "name",
        "in": "path",
        "required": true,
        "description": "The name of the lock. All users share one space of names.",
        "schema": schemas::name(),
        "example": "nightly-report",
    });
    Operation {
        path,
        method,
        id: "",
        tag: "Locks",
        summary: "",
        description: "",
        needs_token: true,
        has_pages: false,
        parameters: vec![name],
        body: None,
        answers: Vec::new(),
        errors,
    }
}

fn acquire() -> Operation {
    let mut of_a_lock = of_a_lock("/locks/{name}/acquire", "post");
    of_a_lock.errors.extend([
        error::invalid_json("EOF while parsing an object at line 1 column 1"),
        error::invalid_ttl(),
        error::invalid_metadata(),
        error::invalid_lease_id(),
        error::lock_limit_exceeded(),
        error::grace_period(1800),
        error::tokens_exhausted(),
    ]);
    let acquired = json!({ "status": "acquired", "lease_id": LEASE, "fencing_token": 2, "expires_at": TIME,
        "metadata": "host-1", "ttl_seconds": 300 });
    let held = json!({ "status": "held", "holder_id": USER, "expires_at": TIME, "metadata": "host-1",
        "retry_after_ms": 299_990 });
    Operation {
        id: "acquireLock",
        summary: "Acquire a lock",
        description: "Takes the lock if nobody holds it. A lock that is held is a 409, for the user who holds it too: \
                      exclusion is per lease. With the `lease_id` of a lease that the caller holds, it is a retry: the \
                      same lease and token, and the time runs from now again.",
        body: Some(body("AcquireRequest", false, json!({ "ttl_seconds": 300, "metadata": "host-1" }))),
        answers: vec![
            (200, answer("The lock is yours", "Acquired", &[], acquired)),
            (409, answer("The lock is held", "Held", &["Retry-After"], held)),
        ],
        ..of_a_lock
    }
}

fn renew() -> Operation {
    let mut of_a_lock = of_a_lock("/locks/{name}/renew", "post");
    of_a_lock.errors.extend([
        error::invalid_json("it is empty"),
        error::invalid_ttl(),
        error::invalid_lease_id(),
        error::missing_lease_id(),
        error::lock_not_found(),
        error::lease_not_current(),
    ]);
    let renewed = json!({ "status": "renewed", "lease_id": LEASE, "fencing_token": 2, "expires_at": TIME,
        "ttl_seconds": 300 });
    Operation {
        id: "renewLock",
        summary: "Renew a lease",
        description: "The lease runs from now, for `ttl_seconds` or as long as it was last given; it may end sooner than \
                      before. Renew at a third of the TTL or so, to have time for a second try.",
        body: Some(body("RenewRequest", true, json!({ "lease_id": LEASE, "ttl_seconds": 300 }))),
        answers: vec![(200, answer("The lease goes on", "Renewed", &[], renewed))],
        ..of_a_lock
    }
}

fn release() -> Operation {
    let mut of_a_lock = of_a_lock("/locks/{name}/release", "post");
    of_a_lock.errors.extend([
        error::invalid_json("it is empty"),
        error::invalid_lease_id(),
        error::missing_lease_id(),
        error::lock_not_found(),
        error::lease_not_current(),
    ]);
    let released = json!({ "status": "released", "name": "nightly-report", "lease_id": LEASE });
    Operation {
        id: "releaseLock",
        summary: "Release a lock",
        description: "Ends the lease: the lock is free at once.",
        body: Some(body("ReleaseRequest", true, json!({ "lease_id": LEASE }))),
        answers: vec![(200, answer("The lock is free", "Released", &[], released))],
        ..of_a_lock
    }
}

fn status() -> Operation {
    let held = json!({ "name": "nightly-report", "status": "held", "holder_id": USER, "fencing_token": 2,
        "expires_at": TIME, "metadata": "host-1" });
    Operation {
        id: "getLock",
        summary: "Look at a lock",
        description: "Who holds it, and until when. A name that was never used is free.",
        answers: vec![(200, answer("How the lock stands", "LockStatus", &[], held))],
        ..of_a_lock("/locks/{name}", "get")
    }
}

fn list() -> Operation {
    let query = |name, description, schema, example| -> Value {
        json!({ "name": name, "in": "query", "description": description, "schema": schema, "example": example })
    };
    let row = json!({ "name": "nightly-report", "lease_id": LEASE, "fencing_token": 2, "expires_at": TIME,
        "metadata": "host-1" });
    let locks = json!({ "locks": [row], "total": 3, "next_cursor": "bmlnaHRseS1yZXBvcnQ" });
    let limit = json!({ "type": "integer", "minimum": 1, "maximum": 1000, "default": 100 });
    let errors = [
        error::bad_query("limit must be a whole number from 1 to 1000"),
        error::bad_query("prefix, limit and cursor may be given once each"),
    ];
    Operation {
        path: "/locks",
        id: "listLocks",
        summary: "List your own locks",
        description: "Page by page, sorted by name.",
        parameters: vec![
            query("prefix", "Only locks whose names begin with this.", json!({ "type": "string" }), json!("nightly-")),
            query("limit", "How many at most.", limit, json!(100)),
            query(
                "cursor",
                "The `next_cursor` of the page before; leave it out for the first page.",
                json!({ "type": "string", "pattern": CURSOR }),
                json!(""),
            ),
        ],
        answers: vec![(200, answer("A page of locks", "LockList", &[], locks))],
        errors: unauthenticated().into_iter().chain(errors).collect(),
        ..of_a_lock("/locks", "get")
    }
}

fn health() -> Operation {
    let health = json!({ "status": "ok", "version": env!("CARGO_PKG_VERSION"), "driver": "io_uring", "workers": 4,
        "uptime_seconds": 86400 });
    Operation {
        id: "getHealth",
        tag: "System",
        summary: "Ask whether the server is well",
        description: "200 only after a commit to the disk has succeeded; 503 while the server is shutting down, if no \
                      commit has succeeded for two seconds, or if a worker has given no sign of life for as long.",
        answers: vec![(200, answer("All is well", "Health", &[], health))],
        errors: vec![
            error::unhealthy("no commit to the disk has succeeded for two seconds"),
            error::unhealthy("a worker has given no sign of life for two seconds"),
            error::unhealthy("the server is shutting down"),
        ],
        ..for_everybody("/health")
    }
}

fn metrics() -> Operation {
    let found = json!({
        "description": "Prometheus' text format, version 0.0.4",
        "headers": with_headers(&[]),
        "content": { metrics::Page::CONTENT_TYPE: { "schema": { "type": "string" }, "example": "octostore_locks_held 42\n" } },
    });
    Operation {
        id: "getMetrics",
        tag: "System",
        summary: "Read the figures, for Prometheus",
        description: "Open to clients on the server's own machine, elsewhere behind a bearer token of its own: both are \
                      settings. A user's token does not open it.",
        answers: vec![(200, found)],
        errors: vec![
            error::metrics_token_required(),
            error::metrics_token_wrong(),
            error::metrics_are_local(),
            error::metrics_are_off(),
            error::rate_limited(42),
        ],
        ..for_everybody("/metrics")
    }
}

fn openapi() -> Operation {
    Operation {
        id: "getOpenApi",
        summary: "This document",
        description: "OpenAPI 3.1.",
        ..page("/openapi.json", "application/json", false)
    }
}

/// A page, or a part of one.
fn page(path: &'static str, content_type: &str, has_gzip: bool) -> Operation {
    let (id, summary) = match path {
        "/" => ("getHome", "What this is"),
        "/docs" => ("getDocs", "This document, to be read and tried"),
        "/favicon.ico" => ("getIcon", "The icon"),
        "/home.js" => ("getHomeScript", "A part of /"),
        "/style.css" => ("getStyle", "A part of the pages"),
        "/docs/docs.css" => ("getDocsStyle", "A part of /docs"),
        "/docs/docs.js" => ("getDocsScript", "A part of /docs"),
        "/docs/swagger-ui.css" => ("getSwaggerUiStyle", "A part of /docs: Swagger UI"),
        "/docs/swagger-ui-bundle.js" => ("getSwaggerUi", "A part of /docs: Swagger UI"),
        _ => ("", ""),
    };
    let is_html = content_type.starts_with("text/html");
    let policy: &[&str] = if is_html { &["Content-Security-Policy"] } else { &[] };
    let (varies, coding): (&[&str], &[&str]) = if has_gzip { (&["Vary"], &["Content-Encoding"]) } else { (&[], &[]) };
    let kept = [&["ETag", "Cache-Control", "X-Content-Type-Options", "Referrer-Policy"], varies].concat();
    let whole = [&kept, policy, coding].concat();
    let (schema, example) = match content_type {
        "application/json" => (json!({ "type": "object" }), json!({ "openapi": "3.1.0" })),
        _ => (json!({ "type": "string" }), json!(if is_html { "<!doctype html>…" } else { "…" })),
    };
    let found = json!({
        "description": "It follows",
        "headers": with_headers(&whole),
        "content": { content_type: { "schema": schema, "example": example } },
    });
    let same = json!({ "description": "The client has it already", "headers": with_headers(&kept) });
    Operation {
        id,
        tag: "Pages",
        summary,
        description: "Sent by gzip to a client that takes it.",
        parameters: vec![json!({
            "name": "If-None-Match",
            "in": "header",
            "description": "The ETag of what the client has: if it is still the same, the answer is 304.",
            "schema": { "type": "string" },
            "example": "\"5d2a1c0b3e8\"",
        })],
        answers: vec![(200, found), (304, same)],
        ..for_everybody(path)
    }
}

/// What base64url makes of ASCII: all that a cursor can be.
const CURSOR: &str = "^([A-Za-f][A-HQ-Xg-nw-z0-3][ABEFIJMNQRUVYZcdghklopstwx014589][A-Za-z0-9_-])*\
                      ([A-Za-f][AQgw]|[A-Za-f][A-HQ-Xg-nw-z0-3][AEIMQUYcgkosw048])?$";

/// A GET that needs no token.
pub(super) fn for_everybody(path: &'static str) -> Operation {
    Operation { needs_token: false, parameters: Vec::new(), errors: Vec::new(), ..of_a_lock(path, "get") }
}

pub(super) fn unauthenticated() -> Vec<ApiError> {
    vec![error::authentication_required(), error::authentication_failed(), error::rate_limited(42)]
}

pub(super) fn body(schema: &str, required: bool, example: Value) -> Value {
    let schema = json!({ "$ref": format!("#/components/schemas/{schema}") });
    json!({ "required": required, "content": { "application/json": { "schema": schema, "example": example } } })
}

pub(super) fn answer(description: &str, schema: &str, headers: &[&str], example: Value) -> Value {
    let schema = json!({ "$ref": format!("#/components/schemas/{schema}") });
    json!({
        "description": description,
        "headers": with_headers(headers),
        "content": { "application/json": { "schema": schema, "example": example } },
    })
}
