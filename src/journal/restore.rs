//! What restoring a backup does to what is stored. Pure, and the same for every journal.
//!
//! A backup is a state of the past. Between it and its restore locks were granted, released and run out
//! that it knows nothing of; three rules keep the promises all the same:
//!
//! - **Tokens go on rising.** The mark becomes [`TOKENS_A_SECOND`] for each second since 1970, by the wall clock: more than all that were
//!   ever minted, and than earlier restores have skipped. A step above the backup's own mark would not do: a second restore of one
//!   backup, or one of an older one, would come out where the first did, whose tokens have been minted since. A clock that is up to an
//!   hour slow does no harm, because nothing is minted in the first hour after a restore. If it stays behind the backup's mark by
//!   more than that, it is wrong, and the mark goes up by [`MARK_STEP`] instead. A restore that would take it to 2^53 (in the year 2242) is refused.
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
/// How far a restore raises the mark of the fencing tokens if the wall clock is of no use: at a million a second it lasts fifty days.
pub const MARK_STEP: u64 = 1 << 42;
/// For how many seconds after a restore no lock is granted.
pub const GRACE_S: u64 = Ttl::MAX_SECONDS as u64;

/// What is stored once, after the restore of a backup that recovers as `backup`, at `now_s` by the wall clock; no row and no commit is kept.
///
/// # Errors
/// The tokens below 2^53 would run out.
pub(super) fn restored(backup: &Recovered, with_grace: bool, now_s: u64) -> Result<Meta, JournalError> {
    let by_the_clock = now_s.saturating_mul(TOKENS_A_SECOND);
    let at_most_slow = by_the_clock.saturating_add(GRACE_S * TOKENS_A_SECOND);
    let is_possible = now_s >= FIRST_S && backup.mark <= at_most_slow && by_the_clock < HIGHEST_TOKEN;
    let mark = if is_possible { by_the_clock.max(backup.mark) } else { backup.mark.saturating_add(MARK_STEP) };
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
        for now_s in [NOW_S, NOW_S - 3_600] {
            assert_eq!(restored(&backup(NOW_S << 20), true, now_s).unwrap().mark, NOW_S << 20);
        }
    }

    #[test]
    fn a_clock_that_cannot_be_right_does_not_lower_the_mark() {
        for (of, now_s) in [(9, 0), (NOW_S << 20, NOW_S - 3_601), (NOW_S << 20, 1 << 33), (9, u64::MAX)] {
            assert_eq!(restored(&backup(of), true, now_s).unwrap().mark, of + MARK_STEP);
        }
    }

    #[test]
    fn a_restore_that_would_use_up_the_tokens_is_refused() {
        assert!(restored(&backup(HIGHEST_TOKEN - MARK_STEP - 1), true, NOW_S).is_ok());
        for mark in [HIGHEST_TOKEN - MARK_STEP, HIGHEST_TOKEN, u64::MAX] {
            let error = restored(&backup(mark), true, NOW_S).unwrap_err().to_string();
            assert!(error.contains("2^53"), "{error}");
        }
    }
}
