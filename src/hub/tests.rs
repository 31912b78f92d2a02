//! Hubs of two cores and a journal in memory, driven turn by turn on one thread: what the threads do, without the threads.

use std::task::{Context, Wake};

use uuid::Uuid;

use super::lists::SCAN_PER_TURN;
use super::*;
use crate::fence::Fence;
use crate::journal::{Call, Disk, Effect, Journal, Limits, MemoryJournal, Writer};
use crate::lease::{LockName, Op, Outcome, Ttl};
use crate::mesh::ASKS;
use crate::metrics::JournalMetrics;
use crate::quota::Quota;
use crate::sync::{AtomicBool, Bell, Ordering};

#[derive(Default)]
struct Woken(AtomicBool);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::Relaxed);
    }
}

struct Rig {
    hubs: Vec<Hub>,
    mesh: Arc<Mesh>,
    writer: Writer<MemoryJournal>,
    disk: Disk,
}

impl Rig {
    fn new(cores: usize) -> Rig {
        let mesh = Arc::new(Mesh::new((0..cores).map(|_| Bell::new(true).unwrap()).collect()));
        let intake = Arc::new(Intake::new(cores).unwrap());
        let (fence, quota) = (Arc::new(Fence::above(0)), Arc::new(Quota::new(1, u32::MAX)));
        let disk = Disk::new(Limits::STANDARD);
        let mut journal = MemoryJournal::on(&disk);
        let recovered = journal.recover().unwrap();
        journal.accounts(&[("static", "alice")]).unwrap();
        let metrics = Arc::new(JournalMetrics::default());
        let writer = Writer::new(journal, &recovered, intake.clone(), mesh.clone(), metrics).unwrap();
        let hub = |core| {
            // The table's time began a while ago, so that a lease may have run out by now.
            let shard = Shard::new(clock::now_ns() - 5_000_000_000, Vec::new(), fence.clone(), quota.clone());
            Hub::new(core, shard, mesh.clone(), intake.clone())
        };
        Rig { hubs: (0..cores).map(hub).collect(), mesh, writer, disk }
    }

    /// A name that `owner` owns.
    fn name(&self, owner: usize, n: usize) -> String {
        (0..).map(|salt| format!("job-{n}-{salt}")).find(|name| self.mesh.owner_of(name) == owner).unwrap()
    }

    fn send(&self, core: usize, name: &str, op: Op<&str>) -> Pending {
        self.send_at(clock::now_ns(), core, name, op)
    }

    fn send_at(&self, now_ns: u64, core: usize, name: &str, op: Op<&str>) -> Pending {
        let name = LockName::new(name).unwrap();
        self.hubs[core].send(now_ns, &Command { user: UserId(0), name: &name, op })
    }

    fn acquire(&self, core: usize, name: &str) -> Pending {
        self.send(core, name, Op::Acquire { lease_id: Uuid::new_v4(), ttl: Ttl::DEFAULT, metadata: None })
    }

    fn end_turn(&self, core: usize) {
        self.hubs[core].end_turn(&mut Context::from_waker(Waker::noop()));
    }

    fn outcome(&self, core: usize, pending: &mut Pending) -> Option<Result<Outcome, Unavailable>> {
        self.hubs[core].settled(pending).map(|settled| {
            settled.map(|answered| match answered {
                Answered::Lock(reply) => reply.unwrap().outcome,
                other => panic!("that was not asked for: {other:?}"),
            })
        })
    }

    fn asleep(&self, core: usize) -> bool {
        self.mesh.inbox(core).gate().is_asleep()
    }
}

#[test]
fn rule_1_a_local_answer_is_held_until_its_commit() {
    let mut rig = Rig::new(1);
    let name = rig.name(0, 0);
    let mut pending = rig.acquire(0, &name);
    assert_eq!(rig.outcome(0, &mut pending), None);
    rig.end_turn(0);
    assert_eq!(rig.outcome(0, &mut pending), None, "handed over is not committed");
    let mut look = rig.send(0, &name, Op::Status);
    assert_eq!(rig.outcome(0, &mut look), None, "nor may a reader see it");
    assert!(rig.writer.commit().unwrap());
    assert!(matches!(rig.outcome(0, &mut pending), Some(Ok(Outcome::Acquired { .. }))));
    assert!(matches!(rig.outcome(0, &mut look), Some(Ok(Outcome::Held { .. }))));
    let mut free = rig.send(0, "elsewhere", Op::Status);
    assert_eq!(rig.outcome(0, &mut free), Some(Ok(Outcome::Free)), "what no change concerns is said at once");
}

#[test]
fn rule_1_an_answer_from_another_core_is_held_until_that_cores_commit() {
    let mut rig = Rig::new(2);
    let name = rig.name(1, 0);
    let mut pending = rig.acquire(0, &name);
    rig.end_turn(0);
    rig.end_turn(1);
    rig.end_turn(0);
    assert_eq!(rig.outcome(0, &mut pending), None, "the answer is home, its commit is not made");
    assert!(rig.writer.commit().unwrap());
    assert!(matches!(rig.outcome(0, &mut pending), Some(Ok(Outcome::Acquired { .. }))));
}

#[test]
fn a_long_list_is_made_in_parts_and_others_are_answered_between() {
    let mut rig = Rig::new(2);
    let count = 4 * SCAN_PER_TURN;
    for n in 0..count {
        let name = rig.name(n % 2, n);
        let _ = rig.acquire(n % 2, &name);
        if n % 100 == 99 {
            (0..2).for_each(|core| rig.end_turn(core));
            rig.writer.commit().unwrap();
        }
    }
    (0..2).for_each(|core| rig.end_turn(core));
    rig.writer.commit().unwrap();
    let query = Query { prefix: String::new(), after: None, limit: 10 };
    let mut shares = rig.hubs[0].send_list(UserId(0), &query);
    let mut forgotten = rig.hubs[0].send_list(UserId(0), &query);
    assert!(shares.iter_mut().all(|share| rig.hubs[0].settled(share).is_none()), "not in one go");
    let mut look = rig.send(0, &rig.name(0, 1_000_000), Op::Status);
    assert_eq!(rig.outcome(0, &mut look), Some(Ok(Outcome::Free)), "others need not wait for it");
    forgotten.clear();
    for _ in 0..8 {
        (0..2).for_each(|core| rig.end_turn(core));
    }
    let total = |share: &mut Pending| match rig.hubs[0].settled(share) {
        Some(Ok(Answered::List(page))) => (page.rows.len(), page.total),
        other => panic!("{other:?}"),
    };
    assert_eq!(shares.iter_mut().map(total).collect::<Vec<_>>(), [(11, count / 2), (11, count / 2)]);
    assert!(rig.hubs.iter().all(|hub| hub.lists.are_done()), "nor is one left whose client has gone");
}

#[test]
fn rule_1_a_list_rests_on_all_that_its_cores_have_done() {
    let mut rig = Rig::new(2);
    let names = [rig.name(0, 0), rig.name(1, 1)];
    let mut pending: Vec<Pending> = (0..2).map(|core| rig.acquire(core, &names[core])).collect();
    (0..2).for_each(|core| rig.end_turn(core));
    let query = Query { prefix: String::new(), after: None, limit: 10 };
    let mut shares = rig.hubs[0].send_list(UserId(0), &query);
    [0, 1, 0].into_iter().for_each(|core| rig.end_turn(core));
    assert!(shares.iter_mut().all(|share| rig.hubs[0].settled(share).is_none()));
    rig.writer.commit().unwrap();
    let rows = |share: &mut Pending| match rig.hubs[0].settled(share) {
        Some(Ok(Answered::List(page))) => page.rows.len(),
        other => panic!("{other:?}"),
    };
    assert_eq!(shares.iter_mut().map(rows).collect::<Vec<_>>(), [1, 1]);
    assert!(pending.iter_mut().enumerate().all(|(core, p)| rig.outcome(core, p).is_some()));
}

#[test]
fn a_turn_ends_asleep_and_the_commit_wakes_exactly_who_waits() {
    let mut rig = Rig::new(2);
    (0..2).for_each(|core| rig.end_turn(core));
    assert!(rig.asleep(0) && rig.asleep(1));
    let name = rig.name(0, 0);
    let mut pending = rig.acquire(0, &name);
    assert!(!rig.asleep(0), "a turn is in progress");
    assert_eq!(rig.outcome(0, &mut pending), None);
    rig.hubs[0].wake_when_settled(&pending, Waker::noop());
    rig.end_turn(0);
    assert!(rig.asleep(0));
    let rings = |core: usize| rig.mesh.inbox(core).gate().rings();
    let before = (rings(0), rings(1));
    rig.writer.commit().unwrap();
    assert_eq!((rings(0), rings(1)), (before.0 + 1, before.1));
    assert!(!rig.asleep(0) && rig.asleep(1));
}

#[test]
fn an_answer_that_rests_on_a_commit_wakes_nobody_before_it() {
    let mut rig = Rig::new(2);
    (0..2).for_each(|core| rig.end_turn(core));
    let name = rig.name(1, 0);
    let mut pending = rig.acquire(0, &name);
    assert_eq!(rig.outcome(0, &mut pending), None);
    rig.hubs[0].wake_when_settled(&pending, Waker::noop());
    rig.end_turn(0);
    rig.end_turn(1);
    assert!(rig.asleep(0), "the answer is home, and nobody may see it");
    rig.writer.commit().unwrap();
    assert!(!rig.asleep(0));
    rig.end_turn(0);
    assert!(matches!(rig.outcome(0, &mut pending), Some(Ok(Outcome::Acquired { .. }))));
    let mut look = rig.send(0, &name, Op::Status);
    rig.end_turn(0);
    assert!(rig.asleep(0));
    rig.end_turn(1);
    assert!(!rig.asleep(0), "what is durable is told at once");
    rig.end_turn(0);
    assert!(matches!(rig.outcome(0, &mut look), Some(Ok(Outcome::Held { .. }))));
}

#[test]
fn rule_10_a_full_inbox_refuses_what_comes_beyond_and_loses_nothing() {
    let mut rig = Rig::new(2);
    let names: Vec<String> = (0..ASKS + 10).map(|n| rig.name(1, n)).collect();
    let mut pending: Vec<Pending> = names.iter().map(|name| rig.acquire(0, name)).collect();
    let refused = pending.iter_mut().filter_map(|p| rig.outcome(0, p)).collect::<Vec<_>>();
    assert_eq!(refused, vec![Err(Unavailable::Overloaded); 10]);
    assert_eq!(rig.mesh.inbox(1).refused(), 10);
    for _ in 0..=ASKS / ASKS_PER_TURN {
        rig.end_turn(1);
        while rig.writer.commit().unwrap() {}
    }
    rig.end_turn(0);
    assert_eq!(rig.hubs[0].tickets.borrow().outstanding(), 0);
    let settled = pending.iter_mut().take(ASKS).map(|p| rig.outcome(0, p)).filter(|o| matches!(o, Some(Ok(_)))).count();
    assert_eq!(settled, ASKS);
    let gate = rig.mesh.inbox(1).gate();
    assert_eq!(gate.self_rings(), (ASKS / ASKS_PER_TURN) as u64, "once for each turn that ended at its bound");
}

#[test]
fn a_client_that_goes_leaves_its_ticket_out_until_the_answer_has_come() {
    let rig = Rig::new(2);
    let name = rig.name(1, 0);
    drop(rig.acquire(0, &name));
    rig.end_turn(0);
    assert_eq!(rig.hubs[0].tickets.borrow().outstanding(), 1);
    rig.end_turn(1);
    rig.end_turn(0);
    assert_eq!(rig.hubs[0].tickets.borrow().outstanding(), 0);
    assert!(rig.asleep(0), "there was nobody to wake");
}

#[test]
fn rule_10_two_cores_with_full_inboxes_at_each_other_both_go_on() {
    let mut rig = Rig::new(2);
    let mut pending = Vec::new();
    for n in 0..2 * ASKS {
        for core in 0..2 {
            pending.push((core, rig.acquire(core, &rig.name(1 - core, n))));
        }
    }
    for _ in 0..4 * ASKS / ASKS_PER_TURN {
        (0..2).for_each(|core| rig.end_turn(core));
        while rig.writer.commit().unwrap() {}
    }
    let outcomes: Vec<_> =
        pending.iter_mut().map(|(core, p)| rig.outcome(*core, p).expect("all are answered")).collect();
    assert_eq!(outcomes.iter().filter(|outcome| outcome.is_ok()).count(), 2 * ASKS);
}

#[test]
fn rule_10_while_the_disk_hangs_batches_stop_at_their_bound_and_commands_are_refused() {
    let mut rig = Rig::new(1);
    let mut pending = Vec::new();
    let first_refused = loop {
        let name = format!("job-{}", pending.len());
        let mut sent = rig.acquire(0, &name);
        if let Some(outcome) = rig.outcome(0, &mut sent) {
            break outcome;
        }
        pending.push(sent);
        rig.end_turn(0);
        assert!(pending.len() < 1_000_000, "what waits for the disk is bounded");
    };
    assert_eq!(first_refused, Err(Unavailable::Overloaded));
    while rig.writer.commit().unwrap() {}
    rig.end_turn(0);
    while rig.writer.commit().unwrap() {}
    assert!(pending.iter_mut().all(|p| matches!(rig.outcome(0, p), Some(Ok(Outcome::Acquired { .. })))));
}

#[test]
fn rule_10_while_the_disk_hangs_leases_that_run_out_keep_no_core_busy() {
    let rig = Rig::new(1);
    let long_ago = clock::now_ns() - 4_000_000_000;
    let op = || Op::Acquire { lease_id: Uuid::new_v4(), ttl: Ttl::from_seconds(1).unwrap(), metadata: None };
    let names: Vec<String> = (0..).map(|n| format!("job-{n}")).take(200_000).collect();
    for name in &names {
        let mut sent = rig.send_at(long_ago, 0, name, op());
        if rig.outcome(0, &mut sent).is_some() {
            break; // refused: lane and batch are full
        }
        rig.end_turn(0);
    }
    let held = rig.hubs[0].shard.borrow().held();
    for _ in 0..100 {
        rig.hubs[0].sweep_soon();
        rig.end_turn(0);
    }
    assert!(rig.hubs[0].shard.borrow().held() > 0, "there was no room to end all {held}");
    assert!(!rig.hubs[0].sweep(), "there is nothing to go on with at once");
    assert!(rig.asleep(0));
}

#[test]
fn a_probe_given_up_leaves_nobody_to_wake() {
    let rig = Rig::new(1);
    let probe = rig.hubs[0].send_probe();
    rig.end_turn(0);
    assert!(rig.hubs[0].poll_probe(&probe, &mut Context::from_waker(Waker::noop())).is_pending());
    assert!(rig.hubs[0].waiters.any());
    rig.hubs[0].give_up_probe(Waker::noop());
    assert!(!rig.hubs[0].waiters.any());
}

#[test]
fn rule_12_when_the_journal_fails_everybody_is_told_and_nothing_more_is_acknowledged() {
    let rig = Rig::new(2);
    let name = rig.name(1, 0);
    let mut pending = rig.acquire(0, &name);
    [0, 1, 0].into_iter().for_each(|core| rig.end_turn(core));
    assert_eq!(rig.outcome(0, &mut pending), None);
    rig.hubs[0].wake_when_settled(&pending, Waker::noop());
    rig.end_turn(0);
    rig.disk.fail_next(Call::Append, Effect::Whole);
    let Rig { hubs, mesh, writer, .. } = rig;
    assert!(writer.run().is_err(), "the thread ends");
    assert!(!mesh.inbox(0).gate().is_asleep(), "who waits is woken");
    assert!(matches!(hubs[0].settled(&mut pending), Some(Err(Unavailable::JournalFailed))));
    assert!(hubs[0].has_failed());
}

#[test]
fn rule_12_whose_answer_is_not_home_is_told_of_the_failure_too_and_at_once() {
    let rig = Rig::new(2);
    let woken = Arc::new(Woken::default());
    let name = rig.name(1, 0);
    let mut pending = rig.acquire(0, &name);
    rig.hubs[0].wake_when_settled(&pending, &woken.clone().into());
    rig.end_turn(0);
    assert!(rig.asleep(0));
    rig.disk.fail_next(Call::Append, Effect::Whole);
    drop(rig.acquire(1, &rig.name(1, 1)));
    rig.hubs[1].shard.borrow_mut().hand_over(1, &rig.hubs[1].intake);
    let Rig { hubs, mesh, writer, .. } = rig;
    assert!(writer.run().is_err(), "the thread ends");
    assert!(!mesh.inbox(0).gate().is_asleep());
    let end_turn = |core: usize| hubs[core].end_turn(&mut Context::from_waker(Waker::noop()));
    end_turn(0);
    assert!(woken.0.load(Ordering::Relaxed), "before the answer comes, which nobody knocks for");
    assert!(matches!(hubs[0].settled(&mut pending), Some(Err(Unavailable::JournalFailed))));
    end_turn(0);
    end_turn(1);
    assert!(mesh.inbox(0).gate().is_asleep() && !mesh.inbox(0).is_empty(), "nobody waits for it any more");
    end_turn(0);
    assert_eq!(hubs[0].tickets.borrow().outstanding(), 0);
}

#[test]
fn a_probe_settles_with_the_next_commit_and_one_a_second_serves_all() {
    let mut rig = Rig::new(1);
    let mut cx = Context::from_waker(Waker::noop());
    let (first, second) = (rig.hubs[0].send_probe(), rig.hubs[0].send_probe());
    assert_eq!(first.rests_on, second.rests_on);
    rig.end_turn(0);
    assert!(rig.hubs[0].poll_probe(&first, &mut cx).is_pending());
    assert!(rig.writer.commit().unwrap());
    assert!(rig.hubs[0].poll_probe(&second, &mut cx).is_ready());
}

#[test]
fn what_runs_out_is_swept_at_the_end_of_a_turn() {
    let mut rig = Rig::new(1);
    let ttl = Ttl::from_seconds(1).unwrap();
    let op = Op::Acquire { lease_id: Uuid::new_v4(), ttl, metadata: None };
    // A now of two seconds ago stands for two seconds of waiting.
    let long_ago = clock::now_ns() - 2_000_000_000;
    drop(rig.send_at(long_ago, 0, "job", op));
    assert_eq!(rig.hubs[0].shard.borrow().held(), 1);
    rig.hubs[0].sweep_soon();
    rig.end_turn(0);
    assert_eq!(rig.hubs[0].shard.borrow().held(), 0);
    assert!(rig.writer.commit().unwrap());
}
