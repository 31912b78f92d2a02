//! Runs every model against the files that ship, and shows that a careless caller would be found out.

use crate::explore::{Bound, explore};
use crate::{answers, commit, counters, sleep};

macro_rules! models {
    ($($file:ident: $($model:ident),+;)+) => { $($(
        #[test]
        fn $model() {
            $file::$model();
        }
    )+)+ };
}

models! {
    sleep: no_wake_up_is_lost, one_ask_always_arrives, a_sleeper_woken_by_something_else_loses_nothing, a_sleeper_is_rung_at_most_once,
        one_who_is_awake_is_not_rung,
        a_full_inbox_refuses_and_loses_nothing, a_stop_finds_everything_that_came_before_it;
    answers: an_answer_always_finds_its_place, a_client_that_has_gone_leaves_its_place_taken,
        workers_that_ask_each_other_never_wait_for_room;
    commit: a_response_waits_for_its_commit_and_no_longer, what_woke_a_sleeper_is_there_at_once,
        a_commit_and_a_message_may_come_together,
        a_commit_wakes_nobody_who_does_not_wait_for_it, every_batch_is_committed_and_answered,
        an_answer_that_rests_on_a_commit_needs_no_knock, a_worker_without_room_goes_on_after_the_commit;
    counters: tokens_are_unique_and_rise, a_token_is_higher_than_any_seen_before, the_last_token_is_given_once,
        the_limit_is_never_passed, as_many_as_the_limit_are_granted;
}

const SMALL: Bound = Bound { usual: Some(2), deep: Some(2) };

#[test]
#[should_panic(expected = "a wake-up was lost")]
fn a_consumer_that_looks_once_loses_a_wake_up() {
    explore("careless: looks once", SMALL, || sleep::two_producers(sleep::Caller::LooksOnce));
}

#[test]
#[should_panic(expected = "a wake-up was lost")]
fn a_producer_that_knocks_before_it_pushes_loses_a_wake_up() {
    explore("careless: knocks first", SMALL, || sleep::two_producers(sleep::Caller::KnocksFirst));
}

#[test]
#[should_panic(expected = "a wake-up was lost")]
fn a_journal_that_knocks_before_it_raises_the_mark_keeps_a_response_for_ever() {
    explore("careless: raises late", SMALL, || commit::two_commits(commit::Writer::KnocksFirst));
}

#[test]
#[should_panic(expected = "a wake-up was lost")]
fn a_worker_without_room_that_does_not_say_so_sleeps_for_ever() {
    explore("careless: does not say that it waits for room", SMALL, || commit::full_lane(commit::Full::KeepsIt));
}
