//! Everything at full load, for long, with many locks held: does the server stay as it is?
//!
//! `load.rs` makes the load and judges every answer; one lone client beside it measures what an answer takes. A line of
//! figures comes every few seconds: memory, descriptors, size of the journal, the lone client's p99.9, its longest wait.
//! After a warm-up (a fifth of the time) memory, descriptors and files must stay where they are. In the end the server is killed,
//! and every held lock must be there again with its token.
//!
//! A short run is part of the tests; `scripts/soak` sets OCTOSTORE_SOAK_SECONDS, OCTOSTORE_SOAK_LOCKS and
//! OCTOSTORE_SOAK_DIRECTORY, where `soak.csv` and `soak.svg` stay.

mod load;
mod wire;

use std::fmt::Write as _;
use std::path::PathBuf;
use std::sync::Mutex;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};
use std::{env, fs, thread};

use ::load::svg::{Chart, Scale, picture};
use uuid::Uuid;

use crate::common::{Driver, Options, Server, token_of};
use load::{Load, Told};
use wire::{Wire, request};

const USERS: usize = 64;
const THREADS: usize = 4;
/// More growth than this after the warm-up is a leak: a part of what there was, and what is noise however small that is.
const GROWTH: f64 = 0.05;
const NOISE_MIB: f64 = 16.0;
/// The `-wal` file is begun anew at 4,000 pages at the latest; the last commit of these may be large.
const WAL_MIB: f64 = 32.0;
/// At most one answer in so many may be a 503.
const ANSWERS_PER_REFUSAL: u64 = 10_000;

/// What the server was like in one interval.
#[derive(Clone, Copy, Default)]
struct Sample {
    seconds: f64,
    answers_per_s: f64,
    memory_mib: f64,
    descriptors: f64,
    database_mib: f64,
    wal_mib: f64,
    p50_ms: f64,
    p999_ms: f64,
    longest_ms: f64,
    slowest_burst_ms: f64,
}

const HEAD: &str =
    "seconds,answers/s,memory MiB,descriptors,database MiB,wal MiB,p50 ms,p99.9 ms,longest ms,slowest burst ms";

#[test]
fn at_full_load_nothing_grows_and_every_answer_is_right() {
    let seconds = setting("OCTOSTORE_SOAK_SECONDS", 12) as f64;
    let locks = setting("OCTOSTORE_SOAK_LOCKS", 20_000) as usize;
    let users: Vec<&'static str> = (0..USERS).map(|user| &*format!("soak-{user}").leak()).collect();
    let options = Options::new(Driver::Auto).users(&users).args(&["--max-locks-per-user", "10000000"]);
    let directory = env::var_os("OCTOSTORE_SOAK_DIRECTORY").map_or(options.home.path.clone(), PathBuf::from);
    fs::create_dir_all(&directory).expect("a directory for the figures");
    let mut server = Server::start(options);
    let (told, waits) = (Told::default(), Mutex::new(Vec::new()));
    let share = |thread: usize| locks * thread / THREADS..locks * (thread + 1) / THREADS;
    let mut loads: Vec<Load<'_>> =
        (0..THREADS).map(|thread| Load::new(server.address, thread, share(thread), &told)).collect();

    let begin = Instant::now();
    on_threads(&mut loads, Load::fill);
    println!("{locks} locks taken in {:.1} s, {:.0} MiB", begin.elapsed().as_secs_f64(), memory_mib(&server));
    println!("{HEAD}");
    let samples = thread::scope(|scope| {
        let load = scope.spawn(|| on_threads(&mut loads, Load::mix));
        let lone = scope.spawn(|| lone_client(&server, &told, &waits));
        let samples = watch(&server, &told, &waits, seconds, || load.is_finished() || lone.is_finished());
        told.over.store(true, Ordering::Relaxed);
        samples
    });
    write_down(&directory, locks, &samples);
    let (answered, refused) = (told.answered.load(Ordering::Relaxed), told.refused.load(Ordering::Relaxed));
    let run_out = told.run_out.load(Ordering::Relaxed);
    println!("{answered} answers, {refused} of them 503, {run_out} short leases seen to have run out");
    assert!(refused <= answered / ANSWERS_PER_REFUSAL, "{refused} of {answered} answers are 503");
    assert!(run_out > 0 && answered > 10_000, "there was hardly any load");
    stays_as_it_is(&samples);

    server.kill9();
    let begin = Instant::now();
    server.start_again();
    println!("started again after a kill in {:.2} s", begin.elapsed().as_secs_f64());
    let address = server.address;
    on_threads(&mut loads, |load| load.compare(address));
    println!("all {locks} locks are held by the same leases with the same tokens");
    assert!(server.terminate().success(), "{}", server.log());
}

fn setting(name: &str, default: u64) -> u64 {
    env::var(name).map_or(default, |value| value.parse().unwrap_or_else(|_| panic!("{name} is a number")))
}

fn on_threads<'a>(loads: &mut [Load<'a>], work: impl Fn(&mut Load<'a>) + Sync) {
    thread::scope(|scope| {
        for load in loads {
            let work = &work;
            scope.spawn(move || work(load));
        }
    });
}

/// A client with one request at a time: acquire, renew, status, release. Notes how long each answer took, in µs.
fn lone_client(server: &Server, told: &Told, waits: &Mutex<Vec<u64>>) {
    let mut wire = Wire::open(server.address);
    let mut bytes = Vec::new();
    for round in 0.. {
        let lease = format!("{{\"lease_id\":\"{}\",\"ttl_seconds\":60}}", Uuid::new_v4());
        for (verb, says) in [("/acquire", "acquired"), ("/renew", "renewed"), ("", "held"), ("/release", "released")] {
            if told.over.load(Ordering::Relaxed) {
                return;
            }
            bytes.clear();
            let (method, body) = if verb.is_empty() { ("GET", "") } else { ("POST", &*lease) };
            request(&mut bytes, method, &format!("/locks/lone-{round}{verb}"), &token_of("soak-0"), body);
            let begin = Instant::now();
            wire.send(&bytes);
            let (status, body) = wire.read();
            waits.lock().expect("the waits").push(begin.elapsed().as_micros() as u64);
            assert!(status == 200 && body.contains(says), "{verb}: {status} {body}");
            thread::sleep(Duration::from_millis(1));
        }
    }
}

/// Takes samples until the time is over, or `broken`: then the panic of a thread follows.
fn watch(
    server: &Server,
    told: &Told,
    waits: &Mutex<Vec<u64>>,
    seconds: f64,
    broken: impl Fn() -> bool,
) -> Vec<Sample> {
    let interval = (seconds / 60.0).clamp(0.5, 5.0);
    let begin = Instant::now();
    let (mut samples, mut before): (Vec<Sample>, _) = (Vec::new(), (0.0, told.answered.load(Ordering::Relaxed)));
    while begin.elapsed().as_secs_f64() < seconds && !broken() {
        thread::sleep(Duration::from_secs_f64(interval));
        let (now, answered) = (begin.elapsed().as_secs_f64(), told.answered.load(Ordering::Relaxed));
        let mut waits = std::mem::take(&mut *waits.lock().expect("the waits"));
        waits.sort_unstable();
        let at =
            |part: f64| waits.get((waits.len() as f64 * part) as usize).or(waits.last()).copied().unwrap_or(0) as f64;
        let database = &server.options.database;
        let sample = Sample {
            seconds: now,
            answers_per_s: (answered - before.1) as f64 / (now - before.0),
            memory_mib: memory_mib(server),
            descriptors: fs::read_dir(format!("/proc/{}/fd", server.pid())).map_or(0, Iterator::count) as f64,
            database_mib: size_mib(database.clone()),
            wal_mib: size_mib(PathBuf::from(format!("{}-wal", database.display()))),
            p50_ms: at(0.5) / 1e3,
            p999_ms: at(0.999) / 1e3,
            longest_ms: at(1.0) / 1e3,
            slowest_burst_ms: told.slowest_burst_us.swap(0, Ordering::Relaxed) as f64 / 1e3,
        };
        println!("{}", line(&sample));
        before = (now, answered);
        samples.push(sample);
    }
    samples
}

fn line(s: &Sample) -> String {
    format!(
        "{:.1},{:.0},{:.1},{:.0},{:.1},{:.1},{:.2},{:.2},{:.2},{:.1}",
        s.seconds,
        s.answers_per_s,
        s.memory_mib,
        s.descriptors,
        s.database_mib,
        s.wal_mib,
        s.p50_ms,
        s.p999_ms,
        s.longest_ms,
        s.slowest_burst_ms
    )
}

fn memory_mib(server: &Server) -> f64 {
    let status = fs::read_to_string(format!("/proc/{}/status", server.pid())).expect("its status");
    let kib = status.lines().find_map(|line| line.strip_prefix("VmRSS:")?.trim().strip_suffix(" kB")?.parse().ok());
    kib.map_or(0.0, |kib: f64| kib / 1024.0)
}

fn size_mib(file: PathBuf) -> f64 {
    fs::metadata(file).map_or(0.0, |found| found.len() as f64 / f64::from(1 << 20))
}

fn write_down(directory: &std::path::Path, locks: usize, samples: &[Sample]) {
    let csv = samples.iter().fold(format!("{HEAD}\n"), |mut csv, sample| {
        let _ = writeln!(csv, "{}", line(sample));
        csv
    });
    fs::write(directory.join("soak.csv"), csv).expect("the figures are written");
    let charts = [
        chart(samples, &format!("answers, {locks} locks held"), "a second", &[("answers", |s| s.answers_per_s)]),
        chart(samples, "memory", "MiB", &[("memory", |s| s.memory_mib)]),
        chart(samples, "open descriptors", "", &[("descriptors", |s| s.descriptors)]),
        chart(samples, "files", "MiB", &[("database", |s| s.database_mib), ("-wal", |s| s.wal_mib)]),
        chart(samples, "a lone client", "ms", &[("p99.9", |s| s.p999_ms), ("longest wait", |s| s.longest_ms)]),
    ];
    fs::write(directory.join("soak.svg"), picture(&charts)).expect("the picture is written");
}

/// A line of a chart: its name, and what it shows of a sample.
type Line = (&'static str, fn(&Sample) -> f64);

/// A chart of lines over time.
fn chart(samples: &[Sample], title: &str, unit: &str, lines: &[Line]) -> Chart {
    let points = |of: fn(&Sample) -> f64| samples.iter().map(|sample| (sample.seconds, of(sample))).collect();
    Chart {
        title: title.to_owned(),
        axes: ["seconds".to_owned(), unit.to_owned()],
        scales: [Scale::Linear, Scale::Linear],
        marks: Vec::new(),
        lines: lines.iter().map(|(name, of)| ((*name).to_owned(), points(*of))).collect(),
    }
}

/// Compares the fifth after the warm-up with the last one.
fn stays_as_it_is(samples: &[Sample]) {
    let fifth = (samples.len() / 5).max(1);
    let (early, late) = (&samples[fifth..2 * fifth], &samples[samples.len() - fifth..]);
    let mean = |of: fn(&Sample) -> f64, over: &[Sample]| over.iter().map(of).sum::<f64>() / over.len() as f64;
    let most = |of: fn(&Sample) -> f64| samples.iter().map(of).fold(0.0, f64::max);
    for (what, of) in [("memory", (|s| s.memory_mib) as fn(&Sample) -> f64), ("the database file", |s| s.database_mib)]
    {
        let (before, after) = (mean(of, early), mean(of, late));
        println!("{what}: {before:.1} MiB after the warm-up, {after:.1} MiB in the end");
        assert!(after <= before * (1.0 + GROWTH) + NOISE_MIB, "{what} grows from {before:.1} to {after:.1} MiB");
    }
    let (before, after) = (mean(|s| s.descriptors, early), mean(|s| s.descriptors, late));
    println!("descriptors: {before:.1} after the warm-up, {after:.1} in the end");
    assert!(after <= before + (THREADS * 4) as f64, "descriptors grow from {before:.1} to {after:.1}");
    println!(
        "p99.9 of a lone client: {:.1} ms after the warm-up, {:.1} ms in the end; longest wait {:.1} ms, longest burst {:.1} ms",
        mean(|s| s.p999_ms, early),
        mean(|s| s.p999_ms, late),
        most(|s| s.longest_ms),
        most(|s| s.slowest_burst_ms)
    );
    assert!(most(|s| s.wal_mib) <= WAL_MIB, "the -wal file has grown to {:.1} MiB", most(|s| s.wal_mib));
}
