//! JSON out, for the answers about one lock: an object, member after member, straight into the answer's body.
//!
//! serde would write the same, but it looks through every key and value for what must be escaped, and a time would be a
//! string of its own first. Of all that is shown of a lock only a note can hold such a character, and it alone is left to
//! serde. What is larger or seldom (lists, errors) is serde's altogether.

use serde::{Serialize, Serializer};
use uuid::Uuid;

use crate::calendar::{LAST_S, Utc, digits};
use crate::http::decimal;
use crate::lease::LockName;

/// More than most answers about a lock take.
const USUAL_BYTES: usize = 256;
/// The last millisecond of the year 9999, since 1970.
const LAST_MS: i64 = LAST_S as i64 * 1000 + 999;

/// An object that is being written.
#[must_use = "an object must be ended"]
pub(super) struct Object<'a>(&'a mut Vec<u8>);

impl<'a> Object<'a> {
    /// One without members, at the end of `body`.
    pub fn begin(body: &'a mut Vec<u8>) -> Object<'a> {
        body.reserve(USUAL_BYTES);
        body.push(b'{');
        Object(body)
    }

    /// A word of ours, which needs no escape.
    #[inline]
    pub fn word(self, key: &'static str, word: &'static str) -> Object<'a> {
        self.quoted(key, word.as_bytes())
    }

    /// A lock's name: nothing in it needs an escape.
    #[inline]
    pub fn name(self, key: &'static str, name: &LockName) -> Object<'a> {
        self.quoted(key, name.as_bytes())
    }

    /// A number.
    #[inline]
    pub fn number(mut self, key: &'static str, number: u64) -> Object<'a> {
        self.key(key);
        decimal(self.0, number);
        self.0.push(b',');
        self
    }

    /// A UUID.
    #[inline]
    pub fn id(self, key: &'static str, id: Uuid) -> Object<'a> {
        self.quoted(key, id.hyphenated().encode_lower(&mut Uuid::encode_buffer()).as_bytes())
    }

    /// A time.
    #[inline]
    pub fn time(self, key: &'static str, time: Time) -> Object<'a> {
        self.quoted(key, &time.text())
    }

    /// Any text, or null.
    #[inline]
    pub fn note(mut self, key: &'static str, text: Option<&str>) -> Object<'a> {
        let Some(text) = text else { return self.null(key) };
        self.key(key);
        write(self.0, &text);
        self.0.push(b',');
        self
    }

    /// Null.
    #[inline]
    pub fn null(mut self, key: &'static str) -> Object<'a> {
        self.key(key);
        self.0.extend_from_slice(b"null,");
        self
    }

    /// No more members.
    pub fn end(self) {
        // The comma of the last member, or the brace of an object without any.
        match self.0.last_mut() {
            Some(comma @ b',') => *comma = b'}',
            _ => self.0.push(b'}'),
        }
    }

    #[inline]
    fn key(&mut self, key: &'static str) {
        self.0.push(b'"');
        self.0.extend_from_slice(key.as_bytes());
        self.0.extend_from_slice(b"\":");
    }

    /// `text` must need no escape: nobody else looks.
    #[inline]
    fn quoted(mut self, key: &'static str, text: &[u8]) -> Object<'a> {
        self.key(key);
        self.0.push(b'"');
        self.0.extend_from_slice(text);
        self.0.extend_from_slice(b"\",");
        self
    }
}

/// A time in UTC with milliseconds, from 1970 to 9999, as RFC 3339 has it: `2026-11-23T06:40:00.000Z`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Time {
    unix_ms: u64,
}

impl Time {
    /// So many milliseconds after 1970.
    pub fn at(unix_ms: i64) -> Time {
        Time { unix_ms: unix_ms.clamp(0, LAST_MS) as u64 }
    }

    fn text(self) -> [u8; 24] {
        let Utc { year, month, day, hour, minute, second, .. } = Utc::at(self.unix_ms / 1000);
        let mut text = *b"0000-00-00T00:00:00.000Z";
        for (place, number) in [
            (0..4, year),
            (5..7, month),
            (8..10, day),
            (11..13, hour),
            (14..16, minute),
            (17..19, second),
            (20..23, self.unix_ms % 1000),
        ] {
            digits(&mut text[place], number);
        }
        text
    }
}

impl Serialize for Time {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(str::from_utf8(&self.text()).expect("ASCII"))
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

/// Writes a JSON body by way of serde.
pub(super) fn write(body: &mut Vec<u8>, value: &impl Serialize) {
    serde_json::to_writer(body, value).expect("a Vec takes everything, and our keys are strings");
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;

    #[test]
    fn an_object_reads_as_what_was_put_in() {
        let (mut body, id) = (Vec::new(), Uuid::from_u128(0xabc));
        let name = LockName::new("a.b-c").unwrap();
        let object =
            Object::begin(&mut body).word("status", "held").name("name", &name).number("n", u64::MAX).id("id", id);
        object.time("at", Time::at(1_795_416_000_007)).note("note", Some("\"\n\u{1}é")).note("none", None).end();
        let wanted = json!({"status": "held", "name": "a.b-c", "n": u64::MAX, "id": "00000000-0000-0000-0000-000000000abc",
            "at": "2026-11-23T06:40:00.007Z", "note": "\"\n\u{1}é", "none": null});
        assert_eq!(serde_json::from_slice::<Value>(&body).unwrap(), wanted);
        let mut empty = Vec::new();
        Object::begin(&mut empty).end();
        assert_eq!(empty, b"{}");
    }

    proptest! {
        #[test]
        fn times_are_what_a_calendar_says(unix_ms in 0..=LAST_MS) {
            let at = jiff::Timestamp::from_millisecond(unix_ms.min(jiff::Timestamp::MAX.as_millisecond())).unwrap();
            let shown = Time::at(at.as_millisecond()).text();
            prop_assert_eq!(str::from_utf8(&shown).unwrap(), format!("{at:.3}"));
        }
    }

    #[test]
    fn times_before_1970_and_after_9999_stop_there() {
        assert_eq!(&Time::at(-1).text(), b"1970-01-01T00:00:00.000Z");
        assert_eq!(&Time::at(i64::MAX).text(), b"9999-12-31T23:59:59.999Z");
    }
}
