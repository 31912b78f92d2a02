//! Many requests in one write: answers in order, effects on one name in order.

use std::thread;

use serde_json::json;
use uuid::Uuid;

use crate::common::tools::strace;
use crate::common::{Driver, Options, Server, User};

crate::both_drivers! {
    rule_13_sixty_four_mixed_requests_are_answered_in_order,
    rule_13_requests_on_one_name_take_effect_in_order,
    rule_13_a_list_sees_all_that_was_sent_before_it,
    thousands_at_once_are_answered_in_order,
    a_malformed_request_is_answered_after_those_before_it,
    many_connections_pipeline_at_once,
}

/// The requests in one write; the answers, status and a text in each, in order.
#[track_caller]
fn expect_in_order(user: &mut User, requests: &[Vec<u8>], wanted: &[(u16, String)]) {
    user.connection.send(&requests.concat());
    for (i, (status, text)) in wanted.iter().enumerate() {
        let response = user.connection.read();
        assert_eq!(response.status, *status, "answer {i}: {}", response.text());
        assert!(response.text().contains(text), "answer {i} has no {text}: {}", response.text());
    }
}

fn rule_13_sixty_four_mixed_requests_are_answered_in_order(driver: Driver) {
    let server = Server::start(Options::new(driver).workers(3));
    let mut alice = server.user("alice");
    let mut requests = Vec::new();
    let mut wanted = Vec::new();
    for i in 0..8 {
        let (name, lease_id) = (format!("lock-{i}"), Uuid::new_v4().to_string());
        let own = json!({ "lease_id": lease_id }).to_string();
        let mut ask = |request, status, text: &str| {
            requests.push(request);
            wanted.push((status, text.to_owned()));
        };
        ask(alice.post_bytes(&format!("/locks/{name}/acquire"), own.as_bytes()), 200, &lease_id);
        ask(alice.get_bytes(&format!("/locks/free-{i}")), 200, &format!("free-{i}"));
        ask(alice.get_bytes("/health"), 200, "\"ok\"");
        ask(alice.get_bytes(&format!("/locks/{name}")), 200, &name);
        ask(alice.get_bytes("/nowhere"), 404, "not_found");
        ask(alice.post_bytes(&format!("/locks/{name}/renew"), own.as_bytes()), 200, &lease_id);
        ask(alice.get_bytes(&format!("/locks/bad_{i}")), 400, "invalid_lock_name");
        ask(alice.post_bytes(&format!("/locks/{name}/release"), own.as_bytes()), 200, &format!("\"{name}\""));
    }
    assert_eq!(requests.len(), 64);
    expect_in_order(&mut alice, &requests, &wanted);
}

fn rule_13_requests_on_one_name_take_effect_in_order(driver: Driver) {
    let server = Server::start(Options::new(driver).workers(4));
    let mut alice = server.user("alice");
    for round in 0..20 {
        let (first, second) = (Uuid::new_v4().to_string(), Uuid::new_v4().to_string());
        let [with_first, with_second] = [&first, &second].map(|id| json!({ "lease_id": id }).to_string().into_bytes());
        let target = |call| format!("/locks/round-{round}/{call}");
        let requests = [
            alice.post_bytes(&target("acquire"), &with_first),
            alice.post_bytes(&target("acquire"), &with_second),
            alice.post_bytes(&target("release"), &with_first),
            alice.get_bytes(&format!("/locks/round-{round}")),
            alice.post_bytes(&target("acquire"), &with_second),
            alice.post_bytes(&target("renew"), &with_first),
            alice.post_bytes(&target("release"), &with_second),
            alice.post_bytes(&target("release"), &with_second),
        ];
        let wanted = [
            (200, first.as_str()),
            (409, "\"held\""),
            (200, "released"),
            (200, "\"free\""),
            (200, second.as_str()),
            (409, "lease_not_current"),
            (200, "released"),
            (404, "lock_not_found"),
        ];
        expect_in_order(&mut alice, &requests, &wanted.map(|(status, text)| (status, text.to_owned())));
    }
}

fn rule_13_a_list_sees_all_that_was_sent_before_it(driver: Driver) {
    let server = Server::start(Options::new(driver).workers(4));
    let mut alice = server.user("alice");
    let mut requests: Vec<Vec<u8>> =
        (0..40).map(|i| alice.post_bytes(&format!("/locks/lock-{i}/acquire"), b"")).collect();
    requests.push(alice.get_bytes("/locks"));
    requests.push(alice.post_bytes("/locks/later/acquire", b""));
    let mut wanted = vec![(200, "acquired".to_owned()); 40];
    wanted.extend([(200, "\"total\":40".to_owned()), (200, "acquired".to_owned())]);
    expect_in_order(&mut alice, &requests, &wanted);
}

fn thousands_at_once_are_answered_in_order(driver: Driver) {
    let server = Server::on(driver);
    let mut alice = server.user("alice");
    let count = 5000;
    let requests: Vec<u8> = (0..count).flat_map(|i| alice.get_bytes(&format!("/locks/n-{i}-"))).collect();
    // More than fits between the two: the server must stop reading while nobody takes its answers.
    let mut writer = alice.connection.writer();
    let writing = thread::spawn(move || std::io::Write::write_all(&mut writer, &requests));
    for i in 0..count {
        assert_eq!(alice.connection.read().expect(200)["name"], format!("n-{i}-"));
    }
    writing.join().expect("the writer").expect("all was taken");
}

fn a_malformed_request_is_answered_after_those_before_it(driver: Driver) {
    let server = Server::on(driver);
    let mut alice = server.user("alice");
    let good: Vec<u8> = (0..10).flat_map(|i| alice.post_bytes(&format!("/locks/lock-{i}/acquire"), b"")).collect();
    let bad = b"GET /health HTTP/1.1\r\nHost: x\r\nContent-Length: 1, 2\r\n\r\n".to_vec();
    let after = alice.post_bytes("/locks/after/acquire", b"");
    alice.connection.send(&[good, bad, after].concat());
    for _ in 0..10 {
        assert_eq!(alice.connection.read().expect(200)["status"], "acquired");
    }
    alice.connection.read().refusal(400);
    assert!(alice.connection.drain(), "nobody knows where the next request would begin");
    assert!(!server.user("alice").sees_held("after"));
}

fn many_connections_pipeline_at_once(driver: Driver) {
    let server = Server::start(Options::new(driver).workers(4).args(&["--max-locks-per-user", "100000"]));
    thread::scope(|scope| {
        for client in 0..16 {
            let server = &server;
            scope.spawn(move || {
                let mut alice = server.user("alice");
                for round in 0..10 {
                    let ids: Vec<String> = (0..32).map(|_| Uuid::new_v4().to_string()).collect();
                    let requests: Vec<Vec<u8>> = ids
                        .iter()
                        .enumerate()
                        .map(|(i, id)| {
                            let target = format!("/locks/c-{client}-{round}-{i}/acquire");
                            alice.post_bytes(&target, json!({ "lease_id": id }).to_string().as_bytes())
                        })
                        .collect();
                    let wanted: Vec<_> = ids.into_iter().map(|id| (200, id)).collect();
                    expect_in_order(&mut alice, &requests, &wanted);
                }
            });
        }
    });
    assert_eq!(server.user("alice").list("?limit=1")["total"], 16 * 10 * 32);
}

/// On epoll, since what a ring sends is no system call.
#[test]
fn a_burst_of_answers_leaves_in_one_write() {
    let mut options = Options::new(Driver::Epoll).workers(1);
    let (home, trace) = (options.home.clone(), options.home.file("trace"));
    options.wrapper = strace(&trace, &["-e", "trace=sendto,sendmsg,write,writev"]);
    let mut server = Server::start(options);
    let mut alice = server.user("alice");
    let requests: Vec<u8> = (0..64).flat_map(|i| alice.get_bytes(&format!("/locks/burst-{i}"))).collect();
    assert!(requests.len() > 4096, "more than a small buffer");
    alice.connection.send(&requests);
    for i in 0..64 {
        assert_eq!(alice.connection.read().expect(200)["name"], format!("burst-{i}"));
    }
    assert!(server.terminate().success());
    let trace = std::fs::read_to_string(trace).expect("a trace");
    let writes: Vec<&str> = trace.lines().filter(|line| line.contains("burst-")).collect();
    assert_eq!(writes.len(), 1, "{writes:#?}");
    assert!(writes[0].contains("burst-0"), "{}", writes[0]);
    drop(home);
}
