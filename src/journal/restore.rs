//! What restoring a backup does to what is stored. Pure, and the same for every journal.
//!
//! A backup is a state of the past. Between it and its restore locks were granted, released and run out
//! that it knows nothing of; three rules keep the promises all the same:
//!
//! - **Tokens go on rising.** The mark becomes [`TOKENS_A_SECOND`] for each second since 1970, by the wall clock: more than all that were
//!   ever minted, and than earlier restores have skipped. A step above the backup's own mark would not do: a second restore of one
//!   backup, or one of an older one, would come out where the first did, whose tokens have been minted since. A clock that is up to an
//!   hour behind what it was at an earlier restore does no harm, because nothing is minted in the first hour after one. A clock that is
//!   behind the backup's own mark is refused: it is wrong now, or was ahead then, and no other number would be safe.
//! - **No lease is kept.** One that the backup shows may have been released since, and granted to another.
//! - **No lock is granted for [`GRACE_S`]**, the longest TTL, after the first start: a holder that the backup does not
//!   know may believe in its lease for so long. It is stored, and cleared only once a start has run for that
//!   long on its own monotonic clock: no wall clock takes part in that, and a start that comes in between begins again.
//!
//! Accounts and tokens stay as the backup has them: one that was rotated since is valid again, and its successor is not.

use super::recovery::Meta;
use super::{JournalError, Recovered};
use crate::fence::HIGHEST_TOKEN;
use crate::lease::Ttl;

/// So many tokens are taken to have been minted in each second since 1970, at most: a million, on the average.
pub const TOKENS_A_SECOND: u64 = 1 << 20;
/// A wall clock before 2025 is wrong.
const FIRST_S: u64 = 1_735_689_600;
/// For how many seconds after a restore no lock is granted.
pub const GRACE_S: u64 = Ttl::MAX_SECONDS as u64;

/// What is stored once, after the restore of a backup that recovers as `backup`, at `now_s` by the wall clock; no row and no commit is kept.
///
/// # Errors
/// The clock is before 2025, behind the backup's tokens, or in or after 2242, when the tokens below 2^53 run out.
pub(super) fn restored(backup: &Recovered, with_grace: bool, now_s: u64) -> Result<Meta, JournalError> {
    let mark = now_s.saturating_mul(TOKENS_A_SECOND);
    let needed_s = backup.mark.div_ceil(TOKENS_A_SECOND).max(FIRST_S);
    if now_s < needed_s || mark >= HIGHEST_TOKEN {
        return Err(JournalError::Failed(format!(
            "the clock ({now_s} s since 1970) cannot be right: the backup's highest fencing token, {}, needs one of {needed_s} s at least, and \
             below 2^33 s: set the clock; if it is right, and was ahead once, set it to that for the time of the restore",
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

    /// In November of 2026.
    const NOW_S: u64 = 1_795_000_000;

    #[test]
    fn rule_5_a_restore_takes_the_mark_above_every_token_that_can_have_been_minted_since() {
        let meta = Meta { mark: NOW_S << 20, last_commit: 7, trimmed_through: 7, grace_s: 3600 };
        assert_eq!(restored(&backup(9), true, NOW_S).unwrap(), meta);
        assert_eq!(restored(&backup(9), false, NOW_S).unwrap(), Meta { grace_s: 0, ..meta });
    }

    #[test]
    fn rule_5_a_second_restore_of_a_backup_takes_the_mark_above_what_was_minted_after_the_first() {
        let mark = |of, now_s| restored(&backup(of), true, now_s).unwrap().mark;
        let first = mark(9, NOW_S);
        // A day later, with a hundred thousand grants in each of its seconds but those of the first hour; and the clock was set back an hour.
        let minted = first + 82_800 * 100_000;
        assert!(mark(9, NOW_S + 86_400 - 3_600) > minted);
        assert!(mark(minted, NOW_S + 86_400 - 3_600) > minted, "of a backup made just now");
    }

    #[test]
    fn rule_5_a_backup_made_and_restored_right_after_a_restore_skips_no_tokens() {
        assert_eq!(restored(&backup(NOW_S << 20), true, NOW_S).unwrap().mark, NOW_S << 20);
    }

    #[test]
    fn rule_5_a_clock_that_cannot_be_right_is_refused() {
        let of_now = NOW_S << 20;
        for (of, now_s) in
            [(9, 0), (9, FIRST_S - 1), (of_now, NOW_S - 1), (of_now + 1, NOW_S), (9, 1 << 33), (9, u64::MAX)]
        {
            let error = restored(&backup(of), true, now_s).unwrap_err().to_string();
            assert!(error.contains("cannot be right") && error.contains(&of.to_string()), "{error}");
        }
        assert!(restored(&backup(of_now + 1), true, NOW_S + 1).is_ok());
        assert!(restored(&backup(9), true, FIRST_S).is_ok());
        assert!(restored(&backup(u64::MAX), true, (1 << 33) - 1).is_err());
    }
}
