//! What one worker has done, and the sum over all workers.
//!
//! Requests are counted by the worker that has the connection, when their answers are written; locks by the worker
//! that owns them. What is in [`WorkerFigures`] the ticker publishes, 40 times a second.

use super::Source;
use super::cell::{Counter, Distribution, Histogram};
use super::page::{Kind, Page};
use crate::sync::{Arc, CachePadded};

/// Defines an enum of labels: its variants, in order, and what each is called on the page.
macro_rules! labels {
    ($(#[$meta:meta])* $name:ident { $($(#[$variant_meta:meta])* $variant:ident = $label:literal,)* }) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum $name { $($(#[$variant_meta])* $variant,)* }

        impl $name {
            /// All of them.
            pub const ALL: &[$name] = &[$($name::$variant,)*];

            /// What it is called.
            pub const fn label(self) -> &'static str {
                match self { $($name::$variant => $label,)* }
            }
        }
    };
}

labels! {
    /// Where a request goes.
    Route {
        /// Acquire.
        Acquire = "/locks/{name}/acquire",
        /// Renew.
        Renew = "/locks/{name}/renew",
        /// Release.
        Release = "/locks/{name}/release",
        /// Status.
        Status = "/locks/{name}",
        /// List.
        List = "/locks",
        /// Health.
        Health = "/health",
        /// This page.
        Metrics = "/metrics",
        /// The home page, the docs, and what belongs to them.
        Pages = "pages",
        /// Signing in, and changing tokens.
        Auth = "/auth",
        /// Nowhere: no such path, or bytes that are no request.
        None = "none",
    }
}

labels! {
    /// What is done to locks.
    Operation {
        /// Acquire.
        Acquire = "acquire",
        /// Renew.
        Renew = "renew",
        /// Release.
        Release = "release",
        /// Status.
        Status = "status",
        /// List.
        List = "list",
    }
}

labels! {
    /// What has become of it.
    Outcome {
        /// The caller's lease holds the lock.
        Acquired = "acquired",
        /// Somebody's lease holds it.
        Held = "held",
        /// The lease runs on.
        Renewed = "renewed",
        /// The lock is free again.
        Released = "released",
        /// Nobody holds it.
        Free = "free",
        /// The list was given.
        Listed = "listed",
        /// Renew, release: nobody holds it.
        NotFound = "not_found",
        /// Renew, release: another lease holds it.
        NotCurrent = "not_current",
        /// Acquire: the user holds as many as a user may, or there are no tokens any more.
        LimitReached = "limit_reached",
        /// Acquire: nothing is granted yet after a restore.
        Grace = "grace",
        /// Too much waits.
        Overloaded = "overloaded",
        /// The journal has failed.
        JournalFailed = "journal_failed",
    }
}

/// The outcomes that are shown before they have happened, so that a rate of them begins at 0.
const USUAL: [(Operation, Outcome); 13] = [
    (Operation::Acquire, Outcome::Acquired),
    (Operation::Acquire, Outcome::Held),
    (Operation::Acquire, Outcome::LimitReached),
    (Operation::Acquire, Outcome::Overloaded),
    (Operation::Renew, Outcome::Renewed),
    (Operation::Renew, Outcome::NotFound),
    (Operation::Renew, Outcome::NotCurrent),
    (Operation::Release, Outcome::Released),
    (Operation::Release, Outcome::NotFound),
    (Operation::Release, Outcome::NotCurrent),
    (Operation::Status, Outcome::Held),
    (Operation::Status, Outcome::Free),
    (Operation::List, Outcome::Listed),
];

/// The statuses that are answered, but for the one place for all others.
const STATUSES: [u16; 22] =
    [200, 302, 303, 304, 400, 401, 403, 404, 405, 408, 409, 413, 414, 417, 429, 431, 500, 501, 502, 503, 504, 505];
/// Their labels, and that of the others.
const STATUS_LABELS: [&str; STATUSES.len() + 1] = [
    "200", "302", "303", "304", "400", "401", "403", "404", "405", "408", "409", "413", "414", "417", "429", "431",
    "500", "501", "502", "503", "504", "505", "other",
];
/// The codes of errors, but for the one place for all others.
const CODES: [&str; 26] = [
    "authentication_failed",
    "authentication_required",
    "bad_request",
    "expectation_failed",
    "forbidden",
    "grace_period",
    "headers_too_large",
    "internal_error",
    "invalid_json",
    "invalid_lease_id",
    "invalid_lock_name",
    "invalid_metadata",
    "invalid_ttl",
    "lease_not_current",
    "lock_limit_exceeded",
    "lock_not_found",
    "method_not_allowed",
    "not_found",
    "not_implemented",
    "overloaded",
    "payload_too_large",
    "rate_limited",
    "request_timeout",
    "upstream_unavailable",
    "uri_too_long",
    "version_not_supported",
];
/// What connections are doing, as the label says it.
const STATES: [&str; 4] = ["working", "reading", "writing", "lingering"];
/// What was full when a command was refused, as the label says it.
const BOUNDS: [&str; 2] = ["outstanding_asks", "open_batch"];

/// One worker's counters. All are written by its own thread.
#[derive(Debug)]
pub struct WorkerMetrics {
    requests: [[Counter; STATUS_LABELS.len()]; Route::ALL.len()],
    operations: [[Counter; Outcome::ALL.len()]; Operation::ALL.len()],
    durations: [Histogram; Operation::ALL.len()],
    commit_waits: [Histogram; Operation::ALL.len()],
    refusals: [Counter; CODES.len() + 1],
    held: Counter,
    expired: Counter,
    handoffs: Counter,
    overloads: [Counter; BOUNDS.len()],
    connections: [Counter; STATES.len()],
}

/// What a worker's ticker publishes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct WorkerFigures {
    /// Locks held, of those it owns.
    pub held: u64,
    /// Leases of them that have run out.
    pub expired: u64,
    /// Requests that it has handed to other workers.
    pub handoffs: u64,
    /// Commands that it has refused because it had too many asks outstanding.
    pub outstanding_full: u64,
    /// Commands that it has refused because its open batch was full: the disk does not keep up.
    pub batch_full: u64,
}

impl Default for WorkerMetrics {
    fn default() -> Self {
        WorkerMetrics {
            requests: Default::default(),
            operations: Default::default(),
            durations: std::array::from_fn(|_| Histogram::of_seconds()),
            commit_waits: std::array::from_fn(|_| Histogram::of_seconds()),
            refusals: Default::default(),
            held: Counter::default(),
            expired: Counter::default(),
            handoffs: Counter::default(),
            overloads: Default::default(),
            connections: Default::default(),
        }
    }
}

impl WorkerMetrics {
    /// Counts an answer as it is written.
    pub fn answered(&self, route: Route, status: u16) {
        let place = match status {
            200 => 0, // nearly all
            _ => STATUSES.iter().position(|known| *known == status).unwrap_or(STATUSES.len()),
        };
        self.requests[route as usize][place].add(1);
    }

    /// Counts an operation that has come to its end, from its request read to its answer ready; and how
    /// long it waited for a commit, if it did.
    pub fn operated(&self, operation: Operation, outcome: Outcome, took_ns: u64, commit_wait_ns: Option<u64>) {
        self.operations[operation as usize][outcome as usize].add(1);
        self.durations[operation as usize].observe(took_ns);
        if let Some(wait_ns) = commit_wait_ns {
            self.commit_waits[operation as usize].observe(wait_ns);
        }
    }

    /// Counts an error by its code.
    pub fn refused(&self, code: &str) {
        self.refusals[CODES.iter().position(|known| *known == code).unwrap_or(CODES.len())].add(1);
    }

    /// Publishes what the worker keeps elsewhere.
    pub fn publish(&self, figures: &WorkerFigures) {
        self.held.set(figures.held);
        self.expired.set(figures.expired);
        self.handoffs.set(figures.handoffs);
        self.overloads[0].set(figures.outstanding_full);
        self.overloads[1].set(figures.batch_full);
    }

    /// Publishes how many of its connections are being worked for, read from, written to, and left.
    pub fn connections(&self, by_state: [usize; 4]) {
        self.connections.iter().zip(by_state).for_each(|(gauge, now)| gauge.set(now as u64));
    }
}

/// The counters of all workers, each on cache lines of its own.
#[derive(Debug)]
pub struct Workers(Box<[Arc<CachePadded<WorkerMetrics>>]>);

impl Workers {
    /// Counters for so many.
    pub fn new(workers: usize) -> Workers {
        Workers((0..workers).map(|_| Arc::default()).collect())
    }

    /// Those of one.
    pub fn of(&self, worker: usize) -> Arc<CachePadded<WorkerMetrics>> {
        self.0[worker].clone()
    }

    fn sum(&self, counter: impl Fn(&WorkerMetrics) -> &Counter) -> u64 {
        self.0.iter().map(|worker| counter(worker).get()).sum()
    }

    fn requests(&self, page: &mut Page) {
        let mut family = page.family(
            Kind::Counter,
            "octostore_http_requests_total",
            "Requests answered, by route and status; route none: no such path, or bytes that are no request.",
        );
        for &route in Route::ALL {
            for (place, status) in STATUS_LABELS.into_iter().enumerate() {
                let count = self.sum(|worker| &worker.requests[route as usize][place]);
                if count > 0 || place == 0 {
                    family.sample(&[("route", route.label()), ("status", status)], count);
                }
            }
        }
        let mut family = page.family(
            Kind::Counter,
            "octostore_refusals_total",
            "Requests answered with an error, by its code; reason other: a code without a place of its own.",
        );
        for (place, code) in CODES.into_iter().chain(["other"]).enumerate() {
            family.sample(&[("reason", code)], self.sum(|worker| &worker.refusals[place]));
        }
    }

    fn operations(&self, page: &mut Page) {
        let mut family = page.family(
            Kind::Counter,
            "octostore_operations_total",
            "Operations on locks, by outcome; operation expire: leases that have run out.",
        );
        for &operation in Operation::ALL {
            for &outcome in Outcome::ALL {
                let count = self.sum(|worker| &worker.operations[operation as usize][outcome as usize]);
                if count > 0 || USUAL.contains(&(operation, outcome)) {
                    family.sample(&[("operation", operation.label()), ("outcome", outcome.label())], count);
                }
            }
        }
        family.sample(&[("operation", "expire"), ("outcome", "expired")], self.sum(|worker| &worker.expired));
        page.gauge("octostore_locks_held", "Locks that are held now.", self.sum(|worker| &worker.held));
        self.times(
            page,
            "octostore_operation_duration_seconds",
            "Time from a request read to its answer ready to be written.",
            |worker| &worker.durations,
        );
        self.times(
            page,
            "octostore_operation_commit_wait_seconds",
            "The part of it from the operation applied to what it rests on committed, of those that had to wait.",
            |worker| &worker.commit_waits,
        );
    }

    fn times(
        &self,
        page: &mut Page,
        name: &'static str,
        help: &str,
        of: impl Fn(&WorkerMetrics) -> &[Histogram; Operation::ALL.len()],
    ) {
        let mut family = page.family(Kind::Histogram, name, help);
        for &operation in Operation::ALL {
            let all = Distribution::of(self.0.iter().map(|worker| &of(worker)[operation as usize]));
            family.distribution(&[("operation", operation.label())], &all);
        }
    }
}

impl Source for Workers {
    fn collect(&self, page: &mut Page) {
        self.requests(page);
        self.operations(page);
        page.counter(
            "octostore_handoffs_total",
            "Requests handed from the worker that has the connection to the one that owns the lock.",
            self.sum(|worker| &worker.handoffs),
        );
        let mut family = page.family(
            Kind::Counter,
            "octostore_overloads_total",
            "Commands refused with 503 by a worker itself, by what was full.",
        );
        for (place, bound) in BOUNDS.into_iter().enumerate() {
            family.sample(&[("bound", bound)], self.sum(|worker| &worker.overloads[place]));
        }
        let mut family = page.family(Kind::Gauge, "octostore_connections", "Open connections, by what they are doing.");
        for (place, state) in STATES.into_iter().enumerate() {
            family.sample(&[("state", state)], self.sum(|worker| &worker.connections[place]));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_workers_count_apart_is_shown_as_one_sum() {
        let workers = Workers::new(2);
        workers.of(0).answered(Route::Acquire, 200);
        workers.of(1).answered(Route::Acquire, 200);
        workers.of(1).answered(Route::None, 418);
        workers.of(0).operated(Operation::Acquire, Outcome::Acquired, 1_000_000, Some(900_000));
        workers.of(1).refused("overloaded");
        workers.of(1).refused("a new one");
        workers.of(0).publish(&WorkerFigures { held: 2, expired: 3, ..WorkerFigures::default() });
        workers.of(1).publish(&WorkerFigures { held: 5, handoffs: 1, batch_full: 1, ..WorkerFigures::default() });
        let mut page = Page::new();
        workers.collect(&mut page);
        let text = page.into_text();
        for line in [
            "octostore_http_requests_total{route=\"/locks/{name}/acquire\",status=\"200\"} 2",
            "octostore_http_requests_total{route=\"none\",status=\"other\"} 1",
            "octostore_operations_total{operation=\"acquire\",outcome=\"acquired\"} 1",
            "octostore_operations_total{operation=\"expire\",outcome=\"expired\"} 3",
            "octostore_operation_duration_seconds_sum{operation=\"acquire\"} 0.001",
            "octostore_operation_commit_wait_seconds_count{operation=\"acquire\"} 1",
            "octostore_refusals_total{reason=\"overloaded\"} 1",
            "octostore_refusals_total{reason=\"other\"} 1",
            "octostore_locks_held 7",
            "octostore_handoffs_total 1",
            "octostore_overloads_total{bound=\"open_batch\"} 1",
        ] {
            assert!(text.lines().any(|shown| shown == line), "{line}: {text}");
        }
    }

    #[test]
    fn every_status_has_its_label() {
        assert!(STATUSES.iter().zip(STATUS_LABELS).all(|(status, label)| status.to_string() == label));
    }
}
