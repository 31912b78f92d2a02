use super::super::backup::Copied;
use super::super::contract::{LIMITS, Site, keeps_the_contract};
use super::super::{Row, RowChange};
use super::*;
use crate::fence::Fence;
use crate::lease::{Record, Ttl};

struct OnDisk(Disk);

impl Site for OnDisk {
    type J = MemoryJournal;
    fn start(&mut self) -> MemoryJournal {
        MemoryJournal::on(&self.0)
    }
}

fn started(disk: &Disk) -> (MemoryJournal, Recovered) {
    let mut journal = MemoryJournal::on(disk);
    let recovered = journal.recover().unwrap();
    (journal, recovered)
}

fn commit(number: u64) -> Commit<'static> {
    Commit { number, mark: number, records: b"" }
}

#[test]
fn the_journal_in_memory_keeps_the_contract() {
    keeps_the_contract(|| OnDisk(Disk::new(LIMITS)));
}

#[test]
fn a_call_that_fails_has_had_no_effect_or_all_of_it() {
    for (effect, last_commit) in [(Effect::Nothing, 1), (Effect::Whole, 2)] {
        let disk = Disk::new(LIMITS);
        let (mut journal, _) = started(&disk);
        journal.append(&commit(1)).unwrap();
        disk.fail_next(Call::Append, effect);
        journal.probe().unwrap();
        assert!(journal.append(&commit(2)).is_err());
        assert_eq!(started(&disk).1.last_commit, last_commit);
    }
    for (effect, tail) in [(Effect::Nothing, 1), (Effect::Whole, 0)] {
        let disk = Disk::new(LIMITS);
        let (mut journal, _) = started(&disk);
        journal.append(&commit(1)).unwrap();
        disk.fail_next(Call::Fold, effect);
        assert!(journal.fold(&[], 9, 1).is_err());
        let found = started(&disk).1;
        assert_eq!((found.tail.len(), found.mark), (tail, if tail == 0 { 9 } else { 1 }));
    }
}

#[test]
fn a_run_that_has_failed_fails_for_ever() {
    let disk = Disk::new(LIMITS);
    for call in [Call::Probe, Call::Accounts] {
        let (mut journal, _) = started(&disk);
        disk.fail_next(call, Effect::Nothing);
        assert!(match call {
            Call::Probe => journal.probe().is_err(),
            _ => journal.accounts(&[("static", "ada")]).is_err(),
        });
        assert!(journal.probe().is_err() && journal.append(&commit(1)).is_err() && journal.fold(&[], 0, 0).is_err());
    }
    assert_eq!(started(&disk).1, Recovered::default());
}

#[test]
fn a_second_start_ends_the_first_run() {
    let disk = Disk::new(LIMITS);
    let (mut first, _) = started(&disk);
    let (mut second, _) = started(&disk);
    assert!(first.append(&commit(1)).is_err());
    second.append(&commit(1)).unwrap();
}

#[test]
fn an_image_does_not_see_what_comes_later() {
    let disk = Disk::new(LIMITS);
    let (mut journal, _) = started(&disk);
    journal.append(&commit(1)).unwrap();
    let image = disk.image();
    journal.append(&commit(2)).unwrap();
    assert_eq!(started(&image).1.last_commit, 1);
    assert_eq!(started(&disk).1.last_commit, 2);
}

#[test]
fn a_backup_goes_on_while_commits_and_folds_do_and_shows_the_moment_of_its_last_slice() {
    let disk = Disk::new(LIMITS);
    let (mut journal, _) = started(&disk);
    journal.accounts(&[("static", "ada")]).unwrap();
    let row = |name: String, token| {
        let record = Record {
            name: &name,
            user: UserId(0),
            lease_id: Uuid::nil(),
            token: Fence::recovered(token).unwrap(),
            ttl: Ttl::DEFAULT,
            metadata: None,
        };
        RowChange::Put(Row::from(&record))
    };
    let rows: Vec<RowChange> = (100..400).map(|n| row(format!("lock-{n}"), n)).collect();
    journal.append(&commit(1)).unwrap();
    journal.fold(&rows, 400, 1).unwrap();
    let (mut last, mut expected) = (1, Recovered::default());
    let copied = journal.source().unwrap().copy(Path::new("copy"), &mut |pages| {
        assert!(pages.done <= 64 * last && pages.done <= pages.total, "{pages:?} after {last} slices");
        expected = started(&disk.image()).1;
        last += 1;
        journal.append(&commit(last)).unwrap();
        // Of names that were copied, and of one that will be.
        journal.fold(&[row("lock-100".into(), 500 + last), row("lock-399".into(), 500 + last)], 600, last)?;
        Ok(true)
    });
    assert_eq!(copied.unwrap(), Copied::Whole);
    assert!(last > 5, "{last} slices");
    assert_eq!(started(&disk.take_backup(Path::new("copy")).unwrap()).1, expected);
    assert_eq!(expected.last_commit, last - 1, "all but the commit made after the last slice");
}

#[test]
fn a_backup_that_is_not_wanted_any_more_leaves_nothing() {
    let disk = Disk::new(LIMITS);
    let (journal, _) = started(&disk);
    let (source, to) = (journal.source().unwrap(), Path::new("copy"));
    assert_eq!(source.copy(to, &mut |_| Ok(false)).unwrap(), Copied::GivenUp);
    assert!(source.copy(to, &mut |_| Err(JournalError::Deposed)).is_err());
    assert!(disk.take_backup(to).is_none());
    assert_eq!(source.copy(to, &mut |_| Ok(true)).unwrap(), Copied::Whole);
    assert!(matches!(source.copy(to, &mut |_| Ok(true)).unwrap(), Copied::Failed(why) if why.contains("copy")));
}

#[test]
fn a_restored_disk_holds_no_lease_counts_on_higher_and_waits_until_the_grace_has_run_once() {
    let disk = Disk::new(LIMITS);
    let (mut journal, _) = started(&disk);
    journal.append(&commit(1)).unwrap();
    let restored = disk.restored(true, 1_800_000_000).unwrap();
    for _ in 0..2 {
        let found = started(&restored).1;
        assert_eq!((found.mark, found.last_commit, found.grace_s), (1_800_000_000 << 20, 1, 3600));
        assert!(found.locks.is_empty() && found.tail.is_empty());
    }
    started(&restored).0.end_grace().unwrap();
    assert_eq!(started(&restored).1.grace_s, 0);
    let twice = disk.restored(false, 1_800_000_000).unwrap().restored(false, 1_800_000_060).unwrap();
    assert_eq!(started(&twice).1.mark, 1_800_000_060 << 20);
}
