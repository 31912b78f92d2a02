//! JSON in: the members of a lock request's body.
//!
//! Each member is taken as it comes and judged afterwards, so that a wrong type is an error about that
//! member. Unknown members are ignored, an explicit null means absent, a member twice is an error.

use std::borrow::Cow;
use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

use super::error::{self, ApiError};
use super::route::Verb;

/// The members that some lock request has.
#[derive(Debug, Default, Deserialize)]
pub(super) struct LockFields<'a> {
    #[serde(borrow, default)]
    pub lease_id: Member<'a>,
    #[serde(borrow, default)]
    pub ttl_seconds: Member<'a>,
    #[serde(borrow, default)]
    pub metadata: Member<'a>,
}

/// What a member says.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) enum Member<'a> {
    /// Nothing, or null.
    #[default]
    Absent,
    /// A whole number that is not negative.
    Number(u64),
    /// A string.
    Text(Cow<'a, str>),
    /// Something that no member of ours is.
    Other,
}

impl<'a> LockFields<'a> {
    /// The members of a body. A status has none, whatever is sent with it.
    ///
    /// # Errors
    /// The body is no JSON object, or is empty where a member is needed.
    pub fn parse(verb: Verb, body: &'a [u8]) -> Result<LockFields<'a>, ApiError> {
        let body = body.trim_ascii();
        match (verb, body) {
            (Verb::Status, _) | (Verb::Acquire, []) => Ok(LockFields::default()),
            (_, []) => Err(error::invalid_json("it is empty")),
            (_, [b'{', ..]) => {
                // All of it at once, instead of string by string.
                let text = str::from_utf8(body).map_err(|e| error::invalid_json(&e.to_string()))?;
                serde_json::from_str(text).map_err(|e| error::invalid_json(&e.to_string()))
            }
            _ => Err(error::invalid_json("this is something else")),
        }
    }
}

/// A body of which no member counts: nothing, or a JSON object.
///
/// # Errors
/// It is something else.
pub(super) fn check_object(body: &[u8]) -> Result<(), ApiError> {
    LockFields::parse(Verb::Acquire, body).map(drop)
}

impl<'a, 'de: 'a> Deserialize<'de> for Member<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(MemberVisitor)
    }
}

struct MemberVisitor;

impl<'de> Visitor<'de> for MemberVisitor {
    type Value = Member<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any JSON value")
    }

    fn visit_unit<E>(self) -> Result<Member<'de>, E> {
        Ok(Member::Absent)
    }

    fn visit_u64<E>(self, number: u64) -> Result<Member<'de>, E> {
        Ok(Member::Number(number))
    }

    fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Member<'de>, E> {
        Ok(Member::Text(Cow::Borrowed(text)))
    }

    fn visit_str<E>(self, text: &str) -> Result<Member<'de>, E> {
        Ok(Member::Text(Cow::Owned(text.to_owned())))
    }

    fn visit_bool<E>(self, _: bool) -> Result<Member<'de>, E> {
        Ok(Member::Other)
    }

    fn visit_i64<E>(self, _: i64) -> Result<Member<'de>, E> {
        Ok(Member::Other)
    }

    fn visit_f64<E>(self, number: f64) -> Result<Member<'de>, E> {
        // To JSON Schema, and to languages with one kind of number, 60.0 is a whole number.
        let is_whole = number.fract() == 0.0 && (0.0..9e15).contains(&number);
        Ok(if is_whole { Member::Number(number as u64) } else { Member::Other })
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Member<'de>, A::Error> {
        while seq.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Member::Other)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Member<'de>, A::Error> {
        while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(Member::Other)
    }
}
