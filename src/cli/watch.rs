//! What watches a running server: its registry of figures, and the watchdog, on the main thread, which does nothing else
//! while all is well.
//!
//! A worker that is stuck leaves its locks hanging for ever while the others go on, and a disk that is stuck leaves all of
//! them. The service manager gets a sign of life only while every part shows one; and after `--watchdog` seconds the process
//! ends by itself, so that whoever supervises it can start it again. What was acknowledged is safe.

use std::io::{Write, stderr};
use std::process;
use std::sync::Arc;

use super::notify::Manager;
use crate::api::metrics::Access;
use crate::auth::{AccessToken, AuthError};
use crate::clock::Duration;
use crate::config::{MetricsAccess, Monitoring};
use crate::logging::Log;
use crate::metrics::{Kind, Page, Registry, Source};
use crate::process::ThisProcess;
use crate::vitals::{LOOKS_PER_SECOND, Part, Vitals};
use crate::worker::Shared;

/// How often the main thread looks after workers and journal.
pub const LOOK: Duration = Duration::from_millis(1000 / LOOKS_PER_SECOND as u64);

/// What does not change of a server, for its figures.
pub struct About {
    /// `io_uring` or `epoll`.
    pub driver: &'static str,
    /// The most locks of a user.
    pub max_locks_per_user: u32,
}

impl Source for About {
    fn collect(&self, page: &mut Page) {
        let mut family = page.family(Kind::Gauge, "octostore_build_info", "1, with what this server is and runs on.");
        family.sample(&[("version", env!("CARGO_PKG_VERSION")), ("driver", self.driver)], 1);
        page.gauge("octostore_locks_per_user_limit", "The most locks that a user may hold.", self.max_locks_per_user);
    }
}

/// All figures of a server: of these parts, and of the process.
pub fn registry(about: About, parts: Vec<Arc<dyn Source>>) -> Registry {
    let own: [Arc<dyn Source>; 2] = [Arc::new(about), Arc::new(ThisProcess::started_just_now())];
    Registry::new(own.into_iter().chain(parts).collect())
}

/// Who may see them.
///
/// # Errors
/// The token cannot be had.
pub fn access(settings: &Monitoring) -> Result<Access, AuthError> {
    let token = settings.metrics_token.as_ref().map(AccessToken::configured).transpose()?;
    Ok(match (settings.metrics_access, token) {
        (MetricsAccess::Off, _) => Access::Off,
        (MetricsAccess::Token, Some(token)) => Access::Token(token),
        (MetricsAccess::Token, None) => unreachable!("the settings were checked"),
        (MetricsAccess::Loopback, token) => Access::Loopback(token),
    })
}

/// The service manager, and what it has been told.
pub struct Watch {
    manager: Manager,
    /// The status line while all is well.
    status: String,
    stalled: Option<Part>,
    /// How long a part may be stuck before the process ends.
    watchdog_s: Option<u32>,
}

impl Watch {
    /// Tells the service manager that the server is ready.
    pub fn begin(manager: Manager, status: String, watchdog_s: Option<u32>) -> Watch {
        manager.ready(&status);
        Watch { manager, status, stalled: None, watchdog_s }
    }

    /// Tells the service manager that the server is about to end.
    pub fn stopping(&self) {
        self.manager.stopping();
    }

    /// Looks after the server once, and ends the process if a part of it has been stuck for too long.
    pub fn look(&mut self, shared: &Shared, log: &Log) {
        let vitals = &shared.vitals;
        vitals.look(shared.intake.pulse(), shared.intake.is_waited_for());
        if let Some(seconds) = self.watchdog_s
            && let Some(part) = vitals.silent_for(seconds * LOOKS_PER_SECOND)
        {
            log.flush();
            let what = match part {
                Part::Worker(worker) => format!("worker {worker} is stuck"),
                Part::Journal => "the disk is stuck: a commit has not come to its end".to_owned(),
            };
            let then = "the server stops, and can be started again; everything that was acknowledged is safe";
            let _ = writeln!(stderr(), "octostore: {what} for {seconds} seconds (--watchdog); {then}");
            process::abort();
        }
        let stalled = vitals.stalled();
        if stalled.is_none() {
            self.manager.alive();
        }
        if stalled != self.stalled {
            self.report(stalled);
        }
        self.stalled = stalled;
    }

    fn report(&self, stalled: Option<Part>) {
        let text = match stalled {
            None => {
                tracing::info!("every thread shows life again");
                return self.manager.status(&self.status);
            }
            Some(Part::Worker(worker)) => format!("worker {worker} has shown no life for two seconds"),
            Some(Part::Journal) => "the journal has shown no life for two seconds: does the disk answer?".to_owned(),
        };
        tracing::warn!("{text}");
        self.manager.status(&text);
    }
}

impl Source for Vitals {
    fn collect(&self, page: &mut Page) {
        let (workers, journal) = self.count_stalled();
        let mut family = page.family(
            Kind::Gauge,
            "octostore_stalled",
            "Parts of the server without a sign of life for 2 seconds: workers, and the journal (its disk).",
        );
        family.sample(&[("part", "worker")], workers);
        family.sample(&[("part", "journal")], u8::from(journal));
    }
}
