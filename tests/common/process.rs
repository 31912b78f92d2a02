//! A child process whose output is read as it comes.

use std::io::{BufRead, BufReader, Read};
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rustix::process::Pid;

use super::PATIENCE;

/// A process that has ended, and what it said.
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

    /// What `find` finds in stderr, as soon as it is there; None if the process has ended without.
    #[track_caller]
    pub fn find_in_log<T>(&mut self, find: impl Fn(&str) -> Option<T>) -> Option<T> {
        self.look(|process| find(&process.log()))
    }

    /// As [`Process::find_in_log`], in stdout.
    #[track_caller]
    pub fn find_in_output<T>(&mut self, find: impl Fn(&str) -> Option<T>) -> Option<T> {
        self.look(|process| find(&process.stdout()))
    }

    #[track_caller]
    fn look<T>(&mut self, find: impl Fn(&Process) -> Option<T>) -> Option<T> {
        let start = Instant::now();
        loop {
            let ended = self.has_ended();
            let found = find(self);
            if found.is_some() || ended {
                return found;
            }
            if start.elapsed() > PATIENCE {
                self.kill9();
                panic!("nothing found after {PATIENCE:?}: {}", self.log());
            }
            std::thread::sleep(Duration::from_millis(2));
        }
    }

    /// What it has written to stderr.
    pub fn log(&self) -> String {
        self.stderr.text()
    }

    /// What it has written to stdout.
    pub fn stdout(&self) -> String {
        self.stdout.text()
    }

    /// How it ended and what it said.
    #[track_caller]
    pub fn failed(mut self) -> Failed {
        let status = self.wait();
        Failed { status, stdout: self.stdout.text(), stderr: self.stderr.text() }
    }

    /// Its process id.
    pub fn pid(&self) -> Pid {
        Pid::from_child(&self.child)
    }

    /// Whether it has ended.
    pub fn has_ended(&mut self) -> bool {
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

    /// Stops it at once, as a crash would.
    pub fn kill9(&mut self) {
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
