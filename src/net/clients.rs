//! The connections of one worker: how many, and how long each may still take.
//!
//! A deadline is a number in a cell; the worker's ticker looks through them all a few times a second and
//! shuts down the sockets of those that are late, which ends their pending read or write. So a
//! request costs no timer.

use std::cell::{Cell, RefCell};
use std::os::fd::{BorrowedFd, RawFd};
use std::rc::Rc;

use rustix::net::Shutdown;

use crate::sync::{Arc, AtomicU32, Ordering};

/// All connections of a worker.
pub struct Clients {
    slots: RefCell<Vec<Option<Rc<Client>>>>,
    free: RefCell<Vec<usize>>,
    /// Over all workers.
    live: Arc<AtomicU32>,
}

/// One connection, as its worker sees it.
pub struct Client {
    fd: RawFd,
    deadline_ns: Cell<u64>,
    /// It waits for the client to send something.
    reading: Cell<bool>,
    late: Cell<bool>,
}

/// A connection's entry, for as long as its socket is open. Drop it before the socket.
pub struct Registered {
    clients: Rc<Clients>,
    client: Rc<Client>,
    slot: usize,
}

impl Clients {
    /// None yet. `live` counts those of all workers.
    pub fn new(live: Arc<AtomicU32>) -> Clients {
        Clients { slots: RefCell::default(), free: RefCell::default(), live }
    }

    /// How many connections all workers have.
    pub fn live(&self) -> u32 {
        self.live.load(Ordering::Relaxed) // a count that orders nothing
    }

    /// Takes a connection in, whose socket is `fd`.
    pub fn register(self: &Rc<Self>, fd: RawFd) -> Registered {
        self.live.fetch_add(1, Ordering::Relaxed); // as in `live`
        let client =
            Rc::new(Client { fd, deadline_ns: Cell::new(u64::MAX), reading: Cell::new(false), late: Cell::new(false) });
        let slot = self.free.borrow_mut().pop().unwrap_or_else(|| {
            self.slots.borrow_mut().push(None);
            self.slots.borrow().len() - 1
        });
        self.slots.borrow_mut()[slot] = Some(client.clone());
        Registered { clients: self.clone(), client, slot }
    }

    /// Cuts those whose deadline has passed.
    pub fn cut_the_late(&self, now_ns: u64) {
        for client in self.slots.borrow().iter().flatten().filter(|client| client.deadline_ns.get() <= now_ns) {
            client.late.set(true);
            client.deadline_ns.set(u64::MAX);
            // One that sends too slowly may still be told so; one that does not read is told nothing.
            client.shut(if client.reading.get() { Shutdown::Read } else { Shutdown::Both });
        }
    }

    /// Ends the connections that wait for a request. What has arrived by now is still read and answered.
    pub fn dismiss_the_idle(&self) {
        for client in self.slots.borrow().iter().flatten().filter(|client| client.reading.get()) {
            client.shut(Shutdown::Read);
        }
    }
}

impl Client {
    fn shut(&self, how: Shutdown) {
        // SAFETY: the descriptor is open: a connection's entry is dropped before its socket (see
        // `Registered`), on this very thread, and entries that are gone are not in `slots`.
        #[allow(unsafe_code)]
        let socket = unsafe { BorrowedFd::borrow_raw(self.fd) };
        let _ = rustix::net::shutdown(socket, how); // ENOTCONN: the client was faster
    }
}

impl Registered {
    /// The client has until `deadline_ns` to send something.
    pub fn reading_until(&self, deadline_ns: u64) {
        self.client.reading.set(true);
        self.client.deadline_ns.set(deadline_ns);
    }

    /// The client has until `deadline_ns` to take what it is sent.
    pub fn writing_until(&self, deadline_ns: u64) {
        self.client.reading.set(false);
        self.client.deadline_ns.set(deadline_ns);
    }

    /// The client waits for us.
    pub fn working(&self) {
        self.writing_until(u64::MAX);
    }

    /// Whether the client was cut for being late.
    pub fn was_late(&self) -> bool {
        self.client.late.get()
    }
}

impl Drop for Registered {
    fn drop(&mut self) {
        self.clients.slots.borrow_mut()[self.slot] = None;
        self.clients.free.borrow_mut().push(self.slot);
        self.clients.live.fetch_sub(1, Ordering::Relaxed); // as in `live`
    }
}
