//! A connection and its requests in flight, as `net/conn.rs` handles them.

use std::collections::VecDeque;
use std::task::{Context, Poll, Wake, Waker};

use crate::clock;
use crate::hub::{Hub, Pending, Probe, Unavailable};
use crate::lease::{Command, LockName};
use crate::mesh::{Answered, Query};
use crate::shard::Page;
use crate::sync::{Arc, AtomicBool, Ordering};

use super::clients::{Request, Wanted};
use super::oracle::Oracle;

/// Whether a task was woken.
pub struct Flag(AtomicBool);

impl Flag {
    pub fn new(up: bool) -> Flag {
        Flag(AtomicBool::new(up))
    }

    pub fn is_up(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }

    pub fn take(&self) -> bool {
        self.0.swap(false, Ordering::Relaxed)
    }
}

impl Wake for Flag {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// A connection, seen from the server.
pub struct Conn {
    pub core: usize,
    /// Sent, and not yet read.
    pub wire: VecDeque<Request>,
    pub flights: VecDeque<Flight>,
    pub woken: Arc<Flag>,
    /// The client has gone, which the server notices when it writes.
    pub broken: bool,
}

pub struct Flight {
    pub request: Request,
    stage: Stage,
}

enum Stage {
    Lock(Pending),
    List(Option<(Vec<Pending>, Vec<Page>)>),
    Health(Option<Probe>),
}

/// An answer as the client reads it.
#[derive(Debug)]
pub enum Answer {
    Lock(Answered),
    List(Vec<Page>),
    Healthy,
    Unavailable(Unavailable),
}

impl Conn {
    /// To this core.
    pub fn new(core: usize) -> Conn {
        let woken = Arc::new(Flag::new(false));
        Conn { core, wire: VecDeque::new(), flights: VecDeque::new(), woken, broken: false }
    }

    /// Reads some requests and sends them on their way.
    pub fn read(&mut self, hub: &Hub, oracle: &Oracle, many: usize) {
        let now_ns = clock::now_ns(); // after they have arrived
        for request in self.wire.drain(..many.min(self.wire.len())).collect::<Vec<_>>() {
            let stage = match &request.wanted {
                Wanted::Lock(name, op) => {
                    let op = op.map(|note| &**note);
                    let name = LockName::new(&oracle.names[*name]).expect("a lock name");
                    Stage::Lock(hub.send(now_ns, &Command { user: request.user, name: &name, op }))
                }
                Wanted::List => Stage::List(None),
                Wanted::Health => Stage::Health(None),
            };
            self.flights.push_back(Flight { request, stage });
        }
    }

    /// The answers at the front that are ready; if none is, the task will be woken.
    pub fn ready(&mut self, hub: &Hub, waker: &Waker) -> Vec<(Request, Answer)> {
        let mut ready = Vec::new();
        while let Some(flight) = self.flights.front_mut() {
            // A question after the server's health is put when it has come to the front, and waits by itself.
            if matches!(flight.stage, Stage::Health(_)) && !ready.is_empty() {
                break;
            }
            match flight.answer(hub, waker) {
                Some(answer) => ready.push((self.flights.pop_front().expect("the front").request, answer)),
                None => {
                    if ready.is_empty() {
                        flight.wake_when_ready(hub, waker);
                    }
                    break;
                }
            }
        }
        ready
    }
}

impl Flight {
    fn answer(&mut self, hub: &Hub, waker: &Waker) -> Option<Answer> {
        match &mut self.stage {
            Stage::Lock(pending) => Some(match hub.settled(pending)? {
                Ok(answered) => Answer::Lock(answered),
                Err(unavailable) => Answer::Unavailable(unavailable),
            }),
            Stage::List(asked) => {
                let query = || Query { prefix: "lock-".to_owned(), after: None, limit: 1000 };
                let (shares, pages) = asked.get_or_insert_with(|| (hub.send_list(self.request.user, &query()), vec![]));
                while let Some(share) = shares.last_mut() {
                    match hub.settled(share)? {
                        Ok(Answered::List(page)) => pages.push(page),
                        Ok(other) => panic!("an operation's answer to a list: {other:?}"),
                        Err(unavailable) => return Some(Answer::Unavailable(unavailable)),
                    }
                    shares.pop();
                }
                Some(Answer::List(std::mem::take(pages)))
            }
            Stage::Health(asked) => {
                let probe = asked.get_or_insert_with(|| hub.send_probe());
                match hub.poll_probe(probe, &mut Context::from_waker(waker)) {
                    Poll::Ready(Ok(())) => Some(Answer::Healthy),
                    Poll::Ready(Err(unavailable)) => Some(Answer::Unavailable(unavailable)),
                    Poll::Pending => None,
                }
            }
        }
    }

    fn wake_when_ready(&self, hub: &Hub, waker: &Waker) {
        match &self.stage {
            Stage::Lock(pending) => hub.wake_when_settled(pending, waker),
            Stage::List(Some((shares, _))) => {
                hub.wake_when_settled(shares.last().expect("a share is awaited"), waker);
            }
            Stage::List(None) | Stage::Health(_) => {}
        }
    }
}
