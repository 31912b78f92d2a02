//! One worker's own table: which token is whose, and what others see of an account.
//!
//! Every worker has a table of its own, so the request path takes no lock and touches no shared line. A change of an
//! account reaches each worker as a message ([`AccountNews`](crate::mesh::AccountNews)), and the worker alone applies it.
//!
//! **What a caller can learn by timing.** A presented token is hashed first; the table is searched by
//! the first 8 bytes of the SHA-256, and the full hashes are compared in constant time. How long
//! the search takes may tell something about those 8 bytes, but the caller cannot choose them (it would have to
//! invert SHA-256), nor does knowing them say anything about a token of 256 random bits. For the same reason a
//! caller cannot make the table's chains long, so no keyed hash is needed.
//!
//! An account with one token costs at most 100 bytes: 16 for its public id, and 37 for each of at most
//! 2.3 places in the table.

use std::collections::HashMap;

use hashbrown::HashTable;
use subtle::ConstantTimeEq;
use uuid::Uuid;

use super::{AuthError, Credential, MAX_TOKEN_BYTES, hash_of};
use crate::journal::{Account, AccountChange, TokenHash};
use crate::lease::UserId;

/// Who is asking.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Principal {
    /// The account.
    pub user: UserId,
}

/// Every token's account and every account's public id.
#[derive(Clone)]
pub struct Principals {
    tokens: HashTable<(TokenHash, UserId)>,
    /// By account number; nil where there is no account.
    public_ids: Vec<Uuid>,
}

impl Principals {
    /// The table of the `stored` tokens and the configured `credentials`, whose accounts are among `accounts`. Accounts
    /// without a token stay known by their public ids, since they may still hold locks.
    ///
    /// # Errors
    /// A credential without an account, or a token that opens two.
    pub fn new(
        credentials: &[Credential],
        accounts: &[Account],
        stored: &[(TokenHash, UserId)],
    ) -> Result<Principals, AuthError> {
        let places = accounts.iter().map(|account| account.id.0 as usize + 1).max().unwrap_or(0);
        let mut public_ids = vec![Uuid::nil(); places];
        let mut configured: HashMap<(&str, &str), Option<UserId>> =
            credentials.iter().map(|credential| ((credential.kind, &*credential.external_id), None)).collect();
        for account in accounts {
            public_ids[account.id.0 as usize] = account.public_id;
            if let Some(user) = configured.get_mut(&(&*account.kind, &*account.external_id)) {
                *user = Some(account.id);
            }
        }
        // Room for a quarter more, so that a large table hardly ever grows while requests wait.
        let known = credentials.len() + stored.len();
        let tokens = HashTable::with_capacity(known + known / 4);
        let mut principals = Principals { tokens, public_ids };
        stored.iter().for_each(|(token, user)| principals.insert(*token, *user));
        for Credential { kind, external_id, token_hash } in credentials {
            let Some(user) = configured[&(*kind, &**external_id)] else {
                return Err(AuthError(format!("the database has no account for the user {kind}/{external_id}")));
            };
            if principals.find(token_hash).is_some() {
                return Err(AuthError(format!("the token of {kind}/{external_id} is given twice; each must differ")));
            }
            principals.insert(*token_hash, user);
        }
        Ok(principals)
    }

    /// Whose token was presented. None if nobody's.
    pub fn authenticate(&self, presented: &[u8]) -> Option<Principal> {
        if presented.len() > MAX_TOKEN_BYTES {
            return None; // no token is that long, and hashing is not free
        }
        self.find(&hash_of(presented)).map(|user| Principal { user })
    }

    /// Whether this hash is a token's.
    pub fn knows(&self, token: &TokenHash) -> bool {
        self.find(token).is_some()
    }

    /// Takes over what has become of `account`.
    pub fn apply(&mut self, account: &Account, change: &AccountChange) {
        let place = account.id.0 as usize;
        if self.public_ids.len() <= place {
            self.public_ids.resize(place + 1, Uuid::nil());
        }
        self.public_ids[place] = account.public_id;
        for token in &change.dropped {
            if let Ok(entry) = self.tokens.find_entry(place_of(token), |(hash, _)| hash == token) {
                entry.remove();
            }
        }
        if let Some(token) = change.added {
            self.insert(token, account.id);
        }
    }

    /// What others see of an account. None if there is no such account.
    pub fn public_id(&self, user: UserId) -> Option<Uuid> {
        self.public_ids.get(user.0 as usize).copied().filter(|id| !id.is_nil())
    }

    /// One more than the highest account number.
    pub fn account_places(&self) -> usize {
        self.public_ids.len()
    }

    fn insert(&mut self, token: TokenHash, user: UserId) {
        self.tokens.insert_unique(place_of(&token), (token, user), |(hash, _)| place_of(hash));
    }

    fn find(&self, wanted: &TokenHash) -> Option<UserId> {
        let wanted_words = words(wanted);
        let same = |(hash, _): &(TokenHash, UserId)| bool::from(words(hash).ct_eq(&wanted_words));
        self.tokens.find(place_of(wanted), same).map(|&(_, user)| user)
    }
}

/// Where the table keeps a hash: its first 8 bytes are as good as any hash of it.
fn place_of(hash: &TokenHash) -> u64 {
    words(hash)[0]
}

/// The hash in four pieces: a comparison in constant time takes as many steps.
fn words(hash: &TokenHash) -> [u64; 4] {
    let (words, _) = hash.bytes().as_chunks();
    std::array::from_fn(|i| u64::from_ne_bytes(words[i]))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn account(id: u32, kind: &str, external_id: &str) -> Account {
        let public_id = Uuid::from_u128(1000 + u128::from(id));
        Account { id: UserId(id), public_id, kind: kind.into(), external_id: external_id.into(), login: None }
    }

    fn credential(kind: &'static str, external_id: &str, token: &str) -> Credential {
        Credential { kind, external_id: external_id.into(), token_hash: hash_of(token.as_bytes()) }
    }

    #[test]
    fn a_token_opens_the_account_it_was_given_for_and_no_other_text_does() {
        let accounts = [account(0, "static", "alice"), account(1, "local", "alice"), account(2, "static", "bob")];
        let given = [credential("static", "alice", "alice's token"), credential("static", "bob", "bob's token")];
        let principals = Principals::new(&given, &accounts, &[]).unwrap();
        assert_eq!(principals.authenticate(b"alice's token"), Some(Principal { user: UserId(0) }));
        assert_eq!(principals.authenticate(b"bob's token"), Some(Principal { user: UserId(2) }));
        for no_token in [&b""[..], b"bob's toke", b"bob's token ", b"Bob's token", &[b'x'; 100_000]] {
            assert_eq!(principals.authenticate(no_token), None);
        }
    }

    #[test]
    fn the_hash_of_a_token_is_no_token() {
        let principals =
            Principals::new(&[credential("static", "a", "token")], &[account(0, "static", "a")], &[]).unwrap();
        assert_eq!(principals.authenticate(hash_of(b"token").bytes()), None);
    }

    #[test]
    fn many_tokens_are_all_found() {
        let accounts: Vec<Account> = (0..5000).map(|n| account(n, "static", &n.to_string())).collect();
        let given: Vec<Credential> =
            (0..5000).map(|n| credential("static", &n.to_string(), &format!("token {n}"))).collect();
        let principals = Principals::new(&given, &accounts, &[]).unwrap();
        for n in 0..5000 {
            let found = principals.authenticate(format!("token {n}").as_bytes());
            assert_eq!(found, Some(Principal { user: UserId(n) }));
        }
        assert_eq!(principals.authenticate(b"token 5000"), None);
    }

    #[test]
    fn two_tokens_may_open_one_account() {
        let given = [credential("static", "a", "old"), credential("static", "a", "new")];
        let principals = Principals::new(&given, &[account(0, "static", "a")], &[]).unwrap();
        assert_eq!(principals.authenticate(b"old"), principals.authenticate(b"new"));
        assert!(principals.authenticate(b"new").is_some());
    }

    #[test]
    fn an_account_without_a_token_keeps_its_public_id() {
        let principals = Principals::new(&[], &[account(3, "static", "gone")], &[]).unwrap();
        assert_eq!(principals.public_id(UserId(3)), Some(Uuid::from_u128(1003)));
        assert_eq!(principals.public_id(UserId(2)), None);
        assert_eq!(principals.public_id(UserId(4)), None);
        assert_eq!(principals.account_places(), 4);
    }

    #[test]
    fn a_token_of_two_accounts_and_a_token_of_none_are_refused_without_showing_it() {
        let accounts = [account(0, "static", "a"), account(1, "static", "b")];
        let twice = [credential("static", "a", "tttt"), credential("static", "b", "tttt")];
        let none = [credential("static", "c", "tttt")];
        for (given, wanted) in [(&twice[..], "static/b"), (&none[..], "static/c")] {
            let error = Principals::new(given, &accounts, &[]).map(drop).unwrap_err().to_string();
            assert!(error.contains(wanted) && !error.contains("tttt"), "{error}");
        }
    }

    #[test]
    fn a_place_in_the_table_costs_36_bytes() {
        assert_eq!(size_of::<(TokenHash, UserId)>(), 36);
    }

    #[test]
    fn a_change_takes_effect_at_once_and_leaves_the_others_alone() {
        let stored = [(hash_of(b"one"), UserId(0)), (hash_of(b"two"), UserId(0))];
        let mut principals = Principals::new(&[], &[account(0, "github", "1")], &stored).unwrap();
        let change = |account: Account, added: Option<&[u8]>, dropped: &[&[u8]]| AccountChange {
            account,
            is_new: false,
            added: added.map(hash_of),
            dropped: dropped.iter().map(|token| hash_of(token)).collect(),
        };
        let rotated = change(account(0, "github", "1"), Some(b"three"), &[b"one"]);
        principals.apply(&rotated.account, &rotated);
        assert_eq!(principals.authenticate(b"one"), None);
        for token in [b"two".as_slice(), b"three"] {
            assert_eq!(principals.authenticate(token), Some(Principal { user: UserId(0) }));
        }
        let joined = change(account(5, "github", "2"), Some(b"four"), &[]);
        principals.apply(&joined.account, &joined);
        assert_eq!(principals.authenticate(b"four"), Some(Principal { user: UserId(5) }));
        assert_eq!(principals.public_id(UserId(5)), Some(joined.account.public_id));
        assert_eq!(principals.public_id(UserId(4)), None);
    }
}
