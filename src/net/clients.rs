//! The connections of one worker: how many, and how long each may still take.
//!
//! A deadline is a number in a table; the worker's ticker looks through the table a few times a second and
//! ends what is late. So a request costs no timer. One that is late in sending has its read given up and
//! can still be told so; one that is late in taking its answers is cut, and what the kernel holds for
//! it is thrown away.

use std::cell::RefCell;
use std::future::poll_fn;
use std::os::fd::{BorrowedFd, RawFd};
use std::pin::pin;
use std::rc::Rc;
use std::task::{Poll, Waker};

use rustix::net::{RecvFlags, Shutdown, sockopt};

use super::admission::{Admission, Place};
use crate::clock::Duration;
use crate::sync::Arc;

/// All connections of a worker.
pub struct Clients {
    table: RefCell<Table>,
    admission: Arc<Admission>,
    write_timeout_ms: u64,
}

#[derive(Default)]
struct Table {
    slots: Vec<Slot>,
    free: Vec<u32>,
}

/// One connection, as its worker sees it: small and in a row, since the ticker looks at all of them.
struct Slot {
    deadline_ns: u64,
    fd: RawFd,
    doing: Doing,
    /// The connection's task. It stays the same from read to read, so it is kept.
    reader: Option<Waker>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Doing {
    /// There is no connection here.
    Nothing,
    /// The client waits for us.
    Working,
    /// We wait for the client to send.
    Reading,
    /// We wait for the client to have heard the last answer, and read what it still sends.
    Lingering,
    /// We waited, and it was too slow.
    Late,
    /// We wait for the client to take what it is sent.
    Writing,
}

/// A connection's entry, for as long as its socket is open. Drop it before the socket.
pub struct Registered {
    clients: Rc<Clients>,
    slot: usize,
    _place: Place,
}

impl Clients {
    /// None yet. `write_timeout_ms` is how long a client may take for what it is sent.
    pub fn new(admission: Arc<Admission>, write_timeout_ms: u64) -> Clients {
        Clients { table: RefCell::default(), admission, write_timeout_ms }
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        let table = self.table.borrow();
        table.slots.len() - table.free.len()
    }

    /// How many are being worked for, read from, written to, and left.
    pub fn by_state(&self) -> [usize; 4] {
        let mut counts = [0; 4];
        for slot in &self.table.borrow().slots {
            match slot.doing {
                Doing::Nothing => {}
                Doing::Working => counts[0] += 1,
                Doing::Reading => counts[1] += 1,
                Doing::Writing => counts[2] += 1,
                Doing::Lingering | Doing::Late => counts[3] += 1,
            }
        }
        counts
    }

    /// Takes a connection in, whose socket is `fd`.
    pub fn register(self: &Rc<Self>, fd: RawFd, place: Place) -> Registered {
        let mut table = self.table.borrow_mut();
        let new = Slot { deadline_ns: u64::MAX, fd, doing: Doing::Working, reader: None };
        // What fits into the kernel's buffer makes no write wait, so the kernel has to watch over it: else a client that
        // reads nothing would leave it there long after its connection was closed.
        let _ = sockopt::set_tcp_user_timeout(new.socket(), self.write_timeout_ms as u32);
        let slot = match table.free.pop() {
            Some(slot) => {
                table.slots[slot as usize] = new;
                slot as usize
            }
            None => {
                table.slots.push(new);
                table.slots.len() - 1
            }
        };
        Registered { clients: self.clone(), slot, _place: place }
    }

    /// Ends what has taken longer than it may.
    pub fn cut_the_late(&self, now_ns: u64) {
        for slot in self.table.borrow_mut().slots.iter_mut().filter(|slot| slot.deadline_ns <= now_ns) {
            slot.deadline_ns = u64::MAX;
            let in_sending = matches!(slot.doing, Doing::Reading | Doing::Lingering);
            if slot.doing != Doing::Lingering {
                self.admission.count_cut(in_sending); // one that lingers has been answered and counted before
            }
            if in_sending {
                slot.doing = Doing::Late;
                if let Some(reader) = &slot.reader {
                    reader.wake_by_ref();
                }
            } else {
                // A reset instead of an orderly end: else the kernel would go on offering what nobody takes.
                let _ = sockopt::set_socket_linger(slot.socket(), Some(Duration::ZERO));
                let _ = rustix::net::shutdown(slot.socket(), Shutdown::Both);
            }
        }
    }

    /// Ends the connections that wait for a request. What has arrived by now is still read and answered.
    pub fn dismiss_the_idle(&self) {
        for slot in self.table.borrow().slots.iter().filter(|slot| slot.doing == Doing::Reading) {
            let _ = rustix::net::shutdown(slot.socket(), Shutdown::Read); // ENOTCONN: the client was faster
        }
    }
}

impl Slot {
    fn socket(&self) -> BorrowedFd<'_> {
        debug_assert!(self.doing != Doing::Nothing);
        // SAFETY: the descriptor is open: a connection's entry is dropped before its socket (see
        // `Registered`), on this very thread, and a slot whose entry is gone does `Nothing`.
        #[allow(unsafe_code)]
        unsafe {
            BorrowedFd::borrow_raw(self.fd)
        }
    }
}

impl Registered {
    /// The client has until `deadline_ns` to send something: what `read` gives, or None once it is too late.
    pub async fn unless_late<F: Future>(&self, deadline_ns: u64, read: F) -> Option<F::Output> {
        self.wait(Doing::Reading, deadline_ns, read).await
    }

    /// The client has until `deadline_ns` to say that it has heard the last answer; likewise.
    pub async fn unless_it_lingers<F: Future>(&self, deadline_ns: u64, read: F) -> Option<F::Output> {
        self.wait(Doing::Lingering, deadline_ns, read).await
    }

    async fn wait<F: Future>(&self, doing: Doing, deadline_ns: u64, read: F) -> Option<F::Output> {
        let mut read = pin!(read);
        self.set(doing, deadline_ns);
        let output = poll_fn(|cx| {
            if let Poll::Ready(output) = read.as_mut().poll(cx) {
                return Poll::Ready(Some(output));
            }
            let slot = &mut self.clients.table.borrow_mut().slots[self.slot];
            if slot.doing == Doing::Late {
                return Poll::Ready(None);
            }
            match &mut slot.reader {
                Some(reader) => reader.clone_from(cx.waker()),
                none => *none = Some(cx.waker().clone()),
            }
            Poll::Pending
        })
        .await;
        self.set(Doing::Working, u64::MAX);
        output
    }

    /// The client has until `deadline_ns` to take what `write` sends it; then the connection is cut, and `write` fails.
    pub async fn unless_cut<F: Future>(&self, deadline_ns: u64, write: F) -> F::Output {
        self.set(Doing::Writing, deadline_ns);
        let output = write.await;
        self.set(Doing::Working, u64::MAX);
        output
    }

    /// Adds what has arrived to `bytes`, as far as there is room. Never waits.
    pub fn receive_now(&self, bytes: &mut Vec<u8>) {
        let table = self.clients.table.borrow();
        let socket = table.slots[self.slot].socket();
        // An error, or the end of the stream, will show itself to the next read.
        let _ = rustix::net::recv(socket, rustix::buffer::spare_capacity(bytes), RecvFlags::DONTWAIT);
    }

    fn set(&self, doing: Doing, deadline_ns: u64) {
        let slot = &mut self.clients.table.borrow_mut().slots[self.slot];
        slot.doing = doing;
        slot.deadline_ns = deadline_ns;
    }
}

impl Drop for Registered {
    fn drop(&mut self) {
        self.set(Doing::Nothing, u64::MAX);
        let mut table = self.clients.table.borrow_mut();
        table.slots[self.slot].reader = None;
        table.free.push(self.slot as u32);
    }
}

#[cfg(test)]
#[path = "clients_tests.rs"]
mod tests;
