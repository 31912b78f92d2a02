//! The tables of accounts and of their tokens.

use rusqlite::types::{ToSqlOutput, ValueRef};
use rusqlite::{Connection, OptionalExtension, Row, params, params_from_iter};
use uuid::Uuid;

use super::accounts::{Account, AccountChange, Holder, TokenHash, Whose};
use super::sqlite_meta::MetaRow;
use super::sqlite_sums::{Sum, check, check_index, checksum, wrong};
use crate::lease::UserId;

/// What an account's checksum is over.
pub(super) const FIELDS: &str = "id, public_id, kind, external_id, created_at, login";
/// What a token's is.
pub(super) const TOKEN_FIELDS: &str = "hash, user_id, issued";

const READ: &str = "
    SELECT id, public_id, kind, external_id, created_at, login, checksum FROM accounts NOT INDEXED ORDER BY id";
const PUBLIC_IDS: &str = "SELECT public_id, id FROM accounts INDEXED BY sqlite_autoindex_accounts_1 ORDER BY public_id";
const NAMES: &str = "
    SELECT kind, external_id, id FROM accounts INDEXED BY sqlite_autoindex_accounts_2 ORDER BY kind, external_id";
const BY_NAME: &str = "
    SELECT id, public_id, kind, external_id, created_at, login, checksum FROM accounts
    WHERE kind = ?1 AND external_id = ?2";
const BY_TOKEN: &str = "
    SELECT id, public_id, kind, external_id, created_at, login, checksum FROM accounts
    WHERE id = (SELECT user_id FROM tokens WHERE hash = ?1)";
const USERS: &str = "
    SELECT id, public_id, kind, external_id, created_at, login, checksum,
        (SELECT count(*) FROM tokens WHERE user_id = accounts.id)
    FROM accounts WHERE id >= ?1 ORDER BY id LIMIT ?2";
const NEXT: &str = "
    SELECT (SELECT coalesce(max(id) + 1, 0) FROM accounts), strftime('%Y-%m-%dT%H:%M:%SZ', ?1, 'unixepoch')";
const PUT: &str = "
    INSERT INTO accounts (id, public_id, kind, external_id, created_at, login, checksum) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)
    ON CONFLICT (id) DO UPDATE SET login = excluded.login, checksum = excluded.checksum";

const READ_TOKENS: &str = "SELECT hash, user_id, issued, checksum FROM tokens NOT INDEXED ORDER BY hash";
const TOKENS_BY_ACCOUNT: &str = "
    SELECT user_id, issued, hash FROM tokens INDEXED BY tokens_of_account ORDER BY user_id, issued, hash";
const TOKENS_OF: &str = "SELECT hash, user_id, issued, checksum FROM tokens WHERE user_id = ?1 ORDER BY issued";
const TOKEN: &str = "SELECT hash, user_id, issued, checksum FROM tokens WHERE hash = ?1";
const NEXT_ISSUE: &str = "SELECT coalesce(max(issued) + 1, 0) FROM tokens WHERE user_id = ?1";
const ADD_TOKEN: &str = "INSERT INTO tokens (hash, user_id, issued, checksum) VALUES (?1, ?2, ?3, ?4)";
const DROP_TOKEN: &str = "DELETE FROM tokens WHERE hash = ?1";

/// An account, and what else its row has.
struct Stored {
    account: Account,
    created_at: String,
    checksum: u32,
}

/// Makes the account, unless it is there; notes its login, if one is given; gives it. `now_s` is the wall clock's.
pub(super) fn ensure(
    connection: &Connection,
    now_s: u64,
    (kind, external_id): (&str, &str),
    login: Option<&str>,
    sum: &mut Sum,
) -> rusqlite::Result<Account> {
    let found = connection.prepare_cached(BY_NAME)?.query_row(params![kind, external_id], stored).optional()?;
    let (mut account, created_at) = match found {
        Some(Stored { account, .. }) if login.is_none_or(|login| account.login.as_deref() == Some(login)) => {
            return Ok(account);
        }
        Some(Stored { account, created_at, checksum }) => {
            sum.remove(checksum);
            (account, created_at)
        }
        None => {
            let (id, now): (u32, String) =
                connection.prepare_cached(NEXT)?.query_row([now_s as i64], |row| Ok((row.get(0)?, row.get(1)?)))?;
            let (kind, external_id) = (kind.to_owned(), external_id.to_owned());
            (Account { id: UserId(id), public_id: Uuid::new_v4(), kind, external_id, login: None }, now)
        }
    };
    account.login = login.map(str::to_owned).or(account.login);
    sum.add(put(connection, &account, &created_at)?);
    Ok(account)
}

/// Writes an account's row, and gives its checksum.
fn put(connection: &Connection, account: &Account, created_at: &str) -> rusqlite::Result<u32> {
    let Account { id, public_id, kind, external_id, login } = account;
    let public_id = public_id.to_string();
    let fields = [
        ValueRef::Integer(id.0.into()),
        ValueRef::Text(public_id.as_bytes()),
        ValueRef::Text(kind.as_bytes()),
        ValueRef::Text(external_id.as_bytes()),
        ValueRef::Text(created_at.as_bytes()),
        login.as_deref().map_or(ValueRef::Null, |login| ValueRef::Text(login.as_bytes())),
    ];
    let checksum = checksum(fields);
    let values = fields.map(ToSqlOutput::Borrowed).into_iter().chain([ToSqlOutput::from(checksum)]);
    connection.prepare_cached(PUT)?.execute(params_from_iter(values))?;
    Ok(checksum)
}

/// How many accounts there are: [`read`] looks at them closely.
pub(super) fn count(connection: &Connection) -> rusqlite::Result<usize> {
    connection
        .query_row("SELECT count(*) FROM accounts NOT INDEXED", [], |row| row.get::<_, u32>(0))
        .map(|count| count as usize)
}

/// All accounts, by number, the sum over which is `kept`.
pub(super) fn read(connection: &Connection, kept: Sum) -> rusqlite::Result<Vec<Account>> {
    let mut statement = connection.prepare(READ)?;
    let mut rows = statement.query([])?;
    let mut accounts = Vec::new();
    let (mut sum, mut public_ids, mut names) = (Sum::default(), Sum::default(), Sum::default());
    while let Some(row) = rows.next()? {
        let Stored { account, checksum: own, .. } = stored(row)?;
        if account.id.0 as usize != accounts.len() {
            return Err(damaged(account.id.0.into()));
        }
        sum.add(own);
        public_ids.add(checksum([1, 0].map(|column| row.get_ref_unwrap(column))));
        names.add(checksum([2, 3, 0].map(|column| row.get_ref_unwrap(column))));
        accounts.push(account);
    }
    sum.check(kept, "accounts")?;
    check_index(connection, PUBLIC_IDS, public_ids, "accounts")?;
    check_index(connection, NAMES, names, "accounts")?;
    Ok(accounts)
}

/// All tokens, each with its account; the sum over them is `kept`.
pub(super) fn read_tokens(connection: &Connection, kept: Sum) -> rusqlite::Result<Vec<(TokenHash, UserId)>> {
    let mut statement = connection.prepare(READ_TOKENS)?;
    let mut rows = statement.query([])?;
    let mut tokens = Vec::new();
    let (mut sum, mut by_account) = (Sum::default(), Sum::default());
    while let Some(row) = rows.next()? {
        let (hash, user, own) = token(row)?;
        sum.add(own);
        by_account.add(checksum([1, 2, 0].map(|column| row.get_ref_unwrap(column))));
        tokens.push((hash, user));
    }
    sum.check(kept, "tokens")?;
    check_index(connection, TOKENS_BY_ACCOUNT, by_account, "tokens")?;
    Ok(tokens)
}

/// So many accounts from a number on, each with how many tokens it has.
pub(super) fn users(connection: &Connection, from: UserId, most: usize) -> rusqlite::Result<Vec<(Account, u32)>> {
    let mut statement = connection.prepare_cached(USERS)?;
    let rows = statement.query_map(params![from.0, most as i64], |row| Ok((stored(row)?.account, row.get(7)?)))?;
    rows.collect()
}

/// The account that is meant, and its tokens, the oldest first.
pub(super) fn holder(connection: &Connection, whose: &Whose) -> rusqlite::Result<Option<Holder>> {
    let found = match whose {
        Whose::Named { kind, external_id } => {
            connection.prepare_cached(BY_NAME)?.query_row(params![kind, external_id], stored).optional()?
        }
        Whose::Opened(token) => {
            connection.prepare_cached(BY_TOKEN)?.query_row(params![token.bytes()], stored).optional()?
        }
    };
    let Some(Stored { account, .. }) = found else { return Ok(None) };
    let mut statement = connection.prepare_cached(TOKENS_OF)?;
    let tokens = statement.query_map([account.id.0], |row| token(row).map(|(hash, ..)| hash))?;
    let tokens = tokens.collect::<Result<_, _>>()?;
    Ok(Some(Holder { account, tokens }))
}

/// Makes a change, within a transaction, and gives the account as it is then.
pub(super) fn change(
    connection: &Connection,
    now_s: u64,
    change: &AccountChange,
    meta: &mut MetaRow,
) -> rusqlite::Result<Account> {
    let Account { kind, external_id, login, .. } = &change.account;
    let account = ensure(connection, now_s, (kind, external_id), login.as_deref(), &mut meta.accounts)?;
    for dropped in &change.dropped {
        let found = connection.prepare_cached(TOKEN)?.query_row(params![dropped.bytes()], token).optional()?;
        if let Some((.., checksum)) = found {
            meta.tokens.remove(checksum);
            connection.prepare_cached(DROP_TOKEN)?.execute(params![dropped.bytes()])?;
        }
    }
    if let Some(added) = change.added {
        let user = account.id.0;
        let issued: i64 = connection.prepare_cached(NEXT_ISSUE)?.query_row([user], |row| row.get(0))?;
        let fields = [ValueRef::Blob(added.bytes()), ValueRef::Integer(user.into()), ValueRef::Integer(issued)];
        let checksum = checksum(fields);
        connection.prepare_cached(ADD_TOKEN)?.execute(params![added.bytes(), user, issued, checksum])?;
        meta.tokens.add(checksum);
    }
    Ok(account)
}

/// An account's row, its checksum checked.
fn stored(row: &Row<'_>) -> rusqlite::Result<Stored> {
    let (id, public_id) = (row.get::<_, i64>(0)?, row.get_ref(1)?.as_str()?);
    let (Ok(number), Ok(public_id)) = (u32::try_from(id), Uuid::try_parse(public_id)) else {
        return Err(damaged(id));
    };
    let (kind, external_id, login) = (row.get(2)?, row.get(3)?, row.get(5)?);
    let checksum = check(row, 6, || format!("account {id}"))?;
    let account = Account { id: UserId(number), public_id, kind, external_id, login };
    Ok(Stored { account, created_at: row.get(4)?, checksum })
}

fn damaged(id: i64) -> rusqlite::Error {
    wrong(format!("account {id} is damaged, or one before it is missing"))
}

/// A token's row, its checksum, too, checked.
fn token(row: &Row<'_>) -> rusqlite::Result<(TokenHash, UserId, u32)> {
    let (hash, user) = (row.get::<_, [u8; 32]>(0)?, UserId(row.get(1)?));
    let checksum = check(row, 3, || format!("a token of account {}", user.0))?;
    Ok((TokenHash::from(hash), user, checksum))
}
