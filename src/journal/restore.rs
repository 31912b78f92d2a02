//! What restoring a backup does to what is stored. Pure, and the same for every journal.
//!
//! A backup is a state of the past. Between it and its restore locks were granted, released and run out
//! that it knows nothing of; three rules keep the promises all the same:
//!
//! - **Tokens go on rising.** The mark goes up by [`MARK_STEP`], far more than can have been minted since: at a
//!   million a second 2^42 last fifty days. A restore that would take the mark to 2^53 is refused.
//! - **No lease is kept.** One that the backup shows may have been released since, and granted to another.
//! - **No lock is granted for [`GRACE_S`]**, the longest TTL, after the first start: a holder that the backup does not
//!   know may believe in its lease for so long. It is stored, and cleared only once a start has run for that
//!   long on its own monotonic clock: no wall clock takes part, and a start that comes in between begins again.
//!
//! Accounts and tokens stay as the backup has them: one that was rotated since is valid again, and its successor is not.

use super::recovery::Meta;
use super::{JournalError, Recovered};
use crate::fence::HIGHEST_TOKEN;
use crate::lease::Ttl;

/// How far a restore raises the mark of the fencing tokens.
pub const MARK_STEP: u64 = 1 << 42;
/// For how many seconds after a restore no lock is granted.
pub const GRACE_S: u64 = Ttl::MAX_SECONDS as u64;

/// What is stored once, after the restore of a backup that recovers as `backup`; no row and no commit is kept.
///
/// # Errors
/// The tokens below 2^53 would run out.
pub(super) fn restored(backup: &Recovered, with_grace: bool) -> Result<Meta, JournalError> {
    let mark = backup.mark.saturating_add(MARK_STEP);
    if mark >= HIGHEST_TOKEN {
        return Err(JournalError::Failed(format!(
            "the backup's highest fencing token is {}: a restore adds 2^42, and tokens must stay below 2^53",
            backup.mark
        )));
    }
    let grace_s = if with_grace { GRACE_S } else { 0 };
    let last_commit = backup.last_commit;
    Ok(Meta { mark, last_commit, trimmed_through: last_commit, grace_s })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn backup(mark: u64) -> Recovered {
        Recovered { mark, last_commit: 7, grace_s: 5, ..Recovered::default() }
    }

    #[test]
    fn rule_5_a_restore_takes_the_mark_above_every_token_that_can_have_been_minted_since() {
        let meta = Meta { mark: 9 + (1 << 42), last_commit: 7, trimmed_through: 7, grace_s: 3600 };
        assert_eq!(restored(&backup(9), true).unwrap(), meta);
        assert_eq!(restored(&backup(9), false).unwrap(), Meta { grace_s: 0, ..meta });
    }

    #[test]
    fn a_restore_that_would_use_up_the_tokens_is_refused() {
        assert!(restored(&backup(HIGHEST_TOKEN - MARK_STEP - 1), true).is_ok());
        for mark in [HIGHEST_TOKEN - MARK_STEP, HIGHEST_TOKEN, u64::MAX] {
            let error = restored(&backup(mark), true).unwrap_err().to_string();
            assert!(error.contains("2^53"), "{error}");
        }
    }
}
