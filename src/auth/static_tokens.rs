//! Tokens that the operator chose: `STATIC_TOKENS="name:token,…"`, and a file with one `name:token` a line.
//!
//! Both may be given; they add up. A name may come several times, with different tokens: they are tokens of one
//! user, so a token can be changed without a moment in which neither works. A token may come only
//! once. In the file, blank lines and lines that begin with `#` are skipped.
//!
//! Errors name the line and, once it is known to be one, the name; never the token, and never the
//! text of a line that may be one.

use std::collections::HashMap;
use std::fmt;
use std::path::Path;

use super::{AuthError, Credential, STATIC, hash_of, private_file};
use crate::config::TokenSources;
use crate::journal::TokenHash;

/// The shortest token that an operator may choose, in bytes.
pub const MIN_TOKEN_BYTES: usize = 16;
/// The longest token, in bytes. Nothing longer is ever looked up.
pub const MAX_TOKEN_BYTES: usize = 256;
/// The longest name, in bytes.
const MAX_NAME_BYTES: usize = 64;

/// Where an entry stands: part of every error about it.
#[derive(Clone, Copy)]
enum Place<'a> {
    Inline { entry: usize },
    File { path: &'a Path, line: usize },
}

/// All tokens of both sources, in their order.
///
/// # Errors
/// The first entry that is none, a source without a token, or a token that comes twice.
pub fn gather(sources: &TokenSources) -> Result<Vec<Credential>, AuthError> {
    let file = match &sources.file {
        Some(path) => {
            Some((path.as_path(), private_file::read("the tokens file", path).map_err(|e| no_file(e, path))?))
        }
        None => None,
    };
    let mut entries = Vec::new();
    if let Some(inline) = &sources.inline {
        entries.extend(entries_inline(inline.reveal()));
        if entries.is_empty() {
            return Err(AuthError("STATIC_TOKENS has no token; write name:token,name:token,...".into()));
        }
    }
    if let Some((path, text)) = &file {
        let before = entries.len();
        entries.extend(entries_of_file(path, text));
        if entries.len() == before {
            let path = path.display();
            return Err(AuthError(format!("the tokens file {path} has no token; write one name:token a line")));
        }
    }
    credentials(&entries)
}

fn no_file(error: Option<AuthError>, path: &Path) -> AuthError {
    error.unwrap_or_else(|| {
        let path = path.display();
        AuthError(format!("the tokens file {path} does not exist; make it, or give another STATIC_TOKENS_FILE"))
    })
}

fn entries_inline<'a>(text: &'a str) -> impl Iterator<Item = (Place<'a>, &'a str)> {
    let entries = text.split(',').map(str::trim).enumerate();
    entries.filter(|(_, entry)| !entry.is_empty()).map(|(n, entry)| (Place::Inline { entry: n + 1 }, entry))
}

fn entries_of_file<'a>(path: &'a Path, text: &'a str) -> impl Iterator<Item = (Place<'a>, &'a str)> {
    let lines = text.lines().map(str::trim).enumerate();
    let entries = lines.filter(|(_, line)| !line.is_empty() && !line.starts_with('#'));
    entries.map(move |(n, line)| (Place::File { path, line: n + 1 }, line))
}

fn credentials(entries: &[(Place<'_>, &str)]) -> Result<Vec<Credential>, AuthError> {
    let mut seen: HashMap<TokenHash, Place<'_>> = HashMap::with_capacity(entries.len());
    let mut credentials = Vec::with_capacity(entries.len());
    for &(place, entry) in entries {
        let (name, token) = split(entry).map_err(|fault| AuthError(format!("{place}: {fault}")))?;
        let token_hash = hash_of(token.as_bytes());
        if let Some(first) = seen.insert(token_hash, place) {
            let text = format!("{place} ({name}): the same token as in {first}; every entry needs its own");
            return Err(AuthError(text));
        }
        credentials.push(Credential { kind: STATIC, external_id: name.to_owned(), token_hash });
    }
    Ok(credentials)
}

/// Whether a user can be called so: 1 to 64 of `a-z A-Z 0-9 . _ -`.
pub fn is_user_name(name: &str) -> bool {
    let name_byte = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-');
    (1..=MAX_NAME_BYTES).contains(&name.len()) && name.bytes().all(name_byte)
}

/// The name and the token of an entry, both good, or what is wrong with it.
fn split(entry: &str) -> Result<(&str, &str), String> {
    let (name, token) = entry.split_once(':').ok_or("no ':' between a name and a token")?;
    if !is_user_name(name) {
        return Err("a name, before the ':', is 1 to 64 of the characters a-z A-Z 0-9 . _ -".into());
    }
    // A comma would end the entry in STATIC_TOKENS, so it is no part of a token in the file either.
    match token {
        _ if token.len() < MIN_TOKEN_BYTES => {
            Err(format!("the token of {name} is shorter than {MIN_TOKEN_BYTES} characters"))
        }
        _ if token.len() > MAX_TOKEN_BYTES => {
            Err(format!("the token of {name} is longer than {MAX_TOKEN_BYTES} characters"))
        }
        _ if !token.bytes().all(|b| b.is_ascii_graphic() && b != b',') => {
            Err(format!("the token of {name} has a blank, a comma or a character that is not ASCII"))
        }
        _ => Ok((name, token)),
    }
}

impl fmt::Display for Place<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Place::Inline { entry } => write!(f, "STATIC_TOKENS, entry {entry}"),
            Place::File { path, line } => write!(f, "the tokens file {}, line {line}", path.display()),
        }
    }
}
