//! The routes. A path is split at its slashes first and percent-decoded after, once, piece by piece.
//!
//! There are three tables, and nothing is served that is in none of them: the verbs of a lock, what is at one path, and
//! the [pages](super::pages). The API's description is checked against them.

use std::borrow::Cow;

use super::error::{self, ApiError};
use super::pages::{self, Page};
use crate::http::Method;
use crate::metrics::Route as Label;

/// What a path and a method lead to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Route<'a> {
    /// `/health`
    Health,
    /// `/locks`
    List,
    /// `/auth/github`
    BeginSignIn,
    /// `/auth/github/callback`
    FinishSignIn,
    /// `/auth/token/rotate`
    Rotate,
    /// `/locks/{name}` and what is below it. The name is as it was sent.
    Lock { name: &'a str, verb: Verb },
    /// `/metrics`
    Metrics,
    /// `/openapi.json`
    OpenApi,
    /// A page, or a part of one.
    Page(&'static Page),
}

/// What can be done to a lock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verb {
    Acquire,
    Renew,
    Release,
    Status,
}

/// The methods that a path takes, as an Allow header lists them.
pub(super) type Allow = &'static str;

pub(super) const GET: Allow = "GET, HEAD";
pub(super) const POST: Allow = "POST";
/// What changes something is not for HEAD, which must not.
pub(super) const GET_ALONE: Allow = "GET";

/// What is at one path.
pub(super) const FIXED: [(&str, Route<'static>, Allow); 7] = [
    ("/health", Route::Health, GET),
    ("/locks", Route::List, GET),
    ("/metrics", Route::Metrics, GET),
    ("/openapi.json", Route::OpenApi, GET),
    ("/auth/github", Route::BeginSignIn, GET_ALONE),
    ("/auth/github/callback", Route::FinishSignIn, GET_ALONE),
    ("/auth/token/rotate", Route::Rotate, POST),
];

/// What follows the name of a lock in `/locks/{name}`.
pub(super) const OF_A_LOCK: [(&str, Verb, Allow); 4] = [
    ("/acquire", Verb::Acquire, POST),
    ("/renew", Verb::Renew, POST),
    ("/release", Verb::Release, POST),
    ("", Verb::Status, GET),
];

/// The route of a path.
///
/// # Errors
/// 404 if there is none, 405 if the path has it under another method.
pub(super) fn find(method: Method, path: &str) -> Result<Route<'_>, ApiError> {
    let (route, allow) = look_up(path)?;
    let allowed = match method {
        Method::Get => allow == GET || allow == GET_ALONE,
        Method::Head => allow == GET,
        Method::Post => allow == POST,
        Method::Other => false,
    };
    if allowed { Ok(route) } else { Err(error::method_not_allowed(allow)) }
}

/// What the metrics call a path.
pub(super) fn label(path: &str) -> Label {
    match look_up(path).map(|(route, _)| route) {
        Ok(Route::Lock { verb: Verb::Acquire, .. }) => Label::Acquire,
        Ok(Route::Lock { verb: Verb::Renew, .. }) => Label::Renew,
        Ok(Route::Lock { verb: Verb::Release, .. }) => Label::Release,
        Ok(Route::Lock { verb: Verb::Status, .. }) => Label::Status,
        Ok(Route::List) => Label::List,
        Ok(Route::Health) => Label::Health,
        Ok(Route::Metrics) => Label::Metrics,
        Ok(Route::OpenApi | Route::Page(_)) => Label::Pages,
        Ok(Route::BeginSignIn | Route::FinishSignIn | Route::Rotate) => Label::Auth,
        Err(_) => Label::None,
    }
}

fn look_up(path: &str) -> Result<(Route<'_>, Allow), ApiError> {
    Ok(match path.strip_prefix("/locks/") {
        Some(rest) => {
            let slash = rest.bytes().position(|byte| byte == b'/');
            let (name, verb) = rest.split_at(slash.unwrap_or(rest.len()));
            let (_, verb, allow) = OF_A_LOCK.iter().find(|row| row.0 == verb).ok_or_else(error::not_found)?;
            (Route::Lock { name, verb: *verb }, *allow)
        }
        // `OPTIONS *` asks after the server as a whole.
        None if path == "*" => return Err(error::method_not_allowed("GET, HEAD, POST")),
        None => match FIXED.iter().find(|row| row.0 == path) {
            Some((_, route, allow)) => (*route, *allow),
            None => (Route::Page(pages::ALL.iter().find(|p| p.path == path).ok_or_else(error::not_found)?), GET),
        },
    })
}

/// The value of a query parameter, decoded; None if it is not there.
///
/// # Errors
/// It comes twice, or cannot be decoded.
pub(super) fn parameter(query: Option<&str>, name: &str) -> Result<Option<String>, ()> {
    let pairs = query.unwrap_or("").split('&').map(|pair| pair.split_once('=').unwrap_or((pair, "")));
    let mut values = pairs.filter(|(key, _)| *key == name).map(|(_, value)| value);
    let Some(value) = values.next() else { return Ok(None) };
    match values.next() {
        None => percent_decoded(value).map(|value| Some(value.into_owned())).ok_or(()),
        Some(_) => Err(()),
    }
}

/// The text with its `%XX` decoded, once. None if a `%` has no two hexadecimal digits after it, or if what
/// comes out is no UTF-8.
pub(super) fn percent_decoded(text: &str) -> Option<Cow<'_, str>> {
    if !text.bytes().any(|byte| byte == b'%') {
        return Some(Cow::Borrowed(text));
    }
    let mut decoded = Vec::with_capacity(text.len());
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        decoded.push(if byte == b'%' { hex(bytes.next()?)? << 4 | hex(bytes.next()?)? } else { byte });
    }
    String::from_utf8(decoded).ok().map(Cow::Owned)
}

fn hex(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).map(|value| value as u8)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_lead_to_routes() {
        let lock = |name, verb| Ok(Route::Lock { name, verb });
        assert_eq!(find(Method::Get, "/health"), Ok(Route::Health));
        assert!(matches!(find(Method::Head, "/docs"), Ok(Route::Page(page)) if page.path == "/docs"));
        assert_eq!(find(Method::Post, "/locks//acquire"), lock("", Verb::Acquire));
        assert_eq!(find(Method::Head, "/locks"), Ok(Route::List));
        assert_eq!(find(Method::Get, "/locks/a"), lock("a", Verb::Status));
        assert_eq!(find(Method::Get, "/locks/"), lock("", Verb::Status));
        assert_eq!(find(Method::Post, "/locks/a%2Fb/acquire"), lock("a%2Fb", Verb::Acquire));
        assert_eq!(find(Method::Post, "/locks/a/renew"), lock("a", Verb::Renew));
        assert_eq!(find(Method::Post, "/locks/a/release"), lock("a", Verb::Release));
        for nowhere in [
            "",
            "/docs/",
            "/lock",
            "/locks//acquire/",
            "/locks/a/b",
            "/locks/a/acquire/",
            "/Health",
            "/health/",
            "/locks/a/Acquire",
        ] {
            assert_eq!(find(Method::Get, nowhere), Err(error::not_found()), "{nowhere}");
        }
    }

    #[test]
    fn a_known_path_under_another_method_says_which_are_allowed() {
        assert_eq!(find(Method::Post, "/health"), Err(error::method_not_allowed(GET)));
        assert_eq!(find(Method::Get, "/locks/a/acquire"), Err(error::method_not_allowed(POST)));
        assert_eq!(find(Method::Head, "/auth/github/callback"), Err(error::method_not_allowed(GET_ALONE)));
        assert_eq!(find(Method::Other, "/locks/a"), Err(error::method_not_allowed(GET)));
    }

    #[test]
    fn percent_encoding_is_decoded_once_and_strictly() {
        assert_eq!(percent_decoded("job-1").as_deref(), Some("job-1"));
        assert_eq!(percent_decoded("%6aob%2D1").as_deref(), Some("job-1"));
        assert_eq!(percent_decoded("%2561").as_deref(), Some("%61"));
        assert_eq!(percent_decoded("%C3%A9").as_deref(), Some("é"));
        for bad in ["%", "a%6", "%zz", "%+1", "%ff"] {
            assert_eq!(percent_decoded(bad), None, "{bad}");
        }
    }
}
