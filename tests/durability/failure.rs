//! A journal that fails stops the server: nothing more is acknowledged, requests get 503 for a moment,
//! the process ends with an error, and the next start has everything that was acknowledged.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use serde_json::json;

use crate::common::options::text;
use crate::common::{Driver, Grant, Options, Server, tools};

crate::both_drivers! {
    a_sync_that_fails_stops_the_server_and_loses_nothing,
    a_sync_that_fails_but_once_stops_the_server_too,
    a_full_disk_stops_the_server_and_loses_nothing,
    a_file_at_its_largest_stops_the_server_and_loses_nothing,
    rule_12_a_worker_that_is_stuck_stops_the_process,
}

/// What eight clients were told until the server was gone.
#[derive(Default)]
struct Told {
    grants: Mutex<BTreeMap<String, Grant>>,
    unavailable: AtomicU64,
}

impl Told {
    /// Acquires, and releases now and then, until the server is gone. `metadata` fills the disk.
    fn until_it_is_gone(server: &Server, metadata: &str) -> Told {
        let told = Told::default();
        std::thread::scope(|scope| {
            for client in 0..8 {
                let told = &told;
                scope.spawn(move || told.one_client(server, client, metadata));
            }
        });
        told
    }

    fn one_client(&self, server: &Server, client: usize, metadata: &str) {
        let mut alice = server.user("alice");
        for i in 0..100_000 {
            let name = format!("client-{client}-lock-{i}");
            let body = json!({ "ttl_seconds": 3600, "metadata": metadata }).to_string();
            let request = alice.post_bytes(&format!("/locks/{name}/acquire"), body.as_bytes());
            let Ok(response) = alice.connection.try_call(&request) else { return };
            if response.status == 503 {
                response.refused(503, "overloaded");
                assert!(response.header("retry-after").is_some_and(|seconds| seconds.parse::<u64>().is_ok()));
                self.unavailable.fetch_add(1, Ordering::Relaxed);
                // Refused requests come back at once; the server ends within a second or so.
                std::thread::sleep(std::time::Duration::from_millis(5));
                continue;
            }
            self.grants.lock().expect("grants").insert(name, Grant::of(&response));
        }
        panic!("the server was to fail long before");
    }

    /// Starts the server again, on a disk that is well, and compares.
    #[track_caller]
    fn compare(self, server: &mut Server) {
        server.options.wrapper.clear();
        server.start_again();
        let mut alice = server.user("alice");
        let grants = self.grants.into_inner().expect("grants");
        assert!(!grants.is_empty(), "something was acknowledged before the failure");
        let mut highest = 0;
        for (name, grant) in &grants {
            let renewed = alice.renew(name, &grant.lease_id, json!({})).expect(200);
            assert_eq!(renewed["fencing_token"], grant.token, "{name}");
            highest = highest.max(grant.token);
        }
        assert!(alice.grant("after", json!({})).token > highest);
    }
}

/// Asserts that the server ends by itself, as one that has failed, and that it says why.
#[track_caller]
fn assert_failed(server: &mut Server, why: &[&str]) {
    let status = server.wait();
    assert!(status.code().is_some_and(|code| code != 0), "{status}: {}", server.log());
    let log = server.log();
    assert!(!log.contains("panicked at"), "{log}");
    let last = log.trim_end().lines().last().unwrap_or_default().to_lowercase();
    assert!(why.iter().any(|why| last.contains(why)), "the last line does not say why: {log}");
}

fn many_locks(driver: Driver) -> Options {
    Options::new(driver).args(&["--max-locks-per-user", "1000000"])
}

fn a_sync_that_fails(driver: Driver, when: &str) {
    let mut server = Server::start(many_locks(driver).inject("fdatasync", &format!("error=EIO:when={when}")));
    let told = Told::until_it_is_gone(&server, "");
    assert_failed(&mut server, &["i/o error", "input/output error", "fsync", "fdatasync"]);
    assert!(told.unavailable.load(Ordering::Relaxed) > 0, "while it ends, it says that it is unavailable");
    told.compare(&mut server);
}

fn a_sync_that_fails_stops_the_server_and_loses_nothing(driver: Driver) {
    a_sync_that_fails(driver, "60+");
}

fn a_sync_that_fails_but_once_stops_the_server_too(driver: Driver) {
    // The kernel reports an error of a sync once and forgets it; a second try would succeed and prove nothing.
    a_sync_that_fails(driver, "60");
}

fn a_full_disk_stops_the_server_and_loses_nothing(driver: Driver) {
    let mut options = many_locks(driver);
    let wal = format!("{}-wal", options.database.display());
    let calls = "trace=write,pwrite64,pwritev,fallocate,ftruncate";
    let rule = "inject=write,pwrite64,pwritev,fallocate:error=ENOSPC:when=200+";
    let rules = ["-P", text(&options.database), "-P", &wal, "-e", calls, "-e", rule];
    options.wrapper = tools::strace(&options.home.file("trace"), &rules);
    let mut server = Server::start(options);
    let told = Told::until_it_is_gone(&server, "");
    assert_failed(&mut server, &["full", "no space"]);
    told.compare(&mut server);
}

fn a_file_at_its_largest_stops_the_server_and_loses_nothing(driver: Driver) {
    // A first run, for the sizes that files have anyway; then half a MiB is left for them to grow.
    let mut server = Server::start(many_locks(driver));
    server.user("alice").grant("first", json!({}));
    server.kill9();
    let files = std::fs::read_dir(&server.options.home.path).expect("the directory");
    let largest = files.map(|file| file.expect("a file").metadata().expect("its size").len()).max().expect("a file");
    // The signal that goes with the limit is ignored, so that the write fails instead.
    let limit = format!("trap '' XFSZ; ulimit -f {}; exec \"$0\" \"$@\"", (largest + (512 << 10)) / 512);
    server.options.wrapper = vec!["sh".into(), "-c".into(), limit];
    server.start_again();
    let told = Told::until_it_is_gone(&server, &"m".repeat(1024));
    assert_failed(&mut server, &["full", "i/o error", "too large", "no space"]);
    told.compare(&mut server);
}

/// A worker whose wait for I/O does not come back for long is stuck, whatever the reason: its locks would hang for ever.
fn rule_12_a_worker_that_is_stuck_stops_the_process(driver: Driver) {
    let options = Options::new(driver).args(&["--watchdog", "5"]);
    let mut server = Server::start(options.inject_in_waits("delay_enter=14000000:when=100"));
    assert!(!server.wait().success(), "{}", server.log());
    assert!(server.log().contains("is stuck"), "{}", server.log());
}
