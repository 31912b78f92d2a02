//! Starts on `-wal` files that are damaged, and on ones that a loss of power has torn.

use super::*;

const FRAME: usize = 24 + 4096;

/// A killed server's files: the database, and the `-wal` file before its newest commit and after it.
struct Killed {
    directory: Directory,
    before: Vec<u8>,
    after: Vec<u8>,
    /// Where the newest commit begins and ends in it.
    newest: std::ops::Range<usize>,
    commits: u64,
    /// Where each commit ends, from commit 1 on.
    ends: Vec<usize>,
}

/// So many commits, the newest of which takes some frames more.
fn killed(commits: u64) -> Killed {
    let directory = Directory::new();
    let mut journal = SqliteJournal::open(directory.file(), Limits::STANDARD).unwrap();
    journal.recover().unwrap();
    journal.accounts(&[("static", "ada")]).unwrap();
    let end = |journal: &SqliteJournal| {
        let connection = journal.connection().unwrap().lock();
        let frames: u32 = connection.query_row("PRAGMA wal_checkpoint(NOOP)", [], |row| row.get(1)).unwrap();
        32 + frames as usize * FRAME
    };
    let mut ends = Vec::new();
    for number in 1..commits {
        append(&mut journal, number);
        ends.push(end(&journal));
    }
    let (begin, before) = (end(&journal), fs::read(directory.wal()).unwrap());
    let mut records = Vec::new();
    for token in commits..commits + 100 {
        let (name, lease_id) = (format!("lock-{token}"), Uuid::from_u128(5));
        let token = Fence::recovered(token).unwrap();
        let record = Record { name: &name, user: UserId(0), lease_id, token, ttl: Ttl::DEFAULT, metadata: None };
        encode(&mut records, &Change::Granted(record));
    }
    journal.append(&Commit { number: commits, mark: commits + 100, records: &records }).unwrap();
    let newest = begin..end(&journal);
    drop(journal);
    let after = fs::read(directory.wal()).unwrap();
    ends.push(newest.end);
    Killed { directory, before, after, newest, commits, ends }
}

impl Killed {
    /// The number of the last commit that a start finds on this `-wal` file, or why it does not start.
    fn start_on(&self, wal: &[u8], image: &Directory) -> Result<u64, String> {
        fs::copy(self.directory.file(), image.file()).unwrap();
        fs::write(image.wal(), wal).unwrap();
        let inspected = SqliteJournal::inspect(&image.file()).map(|inspected| inspected.recovered.last_commit);
        let started = SqliteJournal::open(image.file(), Limits::STANDARD)
            .and_then(|mut journal| journal.recover())
            .map(|recovered| recovered.last_commit)
            .map_err(|error| error.to_string());
        assert_eq!(inspected.map_err(|error| error.to_string()), started, "commands and starts see the same");
        started
    }

    /// What is said of damage in this byte: the last commit that is whole before its frame.
    fn after(&self, at: usize) -> String {
        let frame = at.saturating_sub(32) / FRAME * FRAME + 32;
        match self.ends.iter().filter(|end| **end <= frame).count() {
            0 => "is damaged before commit 1: its ".to_owned(),
            whole => format!("is damaged right after commit {whole}: its "),
        }
    }

    /// Of the bytes of the file, all that are in headers and some in pages.
    fn places(&self) -> impl Iterator<Item = usize> {
        (0..self.after.len()).filter(|at| *at < 32 || (at - 32) % FRAME < 24 || at % 499 == 0)
    }
}

#[test]
fn a_byte_that_changes_before_the_newest_commit_of_the_wal_file_is_a_start_refused() {
    let (killed, image) = (killed(9), Directory::new());
    assert_eq!(killed.start_on(&killed.after, &image), Ok(9));
    let mut refused = 0;
    for at in killed.places() {
        let flip = if at % 2 == 0 { 0x01 } else { 0xff };
        let mut wal = killed.after.clone();
        wal[at] ^= flip;
        match killed.start_on(&wal, &image) {
            Ok(found) if killed.newest.contains(&at) => assert!(found + 1 >= killed.commits, "{found} at {at}"),
            Ok(found) => assert_eq!(found, killed.commits, "{flip:x} at {at}, before {:?}", killed.newest),
            Err(why) => {
                assert!(at < killed.newest.start, "{why} at {at}");
                let said = why.contains("octostore.db-wal is damaged ") && why.contains(&killed.after(at));
                assert!(said && why.ends_with(REMEDY) && !why.contains('\n'), "{why} at {at}");
                refused += 1;
            }
        }
    }
    assert!(refused > 250, "{refused}");
}

#[test]
fn pieces_of_any_size_that_are_lost_before_the_newest_commits_are_a_start_refused() {
    let (killed, image) = (killed(15), Directory::new());
    // The header and the first frame lost together are not told, nor what leaves only one commit.
    for length in [8, 512, 4096, 3 * 4096] {
        for at in (32 + FRAME..killed.newest.start - length - 4 * FRAME).step_by(1777) {
            for filling in [0, 0xa5] {
                let mut wal = killed.after.clone();
                wal[at..at + length].fill(filling);
                let started = killed.start_on(&wal, &image);
                assert!(started == Ok(15) || started.is_err(), "{started:?} without {length} bytes at {at}");
            }
        }
    }
}

#[test]
fn a_newest_commit_of_which_any_sectors_are_missing_is_no_damage() {
    let (killed, image) = (killed(9), Directory::new());
    let sectors: Vec<usize> = (killed.newest.start / 512..=killed.newest.end / 512).collect();
    assert!(sectors.len() > 16, "{sectors:?}");
    let mut bits = 0x9e37_79b9_7f4a_7c15_u64;
    let mut torn = 0;
    for round in 0..200 {
        let mut wal = killed.after.clone();
        let keeps = 2 + round % 7;
        for sector in &sectors {
            bits = bits.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            if (bits >> 33).is_multiple_of(keeps) {
                let its = sector * 512..((sector + 1) * 512).min(wal.len());
                let old = killed.before.iter().copied().chain(std::iter::repeat(0)).skip(its.start);
                wal[its].iter_mut().zip(old).for_each(|(byte, old)| *byte = old);
            }
        }
        let found = killed.start_on(&wal, &image).unwrap();
        assert!(found + 1 >= killed.commits, "{found}");
        torn += u64::from(found < killed.commits);
    }
    assert!(torn > 100, "{torn}");
}
