//! The load: each thread keeps some connections busy with bursts of everything, and judges every answer.
//!
//! A thread has a share of the locks that are held all the time, and renews them in turn. Beside that it takes and gives up
//! locks, lets short leases run out and looks whether they did, asks for what others hold, names leases that are not its
//! own, lists, signs in wrongly, sends what is no name, and comes back on new connections. All names but the held
//! ones are new each time, so that whatever the server keeps of a name shows in its memory.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::ops::Range;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use uuid::Uuid;

use super::USERS;
use super::wire::{Wire, number, request};
use crate::common::{Random, token_of};

/// Connections of a thread, and requests of a burst.
const CONNECTIONS: usize = 4;
const BURST: usize = 32;
/// How long after its end a short lease must be seen to have ended.
const SURELY_OVER: Duration = Duration::from_secs(3);
/// Bursts after which a thread opens its connections anew.
const BURSTS_PER_CONNECTION: u64 = 2_000;

/// What the threads tell while they run.
#[derive(Default)]
pub struct Told {
    /// Answers.
    pub answered: AtomicU64,
    /// Of these, 503.
    pub refused: AtomicU64,
    /// Short leases that were seen to have run out.
    pub run_out: AtomicU64,
    /// The longest burst since it was last asked for, in µs.
    pub slowest_burst_us: AtomicU64,
    /// The load is to end.
    pub over: AtomicBool,
}

/// What the answer to a request must be.
enum Wanted {
    /// This status, with this text in the body.
    Says(u16, &'static str),
    /// A lock of the share, by its number, answers with its token; this text is in the body.
    Held(usize, &'static str),
    /// The first acquire of one of the share.
    First(usize),
    /// A lock that is given up next, unless it is refused.
    Taken { number: u64, lease_id: Uuid },
    /// A lease that runs out.
    Brief { number: u64 },
}

/// One thread's state.
pub struct Load<'a> {
    server: SocketAddr,
    thread: usize,
    told: &'a Told,
    random: Random,
    wires: Vec<Wire>,
    /// Numbers of the locks that this thread holds all the time, and their tokens.
    share: Range<usize>,
    tokens: Vec<u64>,
    next_held: usize,
    /// The last number given to a name.
    last_number: u64,
    taken: VecDeque<(u64, Uuid)>,
    brief: VecDeque<(u64, Instant)>,
}

impl<'a> Load<'a> {
    /// A thread's, with nothing held yet.
    pub fn new(server: SocketAddr, thread: usize, share: Range<usize>, told: &'a Told) -> Load<'a> {
        Load {
            server,
            thread,
            told,
            random: Random::new(thread as u64 + 1),
            wires: Vec::new(),
            tokens: vec![0; share.len()],
            share,
            next_held: 0,
            last_number: 0,
            taken: VecDeque::new(),
            brief: VecDeque::new(),
        }
    }

    /// Takes the locks of the share.
    pub fn fill(&mut self) {
        self.for_each_held(|load, at, bytes| {
            let body = format!("{{\"lease_id\":\"{}\",\"ttl_seconds\":3600}}", lease_of(load.share.start + at));
            load.post(bytes, load.share.start + at, "acquire", &body);
            Wanted::First(at)
        });
    }

    /// Renews every lock of the share on a server that has been started again: each has its token.
    pub fn compare(&mut self, server: SocketAddr) {
        self.server = server;
        self.for_each_held(|load, at, bytes| {
            load.renew(bytes, at);
            Wanted::Held(at, "renewed")
        });
    }

    /// Everything, until it is over.
    pub fn mix(&mut self) {
        for burst in 0.. {
            if self.told.over.load(Ordering::Relaxed) {
                return;
            }
            if burst % BURSTS_PER_CONNECTION == 0 {
                self.wires.clear();
            }
            self.exchange(|load, bytes| Some(load.draw(bytes)));
        }
    }

    fn for_each_held(&mut self, mut ask: impl FnMut(&Self, usize, &mut Vec<u8>) -> Wanted) {
        self.wires.clear();
        let mut left = 0..self.share.len();
        while !left.is_empty() {
            self.exchange(|load, bytes| left.next().map(|at| ask(load, at, bytes)));
        }
    }

    /// One burst on each connection, then all the answers.
    fn exchange(&mut self, mut ask: impl FnMut(&mut Self, &mut Vec<u8>) -> Option<Wanted>) {
        let mut wires = std::mem::take(&mut self.wires);
        wires.resize_with(CONNECTIONS, || Wire::open(self.server));
        let begin = Instant::now();
        let mut bytes = Vec::new();
        let bursts: Vec<Vec<Wanted>> = wires
            .iter_mut()
            .map(|wire| {
                bytes.clear();
                let wanted = std::iter::from_fn(|| ask(self, &mut bytes)).take(BURST).collect();
                wire.send(&bytes);
                wanted
            })
            .collect();
        let answers: usize = bursts.iter().map(Vec::len).sum();
        for (wire, wanted) in wires.iter_mut().zip(bursts) {
            for wanted in wanted {
                let (status, body) = wire.read();
                self.judge(wanted, status, body);
            }
        }
        self.wires = wires;
        self.told.answered.fetch_add(answers as u64, Ordering::Relaxed);
        self.told.slowest_burst_us.fetch_max(begin.elapsed().as_micros() as u64, Ordering::Relaxed);
    }

    /// One request of the mix.
    fn draw(&mut self, bytes: &mut Vec<u8>) -> Wanted {
        let any = self.random.below(self.share.len() as u64) as usize;
        let held = self.share.start + any;
        match self.random.below(1000) {
            0..400 => {
                self.next_held = (self.next_held + 1) % self.share.len();
                self.renew(bytes, self.next_held);
                Wanted::Held(self.next_held, "renewed")
            }
            400..520 => {
                request(bytes, "GET", &format!("/locks/{}", name_of(held)), &user_of(held), "");
                Wanted::Held(any, "held")
            }
            520..800 => self.take_or_give_up(bytes),
            800..900 => self.let_run_out(bytes),
            900..940 => {
                self.post(bytes, held, "acquire", "");
                Wanted::Says(409, "\"held\"")
            }
            940..970 => {
                self.post(bytes, held, "release", &format!("{{\"lease_id\":\"{}\"}}", lease_of(held + 1)));
                Wanted::Says(409, "lease_not_current")
            }
            970..971 => {
                request(bytes, "GET", "/locks?prefix=held&limit=3", &user_of(held), "");
                Wanted::Says(200, "next_cursor")
            }
            971..980 => {
                request(bytes, "GET", "/health", &user_of(held), "");
                Wanted::Says(200, "ok")
            }
            980..990 => {
                // No token, rather than nobody's: of those an address may send a hundred a minute.
                request(bytes, "GET", "/locks/any", "", "");
                Wanted::Says(401, "authentication_required")
            }
            _ => {
                request(bytes, "POST", "/locks/no_name/acquire", &user_of(held), "");
                Wanted::Says(400, "invalid_lock_name")
            }
        }
    }

    fn take_or_give_up(&mut self, bytes: &mut Vec<u8>) -> Wanted {
        let token = user_of(self.thread);
        if self.taken.len() > 100 {
            let (number, lease_id) = self.taken.pop_front().expect("more than 100");
            let body = format!("{{\"lease_id\":\"{lease_id}\"}}");
            request(bytes, "POST", &format!("/locks/taken-{}-{number}/release", self.thread), &token, &body);
            return Wanted::Says(200, "released");
        }
        self.last_number += 1;
        let (number, lease_id) = (self.last_number, Uuid::new_v4());
        let body = format!("{{\"lease_id\":\"{lease_id}\",\"ttl_seconds\":600,\"metadata\":\"soak\"}}");
        request(bytes, "POST", &format!("/locks/taken-{}-{number}/acquire", self.thread), &token, &body);
        Wanted::Taken { number, lease_id }
    }

    fn let_run_out(&mut self, bytes: &mut Vec<u8>) -> Wanted {
        let token = user_of(self.thread);
        if let Some((number, _)) = self.brief.pop_front_if(|(_, over)| *over < Instant::now()) {
            request(bytes, "GET", &format!("/locks/brief-{}-{number}", self.thread), &token, "");
            self.told.run_out.fetch_add(1, Ordering::Relaxed);
            return Wanted::Says(200, "\"free\"");
        }
        self.last_number += 1;
        let number = self.last_number;
        let target = format!("/locks/brief-{}-{number}/acquire", self.thread);
        request(bytes, "POST", &target, &token, "{\"ttl_seconds\":1}");
        Wanted::Brief { number }
    }

    fn renew(&self, bytes: &mut Vec<u8>, at: usize) {
        let held = self.share.start + at;
        self.post(bytes, held, "renew", &format!("{{\"lease_id\":\"{}\"}}", lease_of(held)));
    }

    fn post(&self, bytes: &mut Vec<u8>, held: usize, verb: &str, body: &str) {
        request(bytes, "POST", &format!("/locks/{}/{verb}", name_of(held)), &user_of(held), body);
    }

    /// An answer is the one that must come, or the server has refused for want of room.
    fn judge(&mut self, wanted: Wanted, status: u16, body: &str) {
        if status == 503 {
            assert!(body.contains("overloaded"), "a 503 that is none: {body}");
            assert!(!matches!(wanted, Wanted::First(_)), "refused while it filled up");
            self.told.refused.fetch_add(1, Ordering::Relaxed);
            return;
        }
        let (right, says) = match wanted {
            Wanted::Says(right, says) => (right, says),
            Wanted::Held(at, says) => {
                assert_eq!(number(body, "fencing_token"), Some(self.tokens[at]), "another token: {body}");
                (200, says)
            }
            Wanted::First(at) => {
                self.tokens[at] = number(body, "fencing_token").unwrap_or_default();
                (200, "acquired")
            }
            Wanted::Taken { number, lease_id } => {
                self.taken.push_back((number, lease_id));
                (200, "acquired")
            }
            Wanted::Brief { number } => {
                self.brief.push_back((number, Instant::now() + Duration::from_secs(1) + SURELY_OVER));
                (200, "acquired")
            }
        };
        assert!(status == right && body.contains(says), "{status} {body}, but right is {right} {says}");
    }
}

fn name_of(held: usize) -> String {
    format!("held-{held}")
}

fn user_of(number: usize) -> String {
    token_of(&format!("soak-{}", number % USERS))
}

fn lease_of(held: usize) -> Uuid {
    Uuid::from_u128(0x5eed_0000_0000_4000_8000_0000_0000_0000 + held as u128)
}
