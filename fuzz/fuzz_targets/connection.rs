//! A whole connection, bytes in and bytes out: the same answers however the bytes are cut; and the API makes
//! something of every request without a panic, signed in or not.
#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use octostore::api;
use octostore::auth::{Credential, Principals, TokenHash};
use octostore::http::{self, Request, RequestIds};
use octostore::journal::Account;
use octostore::lease::UserId;
use uuid::Uuid;

#[path = "../../tests/http_cases/echo.rs"]
mod echo;

/// One user, whose token is `t`.
static PRINCIPALS: LazyLock<Principals> = LazyLock::new(|| {
    let credential = Credential { kind: "static", external_id: "a".into(), token_hash: TokenHash::of(b"t") };
    let account =
        Account { id: UserId(1), public_id: Uuid::from_u128(1), kind: "static".into(), external_id: "a".into() };
    Principals::new(&[credential], &[account]).expect("one user")
});

fn serve(request: &Request<'_>, body: &mut Vec<u8>) -> u16 {
    match api::understand(request, &PRINCIPALS) {
        Ok(_) => 200,
        Err(error) => {
            error.write(body, RequestIds::new(1, 1).mint());
            error.status
        }
    }
}

fuzz_target!(|bytes: &[u8]| {
    // Places that differ from input to input, without being a part of it: so the corpus is what clients send.
    let mix = |n: usize| bytes.iter().fold(n, |hash, b| hash.wrapping_mul(31).wrapping_add(usize::from(*b)));
    echo::assert_same_however_cut(bytes, (0..6).map(|n| mix(n) % (bytes.len() + 1)));
    let whole = echo::talk([bytes], serve);
    let pieces = echo::talk(bytes.chunks(7), serve);
    assert_eq!((whole.answers, whole.ended), (pieces.answers, pieces.ended));
});
