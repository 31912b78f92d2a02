//! Accounts and their tokens, as far as they are stored: what can be asked, and what it changes. The decisions are pure.
//!
//! An [`AccountErrand`] travels to the journal's thread (see `intake.rs`), which looks the account up, has [`decide`]
//! say what is to change, and makes the change durable. The journal's thread is the only one that touches accounts, so
//! nothing can come in between. The [`AccountChange`] then goes to every core, and only after that to
//! whoever asked: see `registrar.rs`.
//!
//! An account is known by where it comes from (its kind) and its name there, and is never deleted, since locks and
//! other people's records name it; an account without a token is one that nobody can use. Tokens that the
//! operator configured are not stored, so they cannot be changed here.

use std::fmt;

use uuid::Uuid;

use crate::lease::UserId;

/// The most tokens of one account; one more drops the oldest.
pub const MAX_TOKENS: usize = 10;

/// The SHA-256 of a bearer token: all that is kept of it.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct TokenHash([u8; 32]);

/// An account, as it is stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Account {
    /// Its number: small, dense, never used twice.
    pub id: UserId,
    /// What others see of it.
    pub public_id: Uuid,
    /// Where it comes from: `static`, `local`, `cli`, `github`.
    pub kind: String,
    /// Its name there, which never changes: of a GitHub user the number.
    pub external_id: String,
    /// What the user is called there just now, where that is something else.
    pub login: Option<String>,
}

/// An account with its tokens, the oldest first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Holder {
    /// The account.
    pub account: Account,
    /// Its stored tokens.
    pub tokens: Vec<TokenHash>,
}

/// Which account is meant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Whose {
    /// The one of this kind and external id.
    Named {
        /// The kind.
        kind: &'static str,
        /// The name among its kind.
        external_id: String,
    },
    /// The one that this token opens.
    Opened(TokenHash),
}

/// Something to be done to an account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccountErrand {
    /// To which.
    pub whose: Whose,
    /// What.
    pub what: AccountOp,
}

/// What can be done to an account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AccountOp {
    /// One more token, for an account that is made if there is none; its login is noted.
    SignIn {
        /// What the user is called now.
        login: String,
        /// The token.
        token: TokenHash,
    },
    /// The first token of an account that has none, and is made if need be.
    Add {
        /// The token.
        token: TokenHash,
    },
    /// This token instead of the one that named the account.
    Rotate {
        /// The token.
        token: TokenHash,
    },
    /// This token instead of all that the account has.
    Renew {
        /// The token.
        token: TokenHash,
    },
    /// No token any more.
    Remove,
}

/// What becomes of an account: to be made durable, and then known on every core.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccountChange {
    /// The account as it is afterwards; its number and public id count only if it was there before.
    pub account: Account,
    /// Whether it was made just now.
    pub is_new: bool,
    /// A token that works from now on.
    pub added: Option<TokenHash>,
    /// Tokens that work no longer.
    pub dropped: Vec<TokenHash>,
}

/// Why an account stays as it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AccountRefusal {
    /// There is no such account, or none with such a token.
    Unknown,
    /// It has a token already.
    Exists,
}

/// Decides what `errand` changes, given the account it means, if there is one.
///
/// # Errors
/// The account is not in a state to have that done.
pub fn decide(errand: &AccountErrand, found: Option<Holder>) -> Result<AccountChange, AccountRefusal> {
    let dropped = match (&errand.what, &found) {
        (AccountOp::SignIn { .. }, Some(found)) => {
            found.tokens[..(found.tokens.len() + 1).saturating_sub(MAX_TOKENS)].to_vec()
        }
        (AccountOp::Add { .. }, Some(found)) if !found.tokens.is_empty() => return Err(AccountRefusal::Exists),
        (AccountOp::SignIn { .. } | AccountOp::Add { .. }, _) => Vec::new(),
        (AccountOp::Rotate { .. }, Some(found)) => {
            found.tokens.iter().copied().filter(|token| errand.whose == Whose::Opened(*token)).collect()
        }
        // One that nobody can use is to its operator as if it were not there.
        (AccountOp::Renew { .. } | AccountOp::Remove, Some(found)) if !found.tokens.is_empty() => found.tokens.clone(),
        _ => return Err(AccountRefusal::Unknown),
    };
    let is_new = found.is_none();
    let mut account = match (found, &errand.whose) {
        (Some(found), _) => found.account,
        (None, Whose::Named { kind, external_id }) => Account {
            id: UserId(0),
            public_id: Uuid::nil(),
            kind: (*kind).to_owned(),
            external_id: external_id.clone(),
            login: None,
        },
        (None, Whose::Opened(_)) => return Err(AccountRefusal::Unknown),
    };
    let added = match &errand.what {
        AccountOp::SignIn { login, token } => {
            account.login = Some(login.clone());
            Some(*token)
        }
        AccountOp::Add { token } | AccountOp::Rotate { token } | AccountOp::Renew { token } => Some(*token),
        AccountOp::Remove => None,
    };
    Ok(AccountChange { account, is_new, added, dropped })
}

impl Account {
    /// What people call the user.
    pub fn name(&self) -> &str {
        self.login.as_deref().unwrap_or(&self.external_id)
    }
}

impl TokenHash {
    /// Its bytes.
    pub fn bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl From<[u8; 32]> for TokenHash {
    fn from(stored: [u8; 32]) -> TokenHash {
        TokenHash(stored)
    }
}

impl fmt::Debug for TokenHash {
    /// The first bytes only: enough to tell two apart in a test, not enough to check a guess in earnest.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TokenHash({:02x}{:02x}..)", self.0[0], self.0[1])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn token(n: u8) -> TokenHash {
        TokenHash::from([n; 32])
    }

    fn holder(tokens: &[u8]) -> Option<Holder> {
        let account = Account {
            id: UserId(7),
            public_id: Uuid::from_u128(7),
            kind: "github".into(),
            external_id: "4242".into(),
            login: Some("ada".into()),
        };
        Some(Holder { account, tokens: tokens.iter().map(|n| token(*n)).collect() })
    }

    fn decided(whose: Whose, what: AccountOp, found: Option<Holder>) -> Result<AccountChange, AccountRefusal> {
        decide(&AccountErrand { whose, what }, found)
    }

    fn ada() -> Whose {
        Whose::Named { kind: "github", external_id: "4242".into() }
    }

    #[test]
    fn a_first_sign_in_makes_an_account_and_later_ones_add_tokens_and_note_the_login() {
        let first = decided(ada(), AccountOp::SignIn { login: "ada".into(), token: token(1) }, None).unwrap();
        assert!(first.is_new && first.dropped.is_empty());
        assert_eq!((first.account.name(), first.added), ("ada", Some(token(1))));
        let sign_in = AccountOp::SignIn { login: "ada-lovelace".into(), token: token(2) };
        let second = decided(ada(), sign_in, holder(&[1])).unwrap();
        assert!(!second.is_new && second.dropped.is_empty());
        assert_eq!((second.account.id, second.account.name()), (UserId(7), "ada-lovelace"));
    }

    #[test]
    fn the_eleventh_token_drops_the_oldest() {
        let sign_in = |n| AccountOp::SignIn { login: "ada".into(), token: token(n) };
        let tenth = decided(ada(), sign_in(10), holder(&[1, 2, 3, 4, 5, 6, 7, 8, 9])).unwrap();
        assert_eq!(tenth.dropped, []);
        let eleventh = decided(ada(), sign_in(11), holder(&[1, 2, 3, 4, 5, 6, 7, 8, 9, 10])).unwrap();
        assert_eq!(eleventh.dropped, [token(1)]);
    }

    #[test]
    fn a_rotation_replaces_the_token_that_asked_and_no_other() {
        let rotate = |old| decided(Whose::Opened(token(old)), AccountOp::Rotate { token: token(9) }, holder(&[1, 2]));
        let change = rotate(2).unwrap();
        assert_eq!((change.dropped, change.added), (vec![token(2)], Some(token(9))));
        let unknown = decided(Whose::Opened(token(3)), AccountOp::Rotate { token: token(9) }, None);
        assert_eq!(unknown, Err(AccountRefusal::Unknown));
    }

    #[test]
    fn the_operator_adds_once_renews_and_removes() {
        let add = AccountOp::Add { token: token(5) };
        assert!(decided(ada(), add.clone(), None).unwrap().is_new);
        assert!(!decided(ada(), add.clone(), holder(&[])).unwrap().is_new, "it comes back under its number");
        assert_eq!(decided(ada(), add, holder(&[1])), Err(AccountRefusal::Exists));
        let renewed = decided(ada(), AccountOp::Renew { token: token(5) }, holder(&[1, 2])).unwrap();
        assert_eq!((renewed.dropped.len(), renewed.added), (2, Some(token(5))));
        let removed = decided(ada(), AccountOp::Remove, holder(&[1, 2])).unwrap();
        assert_eq!((removed.dropped.len(), removed.added), (2, None));
        for found in [None, holder(&[])] {
            assert_eq!(decided(ada(), AccountOp::Remove, found.clone()), Err(AccountRefusal::Unknown));
            let renew = AccountOp::Renew { token: token(5) };
            assert_eq!(decided(ada(), renew, found), Err(AccountRefusal::Unknown));
        }
    }
}
