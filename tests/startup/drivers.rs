//! Which driver runs, and that the log says it; also where the kernel refuses io_uring.
//!
//! A seccomp filter is what refuses it in containers, so the tests use one: it is put on a thread of the
//! test, and the server that this thread starts inherits it. What refuses it outside of them is the limit of locked memory, on kernels
//! that count rings as such: before 5.12, and again for some time now. It counts for those who lack CAP_IPC_LOCK.

use std::collections::BTreeMap;

use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter, SeccompRule,
    apply_filter,
};
use serde_json::{Value, json};

use crate::common::{Driver, Failed, Options, Server, request};

// The same numbers on every architecture.
const IO_URING_SETUP: i64 = 425;
const IO_URING_ENTER: i64 = 426;
const IO_URING_REGISTER: i64 = 427;
const EPERM: u32 = 1;
const ENOMEM: u32 = 12;

fn driver_of(server: &Server) -> Value {
    server.connect().call(&request("GET", "/health", &[], b"")).expect(200)["driver"].clone()
}

/// Starts a server for which io_uring's system calls fail, as Docker's default profile has it; or only the first of them,
/// and only with so many entries or more.
fn start_without_io_uring(driver: Driver, errno: u32, from_entries: Option<u64>) -> Result<Server, Failed> {
    let rules = from_entries.map(|entries| {
        let condition =
            SeccompCondition::new(0, SeccompCmpArgLen::Dword, SeccompCmpOp::Ge, entries).expect("a condition");
        SeccompRule::new(vec![condition]).expect("a rule")
    });
    let calls = match rules {
        Some(rule) => BTreeMap::from([(IO_URING_SETUP, vec![rule])]),
        None => BTreeMap::from([IO_URING_SETUP, IO_URING_ENTER, IO_URING_REGISTER].map(|call| (call, vec![]))),
    };
    let filter = SeccompFilter::new(
        calls,
        SeccompAction::Allow,
        SeccompAction::Errno(errno),
        std::env::consts::ARCH.try_into().expect("an architecture that has seccomp"),
    );
    let program: BpfProgram = filter.expect("a filter").try_into().expect("a program");
    let start = move || {
        apply_filter(&program).expect("seccomp");
        Server::try_start(Options::new(driver))
    };
    std::thread::spawn(start).join().expect("the thread that the filter is on")
}

/// Starts a server that may lock so much memory and no more, whoever runs the tests.
fn start_with_locked_memory(driver: Driver, kib: u32) -> Result<Server, Failed> {
    const CAP_IPC_LOCK: u64 = 1 << 14;
    let status = std::fs::read_to_string("/proc/self/status").expect("its status");
    let effective = status.lines().find_map(|line| line.strip_prefix("CapEff:")).expect("its capabilities");
    let is_privileged = u64::from_str_radix(effective.trim(), 16).expect("a mask") & CAP_IPC_LOCK != 0;
    let drop = if is_privileged { "setpriv --inh-caps -ipc_lock --bounding-set -ipc_lock" } else { "" };
    let mut options = Options::new(driver);
    let line = format!("ulimit -l {kib} && exec {drop} \"$@\"");
    options.wrapper = ["sh", "-c", &line, "sh"].map(str::to_owned).into();
    Server::try_start(options)
}

#[test]
fn each_driver_can_be_asked_for_and_the_log_names_it() {
    for driver in [Driver::IoUring, Driver::Epoll] {
        let server = Server::on(driver);
        assert_eq!(driver_of(&server), driver.name());
        assert!(server.log().contains(&format!("driver={}", driver.name())), "{}", server.log());
    }
}

#[test]
fn auto_is_io_uring_where_the_kernel_lets_us() {
    let server = Server::on(Driver::Auto);
    assert_eq!(driver_of(&server), "io_uring");
    assert!(server.log().contains("driver=io_uring"), "{}", server.log());
}

#[test]
fn auto_falls_back_to_epoll_where_io_uring_is_refused() {
    let server = start_without_io_uring(Driver::Auto, EPERM, None).expect("a start");
    assert_eq!(driver_of(&server), "epoll");
    assert!(server.log().contains("driver=epoll"), "{}", server.log());
    let grant = server.user("alice").grant("job", json!({}));
    assert_eq!(server.user("alice").renew("job", &grant.lease_id, json!({})).status, 200);
    assert_eq!(server.user("alice").release("job", &grant.lease_id).status, 200);
}

#[test]
fn auto_falls_back_to_epoll_where_only_a_ring_of_use_is_refused() {
    // As on kernels that count rings as locked memory: a tiny ring, for a try, is had; a real one is not.
    let server = start_without_io_uring(Driver::Auto, ENOMEM, Some(16)).expect("a start");
    assert_eq!(driver_of(&server), "epoll");
    server.user("alice").grant("job", json!({}));
}

#[test]
fn epoll_needs_no_io_uring() {
    let server = start_without_io_uring(Driver::Epoll, EPERM, None).expect("a start");
    assert_eq!(driver_of(&server), "epoll");
}

#[test]
fn io_uring_asked_for_and_refused_is_an_error_that_says_what_to_do() {
    let failed = start_without_io_uring(Driver::IoUring, EPERM, None).expect_err("it must not start");
    let error = failed.error();
    assert!(error.contains("io_uring") && error.contains("epoll"), "{error}");
}

#[test]
fn a_limit_of_locked_memory_that_is_too_low_for_rings_is_named() {
    let server = start_with_locked_memory(Driver::Auto, 64).expect("a start");
    server.user("alice").grant("job", json!({}));
    let explained = |text: &str| text.contains("the limit is 64 KiB") && text.contains("ulimit -l");
    // Whether this kernel counts rings is known only from what it does; with both drivers it must do the same.
    if driver_of(&server) == "epoll" {
        let log = server.log();
        let line = log.lines().find(|line| line.contains("driver=epoll")).expect("a line about the driver");
        assert!(explained(line), "{line}");
        let failed = start_with_locked_memory(Driver::IoUring, 64).expect_err("it must not start");
        let error = failed.error();
        assert!(explained(error) && error.contains("--driver epoll"), "{error}");
    } else {
        let other = start_with_locked_memory(Driver::IoUring, 64).expect("a start, since rings do not count");
        assert_eq!(driver_of(&other), "io_uring");
    }
}

#[test]
fn auto_starts_whatever_memory_may_be_locked() {
    // Once for a try and once for use, rings need it; what the try had is given back late.
    for kib in (512..=1536).step_by(128) {
        let started = start_with_locked_memory(Driver::Auto, kib);
        let server = started.unwrap_or_else(|failed| panic!("no start with {kib} KiB: {failed:?}"));
        server.user("alice").grant("job", json!({}));
    }
}
