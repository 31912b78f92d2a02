//! Deadlines, on socket pairs and without a runtime.

use std::future::{pending, ready};
use std::io::{ErrorKind, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::fd::AsRawFd;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Wake};

use super::super::admission::Verdict;
use super::*;

#[derive(Default)]
struct Wakes(AtomicUsize);

impl Wake for Wakes {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

/// Both ends of a connection.
fn connection() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    (listener.accept().unwrap().0, client)
}

fn entry(clients: &Rc<Clients>, socket: &TcpStream) -> Registered {
    match clients.admission.judge(socket.peer_addr().unwrap().ip()) {
        Verdict::Serve(place) => clients.register(socket.as_raw_fd(), place),
        other => panic!("{other:?}"),
    }
}

fn clients() -> Rc<Clients> {
    Rc::new(Clients::new(Arc::new(Admission::new(100, 0)), 10_000))
}

#[test]
fn one_that_is_late_in_sending_is_woken_and_may_still_be_told() {
    let clients = clients();
    let (mut server, mut client) = connection();
    let entry = entry(&clients, &server);
    let wakes = Arc::new(Wakes::default());
    let waker = wakes.clone().into();
    let cx = &mut Context::from_waker(&waker);
    let mut reading = Box::pin(entry.unless_late(1000, pending::<()>()));
    assert!(reading.as_mut().poll(cx).is_pending());
    clients.cut_the_late(999);
    assert!(reading.as_mut().poll(cx).is_pending());
    assert_eq!(wakes.0.load(Ordering::Relaxed), 0);
    clients.cut_the_late(1000);
    assert_eq!(wakes.0.load(Ordering::Relaxed), 1);
    assert_eq!(reading.as_mut().poll(cx), Poll::Ready(None));
    drop(reading);
    server.write_all(b"late").unwrap();
    let mut told = [0; 4];
    client.read_exact(&mut told).unwrap();
    assert_eq!(clients.admission.figures().cut_reading, 1);
}

#[test]
fn who_reads_by_another_waker_than_before_is_woken_by_that_one() {
    let clients = clients();
    let (server, _client) = connection();
    let entry = entry(&clients, &server);
    let [before, now] = [(); 2].map(|()| Arc::new(Wakes::default()));
    for wakes in [&before, &now] {
        let waker = wakes.clone().into();
        let mut reading = Box::pin(entry.unless_late(1000, pending::<()>()));
        assert!(reading.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
    }
    clients.cut_the_late(1000);
    let woken = |wakes: &Wakes| wakes.0.load(Ordering::Relaxed);
    assert_eq!((woken(&before), woken(&now)), (0, 1));
}

#[test]
fn what_has_come_counts_even_when_it_is_late() {
    let clients = clients();
    let (server, _client) = connection();
    let entry = entry(&clients, &server);
    let cx = &mut Context::from_waker(Waker::noop());
    assert_eq!(Box::pin(entry.unless_late(0, ready(7))).as_mut().poll(cx), Poll::Ready(Some(7)));
}

#[test]
fn one_that_is_late_in_taking_is_reset() {
    let clients = clients();
    let (server, mut client) = connection();
    let entry = entry(&clients, &server);
    let cx = &mut Context::from_waker(Waker::noop());
    let mut writing = Box::pin(entry.unless_cut(1000, pending::<()>()));
    assert!(writing.as_mut().poll(cx).is_pending());
    clients.cut_the_late(1000);
    drop(writing);
    drop(entry);
    drop(server);
    let error = client.read(&mut [0]).and_then(|_| client.write(b"x")).and_then(|_| client.read(&mut [0]));
    assert!(matches!(error.unwrap_err().kind(), ErrorKind::ConnectionReset | ErrorKind::BrokenPipe));
    assert_eq!(clients.admission.figures().cut_writing, 1);
}

#[test]
fn while_the_server_works_there_is_no_deadline() {
    let clients = clients();
    let (server, _client) = connection();
    let entry = entry(&clients, &server);
    let cx = &mut Context::from_waker(Waker::noop());
    assert!(Box::pin(entry.unless_late(10, ready(()))).as_mut().poll(cx).is_ready());
    assert!(Box::pin(entry.unless_cut(10, ready(()))).as_mut().poll(cx).is_ready());
    clients.cut_the_late(u64::MAX - 1);
    assert_eq!(clients.admission.figures().cut_reading + clients.admission.figures().cut_writing, 0);
}

#[test]
fn those_that_wait_for_a_request_can_be_dismissed_and_others_are_not() {
    let clients = clients();
    let (mut idle, _idle_client) = connection();
    let (mut busy, mut busy_client) = connection();
    let idle_entry = entry(&clients, &idle);
    let _busy_entry = entry(&clients, &busy);
    let cx = &mut Context::from_waker(Waker::noop());
    let mut reading = Box::pin(idle_entry.unless_late(u64::MAX, pending::<()>()));
    assert!(reading.as_mut().poll(cx).is_pending());
    clients.dismiss_the_idle();
    assert_eq!(idle.read(&mut [0]).unwrap(), 0);
    busy_client.write_all(b"x").unwrap();
    assert_eq!(busy.read(&mut [0]).unwrap(), 1);
}

#[test]
fn places_in_the_table_are_used_again() {
    let clients = clients();
    let (server, _client) = connection();
    let first = entry(&clients, &server);
    let second = entry(&clients, &server);
    assert_eq!(clients.count(), 2);
    drop(first);
    assert_eq!((clients.count(), clients.admission.served()), (1, 1));
    let third = entry(&clients, &server);
    assert_eq!((third.slot, clients.table.borrow().slots.len()), (0, 2));
    drop((second, third));
    assert_eq!((clients.count(), clients.admission.served()), (0, 0));
}

#[test]
fn what_has_arrived_is_received_without_waiting_and_as_far_as_there_is_room() {
    let clients = clients();
    let (server, mut client) = connection();
    let entry = entry(&clients, &server);
    let mut bytes = Vec::with_capacity(6);
    entry.receive_now(&mut bytes);
    assert_eq!(bytes, b"");
    client.write_all(b"12345678").unwrap();
    server.peek(&mut [0]).unwrap();
    entry.receive_now(&mut bytes);
    assert_eq!(bytes, b"123456");
}
