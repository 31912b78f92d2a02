//! Building a worker's runtime on io_uring, or on epoll where io_uring is not to be had.

use std::fmt;
use std::io;

use monoio::time::TimeDriver;
use monoio::{IoUringDriver, LegacyDriver, Runtime, RuntimeBuilder};
use rustix::io::Errno;
use rustix::process::{Resource, getrlimit};

use crate::clock::Duration;

/// Submission entries of a ring.
const ENTRIES: u32 = 1024;
/// The least completion entries of a ring, and the most.
const COMPLETIONS: std::ops::RangeInclusive<u32> = 4096..=65536;
/// The memory of rings that are gone is given back late, be it a killed process's or of a try: so often, and this far apart, it is asked for
/// again.
const MEMORY_RETRIES: u32 = 10;
const MEMORY_PAUSE: Duration = Duration::from_millis(30);

/// How a worker does I/O.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// io_uring, with task work run cooperatively.
    IoUring,
    /// io_uring on a kernel without those flags.
    IoUringPlain,
    /// epoll.
    Epoll,
}

/// A worker's runtime. It stays on the thread that built it.
pub enum WorkerRuntime {
    /// On io_uring.
    IoUring(Runtime<TimeDriver<IoUringDriver>>),
    /// On epoll.
    Epoll(Runtime<TimeDriver<LegacyDriver>>),
}

impl Kind {
    /// The name that `/health` shows.
    pub fn name(self) -> &'static str {
        match self {
            Kind::IoUring | Kind::IoUringPlain => "io_uring",
            Kind::Epoll => "epoll",
        }
    }

    /// Whether descriptors must be non-blocking.
    pub fn wants_nonblocking(self) -> bool {
        self == Kind::Epoll
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// The best kind of io_uring that this process can have, tried with rings as large as `workers` workers need at once.
///
/// # Errors
/// Why there is none: see [`explain`].
pub fn probe_io_uring(workers: usize, connections: u32) -> io::Result<Kind> {
    let try_all = |kind| (0..workers).map(|_| ring(kind, connections)).collect::<io::Result<Vec<_>>>().map(|_| kind);
    patiently(|| match try_all(Kind::IoUring) {
        Err(error) if error.kind() == io::ErrorKind::InvalidInput => try_all(Kind::IoUringPlain),
        done => done,
    })
}

/// What an error says of io_uring that is refused, and what to do: seccomp or sysctl, an old kernel, or no memory to lock.
pub fn explain(error: &io::Error) -> String {
    match Errno::from_io_error(error) {
        Some(Errno::NOMEM) => match getrlimit(Resource::Memlock).current {
            Some(bytes) => format!(
                "{error}: its rings need more memory than may be locked, or than there is; the limit is {} KiB for all processes of a \
                 user (raise it with ulimit -l, or LimitMEMLOCK= in a systemd unit)",
                bytes / 1024
            ),
            None => format!("{error}: its rings need more memory than there is"),
        },
        Some(Errno::PERM) => {
            format!(
                "{error}: a seccomp profile, as containers have one, or the sysctl kernel.io_uring_disabled forbids it"
            )
        }
        Some(Errno::NOSYS) => format!("{error}: this kernel has none"),
        _ => error.to_string(),
    }
}

fn patiently<T>(mut attempt: impl FnMut() -> io::Result<T>) -> io::Result<T> {
    for _ in 0..MEMORY_RETRIES {
        match attempt() {
            Err(error) if Errno::from_io_error(&error) == Some(Errno::NOMEM) => std::thread::sleep(MEMORY_PAUSE),
            done => return done,
        }
    }
    attempt()
}

/// Builds a runtime on the thread that is to run it, for at most `connections` connections.
///
/// # Errors
/// The ring or the epoll instance cannot be made.
pub fn build(kind: Kind, connections: u32) -> io::Result<WorkerRuntime> {
    if kind == Kind::Epoll {
        return RuntimeBuilder::<LegacyDriver>::new().enable_timer().build().map(WorkerRuntime::Epoll);
    }
    let build = || {
        let builder = RuntimeBuilder::<IoUringDriver>::new().with_entries(ENTRIES);
        builder.uring_builder(settings(kind, connections)).enable_timer().build()
    };
    patiently(build).map(WorkerRuntime::IoUring)
}

fn ring(kind: Kind, connections: u32) -> io::Result<io_uring::IoUring> {
    settings(kind, connections).build(ENTRIES)
}

/// Each connection has one operation under way, and may have one more being cancelled.
fn settings(kind: Kind, connections: u32) -> io_uring::Builder {
    let mut builder = io_uring::IoUring::builder();
    let completions = (2 * connections).clamp(*COMPLETIONS.start(), *COMPLETIONS.end()).next_power_of_two();
    builder.setup_cqsize(completions);
    if kind == Kind::IoUring {
        // Completions wait for the worker to look instead of interrupting it: 5.4 instead of 6.5 µs a request.
        builder.setup_coop_taskrun().setup_single_issuer();
    }
    builder
}

impl WorkerRuntime {
    /// Runs a future, and all tasks that it spawns, on this thread.
    pub fn block_on<F: Future>(&mut self, future: F) -> F::Output {
        match self {
            WorkerRuntime::IoUring(runtime) => runtime.block_on(future),
            WorkerRuntime::Epoll(runtime) => runtime.block_on(future),
        }
    }
}
