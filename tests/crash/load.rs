//! The load: clients that acquire, retry, renew, release and look, through one crash after another.
//!
//! A client goes on after a crash where it was: what it holds it renews, and an acquire or a release whose answer it never
//! read it sends again, with the same lease id. The locks wander: every round a new one comes and the oldest goes, because
//! a lease that nobody ends would live through any number of crashes, each of which gives it its full TTL again.

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::sync::Barrier;
use std::time::{Duration, Instant};
use std::{env, fs, thread};

use serde_json::{Value, json};
use uuid::Uuid;

use crate::common::{Connection, Driver, Options, Random, Response, Server, User, token_of};
use crate::history::{Event, History, Op, Outcome};

const CLIENTS: usize = 24;
/// Locks that are fought for at once.
const LOCKS: u64 = 8;
const USERS: [&str; 4] = ["alice", "bob", "carol", "dave"];

#[test]
fn no_two_hold_one_lock_and_nothing_acknowledged_is_lost_however_often_the_server_is_killed() {
    let rounds: u64 =
        env::var("OCTOSTORE_CRASH_ROUNDS").map_or(6, |rounds| rounds.parse().expect("a number of rounds"));
    let mut random = Random::new(env::var("OCTOSTORE_CRASH_SEED").map_or(1, |seed| seed.parse().expect("a seed")));
    let mut server = Server::start(Options::new(Driver::Auto).users(&USERS).args(&["--max-locks-per-user", "1000"]));
    let epoch = Instant::now();
    let mut clients: Vec<Client> = (0..CLIENTS).map(|client| Client::new(client, epoch)).collect();
    let mut history = History::default();
    let (mut answers, mut grants) = (0, 0);
    for round in 0..rounds {
        let address = server.address;
        // Now and then long enough for leases to run out.
        let lives_ms = if random.below(10) == 0 { 3_000 } else { 10 + random.below(300) };
        let barrier = Barrier::new(CLIENTS + 1);
        thread::scope(|scope| {
            for client in &mut clients {
                let barrier = &barrier;
                scope.spawn(move || client.work_until_the_server_dies(address, round, barrier));
            }
            barrier.wait();
            thread::sleep(Duration::from_millis(lives_ms));
            server.kill9();
        });
        for event in clients.iter_mut().flat_map(|client| client.events.drain(..)) {
            answers += u64::from(!matches!(event.outcome, Outcome::Unknown));
            grants += u64::from(matches!(event.outcome, Outcome::Acquired(_)));
            history.push(event);
        }
        if let Err(violation) = history.check() {
            let file = server.options.home.file("history.txt");
            fs::write(&file, write_down(&history)).expect("the history is written");
            panic!("round {round}: {violation}\nthe history is in {}", file.display());
        }
        history.forget(|name| number_of(name) < round);
        server.options.workers = 1 + random.below(4) as usize;
        server.options.driver = [Driver::IoUring, Driver::Epoll][random.below(2) as usize];
        server.start_again();
    }
    println!("{rounds} kills, {answers} answers, {grants} grants, {} leases: no finding", history.leases());
    assert!(grants > rounds && answers > 100 * rounds, "there was hardly any load: {answers} answers, {grants} grants");
}

/// One line a request, by when it was sent: from when to when (in µs), who, what, and the answer.
fn write_down(history: &History) -> String {
    let mut events: Vec<&Event> = history.events().collect();
    events.sort_by_key(|event| event.begin_ns);
    let mut text = String::new();
    for Event { client, name, op, lease_id, ttl_s, begin_ns, end_ns, outcome } in events {
        let (begin, end) = (begin_ns / 1_000, end_ns / 1_000);
        writeln!(text, "{begin:>12} {end:>12} client {client:>2} {name} {op:?} {lease_id:36} {ttl_s} s: {outcome:?}")
            .expect("text");
    }
    text
}

fn name_of(number: u64) -> String {
    format!("lock-{number}")
}

fn number_of(name: &str) -> u64 {
    name.trim_start_matches("lock-").parse().expect("a name of ours")
}

/// What a client is about.
#[derive(Clone)]
struct Attempt {
    name: String,
    lease_id: String,
    ttl_s: u64,
    stage: Stage,
}

#[derive(Clone, Copy, PartialEq)]
enum Stage {
    Wanted,
    Held,
    /// A release was asked for.
    GivenUp,
}

struct Client {
    number: usize,
    user: &'static str,
    random: Random,
    epoch: Instant,
    attempt: Option<Attempt>,
    events: Vec<Event>,
}

impl Client {
    fn new(number: usize, epoch: Instant) -> Client {
        let random = Random::new(7_000 + number as u64);
        let user = USERS[number % USERS.len()];
        Client { number, user, random, epoch, attempt: None, events: Vec::new() }
    }

    fn work_until_the_server_dies(&mut self, server: SocketAddr, round: u64, barrier: &Barrier) {
        let connection = Connection::try_open(server);
        barrier.wait();
        let Ok(connection) = connection else { return };
        let mut user = User { token: token_of(self.user), connection };
        if self.attempt.as_ref().is_some_and(|attempt| number_of(&attempt.name) < round) {
            self.attempt = None; // the lock has gone out of use
        }
        while self.call(&mut user, round) {
            thread::sleep(Duration::from_micros(self.random.below(3_000)));
        }
    }

    /// One request and its answer; false if the server is dead.
    fn call(&mut self, user: &mut User, round: u64) -> bool {
        let (op, attempt) = self.next(round);
        let target = format!("/locks/{}", attempt.name);
        let bytes = match op {
            Op::Acquire => {
                let body = json!({ "lease_id": attempt.lease_id, "ttl_seconds": attempt.ttl_s });
                user.post_bytes(&format!("{target}/acquire"), body.to_string().as_bytes())
            }
            Op::Renew => post(user, &format!("{target}/renew"), &attempt.lease_id),
            Op::Release => post(user, &format!("{target}/release"), &attempt.lease_id),
            Op::Status => user.get_bytes(&target),
        };
        let begin_ns = self.now_ns();
        let outcome = user.connection.try_call(&bytes).map_or(Outcome::Unknown, |response| outcome_of(op, &response));
        let end_ns = self.now_ns();
        self.learn(op, outcome);
        let Attempt { name, lease_id, ttl_s, .. } = attempt;
        self.events.push(Event { client: self.number, name, op, lease_id, ttl_s, begin_ns, end_ns, outcome });
        outcome != Outcome::Unknown
    }

    fn next(&mut self, round: u64) -> (Op, Attempt) {
        if self.random.below(6) == 0 {
            let name = name_of(round + self.random.below(LOCKS));
            return (Op::Status, Attempt { name, lease_id: String::new(), ttl_s: 0, stage: Stage::Wanted });
        }
        if self.attempt.is_none() {
            let (name, lease_id) = (name_of(round + self.random.below(LOCKS)), Uuid::new_v4().to_string());
            let attempt = Attempt { name, lease_id, ttl_s: 1 + self.random.below(3), stage: Stage::Wanted };
            self.attempt = Some(attempt);
        }
        let attempt = self.attempt.as_mut().expect("set just now");
        let op = match attempt.stage {
            Stage::Wanted => Op::Acquire,
            Stage::GivenUp => Op::Release,
            Stage::Held => match self.random.below(10) {
                0..4 => Op::Renew,
                4..6 => Op::Acquire, // a retry of what was answered, too
                _ => Op::Release,
            },
        };
        if op == Op::Release {
            attempt.stage = Stage::GivenUp;
        }
        (op, attempt.clone())
    }

    fn learn(&mut self, op: Op, outcome: Outcome) {
        match (op, outcome) {
            (Op::Status, _) => {}
            (_, Outcome::Acquired(_)) => self.attempt.as_mut().expect("an attempt").stage = Stage::Held,
            // A client that dies with its lease: it runs out.
            (_, Outcome::Renewed(_)) if self.random.below(20) == 0 => self.attempt = None,
            (_, Outcome::Renewed(_) | Outcome::Overloaded | Outcome::Unknown) => {}
            (_, Outcome::Held(_) | Outcome::Released | Outcome::Free | Outcome::NotCurrent) => self.attempt = None,
        }
    }

    fn now_ns(&self) -> u64 {
        self.epoch.elapsed().as_nanos() as u64
    }
}

fn post(user: &User, target: &str, lease_id: &str) -> Vec<u8> {
    user.post_bytes(target, json!({ "lease_id": lease_id }).to_string().as_bytes())
}

fn outcome_of(op: Op, response: &Response) -> Outcome {
    let body: Value = response.json();
    let token = || body["fencing_token"].as_u64().expect("a token");
    match (op, response.status, body["status"].as_str().or(body["code"].as_str()).unwrap_or_default()) {
        (Op::Acquire, 200, "acquired") => Outcome::Acquired(token()),
        (Op::Renew, 200, "renewed") => Outcome::Renewed(token()),
        (Op::Release, 200, "released") => Outcome::Released,
        (Op::Status, 200, "held") => Outcome::Held(token()),
        (Op::Status, 200, "free") => Outcome::Free,
        // To an acquire the token of the holder is not told.
        (Op::Acquire, 409, "held") => Outcome::Held(0),
        (Op::Renew | Op::Release, 404, "lock_not_found") => Outcome::Free,
        (Op::Renew | Op::Release, 409, "lease_not_current") => Outcome::NotCurrent,
        (_, 503, _) => Outcome::Overloaded,
        _ => panic!("{op:?}: {} {}", response.status, response.text()),
    }
}
