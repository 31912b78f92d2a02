//! `/locks/{name}` and `/locks/{name}/acquire`, `renew`, `release`.

use std::borrow::Cow;

use jiff::Timestamp;
use jiff::fmt::temporal::DateTimePrinter;
use serde::{Serialize, Serializer};
use uuid::Uuid;

use super::error::{self, ApiError};
use super::route::Verb;
use super::wire::{LockFields, Member};
use super::{Answer, View};
use crate::lease::{Denied, LockName, MAX_METADATA_BYTES, Op, Outcome, Ttl, UserId};

/// What an answer must know of its request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Asked {
    /// To acquire.
    Acquire,
    /// To renew.
    Renew,
    /// To release.
    Release(LockName),
    /// For the status.
    Status(LockName),
}

impl Asked {
    /// What an operation on the lock `name` asks.
    pub fn of<M>(op: &Op<M>, name: &LockName) -> Asked {
        match op {
            Op::Acquire { .. } => Asked::Acquire,
            Op::Renew { .. } => Asked::Renew,
            Op::Release { .. } => Asked::Release(name.clone()),
            Op::Status => Asked::Status(name.clone()),
        }
    }
}

/// The operation that a verb and the members of its body make.
///
/// # Errors
/// The first member that makes no sense.
pub(super) fn op<'a>(verb: Verb, fields: LockFields<'a>) -> Result<Op<Cow<'a, str>>, ApiError> {
    let lease_id = lease_id(&fields.lease_id)?;
    let needed = |id: Option<Uuid>| id.ok_or_else(error::missing_lease_id);
    Ok(match verb {
        Verb::Acquire => Op::Acquire {
            // 122 random bits, so that nobody guesses another's.
            lease_id: lease_id.unwrap_or_else(Uuid::new_v4),
            ttl: ttl(&fields.ttl_seconds)?.unwrap_or(Ttl::DEFAULT),
            metadata: metadata(fields.metadata)?,
        },
        Verb::Renew => Op::Renew { lease_id: needed(lease_id)?, ttl: ttl(&fields.ttl_seconds)? },
        Verb::Release => Op::Release { lease_id: needed(lease_id)? },
        Verb::Status => Op::Status,
    })
}

/// Writes the answer's body.
///
/// # Errors
/// The outcome is a refusal, to be answered as an error.
pub fn answer(body: &mut Vec<u8>, asked: &Asked, outcome: &Outcome, view: &View<'_>) -> Result<Answer, ApiError> {
    match outcome {
        Outcome::Acquired { lease_id, token, deadline_ns, ttl, metadata } => write(
            body,
            &Acquired {
                status: "acquired",
                lease_id: Id(*lease_id),
                fencing_token: token.get(),
                expires_at: view.expires_at(*deadline_ns),
                metadata: metadata.as_deref(),
                ttl_seconds: ttl.seconds(),
            },
        ),
        Outcome::Held { .. } | Outcome::Free => return Ok(who_holds(body, asked, outcome, view)),
        Outcome::Renewed { lease_id, token, deadline_ns, ttl } => write(
            body,
            &Renewed {
                status: "renewed",
                lease_id: Id(*lease_id),
                fencing_token: token.get(),
                expires_at: view.expires_at(*deadline_ns),
                ttl_seconds: ttl.seconds(),
            },
        ),
        Outcome::Released { lease_id } => {
            let Asked::Release(name) = asked else { unreachable!("only a release releases") };
            write(body, &Released { status: "released", name, lease_id: Id(*lease_id) });
        }
        Outcome::Denied(Denied::NotFound) => return Err(error::lock_not_found()),
        Outcome::Denied(Denied::NotCurrent) => return Err(error::lease_not_current()),
        Outcome::Denied(Denied::LimitReached) => return Err(error::lock_limit_exceeded()),
        Outcome::Denied(Denied::TokensExhausted) => return Err(error::tokens_exhausted()),
        Outcome::Denied(Denied::GracePeriod { until_ns }) => {
            return Err(error::grace_period(until_ns.saturating_sub(view.now_ns).div_ceil(1_000_000_000).max(1)));
        }
    }
    Ok(Answer::OK)
}

/// A lock that is held is a fact to a status, and a refusal to an acquire.
fn who_holds(body: &mut Vec<u8>, asked: &Asked, outcome: &Outcome, view: &View<'_>) -> Answer {
    match (asked, outcome) {
        (Asked::Status(name), Outcome::Held { holder, token, deadline_ns, metadata }) => {
            let status = Status {
                name,
                status: "held",
                holder_id: Some(view.holder_id(*holder)),
                fencing_token: Some(token.get()),
                expires_at: Some(view.expires_at(*deadline_ns)),
                metadata: metadata.as_deref(),
            };
            write(body, &status);
            Answer::OK
        }
        (Asked::Status(name), _) => {
            let (holder_id, fencing_token, expires_at, metadata) = (None, None, None, None);
            write(body, &Status { name, status: "free", holder_id, fencing_token, expires_at, metadata });
            Answer::OK
        }
        (_, Outcome::Held { holder, deadline_ns, metadata, .. }) => {
            let retry_after_ms = deadline_ns.saturating_sub(view.now_ns).div_ceil(1_000_000).max(1);
            let held = Held {
                status: "held",
                holder_id: view.holder_id(*holder),
                expires_at: view.expires_at(*deadline_ns),
                metadata: metadata.as_deref(),
                retry_after_ms,
            };
            write(body, &held);
            Answer { status: 409, retry_after_s: Some(retry_after_ms.div_ceil(1000)), more: None }
        }
        _ => unreachable!("only a status finds a lock free"),
    }
}

fn lease_id(member: &Member<'_>) -> Result<Option<Uuid>, ApiError> {
    match member {
        Member::Absent => Ok(None),
        // The hyphenated form only; the crate would take others.
        Member::Text(text) if text.len() == 36 => {
            Uuid::try_parse(text).map(Some).map_err(|_| error::invalid_lease_id())
        }
        _ => Err(error::invalid_lease_id()),
    }
}

fn ttl(member: &Member<'_>) -> Result<Option<Ttl>, ApiError> {
    match member {
        Member::Absent => Ok(None),
        Member::Number(seconds) => Ttl::from_seconds(*seconds).map(Some).ok_or_else(error::invalid_ttl),
        _ => Err(error::invalid_ttl()),
    }
}

fn metadata(member: Member<'_>) -> Result<Option<Cow<'_, str>>, ApiError> {
    match member {
        Member::Absent => Ok(None),
        Member::Text(text) if text.len() <= MAX_METADATA_BYTES => Ok(Some(text)),
        _ => Err(error::invalid_metadata()),
    }
}

/// Writes a JSON body.
pub(super) fn write(body: &mut Vec<u8>, value: &impl Serialize) {
    serde_json::to_writer(body, value).expect("a Vec takes everything, and our keys are strings");
}

impl View<'_> {
    /// A deadline on the wall clock, for people.
    pub(super) fn expires_at(&self, deadline_ns: u64) -> ExpiresAt {
        // In signed arithmetic: a lease that nobody has ended yet may be past its deadline.
        let left_ns = i128::from(deadline_ns) - i128::from(self.now_ns);
        ExpiresAt { wall_ms: ((i128::from(self.wall_ns) + left_ns) / 1_000_000) as i64 }
    }

    fn holder_id(&self, holder: UserId) -> Id {
        Id(self.principals.public_id(holder).expect("accounts are never deleted, so every holder has one"))
    }
}

/// A time as RFC 3339 in UTC, with milliseconds and `Z`.
#[derive(Clone, Copy)]
pub(super) struct ExpiresAt {
    wall_ms: i64,
}

impl Serialize for ExpiresAt {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        const PRINTER: DateTimePrinter = DateTimePrinter::new().precision(Some(3));
        let at = Timestamp::from_millisecond(self.wall_ms).unwrap_or(Timestamp::MAX);
        serializer.serialize_str(&PRINTER.timestamp_to_string(&at))
    }
}

/// A UUID in lower case with hyphens.
#[derive(Clone, Copy)]
pub(super) struct Id(pub Uuid);

impl Serialize for Id {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.0.hyphenated().encode_lower(&mut Uuid::encode_buffer()))
    }
}

#[derive(Serialize)]
struct Acquired<'a> {
    status: &'static str,
    lease_id: Id,
    fencing_token: u64,
    expires_at: ExpiresAt,
    metadata: Option<&'a str>,
    ttl_seconds: u16,
}

#[derive(Serialize)]
struct Held<'a> {
    status: &'static str,
    holder_id: Id,
    expires_at: ExpiresAt,
    metadata: Option<&'a str>,
    retry_after_ms: u64,
}

#[derive(Serialize)]
struct Renewed {
    status: &'static str,
    lease_id: Id,
    fencing_token: u64,
    expires_at: ExpiresAt,
    ttl_seconds: u16,
}

#[derive(Serialize)]
struct Released<'a> {
    status: &'static str,
    name: &'a str,
    lease_id: Id,
}

#[derive(Serialize)]
struct Status<'a> {
    name: &'a str,
    status: &'static str,
    holder_id: Option<Id>,
    fencing_token: Option<u64>,
    expires_at: Option<ExpiresAt>,
    metadata: Option<&'a str>,
}
