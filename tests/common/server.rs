//! The server as a process: started, listened to, signalled, killed, and started again.

use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::net::SocketAddr;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use super::{Connection, PATIENCE, User};

/// How the kernel tells a worker what has happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Driver {
    /// Completions, by io_uring.
    IoUring,
    /// Readiness, by epoll.
    Epoll,
    /// io_uring where the kernel lets us, else epoll.
    Auto,
}

impl Driver {
    /// Its name on the command line.
    pub fn flag(self) -> &'static str {
        match self {
            Driver::IoUring => "io-uring",
            Driver::Epoll => "epoll",
            Driver::Auto => "auto",
        }
    }

    /// Its name in the log and in /health.
    pub fn name(self) -> &'static str {
        if self == Driver::Epoll { "epoll" } else { "io_uring" }
    }
}

/// The bearer token that a test's server gives a user: as long as the real ones.
pub fn token_of(user: &str) -> String {
    format!("{user:A<43}")
}

/// A directory for one test. Removed at the end, unless the test fails.
#[derive(Debug)]
pub struct Home {
    /// Where it is.
    pub path: PathBuf,
}

impl Home {
    /// A new, empty directory.
    pub fn new() -> Arc<Home> {
        static COUNT: AtomicU64 = AtomicU64::new(0);
        let name = format!("octostore-test-{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let path = std::env::temp_dir().join(name);
        fs::create_dir(&path).expect("a new directory");
        Arc::new(Home { path })
    }

    /// A file in it.
    pub fn file(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }
}

impl Drop for Home {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("kept for a look: {}", self.path.display());
        } else {
            let _ = fs::remove_dir_all(&self.path);
        }
    }
}

/// How to start a server.
#[derive(Clone, Debug)]
pub struct Options {
    /// `--driver`.
    pub driver: Driver,
    /// `--workers`.
    pub workers: usize,
    /// `--bind`.
    pub bind: String,
    /// `--database`.
    pub database: PathBuf,
    /// Who may sign in, each with [`token_of`]. None: nothing is configured.
    pub users: Vec<&'static str>,
    /// More arguments.
    pub args: Vec<String>,
    /// The environment, but for what `users` needs.
    pub env: Vec<(String, String)>,
    /// What runs the server, and must become it: `strace -D …`, `sh -c … exec`.
    pub wrapper: Vec<String>,
    /// Where its files are.
    pub home: Arc<Home>,
}

impl Options {
    /// Two workers, the users alice and bob, a new home.
    pub fn new(driver: Driver) -> Options {
        let home = Home::new();
        Options {
            driver,
            workers: 2,
            bind: "127.0.0.1:0".to_owned(),
            database: home.file("octostore.db"),
            users: vec!["alice", "bob"],
            args: Vec::new(),
            env: Vec::new(),
            wrapper: Vec::new(),
            home,
        }
    }

    /// So many workers.
    pub fn workers(mut self, workers: usize) -> Options {
        self.workers = workers;
        self
    }

    /// More arguments.
    pub fn args(mut self, args: &[&str]) -> Options {
        self.args.extend(args.iter().map(|&arg| arg.to_owned()));
        self
    }

    /// One more variable of the environment.
    pub fn env(mut self, name: &str, value: &str) -> Options {
        self.env.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Other users, or none.
    pub fn users(mut self, users: &[&'static str]) -> Options {
        self.users = users.to_vec();
        self
    }

    fn command(&self) -> Command {
        let octostore = env!("CARGO_BIN_EXE_octostore").to_owned();
        let line: Vec<&String> = self.wrapper.iter().chain([&octostore]).collect();
        let mut command = Command::new(line[0]);
        command.args(&line[1..]);
        command.args([
            "serve",
            "--bind",
            &self.bind,
            "--driver",
            self.driver.flag(),
            "--workers",
            &self.workers.to_string(),
        ]);
        command.arg("--database").arg(&self.database).args(&self.args);
        clear_environment(&mut command).current_dir(&self.home.path);
        if !self.users.is_empty() {
            let tokens: Vec<String> = self.users.iter().map(|user| format!("{user}:{}", token_of(user))).collect();
            command.env("STATIC_TOKENS", tokens.join(","));
        }
        command.envs(self.env.iter().map(|(name, value)| (name, value)));
        command
    }
}

/// Leaves a command nothing of the environment but what the system needs: no setting of a developer's gets in.
pub fn clear_environment(command: &mut Command) -> &mut Command {
    command.env_clear();
    for name in ["PATH", "TMPDIR", "LLVM_PROFILE_FILE"] {
        if let Some(value) = std::env::var_os(name) {
            command.env(name, value);
        }
    }
    command
}

/// A server that did not start, and what it said.
#[derive(Debug)]
pub struct Failed {
    /// How it ended.
    pub status: ExitStatus,
    /// What it wrote to stdout.
    pub stdout: String,
    /// What it wrote to stderr.
    pub stderr: String,
}

impl Failed {
    /// The error: one line, after an exit that is a refusal and no accident.
    #[track_caller]
    pub fn error(&self) -> &str {
        let Failed { status, stderr, .. } = self;
        assert!(matches!(status.code(), Some(1 | 2)), "{status}: {stderr}");
        let errors: Vec<&str> = stderr.lines().filter(|line| line.starts_with("octostore: ")).collect();
        assert!(errors.len() == 1 && stderr.trim_end().ends_with(errors[0]), "one line, the last one: {stderr}");
        errors[0]
    }
}

/// A server that is running, until it is dropped.
#[derive(Debug)]
pub struct Server {
    /// Where it listens.
    pub address: SocketAddr,
    /// How it was started, and how [`Server::start_again`] starts it.
    pub options: Options,
    process: Process,
}

impl Server {
    /// A server with the defaults of [`Options::new`].
    #[track_caller]
    pub fn on(driver: Driver) -> Server {
        Server::start(Options::new(driver))
    }

    /// Starts a server, and waits until it listens.
    #[track_caller]
    pub fn start(options: Options) -> Server {
        match Server::try_start(options) {
            Ok(server) => server,
            Err(Failed { status, stdout, stderr }) => panic!("no start: {status}\n{stdout}{stderr}"),
        }
    }

    /// Starts a server that may refuse to.
    #[track_caller]
    pub fn try_start(options: Options) -> Result<Server, Failed> {
        let mut process = Process::spawn(options.command());
        match process.until_ready() {
            Some(address) => Ok(Server { address, options, process }),
            None => Err(process.failed()),
        }
    }

    /// Starts `octostore` with nothing typed, only with this environment. Of `options`, the home counts.
    #[track_caller]
    pub fn start_alone(options: Options, env: &[(&str, &str)]) -> Server {
        let mut command = Command::new(env!("CARGO_BIN_EXE_octostore"));
        clear_environment(&mut command).envs(env.iter().copied()).current_dir(&options.home.path);
        let mut process = Process::spawn(command);
        match process.until_ready() {
            Some(address) => Server { address, options, process },
            None => panic!("no start: {:?}", process.failed()),
        }
    }

    /// Starts a stopped server again on the same files, on any port, as `options` says now.
    #[track_caller]
    pub fn start_again(&mut self) {
        assert!(self.process.exited.is_some(), "it is still running");
        *self = Server::start(self.options.clone());
    }

    /// Stops it at once, as a crash would.
    pub fn kill9(&mut self) {
        self.process.kill9();
    }

    /// Sends a signal.
    pub fn signal(&self, signal: Signal) {
        kill_process(self.process.pid(), signal).expect("signal");
    }

    /// Asks it to stop, and waits until it has.
    #[track_caller]
    pub fn terminate(&mut self) -> ExitStatus {
        self.signal(Signal::TERM);
        self.wait()
    }

    /// Waits until it has ended by itself.
    #[track_caller]
    pub fn wait(&mut self) -> ExitStatus {
        self.process.wait()
    }

    /// Whether it has ended.
    pub fn has_ended(&mut self) -> bool {
        self.process.has_ended()
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.process.child.id()
    }

    /// What it has logged.
    pub fn log(&self) -> String {
        self.process.stderr.text()
    }

    /// What it has printed on stdout.
    pub fn stdout(&self) -> String {
        self.process.stdout.text()
    }

    /// A user of `options.users`, on a connection of its own.
    #[track_caller]
    pub fn user(&self, name: &str) -> User {
        User::connect(self.address, &token_of(name))
    }

    /// A connection, with nobody signed in.
    #[track_caller]
    pub fn connect(&self) -> Connection {
        Connection::open(self.address)
    }

    /// Asserts that it is well.
    #[track_caller]
    pub fn assert_healthy(&self) {
        let health = self.connect().call(&super::request("GET", "/health", &[], b"")).expect(200);
        assert_eq!(health["status"], "ok", "{health}");
    }
}

/// A child process whose output is read as it comes, and which does not outlive its test.
#[derive(Debug)]
pub struct Process {
    child: Child,
    stdout: Output,
    stderr: Output,
    exited: Option<ExitStatus>,
}

impl Process {
    /// Starts it.
    #[track_caller]
    pub fn spawn(mut command: Command) -> Process {
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("{command:?}: {error}"));
        let stdout = Output::of(child.stdout.take().expect("a pipe"));
        let stderr = Output::of(child.stderr.take().expect("a pipe"));
        Process { child, stdout, stderr, exited: None }
    }

    /// The address in the log, once it is there; None if the process has ended before.
    #[track_caller]
    fn until_ready(&mut self) -> Option<SocketAddr> {
        let start = Instant::now();
        loop {
            let ended = self.has_ended();
            if let Some(address) = listening_on(&self.stderr.text()) {
                return Some(address);
            }
            if ended {
                return None;
            }
            if start.elapsed() > PATIENCE {
                self.kill9();
                panic!("not ready after {PATIENCE:?}: {}", self.stderr.text());
            }
            std::thread::sleep(Duration::from_millis(2));
        }
    }

    /// How it ended and what it said.
    #[track_caller]
    pub fn failed(mut self) -> Failed {
        let status = self.wait();
        Failed { status, stdout: self.stdout.text(), stderr: self.stderr.text() }
    }

    fn pid(&self) -> Pid {
        Pid::from_child(&self.child)
    }

    fn has_ended(&mut self) -> bool {
        if self.exited.is_none()
            && let Some(status) = self.child.try_wait().expect("wait")
        {
            self.exited = Some(status);
            self.stdout.finish();
            self.stderr.finish();
        }
        self.exited.is_some()
    }

    /// Waits for its end.
    #[track_caller]
    pub fn wait(&mut self) -> ExitStatus {
        let start = Instant::now();
        while !self.has_ended() {
            if start.elapsed() > PATIENCE {
                self.kill9();
                panic!("still running after {PATIENCE:?}: {}", self.stderr.text());
            }
            std::thread::sleep(Duration::from_millis(2));
        }
        self.exited.expect("it has ended")
    }

    fn kill9(&mut self) {
        if self.exited.is_none() {
            let _ = self.child.kill();
            let status = self.wait();
            // It may have ended by itself just before; a test that cares asks for the status first.
            assert!(status.signal() == Some(9) || status.code().is_some());
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("--- the server's log\n{}---", self.stderr.text());
        }
        if self.exited.is_none() {
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }
}

fn listening_on(log: &str) -> Option<SocketAddr> {
    // Whole lines only: half of one may hold half of the port.
    let line = log.split_inclusive('\n').find(|line| line.ends_with('\n') && line.contains("listening on http://"))?;
    let (_, rest) = line.split_once("listening on http://")?;
    let end = rest.find(|c: char| !(c.is_ascii_hexdigit() || ".:[]".contains(c))).unwrap_or(rest.len());
    rest[..end].trim_end_matches(['.', ':']).parse().ok()
}

/// What a process writes, as far as it has written it.
#[derive(Debug)]
struct Output {
    text: Arc<Mutex<String>>,
    reader: Option<JoinHandle<()>>,
}

impl Output {
    fn of(pipe: impl Read + Send + 'static) -> Output {
        let text = Arc::new(Mutex::new(String::new()));
        let written = Arc::clone(&text);
        let reader = std::thread::spawn(move || {
            let mut lines = BufReader::new(pipe);
            let mut line = Vec::new();
            while lines.read_until(b'\n', &mut line).is_ok_and(|n| n > 0) {
                written.lock().expect("the text").push_str(&String::from_utf8_lossy(&line));
                line.clear();
            }
        });
        Output { text, reader: Some(reader) }
    }

    fn text(&self) -> String {
        self.text.lock().expect("the text").clone()
    }

    /// Waits for the rest, once the process has ended.
    fn finish(&mut self) {
        if let Some(reader) = self.reader.take() {
            reader.join().expect("the reader");
        }
    }
}

/// A path as text.
pub fn text(path: &Path) -> &str {
    path.to_str().expect("a path in UTF-8")
}
