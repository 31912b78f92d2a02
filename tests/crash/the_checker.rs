//! The judge of histories, judged: each promise broken once, and histories that only look bad.

use crate::history::{Event, History, Op, Outcome};

const SECOND: u64 = 1_000_000_000;

/// A request for lease `lease_id` (with a TTL of 10 s) at a time in seconds, answered a tenth of a second later.
fn at(seconds: u64, op: Op, lease_id: &str, outcome: Outcome) -> Event {
    let begin_ns = seconds * SECOND;
    let (name, lease_id) = ("lock".to_owned(), lease_id.to_owned());
    Event { client: 0, name, op, lease_id, ttl_s: 10, begin_ns, end_ns: begin_ns + SECOND / 10, outcome }
}

fn judge(events: &[Event]) -> Result<(), String> {
    let mut history = History::default();
    events.iter().cloned().for_each(|event| history.push(event));
    history.check()
}

#[track_caller]
fn refused(events: &[Event], why: &str) {
    let judged = judge(events);
    assert!(judged.as_ref().is_err_and(|what| what.contains(why)), "{judged:?} instead of {why:?}");
}

#[test]
fn two_holders_at_once() {
    let first = at(1, Op::Acquire, "a", Outcome::Acquired(1));
    refused(&[first.clone(), at(5, Op::Acquire, "b", Outcome::Acquired(2))], "surely held");
    assert_eq!(judge(&[first, at(12, Op::Acquire, "b", Outcome::Acquired(2))]), Ok(()));
}

#[test]
fn a_lock_that_is_lost_in_a_crash() {
    let first = at(1, Op::Acquire, "a", Outcome::Acquired(1));
    refused(&[first.clone(), at(3, Op::Status, "", Outcome::Free)], "surely held");
    refused(&[first.clone(), at(3, Op::Renew, "a", Outcome::Free)], "surely held");
    refused(&[first, at(3, Op::Renew, "a", Outcome::NotCurrent)], "surely held");
}

#[test]
fn a_renewal_counts_from_when_it_was_sent() {
    let events = [
        at(1, Op::Acquire, "a", Outcome::Acquired(1)),
        at(9, Op::Renew, "a", Outcome::Renewed(1)),
        at(18, Op::Acquire, "b", Outcome::Acquired(2)),
    ];
    refused(&events, "surely held");
    let mut unanswered = events;
    unanswered[1].outcome = Outcome::Unknown;
    assert_eq!(judge(&unanswered), Ok(()));
}

#[test]
fn a_release_that_is_undone() {
    let events = [
        at(1, Op::Acquire, "a", Outcome::Acquired(1)),
        at(2, Op::Release, "a", Outcome::Released),
        at(3, Op::Status, "", Outcome::Held(1)),
    ];
    refused(&events, "seen again");
    let mut unanswered = events;
    unanswered[1].outcome = Outcome::Unknown;
    assert_eq!(judge(&unanswered), Ok(()));
}

#[test]
fn a_lease_that_comes_back_after_it_was_found_to_have_run_out() {
    let found = [at(1, Op::Acquire, "a", Outcome::Acquired(1)), at(20, Op::Status, "", Outcome::Free)];
    refused(&[&found[..], &[at(21, Op::Status, "", Outcome::Held(1))]].concat(), "seen again");
    refused(&[&found[..], &[at(21, Op::Renew, "a", Outcome::Renewed(1))]].concat(), "surely held");
    assert_eq!(judge(&[&found[..], &[at(21, Op::Renew, "a", Outcome::Free)]].concat()), Ok(()));
}

#[test]
fn a_token_that_falls() {
    let first = at(1, Op::Acquire, "a", Outcome::Acquired(2));
    refused(&[first.clone(), at(20, Op::Acquire, "b", Outcome::Acquired(1))], "token");
    let mut elsewhere = at(20, Op::Acquire, "b", Outcome::Acquired(1));
    elsewhere.name = "other".to_owned();
    refused(&[first.clone(), elsewhere.clone()], "had been seen");
    elsewhere.outcome = Outcome::Acquired(2);
    refused(&[first, elsewhere], "belongs to");
}

#[test]
fn a_lower_token_that_is_seen_after_a_higher_one() {
    let mut early = at(1, Op::Acquire, "a", Outcome::Acquired(1));
    early.ttl_s = 1;
    let events = [early, at(5, Op::Acquire, "b", Outcome::Acquired(2)), at(6, Op::Status, "", Outcome::Held(1))];
    refused(&events, "was seen after");
}

#[test]
fn answers_that_cross_on_their_way_are_no_fault() {
    let mut slow = at(1, Op::Status, "", Outcome::Free);
    slow.end_ns = 4 * SECOND;
    let mut retried = at(3, Op::Acquire, "a", Outcome::Unknown);
    retried.end_ns = 3 * SECOND;
    let events = [at(2, Op::Acquire, "a", Outcome::Acquired(1)), slow, retried];
    assert_eq!(judge(&events), Ok(()));
}
