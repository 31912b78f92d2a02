//! The pages for people: `/`, the docs, and what they load. They are parts of the program.
//!
//! Each is sent from where it lies, by gzip to a client that takes it, and with a tag: a browser that has it asks whether
//! it is still the same, and is told so in a few bytes. A page may load nothing from elsewhere: that is said in its
//! Content-Security-Policy, and no page needs an exception.

use std::borrow::Cow;

use super::{Answer, More};
use crate::http::Fields;

/// A page, or a part of one.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Page {
    /// Its path.
    pub path: &'static str,
    /// What it is.
    pub content_type: &'static str,
    tag: &'static str,
    plain: &'static [u8],
    /// The same by gzip, and its tag.
    gzip: Option<(&'static str, &'static [u8])>,
}

impl Page {
    /// One that is made while the program runs, and lives as long.
    pub fn made(path: &'static str, content_type: &'static str, bytes: Vec<u8>) -> Page {
        let tag = format!("\"{:08x}{:x}\"", crc32fast::hash(&bytes), bytes.len());
        Page { path, content_type, tag: tag.leak(), plain: bytes.leak(), gzip: None }
    }

    /// Whether a client that takes gzip gets it so.
    pub fn has_gzip(&self) -> bool {
        self.gzip.is_some()
    }
}

// `const PAGES: [Page; _]`, as build.rs has packed them.
include!(concat!(env!("OUT_DIR"), "/pages.rs"));

/// All pages.
pub(super) static ALL: [Page; PAGES.len()] = PAGES;

/// What a browser is to let a page do: nothing but use what comes from this server.
///
/// Swagger UI draws its icons from `data:` URLs, and sets styles on its elements.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; \
                      connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// The answer to a client that asks for a page, or for another file that has its tag.
pub(super) fn answer(page: &'static Page, fields: Fields<'_>) -> Answer {
    let (tag, file, coding) = match page.gzip {
        Some((tag, bytes)) if takes_gzip(fields) => (tag, bytes, Some("gzip")),
        _ => (page.tag, page.plain, None),
    };
    let mut more = More { content_type: page.content_type, headers: headers(tag), file: Some(file) };
    if page.has_gzip() {
        more.headers.push(("Vary", "Accept-Encoding".into()));
    }
    if has(fields, tag) {
        more.file = None;
        return Answer { status: 304, retry_after_s: None, more: Some(Box::new(more)) };
    }
    more.headers.extend(coding.map(|coding| ("Content-Encoding", coding.into())));
    if page.content_type.starts_with("text/html") {
        more.headers.push(("Content-Security-Policy", POLICY.into()));
    }
    Answer { more: Some(Box::new(more)), ..Answer::OK }
}

/// A tag, and leave to keep what it stands for as long as one asks before each use.
fn headers(tag: &'static str) -> Vec<(&'static str, Cow<'static, str>)> {
    vec![
        ("ETag", tag.into()),
        ("Cache-Control", "no-cache".into()),
        ("X-Content-Type-Options", "nosniff".into()),
        ("Referrer-Policy", "no-referrer".into()),
    ]
}

/// Whether the client says that it has the file with this tag (RFC 9110, 13.1.2: compared as if weak).
fn has(fields: Fields<'_>, tag: &str) -> bool {
    let items = fields.named("if-none-match").flat_map(|value| value.split(|&b| b == b','));
    let mut tags = items.map(<[u8]>::trim_ascii).map(|item| item.strip_prefix(b"W/").unwrap_or(item));
    tags.any(|item| item == tag.as_bytes() || item == b"*")
}

/// Whether gzip is among the codings that the client takes (RFC 9110, 12.5.3). One that says nothing gets the file as it is.
fn takes_gzip(fields: Fields<'_>) -> bool {
    let items = fields.named("accept-encoding").flat_map(|value| value.split(|&b| b == b','));
    let (mut gzip, mut any) = (None, None);
    for item in items {
        let mut parts = item.split(|&b| b == b';').map(<[u8]>::trim_ascii);
        let place = match parts.next() {
            Some(coding) if coding.eq_ignore_ascii_case(b"gzip") => &mut gzip,
            Some(b"*") => &mut any,
            _ => continue,
        };
        // `q=0`, with zeros after the point or not, is a refusal.
        let is_zero = |weight: &[u8]| weight.iter().all(|b| matches!(b, b'0' | b'.'));
        *place = Some(!parts.any(|part| part.strip_prefix(b"q=").is_some_and(is_zero)));
    }
    gzip.or(any).unwrap_or(false)
}

#[cfg(test)]
#[path = "pages_tests.rs"]
mod tests;
