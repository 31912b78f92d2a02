//! The crossing between cores in the real server, for long: every request is answered once, in order, with what its
//! lock's state demands, and none is kept waiting for ever, with 1, 2, 4 and 8 workers on however few cores there are.
//!
//! Each connection owns its names, sends bursts in one write, and knows what each answer must say. In half of
//! the runs the workers are made to pause: strace holds up every so-many-th wait of each thread, just
//! where a worker has said that it sleeps and does not sleep yet, which is where a wake-up would be lost.
//!
//! Under this load the workers hardly sleep, so hardly any request costs a ring of a bell: what the server says of its
//! rings when it stops is compared with the requests that it answered.
//!
//! A short run is part of the tests; `scripts/soak-handoff` sets OCTOSTORE_SOAK_REQUESTS to millions.

#[path = "../common/mod.rs"]
mod common;
mod full_load;

use std::collections::HashMap;
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use uuid::Uuid;

use common::{Driver, Options, Random, Server, User};

both_drivers! {
    every_request_is_answered_once_and_in_order,
    pauses_of_workers_lose_no_wake_up,
}

/// Connections, each with requests on names of its own, which all cores own a share of.
const CONNECTIONS: u64 = 8;
/// Names of a connection, and requests of a burst.
const NAMES: u64 = 40;
const BURST: usize = 48;
/// The longest that an answer may take, pauses and a machine that is busy with other tests included.
const BOUND: Duration = Duration::from_secs(20);
/// The most rings of all the workers' bells together, as one in so many answers.
const ANSWERS_PER_RING: u64 = 4;

/// What a connection has found.
#[derive(Clone, Copy, Default)]
struct Tally {
    answered: u64,
    overloaded: u64,
    slowest: Duration,
}

fn every_request_is_answered_once_and_in_order(driver: Driver) {
    for workers in [1, 2, 4, 8] {
        soak(&format!("{workers} workers"), Options::new(driver).workers(workers), requests(40_000));
    }
}

fn pauses_of_workers_lose_no_wake_up(driver: Driver) {
    for (workers, pause) in [(2, "delay_enter=3000:when=10+5"), (4, "delay_exit=5000:when=10+7")] {
        let options = Options::new(driver).workers(workers).inject_in_waits(pause);
        soak(&format!("{workers} workers with pauses"), options.clone(), requests(40_000) / 4);
        let pauses = options.delayed();
        println!("{pauses} pauses");
        assert!(pauses > 15, "only {pauses} pauses in {}", options.home.path.display());
    }
}

fn requests(default: u64) -> u64 {
    std::env::var("OCTOSTORE_SOAK_REQUESTS")
        .map_or(default, |n| n.parse().expect("OCTOSTORE_SOAK_REQUESTS is a number"))
}

fn soak(what: &str, options: Options, requests: u64) {
    let mut server = Server::start(options.args(&["--max-locks-per-user", "100000"]));
    let start = Instant::now();
    let tallies: Vec<Tally> = thread::scope(|scope| {
        let run = |n| {
            let mut client = Client::new(server.user("alice"), n);
            scope.spawn(move || client.run(requests / CONNECTIONS))
        };
        let threads: Vec<_> = (0..CONNECTIONS).map(run).collect();
        threads.into_iter().map(|thread| thread.join().expect("a connection's thread")).collect()
    });
    let answered: u64 = tallies.iter().map(|t| t.answered).sum();
    let overloaded: u64 = tallies.iter().map(|t| t.overloaded).sum();
    let slowest = tallies.iter().map(|t| t.slowest).max().unwrap_or_default();
    println!(
        "{what}: {answered} answers in {:?}, {overloaded} of them 503, the slowest burst took {slowest:?}",
        start.elapsed()
    );
    assert!(answered >= requests / CONNECTIONS * CONNECTIONS);
    assert!(overloaded < answered / 2, "the server was overloaded by {CONNECTIONS} connections");
    assert!(slowest < BOUND, "an answer took {slowest:?}");
    server.assert_healthy();
    assert!(server.terminate().success(), "{}", server.log());
    let (rings, self_rings) = (figure(&server, "rings"), figure(&server, "self_rings"));
    println!("{what}: {rings} rings, and {self_rings} at the worker's own bell");
    assert!(
        (rings + self_rings) * ANSWERS_PER_RING < answered,
        "{rings} and {self_rings} rings for {answered} answers"
    );
}

/// A figure of the line that the server logs when it stops.
fn figure(server: &Server, name: &str) -> u64 {
    let log = server.log();
    let line = log.lines().rfind(|line| line.contains("stopped")).unwrap_or_else(|| panic!("no last line: {log}"));
    let value = line.split_whitespace().find_map(|word| word.strip_prefix(name)?.strip_prefix('='));
    value.and_then(|value| value.parse().ok()).unwrap_or_else(|| panic!("no {name} in: {line}"))
}

/// A request under way: the path's last part, the name, and the lease that it names.
struct Asked {
    verb: &'static str,
    name: String,
    lease_id: Uuid,
}

struct Client {
    user: User,
    random: Random,
    number: u64,
    /// Who holds which of its names: by lease.
    held: HashMap<String, Uuid>,
}

impl Client {
    fn new(user: User, number: u64) -> Client {
        Client { user, random: Random::new(number), number, held: HashMap::new() }
    }

    fn run(&mut self, requests: u64) -> Tally {
        let mut tally = Tally::default();
        while tally.answered < requests {
            let asked: Vec<Asked> = (0..BURST).map(|_| self.ask()).collect();
            let bytes: Vec<u8> = asked.iter().flat_map(|asked| self.bytes(asked)).collect();
            let start = Instant::now();
            self.user.connection.send(&bytes);
            for asked in &asked {
                let response = self.user.connection.read();
                tally.answered += 1;
                if response.status == 503 {
                    response.refused(503, "overloaded");
                    tally.overloaded += 1;
                } else {
                    self.check(asked, response.status, &response.json());
                }
            }
            tally.slowest = tally.slowest.max(start.elapsed());
        }
        assert!(!self.user.connection.answers_within(Duration::from_millis(50)), "an answer too many");
        tally
    }

    fn ask(&mut self) -> Asked {
        let name = format!("c{}-{}", self.number, self.random.below(NAMES));
        let verb = ["acquire", "renew", "release", ""][self.random.below(4) as usize];
        // Mostly the lease that holds the lock by what is known now, sometimes another.
        let known = self.held.get(&name).copied().filter(|_| self.random.below(8) != 0);
        Asked { verb, name, lease_id: known.unwrap_or_else(Uuid::new_v4) }
    }

    fn bytes(&self, Asked { verb, name, lease_id }: &Asked) -> Vec<u8> {
        match *verb {
            "" => self.user.get_bytes(&format!("/locks/{name}")),
            verb => {
                let body = json!({ "lease_id": lease_id.to_string() }).to_string();
                self.user.post_bytes(&format!("/locks/{name}/{verb}"), body.as_bytes())
            }
        }
    }

    /// The answer is the one that the lock's state demands, so it belongs to this request; and the state goes on.
    fn check(&mut self, Asked { verb, name, lease_id }: &Asked, status: u16, body: &Value) {
        let holder = self.held.get(name).copied();
        let mine = holder == Some(*lease_id);
        let (wanted, says) = match (*verb, holder) {
            ("acquire", Some(_)) if !mine => (409, "held"),
            ("acquire", _) => (200, "acquired"),
            ("renew", _) if mine => (200, "renewed"),
            ("release", _) if mine => (200, "released"),
            ("renew" | "release", Some(_)) => (409, "lease_not_current"),
            ("renew" | "release", None) => (404, "lock_not_found"),
            (_, Some(_)) => (200, "held"),
            (_, None) => (200, "free"),
        };
        let said = body.get("status").or(body.get("code")).and_then(Value::as_str);
        assert_eq!((status, said), (wanted, Some(says)), "{verb} {name} {lease_id}, held by {holder:?}: {body}");
        for (field, wanted) in [("name", name.clone()), ("lease_id", lease_id.to_string())] {
            if let Some(value) = body.get(field) {
                assert_eq!(value, &wanted, "the answer of another request: {body}");
            }
        }
        match says {
            "acquired" => _ = self.held.insert(name.clone(), *lease_id),
            "released" => _ = self.held.remove(name),
            _ => {}
        }
    }
}
