//! What the server does with files by itself, not through SQLite: it syncs its directory, puts a copy in the place of a left-over
//! `-wal` file, syncs a backup or a restored database, gives it its name, and removes what an earlier try has left.
//!
//! These functions have the names of the C library's, and the linker takes them first, for this whole program. Each tells this
//! thread's disk. Nothing is ever really synced. A file that is written from its beginning is a new one.
//!
//! `renameat2`, with which a restored database gets its name, is a system call without a function of the C library's on its way. It is
//! seen at the sync of the directory, which is the very next thing that the server does: there the directory is compared with what
//! is known of it, and one name that is gone and one that is new are a rename. The power can go before it and
//! after it like any other call; what cannot be played is that it fails.

use std::collections::BTreeSet;
use std::ffi::{CStr, OsStr, c_char, c_int, c_void};
use std::fs;
use std::os::fd::BorrowedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use crate::disk::Disk;
use crate::vfs;

const EIO: c_int = 5;

unsafe extern "C" {
    fn __errno_location() -> *mut c_int;
}

/// Sees to it that the linker has a reason to look here.
pub fn link() {
    std::hint::black_box(fsync as extern "C" fn(c_int) -> c_int);
}

/// As `fsync(2)`.
#[unsafe(no_mangle)]
extern "C" fn fsync(descriptor: c_int) -> c_int {
    let path = path_of(descriptor);
    match vfs::with_disk_if_any(|disk| {
        if path.is_dir() {
            notice_a_rename(disk, &path)?;
        }
        disk.sync_by_path(&path)
    }) {
        Some(Err(_)) => fail(EIO) as c_int,
        _ => 0,
    }
}

/// As `pwrite64(2)`.
///
/// # Safety
/// `from` has `length` bytes.
#[unsafe(no_mangle)]
unsafe extern "C" fn pwrite64(descriptor: c_int, from: *const c_void, length: usize, at: i64) -> isize {
    // SAFETY: the caller's.
    let bytes = unsafe { std::slice::from_raw_parts(from.cast::<u8>(), length) };
    if !vfs::is_at_work() {
        let path = path_of(descriptor);
        let told = vfs::with_disk_if_any(|disk| {
            let file = if at == 0 { disk.create(&path) } else { disk.find(&path).ok_or(EIO) };
            file.and_then(|file| disk.write(file, at as usize, bytes))
        });
        if let Some(Err(_)) = told {
            return fail(EIO);
        }
    }
    // SAFETY: the caller has it open during the call.
    let descriptor = unsafe { BorrowedFd::borrow_raw(descriptor) };
    rustix::io::pwrite(descriptor, bytes, at as u64)
        .map_or_else(|error| fail(error.raw_os_error()), |written| written as isize)
}

/// As `rename(2)`.
///
/// # Safety
/// Both names end with a zero.
#[unsafe(no_mangle)]
unsafe extern "C" fn rename(from: *const c_char, to: *const c_char) -> c_int {
    // SAFETY: the caller's.
    let [from, to] = [from, to].map(|name| unsafe { CStr::from_ptr(name) });
    let [its, new] = [from, to].map(|name| PathBuf::from(OsStr::from_bytes(name.to_bytes())));
    if let Some(Err(_)) = vfs::with_disk_if_any(|disk| disk.rename(&its, &new)) {
        return fail(EIO) as c_int;
    }
    rustix::fs::rename(from, to).map_or_else(|error| fail(error.raw_os_error()) as c_int, |()| 0)
}

/// As `unlink(2)`.
///
/// # Safety
/// The name ends with a zero.
#[unsafe(no_mangle)]
unsafe extern "C" fn unlink(name: *const c_char) -> c_int {
    // SAFETY: the caller's.
    let name = unsafe { CStr::from_ptr(name) };
    let its = PathBuf::from(OsStr::from_bytes(name.to_bytes()));
    if !vfs::is_at_work()
        && its.symlink_metadata().is_ok()
        && let Some(Err(_)) = vfs::with_disk_if_any(|disk| disk.delete(&its))
    {
        return fail(EIO) as c_int;
    }
    rustix::fs::unlink(name).map_or_else(|error| fail(error.raw_os_error()) as c_int, |()| 0)
}

/// See above.
fn notice_a_rename(disk: &mut Disk, directory: &Path) -> Result<(), i32> {
    disk.goes_on()?;
    let there: BTreeSet<PathBuf> =
        fs::read_dir(directory).into_iter().flatten().flatten().map(|entry| entry.path()).collect();
    let known: BTreeSet<PathBuf> = disk.names().map(Path::to_owned).collect();
    let gone: Vec<&PathBuf> = known.difference(&there).collect();
    let new: Vec<&PathBuf> = there.difference(&known).collect();
    match (&gone[..], &new[..]) {
        ([], []) => Ok(()),
        ([from], [to]) => disk.see_late(|disk| disk.rename(from, to)),
        _ => {
            disk.lose_track(format!("{gone:?} are gone, {new:?} are new"));
            Ok(())
        }
    }
}

fn path_of(descriptor: c_int) -> PathBuf {
    std::fs::read_link(format!("/proc/self/fd/{descriptor}")).unwrap_or_default()
}

fn fail(error: c_int) -> isize {
    // SAFETY: `errno` is this thread's own, and always there.
    unsafe { *__errno_location() = error };
    -1
}
