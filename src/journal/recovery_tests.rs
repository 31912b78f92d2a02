use uuid::Uuid;

use super::super::encode;
use super::*;
use crate::fence::Fence;
use crate::lease::Ttl;

fn held(name: &str, token: u64) -> Record<'_> {
    let token = Fence::recovered(token).unwrap();
    Record { name, user: UserId(0), lease_id: Uuid::nil(), token, ttl: Ttl::DEFAULT, metadata: None }
}

fn stored(number: u64, changes: &[Change<'_>]) -> Stored {
    let mut records = Vec::new();
    changes.iter().for_each(|change| encode(&mut records, change));
    sealed(number, records)
}

fn sealed(number: u64, records: Vec<u8>) -> Stored {
    let checksum = checksum(&Commit { number, mark: number, records: &records });
    Stored { slot: number % 8, number, mark: number, checksum, records }
}

/// The journal of commits 3, 4 and 5, with 1 and 2 trimmed, 2 still in its slot.
fn journal() -> (Meta, Vec<Stored>) {
    let numbers = [5, 2, 3, 4];
    let commits = numbers.map(|number| stored(number, &[Change::Granted(held("a", number))]));
    (Meta { mark: 5, last_commit: 5, trimmed_through: 2, grace_s: 0 }, commits.into())
}

fn why(result: Result<impl Sized, JournalError>) -> String {
    match result {
        Err(JournalError::Corrupt(why)) => {
            assert!(why.ends_with(REMEDY), "{why}");
            why
        }
        _ => panic!("it should have been refused as corrupt"),
    }
}

fn row(name: &str, token: u64) -> Result<Row, JournalError> {
    Ok(Row::from(&held(name, token)))
}

#[test]
fn dead_commits_are_left_out_and_the_others_sorted() {
    let (meta, mut commits) = journal();
    commits[1].checksum ^= 1; // of commit 2, which nobody reads any more
    let live = untrimmed(meta, commits).unwrap();
    assert_eq!(live.iter().map(|commit| commit.number).collect::<Vec<_>>(), [3, 4, 5]);
}

#[test]
fn a_missing_commit_is_named_wherever_it_was() {
    for missing in [3, 4, 5] {
        let (meta, mut commits) = journal();
        commits.retain(|commit| commit.number != missing);
        assert!(why(untrimmed(meta, commits)).starts_with(&format!("commit {missing} is missing")));
    }
}

#[test]
fn commits_that_cannot_be_are_refused() {
    let (meta, mut commits) = journal();
    commits.push(stored(6, &[]));
    assert!(why(untrimmed(meta, commits)).starts_with("there is a commit 6, but the last was 5"));
    let (meta, mut commits) = journal();
    commits.push(stored(4, &[]));
    assert!(why(untrimmed(meta, commits)).starts_with("there are two commits 4"));
    let (meta, commits) = journal();
    let meta = Meta { trimmed_through: 6, ..meta };
    assert!(why(untrimmed(meta, commits)).starts_with("commit 6 was trimmed, but the last was 5"));
}

#[test]
fn every_flipped_bit_of_a_commit_is_noticed() {
    let (meta, commits) = journal();
    let refused = |spoil: &dyn Fn(&mut Stored)| {
        let mut commits = commits.clone();
        spoil(&mut commits[3]);
        why(untrimmed(meta, commits));
    };
    for bit in 0..64 {
        refused(&|commit| commit.number ^= 1 << bit);
        refused(&|commit| commit.mark ^= 1 << bit);
        refused(&|commit| commit.checksum ^= 1 << (bit % 32));
    }
    for bit in 0..commits[3].records.len() * 8 {
        refused(&|commit| commit.records[bit / 8] ^= 1 << (bit % 8));
    }
}

#[test]
fn a_record_that_is_none_is_refused_though_its_checksum_is_right() {
    let (meta, mut commits) = journal();
    commits[3] = sealed(4, vec![0xff, 1, 2]);
    let live = untrimmed(meta, commits).unwrap();
    let why = why(replay(meta, live, 1, std::iter::empty()));
    assert!(why.starts_with("in commit 4 the record at byte 0 is of no known kind"), "{why}");
}

#[test]
fn rows_that_are_twice_there_or_out_of_order_are_refused() {
    for names in [["b", "a"], ["b", "b"], ["x", "a"], ["x", "x"]] {
        // x is in the journal too, so its row is passed over.
        let commits = vec![stored(1, &[Change::Gone { name: "x" }])];
        let meta = Meta { mark: 9, last_commit: 1, trimmed_through: 0, grace_s: 0 };
        let why = why(replay(meta, commits, 1, names.map(|name| row(name, 1)).into_iter()));
        assert!(why.contains("is out of order"), "{names:?}: {why}");
    }
}

#[test]
fn an_account_that_is_none_is_refused() {
    let why = why(replay(Meta::default(), vec![], 0, [row("a", 1)].into_iter()));
    assert!(why.starts_with("the row of lock 'a' names account 0, which is none"), "{why}");
}

#[test]
fn the_mark_is_the_highest_token_that_anything_shows() {
    let mark = |meta_mark: u64, commit_mark: u64, record: u64, row_token: u64| {
        let mut commit = stored(1, &[Change::Granted(held("b", record))]);
        commit.mark = commit_mark;
        let meta = Meta { mark: meta_mark, last_commit: 1, trimmed_through: 0, grace_s: 0 };
        replay(meta, vec![commit], 1, [row("a", row_token)].into_iter()).unwrap().mark
    };
    assert_eq!([mark(9, 1, 1, 1), mark(1, 9, 1, 1), mark(1, 1, 9, 1), mark(1, 1, 1, 9)], [9; 4]);
}
