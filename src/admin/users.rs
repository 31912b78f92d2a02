//! Changes of users, as they are asked for on the command line: one meaning, whether a server runs or not.

use super::{Reply, Request};
use crate::auth::{self, CLI, GITHUB};
use crate::journal::{Account, AccountErrand, AccountOp, AccountRefusal, Whose};

/// A change to be made, and the token that is to be shown afterwards.
pub struct UserChange {
    /// What is to be done to which account.
    pub errand: AccountErrand,
    name: String,
    token: Option<String>,
}

impl UserChange {
    /// What `request` asks for; None if it is about something else.
    ///
    /// # Errors
    /// A name that is none, or no random numbers: one line.
    pub fn of(request: &Request) -> Result<Option<UserChange>, String> {
        let new_token = || auth::random_token().map_err(|error| error.to_string());
        let (name, token) = match request {
            Request::AddUser { name } => {
                check_name(name)?;
                (name, Some(new_token()?))
            }
            Request::RotateUser { name } => (name, Some(new_token()?)),
            Request::RemoveUser { name } => (name, None),
            Request::Copy | Request::Figures | Request::ListUsers => return Ok(None),
        };
        let hash = token.as_ref().map(|token| auth::hash_of(token.as_bytes()));
        let what = match (request, hash) {
            (Request::AddUser { .. }, Some(token)) => AccountOp::Add { token },
            (_, Some(token)) => AccountOp::Renew { token },
            (_, None) => AccountOp::Remove,
        };
        let errand = AccountErrand { whose: whose(name)?, what };
        Ok(Some(UserChange { errand, name: name.clone(), token }))
    }

    /// The reply, when the change is made.
    pub fn made(self, account: &Account) -> Reply {
        match self.token {
            Some(token) => Reply::Token { token, user_id: account.public_id.to_string() },
            None => Reply::Done,
        }
    }

    /// The reply, when it is not.
    pub fn refused(&self, why: AccountRefusal) -> Reply {
        let name = &self.name;
        let why = match why {
            AccountRefusal::Unknown => format!("there is no user {name} with a token; `octostore user list` shows all"),
            AccountRefusal::Exists => {
                format!("there is a user {name}; `octostore user rotate {name}` makes a new token")
            }
        };
        Reply::Refused { why }
    }
}

/// A name, or `github/` and GitHub's number of a user who signed in there.
fn whose(name: &str) -> Result<Whose, String> {
    match name.split_once('/') {
        None => {
            check_name(name)?;
            Ok(Whose::Named { kind: CLI, external_id: name.to_owned() })
        }
        Some((GITHUB, number)) if !number.parse::<u64>().is_ok_and(|n| n.to_string() == number) => {
            Err(format!("{name:?}: a user of GitHub is named by GitHub's number, as github/4242"))
        }
        Some((GITHUB, number)) => Ok(Whose::Named { kind: GITHUB, external_id: number.to_owned() }),
        Some(_) => Err(format!(
            "{name:?}: only users of `octostore user add` and of GitHub have tokens here; others' are in the configuration"
        )),
    }
}

fn check_name(name: &str) -> Result<(), String> {
    if auth::is_user_name(name) {
        return Ok(());
    }
    Err(format!("{name:?} is no user's name: a name is 1 to 64 of the characters a-z A-Z 0-9 . _ -"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn why_not(request: Request) -> String {
        UserChange::of(&request).err().expect("a refusal")
    }

    #[test]
    fn a_name_means_a_user_of_the_command_line_and_github_users_are_named_by_their_number() {
        let named = |name: &str| {
            let change = UserChange::of(&Request::RemoveUser { name: name.into() }).unwrap().unwrap();
            (change.errand.whose, change.errand.what)
        };
        let whose = Whose::Named { kind: CLI, external_id: "alice".into() };
        assert_eq!(named("alice"), (whose, AccountOp::Remove));
        let whose = Whose::Named { kind: GITHUB, external_id: "4242".into() };
        assert_eq!(named("github/4242"), (whose, AccountOp::Remove));
        assert!(why_not(Request::RotateUser { name: "static/alice".into() }).contains("configuration"));
    }

    #[test]
    fn names_that_are_none_are_refused_on_one_line_whatever_is_in_them() {
        for name in ["", "a b", "a/b", "ä", "a\nb", &"a".repeat(65)] {
            let why = why_not(Request::AddUser { name: name.into() });
            assert!(why.contains("1 to 64") && !why.contains('\n'), "{why}");
        }
        assert!(UserChange::of(&Request::AddUser { name: "a".repeat(64) }).is_ok());
    }
}
