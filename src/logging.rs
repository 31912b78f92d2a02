//! Log lines: through `tracing`, to stderr, for people or as JSON.
//!
//! Nobody who logs waits for whoever reads the log. A line goes into a bounded queue, and one thread writes it
//! out; a worker whose stderr is a pipe that nobody empties goes on serving. When the queue is full the
//! line is dropped and counted, and the count is written once there is room again.

use std::io::{self, IsTerminal, Write};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;

use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::fmt::MakeWriter;

use crate::sync::{Arc, AtomicU64, Bell, Ordering};

/// The most lines that wait to be written.
const MAX_WAITING: usize = 1024;
/// How long [`Log::flush`] waits for the lines to be written, in steps of a hundredth of it.
const FLUSH_US: u64 = 1_000_000;

/// What is logged, and how.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogSettings {
    /// What a line looks like.
    pub format: LogFormat,
    /// A level, or directives as `tracing_subscriber::EnvFilter` knows them.
    pub filter: String,
}

/// What a log line looks like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

/// Why there is no log.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// The thread that writes could not be started.
    #[error("cannot start the thread that writes the log: {0}; raise the limit of processes (ulimit -u)")]
    Thread(io::Error),
    /// The filter makes no sense, or a log has been set up already.
    #[error("cannot set up the log: {0}")]
    SetUp(String),
}

/// The log of this process. Dropping it flushes.
#[derive(Debug)]
pub struct Log {
    outlet: Outlet,
}

/// Sets the log of this process up. Once.
///
/// # Errors
/// The writing thread could not be started, or there is a log already.
pub fn start(settings: &LogSettings) -> Result<Log, LogError> {
    let filter = EnvFilter::builder().parse(&settings.filter).map_err(|e| LogError::SetUp(e.to_string()))?;
    let outlet = Outlet::open(io::stderr(), settings.format, MAX_WAITING).map_err(LogError::Thread)?;
    let no_color = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(outlet.clone());
    let set = match settings.format {
        LogFormat::Text => builder.with_ansi(io::stderr().is_terminal() && !no_color).try_init(),
        LogFormat::Json => builder.json().flatten_event(true).with_ansi(false).try_init(),
    };
    set.map_err(|e| LogError::SetUp(e.to_string()))?;
    Ok(Log { outlet })
}

/// Whether `text` says what to log: a level, or directives. A single word must be a level: as a directive
/// it would be the name of a module, and "inof" would silence everything else.
pub fn is_filter(text: &str) -> bool {
    let mut words = text.split(',').map(str::trim).filter(|word| !word.contains(['=', '[', ']', '{', '}']));
    words.all(|word| !word.is_empty() && word.parse::<LevelFilter>().is_ok())
        && EnvFilter::builder().parse(text).is_ok()
}

impl Log {
    /// Waits until all that has been logged is written, at most about a second each for room and for the writing. For
    /// whoever ends the process without dropping the log.
    pub fn flush(&self) {
        self.outlet.flush();
    }
}

impl Drop for Log {
    fn drop(&mut self) {
        self.flush();
    }
}

/// The queue before the thread that writes.
#[derive(Clone, Debug)]
struct Outlet {
    waiting: SyncSender<Waiting>,
    lost: Arc<AtomicU64>,
}

/// What the writing thread is to do.
enum Waiting {
    Line(Vec<u8>),
    Ring(Arc<Bell>),
}

/// One line in the making: it is queued whole when it is dropped, so lines never mix.
struct Line<'a> {
    text: Vec<u8>,
    outlet: &'a Outlet,
}

impl Outlet {
    fn open(to: impl Write + Send + 'static, format: LogFormat, max_waiting: usize) -> io::Result<Outlet> {
        let (sender, receiver) = sync_channel(max_waiting);
        let lost = Arc::new(AtomicU64::new(0));
        let outlet = Outlet { waiting: sender, lost: Arc::clone(&lost) };
        thread::Builder::new().name("log".into()).spawn(move || write_all(&receiver, to, format, &lost))?;
        Ok(outlet)
    }

    fn flush(&self) {
        let Ok(bell) = Bell::new(false).map(Arc::new) else { return };
        for _ in 0..100 {
            if self.waiting.try_send(Waiting::Ring(Arc::clone(&bell))).is_ok() {
                bell.wait(FLUSH_US);
                return;
            }
            bell.wait(FLUSH_US / 100); // nobody rings yet: a sleep
        }
    }
}

impl<'a> MakeWriter<'a> for Outlet {
    type Writer = Line<'a>;
    fn make_writer(&'a self) -> Line<'a> {
        Line { text: Vec::new(), outlet: self }
    }
}

impl Write for Line<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.text.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Drop for Line<'_> {
    fn drop(&mut self) {
        let text = std::mem::take(&mut self.text);
        if !text.is_empty() && self.outlet.waiting.try_send(Waiting::Line(text)).is_err() {
            self.outlet.lost.fetch_add(1, Ordering::Relaxed); // a statistic; orders nothing
        }
    }
}

/// The writing thread. A stderr that takes nothing any more is no reason to stop: what cannot be written is gone.
fn write_all(waiting: &Receiver<Waiting>, mut to: impl Write, format: LogFormat, lost: &AtomicU64) {
    while let Ok(next) = waiting.recv() {
        match next {
            Waiting::Line(text) => {
                let _ = to.write_all(&text);
            }
            Waiting::Ring(bell) => {
                let _ = to.flush();
                bell.ring();
            }
        }
        let dropped = lost.swap(0, Ordering::Relaxed); // a statistic; orders nothing
        if dropped > 0 {
            let notice = match format {
                LogFormat::Text => format!("WARN {dropped} log lines were dropped\n"),
                LogFormat::Json => format!("{{\"level\":\"WARN\",\"message\":\"{dropped} log lines were dropped\"}}\n"),
            };
            let _ = to.write_all(notice.as_bytes());
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::{Sender, channel};

    use super::*;

    /// Writes into a channel, one message a write; and waits before each for leave to go on.
    struct Pipe {
        leave: Receiver<()>,
        out: Sender<String>,
    }

    impl Write for Pipe {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.leave.recv().map_err(io::Error::other)?;
            self.out.send(String::from_utf8_lossy(bytes).into_owned()).map_err(io::Error::other)?;
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn piped(max_waiting: usize) -> (Outlet, Sender<()>, Receiver<String>) {
        let ((leave, wait), (out, read)) = (channel(), channel());
        (Outlet::open(Pipe { leave: wait, out }, LogFormat::Text, max_waiting).unwrap(), leave, read)
    }

    #[test]
    fn a_level_or_directives_are_a_filter() {
        for good in [
            "off",
            "error",
            "warn",
            "info",
            "debug",
            "trace",
            "INFO",
            "warn,octostore::journal=debug",
            "octostore=trace",
        ] {
            assert!(is_filter(good), "{good}");
        }
    }

    #[test]
    fn a_misspelt_level_is_no_filter() {
        for bad in ["", "inof", "verbose", "info,octostor", "octostore=loud", "a=b=c", "info,"] {
            assert!(!is_filter(bad), "{bad}");
        }
    }

    #[test]
    fn a_line_is_written_whole_in_one_go() {
        let (outlet, leave, read) = piped(8);
        let mut line = outlet.make_writer();
        line.write_all(b"one ").unwrap();
        line.write_all(b"line\n").unwrap();
        drop(line);
        leave.send(()).unwrap();
        assert_eq!(read.recv().unwrap(), "one line\n");
    }

    #[test]
    fn a_full_queue_drops_lines_without_waiting_and_says_how_many() {
        let (outlet, leave, read) = piped(2);
        // The writer may have taken the first line already, or not: 2 or 3 of the 10 find room.
        (0..10).for_each(|n| drop(outlet.make_writer().write_all(format!("line {n}\n").as_bytes())));
        let lost = outlet.lost.load(Ordering::Relaxed);
        assert!(lost == 7 || lost == 8, "{lost}");
        (0..10).for_each(|_| leave.send(()).unwrap());
        outlet.flush();
        let mut written: Vec<String> = read.try_iter().collect();
        assert_eq!(written.remove(1), format!("WARN {lost} log lines were dropped\n"));
        assert_eq!(written, ["line 0\n", "line 1\n", "line 2\n"][..10 - lost as usize]);
    }

    #[test]
    fn a_flush_returns_when_everything_before_it_is_written() {
        let (outlet, leave, read) = piped(8);
        (0..3).for_each(|n| writeln!(outlet.make_writer(), "line {n}").unwrap());
        (0..3).for_each(|_| leave.send(()).unwrap());
        outlet.flush();
        assert_eq!(read.try_iter().collect::<String>(), "line 0\nline 1\nline 2\n");
    }

    #[test]
    fn a_reader_that_has_gone_away_stops_nobody() {
        let (outlet, leave, read) = piped(8);
        drop((leave, read));
        (0..100).for_each(|n| writeln!(outlet.make_writer(), "line {n}").unwrap());
        outlet.flush();
    }
}
