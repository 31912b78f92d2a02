//! Lock names: `[a-zA-Z0-9.-]`, 1 to 128 bytes, but neither `.` nor `..` alone, which clients normalise away.

use std::borrow::Borrow;
use std::fmt;
use std::ops::Deref;

use compact_str::CompactString;

/// The longest lock name, in bytes.
pub const MAX_NAME_BYTES: usize = 128;

/// A valid lock name, owned: up to 24 bytes in place, a longer one on the heap. So a look at a lock with a name of usual
/// length is one miss of the cache less, and a new lock no call of the allocator. Code that needs no copy passes the `&str`
/// that [`LockName::check`] gives.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LockName(CompactString);

const _: () = assert!(size_of::<LockName>() == 24);

/// Why a text is no lock name. The texts are for the caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// No byte at all.
    #[error("the lock name is empty; it needs 1 to 128 of the characters a-z A-Z 0-9 . -")]
    Empty,
    /// More than [`MAX_NAME_BYTES`].
    #[error("the lock name is longer than 128 bytes")]
    TooLong,
    /// A byte outside `[a-zA-Z0-9.-]`.
    #[error("the lock name has a character other than a-z A-Z 0-9 . -")]
    Character,
    /// `.` or `..`.
    #[error("'.' and '..' are no lock names, because clients and proxies normalise them away")]
    Dots,
}

impl LockName {
    /// Says whether `text` is a lock name, without copying it.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn check(text: &[u8]) -> Result<&str, NameError> {
        judge(text)?;
        std::str::from_utf8(text).map_err(|_| NameError::Character)
    }

    /// The lock name `text`.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn new(text: &str) -> Result<LockName, NameError> {
        judge(text.as_bytes())?;
        Ok(LockName(CompactString::new(text)))
    }
}

fn judge(text: &[u8]) -> Result<(), NameError> {
    match text {
        [] => Err(NameError::Empty),
        _ if text.len() > MAX_NAME_BYTES => Err(NameError::TooLong),
        b"." | b".." => Err(NameError::Dots),
        _ if !text.iter().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-')) => Err(NameError::Character),
        _ => Ok(()),
    }
}

impl Deref for LockName {
    type Target = str;
    fn deref(&self) -> &str {
        &self.0
    }
}

impl Borrow<str> for LockName {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for LockName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn letters_digits_dots_and_dashes_make_a_name() {
        for good in ["a", "Z", "0", "-", "...", ".a", "a.", "job-42.nightly", &"x".repeat(128)] {
            assert_eq!(LockName::new(good).as_deref(), Ok(good));
        }
    }

    #[test]
    fn everything_else_says_what_is_wrong() {
        assert_eq!(LockName::new(""), Err(NameError::Empty));
        assert_eq!(LockName::new(&"x".repeat(129)), Err(NameError::TooLong));
        assert_eq!(LockName::new("."), Err(NameError::Dots));
        assert_eq!(LockName::new(".."), Err(NameError::Dots));
        for bad in ["a b", "a_b", "a/b", "é", "a\0", "a\n", "%61"] {
            assert_eq!(LockName::new(bad), Err(NameError::Character), "{bad:?}");
        }
    }
}
