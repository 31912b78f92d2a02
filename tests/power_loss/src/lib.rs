//! Power loss and broken disks under the real SQLite and the shipping `SqliteJournal`.
//!
//! SQLite reaches files through a VFS. [`vfs`] registers one over the default one, as the process's default, so the server's own code
//! runs on it without a hook. Reads and writes go through to real files, which are what the running process sees. Beside
//! them [`disk`] keeps what a disk would hold if the power went now:
//!
//! - of each file the content at its last sync, and every write and truncation since;
//! - of the directory the entries at its last sync, and every creation, deletion and renaming since. SQLite syncs it with the first
//!   sync of a journal or `-wal` file that it has opened, and takes no notice if that fails; and with a deletion that asks for it.
//!
//! [`calls`] sees what the server does to these files by itself, without SQLite.
//!
//! **What is simulated.** The power goes before, in or after any single write, truncation, sync, creation or deletion, in
//! a commit, a fold, a change of an account, a checkpoint, a recovery, the making of a new database, a close, a backup of a journal that goes
//! on, a restore. What was not synced is then lost, or
//! kept, or a prefix of it, or any subset of its sectors of 512 bytes, in any order, or such a subset with garbage in
//! some sectors that were being written; and each entry of the directory is in any of the states it has had since the
//! directory's sync. Instead of the power going, or some calls before it, any of these calls can fail, once or from then on, with EIO or
//! ENOSPC; after a sync that failed, later ones no longer cover what it did not (as Linux does it).
//!
//! **What is not.** A disk that says that it has synced and has not (that is what the planted faults are); damage to bytes that no
//! write was touching (SQLite's "powersafe overwrite", which it assumes on Unix too); sectors of another size; the kernel.
//!
//! Two calls are seen a moment late, and so cannot fail: `renameat2`, by which a restored database gets its name (see [`calls`]; a backup
//! is named here by `rename`, where the command calls the other), and the creation of the file that a backup is copied into.
//!
//! [`world`] is the load and the oracle: everything whose call returned is there after the next start, what was under way is there as a
//! whole or not at all, marks never fall, accounts and their tokens are what was answered, and the database opens. A backup holds the state of
//! its last slice and nothing else. After a restore there is no database at its name, or the restored one, whole, with its grace period, its
//! mark above everything that was minted; and the one that was moved away is as it was.

mod calls;
pub mod disk;
pub mod home;
pub mod people;
pub mod play;
pub mod story;
pub mod vfs;
pub mod world;

#[path = "../../simulation/src/random.rs"]
pub mod random;
