//! A thread of the generator: its connections, its callers, and the clock they go by.
//!
//! Each second it sends what it has counted to the report, and begins to count anew. An answer belongs to the second in
//! which it came.

use std::collections::BTreeMap;
use std::io;
use std::mem;
use std::net::SocketAddr;
use std::sync::Barrier;
use std::sync::mpsc::Sender;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use hdrhistogram::Histogram;
use rustix::event::{Timespec, epoll};

use crate::connection::{Connection, Request};
use crate::local;
use crate::options::{Mix, Names, Options};
use crate::pace::{Open, Pace};
use crate::protocol::{Encoder, Verdict};
use crate::script::{Caller, Family, KINDS, Operation, Script, held};

/// A lost connection is tried again after this long.
const RECONNECT_AFTER_NS: u64 = 100_000_000;
/// Answers are awaited for so long after the end; then they count as lost.
const LAST_WAIT_NS: u64 = 5_000_000_000;
/// Nearer than this the next intended time is waited for without sleep: epoll counts in milliseconds.
const SPIN_NS: u64 = 1_500_000;
/// Events taken at once.
const EVENTS: usize = 512;
/// Precision of the histograms, in digits.
const DIGITS: u8 = 3;

/// What one thread counted in one second.
pub struct Second {
    /// The second of the run, from 0.
    pub number: u64,
    /// Latency of all answers, in nanoseconds.
    pub all: Histogram<u64>,
    /// By kind of operation, as far as there were any.
    pub kinds: [Option<Histogram<u64>>; KINDS.len()],
    /// Grants refused because somebody holds the lock.
    pub held: u64,
    /// What was not answered with success, by what it was.
    pub errors: BTreeMap<String, u64>,
    /// What was open at the end: in the last second, and only in that.
    pub open: Open,
}

/// A histogram in nanoseconds.
pub fn histogram() -> Histogram<u64> {
    Histogram::new(DIGITS).expect("a histogram of 3 digits")
}

impl Second {
    /// One in which nothing was counted yet.
    pub fn new(number: u64) -> Second {
        Second {
            number,
            all: histogram(),
            kinds: Default::default(),
            held: 0,
            errors: BTreeMap::new(),
            open: Open::default(),
        }
    }
}

/// What a thread is to do.
pub struct Job<'a> {
    /// The command line.
    pub options: &'a Options,
    /// Its operations.
    pub mix: Mix,
    /// The server.
    pub address: SocketAddr,
    /// How to ask it.
    pub encoder: &'a Encoder,
    /// Which thread this is.
    pub thread: usize,
    /// All threads and the main one begin to count together.
    pub start: &'a Barrier,
}

/// Runs a thread's share from the first connection to the last answer.
///
/// # Errors
/// The server cannot be reached at the start, or does not let the locks be held.
pub fn run(job: &Job<'_>, report: &Sender<Second>) -> Result<(), String> {
    let ready = Loop::new(job).and_then(|mut lanes| {
        lanes.hold()?;
        lanes.settle_on_local_names()?;
        Ok(lanes)
    });
    // The others wait here: come what may, so must this one.
    job.start.wait();
    ready?.measure(report);
    Ok(())
}

struct Loop<'a> {
    job: &'a Job<'a>,
    script: Script,
    poll: rustix::fd::OwnedFd,
    connections: Vec<Connection>,
    /// Broken connections, and when to try again.
    broken: Vec<(usize, u64)>,
    callers: Vec<Caller>,
    /// Callers with nothing under way.
    idle: Vec<u32>,
    /// Connections that have something to write.
    unwritten: Vec<usize>,
    began: Instant,
    second: Second,
    /// Requests under way.
    outstanding: u64,
    /// Open loop: the number of the next request to be due.
    due: u64,
    scratch: Vec<u8>,
}

impl<'a> Loop<'a> {
    fn new(job: &'a Job<'a>) -> Result<Loop<'a>, String> {
        let Options { connections, depth, threads, .. } = *job.options;
        let share = connections / threads + usize::from(job.thread < connections % threads);
        let now_us = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_micros() as u64);
        let unreachable = |e: io::Error| format!("{}: {e}; is the server up?", job.options.url);
        let poll = epoll::create(epoll::CreateFlags::CLOEXEC).map_err(|e| format!("epoll: {e}"))?;
        let mut lanes = Loop {
            job,
            script: Script::new(job.options, job.mix, job.thread as u64, now_us),
            poll,
            connections: Vec::with_capacity(share),
            broken: Vec::new(),
            callers: Vec::new(),
            idle: Vec::new(),
            unwritten: Vec::new(),
            began: Instant::now(),
            second: Second::new(0),
            outstanding: 0,
            due: 0,
            scratch: Vec::new(),
        };
        for number in 0..share {
            let connection = Connection::open(job.address).map_err(unreachable)?;
            lanes.watch(&connection, number, epoll::EventFlags::IN, true).map_err(unreachable)?;
            lanes.connections.push(connection);
        }
        for lane in 0..share * depth {
            lanes.callers.push(Caller { number: (lane * threads + job.thread) as u64, holds: None });
            lanes.idle.push(lane as u32);
        }
        Ok(lanes)
    }

    /// Takes this thread's share of the locks that are to be held.
    fn hold(&mut self) -> Result<(), String> {
        let Options { hold, hold_from, threads, .. } = *self.job.options;
        let mut next = hold_from + self.job.thread as u64;
        while next < hold || self.outstanding > 0 {
            while next < hold
                && let Some(lane) = self.idle.pop()
            {
                self.ask(lane, Operation::Acquire(held(next)), 0);
                next += threads as u64;
            }
            self.turn(Some(100));
            if let Some((error, _)) = self.second.errors.first_key_value() {
                return Err(format!(
                    "--hold: {error} after {next} locks (403: the server's --max-locks-per-user is lower than that)"
                ));
            }
            if self.second.held > 0 {
                return Err("--hold: another lease holds some of these names".into());
            }
        }
        Ok(())
    }

    /// Gives each caller the first name of those that only it may take with which nothing is handed over.
    fn settle_on_local_names(&mut self) -> Result<(), String> {
        if self.job.options.names != Names::Local {
            return Ok(());
        }
        let callers = self.callers.len() as u64;
        let mut lanes = mem::take(&mut self.idle);
        let mut before = local::handoffs(self.job.address)?;
        for &lane in &lanes {
            let first = self.callers[lane as usize].number;
            local::find(self.job.address, &mut before, |candidate| {
                self.callers[lane as usize].number = first + candidate * callers;
                self.ask(lane, Script::look_at_own(&self.callers[lane as usize]), 0);
                while self.outstanding > 0 {
                    self.turn(Some(100));
                }
            })?;
        }
        self.idle.clear(); // each look has given its lane back
        self.idle.append(&mut lanes);
        Ok(())
    }

    fn measure(&mut self, report: &Sender<Second>) {
        self.began = Instant::now();
        self.second = Second::new(0);
        let end = self.job.options.warmup + self.job.options.seconds;
        if self.job.options.seconds == 0 {
            return;
        }
        while self.second.number < end {
            let timeout_ms = self.send_what_is_due();
            self.turn(timeout_ms);
            self.mend();
            let now = self.now_ns() / 1_000_000_000;
            while self.second.number < now.min(end) {
                if self.second.number + 1 == end {
                    self.second.open = self.open_at(end * 1_000_000_000);
                }
                let next = Second::new(self.second.number + 1);
                let _ = report.send(mem::replace(&mut self.second, next));
            }
        }
        self.finish();
    }

    /// What is open, now that the run has ended.
    fn open_at(&self, end_ns: u64) -> Open {
        let since_ns = self.connections.iter().flat_map(Connection::waiting).map(|request| request.since_ns);
        Open::at(self.now_ns(), end_ns, since_ns, self.pace().map(|pace| (pace, self.due)))
    }

    /// In an open loop.
    fn pace(&self) -> Option<Pace> {
        let Options { rate, threads, .. } = *self.job.options;
        rate.map(|rate| Pace { rate, thread: self.job.thread, threads })
    }

    /// Lets each lock go that a caller still holds, so that the next run finds them free. It is not counted.
    fn finish(&mut self) {
        let until = self.now_ns() + LAST_WAIT_NS;
        while self.now_ns() < until {
            for lane in mem::take(&mut self.idle) {
                if let Some(lock) = self.callers[lane as usize].holds {
                    self.ask(lane, Operation::Release(lock), 0);
                }
            }
            if self.outstanding == 0 {
                return;
            }
            self.turn(Some(100));
        }
    }

    /// Gives idle callers their next request, and says how long to wait for events.
    fn send_what_is_due(&mut self) -> Option<i64> {
        let Some(pace) = self.pace() else {
            let now = self.now_ns();
            while let Some(lane) = self.idle.pop() {
                let operation = self.script.next(&self.callers[lane as usize]);
                self.ask(lane, operation, now);
            }
            return Some(100);
        };
        let now = self.now_ns();
        while pace.due_ns(self.due) <= now {
            // No caller is free: the request is late, and its latency counts from when it was due.
            let Some(lane) = self.idle.pop() else { return Some(100) };
            let operation = self.script.next(&self.callers[lane as usize]);
            self.ask(lane, operation, pace.due_ns(self.due));
            self.due += 1;
        }
        let ahead = pace.due_ns(self.due) - now;
        Some(if ahead < SPIN_NS { 0 } else { (ahead / 1_000_000) as i64 })
    }

    fn ask(&mut self, lane: u32, operation: Operation, since_ns: u64) {
        let number = lane as usize / self.job.options.depth;
        self.connections[number].push(self.job.encoder, Request { lane, operation, since_ns });
        self.outstanding += 1;
        self.unwritten.push(number);
    }

    /// Writes what is to be written, waits for events, and takes the answers.
    fn turn(&mut self, timeout_ms: Option<i64>) {
        let mut unwritten = mem::take(&mut self.unwritten);
        for number in unwritten.drain(..) {
            self.write(number);
        }
        self.unwritten = unwritten;
        let timeout = timeout_ms.map(|ms| Timespec { tv_sec: ms / 1000, tv_nsec: ms % 1000 * 1_000_000 });
        let mut events = Vec::with_capacity(EVENTS);
        if epoll::wait(&self.poll, rustix::buffer::spare_capacity(&mut events), timeout.as_ref()).is_err() {
            return;
        }
        for event in &events {
            let data = event.data;
            let number = data.u64() as usize;
            if self.broken.iter().any(|(broken, _)| *broken == number) {
                continue;
            }
            let flags = event.flags;
            if flags.contains(epoll::EventFlags::OUT) {
                self.write(number);
            }
            self.read(number);
        }
    }

    fn write(&mut self, number: usize) {
        match self.connections[number].flush() {
            Ok(left) if left != self.connections[number].wants_room => {
                self.connections[number].wants_room = left;
                let room = if left { epoll::EventFlags::OUT } else { epoll::EventFlags::empty() };
                if let Err(e) = self.watch(&self.connections[number], number, epoll::EventFlags::IN | room, false) {
                    self.lose(number, &e);
                }
            }
            Ok(_) => {}
            Err(e) => self.lose(number, &e),
        }
    }

    fn read(&mut self, number: usize) {
        let now = self.now_ns();
        let Loop { connections, callers, idle, second, outstanding, scratch, job, .. } = self;
        let read = connections[number].read(job.options.protocol, scratch, |request, verdict| {
            *outstanding -= 1;
            idle.push(request.lane);
            note(second, &request, verdict, now);
            follow(&mut callers[request.lane as usize], &request.operation, verdict);
        });
        if let Err(e) = read {
            self.lose(number, &e);
        }
    }

    /// A connection is gone, and with it the answers to what was under way.
    fn lose(&mut self, number: usize, why: &io::Error) {
        if self.broken.iter().any(|(broken, _)| *broken == number) {
            return;
        }
        let label = match why.kind() {
            io::ErrorKind::UnexpectedEof => "connection closed".to_owned(),
            io::ErrorKind::ConnectionReset => "connection reset".to_owned(),
            _ => format!("connection: {why}"),
        };
        let mut lost = 0;
        for request in self.connections[number].lost() {
            self.callers[request.lane as usize].holds = None;
            self.idle.push(request.lane);
            lost += 1;
        }
        self.outstanding -= lost;
        *self.second.errors.entry(label).or_default() += lost.max(1);
        self.broken.push((number, self.now_ns() + RECONNECT_AFTER_NS));
        // Its callers wait until it is mended.
        let depth = self.job.options.depth;
        self.idle.retain(|lane| *lane as usize / depth != number);
    }

    fn mend(&mut self) {
        let now = self.now_ns();
        let Some(at) = self.broken.iter().position(|(_, when)| *when <= now) else { return };
        let (number, _) = self.broken.swap_remove(at);
        match Connection::open(self.job.address) {
            Ok(connection) if self.watch(&connection, number, epoll::EventFlags::IN, true).is_ok() => {
                self.connections[number] = connection;
                let depth = self.job.options.depth;
                self.idle.extend((number * depth..(number + 1) * depth).map(|lane| lane as u32));
            }
            _ => {
                *self.second.errors.entry("cannot connect".into()).or_default() += 1;
                self.broken.push((number, now + RECONNECT_AFTER_NS));
            }
        }
    }

    fn watch(&self, connection: &Connection, number: usize, flags: epoll::EventFlags, add: bool) -> io::Result<()> {
        let data = epoll::EventData::new_u64(number as u64);
        if add {
            epoll::add(&self.poll, connection.stream(), data, flags)?;
        } else {
            epoll::modify(&self.poll, connection.stream(), data, flags)?;
        }
        Ok(())
    }

    fn now_ns(&self) -> u64 {
        u64::try_from(self.began.elapsed().as_nanos()).unwrap_or(u64::MAX)
    }
}

fn note(second: &mut Second, request: &Request, verdict: Verdict, now_ns: u64) {
    match verdict {
        Verdict::Done => {}
        Verdict::Held => second.held += 1,
        Verdict::Refused => *second.errors.entry("503".into()).or_default() += 1,
        Verdict::Other(status) => *second.errors.entry(status.to_string()).or_default() += 1,
    }
    if matches!(verdict, Verdict::Done | Verdict::Held) {
        let latency = now_ns.saturating_sub(request.since_ns);
        // The histograms grow as needed, so that no latency is too long for them.
        let _ = second.all.record(latency);
        let _ = second.kinds[request.operation.kind()].get_or_insert_with(histogram).record(latency);
    }
}

/// What the caller knows after an answer.
fn follow(caller: &mut Caller, operation: &Operation, verdict: Verdict) {
    match (operation, verdict) {
        (Operation::Acquire(lock), Verdict::Done) if lock.family != Family::Left => caller.holds = Some(*lock),
        (Operation::Release(_), Verdict::Refused) | (Operation::Renew(_), Verdict::Done | Verdict::Refused) => {}
        (Operation::Release(lock) | Operation::Renew(lock), _) if caller.holds == Some(*lock) => caller.holds = None,
        _ => {}
    }
}
