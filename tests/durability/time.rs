//! A process that stands still, and then goes on as if nothing had been; a disk whose syncs take 100 ms, or 5 s.

use std::thread::sleep;
use std::time::Duration;

use rustix::process::Signal;
use serde_json::json;

use crate::common::{Driver, Options, Server, eventually, request};

crate::both_drivers! {
    a_server_that_stood_still_for_longer_than_a_ttl_has_ended_the_lease_for_all,
    with_syncs_of_100_ms_everything_is_answered_and_durable,
    with_syncs_of_5_s_health_is_503_and_what_is_answered_is_durable,
}

fn a_server_that_stood_still_for_longer_than_a_ttl_has_ended_the_lease_for_all(driver: Driver) {
    let server = Server::on(driver);
    let (mut alice, mut bob) = (server.user("alice"), server.user("bob"));
    let grant = alice.grant("job", json!({ "ttl_seconds": 2 }));
    let longer = alice.grant("longer", json!({ "ttl_seconds": 600 }));
    stop_for_now(&server);
    // Sent while it stands still, answered when it goes on: the lease is over by then, whatever comes first.
    let renew = alice.post_bytes("/locks/job/renew", json!({ "lease_id": grant.lease_id }).to_string().as_bytes());
    alice.connection.send(&renew);
    sleep(Duration::from_secs(4));
    server.signal(Signal::CONT);
    alice.connection.read().refused(404, "lock_not_found");
    assert!(!bob.sees_held("job"), "it is free for others, too");
    let next = bob.grant("job", json!({}));
    assert!(next.token > longer.token, "{} after {}", next.token, longer.token);
    alice.renew("job", &grant.lease_id, json!({})).refused(409, "lease_not_current");
    let renewed = alice.renew("longer", &longer.lease_id, json!({})).expect(200);
    assert_eq!(renewed["fencing_token"], longer.token, "a lease that is not over goes on");
    eventually("it is well again", || health(&server) == 200);
}

/// Sends SIGSTOP, and waits until each of the threads stands still: on a busy machine that takes its time.
fn stop_for_now(server: &Server) {
    server.signal(Signal::STOP);
    let tasks = format!("/proc/{}/task", server.pid());
    let stands_still = |stat: String| stat.rsplit(") ").next().is_some_and(|state| state.starts_with('T'));
    eventually("it stands still", || {
        let mut tasks = std::fs::read_dir(&tasks).expect("the threads");
        tasks.all(|task| {
            let stat = std::fs::read_to_string(task.expect("a thread").path().join("stat"));
            stat.is_ok_and(stands_still)
        })
    });
}

fn health(server: &Server) -> u16 {
    server.connect().call(&request("GET", "/health", &[], b"")).status
}

/// A server whose every sync takes that long.
fn with_syncs_of(driver: Driver, time: Duration) -> Server {
    Server::start(Options::new(driver).inject("fdatasync", &format!("delay_exit={}", time.as_micros())))
}

/// After a kill and on a disk that is quick again, `name` is held by this lease.
fn assert_durable(server: &mut Server, name: &str, lease_id: &str) {
    server.kill9();
    server.options.wrapper.clear();
    server.start_again();
    assert_eq!(server.user("alice").renew(name, lease_id, json!({})).status, 200);
}

fn with_syncs_of_100_ms_everything_is_answered_and_durable(driver: Driver) {
    let mut server = with_syncs_of(driver, Duration::from_millis(100));
    let mut alice = server.user("alice");
    for i in 0..5 {
        let grant = alice.grant(&format!("lock-{i}"), json!({}));
        assert_eq!(alice.release(&format!("lock-{i}"), &grant.lease_id).status, 200);
    }
    let last = alice.grant("last", json!({}));
    assert_eq!(health(&server), 200);
    assert_durable(&mut server, "last", &last.lease_id);
}

fn with_syncs_of_5_s_health_is_503_and_what_is_answered_is_durable(driver: Driver) {
    let mut server = Server::start(Options::new(driver).inject("fdatasync", "delay_exit=5000000:when=30+"));
    let mut alice = server.user("alice");
    let mut last = alice.grant("lock", json!({}));
    for i in 0..40 {
        last = alice
            .grant(&format!("lock-{i}"), json!({ "ttl_seconds": 600, "lease_id": uuid::Uuid::new_v4().to_string() }));
        if server.options.delayed() > 0 {
            assert_eq!(health(&server), 503, "a sync takes longer than health waits");
            return assert_durable(&mut server, &format!("lock-{i}"), &last.lease_id);
        }
    }
    panic!("the syncs never become slow: {last:?}");
}
