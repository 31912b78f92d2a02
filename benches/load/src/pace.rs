//! When the requests of an open loop are due, and what is left of a run at its end. Pure.
//!
//! A run ends whether all is answered or not. What is still open then would vanish: a server that hangs would show no
//! long wait, and one that cannot keep a rate would pass it. So what is open is counted, and its waiting is in the
//! maximum of the run.

/// The times of one thread's requests in an open loop.
#[derive(Clone, Copy, Debug)]
pub struct Pace {
    /// A second, by all threads.
    pub rate: f64,
    /// Which thread this is.
    pub thread: usize,
    /// How many there are; they take turns.
    pub threads: usize,
}

impl Pace {
    /// When this thread's request `number` is due, in nanoseconds of the run.
    pub fn due_ns(&self, number: u64) -> u64 {
        ((number as f64 * self.threads as f64 + self.thread as f64) / self.rate * 1e9) as u64
    }

    /// How many of this thread's requests are due before `end_ns`.
    pub fn due_before(&self, end_ns: u64) -> u64 {
        let turns = end_ns as f64 / 1e9 * self.rate - self.thread as f64;
        (turns / self.threads as f64).ceil().max(0.0) as u64
    }
}

/// What was open at the end of a run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Open {
    /// Open loop: due, but no caller was free to send it.
    pub unsent: u64,
    /// Sent, but not answered.
    pub unanswered: u64,
    /// How long the oldest of them had waited, in nanoseconds.
    pub longest_ns: u64,
}

impl Open {
    /// What is open at `now_ns` of a run that ended at `end_ns`. `since_ns`: of each request under way, since when it
    /// waits. `pace`: in an open loop, with the number of the first request that has not been sent.
    pub fn at(now_ns: u64, end_ns: u64, since_ns: impl Iterator<Item = u64>, pace: Option<(Pace, u64)>) -> Open {
        let mut open = Open::default();
        for since_ns in since_ns.filter(|&since_ns| since_ns < end_ns) {
            open.unanswered += 1;
            open.longest_ns = open.longest_ns.max(now_ns.saturating_sub(since_ns));
        }
        if let Some((pace, next)) = pace {
            open.unsent = pace.due_before(end_ns).saturating_sub(next);
            if open.unsent > 0 {
                open.longest_ns = open.longest_ns.max(now_ns.saturating_sub(pace.due_ns(next)));
            }
        }
        open
    }

    /// Together with what is open in another thread.
    pub fn add(&mut self, other: Open) {
        self.unsent += other.unsent;
        self.unanswered += other.unanswered;
        self.longest_ns = self.longest_ns.max(other.longest_ns);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000_000;

    #[test]
    fn threads_take_turns_and_together_keep_the_rate() {
        let paces: Vec<Pace> = (0..4).map(|thread| Pace { rate: 1000.0, thread, threads: 4 }).collect();
        assert_eq!(paces.iter().map(|pace| pace.due_ns(1)).collect::<Vec<_>>(), [4, 5, 6, 7].map(|ms| ms * 1_000_000));
        assert_eq!(paces.iter().map(|pace| pace.due_before(3 * SECOND)).sum::<u64>(), 3000);
    }

    #[test]
    fn what_is_due_before_a_time_is_what_has_its_time_before_it() {
        let pace = Pace { rate: 7.0, thread: 2, threads: 3 };
        for end_ns in (0..20 * SECOND).step_by(123_456_789) {
            let wanted = (0..).take_while(|&number| pace.due_ns(number) < end_ns).count() as u64;
            assert_eq!(pace.due_before(end_ns), wanted, "{end_ns}");
        }
    }

    #[test]
    fn a_request_under_way_at_the_end_has_waited_since_it_was_sent() {
        let open = Open::at(10 * SECOND, 10 * SECOND, [3 * SECOND, 9 * SECOND].into_iter(), None);
        assert_eq!(open, Open { unsent: 0, unanswered: 2, longest_ns: 7 * SECOND });
        assert_eq!(Open::at(11 * SECOND, 10 * SECOND, [10 * SECOND].into_iter(), None), Open::default());
    }

    #[test]
    fn a_rate_that_was_not_reached_leaves_requests_behind() {
        let pace = Pace { rate: 100.0, thread: 0, threads: 1 };
        let open = Open::at(10 * SECOND, 10 * SECOND, [5 * SECOND].into_iter(), Some((pace, 400)));
        assert_eq!(open, Open { unsent: 600, unanswered: 1, longest_ns: 6 * SECOND });
        let kept = Open::at(10 * SECOND, 10 * SECOND, std::iter::empty(), Some((pace, 1000)));
        assert_eq!(kept, Open::default(), "all of them were sent and answered");
    }

    #[test]
    fn threads_are_added_up() {
        let mut open = Open { unsent: 1, unanswered: 2, longest_ns: 3 };
        open.add(Open { unsent: 10, unanswered: 20, longest_ns: 2 });
        assert_eq!(open, Open { unsent: 11, unanswered: 22, longest_ns: 3 });
    }
}
