//! `POST /auth/token/rotate`: the new token works and the old one does not, everywhere, by the time the answer leaves.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, RwLock};

use serde_json::json;

use crate::common::{Driver, Options, Server, User};
use crate::github::Github;
use crate::visitor::{Issued, sign_in};

crate::both_drivers! {
    the_token_presented_is_replaced_and_locks_stay_with_their_user,
    other_tokens_of_the_user_go_on,
    a_new_token_counts_on_every_connection_as_soon_as_it_is_told,
    under_load_no_core_accepts_the_old_token_after_the_answer,
    what_follows_in_a_pipeline_is_judged_after_the_rotation,
    of_two_who_rotate_one_token_at_once_one_gets_a_new_one,
    a_rotation_outlives_a_crash_right_after_the_answer,
    configured_tokens_say_where_they_come_from,
    it_needs_a_token_and_a_post,
}

const ROTATE: &str = "/auth/token/rotate";

fn signed_in(driver: Driver, workers: usize) -> (Server, Github, Issued) {
    let github = Github::start();
    let server = Server::start(github.options(driver).workers(workers));
    let issued = sign_in(&server, &github);
    (server, github, issued)
}

#[track_caller]
fn rotate(user: &mut User) -> Issued {
    Issued::of(&user.post(ROTATE, json!({})))
}

fn the_token_presented_is_replaced_and_locks_stay_with_their_user(driver: Driver) {
    let (server, _github, old) = signed_in(driver, 2);
    let mut user = old.user(&server);
    let grant = user.grant("job", json!({}));
    let new = rotate(&mut user);
    assert_ne!(new.token, old.token);
    assert_eq!((&new.user_id, &new.login), (&old.user_id, &old.login));
    user.get("/locks/job").refused(401, "authentication_failed");
    user.post(ROTATE, json!({})).refused(401, "authentication_failed");
    let mut user = new.user(&server);
    assert_eq!(user.names(""), ["job"]);
    assert_eq!(user.renew("job", &grant.lease_id, json!({})).status, 200);
    assert_eq!(user.release("job", &grant.lease_id).status, 200);
}

fn other_tokens_of_the_user_go_on(driver: Driver) {
    let (server, github, first) = signed_in(driver, 2);
    let second = sign_in(&server, &github);
    rotate(&mut first.user(&server));
    assert_eq!(second.user(&server).get("/locks").status, 200);
    first.user(&server).get("/locks").refused(401, "authentication_failed");
}

/// The tokens in order, and how many of them have been replaced by an answer that was read.
struct Tokens {
    issued: RwLock<Vec<String>>,
    replaced: AtomicU64,
    stop: AtomicBool,
}

fn under_load_no_core_accepts_the_old_token_after_the_answer(driver: Driver) {
    const ROTATIONS: u64 = 40;
    let (server, _github, first) = signed_in(driver, 4);
    let tokens = Arc::new(Tokens {
        issued: RwLock::new(vec![first.token.clone()]),
        replaced: AtomicU64::new(0),
        stop: AtomicBool::new(false),
    });
    // Many connections, so that each of the four cores has some of them.
    let clients: Vec<_> = (0..8)
        .map(|_| {
            let tokens = tokens.clone();
            let address = server.address;
            std::thread::spawn(move || load(&tokens, (0..4).map(|_| User::connect(address, "")).collect()))
        })
        .collect();
    let mut user = first.user(&server);
    for n in 0..ROTATIONS {
        let new = rotate(&mut user);
        user.token.clone_from(&new.token);
        // In this order: a client that sees the count finds the token too.
        tokens.issued.write().expect("the tokens").push(new.token);
        tokens.replaced.store(n + 1, Ordering::SeqCst);
    }
    tokens.stop.store(true, Ordering::SeqCst);
    // The newest one counts on every core, and the one before it on none.
    for _ in 0..16 {
        assert_eq!(User::connect(server.address, &user.token).get("/locks/a").status, 200);
    }
    let (mut accepted, mut refused) = (0, 0);
    for client in clients {
        let (a, r) = client.join().expect("no token was accepted after it was replaced");
        (accepted, refused) = (accepted + a, refused + r);
    }
    assert!(accepted > 0 && refused > 0, "the load saw both: {accepted} accepted, {refused} refused");
}

fn a_new_token_counts_on_every_connection_as_soon_as_it_is_told(driver: Driver) {
    let (server, _github, first) = signed_in(driver, 4);
    let mut user = first.user(&server);
    let mut others: Vec<User> = (0..24).map(|_| User::connect(server.address, &first.token)).collect();
    for _ in 0..10 {
        let new = rotate(&mut user);
        user.token.clone_from(&new.token);
        for other in &mut others {
            other.token.clone_from(&new.token);
            assert_eq!(other.get("/locks/a").status, 200);
        }
    }
}

/// Presents the newest token and the one before it, by turns; counts what was accepted and what was refused.
fn load(tokens: &Tokens, mut users: Vec<User>) -> (u64, u64) {
    let (mut accepted, mut refused) = (0, 0);
    while !tokens.stop.load(Ordering::SeqCst) {
        for (n, user) in users.iter_mut().enumerate() {
            // Read before the request is sent: of these it is certain that their answer has come.
            let replaced = tokens.replaced.load(Ordering::SeqCst);
            let which = if n % 2 == 0 { replaced } else { replaced.saturating_sub(1) };
            user.token.clone_from(&tokens.issued.read().expect("the tokens")[which as usize]);
            let status = user.get(&format!("/locks/job-{n}")).status;
            match status {
                200 if which < replaced => panic!("token {which} was accepted after {replaced} rotations"),
                200 => accepted += 1,
                // The newest one may have been replaced by now: then it is right.
                401 if which < replaced || tokens.replaced.load(Ordering::SeqCst) > which => refused += 1,
                // Replaced, but the answer has not been read yet; or too many such failures by now.
                401 | 429 => refused += 1,
                other => panic!("status {other}"),
            }
        }
    }
    (accepted, refused)
}

fn what_follows_in_a_pipeline_is_judged_after_the_rotation(driver: Driver) {
    let (server, _github, issued) = signed_in(driver, 2);
    let mut user = issued.user(&server);
    let requests = [user.get_bytes("/locks/a"), user.post_bytes(ROTATE, b""), user.get_bytes("/locks/a")].concat();
    user.connection.send(&requests);
    user.connection.read().expect(200);
    let new = Issued::of(&user.connection.read());
    user.connection.read().refused(401, "authentication_failed");
    assert_eq!(new.user(&server).get("/locks/a").status, 200);
}

fn of_two_who_rotate_one_token_at_once_one_gets_a_new_one(driver: Driver) {
    let (server, _github, issued) = signed_in(driver, 4);
    let mut users: Vec<User> = (0..8).map(|_| issued.user(&server)).collect();
    let bytes = users[0].post_bytes(ROTATE, b"");
    users.iter_mut().for_each(|user| user.connection.send(&bytes));
    let answers: Vec<_> = users.iter_mut().map(|user| user.connection.read()).collect();
    let (good, refused): (Vec<_>, Vec<_>) = answers.iter().partition(|answer| answer.status == 200);
    assert_eq!(good.len(), 1, "{answers:?}");
    refused.iter().for_each(|answer| answer.refused(401, "authentication_failed"));
    assert_eq!(Issued::of(good[0]).user(&server).get("/locks").status, 200);
}

fn a_rotation_outlives_a_crash_right_after_the_answer(driver: Driver) {
    let (mut server, _github, mut issued) = signed_in(driver, 2);
    for _ in 0..3 {
        let new = rotate(&mut issued.user(&server));
        server.kill9();
        server.start_again();
        issued.user(&server).get("/locks").refused(401, "authentication_failed");
        assert_eq!(new.user(&server).get("/locks").status, 200);
        issued = new;
    }
}

fn configured_tokens_say_where_they_come_from(driver: Driver) {
    let server = Server::on(driver);
    let mut alice = server.user("alice");
    let answer = alice.post(ROTATE, json!({}));
    answer.refused(403, "forbidden");
    assert!(answer.text().contains("STATIC_TOKENS"), "{}", answer.text());
    assert_eq!(alice.get("/locks").status, 200, "it still works");
    let server = Server::start(Options::new(driver).users(&[]));
    let token = std::fs::read_to_string(server.options.home.file("local.token")).expect("the local user's token");
    let mut local = User::connect(server.address, token.trim());
    let answer = local.post(ROTATE, json!({}));
    answer.refused(403, "forbidden");
    assert!(answer.text().contains("local.token"), "{}", answer.text());
    assert_eq!(local.get("/locks").status, 200, "it still works");
}

fn it_needs_a_token_and_a_post(driver: Driver) {
    let (server, _github, issued) = signed_in(driver, 2);
    User::connect(server.address, "x").post(ROTATE, json!({})).refused(401, "authentication_failed");
    let mut user = issued.user(&server);
    let answer = user.get(ROTATE);
    answer.refused(405, "method_not_allowed");
    assert_eq!(answer.header("allow"), Some("POST"));
    assert_eq!(user.get("/locks").status, 200);
}
