//! A wall clock that steps, for a process that this object is preloaded into (`LD_PRELOAD`).
//!
//! **How.** Programs read the clocks without a system call, in the vDSO, a small library that the kernel maps into every process. glibc
//! does, and so does rustix, which finds it without glibc's help: to take the place of `clock_gettime` alone would miss what the
//! server reads itself. So before the program begins, the vDSO's three functions that read the wall clock are overwritten with a jump
//! to the ones here. They ask the kernel by a system call, and add what the file named by `STEPPED_CLOCK` holds: nanoseconds,
//! 8 bytes, an `i64` in the machine's order. It is mapped, so that whoever writes it steps the clock at once, and for all threads.
//!
//! Only the wall clock steps (CLOCK_REALTIME, and its coarse twin), as with `date --set`. CLOCK_BOOTTIME and the others are as they are.
//! **Not stepped** is the kernel's own wall clock: the times of files, and waits that end at a time of day.
//!
//! What fails here ends the process: a test on a clock that does not step would show nothing.

use std::ffi::{c_char, c_int, c_long, c_void};
use std::fs::{File, OpenOptions};
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::fs::FileExt;
use std::ptr::null_mut;
use std::sync::atomic::{AtomicI64, AtomicPtr, Ordering};

const NS_PER_S: i64 = 1_000_000_000;
const CLOCK_REALTIME: c_int = 0;
const CLOCK_REALTIME_COARSE: c_int = 5;
const PROT_READ: c_int = 1;
const MAP_SHARED: c_int = 1;
const RTLD_LAZY: c_int = 1;
const RTLD_NOLOAD: c_int = 4;

#[cfg(target_arch = "x86_64")]
mod arch {
    pub const SYS_CLOCK_GETTIME: super::c_long = 228;
    pub const NAMES: [&std::ffi::CStr; 3] = [c"__vdso_clock_gettime", c"__vdso_gettimeofday", c"__vdso_time"];

    /// `movabs rax, target; jmp rax`.
    pub fn jump(target: usize) -> Vec<u8> {
        [&[0x48, 0xb8], &target.to_le_bytes()[..], &[0xff, 0xe0]].concat()
    }
}

#[cfg(target_arch = "aarch64")]
mod arch {
    pub const SYS_CLOCK_GETTIME: super::c_long = 113;
    pub const NAMES: [&std::ffi::CStr; 2] = [c"__kernel_clock_gettime", c"__kernel_gettimeofday"];

    /// `ldr x16, 8 bytes on; br x16`, and the target.
    pub fn jump(target: usize) -> Vec<u8> {
        [&0x5800_0050_u32.to_le_bytes()[..], &0xd61f_0200_u32.to_le_bytes(), &target.to_le_bytes()].concat()
    }
}

#[repr(C)]
struct Timespec {
    s: i64,
    ns: i64,
}

#[repr(C)]
struct Timeval {
    s: i64,
    us: i64,
}

unsafe extern "C" {
    fn syscall(number: c_long, ...) -> c_long;
    fn mmap(address: *mut c_void, length: usize, prot: c_int, flags: c_int, fd: c_int, offset: i64) -> *mut c_void;
    fn dlopen(name: *const c_char, flags: c_int) -> *mut c_void;
    fn dlsym(library: *mut c_void, name: *const c_char) -> *mut c_void;
}

/// What the wall clock is ahead, in the mapped file.
static AHEAD_NS: AtomicPtr<AtomicI64> = AtomicPtr::new(null_mut());

// SAFETY: the loader calls what is listed in this section, once and on the only thread there is, with arguments that `begin` ignores.
#[used]
#[unsafe(link_section = ".init_array")]
static BEGIN: extern "C" fn() = begin;

extern "C" fn begin() {
    let Some(path) = std::env::var_os("STEPPED_CLOCK") else { return };
    let stepped = File::open(&path).and_then(|file| map(&file)).and_then(|()| replace_clocks());
    if let Err(error) = stepped {
        eprintln!("stepped-clock: {}: {error}", path.display());
        std::process::abort();
    }
}

fn map(file: &File) -> io::Result<()> {
    if file.metadata()?.len() != 8 {
        return Err(io::Error::other("it must hold 8 bytes"));
    }
    // SAFETY: a new mapping, of which nobody knows yet; it is never unmapped. Whoever else writes the file writes all 8 bytes at once.
    let mapped = unsafe { mmap(null_mut(), 8, PROT_READ, MAP_SHARED, file.as_raw_fd(), 0) };
    if mapped.addr() == usize::MAX {
        return Err(io::Error::last_os_error());
    }
    AHEAD_NS.store(mapped.cast(), Ordering::Release);
    Ok(())
}

fn replace_clocks() -> io::Result<()> {
    // SAFETY: the name ends with a zero; nothing is loaded.
    let vdso = unsafe { dlopen(c"linux-vdso.so.1".as_ptr(), RTLD_LAZY | RTLD_NOLOAD) };
    if vdso.is_null() {
        return Err(io::Error::other("this process has no vDSO"));
    }
    // What is written there may write to pages that are not writable, each then a copy of this process's own.
    let memory = OpenOptions::new().write(true).open("/proc/self/mem")?;
    let ours = [clock_gettime as *const () as usize, gettimeofday as *const () as usize, time as *const () as usize];
    for (name, ours) in arch::NAMES.into_iter().zip(ours) {
        // SAFETY: the name ends with a zero, the library is one that is loaded.
        let function = unsafe { dlsym(vdso, name.as_ptr()) };
        if function.is_null() {
            return Err(io::Error::other(format!("the vDSO has no {}", name.to_string_lossy())));
        }
        memory.write_all_at(&arch::jump(ours), function.addr() as u64)?;
    }
    Ok(())
}

/// As the vDSO's: 0, or an error number below 0.
extern "C" fn clock_gettime(id: c_int, to: *mut Timespec) -> c_int {
    // SAFETY: the kernel checks both.
    if unsafe { syscall(arch::SYS_CLOCK_GETTIME, c_long::from(id), to) } != 0 {
        return -io::Error::last_os_error().raw_os_error().unwrap_or(22);
    }
    if id == CLOCK_REALTIME || id == CLOCK_REALTIME_COARSE {
        // SAFETY: the kernel has just written there.
        let Timespec { s, ns } = unsafe { &mut *to };
        let stepped = *s * NS_PER_S + *ns + ahead_ns();
        (*s, *ns) = (stepped.div_euclid(NS_PER_S), stepped.rem_euclid(NS_PER_S));
    }
    0
}

extern "C" fn gettimeofday(to: *mut Timeval, zone: *mut [c_int; 2]) -> c_int {
    let mut now = Timespec { s: 0, ns: 0 };
    let result = clock_gettime(CLOCK_REALTIME, &raw mut now);
    // SAFETY: each is null, or the caller's to be written.
    unsafe {
        if let Some(to) = to.as_mut() {
            *to = Timeval { s: now.s, us: now.ns / 1000 };
        }
        if let Some(zone) = zone.as_mut() {
            *zone = [0, 0];
        }
    }
    result
}

#[cfg_attr(target_arch = "aarch64", expect(dead_code, reason = "its vDSO has none"))]
extern "C" fn time(to: *mut i64) -> i64 {
    let mut now = Timespec { s: 0, ns: 0 };
    clock_gettime(CLOCK_REALTIME, &raw mut now);
    // SAFETY: it is null, or the caller's to be written.
    if let Some(to) = unsafe { to.as_mut() } {
        *to = now.s;
    }
    now.s
}

fn ahead_ns() -> i64 {
    // SAFETY: the clocks are replaced only once it is mapped, and it stays so.
    unsafe { &*AHEAD_NS.load(Ordering::Acquire) }.load(Ordering::Relaxed)
}
