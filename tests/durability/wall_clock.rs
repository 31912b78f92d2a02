//! A wall clock that steps an hour ahead, and back, under the real binary: dates follow it, leases do not.
//!
//! `tests/stepped_clock` is the clock: an object that is preloaded into the server, so that all its threads see a wall clock that the
//! test sets. That it does is shown each time by `expires_at` and `Date`, which are for people and must follow.

use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::LazyLock;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::sleep;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::common::{Driver, Grant, Options, PATIENCE, Server, User, eventually, instant, options::text, request};

crate::both_drivers! {
    a_step_of_the_wall_clock_ends_no_lease_early_and_keeps_none_for_longer,
    a_step_of_the_wall_clock_between_a_kill_and_a_start_loses_nothing,
}

const HOUR_S: i64 = 3600;
/// The TTL of the lock that several want.
const CONTESTED_TTL: Duration = Duration::from_secs(1);

/// Builds the object; nothing is to be done if it is there.
static OBJECT: LazyLock<PathBuf> = LazyLock::new(|| {
    // A target directory of its own: that of the tests is locked as long as they are built and run.
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).join("stepped-clock");
    let built = Command::new(env!("CARGO"))
        .args(["build", "--quiet", "--locked", "--package", "stepped-clock", "--target-dir"])
        .arg(&target)
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .env_remove("CARGO_BUILD_TARGET")
        .output()
        .expect("cargo");
    assert!(built.status.success(), "{}", String::from_utf8_lossy(&built.stderr));
    target.join("debug/libstepped_clock.so")
});

/// The wall clock that a server sees.
struct WallClock {
    file: File,
    ahead_s: i64,
}

impl WallClock {
    /// One that is right so far, for the server that is started with `options`.
    fn under(options: Options) -> (WallClock, Options) {
        let path = options.home.file("stepped-clock");
        fs::write(&path, 0_i64.to_ne_bytes()).expect("the clock");
        let file = File::options().write(true).open(&path).expect("the clock");
        let options = options.env("LD_PRELOAD", text(&OBJECT)).env("STEPPED_CLOCK", text(&path));
        (WallClock { file, ahead_s: 0 }, options)
    }

    fn step(&mut self, seconds: i64) {
        self.ahead_s += seconds;
        self.file.write_all_at(&(self.ahead_s * 1_000_000_000).to_ne_bytes(), 0).expect("the clock");
    }

    /// Whether `expires_at` says what this clock does when `ttl_seconds` are left, or up to PATIENCE less.
    fn agrees(&self, expires_at: &Value, ttl_seconds: i64) -> bool {
        let left = instant(expires_at).as_second() - jiff::Timestamp::now().as_second() - self.ahead_s;
        (ttl_seconds - PATIENCE.as_secs() as i64..=ttl_seconds + 1).contains(&left)
    }

    /// Waits until the server goes by this clock in all that is for people, on every worker; meanwhile `kept` is renewed.
    #[track_caller]
    fn is_seen(&self, server: &Server, alice: &mut User, kept: &Grant) {
        let mut agreed_in_a_row = 0;
        eventually("dates follow the wall clock", || {
            let renewed = alice.renew("kept", &kept.lease_id, json!({})).expect(200);
            assert_eq!(renewed["fencing_token"], kept.token, "{renewed}");
            let agrees = self.agrees(&renewed["expires_at"], 600) && self.is_seen_on_a_new_connection(server);
            agreed_in_a_row = if agrees { agreed_in_a_row + 1 } else { 0 };
            agreed_in_a_row >= 6
        });
    }

    fn is_seen_on_a_new_connection(&self, server: &Server) -> bool {
        let mut bob = server.user("bob");
        let health = bob.connection.call(&request("GET", "/health", &[], b""));
        let uptime_s = health.expect(200)["uptime_seconds"].as_i64().expect("seconds");
        assert!(uptime_s < HOUR_S, "{uptime_s} s: no wall clock is in it");
        let date = jiff::fmt::rfc2822::parse(health.header("date").expect("a date")).expect("a date of HTTP");
        let behind_s = jiff::Timestamp::now().as_second() + self.ahead_s - date.timestamp().as_second();
        let status = bob.status("kept");
        assert_eq!(status["status"], "held", "{status}");
        self.agrees(&status["expires_at"], 600) && (-1..=PATIENCE.as_secs() as i64).contains(&behind_s)
    }
}

/// Says that it is over, also when a test fails: others wait for it.
struct Until<'a>(&'a AtomicBool);

impl Drop for Until<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// A grant, and between which instants of a clock that does not step it was made.
struct Turn {
    sent: Instant,
    answered: Instant,
    token: u64,
}

/// Takes the lock whenever it is free, and never gives it back.
fn compete(mut user: User, is_over: &AtomicBool) -> Vec<Turn> {
    let mut turns = Vec::new();
    while !is_over.load(Ordering::Relaxed) {
        let sent = Instant::now();
        let answer = user.acquire("contested", json!({ "ttl_seconds": CONTESTED_TTL.as_secs() }));
        if answer.status == 200 {
            turns.push(Turn { sent, answered: Instant::now(), token: Grant::of(&answer).token });
        }
        sleep(Duration::from_millis(5));
    }
    turns
}

fn a_step_of_the_wall_clock_ends_no_lease_early_and_keeps_none_for_longer(driver: Driver) {
    let (mut clock, options) = WallClock::under(Options::new(driver));
    let server = Server::start(options);
    let mut alice = server.user("alice");
    let kept = alice.grant("kept", json!({ "ttl_seconds": 600 }));
    clock.is_seen(&server, &mut alice, &kept);
    let is_over = AtomicBool::new(false);
    let mut turns: Vec<Turn> = std::thread::scope(|scope| {
        let others: Vec<_> = ["alice", "bob", "bob"]
            .map(|user| server.user(user))
            .map(|user| scope.spawn(|| compete(user, &is_over)))
            .into();
        let until = Until(&is_over);
        for step in [HOUR_S, -HOUR_S, -HOUR_S, HOUR_S] {
            // In the middle of somebody's lease, with one of mine that nobody renews.
            let name = format!("short-{}-{step}", clock.ahead_s);
            let sent = Instant::now();
            alice.grant(&name, json!({ "ttl_seconds": 2 }));
            sleep(CONTESTED_TTL / 2);
            clock.step(step);
            clock.is_seen(&server, &mut alice, &kept);
            eventually("who renews no more holds no more", || !alice.sees_held(&name));
            assert!(sent.elapsed() >= Duration::from_secs(2), "it has ended after {:?}", sent.elapsed());
            assert_eq!(
                alice.list("")["locks"].as_array().expect("a list").iter().filter(|l| l["name"] == "kept").count(),
                1
            );
        }
        drop(until);
        others.into_iter().flat_map(|other| other.join().expect("a client")).collect()
    });
    turns.sort_unstable_by_key(|turn| turn.token);
    assert!(turns.len() >= 5, "{} times it was had, through four steps", turns.len());
    for pair in turns.windows(2) {
        let [earlier, later] = pair else { unreachable!() };
        let apart = later.answered.duration_since(earlier.sent);
        assert!(earlier.token < later.token && apart >= CONTESTED_TTL, "granted again after {apart:?}");
    }
}

fn a_step_of_the_wall_clock_between_a_kill_and_a_start_loses_nothing(driver: Driver) {
    let (mut clock, options) = WallClock::under(Options::new(driver));
    let mut server = Server::start(options);
    let mut alice = server.user("alice");
    let kept = alice.grant("kept", json!({ "ttl_seconds": 600 }));
    let mut highest = kept.token;
    for step in [HOUR_S, -HOUR_S, -HOUR_S, HOUR_S] {
        let name = format!("short-{}-{step}", clock.ahead_s);
        let short = alice.grant(&name, json!({ "ttl_seconds": 2 }));
        assert!(short.token > highest, "{} after {highest}", short.token);
        server.kill9();
        clock.step(step);
        let started = Instant::now();
        server.start_again();
        (alice, highest) = (server.user("alice"), short.token);
        server.user("bob").acquire("kept", json!({})).expect(409);
        clock.is_seen(&server, &mut alice, &kept);
        // It has its full TTL again, and not an hour.
        eventually("who renews no more holds no more", || !alice.sees_held(&name));
        assert!(started.elapsed() >= Duration::from_secs(2), "it has ended after {:?}", started.elapsed());
        let next = server.user("bob").grant(&name, json!({ "ttl_seconds": 1 }));
        assert!(next.token > highest, "{} after {highest}", next.token);
        highest = next.token;
    }
    assert_eq!(alice.release("kept", &kept.lease_id).status, 200);
}
