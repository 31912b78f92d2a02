//! The VFS: SQLite's calls on files, told to this thread's [`Disk`] first, then done by the VFS that was the default before.
//!
//! A file of ours is a head and behind it, in the same piece of memory, the file of the default VFS. No call really syncs: what
//! a sync would have made durable is the disk's to know. Threads have disks of their own, so that they can play at the same time;
//! a connection stays on its thread (`SQLITE_OPEN_NO_MUTEX` asks for that anyway). Temporary files, and files of a thread
//! without a disk, are the default VFS's alone.

use std::cell::{Cell, RefCell};
use std::ffi::{CStr, OsStr, c_char, c_int, c_void};
use std::mem::size_of;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::ptr;
use std::sync::{Once, OnceLock};

use rusqlite::ffi::{
    SQLITE_OK, SQLITE_OPEN_MAIN_DB, SQLITE_OPEN_MAIN_JOURNAL, SQLITE_OPEN_SUPER_JOURNAL, SQLITE_OPEN_WAL, sqlite3_file,
    sqlite3_initialize, sqlite3_io_methods, sqlite3_vfs, sqlite3_vfs_find, sqlite3_vfs_register,
};

use crate::disk::{Disk, Kind};

thread_local! {
    static BELOW_IS_AT_WORK: Cell<bool> = const { Cell::new(false) };
    static DISK: RefCell<Option<Disk>> = const { RefCell::new(None) };
}

/// Gives this thread another disk, and takes the one that it had. Registers the VFS if it is not.
pub fn insert(disk: Option<Disk>) -> Option<Disk> {
    register();
    DISK.replace(disk)
}

/// This thread's disk.
pub fn with_disk<T>(work: impl FnOnce(&mut Disk) -> T) -> T {
    DISK.with_borrow_mut(|disk| work(disk.as_mut().expect("this thread has a disk")))
}

/// Whether this thread is in a call of the default VFS, whose writes the disk has been told of.
pub fn is_at_work() -> bool {
    BELOW_IS_AT_WORK.get()
}

/// This thread's disk, if it has one.
pub fn with_disk_if_any<T>(work: impl FnOnce(&mut Disk) -> T) -> Option<T> {
    DISK.with_borrow_mut(|disk| disk.as_mut().map(work))
}

/// The default VFS of before. Never changed or freed once it is registered.
struct Below(*mut sqlite3_vfs);
// SAFETY: SQLite calls the functions of a VFS from any thread; the struct itself is only read.
unsafe impl Send for Below {}
// SAFETY: as above.
unsafe impl Sync for Below {}

static BELOW: OnceLock<Below> = OnceLock::new();

fn below() -> *mut sqlite3_vfs {
    BELOW.get().expect("registered before any file is opened").0
}

fn register() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        crate::calls::link();
        // SAFETY: SQLite may be initialized any number of times; the default VFS lives for ever; ours is leaked, so it does too, and
        // is whole when it is registered. All functions that are copied from the default one ignore which VFS they are called on.
        unsafe {
            assert_eq!(sqlite3_initialize(), SQLITE_OK);
            let default = sqlite3_vfs_find(ptr::null());
            assert!(BELOW.set(Below(default)).is_ok());
            let vfs = sqlite3_vfs {
                szOsFile: HEAD as c_int + (*default).szOsFile,
                pNext: ptr::null_mut(),
                zName: c"power-loss".as_ptr(),
                xOpen: Some(open),
                xDelete: Some(delete),
                ..*default
            };
            assert_eq!(sqlite3_vfs_register(Box::leak(Box::new(vfs)), 1), SQLITE_OK);
        }
    });
}

#[repr(C)]
struct Head {
    methods: *const sqlite3_io_methods,
    /// Which file of the disk's it is; None if it is none of its.
    file: Option<usize>,
    kind: Kind,
}

const HEAD: usize = size_of::<Head>();
// SQLite's memory is aligned to 8 bytes, and the inner file behind the head must be, too.
const _: () = assert!(HEAD.is_multiple_of(8) && align_of::<Head>() == 8);

/// Version 1: no shared memory and no mapped files. The journal needs neither, in exclusive mode.
static METHODS: sqlite3_io_methods = sqlite3_io_methods {
    iVersion: 1,
    xClose: Some(close),
    xRead: Some(read),
    xWrite: Some(write),
    xTruncate: Some(truncate),
    xSync: Some(sync),
    xFileSize: Some(file_size),
    xLock: Some(lock),
    xUnlock: Some(unlock),
    xCheckReservedLock: Some(check_reserved_lock),
    xFileControl: Some(file_control),
    xSectorSize: Some(sector_size),
    xDeviceCharacteristics: Some(device_characteristics),
    xShmMap: None,
    xShmLock: None,
    xShmBarrier: None,
    xShmUnmap: None,
    xFetch: None,
    xUnfetch: None,
};

/// What the disk says to a call on a file; `SQLITE_OK` if the file is none of its.
fn ask(head: &Head, work: impl FnOnce(&mut Disk, usize) -> Result<(), i32>) -> c_int {
    let Some(file) = head.file else { return SQLITE_OK };
    with_disk_if_any(|disk| work(disk, file).err().unwrap_or(SQLITE_OK)).unwrap_or(SQLITE_OK)
}

/// The head of a file that SQLite hands over.
///
/// # Safety
/// `file` was opened by [`open`] and is not closed.
unsafe fn head<'a>(file: *mut sqlite3_file) -> &'a Head {
    // SAFETY: `open` has written a head there, and nothing changes it before `close`.
    unsafe { &*file.cast::<Head>() }
}

/// The default VFS's file behind the head.
fn inner(file: *mut sqlite3_file) -> *mut sqlite3_file {
    // In the same piece of memory: `szOsFile` counts both.
    file.cast::<u8>().wrapping_add(HEAD).cast()
}

/// Calls a method of the default VFS's file.
macro_rules! pass {
    ($file:expr, $method:ident $(, $argument:expr)*) => {{
        let inner = inner($file);
        // SAFETY: the inner file is open, so its methods are there; SQLite gave the arguments.
        unsafe { (*(*inner).pMethods).$method.expect("a method of version 1")(inner $(, $argument)*) }
    }};
}

unsafe extern "C" fn open(
    _: *mut sqlite3_vfs,
    name: *const c_char,
    file: *mut sqlite3_file,
    flags: c_int,
    out_flags: *mut c_int,
) -> c_int {
    let kind = match flags {
        f if f & SQLITE_OPEN_MAIN_DB != 0 => Some(Kind::Database),
        f if f & SQLITE_OPEN_WAL != 0 => Some(Kind::Wal),
        f if f & (SQLITE_OPEN_MAIN_JOURNAL | SQLITE_OPEN_SUPER_JOURNAL) != 0 => Some(Kind::Journal),
        _ => None,
    };
    // SAFETY: SQLite gives `szOsFile` bytes, aligned for any type (its allocator aligns to 8, enough for what Head holds).
    // A null `pMethods` says that nothing is open.
    unsafe { (*file).pMethods = ptr::null() };
    // SAFETY: a name that is not null ends with a zero.
    let path = (!name.is_null()).then(|| unsafe { path(name) });
    let ours = path.zip(kind).filter(|_| DISK.with_borrow(Option::is_some));
    if ours.is_some()
        && let Err(error) = with_disk(|disk| disk.goes_on())
    {
        return error;
    }
    let may_make = flags & rusqlite::ffi::SQLITE_OPEN_CREATE != 0;
    let number = match &ours {
        Some((path, _)) if path.exists() || may_make => {
            // One that is there and not known was made by the process just now, not through SQLite.
            let was_there = path.exists();
            let create = |disk: &mut Disk| {
                if was_there { disk.see_late(|disk| disk.create(path)) } else { disk.create(path) }
            };
            match with_disk(|disk| disk.find(path).map_or_else(|| create(disk), Ok)) {
                Ok(number) => Some(number),
                Err(error) => return error,
            }
        }
        _ => None,
    };
    if may_make
        && kind != Some(Kind::Database)
        && let Some(number) = number
    {
        with_disk(|disk| disk.opened_to_make(number));
    }
    let inner = inner(file);
    // SAFETY: the inner file has its `szOsFile` bytes behind the head; the default VFS is called with itself.
    let result = unsafe { (*below()).xOpen.expect("xOpen")(below(), name, inner, flags, out_flags) };
    if result == SQLITE_OK {
        let head = Head { methods: &METHODS, file: number, kind: kind.unwrap_or(Kind::Journal) };
        // SAFETY: the memory is SQLite's for this file, aligned and large enough.
        unsafe { file.cast::<Head>().write(head) };
    }
    result
}

unsafe extern "C" fn delete(_: *mut sqlite3_vfs, name: *const c_char, sync_directory: c_int) -> c_int {
    // SAFETY: SQLite names a file.
    let its = unsafe { path(name) };
    let was_there = its.exists();
    if was_there && let Some(Err(error)) = with_disk_if_any(|disk| disk.delete(&its)) {
        return error;
    }
    BELOW_IS_AT_WORK.set(true);
    // SAFETY: as SQLite called us.
    let result = unsafe { (*below()).xDelete.expect("xDelete")(below(), name, 0) };
    BELOW_IS_AT_WORK.set(false);
    if was_there
        && sync_directory != 0
        && let Some(Err(error)) = with_disk_if_any(Disk::sync_names)
    {
        return error;
    }
    result
}

/// # Safety
/// `name` ends with a zero.
unsafe fn path(name: *const c_char) -> PathBuf {
    // SAFETY: the caller's.
    Path::new(OsStr::from_bytes(unsafe { CStr::from_ptr(name) }.to_bytes())).to_owned()
}

unsafe extern "C" fn close(file: *mut sqlite3_file) -> c_int {
    pass!(file, xClose)
}

unsafe extern "C" fn read(file: *mut sqlite3_file, to: *mut c_void, length: c_int, at: i64) -> c_int {
    // SAFETY: SQLite's file.
    match ask(unsafe { head(file) }, |disk, _| disk.goes_on()) {
        SQLITE_OK => pass!(file, xRead, to, length, at),
        error => error,
    }
}

unsafe extern "C" fn write(file: *mut sqlite3_file, from: *const c_void, length: c_int, at: i64) -> c_int {
    // SAFETY: SQLite gives that many bytes.
    let bytes = unsafe { std::slice::from_raw_parts(from.cast::<u8>(), length as usize) };
    // SAFETY: SQLite's file.
    match ask(unsafe { head(file) }, |disk, number| disk.write(number, at as usize, bytes)) {
        SQLITE_OK => {
            BELOW_IS_AT_WORK.set(true);
            let result = pass!(file, xWrite, from, length, at);
            BELOW_IS_AT_WORK.set(false);
            result
        }
        error => error,
    }
}

unsafe extern "C" fn truncate(file: *mut sqlite3_file, length: i64) -> c_int {
    // SAFETY: SQLite's file.
    match ask(unsafe { head(file) }, |disk, number| disk.truncate(number, length as usize)) {
        SQLITE_OK => pass!(file, xTruncate, length),
        error => error,
    }
}

unsafe extern "C" fn sync(file: *mut sqlite3_file, _flags: c_int) -> c_int {
    // SAFETY: SQLite's file.
    let head = unsafe { head(file) };
    ask(head, |disk, number| disk.sync(number, head.kind))
}

unsafe extern "C" fn file_size(file: *mut sqlite3_file, size: *mut i64) -> c_int {
    pass!(file, xFileSize, size)
}

unsafe extern "C" fn lock(file: *mut sqlite3_file, level: c_int) -> c_int {
    pass!(file, xLock, level)
}

unsafe extern "C" fn unlock(file: *mut sqlite3_file, level: c_int) -> c_int {
    pass!(file, xUnlock, level)
}

unsafe extern "C" fn check_reserved_lock(file: *mut sqlite3_file, result: *mut c_int) -> c_int {
    pass!(file, xCheckReservedLock, result)
}

unsafe extern "C" fn file_control(file: *mut sqlite3_file, what: c_int, argument: *mut c_void) -> c_int {
    pass!(file, xFileControl, what, argument)
}

unsafe extern "C" fn sector_size(file: *mut sqlite3_file) -> c_int {
    pass!(file, xSectorSize)
}

unsafe extern "C" fn device_characteristics(file: *mut sqlite3_file) -> c_int {
    pass!(file, xDeviceCharacteristics)
}
