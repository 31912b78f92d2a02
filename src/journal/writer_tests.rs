use uuid::Uuid;

use super::*;
use crate::fence::{Fence, FencingToken};
use crate::journal::{Batch, Call, Disk, Effect, Limits, MemoryJournal};
use crate::lease::{Change, Record, Ttl, UserId};

/// Workers that are always asleep and count their wake-ups.
struct Asleep;

impl Workers for Asleep {
    fn all_asleep(&self) -> bool {
        true
    }
    fn wake_waiting(&self) {}
    fn wake_all(&self) {}
}

struct Rig {
    disk: Disk,
    intake: Arc<Intake>,
    writer: Writer<MemoryJournal>,
    recovered: Recovered,
    lasts: Vec<Seq>,
}

impl Rig {
    fn on(disk: &Disk, cores: usize) -> Rig {
        let mut journal = MemoryJournal::on(disk);
        let recovered = journal.recover().unwrap();
        journal.accounts(&[("static", "alice")]).unwrap();
        let intake = Arc::new(Intake::new(cores).unwrap());
        let writer = Writer::new(journal, &recovered, intake.clone(), Arc::new(Asleep), Arc::default()).unwrap();
        Rig { disk: disk.clone(), intake, writer, recovered, lasts: vec![0; cores] }
    }

    fn new(cores: usize) -> Rig {
        Rig::on(&Disk::new(Limits::STANDARD), cores)
    }

    /// What a crash now and a start with so many cores give.
    fn crash(self, cores: usize) -> Rig {
        Rig::on(&self.disk, cores)
    }

    /// Hands changes of a core over, with tokens minted for them.
    fn hand_over(&mut self, core: usize, changes: &[Change<'_>], minted: &[u64]) {
        let mut batch = Batch::default();
        for change in changes {
            self.lasts[core] += 1;
            batch.push(self.lasts[core], change);
        }
        minted.iter().for_each(|token| batch.minted(self::token(*token)));
        assert!(self.intake.hand_over(core, &mut batch));
    }

    fn locks(&self) -> Vec<(String, u64)> {
        let mut locks: Vec<_> = self.recovered.locks.iter().map(|r| (r.name.to_string(), r.token.get())).collect();
        locks.sort();
        locks
    }
}

fn token(number: u64) -> FencingToken {
    Fence::recovered(number).unwrap()
}

fn granted(name: &str, number: u64) -> Change<'_> {
    let (user, lease_id, ttl, metadata) = (UserId(0), Uuid::nil(), Ttl::DEFAULT, None);
    Change::Granted(Record { name, user, lease_id, token: token(number), ttl, metadata })
}

#[test]
fn one_commit_takes_what_all_cores_have_handed_over_and_raises_each_watermark() {
    let mut rig = Rig::new(3);
    rig.hand_over(0, &[granted("a", 1), granted("b", 2)], &[1, 2]);
    rig.hand_over(2, &[granted("c", 3)], &[3]);
    rig.hand_over(0, &[granted("d", 4)], &[4]);
    assert!(rig.writer.commit().unwrap());
    assert!(!rig.writer.commit().unwrap(), "nothing is left");
    assert_eq!((0..3).map(|core| rig.intake.watermark(core).durable()).collect::<Vec<_>>(), [3, 0, 1]);
    let after = rig.crash(1);
    assert_eq!((after.recovered.last_commit, after.locks().len()), (1, 4));
}

#[test]
fn rule_5_the_mark_is_the_highest_token_minted_even_where_no_record_shows_it() {
    let mut rig = Rig::new(2);
    rig.hand_over(0, &[granted("a", 7)], &[7]);
    rig.hand_over(1, &[granted("b", 9), Change::Gone { name: "b" }], &[9, 12]);
    assert!(rig.writer.commit().unwrap());
    rig.hand_over(0, &[Change::Gone { name: "a" }], &[]);
    assert!(rig.writer.commit().unwrap());
    while rig.writer.fold(u64::MAX).unwrap() {}
    let after = rig.crash(2);
    assert_eq!(after.locks(), [], "no row and no record shows a token");
    assert_eq!(after.recovered.mark, 12);
}

#[test]
fn rule_6_replay_follows_the_commits_order_whatever_core_they_came_from() {
    let mut rig = Rig::new(2);
    // The name's owner is core 1 in this run, core 0 after the restart, and alone in the third.
    rig.hand_over(1, &[granted("a", 1)], &[1]);
    rig.writer.commit().unwrap();
    let mut rig = rig.crash(2);
    rig.hand_over(0, &[Change::Gone { name: "a" }, granted("a", 2)], &[2]);
    rig.writer.commit().unwrap();
    let rig = rig.crash(1);
    assert_eq!((rig.locks(), rig.recovered.last_commit), (vec![("a".to_owned(), 2)], 2));
}

#[test]
fn rule_6_a_full_journal_takes_nothing_until_a_fold_has_made_room() {
    let disk = Disk::new(Limits { commits: 4, bytes: 64 << 20 });
    let mut rig = Rig::on(&disk, 1);
    let names: Vec<String> = (0..20).map(|n| format!("job-{n}")).collect();
    let mut folds = 0;
    for (name, number) in names.iter().zip(1..) {
        rig.hand_over(0, &[granted(name, number)], &[number]);
        while !rig.writer.commit().unwrap() {
            assert!(rig.writer.fold(u64::MAX).unwrap(), "a full journal has something to fold");
            folds += 1;
        }
    }
    assert!(folds >= 4, "{folds}");
    let after = rig.crash(1);
    assert_eq!((after.locks().len(), after.recovered.mark), (20, 20));
}

#[test]
fn a_start_from_a_tail_folds_it_like_any_other_commit() {
    let mut rig = Rig::new(1);
    rig.hand_over(0, &[granted("a", 1), granted("b", 2)], &[1, 2]);
    rig.writer.commit().unwrap();
    let mut rig = rig.crash(1);
    rig.hand_over(0, &[Change::Gone { name: "a" }], &[]);
    rig.writer.commit().unwrap();
    while rig.writer.fold(u64::MAX).unwrap() {}
    let rig = rig.crash(1);
    assert_eq!((rig.locks(), rig.recovered.tail.len()), (vec![("b".to_owned(), 2)], 0));
}

#[test]
fn a_probe_commits_without_a_change_and_raises_the_watermark() {
    let rig = &mut Rig::new(1);
    let mut batch = Batch { probe: true, last: 1, ..Batch::default() };
    assert!(rig.intake.hand_over(0, &mut batch));
    assert!(rig.writer.commit().unwrap());
    assert_eq!(rig.intake.watermark(0).durable(), 1);
}

#[test]
fn rule_12_after_a_failed_commit_no_watermark_rises_and_nothing_is_tried_again() {
    for effect in [Effect::Nothing, Effect::Whole] {
        let mut rig = Rig::new(1);
        rig.hand_over(0, &[granted("a", 1)], &[1]);
        rig.disk.fail_next(Call::Append, effect);
        assert!(matches!(rig.writer.commit(), Err(JournalError::Failed(_))));
        assert_eq!(rig.intake.watermark(0).durable(), 0);
        let after = rig.crash(1);
        assert_eq!(after.locks().len(), usize::from(effect == Effect::Whole), "whole or not at all");
    }
}

#[test]
fn closing_commits_and_folds_what_there_is() {
    let mut rig = Rig::new(1);
    rig.hand_over(0, &[granted("a", 1)], &[1]);
    rig.intake.close();
    let Rig { writer, disk, .. } = rig;
    writer.run().unwrap();
    let after = Rig::on(&disk, 1);
    assert_eq!((after.locks().len(), after.recovered.tail.len()), (1, 0));
}

#[test]
fn users_are_read_in_parts_with_commits_between() {
    let mut rig = Rig::new(1);
    let names: Vec<String> = (0..2 * USERS_AT_ONCE + 10).map(|n| format!("user-{n}")).collect();
    let wanted: Vec<(&str, &str)> = names.iter().map(|name| ("static", &**name)).collect();
    let all = rig.writer.journal.accounts(&wanted).unwrap();
    let mut from = UserId(0);
    let mut listed = Vec::new();
    for part in 0..4 {
        let (reply, answer) = std::sync::mpsc::sync_channel(1);
        rig.intake.send(Errand::Users { from, reply }).unwrap();
        rig.hand_over(0, &[granted("job", part + 1)], &[part + 1]);
        assert!(rig.writer.commit().unwrap(), "a commit waits for no list");
        assert!(rig.writer.run_an_errand().unwrap().is_none());
        let users = answer.recv().unwrap();
        assert!(users.len() <= USERS_AT_ONCE);
        from = users.last().map_or(from, |(account, _)| UserId(account.id.0 + 1));
        listed.extend(users.into_iter().map(|(account, _)| account));
    }
    assert_eq!(listed, all);
}

#[test]
fn a_few_names_wait_for_the_next_fold_and_many_are_folded_while_nobody_commits() {
    let mut rig = Rig::new(1);
    let mut fall_behind = |names: std::ops::Range<usize>| {
        for number in names {
            let mut records = Vec::new();
            crate::journal::encode(&mut records, &Change::Gone { name: &format!("lock-{number}") });
            rig.writer.dirty.absorb(number as u64, 0, &records).unwrap();
        }
        rig.writer.last_fold_ns = clock::now_ns() + 3_600_000_000_000;
        rig.writer.last_commit_ns = 0;
        let soon = rig.writer.fold_is_due();
        rig.writer.last_fold_ns = 0;
        (soon, rig.writer.fold_is_due())
    };
    assert_eq!(fall_behind(1..FOLD_AT_ONCE), (false, true), "one is missing");
    assert_eq!(fall_behind(FOLD_AT_ONCE..FOLD_AT_ONCE + 1), (true, true));
    rig.writer.last_fold_ns = clock::now_ns() + 3_600_000_000_000;
    rig.writer.last_commit_ns = rig.writer.last_fold_ns;
    assert!(!rig.writer.fold_is_due(), "somebody commits");
}
