//! `/auth/github`, its callback, and `/auth/token/rotate`: what the answers look like, to a person and to a program.
//!
//! A page shows a token, so it is as closed as a page can be: nothing from anywhere else, only this style and this script
//! (by their hashes), not kept by any cache, not framed, and no referrer.

use std::borrow::Cow;
use std::sync::LazyLock;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::Serialize;
use sha2::{Digest, Sha256};

use super::Answer;
use super::error::{self, ApiError};
use super::json::{Id, write};
use super::route::parameter;
use crate::http::Request;
use crate::mesh::Issued;

const STYLE: &str = concat!(include_str!("pages/style.css"), include_str!("pages/sign-in.css"));
const SCRIPT: &str = include_str!("pages/sign-in.js");
const TOKEN_PAGE: &str = include_str!("pages/token.html");
const ERROR_PAGE: &str = include_str!("pages/error.html");

const HTML: &str = "text/html; charset=utf-8";
const NO_STORE: (&str, Cow<'static, str>) = ("Cache-Control", Cow::Borrowed("no-store"));

/// What a browser is allowed on the pages.
static POLICY: LazyLock<String> = LazyLock::new(|| {
    let hash = |text: &str| STANDARD.encode(Sha256::digest(text));
    format!(
        "default-src 'none'; style-src 'sha256-{}'; script-src 'sha256-{}'; base-uri 'none'; form-action 'none'; \
         frame-ancestors 'none'",
        hash(STYLE),
        hash(SCRIPT)
    )
});

/// What a browser has brought back from GitHub.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Returned {
    /// Good for one exchange.
    pub code: String,
    /// What it was sent away with.
    pub state: String,
}

#[derive(Serialize)]
struct TokenBody<'a> {
    token: &'a str,
    user_id: Id,
    github_username: Option<&'a str>,
}

/// What the query of the callback may say.
pub(super) const PARAMETERS: [&str; 3] = ["code", "state", "error"];

/// The query of the callback.
///
/// # Errors
/// GitHub says that the user refused, or something is missing.
pub(super) fn returned(query: Option<&str>) -> Result<Returned, ApiError> {
    let read =
        |name| parameter(query, name).map_err(|()| error::bad_query("a query parameter is malformed or comes twice"));
    let [code, state, error] = PARAMETERS.map(read);
    match error?.as_deref() {
        None => {}
        Some("access_denied") => return Err(error::sign_in_refused("you did not allow it at GitHub; sign in again")),
        Some("redirect_uri_mismatch") => {
            return Err(error::upstream(
                "GitHub knows another redirect URI of this server; its operator must correct it",
            ));
        }
        Some(_) => return Err(error::sign_in_refused("GitHub has refused; sign in again")),
    }
    let wanted =
        |value: Option<String>, what| value.filter(|value| !value.is_empty()).ok_or_else(|| error::bad_query(what));
    Ok(Returned {
        code: wanted(code?, "the code parameter is missing; begin at /auth/github")?,
        state: wanted(state?, "the state parameter is missing; begin at /auth/github")?,
    })
}

/// Whether a person is asking: a browser that wants a page.
pub fn wants_page(request: &Request<'_>) -> bool {
    let is_html = |value: &[u8]| value.split(|b| *b == b',').any(|kind| kind.trim_ascii().starts_with(b"text/html"));
    request.fields.named("Accept").any(is_html)
}

/// Sends a browser to GitHub.
pub fn departure(location: String, cookie: String) -> Answer {
    Answer::with(302, "text/plain", [("Location", location.into()), ("Set-Cookie", cookie.into()), NO_STORE])
}

/// Writes a token, for the one time it is shown.
pub fn token(body: &mut Vec<u8>, issued: &Issued, as_page: bool) -> Answer {
    if !as_page {
        let github_username = issued.login.as_deref();
        write(body, &TokenBody { token: &issued.token, user_id: Id(issued.public_id), github_username });
        return Answer::with(200, "application/json", [NO_STORE]);
    }
    let user_id = issued.public_id.to_string();
    let login = issued.login.as_deref().unwrap_or("yourself");
    page(
        body,
        TOKEN_PAGE,
        &[
            ("STYLE", STYLE),
            ("SCRIPT", SCRIPT),
            ("LOGIN", &escaped(login)),
            ("TOKEN", &issued.token),
            ("USER_ID", &user_id),
        ],
    );
    Answer::with(200, HTML, page_headers())
}

/// Writes an error for a person.
pub fn error_page(body: &mut Vec<u8>, error: &ApiError) -> Answer {
    let (summary, details) = (escaped(error.summary()), escaped(&error.details));
    let status = error.status.to_string();
    page(
        body,
        ERROR_PAGE,
        &[("STYLE", STYLE), ("SUMMARY", &summary), ("DETAILS", &details), ("STATUS", &status), ("CODE", error.code)],
    );
    Answer::with(error.status, HTML, page_headers().into_iter().chain(error.header.clone()))
}

fn page_headers() -> [(&'static str, Cow<'static, str>); 4] {
    [
        NO_STORE,
        ("Content-Security-Policy", Cow::Borrowed(&**POLICY)),
        ("Referrer-Policy", Cow::Borrowed("no-referrer")),
        ("X-Content-Type-Options", Cow::Borrowed("nosniff")),
    ]
}

/// Writes a page with its `{{PLACES}}` filled in. Each piece comes in as it is to stand there.
fn page(body: &mut Vec<u8>, text: &str, places: &[(&str, &str)]) {
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("{{") {
        let (place, after) = after.split_once("}}").expect("a place ends");
        let (_, value) = places.iter().find(|(name, _)| *name == place).expect("a place that is known");
        body.extend_from_slice(before.as_bytes());
        body.extend_from_slice(value.as_bytes());
        rest = after;
    }
    body.extend_from_slice(rest.as_bytes());
}

/// Text as HTML shows it.
fn escaped(text: &str) -> String {
    let mut html = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => html.push_str("&amp;"),
            '<' => html.push_str("&lt;"),
            '>' => html.push_str("&gt;"),
            '"' => html.push_str("&quot;"),
            '\'' => html.push_str("&#39;"),
            c => html.push(c),
        }
    }
    html
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    #[test]
    fn a_query_gives_code_and_state_or_says_what_is_missing() {
        let good = Returned { code: "a b".into(), state: "s".into() };
        assert_eq!(returned(Some("code=a%20b&state=s&iss=x")), Ok(good));
        for (query, status) in [
            ("", 400),
            ("code=a", 400),
            ("state=s", 400),
            ("code=&state=s", 400),
            ("code=a&code=b&state=s", 400),
            ("code=%zz&state=s", 400),
            ("error=access_denied&state=s", 400),
            ("error=redirect_uri_mismatch", 502),
        ] {
            assert_eq!(returned(Some(query)).unwrap_err().status, status, "{query}");
        }
    }

    #[test]
    fn a_page_holds_the_token_and_what_a_user_is_called_only_as_text() {
        let login = Some("<b>&\"'".to_owned());
        let issued = Issued { token: "T0ken".into(), public_id: Uuid::from_u128(7), login };
        let mut body = Vec::new();
        let answer = token(&mut body, &issued, true);
        let html = String::from_utf8(body).unwrap();
        assert!(html.contains("&lt;b&gt;&amp;&quot;&#39;") && !html.contains("<b>"), "{html}");
        assert!(html.contains("<code id=\"token\">T0ken</code>") && !html.contains("{{"), "{html}");
        let headers = answer.more.unwrap().headers;
        assert!(headers.iter().all(|(_, value)| !value.contains("T0ken")));
        assert!(headers.iter().any(|(name, value)| *name == "Cache-Control" && value == "no-store"));
    }

    #[test]
    fn the_pages_name_nobody_else() {
        for text in [STYLE, SCRIPT, TOKEN_PAGE, ERROR_PAGE] {
            let foreign = text.replace("https://this-server", "");
            assert!(!foreign.contains("://") && !foreign.contains("//cdn"), "{text}");
        }
    }
}
