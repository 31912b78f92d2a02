//! Every error that the API answers: status, stable code, and texts for the caller.

use std::borrow::Cow;

use serde::Serialize;

use crate::http::{Refusal, RequestId};
use crate::lease::NameError;

/// An error, ready to be answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApiError {
    /// The status.
    pub status: u16,
    /// The stable code, for programs.
    pub code: &'static str,
    /// What was wrong, and what would be right, for people.
    pub details: Cow<'static, str>,
    /// The header that belongs to it, if any.
    pub header: Option<(&'static str, Cow<'static, str>)>,
}

#[derive(Serialize)]
struct Body<'a> {
    error: &'a str,
    details: &'a str,
    code: &'a str,
    request_id: &'a str,
}

impl ApiError {
    const fn new(status: u16, code: &'static str, details: &'static str) -> ApiError {
        ApiError { status, code, details: Cow::Borrowed(details), header: None }
    }

    fn with(self, name: &'static str, value: impl Into<Cow<'static, str>>) -> ApiError {
        ApiError { header: Some((name, value.into())), ..self }
    }

    /// The one line that goes with the code.
    pub fn summary(&self) -> &'static str {
        summary(self.code)
    }

    /// Writes the body.
    pub fn write(&self, body: &mut Vec<u8>, request_id: RequestId) {
        let id = request_id.to_hex();
        let request_id = str::from_utf8(&id).expect("hexadecimal digits");
        let shown = Body { error: summary(self.code), details: &self.details, code: self.code, request_id };
        serde_json::to_writer(body, &shown).expect("a Vec takes everything");
    }
}

impl From<Refusal> for ApiError {
    fn from(refusal: Refusal) -> ApiError {
        ApiError::new(refusal.status, refusal.code, refusal.details)
    }
}

/// The one line that goes with a code.
pub(super) fn summary(code: &str) -> &'static str {
    match code {
        "authentication_required" => "Authentication required",
        "authentication_failed" => "Authentication failed",
        "forbidden" => "Forbidden",
        "bad_request" => "Bad request",
        "invalid_json" => "Invalid JSON",
        "invalid_lock_name" => "Invalid lock name",
        "invalid_ttl" => "Invalid TTL",
        "invalid_metadata" => "Invalid metadata",
        "invalid_lease_id" => "Invalid lease id",
        "lock_not_found" => "Lock not found",
        "lease_not_current" => "Lease not current",
        "lock_limit_exceeded" => "Lock limit exceeded",
        "not_found" => "Not found",
        "method_not_allowed" => "Method not allowed",
        "payload_too_large" => "Payload too large",
        "uri_too_long" => "URI too long",
        "headers_too_large" => "Headers too large",
        "expectation_failed" => "Expectation failed",
        "not_implemented" => "Not implemented",
        "version_not_supported" => "HTTP version not supported",
        "request_timeout" => "Request timeout",
        "overloaded" => "Overloaded",
        "grace_period" => "Restored from a backup",
        "rate_limited" => "Rate limited",
        "sign_in_refused" => "Sign-in refused",
        "upstream_unavailable" => "Upstream unavailable",
        _ => "Internal error",
    }
}

/// The path leads nowhere.
pub fn not_found() -> ApiError {
    ApiError::new(
        404,
        "not_found",
        "there is nothing at this path; the locks are under /locks/{name}, and /docs describes all there is",
    )
}

/// The path has no such method. `allow` lists those it has.
pub fn method_not_allowed(allow: &'static str) -> ApiError {
    ApiError::new(405, "method_not_allowed", "this path does not take the method; the Allow header says which it takes")
        .with("Allow", allow)
}

/// No token was presented.
pub fn authentication_required() -> ApiError {
    ApiError::new(401, "authentication_required", "send the header 'Authorization: Bearer <token>'")
        .with("WWW-Authenticate", "Bearer")
}

/// The token is nobody's.
pub fn authentication_failed() -> ApiError {
    ApiError::new(401, "authentication_failed", "this server does not know the bearer token; it may have been replaced")
        .with("WWW-Authenticate", "Bearer")
}

/// The token cannot be rotated here, because it is not one that the server has issued.
pub fn configured_token() -> ApiError {
    ApiError::new(
        403,
        "forbidden",
        "this token was set by the server's operator (STATIC_TOKENS, the tokens file, or local.token), and can be \
         changed there only",
    )
}

/// Too many tokens that are nobody's have come from one address.
pub fn rate_limited(retry_after_s: u64) -> ApiError {
    ApiError::new(
        429,
        "rate_limited",
        "too many requests with unknown tokens have come from your address; a valid token is never refused for that",
    )
    .with("Retry-After", retry_after_s.to_string())
}

/// Too many sign-ins have been begun or ended from one address.
pub fn too_many_sign_ins(retry_after_s: u64) -> ApiError {
    ApiError::new(429, "rate_limited", "too many sign-ins come from your address; tokens that you have go on working")
        .with("Retry-After", retry_after_s.to_string())
}

/// Nobody can sign in.
pub fn no_sign_in() -> ApiError {
    ApiError::new(
        404,
        "not_found",
        "signing in with GitHub is not set up on this server; its operator can, with GITHUB_CLIENT_ID and \
         GITHUB_CLIENT_SECRET, or gives out tokens",
    )
}

/// A sign-in does not count.
pub fn sign_in_refused(details: &'static str) -> ApiError {
    ApiError::new(400, "sign_in_refused", details)
}

/// GitHub fails.
pub fn upstream(details: &'static str) -> ApiError {
    ApiError::new(502, "upstream_unavailable", details)
}

/// Too many sign-ins or rotations are waiting, or the server is about to end.
pub fn no_time_for_tokens() -> ApiError {
    let details = "the server cannot issue a token just now; a sign-in must begin again at /auth/github, and a token that \
                   was to be replaced may have been";
    ApiError::new(503, "overloaded", details).with("Retry-After", "5")
}

/// The body is no JSON object.
pub fn invalid_json(what: &str) -> ApiError {
    let details = Cow::Owned(format!("the body must be a JSON object, such as {{\"ttl_seconds\":60}}; {what}"));
    ApiError { details, ..ApiError::new(400, "invalid_json", "") }
}

/// The lock's name is none.
pub fn invalid_name(error: NameError) -> ApiError {
    ApiError { details: Cow::Owned(error.to_string()), ..ApiError::new(400, "invalid_lock_name", "") }
}

/// The lock's name cannot be percent-decoded.
pub fn bad_percent_encoding() -> ApiError {
    ApiError::new(400, "invalid_lock_name", "a % in the lock name must be followed by two hexadecimal digits")
}

/// The TTL is out of bounds, or no whole number.
pub fn invalid_ttl() -> ApiError {
    ApiError::new(400, "invalid_ttl", "ttl_seconds must be a whole number from 1 to 3600")
}

/// The metadata is no string, or too long.
pub fn invalid_metadata() -> ApiError {
    ApiError::new(400, "invalid_metadata", "metadata must be a string of at most 1024 bytes")
}

/// The lease id is no UUID.
pub fn invalid_lease_id() -> ApiError {
    ApiError::new(400, "invalid_lease_id", "lease_id must be a UUID such as 3fa85f64-5717-4562-b3fc-2c963f66afa6")
}

/// The lease id is missing where there must be one.
pub fn missing_lease_id() -> ApiError {
    ApiError::new(400, "invalid_lease_id", "the body must have the lease_id that acquire gave")
}

/// A query parameter makes no sense.
pub fn bad_query(details: &'static str) -> ApiError {
    ApiError::new(400, "bad_request", details)
}

/// Renew or release: nothing holds the lock.
pub fn lock_not_found() -> ApiError {
    ApiError::new(404, "lock_not_found", "nothing holds this lock; the lease may have run out")
}

/// Renew or release: another lease holds it.
pub fn lease_not_current() -> ApiError {
    ApiError::new(409, "lease_not_current", "another lease holds this lock; the one given has run out or was released")
}

/// Acquire: the user has as many locks as allowed.
pub fn lock_limit_exceeded() -> ApiError {
    ApiError::new(403, "lock_limit_exceeded", "you hold as many locks as a user may; release one, or let one run out")
}

/// Metrics: nobody may see them.
pub fn metrics_are_off() -> ApiError {
    ApiError::new(404, "not_found", "this server shows no metrics; its setting --metrics-access is off")
}

/// Metrics: only clients on the server's machine may see them.
pub fn metrics_are_local() -> ApiError {
    let details =
        "metrics are shown on the server's own machine only; --metrics-token-file lets others in with a token";
    ApiError::new(403, "forbidden", details)
}

/// Metrics: their token is missing.
pub fn metrics_token_required() -> ApiError {
    let details = "send the header 'Authorization: Bearer <token>' with the token for metrics";
    ApiError::new(401, "authentication_required", details).with("WWW-Authenticate", "Bearer")
}

/// Metrics: their token is another.
pub fn metrics_token_wrong() -> ApiError {
    let details = "this is not the token for metrics; it is one of its own, no user's";
    ApiError::new(401, "authentication_failed", details).with("WWW-Authenticate", "Bearer")
}

/// Too much is waiting.
pub fn overloaded() -> ApiError {
    ApiError::new(
        503,
        "overloaded",
        "the server has more to do than it can; nothing was changed, try again in a second",
    )
    .with("Retry-After", "1")
}

/// The journal has failed, and the process is about to end.
pub fn journal_failed() -> ApiError {
    ApiError::new(
        503,
        "overloaded",
        "the server cannot write to its disk and stops; whether this took effect is known after its restart",
    )
    .with("Retry-After", "5")
}

/// A backup was restored: leases that it does not know may still be believed, for so many seconds.
pub fn grace_period(left_s: u64) -> ApiError {
    let details = "this server was restored from a backup; until every lease granted before has run out it grants no lock: \
                   try again after the time in Retry-After";
    ApiError {
        header: Some(("Retry-After", Cow::Owned(left_s.to_string()))),
        ..ApiError::new(503, "grace_period", details)
    }
}

/// All connections are taken.
pub fn too_many_connections() -> ApiError {
    ApiError::new(503, "overloaded", "the server has as many connections as it takes; try again in a second")
        .with("Retry-After", "1")
}

/// The server is shutting down, or a commit has not succeeded in time.
pub fn unhealthy(details: &'static str) -> ApiError {
    ApiError::new(503, "overloaded", details).with("Retry-After", "1")
}

/// The request did not arrive in time.
pub fn request_timeout() -> ApiError {
    ApiError::new(408, "request_timeout", "the request did not arrive in time; send it again on a new connection")
}

/// All tokens below 2^53 have been given out.
pub fn tokens_exhausted() -> ApiError {
    ApiError::new(500, "internal_error", "this server has given out all fencing tokens below 2^53")
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_readme_and_the_description_name_every_code() {
        let source = include_str!("error.rs");
        let (_, table) = source.split_once("match code {").expect("the summaries");
        let (table, _) = table.split_once("_ =>").expect("their end");
        let codes: Vec<&str> =
            table.lines().filter_map(|line| line.trim().strip_prefix('"')?.split('"').next()).collect();
        assert!(codes.len() > 20, "the codes are not found: {codes:?}");
        let readme = include_str!("../../README.md");
        let (_, api) = readme.split_once("## The API by example").expect("the section");
        let (api, _) = api.split_once("\n## ").expect("its end");
        let described = crate::api::openapi::document().to_string();
        for code in codes.into_iter().chain(["internal_error"]) {
            let is_described = described.contains(&format!("\"{code}\"")) || described.contains(&format!(" {code}`"));
            assert!(is_described, "/openapi.json does not name {code}");
            assert!(api.contains(&format!("`{code}`")), "README's section on the API does not name `{code}`");
        }
    }
}
