use std::collections::{BTreeMap, HashMap};

use proptest::prelude::*;

use super::*;
use crate::fence::Fence;

const SECOND: u64 = 1_000_000_000;

/// Ports that keep what was recorded, and a limit for everybody.
struct Book {
    fence: Fence,
    limit: usize,
    counts: HashMap<UserId, usize>,
    seq: Seq,
    /// What recovery would find, were everything durable.
    durable: BTreeMap<String, (Uuid, u64, u16, Option<String>)>,
}

impl Book {
    fn new(limit: usize) -> Book {
        Book { fence: Fence::above(0), limit, counts: HashMap::new(), seq: 0, durable: BTreeMap::new() }
    }
}

impl Ports for Book {
    fn mint(&mut self) -> Option<FencingToken> {
        self.fence.mint()
    }

    fn reserve(&mut self, user: UserId) -> bool {
        let count = self.counts.entry(user).or_default();
        let room = *count < self.limit;
        *count += usize::from(room);
        room
    }

    fn give_back(&mut self, user: UserId) {
        *self.counts.get_mut(&user).expect("reserved before") -= 1;
    }

    fn record(&mut self, change: Change<'_>) -> Seq {
        match change {
            Change::Granted(record) | Change::Extended(record) => {
                let before = self.durable.insert(
                    record.name.to_owned(),
                    (record.lease_id, record.token.get(), record.ttl.seconds(), record.metadata.map(str::to_owned)),
                );
                assert_eq!(before.is_none(), matches!(change, Change::Granted(_)), "a grant is of a free lock");
            }
            Change::Gone { name } => assert!(self.durable.remove(name).is_some(), "{name} was free already"),
        }
        self.seq += 1;
        self.seq
    }
}

/// A table and its book, driven by hand.
struct Bench {
    table: LockTable,
    book: Book,
    now: u64,
}

fn id(n: u128) -> Uuid {
    Uuid::from_u128(n)
}

fn ttl(seconds: u64) -> Ttl {
    Ttl::from_seconds(seconds).unwrap()
}

fn acquire(lease: u128, seconds: u64) -> Op<&'static str> {
    Op::Acquire { lease_id: id(lease), ttl: ttl(seconds), metadata: None }
}

fn renew(lease: u128, seconds: Option<u64>) -> Op<&'static str> {
    Op::Renew { lease_id: id(lease), ttl: seconds.map(ttl) }
}

fn release(lease: u128) -> Op<&'static str> {
    Op::Release { lease_id: id(lease) }
}

impl Bench {
    fn new(limit: usize) -> Bench {
        Bench { table: LockTable::new(100 * SECOND), book: Book::new(limit), now: 100 * SECOND }
    }

    fn apply(&mut self, user: u32, name: &str, op: Op<&str>) -> Reply {
        let name = LockName::new(name).unwrap();
        self.table.apply(self.now, &Command { user: UserId(user), name: &name, op }, &mut self.book)
    }

    fn after(&mut self, ns: u64) -> &mut Bench {
        self.now += ns;
        self
    }

    fn token(&mut self, user: u32, name: &str, op: Op<&str>) -> u64 {
        match self.apply(user, name, op).outcome {
            Outcome::Acquired { token, .. } => token.get(),
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn a_free_lock_is_acquired_and_a_held_one_is_held() {
    let mut bench = Bench::new(9);
    let reply = bench.apply(1, "a", acquire(1, 60));
    let (token, deadline_ns) = (Fence::recovered(1).unwrap(), 160 * SECOND);
    let acquired = Outcome::Acquired { lease_id: id(1), token, deadline_ns, ttl: ttl(60), metadata: None };
    assert_eq!(reply, Reply { outcome: acquired, rests_on: 1 });
    let held = Outcome::Held { holder: UserId(1), token, deadline_ns, metadata: None };
    assert_eq!(bench.apply(2, "a", acquire(2, 60)), Reply { outcome: held.clone(), rests_on: 1 });
    assert_eq!(bench.apply(2, "a", Op::Status), Reply { outcome: held, rests_on: 1 });
}

#[test]
fn rule_1_every_answer_rests_on_the_last_change_of_its_lock_and_of_no_other() {
    let mut bench = Bench::new(9);
    assert_eq!(bench.apply(1, "other", acquire(9, 60)).rests_on, 1);
    assert_eq!(bench.apply(1, "a", Op::Status).rests_on, 0, "a name that nothing was ever said of");
    assert_eq!(bench.apply(1, "a", acquire(1, 60)).rests_on, 2);
    assert_eq!(bench.apply(1, "b", acquire(2, 60)).rests_on, 3);
    for look in [acquire(1, 60), acquire(7, 60), renew(1, None), renew(7, None), release(7), Op::Status] {
        assert_eq!(bench.apply(1, "a", look).rests_on, 2, "{look:?}");
    }
    assert_eq!(bench.apply(1, "a", release(1)).rests_on, 4);
    for look in [renew(1, None), release(1), Op::Status] {
        assert_eq!(bench.apply(1, "a", look).rests_on, 4, "a tombstone: {look:?}");
    }
    bench.table.forget(3, usize::MAX);
    assert_eq!(bench.apply(1, "a", Op::Status).rests_on, 4, "the removal is not durable yet");
    bench.table.forget(4, usize::MAX);
    assert_eq!(bench.apply(1, "a", Op::Status).rests_on, 0);
    assert_eq!(bench.table.known_names(), 2);
}

#[test]
fn rule_2_a_renewal_changes_memory_only_unless_it_is_longer_than_what_is_recorded() {
    let mut bench = Bench::new(9);
    bench.apply(1, "a", acquire(1, 60));
    for free in [renew(1, None), renew(1, Some(60)), renew(1, Some(5)), acquire(1, 30), renew(1, Some(60))] {
        assert_eq!(bench.apply(1, "a", free).rests_on, 1, "{free:?}");
    }
    assert_eq!(bench.apply(1, "a", renew(1, Some(61))).rests_on, 2);
    assert_eq!(bench.book.durable["a"].2, 61);
    assert_eq!(bench.apply(1, "a", renew(1, Some(60))).rests_on, 2, "what rests on the longer TTL waits for it");
}

#[test]
fn a_renewal_without_a_ttl_takes_the_last_one_and_a_shorter_one_ends_sooner() {
    let mut bench = Bench::new(9);
    bench.apply(1, "a", acquire(1, 600));
    bench.apply(1, "a", renew(1, Some(2)));
    let Outcome::Renewed { deadline_ns, ttl: last, .. } = bench.after(SECOND).apply(1, "a", renew(1, None)).outcome
    else {
        panic!("not renewed");
    };
    assert_eq!((deadline_ns, last), (103 * SECOND, ttl(2)));
    bench.after(2 * SECOND + SECOND / 5);
    assert_eq!(bench.table.sweep(bench.now, 10, &mut bench.book), 1, "the wheel knows of the sooner deadline");
    assert_eq!(bench.table.held(), 0);
}

#[test]
fn rule_3_expiry_is_a_change_and_what_shows_it_rests_on_it() {
    let mut bench = Bench::new(9);
    bench.apply(1, "a", acquire(1, 1));
    bench.after(SECOND - 1);
    assert!(matches!(bench.apply(1, "a", Op::Status).outcome, Outcome::Held { .. }), "not before its deadline");
    let reply = bench.after(1).apply(1, "a", Op::Status);
    assert_eq!(reply, Reply { outcome: Outcome::Free, rests_on: 2 });
    assert!(bench.book.durable.is_empty());
    for late in [renew(1, None), release(1)] {
        assert_eq!(bench.apply(1, "a", late).outcome, Outcome::Denied(Denied::NotFound));
    }
}

#[test]
fn after_a_restore_nothing_is_granted_until_the_grace_is_over_and_nobody_is_charged_for_asking() {
    let mut bench = Bench::new(1);
    let until_ns = bench.now + 5 * SECOND;
    bench.table.grant_nothing_before(until_ns);
    for _ in 0..3 {
        let refused = Reply { outcome: Outcome::Denied(Denied::GracePeriod { until_ns }), rests_on: 0 };
        assert_eq!(bench.apply(1, "a", acquire(1, 60)), refused);
    }
    assert_eq!(bench.apply(1, "a", Op::Status).outcome, Outcome::Free);
    assert_eq!(bench.apply(1, "a", renew(1, None)).outcome, Outcome::Denied(Denied::NotFound));
    bench.after(5 * SECOND - 1);
    assert!(matches!(bench.apply(1, "a", acquire(1, 60)).outcome, Outcome::Denied(_)), "not a moment too early");
    assert_eq!(bench.after(1).token(1, "a", acquire(1, 60)), 1, "no token was used up, and no place in the limit");
}

#[test]
fn an_expired_lock_goes_to_the_next_with_a_higher_token() {
    let mut bench = Bench::new(9);
    let first = bench.token(1, "a", acquire(1, 1));
    let second = bench.after(SECOND).token(2, "a", acquire(2, 1));
    assert!(second > first);
    assert_eq!(bench.apply(1, "a", release(1)).outcome, Outcome::Denied(Denied::NotCurrent));
}

#[test]
fn the_sweep_ends_what_nobody_asks_about_and_stops_at_its_bound() {
    let mut bench = Bench::new(100);
    for n in 0..50 {
        bench.apply(1, &format!("job-{n}"), acquire(n, 1));
    }
    bench.after(2 * SECOND);
    assert_eq!(bench.table.sweep(bench.now, 30, &mut bench.book), 30);
    assert_eq!(bench.table.held(), 20);
    assert_eq!(bench.table.sweep(bench.now, 30, &mut bench.book), 20);
    assert_eq!((bench.table.held(), bench.book.counts[&UserId(1)], bench.book.durable.len()), (0, 0, 0));
    bench.table.forget(bench.book.seq, usize::MAX);
    assert_eq!(bench.table.known_names(), 0);
}

#[test]
fn rule_8_exclusion_is_per_lease_and_a_retry_gets_the_same_token() {
    let mut bench = Bench::new(9);
    let token = bench.token(1, "a", acquire(1, 60));
    assert!(
        matches!(bench.apply(1, "a", acquire(2, 60)).outcome, Outcome::Held { .. }),
        "the same user, another lease"
    );
    assert_eq!(bench.after(SECOND).token(1, "a", acquire(1, 60)), token);
    assert!(matches!(bench.apply(2, "a", acquire(1, 60)).outcome, Outcome::Held { .. }), "another user with that id");
    assert_eq!(bench.apply(2, "a", release(1)).outcome, Outcome::Denied(Denied::NotCurrent));
    assert_eq!(bench.apply(2, "a", renew(1, None)).outcome, Outcome::Denied(Denied::NotCurrent));
}

#[test]
fn a_retry_keeps_the_metadata_unless_it_brings_some() {
    let mut bench = Bench::new(9);
    let with = |note| Op::Acquire { lease_id: id(1), ttl: ttl(60), metadata: note };
    let note = |reply: Reply| match reply.outcome {
        Outcome::Acquired { metadata, .. } => metadata.map(String::from),
        other => panic!("{other:?}"),
    };
    assert_eq!(note(bench.apply(1, "a", with(Some("one")))).as_deref(), Some("one"));
    let kept = bench.apply(1, "a", with(None));
    assert_eq!((kept.rests_on, note(kept).as_deref()), (1, Some("one")));
    let changed = bench.apply(1, "a", with(Some("two")));
    assert_eq!((changed.rests_on, note(changed).as_deref()), (2, Some("two")), "new metadata is a change");
    assert_eq!(bench.book.durable["a"].3.as_deref(), Some("two"));
}

#[test]
fn rule_9_the_limit_counts_live_locks_and_held_is_answered_before_it() {
    let mut bench = Bench::new(2);
    bench.apply(1, "a", acquire(1, 60));
    bench.apply(1, "b", acquire(2, 1));
    assert_eq!(bench.apply(1, "c", acquire(3, 60)), denied(Denied::LimitReached, 0));
    assert!(matches!(bench.apply(1, "a", acquire(3, 60)).outcome, Outcome::Held { .. }), "held comes first");
    assert!(matches!(bench.apply(1, "a", acquire(1, 60)).outcome, Outcome::Acquired { .. }), "a retry never counts");
    assert!(matches!(bench.apply(2, "c", acquire(4, 60)).outcome, Outcome::Acquired { .. }), "each user has its own");
    bench.apply(1, "a", release(1));
    bench.apply(1, "a", acquire(1, 60));
    bench.apply(2, "d", acquire(9, 1));
    let refused = bench.after(SECOND / 2).apply(1, "d", acquire(8, 60));
    assert!(matches!(refused.outcome, Outcome::Held { .. }));
    let refused = bench.after(SECOND / 2 - 1).apply(1, "d", release(9));
    assert_eq!(refused.outcome, Outcome::Denied(Denied::NotCurrent));
    bench.after(1);
    assert!(matches!(bench.apply(1, "b", acquire(5, 60)).outcome, Outcome::Acquired { .. }), "an expiry gives back");
    let refused = bench.apply(1, "d", acquire(8, 60));
    assert_eq!(refused, denied(Denied::LimitReached, bench.book.seq), "it tells of an expiry made just now");
    bench.apply(1, "a", release(1));
    assert!(matches!(bench.apply(1, "d", acquire(6, 60)).outcome, Outcome::Acquired { .. }), "a release gives back");
}

#[test]
fn rule_7_a_deadline_counts_from_the_now_that_came_with_the_command() {
    let mut bench = Bench::new(9);
    for (pause, seconds) in [(0, 60), (123, 1), (7 * SECOND, 3600)] {
        let name = format!("job-{seconds}");
        let now = bench.after(pause).now;
        let Outcome::Acquired { deadline_ns, .. } = bench.apply(1, &name, acquire(1, seconds)).outcome else {
            panic!("not acquired");
        };
        assert_eq!(deadline_ns, now + seconds * SECOND);
    }
}

#[test]
fn a_recovered_lock_runs_its_full_ttl_from_the_start_and_is_renewed_for_free() {
    let mut bench = Bench::new(9);
    let (token, note) = (Fence::recovered(41).unwrap(), Some("note"));
    let record = Record { name: "a", user: UserId(3), lease_id: id(5), token, ttl: ttl(30), metadata: note };
    bench.book.counts.insert(UserId(3), 1);
    bench.book.durable.insert("a".into(), (id(5), 41, 30, note.map(str::to_owned)));
    bench.table.recover(bench.now, &record);
    bench.after(30 * SECOND - 1);
    let held = bench.apply(1, "a", Op::Status);
    assert!(
        matches!(held.outcome, Outcome::Held { holder: UserId(3), deadline_ns, .. } if deadline_ns == 130 * SECOND)
    );
    assert_eq!(bench.apply(3, "a", renew(5, None)).rests_on, 0, "nothing had to be written");
}

/// The names that a walk finds, so many locks a step, and the total.
fn listed(bench: &Bench, mut scan: Scan, step: usize) -> (Vec<String>, usize) {
    while !bench.table.scan(&mut scan, step) {}
    let (rows, total) = scan.found();
    (rows.iter().map(|row| row.name.to_string()).collect(), total)
}

#[test]
fn a_list_misses_no_lock_that_is_held_while_it_is_made_whatever_comes_and_goes() {
    for seed in 0..200u64 {
        let mut bench = Bench::new(9_999);
        for n in 0..60u128 {
            bench.apply(1, &format!("lock-{n:03}"), acquire(n, 60));
        }
        let mut scan = Scan::new(UserId(1), "lock-", None, 100);
        let mut gone = Vec::new();
        let mut at = seed;
        while !bench.table.scan(&mut scan, 7) {
            for n in 0..3u128 {
                at = at.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                let lock = u128::from(at >> 33) % 60;
                if !gone.contains(&lock) {
                    gone.push(lock);
                    bench.apply(1, &format!("lock-{lock:03}"), release(lock));
                }
                bench.apply(1, &format!("new-{at}-{n}"), acquire(1_000 + n, 60));
            }
        }
        let names: Vec<String> = scan.found().0.iter().map(|row| row.name.to_string()).collect();
        assert!(names.is_sorted() && names.windows(2).all(|pair| pair[0] != pair[1]), "seed {seed}: {names:?}");
        for stayed in (0..60).filter(|n| !gone.contains(n)) {
            assert!(names.contains(&format!("lock-{stayed:03}")), "seed {seed}: {stayed} was held, and is not listed");
        }
    }
}

#[test]
fn a_list_is_the_callers_own_sorted_and_cut_into_pages() {
    let mut bench = Bench::new(99);
    for (n, name) in ["b.2", "a", "b.10", "b.1", "c"].into_iter().enumerate() {
        bench.apply(1, name, acquire(n as u128, 60));
    }
    bench.apply(2, "b.3", acquire(9, 60));
    let owned = |names: &[&str]| names.iter().map(|n| n.to_string()).collect::<Vec<_>>();
    assert_eq!(listed(&bench, Scan::new(UserId(1), "", None, 9), 2), (owned(&["a", "b.1", "b.10", "b.2", "c"]), 5));
    assert_eq!(listed(&bench, Scan::new(UserId(1), "b.", None, 2), 2), (owned(&["b.1", "b.10"]), 3));
    assert_eq!(listed(&bench, Scan::new(UserId(1), "b.", Some("b.10"), 2), 2), (owned(&["b.2"]), 3));
    assert_eq!(listed(&bench, Scan::new(UserId(3), "", None, 9), 2), (vec![], 0));
}

#[test]
fn when_all_tokens_are_given_out_a_grant_is_refused_and_leaves_no_trace() {
    let mut bench = Bench::new(9);
    bench.book.fence = Fence::above(crate::fence::HIGHEST_TOKEN);
    assert_eq!(bench.apply(1, "a", acquire(1, 60)), denied(Denied::TokensExhausted, 0));
    assert_eq!((bench.book.counts[&UserId(1)], bench.table.known_names()), (0, 0));
}

/// One random step against the model below.
#[derive(Clone, Debug)]
enum Step {
    Ask { user: u32, name: u8, op: Op<String> },
    Pause { ms: u64 },
    Sweep,
    Forget,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let seconds = prop_oneof![Just(1u64), Just(2), Just(5), Just(3600)];
    let lease = || (0u128..6).prop_map(id);
    let note = prop::option::of("[a-c]{0,2}");
    let op = prop_oneof![
        (lease(), seconds.clone(), note).prop_map(|(lease_id, s, metadata)| Op::Acquire {
            lease_id,
            ttl: ttl(s),
            metadata
        }),
        (lease(), prop::option::of(seconds)).prop_map(|(lease_id, s)| Op::Renew { lease_id, ttl: s.map(ttl) }),
        lease().prop_map(|lease_id| Op::Release { lease_id }),
        Just(Op::Status),
    ];
    let step = prop_oneof![
        8 => (0u32..3, 0u8..5, op).prop_map(|(user, name, op)| Step::Ask { user, name, op }),
        2 => (0u64..3000).prop_map(|ms| Step::Pause { ms }),
        1 => Just(Step::Sweep),
        1 => Just(Step::Forget),
    ];
    prop::collection::vec(step, 1..200)
}

/// A lock as the contract describes it, in the plainest words.
#[derive(Clone, Debug)]
struct Plain {
    user: u32,
    lease: Uuid,
    token: u64,
    deadline: u64,
    ttl: u16,
    note: Option<String>,
}

/// What the contract says of a command; applies it to the model.
fn expected(
    model: &mut HashMap<u8, Plain>,
    next_token: &mut u64,
    limit: usize,
    now: u64,
    step: (u32, u8, &Op<String>),
) -> String {
    let (user, name, op) = step;
    model.retain(|n, lock| *n != name || lock.deadline > now);
    let mine = |lease: &Uuid, lock: &Plain| lock.lease == *lease && lock.user == user;
    let seconds = |s: u16| u64::from(s) * SECOND;
    match op {
        Op::Status => model.get(&name).map_or("free".into(), |l| format!("held {} {} {}", l.user, l.token, l.deadline)),
        Op::Acquire { lease_id, ttl, metadata } => {
            if let Some(lock) = model.get_mut(&name) {
                if mine(lease_id, lock) {
                    (lock.ttl, lock.deadline) = (ttl.seconds(), now + ttl.ns());
                    lock.note = metadata.clone().or(lock.note.take());
                    return format!("acquired {} {} {:?}", lock.token, lock.deadline, lock.note);
                }
                return format!("held {} {} {}", lock.user, lock.token, lock.deadline);
            }
            if model.values().filter(|lock| lock.user == user).count() >= limit {
                return "limit".into();
            }
            *next_token += 1;
            let (token, deadline, note) = (*next_token, now + ttl.ns(), metadata.clone());
            model.insert(
                name,
                Plain { user, lease: *lease_id, token, deadline, ttl: ttl.seconds(), note: note.clone() },
            );
            format!("acquired {token} {deadline} {note:?}")
        }
        Op::Renew { lease_id, ttl } => match model.get_mut(&name) {
            None => "not found".into(),
            Some(lock) if mine(lease_id, lock) => {
                lock.ttl = ttl.map_or(lock.ttl, Ttl::seconds);
                lock.deadline = now + seconds(lock.ttl);
                format!("renewed {} {}", lock.token, lock.deadline)
            }
            Some(_) => "not current".into(),
        },
        Op::Release { lease_id } => match model.get_mut(&name) {
            None => "not found".into(),
            Some(lock) if mine(lease_id, lock) => {
                model.remove(&name);
                "released".into()
            }
            Some(_) => "not current".into(),
        },
    }
}

fn shown(outcome: &Outcome) -> String {
    match outcome {
        Outcome::Acquired { token, deadline_ns, metadata, .. } => {
            format!("acquired {} {deadline_ns} {:?}", token.get(), metadata.as_deref().map(str::to_owned))
        }
        Outcome::Held { holder, token, deadline_ns, .. } => format!("held {} {} {deadline_ns}", holder.0, token.get()),
        Outcome::Renewed { token, deadline_ns, .. } => format!("renewed {} {deadline_ns}", token.get()),
        Outcome::Released { .. } => "released".into(),
        Outcome::Free => "free".into(),
        Outcome::Denied(Denied::NotFound) => "not found".into(),
        Outcome::Denied(Denied::NotCurrent) => "not current".into(),
        Outcome::Denied(Denied::LimitReached) => "limit".into(),
        Outcome::Denied(Denied::TokensExhausted) => "exhausted".into(),
        Outcome::Denied(Denied::GracePeriod { .. }) => "in grace".into(),
    }
}

proptest! {
    /// The table and the model agree on every answer; what is recorded is what is held, but for leases that have run
    /// out and that nobody has noticed, in both alike; and nothing is left over at the end.
    #[test]
    fn the_table_does_what_a_plain_map_would(steps in steps()) {
        // No limit here: a place is given back when an expiry is noticed, which the model cannot know.
        let limit = 99;
        let (mut bench, mut model, mut next_token) = (Bench::new(limit), HashMap::new(), 0);
        for step in &steps {
            match step {
                Step::Ask { user, name, op } => {
                    let reply = bench.apply(*user, &format!("job-{name}"), op.map(String::as_str));
                    let expected = expected(&mut model, &mut next_token, limit, bench.now, (*user, *name, op));
                    prop_assert_eq!(shown(&reply.outcome), expected, "{:?}", step);
                    prop_assert!(reply.rests_on <= bench.book.seq);
                }
                Step::Pause { ms } => bench.now += ms * 1_000_000,
                Step::Sweep => while bench.table.sweep(bench.now, 2, &mut bench.book) == 2 {},
                Step::Forget => _ = bench.table.forget(bench.book.seq, 2),
            }
            prop_assert_eq!(bench.table.held(), bench.book.durable.len());
            prop_assert_eq!(bench.book.counts.values().sum::<usize>(), bench.table.held());
            for (name, lock) in model.iter().filter(|(_, lock)| lock.deadline > bench.now) {
                let (lease, token, seconds, note) = &bench.book.durable[&format!("job-{name}")];
                prop_assert_eq!((lease, *token, note), (&lock.lease, lock.token, &lock.note));
                prop_assert!(*seconds >= lock.ttl, "a crash must not shorten a lease");
            }
        }
        bench.after(4000 * SECOND);
        while bench.table.sweep(bench.now, 64, &mut bench.book) == 64 {}
        bench.table.forget(bench.book.seq, usize::MAX);
        prop_assert_eq!((bench.table.held(), bench.table.known_names(), bench.book.durable.len()), (0, 0, 0));
    }
}
