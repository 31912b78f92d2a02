//! The server: started, listened to, signalled, killed, and started again.

use std::net::SocketAddr;
use std::process::{Command, ExitStatus};

use rustix::process::{Signal, kill_process};

use super::options::clear_environment;
use super::process::{Failed, Process};
use super::{Connection, Driver, Options, User, token_of};

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
        match process.find_in_log(listening_on) {
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
        match process.find_in_log(listening_on) {
            Some(address) => Server { address, options, process },
            None => panic!("no start: {:?}", process.failed()),
        }
    }

    /// Starts a stopped server again on the same files, on any port, as `options` says now.
    #[track_caller]
    pub fn start_again(&mut self) {
        assert!(self.process.has_ended(), "it is still running");
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
        self.process.pid().as_raw_nonzero().get().unsigned_abs()
    }

    /// What it has logged.
    pub fn log(&self) -> String {
        self.process.log()
    }

    /// What it has printed on stdout.
    pub fn stdout(&self) -> String {
        self.process.stdout()
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

fn listening_on(log: &str) -> Option<SocketAddr> {
    // Whole lines only: half of one may hold half of the port.
    let line = log.split_inclusive('\n').find(|line| line.ends_with('\n') && line.contains("listening on http://"))?;
    let (_, rest) = line.split_once("listening on http://")?;
    let end = rest.find(|c: char| !(c.is_ascii_hexdigit() || ".:[]".contains(c))).unwrap_or(rest.len());
    rest[..end].trim_end_matches(['.', ':']).parse().ok()
}
