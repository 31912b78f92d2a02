//! The accounts and their tokens, as somebody sees them who asks the journal; and what may become of them.

use octostore::journal::{
    Account, AccountChange, AccountErrand, AccountOp, Holder, Journal, JournalError, SqliteJournal, TokenHash, Whose,
};
use octostore::lease::UserId;
use uuid::Uuid;

use crate::random::Random;

/// Accounts that are made and changed while the server runs: kind and external id.
const NAMES: [(&str, &str); 4] = [("github", "101"), ("github", "102"), ("cli", "eve"), ("local", "local")];
/// The kinds that there are, and one more that the server makes at its start.
const KINDS: [&str; 4] = ["github", "cli", "local", "static"];

/// All accounts, by number, each with its tokens, the oldest first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct People(pub Vec<(Account, Vec<TokenHash>)>);

impl People {
    /// Reads them, in each of the ways that there are.
    ///
    /// # Errors
    /// The journal's.
    pub fn read(journal: &mut SqliteJournal) -> Result<People, JournalError> {
        let accounts = journal.accounts(&[])?;
        let mut people = Vec::new();
        for account in accounts {
            let kind = KINDS.into_iter().find(|kind| *kind == account.kind).expect("a kind that there is");
            let whose = Whose::Named { kind, external_id: account.external_id.clone() };
            let Holder { account: its, tokens } = journal.holder(&whose)?.expect("an account that is on the list");
            assert_eq!(its, account, "an account by its name is another than on the list");
            people.push((account, tokens));
        }
        let counts = people.iter().map(|(account, tokens)| (account.clone(), tokens.len() as u32)).collect::<Vec<_>>();
        assert_eq!(journal.users(UserId(0), usize::MAX >> 1)?, counts, "the list of users is another");
        let sorted = |mut all: Vec<(TokenHash, UserId)>| {
            all.sort_by_key(|(token, _)| *token.bytes());
            all
        };
        let all = people.iter().flat_map(|(account, tokens)| tokens.iter().map(|token| (*token, account.id))).collect();
        assert_eq!(sorted(journal.tokens()?), sorted(all), "the list of tokens is another");
        Ok(People(people))
    }

    /// How they are once the accounts of these names are there.
    pub fn with(&self, wanted: &[(&str, &str)]) -> People {
        let mut after = self.clone();
        wanted.iter().for_each(|(kind, external_id)| _ = after.account(kind, external_id));
        after
    }

    /// How they are after a change.
    pub fn after(&self, change: &AccountChange) -> People {
        let mut after = self.clone();
        let Account { kind, external_id, login, .. } = &change.account;
        let (account, _) = after.account(kind, external_id);
        if login.is_some() {
            account.login.clone_from(login);
        }
        after.0.iter_mut().for_each(|(_, tokens)| tokens.retain(|token| !change.dropped.contains(token)));
        after.account(kind, external_id).1.extend(change.added);
        after
    }

    /// What the journal says of an account that it has changed: the public id of a new one is its choice.
    pub fn is_now(&mut self, account: Account) {
        let (known, _) = self.account(&account.kind, &account.external_id);
        if known.public_id.is_nil() {
            known.public_id = account.public_id;
        }
    }

    /// Whether they are those that were expected, of whom the new ones have public ids that nobody could foresee.
    pub fn are(&self, expected: &People) -> bool {
        self.0.len() == expected.0.len()
            && self.0.iter().zip(&expected.0).all(|((account, tokens), (its, its_tokens))| {
                let public_id = if its.public_id.is_nil() { its.public_id } else { account.public_id };
                Account { public_id, ..account.clone() } == *its && tokens == its_tokens
            })
    }

    /// The account of this name, made if there is none.
    fn account(&mut self, kind: &str, external_id: &str) -> &mut (Account, Vec<TokenHash>) {
        let known = self.0.iter().position(|(known, _)| known.kind == kind && known.external_id == external_id);
        let at = known.unwrap_or_else(|| {
            let (id, kind) = (UserId(self.0.len() as u32), kind.to_owned());
            let external_id = external_id.to_owned();
            self.0.push((Account { id, public_id: Uuid::nil(), kind, external_id, login: None }, Vec::new()));
            self.0.len() - 1
        });
        &mut self.0[at]
    }

    /// What somebody wants of an account: a sign-in, a user added or removed, a token rotated or renewed. It may be refused.
    pub fn draw_errand(&self, random: &mut Random) -> AccountErrand {
        let token = TokenHash::from([(); 32].map(|()| random.bits() as u8));
        let known: Vec<TokenHash> = self.0.iter().flat_map(|(_, tokens)| tokens.iter().copied()).collect();
        let (kind, external_id) = random.pick(&NAMES);
        let named = Whose::Named { kind, external_id: external_id.to_owned() };
        let (whose, what) = match random.below(8) {
            0..3 => (named, AccountOp::SignIn { login: format!("user-{}", random.below(3)), token }),
            3 => (named, AccountOp::Add { token }),
            4..6 if !known.is_empty() => (Whose::Opened(random.pick(&known)), AccountOp::Rotate { token }),
            6 => (named, AccountOp::Renew { token }),
            _ => (named, AccountOp::Remove),
        };
        AccountErrand { whose, what }
    }
}
