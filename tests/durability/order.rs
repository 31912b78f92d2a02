//! The order of system calls: request read, journal written, synced, response written.

use std::fs;

use serde_json::json;
use uuid::Uuid;

use crate::common::{Driver, Options, Server, tools};

/// The trace of a server on epoll, where requests and responses pass through system calls that strace shows.
struct Trace(Vec<String>);

impl Trace {
    /// Traces a server while it does something, and stops it by a kill: so nothing comes after.
    fn of(act: impl FnOnce(&Server)) -> Trace {
        let mut options = Options::new(Driver::Epoll).workers(2);
        let file = options.home.file("trace");
        let calls = "trace=read,recvfrom,recvmsg,readv,write,writev,sendto,sendmsg,pwrite64,pwritev,fdatasync,fsync";
        options.wrapper = tools::strace(&file, &["-e", calls]);
        let mut server = Server::start(options);
        act(&server);
        server.kill9();
        Trace(fs::read_to_string(file).expect("the trace").lines().map(str::to_owned).collect())
    }

    /// The first line from `from` on that is as `wanted` says.
    #[track_caller]
    fn find(&self, from: usize, what: &str, wanted: impl Fn(&str) -> bool) -> usize {
        let found = self.0[from..].iter().position(|line| wanted(line));
        from + found.unwrap_or_else(|| panic!("no {what} from line {from} on:\n{}", self.0.join("\n")))
    }

    /// The lines between the end of the read that brought a request, and the begin of the write that answers it.
    #[track_caller]
    fn between(&self, request: &str, response: &str) -> &[String] {
        let read = self.find(0, request, |line| line.contains(request));
        let written = self.find(read, response, |line| line.contains("HTTP/1.1 ") && line.contains(response));
        &self.0[read + 1..written]
    }
}

/// Whether a line says that a call of this name has returned 0.
fn returned(line: &str, call: &str) -> bool {
    let whole = line.contains(&format!(" {call}(")) && !line.contains("<unfinished");
    (whole || line.contains(&format!("<... {call} resumed>"))) && line.contains("= 0")
}

/// Asserts that something was written and then synced to the end, among these lines.
#[track_caller]
fn assert_synced(lines: &[String]) {
    let text = lines.join("\n");
    let written = lines.iter().position(|line| line.contains("pwrite") || line.contains(" write("));
    let synced = lines.iter().rposition(|line| returned(line, "fdatasync"));
    assert!(written.is_some() && synced > written, "no write and fdatasync between request and response:\n{text}");
    assert!(
        !lines.iter().any(|line| line.contains("fsync(") && !line.contains("fdatasync(")),
        "fsync, not fdatasync:\n{text}"
    );
}

#[test]
fn a_grant_is_synced_before_it_is_answered() {
    let trace = Trace::of(|server| {
        server.user("alice").grant("watched", json!({ "metadata": "in-the-journal" }));
    });
    assert_synced(trace.between("POST /locks/watched/acquire", "acquired"));
}

#[test]
fn a_release_is_synced_before_it_is_answered() {
    let trace = Trace::of(|server| {
        let mut alice = server.user("alice");
        let grant = alice.grant("watched", json!({}));
        assert_eq!(alice.release("watched", &grant.lease_id).status, 200);
    });
    assert_synced(trace.between("POST /locks/watched/release", "released"));
}

#[test]
fn a_longer_renewal_is_synced_before_it_is_answered() {
    let trace = Trace::of(|server| {
        let mut alice = server.user("alice");
        let grant = alice.grant("watched", json!({ "ttl_seconds": 10 }));
        assert_eq!(alice.renew("watched", &grant.lease_id, json!({ "ttl_seconds": 100 })).status, 200);
    });
    assert_synced(trace.between("POST /locks/watched/renew", "renewed"));
}

#[test]
fn grants_of_every_worker_are_synced_before_they_are_answered() {
    let lease_id = |i: u128| Uuid::from_u128(0xfeed_0000 + i).to_string();
    let trace = Trace::of(|server| {
        for i in 0..16 {
            server.user("alice").grant(&format!("watched-{i}"), json!({ "lease_id": lease_id(i) }));
        }
    });
    for i in 0..16 {
        assert_synced(trace.between(&format!("POST /locks/watched-{i}/acquire"), &lease_id(i)));
    }
}

#[test]
fn a_renewal_that_is_no_longer_costs_no_sync() {
    let trace = Trace::of(|server| {
        let mut alice = server.user("alice");
        let grant = alice.grant("watched", json!({ "ttl_seconds": 100 }));
        // Time for the journal to do what it does when it is idle, so that none of that is in between.
        std::thread::sleep(std::time::Duration::from_secs(2));
        for ttl in [99, 100] {
            let body = json!({ "ttl_seconds": ttl });
            assert_eq!(alice.renew("watched", &grant.lease_id, body).status, 200);
        }
    });
    let lines = trace.between("ttl_seconds\\\":99", "renewed");
    assert!(!lines.iter().any(|line| line.contains("fdatasync")), "{}", lines.join("\n"));
}
