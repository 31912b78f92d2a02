//! The table of locks: a row for each that was held when its row was written last.

use rusqlite::types::{ToSqlOutput, ValueRef};
use rusqlite::{Connection, OptionalExtension, Row as SqlRow, params_from_iter};
use uuid::Uuid;

use super::sqlite_meta::as_sql;
use super::sqlite_sums::{Sum, check_fields, checksum, wrong};
use super::{Row, RowChange};
use crate::fence::Fence;
use crate::lease::{LockName, MAX_METADATA_BYTES, Ttl, UserId};

/// What a checksum is over.
pub(super) const FIELDS: &str = "name, user_id, lease_id, token, ttl_seconds, metadata";
/// By name. [`read`] reads a row of it.
pub(super) const READ: &str =
    "SELECT name, user_id, lease_id, token, ttl_seconds, metadata, checksum FROM locks ORDER BY name";
const CHECKSUM: &str = "SELECT checksum FROM locks WHERE name = ?1";
const PUT: &str = "
    INSERT INTO locks (name, user_id, lease_id, token, ttl_seconds, metadata, checksum) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)
    ON CONFLICT (name) DO UPDATE SET
        user_id = excluded.user_id, lease_id = excluded.lease_id, token = excluded.token,
        ttl_seconds = excluded.ttl_seconds, metadata = excluded.metadata, checksum = excluded.checksum";
const DELETE: &str = "DELETE FROM locks WHERE name = ?1";

/// Changes a row, and with it the sum over all.
pub(super) fn change(connection: &Connection, change: &RowChange, sum: &mut Sum) -> rusqlite::Result<()> {
    let (RowChange::Put(Row { name, .. }) | RowChange::Delete(name)) = change;
    let before = connection.prepare_cached(CHECKSUM)?.query_row([&**name], |row| row.get(0)).optional()?;
    if let Some(checksum) = before {
        sum.remove(checksum);
    }
    match change {
        RowChange::Put(row) => put(connection, row).map(|checksum| sum.add(checksum)),
        RowChange::Delete(_) if before.is_none() => Ok(()),
        RowChange::Delete(name) => connection.prepare_cached(DELETE)?.execute([&**name]).map(drop),
    }
}

/// Writes a row, and gives its checksum.
fn put(connection: &Connection, row: &Row) -> rusqlite::Result<u32> {
    let Row { name, user, lease_id, token, ttl, metadata } = row;
    let mut buffer = Uuid::encode_buffer();
    let lease_id: &str = lease_id.hyphenated().encode_lower(&mut buffer);
    let fields = [
        ValueRef::Text(name.as_bytes()),
        ValueRef::Integer(user.0.into()),
        ValueRef::Text(lease_id.as_bytes()),
        ValueRef::Integer(as_sql(token.get())),
        ValueRef::Integer(ttl.seconds().into()),
        metadata.as_deref().map_or(ValueRef::Null, |note| ValueRef::Text(note.as_bytes())),
    ];
    let checksum = checksum(fields);
    let values = fields.map(ToSqlOutput::Borrowed).into_iter().chain([ToSqlOutput::from(checksum)]);
    connection.prepare_cached(PUT)?.execute(params_from_iter(values))?;
    Ok(checksum)
}

/// Reads a row: each field checked as it was when it was written, then the checksum, which goes into `sum`.
pub(super) fn read(row: &SqlRow<'_>, sum: &mut Sum) -> rusqlite::Result<Row> {
    let fields: [ValueRef<'_>; 6] = std::array::from_fn(|column| row.get_ref_unwrap(column));
    let [name, user, lease_id, token, ttl, metadata] = fields;
    let name = name.as_str()?;
    let impossible = |what: &str| wrong(format!("the row of lock '{name}' has an impossible {what}"));
    let number = |field: ValueRef<'_>| field.as_i64().ok().and_then(|value| u64::try_from(value).ok());
    let lease_id = lease_id.as_str().ok().and_then(|text| Uuid::try_parse(text).ok());
    let metadata = match metadata.as_str_or_null().map_err(|_| impossible("metadata"))? {
        Some(note) if note.len() > MAX_METADATA_BYTES => return Err(impossible("metadata")),
        note => note.map(Box::from),
    };
    let user = number(user).and_then(|user| u32::try_from(user).ok()).map(UserId);
    let read = Row {
        name: LockName::new(name).map_err(|_| impossible("name"))?,
        user: user.ok_or_else(|| impossible("user_id"))?,
        lease_id: lease_id.ok_or_else(|| impossible("lease_id"))?,
        token: number(token).and_then(Fence::recovered).ok_or_else(|| impossible("token"))?,
        ttl: number(ttl).and_then(Ttl::from_seconds).ok_or_else(|| impossible("ttl_seconds"))?,
        metadata,
    };
    sum.add(check_fields(fields, row.get_ref_unwrap(6), || format!("lock '{name}'"))?);
    Ok(read)
}
