//! Who may talk to this server: bearer tokens, of which only the SHA-256 is kept.
//!
//! A token is 32 random bytes (or the operator's own choice), so one plain SHA-256 is enough: there is nothing to
//! guess that a slow hash would protect. At the start [`credentials`] gathers what is configured,
//! the journal gives each account its number, and [`Principals`] is what the workers ask.
//!
//! ```text
//!   STATIC_TOKENS ─┐
//!   the file ──────┼─▶ credentials ─▶ journal.accounts ─▶ Principals ─▶ every worker
//!   local.token ───┘
//! ```

mod access_token;
mod failures;
mod github;
mod local_token;
mod principals;
mod private_file;
mod sign_in;
mod static_tokens;

pub use access_token::AccessToken;
pub use failures::{Failures, MAX_FAILURES, MAX_SIGN_IN_STEPS};
pub use github::{GithubError, GithubUser};
pub use local_token::{NewLocalToken, local_token_path};
pub use principals::{Principal, Principals};
pub use sign_in::{Arrival, Departure, SignIn};
pub use static_tokens::{MAX_TOKEN_BYTES, MIN_TOKEN_BYTES, is_user_name};

use std::path::Path;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest, Sha256};

use crate::config::TokenSources;
use crate::journal::TokenHash;

/// The kind of the accounts that `STATIC_TOKENS` and its file name.
pub const STATIC: &str = "static";
/// The kind of the one account of a server with nothing configured.
pub const LOCAL: &str = "local";
/// The kind of the accounts that `octostore user add` makes.
pub const CLI: &str = "cli";
/// The kind of the accounts of those who sign in with GitHub; their external ids are GitHub's numbers.
pub const GITHUB: &str = "github";

/// A token that opens an account, before the account has its number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Credential {
    /// The account's kind: [`STATIC`] or [`LOCAL`].
    pub kind: &'static str,
    /// The account's name among its kind.
    pub external_id: String,
    /// The token's hash.
    pub token_hash: TokenHash,
}

/// What the configuration amounts to.
#[derive(Debug)]
pub struct Gathered {
    /// Every token that is configured, none twice.
    pub credentials: Vec<Credential>,
    /// The token that was made just now for the user `local`, to be shown once.
    pub new_local_token: Option<NewLocalToken>,
}

/// Why the tokens cannot be used. One line, for whoever starts the server; it never shows a token.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct AuthError(String);

/// Gathers the tokens of all sources; with none configured, reads or makes the token of the user `local`,
/// beside `database`. Call it with the database's lock held, so that two starts do not make two, and
/// before the database is opened, so that a first start can be told.
///
/// # Errors
/// A file that cannot be read or that others can read, a token or a name that is none, a token given twice.
pub fn credentials(sources: &TokenSources, database: &Path) -> Result<Gathered, AuthError> {
    if sources.github.is_some() && sources.inline.is_none() && sources.file.is_none() {
        return Ok(Gathered { credentials: Vec::new(), new_local_token: None });
    }
    if sources.inline.is_some() || sources.file.is_some() {
        return Ok(Gathered { credentials: static_tokens::gather(sources)?, new_local_token: None });
    }
    let (token_hash, new_local_token) = local_token::read_or_make(database)?;
    let local = Credential { kind: LOCAL, external_id: LOCAL.to_owned(), token_hash };
    Ok(Gathered { credentials: vec![local], new_local_token })
}

/// A new token: 32 random bytes in base64url, without padding. Show it once, and keep its hash.
///
/// # Errors
/// The system gives no random numbers.
pub fn random_token() -> Result<String, AuthError> {
    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes).map_err(|e| AuthError(format!("the system gives no random numbers: {e}")))?;
    Ok(URL_SAFE_NO_PAD.encode(bytes))
}

/// The hash of a token as it is presented.
pub fn hash_of(token: &[u8]) -> TokenHash {
    TokenHash::from(<[u8; 32]>::from(Sha256::digest(token)))
}

#[cfg(test)]
mod tests;
