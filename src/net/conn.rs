//! One client's connection: bytes in, requests out, answers in order, bytes back.
//!
//! A connection goes round: it takes every whole request from what it has read (at most
//! [`MAX_PIPELINED`]), sends each on its way at once, waits for their answers in order, writes those that are ready
//! in one write, and only then reads on. So requests on one name take effect in order (they travel
//! the same queue), a slow client holds up nobody but itself, and no read is ever cancelled.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::rc::Rc;
use std::task::{Context, Poll};

use monoio::buf::IoBufMut;
use monoio::io::{AsyncReadRent, AsyncWriteRent, AsyncWriteRentExt};
use monoio::net::TcpStream;
use monoio::time;

use super::clients::Registered;
use crate::api::error::{self, ApiError};
use crate::api::locks::{self, Asked};
use crate::api::{self, Answer, Call};
use crate::clock::{self, Duration};
use crate::front::Front;
use crate::http::limits::{MAX_LINGER_BYTES, MAX_PIPELINED, MAX_REQUEST_BYTES, READ_BUFFER_BYTES};
use crate::http::{self, CONTINUE, Head, Phase, Request, RequestId, Step};
use crate::hub::{Pending, Unavailable};
use crate::lease::{Command, UserId};
use crate::mesh::{Answered, Query};
use crate::shard::Page;

/// How long a commit may take before `/health` says that the server is not well.
const PROBE_TIMEOUT: Duration = Duration::from_secs(2);
/// How long a client may take to hear the last answer before its connection is closed.
const LINGER_NS: u64 = 1_000_000_000;

/// A connection.
pub struct Conn {
    // Dropped in this order: the entry before the socket.
    entry: Registered,
    stream: TcpStream,
    front: Rc<Front>,
    unread: Vec<u8>,
    flights: VecDeque<Flight>,
    phase: Phase,
    closing: bool,
}

/// A request whose answer has not been written.
struct Flight {
    request_id: RequestId,
    keep_alive: bool,
    head_only: bool,
    stage: Stage,
}

enum Stage {
    /// Refused before it came near a lock.
    Failed(ApiError),
    /// One operation, on its way.
    Lock { asked: Asked, pending: Pending },
    /// A list. Its shares are asked for when all before it have been answered, and nothing after it starts before.
    List { user: UserId, query: Query, shares: Vec<Pending>, pages: Vec<Page> },
    /// A question after the server's health, likewise; and what has been found.
    Health(Option<Result<(), ApiError>>),
}

impl Conn {
    /// A connection that was accepted just now.
    pub fn new(stream: TcpStream, entry: Registered, front: Rc<Front>) -> Conn {
        let unread = Vec::with_capacity(READ_BUFFER_BYTES);
        Conn { entry, stream, front, unread, flights: VecDeque::new(), phase: Phase::Empty, closing: false }
    }

    /// Serves it to its end.
    pub async fn serve(mut self) {
        self.wait_until(Phase::Empty);
        while let Some(written) = self.round().await {
            if !written {
                return; // the client is gone
            }
        }
        self.linger().await;
    }

    /// Answers with an error and closes.
    pub async fn refuse(mut self, error: ApiError) {
        self.fail(error, false);
        if self.answer_all().await {
            self.linger().await;
        }
    }

    /// Reads and answers once. None when the connection is to be closed in an orderly way, false when it is dead.
    async fn round(&mut self) -> Option<bool> {
        if !self.read().await {
            if self.phase == Phase::Empty || !self.entry.was_late() {
                return Some(false);
            }
            self.fail(error::request_timeout(), false);
        }
        loop {
            let expects_continue = self.take_requests();
            if expects_continue && !self.write(CONTINUE.to_vec()).await {
                return Some(false);
            }
            if self.flights.is_empty() {
                break;
            }
            if !self.answer_all().await {
                return Some(false);
            }
            if self.closing {
                return None;
            }
        }
        Some(true)
    }

    /// Takes all whole requests from what was read, up to a bound, and sends them on their way; says whether the
    /// client waits for leave to send a body.
    fn take_requests(&mut self) -> bool {
        if self.closing {
            return false;
        }
        // Read after the requests were: deadlines rest on it.
        let now_ns = clock::now_ns();
        let mut unread = std::mem::take(&mut self.unread);
        let mut taken = 0;
        let mut expects_continue = false;
        while self.flights.len() < MAX_PIPELINED && !self.closing {
            match http::parse(&mut unread[taken..]) {
                Ok(Step::Complete { request, consumed }) => {
                    taken += consumed;
                    self.phase = Phase::Empty;
                    self.closing = !request.keep_alive || self.front.hub.is_draining();
                    let stage = self.start(now_ns, &request);
                    let alone = matches!(stage, Stage::List { .. } | Stage::Health(_));
                    let head_only = request.method == http::Method::Head;
                    self.push(stage, head_only);
                    if alone {
                        break;
                    }
                }
                Ok(Step::Incomplete { phase, expects_continue: expects }) => {
                    expects_continue = expects;
                    if phase != self.phase || taken > 0 {
                        self.wait_until(phase);
                    }
                    break;
                }
                Err(refusal) => {
                    self.fail(refusal.into(), refusal.head_only);
                    taken = unread.len();
                }
            }
        }
        unread.drain(..taken);
        self.unread = unread;
        expects_continue
    }

    /// Sends a request on its way.
    fn start(&self, now_ns: u64, request: &Request<'_>) -> Stage {
        if self.front.hub.has_failed() {
            return Stage::Failed(error::journal_failed());
        }
        match api::understand(request, self.front.principals()) {
            Ok(Call::Lock { user, name, op }) => {
                let asked = Asked::of(&op, &name);
                let command = Command { user, name: &name, op: op.map(|metadata| &**metadata) };
                Stage::Lock { asked, pending: self.front.hub.send(now_ns, &command) }
            }
            Ok(Call::List { user, query }) => Stage::List { user, query, shares: Vec::new(), pages: Vec::new() },
            Ok(Call::Health) => Stage::Health(None),
            Err(error) => Stage::Failed(error),
        }
    }

    /// Waits for the answers of all requests under way, in order, and writes them; those that are ready together go
    /// out together. False if the client is gone.
    async fn answer_all(&mut self) -> bool {
        self.entry.working();
        while let Some(flight) = self.flights.front_mut() {
            if let Stage::Health(None) = flight.stage {
                flight.stage = Stage::Health(Some(healthy(&self.front).await));
            }
            let out = poll_fn(|cx| self.poll_answers(cx)).await;
            if !self.write(out).await {
                return false;
            }
        }
        true
    }

    /// The bytes of the answers at the front that are ready: at least one.
    fn poll_answers(&mut self, cx: &mut Context<'_>) -> Poll<Vec<u8>> {
        let (mut out, mut body) = (self.front.buffer(), self.front.buffer());
        while let Some(flight) = self.flights.front_mut() {
            match flight.answer(&self.front, &mut body) {
                Some(answer) => flight.encode(&self.front, answer, &mut body, &mut out),
                None if out.is_empty() => {
                    flight.wake_when_ready(&self.front, cx);
                    break;
                }
                None => break,
            }
            self.flights.pop_front();
        }
        self.front.recycle(body);
        if out.is_empty() {
            self.front.recycle(out);
            return Poll::Pending;
        }
        Poll::Ready(out)
    }

    /// Reads something. False at the end of the stream, and when the client was cut for being late.
    async fn read(&mut self) -> bool {
        let unread = std::mem::take(&mut self.unread);
        let have = unread.len();
        let (read, mut unread) = if have == 0 {
            let fit =
                if unread.capacity() > 4 * READ_BUFFER_BYTES { Vec::with_capacity(READ_BUFFER_BYTES) } else { unread };
            self.stream.read(fit).await
        } else {
            let mut unread = unread;
            if have == unread.capacity() {
                unread.reserve_exact(have.min(MAX_REQUEST_BYTES));
            }
            let all = unread.capacity();
            let (read, slice) = self.stream.read(unread.slice_mut(have..all)).await;
            (read, slice.into_inner())
        };
        let more = matches!(read, Ok(n) if n > 0);
        if !more {
            unread.truncate(have);
        }
        self.unread = unread;
        more
    }

    /// Writes it all. False if the client is gone, or too slow.
    async fn write(&mut self, bytes: Vec<u8>) -> bool {
        self.entry.writing_until(self.front.recent_ns() + self.front.timeouts.write_timeout_ms * 1_000_000);
        let (written, bytes) = self.stream.write_all(bytes).await;
        self.front.recycle(bytes);
        self.wait_until(Phase::Empty);
        written.is_ok()
    }

    /// Closes so that the client can read the last answer: says that no more will come, and reads what it still
    /// sends, for a while. A close with unread bytes would reset the connection, and take the answer with it.
    async fn linger(mut self) {
        if self.stream.shutdown().await.is_err() {
            return;
        }
        self.entry.reading_until(self.front.recent_ns() + LINGER_NS);
        let mut heard = 0;
        let mut buffer = std::mem::take(&mut self.unread);
        buffer.clear();
        buffer.reserve(READ_BUFFER_BYTES);
        while heard < MAX_LINGER_BYTES {
            let (read, back) = self.stream.read(buffer).await;
            buffer = back;
            match read {
                Ok(n) if n > 0 => heard += n,
                _ => return,
            }
            buffer.clear();
        }
    }

    /// Sets the deadline for what the client is to send next.
    fn wait_until(&mut self, phase: Phase) {
        let timeouts = &self.front.timeouts;
        let timeout_ms = match phase {
            Phase::Empty => timeouts.idle_timeout_ms,
            Phase::Head => timeouts.head_timeout_ms,
            Phase::Body => timeouts.body_timeout_ms,
        };
        self.phase = phase;
        self.entry.reading_until(self.front.recent_ns() + timeout_ms * 1_000_000);
    }

    fn fail(&mut self, error: ApiError, head_only: bool) {
        self.closing = true;
        self.push(Stage::Failed(error), head_only);
    }

    fn push(&mut self, stage: Stage, head_only: bool) {
        let request_id = self.front.request_id();
        self.flights.push_back(Flight { request_id, keep_alive: !self.closing, head_only, stage });
    }
}

impl Flight {
    /// The answer, its body written, once it is there and durable.
    fn answer(&mut self, front: &Front, body: &mut Vec<u8>) -> Option<Result<Answer, ApiError>> {
        body.clear();
        match &mut self.stage {
            Stage::Failed(error) => Some(Err(error.clone())),
            Stage::Lock { asked, pending } => Some(match front.hub.settled(pending)? {
                Ok(Answered::Lock(Ok(reply))) => {
                    locks::answer(body, asked, &reply.outcome, &front.view(clock::now_ns()))
                }
                Ok(_) => unreachable!("an operation is answered as one"),
                Err(unavailable) => Err(unavailable.into()),
            }),
            Stage::List { user, query, shares, pages } => {
                if shares.is_empty() && pages.is_empty() {
                    *shares = front.hub.send_list(*user, query);
                }
                while let Some(share) = shares.last_mut() {
                    match front.hub.settled(share)? {
                        Ok(Answered::List(page)) => pages.push(page),
                        Ok(_) => unreachable!("a list is answered as one"),
                        Err(unavailable) => return Some(Err(unavailable.into())),
                    }
                    shares.pop();
                }
                Some(Ok(api::list::answer(body, pages, query.limit, &front.view(clock::now_ns()))))
            }
            // Not asked yet: that is done when it has come to the front.
            Stage::Health(found) => Some(found.clone()?.map(|()| api::health::answer(body, &front.health()))),
        }
    }

    fn wake_when_ready(&self, front: &Front, cx: &Context<'_>) {
        match &self.stage {
            Stage::Lock { pending, .. } => front.hub.wake_when_settled(pending, cx.waker()),
            Stage::List { shares, .. } => {
                front.hub.wake_when_settled(shares.last().expect("a share is awaited"), cx.waker());
            }
            Stage::Failed(_) | Stage::Health(_) => unreachable!("ready at once"),
        }
    }

    fn encode(&self, front: &Front, answer: Result<Answer, ApiError>, body: &mut Vec<u8>, out: &mut Vec<u8>) {
        let retry_after;
        let (status, extra) = match &answer {
            Ok(Answer { status, retry_after_s: None }) => (*status, None),
            Ok(Answer { status, retry_after_s: Some(seconds) }) => {
                retry_after = seconds.to_string();
                (*status, Some(("Retry-After", &*retry_after)))
            }
            Err(error) => {
                body.clear();
                error.write(body, self.request_id);
                (error.status, error.header)
            }
        };
        let head = Head {
            status,
            content_type: "application/json",
            request_id: self.request_id,
            date: &front.date(),
            keep_alive: self.keep_alive,
            extra: extra.as_slice(),
        };
        http::respond(out, &head, body, self.head_only);
    }
}

/// Whether a commit succeeds, in time.
async fn healthy(front: &Front) -> Result<(), ApiError> {
    if front.hub.is_draining() {
        return Err(error::unhealthy("the server is shutting down"));
    }
    let probe = front.hub.send_probe();
    match time::timeout(PROBE_TIMEOUT, poll_fn(|cx| front.hub.poll_probe(&probe, cx))).await {
        Ok(Ok(())) => Ok(()),
        Ok(Err(unavailable)) => Err(unavailable.into()),
        Err(_) => Err(error::unhealthy("no commit to the disk has succeeded for two seconds")),
    }
}

impl From<Unavailable> for ApiError {
    fn from(unavailable: Unavailable) -> ApiError {
        match unavailable {
            Unavailable::Overloaded => error::overloaded(),
            Unavailable::JournalFailed => error::journal_failed(),
        }
    }
}
