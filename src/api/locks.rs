//! `/locks/{name}` and `/locks/{name}/acquire`, `renew`, `release`.

use std::borrow::Cow;

use uuid::Uuid;

use super::error::{self, ApiError};
use super::json::{Object, Time};
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
        Outcome::Acquired { lease_id, token, deadline_ns, ttl, metadata } => Object::begin(body)
            .word("status", "acquired")
            .id("lease_id", *lease_id)
            .number("fencing_token", token.get())
            .time("expires_at", view.expires_at(*deadline_ns))
            .note("metadata", metadata.as_deref())
            .number("ttl_seconds", ttl.seconds().into())
            .end(),
        Outcome::Held { .. } | Outcome::Free => return Ok(who_holds(body, asked, outcome, view)),
        Outcome::Renewed { lease_id, token, deadline_ns, ttl } => Object::begin(body)
            .word("status", "renewed")
            .id("lease_id", *lease_id)
            .number("fencing_token", token.get())
            .time("expires_at", view.expires_at(*deadline_ns))
            .number("ttl_seconds", ttl.seconds().into())
            .end(),
        Outcome::Released { lease_id } => {
            let Asked::Release(name) = asked else { unreachable!("only a release releases") };
            Object::begin(body).word("status", "released").name("name", name).id("lease_id", *lease_id).end();
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
    let object = Object::begin(body);
    match (asked, outcome) {
        (Asked::Status(name), Outcome::Held { holder, token, deadline_ns, metadata }) => {
            object
                .name("name", name)
                .word("status", "held")
                .id("holder_id", view.holder_id(*holder))
                .number("fencing_token", token.get())
                .time("expires_at", view.expires_at(*deadline_ns))
                .note("metadata", metadata.as_deref())
                .end();
            Answer::OK
        }
        (Asked::Status(name), _) => {
            let object = object.name("name", name).word("status", "free").null("holder_id");
            object.null("fencing_token").null("expires_at").null("metadata").end();
            Answer::OK
        }
        (_, Outcome::Held { holder, deadline_ns, metadata, .. }) => {
            let retry_after_ms = deadline_ns.saturating_sub(view.now_ns).div_ceil(1_000_000).max(1);
            object
                .word("status", "held")
                .id("holder_id", view.holder_id(*holder))
                .time("expires_at", view.expires_at(*deadline_ns))
                .note("metadata", metadata.as_deref())
                .number("retry_after_ms", retry_after_ms)
                .end();
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

impl View<'_> {
    /// A deadline on the wall clock, for people.
    pub(super) fn expires_at(&self, deadline_ns: u64) -> Time {
        // In signed arithmetic: a lease that nobody has ended yet may be past its deadline.
        let left_ns = i128::from(deadline_ns) - i128::from(self.now_ns);
        Time::at(((i128::from(self.wall_ns) + left_ns) / 1_000_000) as i64)
    }

    fn holder_id(&self, holder: UserId) -> Uuid {
        self.principals.public_id(holder).expect("accounts are never deleted, so every holder has one")
    }
}
