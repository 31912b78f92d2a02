//! How a change is written: the bytes of a commit.
//!
//! A commit's records are its changes, one after the other, with nothing between them, so that the
//! batches of several cores are joined by copying:
//!
//! ```text
//!   held   kind:1  name length:1  TTL in seconds:2  user:4  token:8  lease id:16  name  [note length:2  note]
//!   gone   kind:1  name length:1  name
//! ```
//!
//! Numbers are little-endian. The kind says whether the lock was granted or extended, and a bit of it
//! ([`WITH_NOTE`]) whether a note follows: a lock without one pays nothing for it, and an empty note is
//! not the same as none.
//!
//! There is no version byte: joined batches would carry one each, and all would have to agree with each
//! other and with the tables around them. The schema's version covers these bytes too.
//!
//! Nor is there a checksum: each commit has one, over its number and mark as well. What is checked here
//! is that every record is one that [`encode`] could have written, so that whatever a damaged byte turns
//! a record into, no impossible name, TTL or token gets into the lock table.

use uuid::Uuid;

use crate::fence::Fence;
use crate::lease::{Change, LockName, MAX_METADATA_BYTES, MAX_NAME_BYTES, Record, Ttl, UserId};

const GRANTED: u8 = 1;
const EXTENDED: u8 = 2;
const GONE: u8 = 3;
/// Set in the kind of a held record if a note follows.
const WITH_NOTE: u8 = 0x80;

/// The bytes of a held record before its name.
const HELD_HEAD: usize = 32;

// The lengths fit the fields that hold them.
const _: () = assert!(MAX_NAME_BYTES <= u8::MAX as usize && MAX_METADATA_BYTES <= u16::MAX as usize);

/// Why bytes are no records.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the record at byte {at} {what}")]
pub struct Corrupt {
    /// Where the record begins that is none.
    pub at: usize,
    /// What is wrong with it: "has …", "is …".
    pub what: &'static str,
}

/// Writes `change` at the end of `out`.
///
/// # Panics
/// If the name or the note is longer than any that was checked can be.
pub fn encode(out: &mut Vec<u8>, change: &Change<'_>) {
    match change {
        Change::Granted(record) => encode_held(out, GRANTED, record),
        Change::Extended(record) => encode_held(out, EXTENDED, record),
        Change::Gone { name } => {
            assert!(name.len() <= MAX_NAME_BYTES, "a lock name of {} bytes", name.len());
            out.extend_from_slice(&[GONE, name.len() as u8]);
            out.extend_from_slice(name.as_bytes());
        }
    }
}

/// The changes that `bytes` hold, in order, each one checked. After an error there are no more.
pub fn decode(bytes: &[u8]) -> Records<'_> {
    Records { bytes, at: 0 }
}

/// What [`decode`] gives.
#[derive(Clone, Debug)]
pub struct Records<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Iterator for Records<'a> {
    type Item = Result<Change<'a>, Corrupt>;

    fn next(&mut self) -> Option<Self::Item> {
        let rest = self.bytes.get(self.at..).filter(|rest| !rest.is_empty())?;
        let mut cursor = Cursor { rest };
        match cursor.change() {
            Ok(change) => {
                self.at = self.bytes.len() - cursor.rest.len();
                Some(Ok(change))
            }
            Err(what) => {
                let at = std::mem::replace(&mut self.at, self.bytes.len());
                Some(Err(Corrupt { at, what }))
            }
        }
    }
}

impl std::iter::FusedIterator for Records<'_> {}

fn encode_held(out: &mut Vec<u8>, kind: u8, record: &Record<'_>) {
    let Record { name, user, lease_id, token, ttl, metadata } = record;
    assert!(name.len() <= MAX_NAME_BYTES, "a lock name of {} bytes", name.len());
    // The head is put together first and copied at once: one look at the capacity instead of six.
    let mut head = [0; HELD_HEAD];
    head[0] = if metadata.is_some() { kind | WITH_NOTE } else { kind };
    head[1] = name.len() as u8;
    head[2..4].copy_from_slice(&ttl.seconds().to_le_bytes());
    head[4..8].copy_from_slice(&user.0.to_le_bytes());
    head[8..16].copy_from_slice(&token.get().to_le_bytes());
    head[16..32].copy_from_slice(lease_id.as_bytes());
    out.extend_from_slice(&head);
    out.extend_from_slice(name.as_bytes());
    if let Some(note) = metadata {
        assert!(note.len() <= MAX_METADATA_BYTES, "a note of {} bytes", note.len());
        out.extend_from_slice(&(note.len() as u16).to_le_bytes());
        out.extend_from_slice(note.as_bytes());
    }
}

/// What of the bytes is still to be read.
struct Cursor<'a> {
    rest: &'a [u8],
}

impl<'a> Cursor<'a> {
    fn change(&mut self) -> Result<Change<'a>, &'static str> {
        let [kind] = self.array()?;
        let with_note = kind & WITH_NOTE != 0;
        match kind & !WITH_NOTE {
            GRANTED => self.held(with_note).map(Change::Granted),
            EXTENDED => self.held(with_note).map(Change::Extended),
            GONE if !with_note => {
                let [length] = self.array()?;
                Ok(Change::Gone { name: self.name(length)? })
            }
            _ => Err("is of no known kind"),
        }
    }

    fn held(&mut self, with_note: bool) -> Result<Record<'a>, &'static str> {
        let [length] = self.array()?;
        let ttl = Ttl::from_seconds(u16::from_le_bytes(self.array()?).into()).ok_or("has an impossible TTL")?;
        let user = UserId(u32::from_le_bytes(self.array()?));
        let token = Fence::recovered(u64::from_le_bytes(self.array()?)).ok_or("has an impossible token")?;
        let lease_id = Uuid::from_bytes(self.array()?);
        let name = self.name(length)?;
        let metadata = if with_note { Some(self.note()?) } else { None };
        Ok(Record { name, user, lease_id, token, ttl, metadata })
    }

    fn name(&mut self, length: u8) -> Result<&'a str, &'static str> {
        LockName::check(self.take(length.into())?).map_err(|_| "has an impossible lock name")
    }

    fn note(&mut self) -> Result<&'a str, &'static str> {
        let length = usize::from(u16::from_le_bytes(self.array()?));
        if length > MAX_METADATA_BYTES {
            return Err("has a note that is too long");
        }
        std::str::from_utf8(self.take(length)?).map_err(|_| "has a note that is not UTF-8")
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], &'static str> {
        let (head, rest) = self.rest.split_first_chunk().ok_or("is cut off")?;
        self.rest = rest;
        Ok(*head)
    }

    fn take(&mut self, length: usize) -> Result<&'a [u8], &'static str> {
        let (head, rest) = self.rest.split_at_checked(length).ok_or("is cut off")?;
        self.rest = rest;
        Ok(head)
    }
}

#[cfg(test)]
#[path = "record_tests.rs"]
mod tests;
