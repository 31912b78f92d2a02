//! The cores of the running process, and the connections to them.
//!
//! A core here is what `worker.rs` makes of a thread: tasks that run when they were woken, then the end
//! of the turn if the main future was woken, then what comes from outside: the bell, the timer, bytes. [`Fleet::core`] does
//! one of these, so that between any two of them other cores can act. Nothing runs that was not woken: a wake-up that is
//! missing shows as a request that waits for ever.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::task::{Context, Waker};

use crate::clock;
use crate::corners;
use crate::hub::Hub;
use crate::journal::Intake;
use crate::lease::Seq;
use crate::mesh::Mesh;
use crate::quota::Quota;
use crate::random::Random;
use crate::sync::Arc;
use crate::trace;

use super::clients::{Client, Request, Wanted};
use super::conns::{Conn, Flag};
use super::oracle::Oracle;
use super::promises;

/// Who is there.
pub struct Fleet {
    random: Random,
    pub oracle: Oracle,
    clients: Vec<Client>,
    conns: BTreeMap<u64, Conn>,
    /// Of requests and connections.
    last_number: u64,
    /// None only between two processes.
    pub run: Option<Run>,
    /// The clients send no more.
    pub quiet: bool,
}

/// One process.
pub struct Run {
    pub cores: Vec<Core>,
    pub mesh: Arc<Mesh>,
    pub intake: Arc<Intake>,
    pub quota: Arc<Quota>,
}

/// One worker.
pub struct Core {
    hub: Hub,
    /// The main future was woken.
    end: Arc<Flag>,
    /// How far its changes were durable at the end of its last turn.
    seen: Cell<Seq>,
}

impl Core {
    pub fn new(hub: Hub) -> Core {
        Core { hub, end: Arc::new(Flag::new(true)), seen: Cell::new(0) }
    }
}

impl Fleet {
    pub fn new(seed: u64, oracle: Oracle, clients: Vec<Client>) -> Fleet {
        Fleet {
            random: Random::new(seed),
            oracle,
            clients,
            conns: BTreeMap::new(),
            last_number: 0,
            run: None,
            quiet: false,
        }
    }

    /// Some client sends something, unless it has enough under way.
    pub fn send(&mut self) {
        let client = self.random.index(self.clients.len());
        let other = self.random.index(self.clients.len());
        // Two clients of one user that use the same id would rightly hold the same lease: only a user's sole client does it.
        let user = self.clients[client].user;
        let alone = self.clients.iter().filter(|other| other.user == user).count() == 1;
        let other = if alone && other != client { self.clients[other].any_lease(&mut self.random) } else { None };
        let wanted = self.clients[client].next(&mut self.random, self.oracle.names.len(), other);
        self.post(client, wanted);
    }

    /// Some client asks whether the server is well.
    pub fn look_at_health(&mut self) {
        let client = self.random.index(self.clients.len());
        self.post(client, Wanted::Health);
    }

    fn post(&mut self, client: usize, wanted: Wanted) {
        let conn = self.connection_of(client);
        let under_way = conn.wire.len() + conn.flights.len();
        if under_way >= self.clients[client].pipelined {
            return;
        }
        self.last_number += 1;
        let (number, user) = (self.last_number, self.clients[client].user);
        let request = Request { number, client, user, sent_ns: clock::peek_ns(), wanted, floors: self.oracle.floors() };
        trace::note(|| format!("client {client} sends #{number}, as user {}: {:?}", user.0, request.wanted));
        self.oracle.sent(&request);
        self.connection_of(client).wire.push_back(request);
    }

    fn connection_of(&mut self, client: usize) -> &mut Conn {
        let id = match self.clients[client].conn {
            Some(id) => id,
            None => {
                self.last_number += 1;
                let core = self.random.index(self.run().cores.len());
                let conn = Conn::new(core);
                self.conns.insert(self.last_number, conn);
                self.clients[client].conn = Some(self.last_number);
                self.last_number
            }
        };
        self.conns.get_mut(&id).expect("a client's connection is there")
    }

    /// Some client loses its connection. What it had sent may be read, or not.
    pub fn break_a_connection(&mut self) {
        let client = self.random.index(self.clients.len());
        let Some(id) = self.clients[client].conn.take() else { return };
        trace::note(|| format!("client {client} loses its connection"));
        corners::met("a connection breaks");
        let conn = self.conns.get_mut(&id).expect("a client's connection is there");
        conn.broken = true;
        if self.random.one_in(2) {
            conn.wire.drain(..).for_each(|request| self.oracle.lost(&request));
        }
        if conn.wire.is_empty() && conn.flights.is_empty() {
            self.conns.remove(&id);
        }
    }

    /// The process dies, and with it all that was under way.
    pub fn die(&mut self) {
        for (_, conn) in std::mem::take(&mut self.conns) {
            let flights = conn.flights.into_iter().map(|flight| flight.request);
            flights.chain(conn.wire).for_each(|request| self.oracle.lost(&request));
        }
        self.clients.iter_mut().for_each(|client| client.conn = None);
        let mesh = self.run.take().expect("a process runs").mesh;
        if mesh.inboxes().iter().any(|inbox| inbox.refused() > 0) {
            corners::met("an inbox is full");
        }
    }

    /// While a call to the disk takes its time.
    pub fn meanwhile(&mut self) {
        for _ in 0..self.random.below(12) {
            clock::advance(self.random.below(1_000_000));
            match self.random.below(4) {
                0 if !self.quiet => self.send(),
                _ => _ = self.any_core(),
            }
        }
        self.check();
    }

    /// While the journal's thread waits between two slices of a backup: timers fire, too.
    pub fn while_the_journal_waits(&mut self, timeout_us: u64) {
        clock::advance(1_000 + self.random.below(1_000 * timeout_us));
        self.meanwhile();
        if self.random.one_in(4) {
            self.tick();
        }
    }

    /// Some core does one thing; false if there was nothing to do.
    pub fn any_core(&mut self) -> bool {
        let core = self.random.index(self.run().cores.len());
        self.core(core)
    }

    /// All cores, until none has anything to do; false if none had.
    pub fn all_cores(&mut self) -> bool {
        let mut moved = false;
        for _ in 0..1_000 {
            let cores = self.run().cores.len();
            if (0..cores).filter(|core| self.core(*core)).count() == 0 {
                return moved;
            }
            moved = true;
        }
        panic!("liveness: the cores never come to rest");
    }

    /// The timer of some core fires.
    pub fn tick(&mut self) {
        let core = self.random.index(self.run().cores.len());
        self.run().cores[core].hub.sweep_soon();
    }

    /// All timers fire.
    pub fn tick_all(&mut self) {
        self.run().cores.iter().for_each(|core| core.hub.sweep_soon());
    }

    fn core(&mut self, core: usize) -> bool {
        let here = |conn: &&(&u64, &Conn)| conn.1.core == core;
        let woken: Vec<u64> = self.conns.iter().filter(|c| here(&c) && c.1.woken.is_up()).map(|(id, _)| *id).collect();
        if !woken.is_empty() {
            let one = self.random.pick(&woken);
            self.connection(one);
            return true;
        }
        let unread = |conn: &Conn| conn.flights.is_empty() && !conn.wire.is_empty();
        let readable: Vec<u64> = self.conns.iter().filter(|c| here(&c) && unread(c.1)).map(|(id, _)| *id).collect();
        let reads = !readable.is_empty() && self.random.one_in(2);
        let Core { hub, end, seen } = &self.run.as_ref().expect("a process runs").cores[core];
        if !reads && end.take() {
            trace::note(|| format!("core {core} ends a turn"));
            hub.end_turn(&mut Context::from_waker(&Waker::from(end.clone())));
            seen.set(self.run().intake.watermark(core).durable());
            if hub.is_listing() {
                corners::met("a list is made in parts");
            }
            return true;
        }
        if !reads && self.run().mesh.inbox(core).gate().bell().heard() {
            self.run().cores[core].hub.bell_was_heard();
            return true;
        }
        if !readable.is_empty() {
            let one = self.random.pick(&readable);
            self.connection(one);
            return true;
        }
        false
    }

    /// A connection's task runs until it waits: as `net/conn.rs` does.
    fn connection(&mut self, id: u64) {
        let mut conn = self.conns.remove(&id).expect("a connection");
        conn.woken.take();
        let waker = Waker::from(conn.woken.clone());
        let run = self.run.as_ref().expect("a process runs");
        let hub = &run.cores[conn.core].hub;
        loop {
            if conn.flights.is_empty() {
                if conn.wire.is_empty() {
                    break;
                }
                let many = 1 + self.random.index(conn.wire.len());
                conn.read(hub, &self.oracle, many);
            }
            let ready = conn.ready(hub, &waker);
            if ready.is_empty() {
                break;
            }
            if conn.broken {
                let unheard = ready.into_iter().map(|(request, _)| request);
                unheard.chain(conn.wire).for_each(|request| self.oracle.lost(&request));
                conn.flights.into_iter().for_each(|flight| self.oracle.adrift(&flight.request));
                return;
            }
            for (request, answer) in ready {
                trace::note(|| {
                    format!("client {} reads the answer to #{}: {answer:?}", request.client, request.number)
                });
                self.oracle.shown(&request, &answer);
            }
        }
        if !(conn.broken && conn.flights.is_empty()) {
            self.conns.insert(id, conn);
        }
    }

    /// Requests without an answer.
    pub fn waiting(&self) -> usize {
        self.conns.values().map(|conn| conn.wire.len() + conn.flights.len()).sum()
    }

    pub fn intake(&self) -> &Intake {
        &self.run().intake
    }

    /// All promises that can be checked at any moment.
    pub fn check(&self) {
        let Run { cores, quota, .. } = self.run();
        let live = |name: &str| -> Vec<(u64, u64)> { cores.iter().filter_map(|core| core.hub.live(name)).collect() };
        promises::every_lease_lasts_and_excludes(&self.oracle, clock::peek_ns(), live);
        let mut counts = vec![0; self.oracle.users];
        cores.iter().for_each(|core| core.hub.count_locks(&mut counts));
        promises::counts_are_right(&counts, quota);
    }

    /// The promise of cores that have come to rest while the journal's thread does nothing.
    pub fn rest_is_rest(&self) {
        for (core, Core { hub, seen, .. }) in self.run().cores.iter().enumerate() {
            for (what, count) in hub.undone(seen.get()) {
                assert!(count == 0, "rest: core {core} sleeps, and has {count} {what}");
            }
        }
    }

    /// The promise of a process in which nobody holds anything and nobody waits.
    pub fn nothing_is_left(&self) {
        for (core, Core { hub, .. }) in self.run().cores.iter().enumerate() {
            for (what, count) in hub.left_behind() {
                assert!(count == 0, "leak: core {core} has {count} {what} left");
            }
        }
    }

    fn run(&self) -> &Run {
        self.run.as_ref().expect("a process runs")
    }
}
