//! The front: what all connections of one worker share, besides the hub.

use std::cell::{Cell, Ref, RefCell};
use std::net::IpAddr;
use std::rc::Rc;
use std::sync::Arc;

use crate::address::client_behind;
use crate::api::View;
use crate::api::error::{self, ApiError};
use crate::api::health::Health;
use crate::api::metrics::Access;
use crate::auth::{Failures, Principals, SignIn};
use crate::clock;
use crate::config::Timeouts;
use crate::http::{Date, Request, RequestId, RequestIds};
use crate::hub::Hub;
use crate::mesh::AccountNews;
use crate::metrics::{Registry, WorkerMetrics};
use crate::registrar::Desk;
use crate::sync::CachePadded;
use crate::vitals::Vitals;

/// While more bytes than this are being written, no more lists are made: theirs are the answers that can be large.
const WRITING_BYTES: usize = 32 << 20;
/// Buffers kept for reuse, as many as connections may write at once after a commit; the largest that is kept, and what
/// a new one begins with: room for one answer.
const SPARES: usize = 512;
const SPARE_BYTES: usize = 16 << 10;
const BUFFER_BYTES: usize = 512;
/// Answers of one turn that share a look at the clock, for their metrics: some microseconds' worth.
const CLOCK_USES: u32 = 8;

/// What a front needs to count, and to tell how the server is.
pub struct Watch {
    /// The worker's own counters.
    pub metrics: Arc<CachePadded<WorkerMetrics>>,
    /// Everything that has figures to tell.
    pub registry: Registry,
    /// Who may see them.
    pub access: Arc<Access>,
    /// The signs of life of all workers and of the journal.
    pub vitals: Arc<Vitals>,
}

/// A look at the clock that may be used again.
#[derive(Clone, Copy, Default)]
struct AboutNow {
    ns: u64,
    /// The turn in which it was.
    turn: u64,
    /// How often it may still be used.
    uses: u32,
}

/// One worker's side towards its clients.
pub struct Front {
    /// Where requests go.
    pub hub: Rc<Hub>,
    /// How long clients may take.
    pub timeouts: Timeouts,
    /// Signing in with GitHub, if it is set up.
    pub sign_in: Option<Arc<SignIn>>,
    /// Where requests for tokens go.
    pub desk: Desk,
    /// What is counted.
    pub watch: Watch,
    /// Bytes that are being written, to all clients together.
    writing: Cell<usize>,
    principals: RefCell<Principals>,
    failures: Arc<Failures>,
    sign_ins: Arc<Failures>,
    trusted_proxies: Arc<[IpAddr]>,
    ids: RefCell<RequestIds>,
    date: Cell<Date>,
    /// The wall clock less the clock of the deadlines, wrapping; a few milliseconds old.
    wall_offset_ns: Cell<u64>,
    now_ns: Cell<u64>,
    about_now: Cell<AboutNow>,
    date_s: Cell<u64>,
    about: Health,
    started_ns: u64,
    spares: RefCell<Vec<Vec<u8>>>,
}

/// How one comes in: who is known, and what becomes of those who are not.
#[derive(Clone)]
pub struct Doors {
    /// The users.
    pub principals: Principals,
    /// Signing in with GitHub, if it is set up.
    pub sign_in: Option<Arc<SignIn>>,
    /// Where requests for tokens go.
    pub desk: Desk,
    /// Who has failed.
    pub failures: Arc<Failures>,
    /// Who begins and ends sign-ins, however they go.
    pub sign_ins: Arc<Failures>,
    /// Whose word on addresses counts.
    pub trusted_proxies: Arc<[IpAddr]>,
}

impl Front {
    /// The front of the worker that `ids` belongs to. `about` says what does not change of the server's health.
    pub fn new(hub: Rc<Hub>, doors: Doors, timeouts: Timeouts, watch: Watch, ids: RequestIds, about: Health) -> Front {
        let Doors { principals, sign_in, desk, failures, sign_ins, trusted_proxies } = doors;
        let front = Front {
            hub,
            timeouts,
            watch,
            sign_in,
            desk,
            failures,
            sign_ins,
            trusted_proxies,
            writing: Cell::new(0),
            principals: RefCell::new(principals),
            ids: RefCell::new(ids),
            date: Cell::new(Date::at(0)),
            wall_offset_ns: Cell::new(0),
            now_ns: Cell::new(0),
            about_now: Cell::default(),
            date_s: Cell::new(u64::MAX),
            about,
            started_ns: clock::now_ns(),
            spares: RefCell::default(),
        };
        front.look_at_the_clocks();
        front
    }

    /// Reads the clocks for everything that may be some milliseconds old: dates, and the deadlines of connections.
    pub fn look_at_the_clocks(&self) {
        let (now_ns, wall_ns) = (clock::now_ns(), clock::wall_ns());
        self.now_ns.set(now_ns);
        self.wall_offset_ns.set(wall_ns.wrapping_sub(now_ns));
        let wall_s = wall_ns / 1_000_000_000;
        if self.date_s.replace(wall_s) != wall_s {
            self.date.set(Date::at(wall_s));
        }
    }

    /// Now. Deadlines of leases rest on it.
    pub fn read_the_clock(&self) -> u64 {
        let now_ns = clock::now_ns();
        self.about_now.set(AboutNow { ns: now_ns, turn: self.hub.turns(), uses: CLOCK_USES });
        now_ns
    }

    /// Now, as of the last look at the clock in this turn: for metrics, so that answers that go out together share a look.
    pub fn about_now_ns(&self) -> u64 {
        let AboutNow { ns, turn, uses } = self.about_now.get();
        if uses == 0 || turn != self.hub.turns() {
            return self.read_the_clock();
        }
        self.about_now.set(AboutNow { ns, turn, uses: uses - 1 });
        ns
    }

    /// Now, some milliseconds old: for the deadlines of connections, never for one of a lease.
    pub fn recent_ns(&self) -> u64 {
        self.now_ns.get()
    }

    /// So many bytes more are being written.
    pub fn begin_writing(&self, bytes: usize) {
        self.writing.set(self.writing.get() + bytes);
    }

    /// They have been taken, or given up.
    pub fn end_writing(&self, bytes: usize) {
        self.writing.set(self.writing.get() - bytes);
    }

    /// Whether clients take their answers so slowly that a large one should wait.
    pub fn is_behind_with_writing(&self) -> bool {
        self.writing.get() > WRITING_BYTES
    }

    /// This worker's accounts and their tokens. Not to be kept over an await.
    pub fn principals(&self) -> Ref<'_, Principals> {
        self.principals.borrow()
    }

    /// Acts on a change of an account: from here on this worker's requests meet it.
    pub fn hear(&self, news: &AccountNews) {
        self.principals.borrow_mut().apply(&news.account, &news.change);
        let _ = news.heard.send(()); // whoever waited may have given up
    }

    /// The address of the client that a request of `peer` comes from.
    pub fn client(&self, request: &Request<'_>, peer: IpAddr) -> IpAddr {
        client_behind(peer, &self.trusted_proxies, request.fields.named("X-Forwarded-For"))
    }

    /// Whether a request comes from a client on this machine: over the loopback, and from no proxy there that says so or is
    /// known. One that says nothing cannot be told from a client.
    pub fn is_local(&self, request: &Request<'_>, peer: IpAddr) -> bool {
        let peer = peer.to_canonical();
        let forwarded = ["X-Forwarded-For", "Forwarded", "Via"];
        peer.is_loopback()
            && !self.trusted_proxies.contains(&peer)
            && forwarded.iter().all(|name| request.fields.named(name).next().is_none())
    }

    /// The error as `peer` is told it: who presents too many tokens that are nobody's is told 429.
    pub fn counted(&self, now_ns: u64, error: ApiError, request: &Request<'_>, peer: IpAddr) -> ApiError {
        if error.code != "authentication_failed" {
            return error;
        }
        self.failures.count(now_ns, self.client(request, peer)).map_or(error, error::rate_limited)
    }

    /// Counts one step of a sign-in of `peer`: nobody may crowd out the others.
    ///
    /// # Errors
    /// Its address has made too many in this minute.
    pub fn count_sign_in(&self, now_ns: u64, request: &Request<'_>, peer: IpAddr) -> Result<(), ApiError> {
        let left_s = self.sign_ins.count(now_ns, self.client(request, peer));
        left_s.map_or(Ok(()), |left_s| Err(error::too_many_sign_ins(left_s)))
    }

    /// What an answer needs to be written at `now_ns`.
    pub fn view<'a>(&self, now_ns: u64, principals: &'a Principals) -> View<'a> {
        View { now_ns, wall_ns: now_ns.wrapping_add(self.wall_offset_ns.get()), principals }
    }

    /// The id of one more request.
    pub fn request_id(&self) -> RequestId {
        self.ids.borrow_mut().mint()
    }

    /// The Date header of this second.
    pub fn date(&self) -> Date {
        self.date.get()
    }

    /// What a healthy server says.
    pub fn health(&self) -> Health {
        let uptime_seconds = (clock::now_ns() - self.started_ns) / 1_000_000_000;
        Health { uptime_seconds, ..self.about }
    }

    /// An empty buffer, perhaps one that was used before: an idle connection keeps none.
    pub fn buffer(&self) -> Vec<u8> {
        self.spares.borrow_mut().pop().unwrap_or_else(|| Vec::with_capacity(BUFFER_BYTES))
    }

    /// Takes a buffer back.
    pub fn recycle(&self, mut buffer: Vec<u8>) {
        let mut spares = self.spares.borrow_mut();
        if spares.len() < SPARES && (1..=SPARE_BYTES).contains(&buffer.capacity()) {
            buffer.clear();
            spares.push(buffer);
        }
    }
}
