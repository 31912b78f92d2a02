//! Which line guards against what.
//!
//! For each guard `build.rs` copies the files with that one line weakened, and makes a test of it that passes
//! only if the named model fails, with the words given. So no line stands here that does not matter. A line that is
//! not found exactly once stops the build, and so does a model that no guard names: there is none that cannot fail.

/// One line, and what goes wrong without it.
pub struct Guard {
    /// What goes wrong: the name of the test.
    pub without: &'static str,
    /// The file that ships (or, for `array_queue.rs`, that stands in for crossbeam's).
    pub file: &'static str,
    /// What stands there, once.
    pub line: &'static str,
    /// What stands there instead.
    pub weakened: &'static str,
    /// The module and the name of the model that must fail.
    pub model: (&'static str, &'static str),
    /// With these words.
    pub fails_with: &'static str,
}

const fn guard(
    without: &'static str,
    file: &'static str,
    [line, weakened]: [&'static str; 2],
    model: (&'static str, &'static str),
    fails_with: &'static str,
) -> Guard {
    Guard { without, file, line, weakened, model, fails_with }
}

const LOST: &str = "a wake-up was lost";
const WAKES: (&str, &str) = ("sleep", "no_wake_up_is_lost");
const COMMITS: (&str, &str) = ("commit", "a_response_waits_for_its_commit_and_no_longer");

/// All of them, file by file.
#[rustfmt::skip]
pub const GUARDS: &[Guard] = &[
    guard("a_knock_that_only_looks_misses_a_doze", "handoff.rs",
        ["if self.state.swap(AWAKE, Ordering::Release) != AWAKE {",
         "if self.state.load(Ordering::SeqCst) != AWAKE && self.state.swap(AWAKE, Ordering::Release) != AWAKE {"],
        WAKES, LOST),
    guard("a_knock_that_clears_nothing_rings_too_often", "handoff.rs",
        ["if self.state.swap(AWAKE, Ordering::Release) != AWAKE {",
         "if self.state.fetch_or(AWAKE, Ordering::Release) != AWAKE {"],
        ("sleep", "a_sleeper_is_rung_at_most_once"), "more than once per sleep"),
    guard("a_knock_that_publishes_nothing_hides_the_push", "handoff.rs",
        ["if self.state.swap(AWAKE, Ordering::Release) != AWAKE {",
         "if self.state.swap(AWAKE, Ordering::Relaxed) != AWAKE {"],
        WAKES, LOST),
    guard("a_knock_without_its_ring_wakes_nobody", "handoff.rs",
        ["self.rings.fetch_add(1, Ordering::Relaxed); // a statistic; orders nothing\n            self.bell.ring();",
         "self.rings.fetch_add(1, Ordering::Relaxed);"],
        ("sleep", "one_ask_always_arrives"), LOST),
    guard("a_doze_that_is_a_store_misses_a_knock", "handoff.rs",
        ["self.state.swap(state, Ordering::Acquire);", "self.state.store(state, Ordering::SeqCst);"],
        WAKES, LOST),
    guard("a_doze_that_acquires_nothing_overlooks_the_push", "handoff.rs",
        ["self.state.swap(state, Ordering::Acquire);", "self.state.swap(state, Ordering::Relaxed);"],
        WAKES, LOST),
    guard("a_rouse_that_acquires_nothing_wakes_for_nothing", "handoff.rs",
        ["self.state.swap(AWAKE, Ordering::Acquire);", "self.state.swap(AWAKE, Ordering::Relaxed);"],
        ("commit", "what_woke_a_sleeper_is_there_at_once"), "woken for nothing"),
    guard("a_rouse_that_is_a_store_hides_an_earlier_knock", "handoff.rs",
        ["self.state.swap(AWAKE, Ordering::Acquire);", "self.state.store(AWAKE, Ordering::SeqCst);"],
        ("sleep", "a_sleeper_woken_by_something_else_loses_nothing"), LOST),
    guard("a_rouse_left_out_rings_one_who_is_awake", "handoff.rs",
        ["self.state.swap(AWAKE, Ordering::Acquire);", ""],
        ("sleep", "one_who_is_awake_is_not_rung"), "rung while awake"),
    guard("a_commit_that_only_looks_misses_a_doze", "handoff.rs",
        ["self.state.fetch_and(!WAITING, Ordering::Release)", "self.state.load(Ordering::SeqCst)"],
        COMMITS, LOST),
    guard("a_commit_that_takes_the_sleep_away_knocks_in_vain", "handoff.rs",
        ["self.state.fetch_and(!WAITING, Ordering::Release)", "self.state.swap(AWAKE, Ordering::Release)"],
        ("commit", "a_commit_and_a_message_may_come_together"), LOST),
    guard("a_commit_that_does_not_knock_wakes_nobody", "handoff.rs",
        ["            self.knock();", ""],
        ("commit", "every_batch_is_committed_and_answered"), LOST),
    guard("a_doze_that_keeps_to_itself_what_it_waits_for_is_not_woken", "handoff.rs",
        ["if waiting { ASLEEP | WAITING } else { ASLEEP }", "ASLEEP"],
        ("commit", "a_worker_without_room_goes_on_after_the_commit"), LOST),
    guard("a_commit_that_publishes_nothing_hides_the_mark", "handoff.rs",
        ["self.state.fetch_and(!WAITING, Ordering::Release)", "self.state.fetch_and(!WAITING, Ordering::Relaxed)"],
        COMMITS, LOST),
    guard("a_commit_that_publishes_nothing_hides_the_answer", "handoff.rs",
        ["self.state.fetch_and(!WAITING, Ordering::Release)", "self.state.fetch_and(!WAITING, Ordering::Relaxed)"],
        ("commit", "an_answer_that_rests_on_a_commit_needs_no_knock"), LOST),
    guard("a_commit_that_rings_any_sleeper_wakes_the_idle", "handoff.rs",
        ["& WAITING != 0", "!= AWAKE"],
        ("commit", "a_commit_wakes_nobody_who_does_not_wait_for_it"), "it does not wait for"),
    guard("a_control_message_without_a_knock_wakes_nobody", "handoff.rs",
        ["self.gate.knock();", ""],
        ("sleep", "a_stop_finds_everything_that_came_before_it"), LOST),
    guard("a_second_look_at_two_queues_overlooks_the_third", "handoff.rs",
        [" && self.control.is_empty()", ""],
        ("sleep", "a_stop_finds_everything_that_came_before_it"), LOST),
    guard("a_second_look_at_two_queues_overlooks_the_answers", "handoff.rs",
        [" && self.answers.is_empty()", ""],
        ("answers", "workers_that_ask_each_other_never_wait_for_room"), LOST),
    guard("a_mark_that_publishes_nothing_releases_too_early", "watermark.rs",
        ["self.durable.store(seq, Ordering::Release);", "self.durable.store(seq, Ordering::Relaxed);"],
        COMMITS, "Causality violation"),
    guard("a_look_at_the_mark_that_acquires_nothing_releases_too_early", "watermark.rs",
        ["self.durable.load(Ordering::Acquire)", "self.durable.load(Ordering::Relaxed)"],
        COMMITS, "Causality violation"),
    guard("a_mint_that_loads_and_stores_gives_a_token_twice", "fence.rs",
        ["let last = self.last.fetch_add(1, Ordering::Relaxed);",
         "let last = self.last.load(Ordering::SeqCst); self.last.store(last + 1, Ordering::SeqCst);"],
        ("counters", "tokens_are_unique_and_rise"), "a token"),
    guard("a_mint_that_loads_and_stores_sets_the_counter_back", "fence.rs",
        ["let last = self.last.fetch_add(1, Ordering::Relaxed);",
         "let last = self.last.load(Ordering::SeqCst); self.last.store(last + 1, Ordering::SeqCst);"],
        ("counters", "a_token_is_higher_than_any_seen_before"), "a token did not rise"),
    guard("a_last_token_that_is_not_the_last_goes_too_far", "fence.rs",
        ["last < HIGHEST_TOKEN", "last <= HIGHEST_TOKEN"],
        ("counters", "the_last_token_is_given_once"), "a token beyond the last"),
    guard("a_count_that_is_looked_at_first_passes_the_limit", "quota.rs",
        ["count.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |n| (n < self.limit).then(|| n + 1)).is_ok()",
         "count.load(Ordering::SeqCst) < self.limit && { count.fetch_add(1, Ordering::SeqCst); true }"],
        ("counters", "the_limit_is_never_passed"), "the limit was passed"),
    guard("a_place_given_back_by_load_and_store_is_counted_wrong", "quota.rs",
        ["let before = self.counts[account].fetch_sub(1, Ordering::Relaxed);",
         "let before = self.counts[account].load(Ordering::SeqCst); self.counts[account].store(before - 1, Ordering::SeqCst);"],
        ("counters", "the_limit_is_never_passed"), "the count is not what is live"),
    guard("a_reservation_that_does_not_try_again_refuses_too_many", "quota.rs",
        ["count.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |n| (n < self.limit).then(|| n + 1)).is_ok()",
         "let n = count.load(Ordering::SeqCst);
          n < self.limit && count.compare_exchange(n, n + 1, Ordering::SeqCst, Ordering::SeqCst).is_ok()"],
        ("counters", "as_many_as_the_limit_are_granted"), "a free place was not found"),
    guard("a_place_given_away_before_its_answer_came_is_taken_twice", "tickets.rs",
        ["let Some(index) = self.free.pop() else { return Err(waiter) };",
         "let index = self.free.pop().unwrap_or(0);"],
        ("answers", "a_client_that_has_gone_leaves_its_place_taken"), "more answers than outstanding asks"),
    guard("a_queue_whose_push_publishes_nothing_is_a_race", "array_queue.rs",
        ["slot.stamp.store(tail + 1, Ordering::Release);", "slot.stamp.store(tail + 1, Ordering::Relaxed);"],
        WAKES, "Causality violation"),
    guard("a_queue_whose_pop_publishes_nothing_is_a_race", "array_queue.rs",
        ["slot.stamp.store(head.wrapping_add(self.one_lap), Ordering::Release);",
         "slot.stamp.store(head.wrapping_add(self.one_lap), Ordering::Relaxed);"],
        ("sleep", "a_full_inbox_refuses_and_loses_nothing"), "Causality violation"),
    guard("a_queue_without_its_fence_looks_full", "array_queue.rs",
        ["fence(Ordering::SeqCst);\n                let head", "let head"],
        ("answers", "an_answer_always_finds_its_place"), "more answers than outstanding asks"),
];
