//! Backups of a journal that goes on, and their restores, as the commands make them: among the lives of [`super`], with everything that can
//! go wrong in them.
//!
//! A restore puts nothing in the place of something. So the operator moves the database away first, and syncs that. Then the power
//! may go, or a call fail, in any step of the restore: what is at the database's name afterwards is nothing, or the restored one,
//! whole; and what was moved away is as it was, so that the operator can restore again, or put it back.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use octostore::journal::{Copied, Dirty, GRACE_S, Inspected, Journal, JournalError, SqliteJournal};

use super::known::Known;
use super::{LIMITS, Mistake, World};
use crate::disk::{Lie, Plan};
use crate::story::note;
use crate::vfs;

/// The files that a database can have.
const ENDINGS: [&str; 3] = ["", "-wal", "-journal"];

/// A backup that was made, checked and named.
pub struct Backup {
    file: PathBuf,
    /// What was acknowledged when its last slice was copied.
    known: Known,
}

impl World<'_> {
    /// As `octostore backup` has it made of a running server: in slices, with commits, folds, changes of accounts and checkpoints
    /// between them; then sealed, and named. If it fails the journal goes on.
    pub(super) fn back_up(&mut self, journal: &mut SqliteJournal, dirty: &mut Dirty) -> Result<(), JournalError> {
        self.files += 1;
        let file = self.beside(&format!("backup-{}.db", self.files));
        let partial = with_ending(&file, ".partial");
        let source = journal.source().expect("SQLite has backups");
        let mut held = None;
        note(|| format!("a backup begins: {}", file.display()));
        let copied = source.copy(&partial, &mut |pages| {
            if pages.done == pages.total {
                // The moment that the backup shows: what comes from here on is not in it.
                held = Some(self.known.clone());
            }
            for _ in 0..self.random.below(6) {
                self.work_once(journal, dirty)?;
                self.tally.between_slices += 1;
            }
            Ok(true)
        })?;
        drop(source);
        if self.mistake == Mistake::BackedUpWithoutASync {
            vfs::with_disk(|disk| disk.lie(Lie::TheServersOwnSyncsAreNone));
        }
        let sealed = match copied {
            Copied::Whole => SqliteJournal::seal(&partial).and_then(|inspected| {
                let named =
                    fs::rename(&partial, &file).and_then(|()| File::open(self.home()).and_then(|d| d.sync_all()));
                named.map(|()| inspected).map_err(|error| JournalError::Failed(error.to_string()))
            }),
            Copied::Failed(why) => Err(JournalError::Failed(why)),
            Copied::GivenUp => panic!("it is wanted"),
        };
        vfs::with_disk(|disk| disk.lie(self.lie));
        match sealed {
            Ok(inspected) => {
                let known = held.expect("its last slice was copied");
                known.is_held_by(&inspected);
                self.tally.backups += 1;
                self.backup = Some(Backup { file, known });
            }
            Err(error) => {
                let planned = vfs::with_disk(|disk| disk.is_off() || disk.failures() > 0);
                assert!(planned, "no fault was planned, but the backup fails: {error}");
                assert!(!matches!(error, JournalError::Corrupt(_)), "a backup is damaged: {error}");
                vfs::with_disk(|disk| disk.goes_on())
                    .map_err(|_| JournalError::Failed("octostore.db: no power".into()))?;
            }
        }
        Ok(())
    }

    /// The database is taken for lost, and the last backup restored, until it is there or the operator thinks better of it.
    pub(super) fn restore(&mut self) {
        let Some(Backup { file, known }) = self.backup.take() else { return };
        let away = self.move_away();
        let before = self.inspect(&away);
        loop {
            // Not before the grace period of the last one was over.
            self.now_s += GRACE_S + self.random.below(1_000_000);
            let now_s = self.now_s;
            // Often near the end, where the restored database gets its name.
            let plan = match self.calls_of_a_restore {
                calls if calls > 8 && self.random.one_in(2) => {
                    Plan::PowerGoes { at: calls - self.random.below(8), after: self.random.one_in(2) }
                }
                _ => self.draw_plan(),
            };
            self.switch_on(plan);
            if self.mistake == Mistake::RestoredWithoutASync {
                vfs::with_disk(|disk| disk.lie(Lie::TheServersOwnSyncsAreNone));
            }
            note(|| format!("a restore of {}, {plan:?}", file.display()));
            let with_grace = self.mistake != Mistake::RestoredWithoutGrace;
            let end = SqliteJournal::restore(&file, &self.database, with_grace, now_s, &mut |_| {});
            vfs::with_disk(|disk| disk.lie(self.lie));
            let disk = self.switch_off(end.as_ref().err());
            if end.is_ok() {
                self.calls_of_a_restore = disk.calls();
            }
            self.tally.restores += 1;
            self.tally.in_a_restore += u64::from(disk.is_off());
            self.after(disk, plan);

            assert!(self.inspect(&away) == before, "the database that was moved away is another");
            if let Ok(held) = &end {
                known.is_held_by(held);
                assert!(self.database.exists(), "it was restored, and is gone");
            }
            if self.database.exists() {
                // Perhaps nobody was told so, but then it is whole.
                let minted = self.known.tokens.max(self.known.mark);
                self.known = known.restored(now_s, minted);
                let found = self.inspect(&self.database.clone());
                self.known.is_held_by(&found);
                self.tally.restored += 1;
                self.tally.restored_but_unacknowledged += u64::from(end.is_err());
                self.backup = Some(Backup { file, known });
                return;
            }
            if self.random.one_in(3) {
                note(|| "the database of before is put back".to_owned());
                self.rename_all(&away, &self.database.clone());
                self.backup = Some(Backup { file, known });
                return;
            }
        }
    }

    /// Moves the database's files away, once all that is found is known to be durable. The operator does so with the server stopped, or killed.
    fn move_away(&mut self) -> PathBuf {
        self.switch_on(Plan::Well);
        let end = SqliteJournal::open(&self.database, LIMITS).and_then(|mut journal| {
            self.start(&mut journal)?;
            if self.random.one_in(2) { journal.close() } else { Ok(()) }
        });
        end.unwrap_or_else(|error| panic!("no start: {error}"));
        self.disk = vfs::insert(None);
        self.files += 1;
        let away = self.beside(&format!("octostore.db.away-{}", self.files));
        self.rename_all(&self.database.clone(), &away);
        away
    }

    /// What an operator does: `mv`, and `sync`.
    fn rename_all(&mut self, from: &Path, to: &Path) {
        self.switch_on(Plan::Well);
        let moved: io::Result<()> = ENDINGS.iter().try_for_each(|ending| {
            let from = with_ending(from, ending);
            if from.exists() { fs::rename(from, with_ending(to, ending)) } else { Ok(()) }
        });
        moved.and_then(|()| File::open(self.home())?.sync_all()).expect("a disk that is well");
        self.disk = vfs::insert(None);
    }

    /// What a database holds, by the reading that `octostore check` does.
    fn inspect(&mut self, database: &Path) -> Inspected {
        self.switch_on(Plan::Well);
        let found = SqliteJournal::verify(database).and_then(|()| SqliteJournal::inspect(database));
        self.disk = vfs::insert(None);
        found.unwrap_or_else(|error| panic!("not whole: {error}"))
    }

    fn home(&self) -> &Path {
        self.database.parent().expect("the home")
    }

    fn beside(&self, name: &str) -> PathBuf {
        self.home().join(name)
    }
}

fn with_ending(path: &Path, ending: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(ending);
    name.into()
}
