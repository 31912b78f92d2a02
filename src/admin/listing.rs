//! The list of users, a row for each account.
//!
//! The database counts the tokens that it stores. Those of `STATIC_TOKENS`, of its file, and of `local` are in
//! the configuration, which only the server knows: of a server that does not run, nobody can say how many they are.
//!
//! A running server's journal reads the list in parts, with commits between them. Accounts are numbered upwards and never
//! deleted, so the list holds each that was there when it was begun, as it was at some moment since.

use std::collections::HashMap;

use serde::{Deserialize, Serialize};

use super::MAX_REPLY_BYTES;
use crate::auth::{CLI, Credential, LOCAL, STATIC};
use crate::journal::{Account, USERS_AT_ONCE};

/// The longest row, in bytes: two names of at most 64 each, an id of 36, and what JSON puts around them.
const MAX_ROW_BYTES: usize = 512;
const _: () = assert!(USERS_AT_ONCE * MAX_ROW_BYTES < MAX_REPLY_BYTES as usize);

/// A user, as the list shows it.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct UserRow {
    /// What to call it, in the other commands too.
    pub name: String,
    /// How many tokens it has; None if that is in the configuration of a server that does not run.
    pub tokens: Option<u32>,
    /// What others see of it.
    pub user_id: String,
}

/// How many tokens the configuration has for whom.
#[derive(Debug)]
pub struct Configured(HashMap<String, u32>);

impl Configured {
    /// By what was gathered at the start.
    pub fn new(credentials: &[Credential]) -> Configured {
        let mut tokens = HashMap::new();
        for Credential { kind, external_id, .. } in credentials {
            *tokens.entry(key(kind, external_id)).or_default() += 1;
        }
        Configured(tokens)
    }
}

impl UserRow {
    /// Of an account with so many stored tokens. Without a configuration those who may be in one have an unknown number.
    pub fn new(account: &Account, stored: u32, configured: Option<&Configured>) -> UserRow {
        let Account { kind, external_id, login, .. } = account;
        let name = match (kind.as_str(), login) {
            (CLI, _) => external_id.clone(),
            (_, None) => key(kind, external_id),
            (_, Some(login)) => format!("{} ({login})", key(kind, external_id)),
        };
        let tokens = match configured {
            Some(configured) => Some(stored + configured.0.get(&key(kind, external_id)).unwrap_or(&0)),
            None if [STATIC, LOCAL].contains(&kind.as_str()) => None,
            None => Some(stored),
        };
        UserRow { name, tokens, user_id: account.public_id.to_string() }
    }
}

fn key(kind: &str, external_id: &str) -> String {
    format!("{kind}/{external_id}")
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;
    use crate::auth::{GITHUB, hash_of};
    use crate::lease::UserId;

    fn account(kind: &str, external_id: &str, login: Option<&str>) -> Account {
        let (kind, external_id) = (kind.to_owned(), external_id.to_owned());
        Account { id: UserId(0), public_id: Uuid::max(), kind, external_id, login: login.map(str::to_owned) }
    }

    #[test]
    fn what_is_configured_is_counted_where_it_is_known() {
        let credential = |kind, n: u8| Credential { kind, external_id: "ada".into(), token_hash: hash_of(&[n]) };
        let configured = Configured::new(&[credential(STATIC, 1), credential(STATIC, 2)]);
        let row = |kind, configured| UserRow::new(&account(kind, "ada", None), 0, configured);
        assert_eq!((row(STATIC, Some(&configured)).tokens, row(STATIC, None).tokens), (Some(2), None));
        assert_eq!((row(CLI, Some(&configured)).tokens, row(CLI, None).tokens), (Some(0), Some(0)), "another ada");
        assert_eq!(row(LOCAL, Some(&configured)).tokens, Some(0), "no longer configured");
    }

    #[test]
    fn the_longest_row_is_no_longer_than_it_may_be() {
        let github = account(GITHUB, &u64::MAX.to_string(), Some(&"n".repeat(64)));
        let named = account(STATIC, &"n".repeat(64), None);
        for account in [github, named] {
            let row = serde_json::to_vec(&UserRow::new(&account, u32::MAX, None)).unwrap();
            assert!(row.len() < MAX_ROW_BYTES, "{}", row.len());
        }
    }
}
