//! One client's connection: bytes in, requests out, answers in order, bytes back.
//!
//! A connection goes round: it takes every whole request from what it has read (at most
//! [`MAX_PIPELINED`]), sends each on its way at once, waits for their answers in order, writes those that are ready
//! in one write, and only then reads on. So requests on one name take effect in order (they travel
//! the same queue), and a slow client holds up nobody but itself.
//!
//! **Deadlines.** While it waits for the client, there is one (see [`Clients`](super::clients::Clients)): for the whole
//! head, the whole body, the idle time, or the writing of what is ready. More bytes do not extend it. While the server
//! works there is none. A read is given up only when the connection is to end: it may have taken bytes along.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::net::IpAddr;
use std::rc::Rc;
use std::task::{Context, Poll};

use monoio::buf::IoBufMut;
use monoio::io::{AsyncReadRent, AsyncWriteRent, AsyncWriteRentExt};
use monoio::net::TcpStream;

use super::clients::Registered;
use super::flight::Flight;
use crate::api::error::{self, ApiError};
use crate::front::Front;
use crate::http::limits::{MAX_LINGER_BYTES, MAX_PIPELINED, READ_BUFFER_BYTES};
use crate::http::{CONTINUE, Inbound, Next, Phase};
use crate::hub::Pace;

/// How long a client may take to hear the last answer before its connection is closed.
const LINGER_NS: u64 = 2_000_000_000;
/// What a client must have taken of a part of the program when the time to write is over.
const FILE_PIECE_BYTES: usize = 64 << 10;
/// Places for requests under way that an idle connection keeps.
const IDLE_FLIGHTS: usize = 4;

/// A connection.
pub struct Conn {
    // Dropped in this order: the entry before the socket.
    entry: Registered,
    stream: TcpStream,
    peer: IpAddr,
    front: Rc<Front>,
    inbound: Inbound,
    flights: VecDeque<Flight>,
    /// What is waited for, once everything that came before has been answered; and until when.
    waits_for: Option<Phase>,
    due_ns: u64,
    pace: Pace,
    closing: bool,
}

/// What a read has brought.
enum Heard {
    Something,
    /// The client says no more.
    End,
    /// Nothing, in time.
    TooLate,
}

/// How things go on when all that was read has been answered.
enum After {
    ReadOn,
    /// The last answer has been written.
    Close,
    /// There is nobody to answer.
    Gone,
}

impl Conn {
    /// A connection that was accepted just now, from `peer`.
    pub fn new(stream: TcpStream, peer: IpAddr, entry: Registered, front: Rc<Front>) -> Conn {
        let (inbound, flights) = (Inbound::new(), VecDeque::new());
        Conn {
            entry,
            stream,
            peer,
            front,
            inbound,
            flights,
            waits_for: None,
            due_ns: 0,
            pace: Pace::default(),
            closing: false,
        }
    }

    /// Serves it to its end.
    pub async fn serve(mut self) {
        // A connection is opened for a request: the first one must come as soon as a head must be whole.
        self.wait_for(Phase::Empty);
        self.due_ns = self.due_ns.min(self.front.recent_ns() + self.front.timeouts.head_timeout_ms * 1_000_000);
        loop {
            match self.read().await {
                Heard::Something => {}
                Heard::End if self.waits_for == Some(Phase::Body) && self.front.hub.is_draining() => {
                    self.fail(error::unhealthy("the server is shutting down; nothing was changed"), false);
                }
                // One that was within a request is told so; to one that was idle it would look like the next answer.
                Heard::TooLate if self.waits_for != Some(Phase::Empty) => self.fail(error::request_timeout(), false),
                Heard::TooLate | Heard::End => return,
            }
            match self.reply().await {
                After::ReadOn => {}
                After::Close => return self.linger().await,
                After::Gone => return,
            }
        }
    }

    /// Answers with an error and closes.
    pub async fn refuse(mut self, error: ApiError) {
        self.fail(error, false);
        if self.answer_all().await {
            self.linger().await;
        }
    }

    /// Answers all requests that have been read.
    async fn reply(&mut self) -> After {
        loop {
            self.front.hub.step(&mut self.pace).await;
            let expects_continue = self.take_requests();
            if !self.flights.is_empty() {
                if !self.answer_all().await {
                    return After::Gone;
                }
                if self.closing {
                    return After::Close;
                }
            } else if expects_continue && !self.write(CONTINUE.to_vec()).await {
                return After::Gone;
            } else {
                return After::ReadOn;
            }
        }
    }

    /// Takes all whole requests from what was read, up to a bound, and sends them on their way; says whether the
    /// client waits for leave to send a body.
    fn take_requests(&mut self) -> bool {
        let mut now = None;
        while self.flights.len() < MAX_PIPELINED && !self.closing {
            match self.inbound.next_request() {
                Next::Request(request) => {
                    self.closing = !request.keep_alive || self.front.hub.is_draining();
                    // Read after the requests were: deadlines rest on it.
                    let now_ns = *now.get_or_insert_with(|| self.front.read_the_clock());
                    let flight = Flight::start(&self.front, now_ns, &request, !self.closing, self.peer);
                    let goes_alone = flight.goes_alone();
                    self.flights.push_back(flight);
                    if goes_alone {
                        break;
                    }
                }
                Next::Refused(refusal) => self.fail(refusal.into(), refusal.head_only),
                Next::More { phase, expects_continue } if self.flights.is_empty() => {
                    if self.waits_for != Some(phase) {
                        self.wait_for(phase);
                    }
                    return expects_continue;
                }
                Next::More { .. } | Next::Ended => break,
            }
        }
        false
    }

    /// Waits for the answers of all requests under way, in order, and writes them; those that are ready together go
    /// out together. False if the client is gone.
    async fn answer_all(&mut self) -> bool {
        self.waits_for = None;
        while let Some(flight) = self.flights.front_mut() {
            flight.come_to_the_front(&self.front).await;
            let (out, file) = poll_fn(|cx| self.poll_answers(cx)).await;
            if !self.write(out).await {
                return false;
            }
            if let Some(file) = file
                && !self.write_file(file).await
            {
                return false;
            }
        }
        true
    }

    /// The bytes of the answers at the front that are ready: at least one. If the last of them has a body that is a
    /// part of the program, then that too: it has not been copied.
    fn poll_answers(&mut self, cx: &mut Context<'_>) -> Poll<(Vec<u8>, Option<&'static [u8]>)> {
        let (mut out, mut body) = (self.front.buffer(), self.front.buffer());
        let mut file = None;
        while let Some(flight) = self.flights.front_mut().filter(|_| file.is_none()) {
            match flight.answer(&self.front, &mut body) {
                Some(answer) => file = flight.encode(&self.front, answer, &mut body, &mut out),
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
        Poll::Ready((out, file))
    }

    /// Reads something: of a client that sends much at once, a good part.
    async fn read(&mut self) -> Heard {
        let buffer = self.inbound.lend();
        if self.flights.capacity() > IDLE_FLIGHTS {
            self.flights = VecDeque::new();
        }
        let (have, room) = (buffer.len(), buffer.capacity());
        let reading = self.stream.read(buffer.slice_mut(have..room));
        let Some((read, slice)) = self.entry.unless_late(self.due_ns, reading).await else { return Heard::TooLate };
        let mut buffer = slice.into_inner();
        let is_something = matches!(read, Ok(1..));
        if !is_something {
            buffer.truncate(have);
        } else if Inbound::make_room_for_a_burst(&mut buffer) {
            self.entry.receive_now(&mut buffer);
        }
        self.inbound.put_back(buffer);
        if is_something { Heard::Something } else { Heard::End }
    }

    /// Writes it all. False if the client is gone, or too slow.
    async fn write(&mut self, bytes: Vec<u8>) -> bool {
        let due_ns = self.front.recent_ns() + self.front.timeouts.write_timeout_ms * 1_000_000;
        let length = bytes.len();
        self.front.begin_writing(length);
        let (written, bytes) = self.entry.unless_cut(due_ns, self.stream.write_all(bytes)).await;
        self.front.end_writing(length);
        self.front.recycle(bytes);
        written.is_ok()
    }

    /// Writes a part of the program, piece by piece, each with a deadline of its own: a large one may take a slow client
    /// longer. No memory of ours is held by it, so it does not count as being written.
    async fn write_file(&mut self, file: &'static [u8]) -> bool {
        for piece in file.chunks(FILE_PIECE_BYTES) {
            let due_ns = self.front.recent_ns() + self.front.timeouts.write_timeout_ms * 1_000_000;
            let (written, _) = self.entry.unless_cut(due_ns, self.stream.write_all(piece)).await;
            if written.is_err() {
                return false;
            }
            self.front.hub.step(&mut self.pace).await;
        }
        true
    }

    /// Closes so that the client can read the last answer: says that no more will come, and reads what it still
    /// sends, for a while. A close with unread bytes would reset the connection, and take the answer with it.
    async fn linger(mut self) {
        if self.stream.shutdown().await.is_err() {
            return;
        }
        let due_ns = self.front.recent_ns() + LINGER_NS;
        let mut heard = 0;
        let mut buffer = Vec::with_capacity(READ_BUFFER_BYTES);
        self.inbound = Inbound::new();
        while heard < MAX_LINGER_BYTES {
            buffer.clear();
            let Some((read, back)) = self.entry.unless_it_lingers(due_ns, self.stream.read(buffer)).await else {
                return;
            };
            buffer = back;
            self.front.hub.step(&mut self.pace).await;
            match read {
                Ok(n @ 1..) => heard += n,
                _ => return,
            }
        }
    }

    /// Sets the deadline for what the client is to send next.
    fn wait_for(&mut self, phase: Phase) {
        let timeouts = &self.front.timeouts;
        let timeout_ms = match phase {
            Phase::Empty => timeouts.idle_timeout_ms,
            Phase::Head => timeouts.head_timeout_ms,
            Phase::Body => timeouts.body_timeout_ms,
        };
        self.waits_for = Some(phase);
        self.due_ns = self.front.recent_ns() + timeout_ms * 1_000_000;
    }

    fn fail(&mut self, error: ApiError, head_only: bool) {
        self.closing = true;
        self.flights.push_back(Flight::failed(&self.front, error, head_only));
    }
}
