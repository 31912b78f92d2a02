//! The tables of accounts and of their tokens.

use rusqlite::{Connection, OptionalExtension, Row, params};
use uuid::Uuid;

use super::JournalError;
use super::accounts::{Account, AccountChange, Holder, TokenHash, Whose};
use super::recovery::corrupt;
use crate::lease::UserId;

const ENSURE: &str = "
    INSERT INTO accounts (id, public_id, kind, external_id, created_at, login)
    SELECT coalesce(max(id) + 1, 0), ?1, ?2, ?3, strftime('%Y-%m-%dT%H:%M:%SZ', ?4, 'unixepoch'), ?5 FROM accounts WHERE true
    ON CONFLICT (kind, external_id) DO UPDATE SET login = coalesce(excluded.login, login)";
const READ: &str = "SELECT id, public_id, kind, external_id, login FROM accounts ORDER BY id";
const BY_NAME: &str =
    "SELECT id, public_id, kind, external_id, login FROM accounts WHERE kind = ?1 AND external_id = ?2";
const BY_TOKEN: &str = "
    SELECT id, public_id, kind, external_id, login FROM accounts
    WHERE id = (SELECT user_id FROM tokens WHERE hash = ?1)";
const TOKENS_OF: &str = "SELECT hash FROM tokens WHERE user_id = ?1 ORDER BY issued";
const USERS: &str = "
    SELECT id, public_id, kind, external_id, login, (SELECT count(*) FROM tokens WHERE user_id = accounts.id)
    FROM accounts WHERE id >= ?1 ORDER BY id LIMIT ?2";
const READ_TOKENS: &str = "SELECT hash, user_id FROM tokens";
const ADD_TOKEN: &str = "
    INSERT INTO tokens (hash, user_id, issued)
    SELECT ?1, ?2, coalesce(max(issued) + 1, 0) FROM tokens WHERE user_id = ?2";
const DROP_TOKEN: &str = "DELETE FROM tokens WHERE hash = ?1";

/// Makes the account, unless it is there; notes its login, if one is given. `now_s` is the wall clock's.
pub(super) fn ensure(
    connection: &Connection,
    now_s: u64,
    kind: &str,
    external_id: &str,
    login: Option<&str>,
) -> rusqlite::Result<()> {
    let public_id = Uuid::new_v4().to_string();
    connection.prepare_cached(ENSURE)?.execute(params![public_id, kind, external_id, now_s as i64, login]).map(drop)
}

/// How many accounts there are: [`read`] looks at them closely.
pub(super) fn count(connection: &Connection) -> rusqlite::Result<usize> {
    connection.query_row("SELECT count(*) FROM accounts", [], |row| row.get::<_, u32>(0)).map(|count| count as usize)
}

/// All accounts, by number; or which of them cannot be.
pub(super) fn read(connection: &Connection) -> rusqlite::Result<Result<Vec<Account>, JournalError>> {
    let mut statement = connection.prepare(READ)?;
    let mut rows = statement.query([])?;
    let mut accounts = Vec::new();
    while let Some(row) = rows.next()? {
        let expected = accounts.len() as i64;
        match account(row)? {
            Some(account) if i64::from(account.id.0) == expected => accounts.push(account),
            _ => {
                let id: i64 = row.get(0)?;
                return Ok(Err(corrupt(format!("account {id} is damaged, or one before it is missing"))));
            }
        }
    }
    Ok(Ok(accounts))
}

/// All tokens, each with its account.
pub(super) fn read_tokens(connection: &Connection) -> rusqlite::Result<Vec<(TokenHash, UserId)>> {
    let mut statement = connection.prepare(READ_TOKENS)?;
    let rows = statement.query_map([], |row| Ok((hash(row)?, UserId(row.get(1)?))))?;
    rows.collect()
}

/// So many accounts from a number on, each with how many tokens it has.
pub(super) fn users(connection: &Connection, from: UserId, most: usize) -> rusqlite::Result<Vec<(Account, u32)>> {
    let mut statement = connection.prepare_cached(USERS)?;
    let rows = statement.query_map(params![from.0, most as i64], |row| {
        Ok((account(row)?.ok_or(rusqlite::Error::InvalidQuery)?, row.get(5)?))
    })?;
    rows.collect()
}

/// The account that is meant, and its tokens, the oldest first.
pub(super) fn holder(connection: &Connection, whose: &Whose) -> rusqlite::Result<Option<Holder>> {
    let found = match whose {
        Whose::Named { kind, external_id } => {
            connection.prepare_cached(BY_NAME)?.query_row(params![kind, external_id], account).optional()?
        }
        Whose::Opened(token) => {
            connection.prepare_cached(BY_TOKEN)?.query_row(params![token.bytes()], account).optional()?
        }
    };
    let Some(account) = found.map(|account| account.ok_or(rusqlite::Error::InvalidQuery)).transpose()? else {
        return Ok(None);
    };
    let tokens = connection.prepare_cached(TOKENS_OF)?.query_map([account.id.0], hash)?.collect::<Result<_, _>>()?;
    Ok(Some(Holder { account, tokens }))
}

/// Makes a change, within a transaction, and gives the account as it is then.
pub(super) fn change(connection: &Connection, now_s: u64, change: &AccountChange) -> rusqlite::Result<Account> {
    let Account { kind, external_id, login, .. } = &change.account;
    ensure(connection, now_s, kind, external_id, login.as_deref())?;
    let stored = connection.prepare_cached(BY_NAME)?.query_row(params![kind, external_id], account)?;
    let stored = stored.ok_or(rusqlite::Error::InvalidQuery)?;
    for token in &change.dropped {
        connection.prepare_cached(DROP_TOKEN)?.execute(params![token.bytes()])?;
    }
    if let Some(token) = change.added {
        connection.prepare_cached(ADD_TOKEN)?.execute(params![token.bytes(), stored.id.0])?;
    }
    Ok(stored)
}

/// An account; None if its public id is none.
fn account(row: &Row<'_>) -> rusqlite::Result<Option<Account>> {
    let (id, public_id) = (row.get::<_, i64>(0)?, row.get_ref(1)?.as_str()?);
    let (Ok(id), Ok(public_id)) = (u32::try_from(id), Uuid::try_parse(public_id)) else { return Ok(None) };
    Ok(Some(Account { id: UserId(id), public_id, kind: row.get(2)?, external_id: row.get(3)?, login: row.get(4)? }))
}

fn hash(row: &Row<'_>) -> rusqlite::Result<TokenHash> {
    row.get::<_, [u8; 32]>(0).map(TokenHash::from)
}
