//! Damage in the middle of a `-wal` file, which SQLite takes for its end.
//!
//! Each frame of the log carries a checksum that goes on from the one before it. SQLite takes the first frame that does not match for the
//! end, since that is how a transaction looks that was being written when the power went. If a bit has flipped on the disk instead, it
//! drops what was committed after it, without a word. So a start looks behind the first frame that does not match.
//!
//! **What proves damage.** A commit is synced before the next one is written. If a frame follows, by its checksum, from a frame that ends
//! a commit, then that commit was on the disk with all before it when the later frame was written; a loss of power spares it.
//! So two commits in one run of frames that follow from each other, behind a frame that does not match, or at it, are proof. One commit is
//! none: of a transaction that was not synced its last frames may be on the disk and its first ones not. Frames of an earlier round of the
//! log have other salts. Likewise a first frame that follows from a header which does not match: the header is synced before it.
//!
//! A frame that does not match still says much: the next one follows from the checksum that it stores, or, if that is what has changed, from
//! the one that is reckoned. Whether it ended a commit is believed if its header lies within one sector of the disk (it is all of one
//! age then), or if the rest of the frame speaks for it.
//!
//! **What cannot be told** from a loss of power, and is taken for one: damage in the newest commit, or a file that is cut off; the
//! header and the first frame lost together; one commit in 32, if it is the last but one. The format is in section 4 of SQLite's
//! "Database File Format".

use std::fs::File;
use std::io::{self, BufReader, ErrorKind, Read};
use std::path::Path;

use super::JournalError;
use super::recovery::REMEDY;
use super::sqlite_files::beside;

const HEADER_BYTES: usize = 32;
const FRAME_HEADER_BYTES: usize = 24;
/// What a disk writes as a whole, or a multiple of it.
const SECTOR_BYTES: u64 = 512;
/// A magic number's last bit says in which order the bytes of checksummed words are.
const MAGIC: u32 = 0x377f_0682;
/// A page of a database of ours, for a header that cannot be believed.
const PAGE_BYTES: usize = 4096;
/// What is read at once.
const PIECE: usize = 256 << 10;

/// Two sums over words of 32 bits.
type Sum = [u32; 2];
type Order = fn([u8; 4]) -> u32;

/// Refuses a `-wal` file that is damaged before its end. Nobody may be writing it. `last_commit` is the last one that SQLite finds
/// with this file: the damage lies behind it.
///
/// # Errors
/// It is damaged, or cannot be read.
pub(super) fn refuse_damage(database: &Path, last_commit: Option<u64>) -> Result<(), JournalError> {
    let wal = beside(database, "-wal");
    let found = File::open(&wal).and_then(|file| damage(&mut BufReader::with_capacity(PIECE, file)));
    let wal = wal.display();
    match found {
        Ok(None) => Ok(()),
        Ok(Some(place)) => {
            let after = match last_commit {
                None => String::new(), // the damage hides it
                Some(0) => " before commit 1".to_owned(),
                Some(number) => format!(" right after commit {number}"),
            };
            Err(JournalError::Corrupt(format!(
                "{wal} is damaged{after}: its {place} does not match its checksum, but commits behind it do, which were \
                 acknowledged: {REMEDY}"
            )))
        }
        Err(error) => {
            Err(JournalError::Failed(format!("reading {wal} failed ({error}): see the kernel's log about the disk")))
        }
    }
}

/// A checksum from which the next frame may follow, and the commits known to lie behind the damage in the run that ends with it.
#[derive(Clone, Copy)]
struct Link {
    sum: Sum,
    commits: u32,
}

/// Where the log is damaged, if it is.
fn damage(log: &mut impl Read) -> io::Result<Option<String>> {
    let mut header = [0; HEADER_BYTES];
    if !fill(log, &mut header)? {
        return Ok(None);
    }
    let magic = be(&header, 0);
    let order: Order = match magic {
        MAGIC => u32::from_le_bytes,
        _ if magic == MAGIC | 1 => u32::from_be_bytes,
        _ => u32::from_ne_bytes,
    };
    let (stored, reckoned) = (sum_at(&header, 24), add([0, 0], &header[..24], order));
    if magic & !1 != MAGIC || stored != reckoned {
        return behind_a_bad_header(log, &header, stored);
    }
    let page_bytes = if be(&header, 8) == 1 { 1 << 16 } else { be(&header, 8) as usize };
    if !(512..=1 << 16).contains(&page_bytes) || !page_bytes.is_power_of_two() {
        return Ok(None); // SQLite refuses it
    }
    let mut frame = Frame { bytes: vec![0; FRAME_HEADER_BYTES + page_bytes], at: HEADER_BYTES as u64, order };
    let mut links = vec![Link { sum: stored, commits: 0 }];
    let mut first_bad = None;
    for number in 1_u64.. {
        if !fill(log, &mut frame.bytes)? {
            break;
        }
        let is_ours = frame.salts() == &header[16..24];
        let follows = links.iter().find(|link| is_ours && frame.follows_from(link.sum)).copied();
        links = match (follows, first_bad) {
            (Some(_), None) => vec![Link { sum: frame.stored(), commits: 0 }],
            (Some(link), Some(_)) => {
                vec![Link { sum: frame.stored(), commits: link.commits + u32::from(frame.commit_size() != 0) }]
            }
            (None, _) => {
                first_bad.get_or_insert(number);
                frame.links_over_it(links[0], is_ours).into()
            }
        };
        if follows.is_some() && links[0].commits >= 2 {
            return Ok(first_bad.map(|bad| format!("frame {bad}")));
        }
        frame.at += frame.bytes.len() as u64;
    }
    Ok(None)
}

/// The header does not match: if the first frame follows from what it stores, or from what it should, it did once.
fn behind_a_bad_header(log: &mut impl Read, header: &[u8], stored: Sum) -> io::Result<Option<String>> {
    let order: Order = u32::from_ne_bytes;
    let mut frame = Frame { bytes: vec![0; FRAME_HEADER_BYTES + PAGE_BYTES], at: HEADER_BYTES as u64, order };
    if !fill(log, &mut frame.bytes)? {
        return Ok(None);
    }
    let did = [stored, add([0, 0], &header[..24], order)].into_iter().any(|sum| frame.follows_from(sum));
    Ok(did.then(|| "header".to_owned()))
}

/// A page as it was after a change.
struct Frame {
    bytes: Vec<u8>,
    /// Its place in the file.
    at: u64,
    order: Order,
}

impl Frame {
    fn page(&self) -> u32 {
        be(&self.bytes, 0)
    }

    /// Pages of the database after the commit that this frame ends; 0 if it ends none.
    fn commit_size(&self) -> u32 {
        be(&self.bytes, 4)
    }

    fn salts(&self) -> &[u8] {
        &self.bytes[8..16]
    }

    fn stored(&self) -> Sum {
        sum_at(&self.bytes, 16)
    }

    fn reckoned(&self, before: Sum) -> Sum {
        add(add(before, &self.bytes[..8], self.order), &self.bytes[FRAME_HEADER_BYTES..], self.order)
    }

    fn follows_from(&self, before: Sum) -> bool {
        self.page() != 0 && self.reckoned(before) == self.stored()
    }

    /// From what the next frame follows, if this one, which follows from nothing, is what has changed.
    fn links_over_it(&self, before: Link, is_ours: bool) -> [Link; 2] {
        let is_commit = u32::from(self.commit_size() != 0);
        // Its salts or its checksum have changed: the rest is confirmed by the frame that follows from it.
        let reckoned = Link { sum: self.reckoned(before.sum), commits: before.commits + is_commit };
        let [page, commit_size] = self.first_words(before.sum);
        let commits = if page == self.page() || commit_size == self.commit_size() {
            u32::from(commit_size != 0)
        } else {
            let is_of_one_age = self.at % SECTOR_BYTES + FRAME_HEADER_BYTES as u64 <= SECTOR_BYTES;
            if is_ours && is_of_one_age { is_commit } else { 0 }
        };
        [reckoned, Link { sum: self.stored(), commits }]
    }

    /// What page and commit size must have been, if they are all that has changed: the sums undone from the end.
    fn first_words(&self, before: Sum) -> [u32; 2] {
        let [mut first, mut second] = self.stored();
        for pair in self.bytes[FRAME_HEADER_BYTES..].rchunks_exact(8) {
            let [a, b] = words(pair, self.order);
            second = second.wrapping_sub(b).wrapping_sub(first);
            first = first.wrapping_sub(a).wrapping_sub(second);
        }
        let page = first.wrapping_sub(before[0]).wrapping_sub(before[1]);
        let size = second.wrapping_sub(before[1]).wrapping_sub(first);
        // As they are read from the frame.
        [page, size].map(|word| u32::from_be_bytes((self.order)(word.to_ne_bytes()).to_ne_bytes()))
    }
}

/// Goes on with the sums.
fn add(before: Sum, bytes: &[u8], order: Order) -> Sum {
    bytes.chunks_exact(8).fold(before, |[first, second], pair| {
        let [a, b] = words(pair, order);
        let first = first.wrapping_add(a).wrapping_add(second);
        [first, second.wrapping_add(b).wrapping_add(first)]
    })
}

fn words(pair: &[u8], order: Order) -> [u32; 2] {
    [0, 4].map(|at| order([pair[at], pair[at + 1], pair[at + 2], pair[at + 3]]))
}

fn sum_at(bytes: &[u8], at: usize) -> Sum {
    [be(bytes, at), be(bytes, at + 4)]
}

fn be(bytes: &[u8], at: usize) -> u32 {
    u32::from_be_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}

/// Reads that many bytes; false if the end comes before.
fn fill(from: &mut impl Read, bytes: &mut [u8]) -> io::Result<bool> {
    match from.read_exact(bytes) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == ErrorKind::UnexpectedEof => Ok(false),
        Err(error) => Err(error),
    }
}
