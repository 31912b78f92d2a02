//! Metrics: counters kept where they are counted, summed when somebody asks.
//!
//! **The cost.** A request must not pay for being counted. So every counter has one writer, the thread whose work
//! it counts, and is a plain load and a plain store of an atomic that no other core writes ([`Counter`]): no lock, no
//! read-modify-write, no cache line that travels until somebody looks. What can be told a few milliseconds
//! late is not even that: a worker keeps it in a cell, and its ticker publishes it. Nobody reads a clock for
//! a metric where one is not read anyway.
//!
//! **The page.** What has something to tell is a [`Source`]; the [`Registry`] asks each in turn to write its families on
//! a [`Page`], in Prometheus' text format. The page is the one wire format: the server gives it at `/metrics` and at
//! the admin socket, and `octostore status` reads it back with [`Reading`].
//!
//! **Labels** are names of this program: routes, outcomes, reasons. Nothing that a client sends becomes one, so the
//! number of series is fixed.

mod cell;
mod journal;
mod page;
mod reading;
mod worker;

pub use cell::{Counter, Distribution, Histogram, Moment, Scale};
pub use journal::{JournalFigures, JournalMetrics};
pub use page::{Family, Kind, Page};
pub use reading::Reading;
pub use worker::{Operation, Outcome, Route, WorkerFigures, WorkerMetrics, Workers};

use crate::sync::Arc;

/// Something that has figures to tell.
pub trait Source: Send + Sync {
    /// Writes its families. Any thread may ask, and the sources of a worker are asked on another's thread.
    fn collect(&self, page: &mut Page);
}

/// Everything that has figures to tell.
#[derive(Clone)]
pub struct Registry {
    sources: Arc<[Arc<dyn Source>]>,
}

impl Registry {
    /// A registry of these, in the order of the page.
    pub fn new(sources: Vec<Arc<dyn Source>>) -> Registry {
        Registry { sources: sources.into() }
    }

    /// The page now. It is as long as there are families, some tens of kilobytes, whatever the server has seen.
    pub fn page(&self) -> String {
        let mut page = Page::new();
        self.sources.iter().for_each(|source| source.collect(&mut page));
        page.into_text()
    }
}
