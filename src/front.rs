//! The front: what all connections of one worker share, besides the hub.

use std::cell::{Cell, Ref, RefCell};
use std::net::IpAddr;
use std::rc::Rc;
use std::sync::Arc;

use crate::address::client_behind;
use crate::api::View;
use crate::api::error::{self, ApiError};
use crate::api::health::Health;
use crate::auth::{Failures, Principals, SignIn};
use crate::clock;
use crate::config::Timeouts;
use crate::http::{Request, RequestId, RequestIds, http_date};
use crate::hub::Hub;
use crate::mesh::AccountNews;
use crate::registrar::Desk;

/// While more bytes than this are being written, no more lists are made: theirs are the answers that can be large.
const WRITING_BYTES: usize = 32 << 20;
/// Buffers kept for reuse, as many as connections may write at once after a commit; the largest that is kept, and what
/// a new one begins with: room for one answer.
const SPARES: usize = 512;
const SPARE_BYTES: usize = 16 << 10;
const BUFFER_BYTES: usize = 512;

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
    /// Bytes that are being written, to all clients together.
    writing: Cell<usize>,
    principals: RefCell<Principals>,
    failures: Arc<Failures>,
    sign_ins: Arc<Failures>,
    trusted_proxies: Arc<[IpAddr]>,
    ids: RefCell<RequestIds>,
    date: RefCell<Rc<str>>,
    /// The wall clock less the clock of the deadlines, wrapping; a few milliseconds old.
    wall_offset_ns: Cell<u64>,
    now_ns: Cell<u64>,
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
    pub fn new(hub: Rc<Hub>, doors: Doors, timeouts: Timeouts, ids: RequestIds, about: Health) -> Front {
        let Doors { principals, sign_in, desk, failures, sign_ins, trusted_proxies } = doors;
        let front = Front {
            hub,
            timeouts,
            sign_in,
            desk,
            failures,
            sign_ins,
            trusted_proxies,
            writing: Cell::new(0),
            principals: RefCell::new(principals),
            ids: RefCell::new(ids),
            date: RefCell::new(Rc::from("")),
            wall_offset_ns: Cell::new(0),
            now_ns: Cell::new(0),
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
            self.date.replace(http_date(wall_s).into());
        }
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

    fn client(&self, request: &Request<'_>, peer: IpAddr) -> IpAddr {
        client_behind(peer, &self.trusted_proxies, request.fields.named("X-Forwarded-For"))
    }

    /// What an answer needs to be written at `now_ns`.
    pub fn view<'a>(&self, now_ns: u64, principals: &'a Principals) -> View<'a> {
        View { now_ns, wall_ns: now_ns.wrapping_add(self.wall_offset_ns.get()), principals }
    }

    /// The id of one more request.
    pub fn request_id(&self) -> RequestId {
        self.ids.borrow_mut().mint()
    }

    /// The Date header's value.
    pub fn date(&self) -> Rc<str> {
        self.date.borrow().clone()
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
