//! How to start a server, and where: each test has a directory of its own.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

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

    /// The system call in which a worker waits.
    fn wait(self) -> &'static str {
        if self == Driver::Epoll { "epoll_wait" } else { "io_uring_enter" }
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

    /// Runs the server under strace, which breaks this system call by a rule of its `inject=`, for example
    /// `delay_exit=5000000:when=61+`. Calls are counted per thread.
    pub fn inject(mut self, call: &str, rule: &str) -> Options {
        let (trace, inject) = (format!("trace={call}"), format!("inject={call}:{rule}"));
        self.wrapper = super::tools::strace(&self.home.file("trace"), &["-e", &trace, "-e", &inject]);
        self
    }

    /// The same, of the call in which a worker waits for I/O.
    pub fn inject_in_waits(self, rule: &str) -> Options {
        let wait = self.driver.wait();
        self.inject(wait, rule)
    }

    /// How many calls [`Options::inject`] has held up so far.
    pub fn delayed(&self) -> usize {
        fs::read_to_string(self.home.file("trace")).map_or(0, |trace| trace.matches("(DELAYED)").count())
    }

    /// Other users, or none.
    pub fn users(mut self, users: &[&'static str]) -> Options {
        self.users = users.to_vec();
        self
    }

    /// The command that starts it.
    pub fn command(&self) -> Command {
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

/// A path as text.
pub fn text(path: &Path) -> &str {
    path.to_str().expect("a path in UTF-8")
}
