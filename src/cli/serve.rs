//! `octostore serve`: puts the parts together, and waits for the end.

use std::error::Error;
use std::io::{self, Write};
use std::net::TcpListener;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::{panic, process, thread};

use rustix::fs::Mode;
use rustix::net::Shutdown;
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

use super::notify::Manager;
use super::watch::{self, About, Watch};
use crate::admin::{self, Configured, Office};
use crate::auth::{self, Credential, Failures, MAX_FAILURES, MAX_SIGN_IN_STEPS, NewLocalToken, Principals, SignIn};
use crate::clock::{self, Duration};
use crate::config::{Config, Driver};
use crate::database_lock::DatabaseLock;
use crate::fence::Fence;
use crate::front::Doors;
use crate::journal::{Intake, Journal, JournalError, Limits, Recovered, Row, SqliteJournal, Writer};
use crate::logging::{self, Log};
use crate::mesh::{Control, Mesh};
use crate::metrics::{JournalFigures, JournalMetrics, Source, Workers};
use crate::net::admission::{Admission, REFUSED_AT_ONCE};
use crate::net::bind::{bind, raise_descriptor_limit};
use crate::net::runtime::{self, Kind};
use crate::quota::Quota;
use crate::registrar::{Desk, NEW_ACCOUNTS, Registrar};
use crate::sync::Bell;
use crate::vitals::Vitals;
use crate::worker::{self, Plan, Shared};

/// Descriptors that are not connections: the database, the rings, the bells, the log, and some to spare.
const OTHER_DESCRIPTORS: u64 = 64;
/// Descriptors of a worker: its ring or its epoll instance, its bell twice, its duplicate of the listening socket.
const WORKER_DESCRIPTORS: u64 = 8;
/// How long requests in flight may take once the server is told to stop; the journal gets what is left of 5 s.
const DRAIN_NS: u64 = 3_000_000_000;
/// How long after the signal the process ends in any case: with an error if the disk does not answer.
const STOP_NS: u64 = 4_700_000_000;
/// How long clients are told 503 after the journal has failed, before the process ends.
const FAREWELL: Duration = Duration::from_millis(700);

/// What can end the server.
enum Event {
    Signal(i32),
    JournalEnded(Result<(), JournalError>),
}

/// Serves until a signal comes, or until it cannot go on.
///
/// # Errors
/// Why it could not start, or could not go on. One line that says what to do.
pub fn run(config: Config) -> Result<(), Box<dyn Error>> {
    let log = logging::start(&config.log)?;
    stop_on_panic();
    // Whatever is made from here on is the owner's alone: the database holds lease ids.
    rustix::process::umask(Mode::RWXG | Mode::RWXO);
    let lock = DatabaseLock::take(&config.database)?;
    let listener = bind(&config.bind)?;
    let gathered = auth::credentials(&config.tokens, lock.database())?;
    if let Some(token) = &gathered.new_local_token {
        show(token)?;
    }
    let mut journal = SqliteJournal::open(lock.database(), Limits::STANDARD)?;
    let mut recovered = journal.recover()?;
    let rows = std::mem::take(&mut recovered.locks);
    tracing::info!(
        "{}: {} locks recovered, after commit {}",
        lock.database().display(),
        rows.len(),
        recovered.last_commit
    );
    if recovered.grace_s > 0 {
        let grace_s = recovered.grace_s;
        tracing::warn!(
            "a backup was restored: no lock is granted for {grace_s} s, until every earlier lease has run out"
        );
    }
    let principals = principals(&mut journal, &gathered.credentials)?;

    let shared = share(&config, &recovered, principals.account_places() + NEW_ACCOUNTS)?;
    let registrar = Registrar::new(
        shared.intake.clone(),
        shared.mesh.clone(),
        shared.quota.places() - NEW_ACCOUNTS,
        shared.quota.places(),
    );
    let registrar = Arc::new(registrar);
    let doors = doors(&config, principals, registrar.clone())?;
    let (events, inbox) = channel();
    start_journal(journal, &recovered, &shared, events.clone())?;
    start_workers(rows, doors, &listener, &shared)?;
    watch_signals(events)?;
    let configured = Configured::new(&gathered.credentials);
    Office::open(lock.database(), shared.intake.clone(), registrar, shared.registry.clone(), configured).map_err(
        |error| format!("the admin socket {} cannot be made: {error}", admin::socket_path(lock.database()).display()),
    )?;
    let address = listener.local_addr()?;
    tracing::info!("octostore {} listening on http://{address}", env!("CARGO_PKG_VERSION"));
    let status = format!("listening on http://{address}, {} workers, {}", shared.mesh.cores(), shared.driver);
    let watch = Watch::begin(Manager::of_the_environment(), status, config.monitoring.watchdog_s);
    let end = wait_for_the_end(&inbox, &listener, &shared, &log, watch);
    Office::close(lock.database());
    end?;
    log.flush();
    // Not a return: the workers' runtimes must not be dropped with I/O under way.
    process::exit(0);
}

/// Ends the process when any thread panics: a worker's locks would hang while others go on, and what a half-done
/// change has left in memory must not be acted on.
pub fn stop_on_panic() {
    let report = panic::take_hook();
    panic::set_hook(Box::new(move |info| {
        report(info);
        process::abort();
    }));
}

/// Shows a token that was made just now: once, on stdout, and never in the log.
fn show(NewLocalToken { token, path, replaces }: &NewLocalToken) -> io::Result<()> {
    let mut out = io::stdout();
    writeln!(out, "\n  Your token (user `local`): {}", token.reveal())?;
    writeln!(out, "  It is kept in {}, readable by you alone.", path.display())?;
    if *replaces {
        writeln!(out, "  There was a database but no such file: a token that was in it before works no longer.")?;
    }
    writeln!(out)?;
    out.flush()
}

fn principals(journal: &mut SqliteJournal, credentials: &[Credential]) -> Result<Principals, Box<dyn Error>> {
    let wanted: Vec<(&str, &str)> = credentials.iter().map(|c| (c.kind, &*c.external_id)).collect();
    let accounts = journal.accounts(&wanted)?;
    Ok(Principals::new(credentials, &accounts, &journal.tokens()?)?)
}

fn doors(config: &Config, principals: Principals, registrar: Arc<Registrar>) -> io::Result<Doors> {
    let sign_in = config.tokens.github.as_ref().map(|settings| Arc::new(SignIn::new(settings)));
    Ok(Doors {
        principals,
        desk: Desk::open(registrar, sign_in.clone())?,
        sign_in,
        failures: Arc::new(Failures::new(MAX_FAILURES)),
        sign_ins: Arc::new(Failures::new(MAX_SIGN_IN_STEPS)),
        trusted_proxies: config.trusted_proxies.clone().into(),
    })
}

fn share(config: &Config, recovered: &Recovered, accounts: usize) -> Result<Arc<Shared>, Box<dyn Error>> {
    let max_connections = affordable_connections(config.max_connections, config.workers);
    let driver = choose_driver(config.driver, config.workers, max_connections)?;
    let bells = (0..config.workers).map(|_| Bell::new(driver.wants_nonblocking())).collect::<io::Result<_>>()?;
    let admission = Arc::new(Admission::new(max_connections, config.max_connections_per_address));
    let mesh = Arc::new(Mesh::new(bells));
    let metrics = Arc::new(Workers::new(config.workers));
    let journal_metrics = Arc::new(JournalMetrics::default());
    let vitals = Arc::new(Vitals::new(config.workers));
    let about = About { driver: driver.name(), max_locks_per_user: config.max_locks_per_user };
    let parts: [Arc<dyn Source>; 5] =
        [metrics.clone(), journal_metrics.clone(), mesh.clone(), admission.clone(), vitals.clone()];
    Ok(Arc::new(Shared {
        driver,
        max_connections,
        admission,
        timeouts: config.timeouts,
        mesh,
        metrics,
        journal_metrics,
        registry: watch::registry(about, parts.into()),
        metrics_access: Arc::new(watch::access(&config.monitoring)?),
        vitals,
        intake: Arc::new(Intake::new(config.workers)?),
        fence: Arc::new(Fence::above(recovered.mark)),
        grace_s: recovered.grace_s,
        quota: Arc::new(Quota::new(accounts, config.max_locks_per_user)),
        process: getrandom::u32()?,
    }))
}

/// As many connections as were asked for, or as the system has descriptors for.
fn affordable_connections(wanted: u32, workers: usize) -> u32 {
    let descriptors = raise_descriptor_limit();
    let others = OTHER_DESCRIPTORS + WORKER_DESCRIPTORS * workers as u64 + u64::from(REFUSED_AT_ONCE);
    let affordable = u32::try_from(descriptors.saturating_sub(others)).unwrap_or(u32::MAX).max(1);
    if affordable < wanted {
        tracing::warn!(
            "{affordable} connections instead of {wanted}: the limit of descriptors is {descriptors} (ulimit -n)"
        );
    }
    wanted.min(affordable)
}

fn choose_driver(wanted: Driver, workers: usize, connections: u32) -> Result<Kind, Box<dyn Error>> {
    let (kind, why) = match wanted {
        Driver::Epoll => (Kind::Epoll, "asked for".to_owned()),
        Driver::IoUring | Driver::Auto => {
            match runtime::probe_io_uring(workers, connections.div_ceil(workers as u32)) {
                Ok(Kind::IoUringPlain) => {
                    (Kind::IoUringPlain, "without cooperative task running, which is slower".to_owned())
                }
                Ok(kind) => (kind, "with cooperative task running".to_owned()),
                Err(error) if wanted == Driver::Auto => {
                    (Kind::Epoll, format!("because io_uring is not to be had: {}", runtime::explain(&error)))
                }
                Err(error) => {
                    let why = runtime::explain(&error);
                    return Err(format!(
                        "--driver io-uring: io_uring is not to be had: {why}; or use --driver epoll or auto"
                    )
                    .into());
                }
            }
        }
    };
    tracing::info!("driver={kind} ({why}), {workers} workers");
    Ok(kind)
}

fn start_journal(
    journal: SqliteJournal,
    recovered: &Recovered,
    shared: &Arc<Shared>,
    events: Sender<Event>,
) -> Result<(), Box<dyn Error>> {
    let metrics = shared.journal_metrics.clone();
    let journal = journal.counting_in(metrics.clone());
    let writer = Writer::new(journal, recovered, shared.intake.clone(), shared.mesh.clone(), metrics)?;
    thread::Builder::new().name("journal".into()).spawn(move || {
        let _ = events.send(Event::JournalEnded(writer.run()));
    })?;
    Ok(())
}

fn start_workers(
    rows: Vec<Row>,
    doors: Doors,
    listener: &TcpListener,
    shared: &Arc<Shared>,
) -> Result<(), Box<dyn Error>> {
    let workers = shared.mesh.cores();
    let mut shares: Vec<Vec<Row>> = (0..workers).map(|_| Vec::with_capacity(rows.len() / workers)).collect();
    for row in rows {
        shared.quota.recover(row.user.0 as usize);
        shares[shared.mesh.owner_of(&row.name)].push(row);
    }
    listener.set_nonblocking(shared.driver.wants_nonblocking())?; // of all duplicates
    let (started, starts) = channel();
    for (core, rows) in shares.into_iter().enumerate() {
        worker::spawn(
            shared.clone(),
            Plan { core, rows, doors: doors.clone(), listener: listener.try_clone()? },
            started.clone(),
        )?;
    }
    for start in starts.iter().take(workers) {
        start.map_err(|e| {
            format!(
                "a worker cannot start: {}; raise the limits of descriptors and of locked memory",
                runtime::explain(&e)
            )
        })?;
    }
    Ok(())
}

fn watch_signals(events: Sender<Event>) -> io::Result<()> {
    let mut signals = Signals::new([SIGTERM, SIGINT])?;
    thread::Builder::new().name("signals".into()).spawn(move || {
        for signal in signals.forever() {
            let _ = events.send(Event::Signal(signal));
        }
    })?;
    Ok(())
}

/// Waits for a signal or a failure, looking after the workers and the journal meanwhile.
fn wait_for_the_end(
    events: &Receiver<Event>,
    listener: &TcpListener,
    shared: &Shared,
    log: &Log,
    mut watch: Watch,
) -> Result<(), Box<dyn Error>> {
    loop {
        match events.recv_timeout(watch::LOOK) {
            Ok(Event::Signal(_)) => {
                watch.stopping();
                return drain(events, listener, shared, log);
            }
            Ok(Event::JournalEnded(end)) => {
                watch.stopping();
                return Err(farewell(end));
            }
            Err(RecvTimeoutError::Timeout) => watch.look(shared, log),
            Err(RecvTimeoutError::Disconnected) => unreachable!("the signals' thread has a sender"),
        }
    }
}

/// Accepts no more, lets what is in flight be answered, and closes the journal.
fn drain(events: &Receiver<Event>, listener: &TcpListener, shared: &Shared, log: &Log) -> Result<(), Box<dyn Error>> {
    tracing::info!("stopping: no new connections; a second signal stops at once");
    let _ = rustix::net::shutdown(listener, Shutdown::Both);
    shared.mesh.inboxes().iter().for_each(|inbox| inbox.send_control(Control::Drain));
    let begin_ns = clock::now_ns();
    let mut closed = false;
    loop {
        let passed_ns = clock::now_ns().saturating_sub(begin_ns);
        if passed_ns >= STOP_NS {
            return Err("the disk has not answered for seconds; everything that was acknowledged is safe".into());
        }
        let drained = shared.admission.served() == 0 || passed_ns >= DRAIN_NS;
        if drained && !std::mem::replace(&mut closed, true) {
            shared.intake.close();
        }
        match events.recv_timeout(Duration::from_millis(10)) {
            Ok(Event::Signal(signal)) => {
                log.flush();
                process::exit(128 + signal);
            }
            Ok(Event::JournalEnded(Ok(()))) => {
                let JournalFigures { commits, changes, commit_ns, folds, rows } = shared.journal_metrics.figures();
                let rings: u64 = shared.mesh.inboxes().iter().map(|inbox| inbox.gate().rings()).sum();
                let self_rings: u64 = shared.mesh.inboxes().iter().map(|inbox| inbox.gate().self_rings()).sum();
                let refused: u64 = shared.mesh.inboxes().iter().map(|inbox| inbox.refused()).sum();
                let commit_us = commit_ns / 1_000;
                tracing::info!(commits, changes, commit_us, folds, rows, rings, self_rings, refused, "stopped");
                return Ok(());
            }
            Ok(Event::JournalEnded(end)) => return Err(farewell(end)),
            Err(_) => {}
        }
    }
}

/// The journal has ended unasked. Clients are told 503 for a moment.
fn farewell(end: Result<(), JournalError>) -> Box<dyn Error> {
    let why = end.err().map_or_else(|| "the journal's thread has ended".to_owned(), |error| error.to_string());
    tracing::error!("nothing more is acknowledged, and the server stops: {why}");
    thread::sleep(FAREWELL);
    format!("{why}; everything that was acknowledged is safe, start the server again when this is mended").into()
}
