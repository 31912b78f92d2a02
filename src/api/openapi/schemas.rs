//! The shapes of bodies. An answer has exactly the members described; a request may have more, which are ignored.

use serde_json::{Map, Value, json};

use crate::lease::MAX_METADATA_BYTES;

/// A time as answers have it.
pub(super) const TIME: &str = "2026-11-23T07:41:21.694Z";
/// A lease.
pub(super) const LEASE: &str = "1c7032dd-8fd0-4501-894a-af874480b316";
/// A user.
pub(super) const USER: &str = "b48137bc-ede9-474d-8e1c-a3a4a7d63c9e";

/// All schemas, by name.
pub(super) fn all() -> Value {
    let named = [
        ("AcquireRequest", acquire_request()),
        ("RenewRequest", renew_request()),
        ("ReleaseRequest", release_request()),
        ("Acquired", acquired()),
        ("Held", held()),
        ("Renewed", renewed()),
        ("Released", released()),
        ("LockStatus", json!({ "oneOf": [lock_held(), lock_free()], "description": "How a lock stands." })),
        ("LockList", lock_list()),
        ("Lock", lock()),
        ("NoMembers", json!({ "type": "object", "description": "No member of it counts." })),
        ("Token", token()),
        ("Health", health()),
        ("Error", error()),
    ];
    named.into_iter().map(|(name, schema)| (name.to_owned(), schema)).collect::<Map<_, _>>().into()
}

/// An object with these members and no others.
fn exactly(description: &str, members: Value) -> Value {
    let names: Vec<&String> = members.as_object().expect("an object").keys().collect();
    json!({
        "type": "object",
        "description": description,
        "required": names,
        "properties": members,
        "additionalProperties": false,
    })
}

/// The name of a lock.
pub(super) fn name() -> Value {
    json!({
        "type": "string",
        "minLength": 1,
        "maxLength": 128,
        "pattern": "^([a-zA-Z0-9-]|\\.[a-zA-Z0-9-]|\\.\\.[a-zA-Z0-9.-])[a-zA-Z0-9.-]*$",
        "description": "Letters, digits, '.' and '-', but neither '.' nor '..' alone.",
    })
}

fn token() -> Value {
    exactly(
        "A token, for the one time it is shown.",
        json!({
            "token": { "type": "string", "pattern": "^[A-Za-z0-9_-]{43}$", "description": "What to send as bearer token." },
            "user_id": uuid("What others see of you, as `holder_id`."),
            "github_username": {
                "type": ["string", "null"],
                "description": "What you are called at GitHub, if you signed in there.",
            },
        }),
    )
}

fn uuid(description: &str) -> Value {
    json!({ "type": "string", "format": "uuid", "description": description })
}

fn ttl(description: &str) -> Value {
    json!({ "type": ["integer", "null"], "minimum": 1, "maximum": 3600, "description": description })
}

/// The deadline on the wall clock.
fn expires_at() -> Value {
    json!({
        "type": "string",
        "format": "date-time",
        "pattern": "^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\\.[0-9]{3}Z$",
        "description": "When the lease runs out if it is not renewed, for people: RFC 3339 in UTC.",
    })
}

fn fencing_token() -> Value {
    json!({
        "type": "integer",
        "format": "int64",
        "minimum": 1,
        "maximum": (1_u64 << 53) - 1,
        "description": "Rises with every lease, across all locks and restarts; always below 2^53.",
    })
}

fn metadata() -> Value {
    json!({ "type": ["string", "null"], "description": "What the holder said with its acquire." })
}

fn acquire_request() -> Value {
    json!({
        "type": "object",
        "properties": {
            "ttl_seconds": ttl("How long the lease is to last. 60 if absent."),
            "metadata": {
                "type": ["string", "null"],
                "maxLength": MAX_METADATA_BYTES,
                "description": "Shown to whoever asks after the lock. At most 1,024 bytes in UTF-8.",
            },
            "lease_id": {
                "type": ["string", "null"],
                "format": "uuid",
                "pattern": UUID,
                "description": "The id that the lease is to have, for a safe retry: make a random UUID for each attempt, \
                                and send the same again if the answer was lost. If the caller holds the lock under this id, \
                                it is acquired again with the same token. Absent: the server makes one.",
            },
        },
    })
}

/// A UUID as it may be sent.
const UUID: &str = "^[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}$";

fn lease_id_needed() -> Value {
    json!({ "type": "string", "format": "uuid", "pattern": UUID, "description": "The lease, as acquire named it." })
}

fn renew_request() -> Value {
    json!({
        "type": "object",
        "required": ["lease_id"],
        "properties": {
            "lease_id": lease_id_needed(),
            "ttl_seconds": ttl("How long the lease is to last from now. Absent: as long as it was last given."),
        },
    })
}

fn release_request() -> Value {
    json!({ "type": "object", "required": ["lease_id"], "properties": { "lease_id": lease_id_needed() } })
}

fn acquired() -> Value {
    let members = json!({
        "status": { "const": "acquired" },
        "lease_id": uuid("The lease: renew and release ask for it. Keep it to yourself."),
        "fencing_token": fencing_token(),
        "expires_at": expires_at(),
        "metadata": metadata(),
        "ttl_seconds": { "type": "integer", "minimum": 1, "maximum": 3600, "description": "How long the lease lasts." },
    });
    exactly("The lock is the caller's.", members)
}

fn held() -> Value {
    let members = json!({
        "status": { "const": "held" },
        "holder_id": uuid("The public id of the user who holds it."),
        "expires_at": expires_at(),
        "metadata": metadata(),
        "retry_after_ms": { "type": "integer", "minimum": 1, "description": "When the lease runs out, unless it is renewed." },
    });
    exactly("Another lease has the lock; it may be one of the same user.", members)
}

fn renewed() -> Value {
    let members = json!({
        "status": { "const": "renewed" },
        "lease_id": uuid("The lease."),
        "fencing_token": fencing_token(),
        "expires_at": expires_at(),
        "ttl_seconds": { "type": "integer", "minimum": 1, "maximum": 3600, "description": "How long the lease lasts from now." },
    });
    exactly("The lease runs from now again.", members)
}

fn released() -> Value {
    let members = json!({
        "status": { "const": "released" },
        "name": name(),
        "lease_id": uuid("The lease that has ended."),
    });
    exactly("The lock is free.", members)
}

fn lock_held() -> Value {
    let members = json!({
        "name": name(),
        "status": { "const": "held" },
        "holder_id": uuid("The public id of the user who holds it."),
        "fencing_token": fencing_token(),
        "expires_at": expires_at(),
        "metadata": metadata(),
    });
    exactly("Somebody holds it.", members)
}

fn lock_free() -> Value {
    let nothing = json!({ "type": "null" });
    let members = json!({
        "name": name(),
        "status": { "const": "free" },
        "holder_id": nothing,
        "fencing_token": nothing,
        "expires_at": nothing,
        "metadata": nothing,
    });
    exactly("Nobody holds it.", members)
}

fn lock_list() -> Value {
    let members = json!({
        "locks": { "type": "array", "maxItems": 1000, "items": { "$ref": "#/components/schemas/Lock" } },
        "total": { "type": "integer", "minimum": 0, "description": "How many there are on all pages together." },
        "next_cursor": { "type": ["string", "null"], "description": "Leads to the next page; null on the last one." },
    });
    exactly("A page of the caller's own locks, by name.", members)
}

fn lock() -> Value {
    let members = json!({
        "name": name(),
        "lease_id": uuid("The lease."),
        "fencing_token": fencing_token(),
        "expires_at": expires_at(),
        "metadata": metadata(),
    });
    exactly("A lock that the caller holds.", members)
}

fn health() -> Value {
    let members = json!({
        "status": { "const": "ok" },
        "version": { "type": "string", "description": "The version of the server." },
        "driver": { "enum": ["io_uring", "epoll"], "description": "How the kernel tells it what has happened." },
        "workers": { "type": "integer", "minimum": 1, "description": "How many cores serve." },
        "uptime_seconds": { "type": "integer", "minimum": 0, "description": "Since its start." },
    });
    exactly("A commit to the disk has just succeeded.", members)
}

fn error() -> Value {
    let members = json!({
        "error": { "type": "string", "description": "What happened, in a few words." },
        "details": { "type": "string", "description": "What was wrong, and what would be right." },
        "code": { "type": "string", "description": "Stable: for programs." },
        "request_id": { "type": "string", "description": "As in X-Request-Id." },
    });
    exactly("Nothing was done, unless the details say otherwise.", members)
}
