//! The disk: what is durable, what is only written, and what goes wrong.
//!
//! A model beside the real files, told of every call that changes something before it is made. It decides what becomes of
//! the call, and in the end what a start finds.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::random::Random;
use crate::story::note;

const SECTOR: usize = 512;

/// What becomes of one call of the process's life, by its number among those that change something.
#[derive(Clone, Copy, Debug, Default)]
pub enum Plan {
    /// Nothing goes wrong.
    #[default]
    Well,
    /// The power goes in this call: before it has any effect, or with it under way or done.
    PowerGoes { at: u64, after: bool },
    /// This call fails with this error of SQLite's; `from_then_on`, all the later ones too.
    Fails { at: u64, error: i32, from_then_on: bool },
    /// This call fails so, and the process goes on; later the power goes, in this one.
    FailsAndPowerGoes { fails: u64, error: i32, at: u64, after: bool },
}

/// A disk that lies: the planted faults.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Lie {
    /// It does not.
    #[default]
    None,
    /// No sync does anything: `synchronous=OFF`.
    NothingIsSynced,
    /// The `-wal` file is synced by checkpoints only: `synchronous=NORMAL`.
    CommitsAreNotSynced,
    /// The database file is not synced by checkpoints.
    TheDatabaseIsNotSynced,
    /// Entries of the directory are not.
    TheDirectoryIsNotSynced,
    /// A sync leaves the last write before it out.
    TheLastWriteIsNotSynced,
    /// What the server syncs by itself, not through SQLite, is not.
    TheServersOwnSyncsAreNone,
}

/// What a start finds of what was not synced.
#[derive(Clone, Copy, Debug)]
pub enum Left {
    Nothing,
    Everything,
    Prefix,
    Subset,
    SubsetAndGarbage,
    /// All bytes, under any of the names that the files have had.
    SomeNames,
}

/// The ways in which power is lost.
pub const LEFT: [Left; 6] =
    [Left::Nothing, Left::Everything, Left::Prefix, Left::Subset, Left::Subset, Left::SubsetAndGarbage];

/// What a file was opened as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Database,
    Wal,
    Journal,
}

enum Change {
    Write { at: usize, bytes: Vec<u8> },
    Truncate { length: usize },
}

struct Pending {
    /// Its place in the order of all changes.
    order: u64,
    change: Change,
}

#[derive(Default)]
struct File {
    durable: Vec<u8>,
    pending: Vec<Pending>,
    /// The directory is synced with its next sync.
    syncs_directory: bool,
    written_since_sync: bool,
}

/// The entry of a name: the file it names, or none, and since which change.
#[derive(Default)]
struct Entry {
    durable: Option<usize>,
    since: Vec<(u64, Option<usize>)>,
}

/// What is on the disk, and on its way there.
pub struct Disk {
    random: Random,
    files: Vec<File>,
    entries: BTreeMap<PathBuf, Entry>,
    plan: Plan,
    lie: Lie,
    order: u64,
    /// Calls that changed something.
    calls: u64,
    is_off: bool,
    failures: u64,
    database_syncs: u64,
    /// Something was done to the files of which the disk was not told.
    has_lost_track: Option<String>,
}

impl Disk {
    /// A disk with these files on it.
    pub fn holding(content: &BTreeMap<PathBuf, Vec<u8>>, lie: Lie, random: Random) -> Disk {
        let mut disk = Disk {
            random,
            files: Vec::new(),
            entries: BTreeMap::new(),
            plan: Plan::Well,
            lie,
            order: 0,
            calls: 0,
            is_off: false,
            failures: 0,
            database_syncs: 0,
            has_lost_track: None,
        };
        for (path, bytes) in content {
            disk.files.push(File { durable: bytes.clone(), ..File::default() });
            disk.entries.insert(path.clone(), Entry { durable: Some(disk.files.len() - 1), since: Vec::new() });
        }
        disk
    }

    /// Another process begins, to which this will happen. What was not synced before is not synced yet.
    pub fn begin(&mut self, plan: Plan) {
        assert!(!self.is_off, "after a loss of power a disk is another: what is left of this one");
        (self.plan, self.calls, self.failures, self.database_syncs) = (plan, 0, 0, 0);
    }

    /// From here on it lies in this way.
    pub fn lie(&mut self, lie: Lie) {
        self.lie = lie;
    }

    /// Whether nothing was ever made on it.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// The calls that changed something so far.
    pub fn calls(&self) -> u64 {
        self.calls
    }

    /// Whether the power has gone.
    pub fn is_off(&self) -> bool {
        self.is_off
    }

    /// How many calls were made to fail.
    pub fn failures(&self) -> u64 {
        self.failures
    }

    /// Syncs of a database file.
    pub fn database_syncs(&self) -> u64 {
        self.database_syncs
    }

    /// The file of that name, if it is there for the process.
    pub fn find(&self, path: &Path) -> Option<usize> {
        let entry = self.entries.get(path)?;
        entry.since.last().map_or(entry.durable, |(_, file)| *file)
    }

    /// A file is made. Gives its number.
    ///
    /// # Errors
    /// The error of SQLite's that the call has.
    pub fn create(&mut self, path: &Path) -> Result<usize, i32> {
        note(|| format!("{:>6} create {} as {}", self.calls + 1, path.display(), self.files.len()));
        self.change(|disk| {
            disk.files.push(File::default());
            let number = disk.files.len() - 1;
            let order = disk.order;
            disk.entries.entry(path.to_owned()).or_default().since.push((order, Some(number)));
            number
        })
    }

    /// A file was opened with the right to make it, by which SQLite means that the directory is to be synced with the file's next
    /// sync, whether it has made the file or found it.
    pub fn opened_to_make(&mut self, file: usize) {
        self.files[file].syncs_directory = true;
    }

    /// A name is deleted.
    ///
    /// # Errors
    /// As above.
    pub fn delete(&mut self, path: &Path) -> Result<(), i32> {
        note(|| format!("{:>6} delete {}", self.calls + 1, path.display()));
        self.change(|disk| {
            let order = disk.order;
            if let Some(entry) = disk.entries.get_mut(path) {
                entry.since.push((order, None));
            }
        })
    }

    /// The directory is synced.
    ///
    /// # Errors
    /// As above.
    pub fn sync_names(&mut self) -> Result<(), i32> {
        note(|| format!("{:>6} sync of the directory", self.calls + 1));
        self.change(Disk::sync_directory)
    }

    /// A name is given to another file.
    ///
    /// # Errors
    /// As above.
    pub fn rename(&mut self, from: &Path, to: &Path) -> Result<(), i32> {
        note(|| format!("{:>6} rename {} to {}", self.calls + 1, from.display(), to.display()));
        self.change(|disk| {
            let (file, order) = (disk.find(from), disk.order);
            disk.entries.entry(to.to_owned()).or_default().since.push((order, file));
            disk.entries.entry(from.to_owned()).or_default().since.push((order, None));
        })
    }

    /// Bytes are written.
    ///
    /// # Errors
    /// As above.
    pub fn write(&mut self, file: usize, at: usize, bytes: &[u8]) -> Result<(), i32> {
        note(|| format!("{:>6} write {file} at {at}, {} bytes", self.calls + 1, bytes.len()));
        self.push(file, Change::Write { at, bytes: bytes.to_vec() })
    }

    /// A file is cut off, or made longer.
    ///
    /// # Errors
    /// As above.
    pub fn truncate(&mut self, file: usize, length: usize) -> Result<(), i32> {
        note(|| format!("{:>6} truncate {file} to {length}", self.calls + 1));
        self.push(file, Change::Truncate { length })
    }

    fn push(&mut self, file: usize, change: Change) -> Result<(), i32> {
        self.change(|disk| {
            let file = &mut disk.files[file];
            file.written_since_sync = true;
            file.pending.push(Pending { order: disk.order, change });
        })
    }

    /// A file is synced, and with it the directory if the file is new.
    ///
    /// # Errors
    /// As above; then no later sync covers what this one should have.
    pub fn sync(&mut self, number: usize, kind: Kind) -> Result<(), i32> {
        note(|| format!("{:>6} sync {number}, {kind:?}", self.calls + 1));
        self.database_syncs += u64::from(kind == Kind::Database);
        let result = self.change(|disk| {
            let ends_a_commit = std::mem::take(&mut disk.files[number].written_since_sync);
            let skipped = match disk.lie {
                Lie::NothingIsSynced => true,
                Lie::CommitsAreNotSynced => kind == Kind::Wal && ends_a_commit,
                Lie::TheDatabaseIsNotSynced => kind == Kind::Database,
                _ => false,
            };
            let left_out = usize::from(disk.lie == Lie::TheLastWriteIsNotSynced);
            let file = &mut disk.files[number];
            if !skipped {
                let covered = file.pending.len().saturating_sub(left_out);
                file.pending.drain(..covered).for_each(|pending| apply(&mut file.durable, &pending.change));
            }
        });
        if result.is_err() && !self.is_off {
            // Linux takes the pages for clean then: what did not get to the disk never will, though the process goes on to see it.
            let file = &mut self.files[number];
            file.durable = file.left(Left::Subset, self.order, &mut self.random);
            file.pending.clear();
        }
        result?;
        if std::mem::take(&mut self.files[number].syncs_directory) {
            // SQLite takes no notice if this fails: many systems cannot do it.
            _ = self.sync_names();
        }
        self.goes_on()
    }

    /// The server syncs the directory, or a file that it has written to, by a call of its own.
    ///
    /// # Errors
    /// As above.
    pub fn sync_by_path(&mut self, path: &Path) -> Result<(), i32> {
        note(|| format!("{:>6} fsync of {}", self.calls + 1, path.display()));
        if self.lie == Lie::TheServersOwnSyncsAreNone {
            return self.change(|_| {});
        }
        match self.find(path) {
            Some(file) => self.sync(file, Kind::Wal),
            None => {
                let its = self.entries.keys().next().and_then(|name| name.parent());
                assert!(its.is_none_or(|its| its == path), "fsync of what is not known: {}", path.display());
                self.change(Disk::sync_directory)
            }
        }
    }

    /// Notes that something was done of which the disk was not told: what it says from here on means nothing.
    pub fn lose_track(&mut self, how: String) {
        self.has_lost_track.get_or_insert(how);
    }

    /// What the disk was not told of.
    pub fn has_lost_track(&self) -> Option<&str> {
        self.has_lost_track.as_deref()
    }

    /// The names that the process sees.
    pub fn names(&self) -> impl Iterator<Item = &Path> {
        self.entries.keys().map(|path| &**path).filter(|path| self.find(path).is_some())
    }

    /// Something was done a moment ago, by a call that is not seen: nothing has happened since. It cannot fail any more, but the power can
    /// have gone before it or right after.
    ///
    /// # Errors
    /// It has.
    pub fn see_late<T>(&mut self, done: impl FnOnce(&mut Disk) -> Result<T, i32>) -> Result<T, i32> {
        let plan = self.plan;
        if matches!(plan, Plan::Fails { .. } | Plan::FailsAndPowerGoes { .. }) {
            self.plan = Plan::Well;
        }
        let seen = done(self);
        self.plan = plan;
        seen
    }

    fn sync_directory(&mut self) {
        if !matches!(self.lie, Lie::TheDirectoryIsNotSynced | Lie::NothingIsSynced) {
            for entry in self.entries.values_mut() {
                if let Some((_, file)) = entry.since.drain(..).next_back() {
                    entry.durable = file;
                }
            }
        }
    }

    /// One call that changes something, as the plan has it.
    fn change<T>(&mut self, work: impl FnOnce(&mut Disk) -> T) -> Result<T, i32> {
        self.goes_on()?;
        self.calls += 1;
        self.order += 1;
        match self.plan {
            Plan::PowerGoes { at, after } | Plan::FailsAndPowerGoes { at, after, .. } if at == self.calls => {
                if after {
                    work(self);
                }
                self.is_off = true;
                Err(rusqlite::ffi::SQLITE_IOERR)
            }
            Plan::Fails { at, error, from_then_on } if at == self.calls || (from_then_on && at < self.calls) => {
                self.failures += 1;
                Err(error)
            }
            Plan::FailsAndPowerGoes { fails, error, .. } if fails == self.calls => {
                self.failures += 1;
                Err(error)
            }
            _ => Ok(work(self)),
        }
    }

    /// Whether calls that change nothing are answered.
    ///
    /// # Errors
    /// The power has gone.
    pub fn goes_on(&self) -> Result<(), i32> {
        if self.is_off { Err(rusqlite::ffi::SQLITE_IOERR) } else { Ok(()) }
    }

    /// What a start finds.
    pub fn left(&self, left: Left, random: &mut Random) -> BTreeMap<PathBuf, Vec<u8>> {
        let first = self.order.saturating_sub(random.below(64));
        let last_kept = if random.one_in(2) { first } else { random.below(self.order + 1) };
        let mut chosen: BTreeMap<usize, Vec<u8>> = BTreeMap::new();
        let mut content = BTreeMap::new();
        for (path, entry) in &self.entries {
            let kept = |(order, file): &(u64, Option<usize>)| (*order <= last_kept).then_some(*file);
            let file = match left {
                Left::Nothing => entry.durable,
                Left::Everything => entry.since.last().map_or(entry.durable, |(_, file)| *file),
                Left::Prefix => entry.since.iter().rev().find_map(kept).unwrap_or(entry.durable),
                Left::Subset | Left::SubsetAndGarbage | Left::SomeNames => match random.index(entry.since.len() + 1) {
                    0 => entry.durable,
                    at => entry.since[at - 1].1,
                },
            };
            if let Some(file) = file {
                let bytes = chosen.entry(file).or_insert_with(|| self.files[file].left(left, last_kept, random));
                content.insert(path.clone(), bytes.clone());
            }
        }
        content
    }
}

impl File {
    fn left(&self, left: Left, last_kept: u64, random: &mut Random) -> Vec<u8> {
        let mut bytes = self.durable.clone();
        let one_in = random.pick(&[2, 2, 10]);
        for Pending { order, change } in &self.pending {
            match (left, change) {
                (Left::Nothing, _) => {}
                (Left::Everything | Left::SomeNames, change) => apply(&mut bytes, change),
                (Left::Prefix, change) if *order <= last_kept => apply(&mut bytes, change),
                (Left::Prefix, _) => {}
                (_, Change::Truncate { .. }) if random.one_in(2) => apply(&mut bytes, change),
                (_, Change::Truncate { .. }) => {}
                (_, Change::Write { at, bytes: written }) => {
                    let keeps_most = random.one_in(2);
                    for (at, piece) in sectors(*at, written) {
                        if random.one_in(one_in) != keeps_most {
                            overwrite(&mut bytes, at, piece);
                        } else if matches!(left, Left::SubsetAndGarbage) && random.one_in(4) {
                            let garbage: Vec<u8> = piece.iter().map(|_| random.bits() as u8).collect();
                            overwrite(&mut bytes, at, &garbage);
                        }
                    }
                }
            }
        }
        bytes
    }
}

fn apply(bytes: &mut Vec<u8>, change: &Change) {
    match change {
        Change::Write { at, bytes: written } => overwrite(bytes, *at, written),
        Change::Truncate { length } => bytes.resize(*length, 0),
    }
}

fn overwrite(bytes: &mut Vec<u8>, at: usize, piece: &[u8]) {
    if bytes.len() < at + piece.len() {
        bytes.resize(at + piece.len(), 0);
    }
    bytes[at..at + piece.len()].copy_from_slice(piece);
}

/// A write in pieces that lie in one sector each.
fn sectors(at: usize, bytes: &[u8]) -> impl Iterator<Item = (usize, &[u8])> {
    let mut done = 0;
    std::iter::from_fn(move || {
        let begin = at + done;
        let length = (SECTOR - begin % SECTOR).min(bytes.len() - done);
        let piece = &bytes[done..done + length];
        done += length;
        (length > 0).then_some((begin, piece))
    })
}
