//! The API: what a request asks for, and how the answer reads. Pure: it neither waits nor writes.
//!
//! [`understand`] turns a parsed request into a [`Call`], or into the error to answer; the checks come in
//! the order of the contract: route and method, authentication, body, name, values. What the state
//! says comes later: [`locks::answer`], [`list::answer`] and [`health`] turn it into an [`Answer`].

pub mod error;
pub mod health;
mod json;
pub mod list;
pub mod locks;
pub mod metrics;
pub mod openapi;
mod pages;
mod route;
pub mod sign_in;
mod wire;

use std::borrow::Cow;

use crate::auth::{Principal, Principals, hash_of};
use crate::http::Request;
use crate::journal::TokenHash;
use crate::lease::{LockName, Op, UserId};
use crate::mesh::Query;
use error::ApiError;
use route::Route;
use sign_in::Returned;

/// What a request asks for, with everything checked that can be checked without the locks.
#[derive(Debug)]
pub enum Call<'a> {
    /// One operation on one lock.
    Lock {
        /// Who asks.
        user: UserId,
        /// The lock.
        name: LockName,
        /// The operation.
        op: Op<Cow<'a, str>>,
    },
    /// The caller's own locks.
    List {
        /// Who asks.
        user: UserId,
        /// Which of them.
        query: Query,
    },
    /// How the server is.
    Health,
    /// The figures, with the token that was presented for them.
    Metrics(Option<&'a [u8]>),
    /// For something that is a part of the program: the answer is known.
    Page(Answer),
    /// To be sent to GitHub.
    BeginSignIn,
    /// A token, for whom GitHub vouches.
    FinishSignIn(Result<Returned, ApiError>),
    /// A new token instead of this one.
    Rotate(TokenHash),
}

/// An answer, but for what the connection adds. Its body is the JSON that was written beside it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// The status.
    pub status: u16,
    /// Seconds for a Retry-After header.
    pub retry_after_s: Option<u64>,
    /// What answers about locks do without: boxed, so that they pay for a null pointer only.
    pub more: Option<Box<More>>,
}

/// What is unusual about an answer: pages, redirects, cookies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct More {
    /// What the body is.
    pub content_type: &'static str,
    /// Further headers: Location, Set-Cookie, Cache-Control, ETag, …
    pub headers: Vec<(&'static str, Cow<'static, str>)>,
    /// A body that is a part of the program, instead of what was written beside the answer: it is sent from where it is.
    pub file: Option<&'static [u8]>,
}

impl Answer {
    /// 200, and the JSON that was written.
    pub const OK: Answer = Answer { status: 200, retry_after_s: None, more: None };

    /// An answer of another kind than JSON, or with headers of its own. Its body is what was written beside it.
    pub fn with(
        status: u16,
        content_type: &'static str,
        headers: impl IntoIterator<Item = (&'static str, Cow<'static, str>)>,
    ) -> Answer {
        let more = More { content_type, headers: headers.into_iter().collect(), file: None };
        Answer { status, retry_after_s: None, more: Some(Box::new(more)) }
    }
}

/// The time, and who is who, for an answer to be written.
pub struct View<'a> {
    /// Now, on the clock of the deadlines.
    pub now_ns: u64,
    /// Now, on the wall clock.
    pub wall_ns: u64,
    /// The accounts.
    pub principals: &'a Principals,
}

/// Understands a request.
///
/// # Errors
/// What to answer if it cannot be understood or is not allowed.
pub fn understand<'a>(request: &Request<'a>, principals: &Principals) -> Result<Call<'a>, ApiError> {
    match route::find(request.method, request.path)? {
        Route::Health => Ok(Call::Health),
        Route::Metrics => Ok(Call::Metrics(request.authorization.and_then(bearer_token))),
        Route::Page(page) => Ok(Call::Page(pages::answer(page, request.fields))),
        Route::OpenApi => Ok(Call::Page(openapi::answer(request.fields))),
        Route::BeginSignIn => Ok(Call::BeginSignIn),
        Route::FinishSignIn => Ok(Call::FinishSignIn(sign_in::returned(request.query))),
        Route::Rotate => {
            let (token, _) = authenticate(request, principals)?;
            wire::check_object(request.body)?;
            Ok(Call::Rotate(hash_of(token)))
        }
        Route::List => {
            let user = authenticate(request, principals)?.1.user;
            Ok(Call::List { user, query: list::query(request.query)? })
        }
        Route::Lock { name, verb } => {
            let user = authenticate(request, principals)?.1.user;
            let fields = wire::LockFields::parse(verb, request.body)?;
            let name = route::percent_decoded(name).ok_or_else(error::bad_percent_encoding)?;
            let name = LockName::new(&name).map_err(error::invalid_name)?;
            Ok(Call::Lock { user, name, op: locks::op(verb, fields)? })
        }
    }
}

/// What the metrics call a path.
pub fn label(path: &str) -> crate::metrics::Route {
    route::label(path)
}

/// The token that was presented, and whose it is.
fn authenticate<'a>(request: &Request<'a>, principals: &Principals) -> Result<(&'a [u8], Principal), ApiError> {
    let token = request.authorization.and_then(bearer_token).ok_or_else(error::authentication_required)?;
    let principal = principals.authenticate(token).ok_or_else(error::authentication_failed)?;
    Ok((token, principal))
}

/// The token in `Bearer <token>`; the scheme is matched without case.
fn bearer_token(value: &[u8]) -> Option<&[u8]> {
    let (scheme, rest) = value.split_at_checked("Bearer ".len())?;
    scheme.eq_ignore_ascii_case(b"Bearer ").then(|| rest.trim_ascii()).filter(|token| !token.is_empty())
}

#[cfg(test)]
mod tests;
