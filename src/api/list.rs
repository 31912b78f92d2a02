//! `GET /locks`: the caller's own locks, page by page.
//!
//! Every core gives its share of the page, sorted; the pages are merged by name. The cursor is the last name shown, in base64url:
//! opaque to clients, and no state of ours.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Serialize;

use super::error::{self, ApiError};
use super::json::{Id, Time, write};
use super::route::percent_decoded;
use super::{Answer, View};
use crate::lease::Listed;
use crate::mesh::Query;
use crate::shard::Page;

/// Rows of a page that names no limit.
const DEFAULT_LIMIT: usize = 100;
/// The most rows of a page.
const MAX_LIMIT: usize = 1000;

#[derive(Serialize)]
struct List<'a> {
    locks: Vec<Row<'a>>,
    total: usize,
    next_cursor: Option<String>,
}

#[derive(Serialize)]
struct Row<'a> {
    name: &'a str,
    lease_id: Id,
    fencing_token: u64,
    expires_at: Time,
    metadata: Option<&'a str>,
}

/// What a query string may say.
pub(super) const PARAMETERS: [&str; 3] = ["prefix", "limit", "cursor"];

/// What a query string asks for. Parameters that it does not know are ignored.
///
/// # Errors
/// A parameter that makes no sense, or comes twice.
pub(super) fn query(text: Option<&str>) -> Result<Query, ApiError> {
    let mut found = [const { None }; PARAMETERS.len()];
    for pair in text.unwrap_or("").split('&') {
        let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
        let Some(place) = PARAMETERS.iter().position(|name| *name == key) else { continue };
        let value = percent_decoded(value);
        let value =
            value.ok_or_else(|| error::bad_query("a % in the query must be followed by two hexadecimal digits"))?;
        if found[place].replace(value).is_some() {
            return Err(error::bad_query("prefix, limit and cursor may be given once each"));
        }
    }
    let [prefix, limit, cursor] = found;
    let limit = match limit.as_deref() {
        None => DEFAULT_LIMIT,
        Some(digits) if digits.bytes().all(|b| b.is_ascii_digit()) => digits.parse().unwrap_or(0),
        Some(_) => 0,
    };
    if !(1..=MAX_LIMIT).contains(&limit) {
        return Err(error::bad_query("limit must be a whole number from 1 to 1000"));
    }
    let after = match cursor.as_deref() {
        None | Some("") => None,
        Some(cursor) => Some(last_shown(cursor).ok_or_else(|| {
            error::bad_query("cursor must be the next_cursor of an earlier answer; leave it out to begin at the front")
        })?),
    };
    Ok(Query { prefix: prefix.unwrap_or_default().into_owned(), after, limit })
}

/// Merges the cores' pages and writes the answer's body.
pub fn answer(body: &mut Vec<u8>, pages: &[Page], limit: usize, view: &View<'_>) -> Answer {
    let total = pages.iter().map(|page| page.total).sum();
    let mut rows: Vec<&Listed> = pages.iter().flat_map(|page| &page.rows).collect();
    rows.sort_unstable_by(|a, b| a.name.cmp(&b.name));
    let more = rows.len() > limit;
    rows.truncate(limit);
    let next_cursor = rows.last().filter(|_| more).map(|last| URL_SAFE_NO_PAD.encode(last.name.as_bytes()));
    let locks = rows
        .iter()
        .map(|lock| Row {
            name: &lock.name,
            lease_id: Id(lock.lease_id),
            fencing_token: lock.token.get(),
            expires_at: view.expires_at(lock.deadline_ns),
            metadata: lock.metadata.as_deref(),
        })
        .collect();
    write(body, &List { locks, total, next_cursor });
    Answer::OK
}

fn last_shown(cursor: &str) -> Option<String> {
    String::from_utf8(URL_SAFE_NO_PAD.decode(cursor).ok()?).ok().filter(|name| name.is_ascii())
}
