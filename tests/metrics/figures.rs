//! Each figure, and the thing that moves it.

use std::io::Write;
use std::process::{Command, Stdio};
use std::time::Duration;

use serde_json::json;
use uuid::Uuid;

use super::{page, scrape, some_traffic};
use crate::common::{Driver, Options, Server, eventually, request};

crate::both_drivers! {
    every_operation_is_counted_by_its_outcome,
    requests_are_counted_by_route_and_status_and_errors_by_reason,
    what_workers_count_is_shown_as_one_sum_that_never_falls,
    locks_that_a_restart_has_recovered_are_held,
    connections_are_counted_by_what_they_do_and_what_became_of_them,
    commands_refused_while_the_disk_hangs_are_counted_by_what_was_full,
    requests_for_a_stalled_worker_are_refused_once_its_inbox_is_full_and_counted,
    prometheus_own_linter_has_nothing_to_say,
}

fn outcome(operation: &str, outcome: &str) -> String {
    format!("octostore_operations_total{{operation=\"{operation}\",outcome=\"{outcome}\"}}")
}

fn every_operation_is_counted_by_its_outcome(driver: Driver) {
    // One worker: then no answer comes from another after its commit, and so without a wait.
    let server = Server::start(Options::new(driver).workers(1).args(&["--max-locks-per-user", "3"]));
    let (mut alice, mut bob) = (server.user("alice"), server.user("bob"));
    let grant = alice.grant("a", json!({ "ttl_seconds": 600 }));
    alice.grant("short", json!({ "ttl_seconds": 1 }));
    alice.grant("c", json!({ "ttl_seconds": 600 }));
    alice.acquire("d", json!({})).refused(403, "lock_limit_exceeded");
    bob.acquire("a", json!({})).expect(409);
    bob.renew("a", &Uuid::new_v4().to_string(), json!({})).refused(409, "lease_not_current");
    bob.renew("e", &Uuid::new_v4().to_string(), json!({})).refused(404, "lock_not_found");
    alice.renew("a", &grant.lease_id, json!({})).expect(200);
    assert!(bob.sees_held("a") && !bob.sees_held("e"));
    alice.list("");
    alice.release("a", &grant.lease_id).expect(200);
    eventually("the short lease has run out", || scrape(&server).get(&outcome("expire", "expired")) == 1.0);
    let seen = scrape(&server);
    for (operation, result, count) in [
        ("acquire", "acquired", 3.0),
        ("acquire", "limit_reached", 1.0),
        ("acquire", "held", 1.0),
        ("renew", "not_current", 1.0),
        ("renew", "not_found", 1.0),
        ("renew", "renewed", 1.0),
        ("status", "held", 1.0),
        ("status", "free", 1.0),
        ("list", "listed", 1.0),
        ("release", "released", 1.0),
        ("expire", "expired", 1.0),
    ] {
        assert_eq!(seen.get(&outcome(operation, result)), count, "{operation} {result}");
    }
    for operation in ["acquire", "renew", "release", "status", "list"] {
        let label = format!("operation=\"{operation}\"");
        let times = seen.sum("octostore_operation_duration_seconds_count", &label);
        assert_eq!(times, seen.sum("octostore_operations_total", &label), "each {operation} has its time");
    }
    // A grant and a release wait for their commits; how long is a part of the whole.
    for operation in ["acquire", "release"] {
        let of = |family: &str| seen.sum(family, &format!("operation=\"{operation}\""));
        assert!(of("octostore_operation_commit_wait_seconds_count") >= 1.0, "{operation}");
        let (wait, whole) =
            (of("octostore_operation_commit_wait_seconds_sum"), of("octostore_operation_duration_seconds_sum"));
        assert!(wait > 0.0 && wait <= whole, "{wait} of {whole}");
    }
    eventually("one lock is held", || scrape(&server).get("octostore_locks_held") == 1.0);
}

fn requests_are_counted_by_route_and_status_and_errors_by_reason(driver: Driver) {
    let server = Server::on(driver);
    let mut alice = server.user("alice");
    let grant = alice.grant("a", json!({}));
    alice.release("a", &grant.lease_id).expect(200);
    alice.get("/locks/a_b").refused(400, "invalid_lock_name");
    alice.get("/nowhere").refused(404, "not_found");
    alice.get("/locks/a/acquire").refused(405, "method_not_allowed");
    alice.get("/health").expect(200);
    assert_eq!(alice.get("/").status, 200);
    server.connect().call(&request("GET", "/locks", &[], b"")).refused(401, "authentication_required");
    server.connect().call(b"what is this\r\n\r\n").refused(400, "bad_request");
    scrape(&server);
    let seen = scrape(&server);
    for (route, status, count) in [
        ("/locks/{name}/acquire", 200, 1.0),
        ("/locks/{name}/acquire", 405, 1.0),
        ("/locks/{name}/release", 200, 1.0),
        ("/locks/{name}", 400, 1.0),
        ("/locks", 401, 1.0),
        ("/health", 200, 1.0),
        ("/metrics", 200, 1.0), // that one is counted once it is written
        ("pages", 200, 1.0),
        ("none", 404, 1.0),
        ("none", 400, 1.0),
    ] {
        let series = format!("octostore_http_requests_total{{route=\"{route}\",status=\"{status}\"}}");
        assert_eq!(seen.get(&series), count, "{series}");
    }
    for reason in ["invalid_lock_name", "not_found", "method_not_allowed", "authentication_required", "bad_request"] {
        assert_eq!(seen.get(&format!("octostore_refusals_total{{reason=\"{reason}\"}}")), 1.0, "{reason}");
    }
}

fn what_workers_count_is_shown_as_one_sum_that_never_falls(driver: Driver) {
    let server = Server::start(Options::new(driver).workers(2).args(&["--max-locks-per-user", "1000"]));
    let mut earlier = scrape(&server);
    for round in 1..=5 {
        let mut alice = server.user("alice"); // at either worker
        (0..60).for_each(|i| _ = alice.grant(&format!("job-{round}-{i}"), json!({ "ttl_seconds": 600 })));
        eventually("all locks are counted", || scrape(&server).get("octostore_locks_held") == f64::from(60 * round));
        let now = scrape(&server);
        assert_eq!(now.get(&outcome("acquire", "acquired")), f64::from(60 * round));
        for (series, before) in earlier.samples().filter(|(series, _)| counts(series)) {
            assert!(now.get(series) >= before, "{series} has fallen from {before}");
        }
        earlier = now;
    }
    assert_eq!(earlier.get("octostore_workers"), 2.0);
    let handoffs = earlier.get("octostore_handoffs_total");
    assert!(handoffs > 0.0 && handoffs < 300.0, "about every second of three hundred crosses: {handoffs}");
    assert!(earlier.get("octostore_doorbell_rings_total") > 0.0);
    assert_eq!(earlier.get("octostore_journal_batch_changes_sum"), 300.0);
    let commits = earlier.get("octostore_journal_commit_duration_seconds_count");
    assert!(commits > 0.0 && earlier.get("octostore_journal_sync_duration_seconds_count") == commits);
    let time = |what| earlier.get(&format!("octostore_journal_{what}_duration_seconds_sum"));
    assert!(time("sync") > 0.0 && time("sync") < time("commit"), "a sync is a part of its commit");
    assert!(earlier.get("octostore_journal_commits") > 0.0 && earlier.get("octostore_journal_records_bytes") > 0.0);
    assert!(earlier.get("octostore_journal_commits") < earlier.get("octostore_journal_commits_limit"));
    eventually("the rows are folded and the log is checkpointed", || {
        let now = scrape(&server);
        now.get("octostore_journal_folded_rows_total") >= 300.0
            && now.get("octostore_journal_fold_duration_seconds_count") > 0.0
            && now.get("octostore_disk_free_bytes") > 0.0
            && now.get("octostore_journal_checkpoint_duration_seconds_count") > 0.0
    });
    let now = scrape(&server);
    assert!(now.get("octostore_disk_free_bytes") <= now.get("octostore_disk_bytes"));
    assert!(now.get("octostore_database_bytes") >= 4096.0 && now.get("octostore_wal_bytes") > 0.0);
    assert_eq!(now.get("octostore_inbox_full_total"), 0.0);
    assert!(now.get("process_cpu_seconds_total") > 0.0 && now.get("process_open_fds") > 5.0);
    assert_eq!(now.label("octostore_build_info", "version"), Some(env!("CARGO_PKG_VERSION")));
    assert_eq!(now.label("octostore_build_info", "driver"), Some(driver.name()));
}

fn counts(series: &str) -> bool {
    let name = series.split('{').next().unwrap_or(series);
    ["_total", "_bucket", "_sum", "_count"].iter().any(|end| name.ends_with(end))
}

fn locks_that_a_restart_has_recovered_are_held(driver: Driver) {
    let mut server = Server::on(driver);
    let mut alice = server.user("alice");
    (0..7).for_each(|i| _ = alice.grant(&format!("job-{i}"), json!({ "ttl_seconds": 600 })));
    let before = scrape(&server);
    server.kill9();
    server.start_again();
    eventually("the recovered locks are held", || scrape(&server).get("octostore_locks_held") == 7.0);
    let after = scrape(&server);
    assert_eq!(after.sum("octostore_operations_total", "acquire"), 0.0, "counters begin again");
    assert!(after.get("process_start_time_seconds") > before.get("process_start_time_seconds"));
    assert!(after.get("octostore_journal_commits_limit") > 0.0, "known before the first commit");
}

fn connections_are_counted_by_what_they_do_and_what_became_of_them(driver: Driver) {
    let server = Server::start(Options::new(driver).args(&["--max-connections", "3", "--head-timeout", "0.5"]));
    let mut scraper = server.connect();
    let mut look = || {
        let response = scraper.call(&request("GET", "/metrics", &[], b""));
        octostore::metrics::Reading::of(&response.text()).expect("a page")
    };
    assert_eq!(look().get("octostore_connections_limit"), 3.0);
    let silent = [server.connect(), server.connect()];
    eventually("two wait to send", || look().get("octostore_connections{state=\"reading\"}") >= 2.0);
    server.connect().read().refused(503, "overloaded");
    let seen = look();
    assert_eq!(seen.get("octostore_connections_refused_total{reason=\"limit\"}"), 1.0);
    assert_eq!(seen.get("octostore_connections_accepted_total"), 3.0);
    eventually("the silent ones are cut", || look().get("octostore_connections_cut_total{late_in=\"sending\"}") == 2.0);
    drop(silent);
}

/// The disk hangs from some sync on: what is asked for then piles up to its bound, and what comes beyond is refused.
fn commands_refused_while_the_disk_hangs_are_counted_by_what_was_full(driver: Driver) {
    let options = Options::new(driver).workers(1).args(&["--max-locks-per-user", "1000000"]);
    let server = Server::start(options.inject("fdatasync", "delay_exit=8000000:when=61+"));
    let mut alice = server.user("alice");
    for i in 0..200 {
        if server.options.delayed() > 0 {
            break;
        }
        alice.grant(&format!("before-{i}"), json!({}));
    }
    let body = json!({ "ttl_seconds": 600, "metadata": "m".repeat(1024) }).to_string();
    let mut askers = Vec::new();
    let mut refused = 0.0;
    for i in 0..200 {
        let mut asker = server.user("alice");
        let burst: Vec<u8> =
            (0..64).flat_map(|j| asker.post_bytes(&format!("/locks/pile-{i}-{j}/acquire"), body.as_bytes())).collect();
        asker.connection.send(&burst);
        askers.push(asker);
        refused = scrape(&server).get("octostore_overloads_total{bound=\"open_batch\"}");
        if refused > 0.0 {
            break;
        }
    }
    assert!(refused > 0.0, "the batch never becomes full");
}

/// One of two workers stalls; the other goes on to take requests, every second of which is the stalled one's to answer.
fn requests_for_a_stalled_worker_are_refused_once_its_inbox_is_full_and_counted(driver: Driver) {
    let options = Options::new(driver).workers(2).args(&["--watchdog", "0"]);
    // Its 4,000th wait takes 12 s: it comes to that by a connection that keeps it busy, long before the other.
    let server = Server::start(options.inject_in_waits("delay_enter=12000000:when=4000"));
    let mut busy = server.connect();
    let stalled = (0..20_000).any(|_| {
        busy.send(&request("GET", "/locks", &[], b""));
        let answers = busy.answers_within(Duration::from_millis(500));
        if answers {
            busy.read();
        }
        !answers
    });
    assert!(stalled, "the worker never stalls");
    // A connection of its own each time: one may be the stalled worker's.
    let full = || {
        let mut scraper = server.connect();
        scraper.send(&request("GET", "/metrics", &[], b""));
        let page = scraper.answers_within(Duration::from_millis(500)).then(|| scraper.read().text());
        page.map(|page| octostore::metrics::Reading::of(&page).expect("a page").get("octostore_inbox_full_total"))
    };
    let mut askers = Vec::new();
    while full().is_none_or(|full| full == 0.0) {
        assert!(askers.len() < 16_384 / 32, "an inbox has no bound");
        for _ in 0..48 {
            let mut asker = server.user("alice");
            let of = |j| asker.get_bytes(&format!("/locks/pile-{}-{j}", askers.len()));
            let burst: Vec<u8> = (0..64).flat_map(of).collect();
            asker.connection.send(&burst);
            askers.push(asker);
        }
    }
    let mut refused = 0.0;
    for response in askers.iter_mut().flat_map(|asker| (0..64).map(|_| asker.connection.read()).collect::<Vec<_>>()) {
        if response.status == 503 {
            response.refused(503, "overloaded");
            assert_eq!(response.header("retry-after"), Some("1"));
            refused += 1.0;
        } else {
            assert_eq!(response.expect(200)["status"], "free", "what was accepted is answered");
        }
    }
    assert!(refused > 0.0);
    assert_eq!(scrape(&server).get("octostore_inbox_full_total"), refused, "each of them, and no other");
    let health = || server.connect().call(&request("GET", "/health", &[], b"")).status;
    eventually("it is well again", || health() == 200);
}

fn prometheus_own_linter_has_nothing_to_say(driver: Driver) {
    let server = Server::on(driver);
    some_traffic(&server);
    let page = page(&server);
    let mut promtool = Command::new("promtool")
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("promtool (the package prometheus) is needed");
    promtool.stdin.take().expect("a pipe").write_all(page.as_bytes()).expect("it reads");
    let output = promtool.wait_with_output().expect("it ends");
    let said = [output.stdout, output.stderr].concat();
    assert!(output.status.success() && said.is_empty(), "{}", String::from_utf8_lossy(&said));
    assert!(page.len() < 96 << 10, "{} bytes", page.len());
}
