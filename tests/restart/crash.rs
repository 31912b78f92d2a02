//! kill -9 under load, again and again: nothing acknowledged is lost, nothing is doubled, tokens rise.
//!
//! Each client works on names of its own, one request at a time, and keeps account of what it was told. What
//! it had asked when the server died may have happened or not; everything else is certain. After each start
//! all is compared, by status, by list and by renewal, and the clients go on from there.
//!
//! `OCTOSTORE_CRASH_ROUNDS` says how many rounds (default 4).

use std::collections::{BTreeMap, HashSet};
use std::net::SocketAddr;
use std::time::Duration;

use serde_json::{Value, json};
use uuid::Uuid;

use crate::common::user::names_of;
use crate::common::{Driver, Grant, Options, Random, Server, User, token_of};

const CLIENTS: usize = 16;
const NAMES: u64 = 12;
const USERS: [&str; 4] = ["alice", "bob", "carol", "dave"];

crate::both_drivers! {
    nothing_acknowledged_is_lost_however_often_the_server_is_killed,
}

/// What a client knows of a lock.
#[derive(Clone, Debug)]
enum Known {
    Free,
    Held(Grant),
    /// Asked for with this lease id when the server died.
    PerhapsHeld(String),
    /// Its release was asked for when the server died.
    PerhapsFree(Grant),
}

/// One client's account.
struct Account {
    client: usize,
    user: &'static str,
    random: Random,
    locks: BTreeMap<String, Known>,
    tokens: Vec<u64>,
}

fn nothing_acknowledged_is_lost_however_often_the_server_is_killed(driver: Driver) {
    let rounds =
        std::env::var("OCTOSTORE_CRASH_ROUNDS").map_or(4, |rounds| rounds.parse().expect("a number of rounds"));
    let mut server = Server::start(Options::new(driver).users(&USERS).args(&["--max-locks-per-user", "1000"]));
    let mut random = Random::new(driver as u64 + 1);
    let mut accounts: Vec<Account> = (0..CLIENTS).map(Account::new).collect();
    let mut all_tokens = HashSet::new();
    let mut highest = 0;
    for round in 0..rounds {
        let address = server.address;
        std::thread::scope(|scope| {
            for account in &mut accounts {
                scope.spawn(|| account.work_until_the_server_dies(address));
            }
            std::thread::sleep(Duration::from_millis(20 + random.below(400)));
            server.kill9();
        });
        let told: Vec<u64> = accounts.iter_mut().flat_map(|account| account.tokens.drain(..)).collect();
        assert!(told.iter().all(|&token| token > highest), "round {round}: a token below {highest}, of the run before");
        highest = told.iter().copied().fold(highest, u64::max);
        assert!(told.into_iter().all(|token| all_tokens.insert(token)), "round {round}: a token was given out twice");

        server.options.workers = 1 + random.below(4) as usize;
        server.start_again();
        for account in &mut accounts {
            // A grant that nobody was told of has a token too, and it is nobody else's.
            let found = account.compare(server.address);
            assert!(
                found.into_iter().all(|token| all_tokens.insert(token)),
                "round {round}: a token was given out twice"
            );
        }
        highest = all_tokens.iter().copied().fold(highest, u64::max);
        compare_lists(&server, &accounts);
    }
    assert!(all_tokens.len() > CLIENTS * rounds, "there was hardly any load: {} grants", all_tokens.len());
}

/// Each user's list is exactly what its clients hold together.
fn compare_lists(server: &Server, accounts: &[Account]) {
    for user in USERS {
        let list = server.user(user).list("?limit=1000");
        let held = accounts.iter().filter(|account| account.user == user).flat_map(Account::held);
        let wanted: BTreeMap<&String, &Grant> = held.collect();
        assert_eq!(names_of(&list), wanted.keys().map(|name| name.as_str()).collect::<Vec<_>>());
        for (row, grant) in list["locks"].as_array().expect("rows").iter().zip(wanted.values()) {
            assert_eq!((&row["lease_id"], &row["fencing_token"]), (&json!(grant.lease_id), &json!(grant.token)));
        }
    }
}

impl Account {
    fn new(client: usize) -> Account {
        let locks = (0..NAMES).map(|i| (format!("client-{client:02}-lock-{i:02}"), Known::Free)).collect();
        let random = Random::new(1000 + client as u64);
        Account { client, user: USERS[client % USERS.len()], random, locks, tokens: Vec::new() }
    }

    fn held(&self) -> impl Iterator<Item = (&String, &Grant)> {
        self.locks.iter().filter_map(|(name, known)| match known {
            Known::Held(grant) => Some((name, grant)),
            _ => None,
        })
    }

    /// Acquires, renews and releases until a request gets no answer.
    fn work_until_the_server_dies(&mut self, server: SocketAddr) {
        let Ok(connection) = crate::common::Connection::try_open(server) else { return };
        let mut user = User { token: token_of(self.user), connection };
        loop {
            let name = format!("client-{:02}-lock-{:02}", self.client, self.random.below(NAMES));
            let known = self.locks[&name].clone();
            let renew = self.random.below(3) == 0;
            let (call, body, perhaps) = match &known {
                Known::Free => {
                    let lease_id = Uuid::new_v4().to_string();
                    let body = json!({ "lease_id": lease_id, "ttl_seconds": 3600, "metadata": name });
                    ("acquire", body, Known::PerhapsHeld(lease_id))
                }
                Known::Held(grant) if renew => ("renew", json!({ "lease_id": grant.lease_id }), known.clone()),
                Known::Held(grant) => {
                    ("release", json!({ "lease_id": grant.lease_id }), Known::PerhapsFree(grant.clone()))
                }
                uncertain => panic!("{name} was not compared: {uncertain:?}"),
            };
            let bytes = user.post_bytes(&format!("/locks/{name}/{call}"), body.to_string().as_bytes());
            let Ok(response) = user.connection.try_call(&bytes) else {
                self.locks.insert(name, perhaps);
                return;
            };
            let answer = response.expect(200);
            self.locks.insert(name, self.told(&known, call, &answer));
            if call == "acquire" {
                self.tokens.push(answer["fencing_token"].as_u64().expect("a token"));
            }
        }
    }

    /// What a client knows after an answer.
    fn told(&self, known: &Known, call: &str, answer: &Value) -> Known {
        match (known, call) {
            (Known::Held(_), "release") => Known::Free,
            (Known::Held(grant), _) => {
                assert_eq!(answer["fencing_token"], grant.token, "a renewal keeps the token");
                known.clone()
            }
            _ => Known::Held(Grant {
                lease_id: answer["lease_id"].as_str().expect("a lease id").to_owned(),
                token: answer["fencing_token"].as_u64().expect("a token"),
            }),
        }
    }

    /// Compares all that this client knows with what is there, and makes it certain. Returns the tokens
    /// of grants that nobody had been told of.
    fn compare(&mut self, server: SocketAddr) -> Vec<u64> {
        let mut user = User::connect(server, &token_of(self.user));
        let mut found = Vec::new();
        for (name, known) in &mut self.locks {
            let status = user.status(name);
            let held = status["status"] == "held";
            let token = status["fencing_token"].as_u64().unwrap_or_default();
            *known = match (&*known, held) {
                (Known::Free | Known::PerhapsHeld(_) | Known::PerhapsFree(_), false) => Known::Free,
                (Known::Held(grant) | Known::PerhapsFree(grant), true) => {
                    assert_eq!(token, grant.token, "{name}");
                    Known::Held(grant.clone())
                }
                (Known::PerhapsHeld(lease_id), true) => {
                    found.push(token);
                    Known::Held(Grant { lease_id: lease_id.clone(), token })
                }
                (known, held) => panic!("{name}: held is {held}, but what was acknowledged is {known:?}"),
            };
            if let Known::Held(grant) = known {
                assert_eq!(status["metadata"], *name);
                let renewed = user.renew(name, &grant.lease_id, json!({})).expect(200);
                assert_eq!((&renewed["fencing_token"], &renewed["ttl_seconds"]), (&json!(grant.token), &json!(3600)));
            }
        }
        found
    }
}
