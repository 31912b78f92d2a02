//! What watches a running server, on the main thread, which does nothing else while all is well.
//!
//! A worker that is stuck leaves its locks hanging for ever while the others go on: the process ends, and whoever
//! supervises it starts it again. A journal that is silent waits for its disk, which may answer yet: it is left to the
//! service manager, which gets a sign of life only while every part shows one, and ends the process when its patience
//! is over.

use std::io::{Write, stderr};
use std::process;

use super::notify::Manager;
use crate::clock::Duration;
use crate::logging::Log;
use crate::vitals::{LOOKS_PER_SECOND, Part};
use crate::worker::Shared;

/// How often the main thread looks after workers and journal.
pub const LOOK: Duration = Duration::from_millis(1000 / LOOKS_PER_SECOND as u64);
/// Looks without a sign of life after which a worker is given up: 10 s.
const STUCK_LOOKS: u32 = 10 * LOOKS_PER_SECOND;

/// The service manager, and what it has been told.
pub struct Watch {
    manager: Manager,
    /// The status line while all is well.
    status: String,
    stalled: Option<Part>,
}

impl Watch {
    /// Tells the service manager that the server is ready.
    pub fn begin(manager: Manager, status: String) -> Watch {
        manager.ready(&status);
        Watch { manager, status, stalled: None }
    }

    /// Tells the service manager that the server is about to end.
    pub fn stopping(&self) {
        self.manager.stopping();
    }

    /// Looks after the server once, and ends the process if a worker is stuck.
    pub fn look(&mut self, shared: &Shared, log: &Log) {
        let vitals = &shared.vitals;
        vitals.look(shared.intake.pulse(), shared.intake.is_waited_for());
        if let Some(Part::Worker(worker)) = vitals.silent_for(STUCK_LOOKS) {
            log.flush();
            let then = "the server stops, and can be started again";
            let _ = writeln!(stderr(), "octostore: worker {worker} is stuck; {then}");
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
