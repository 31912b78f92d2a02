//! Checksums of rows: how a bit that has flipped on the disk is found wherever it lies.
//!
//! SQLite checks the form of a page, and recovery what a field can be; that one possible value stands in the place of another
//! (a token, a mark that is too low, and exclusion is gone) only a checksum can tell. Commits have theirs (see [`super::recovery`]).
//!
//! **Each row** of `locks`, `accounts`, `tokens` and `meta` has in `checksum` the CRC-32 of its other fields. They go in with their types,
//! and texts with their lengths, so that no two rows go in alike: no note is not an empty one, and no byte can move to the next field.
//!
//! **Each table** of the first three has a [`Sum`] in `meta`: of 2^32 plus the checksum over all rows, in whatever order. A pointer or a
//! count that has changed makes rows vanish, and a page that was not written shows old ones, each of them with a checksum that is right;
//! the sum is another then. It is kept up by subtracting what a row added before a change and adding what it adds then, so each write reads
//! the row's checksum first: its page is at hand, since the write needs it too.
//!
//! **An index** holds fields of the rows a second time, and is what accounts and tokens are looked up by. At a start its entries
//! must come to the same sum as those fields in the rows, and be in order.
//!
//! A table or a row that was written by other means has no right sums; [`fill_in`] gives it some.

use rusqlite::functions::FunctionFlags;
use rusqlite::types::{Type, Value, ValueRef};
use rusqlite::{Connection, Row};

use super::sqlite_meta::{self, MetaRow};
use super::{sqlite_accounts, sqlite_locks};

/// What is wrong with a row, for the operator: [`super::sqlite_schema::explain`] knows it among the errors.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(super) struct Wrong(String);

/// An error that says so.
pub(super) fn wrong(what: String) -> rusqlite::Error {
    rusqlite::Error::FromSqlConversionFailure(0, Type::Null, Wrong(what).into())
}

/// The checksum of a row with these fields.
pub(super) fn checksum<'a>(fields: impl IntoIterator<Item = ValueRef<'a>>) -> u32 {
    let mut gathered = Gathered { hasher: crc32fast::Hasher::new(), bytes: [0; GATHERED], filled: 0 };
    for field in fields {
        // Its type, and its value or its length.
        let mut head = [0; 9];
        let (kind, number, bytes) = match field {
            ValueRef::Null => (0, 0, &[][..]),
            ValueRef::Integer(value) => (1, value.cast_unsigned(), &[][..]),
            ValueRef::Real(value) => (2, value.to_bits(), &[][..]),
            ValueRef::Text(text) => (3, text.len() as u64, text),
            ValueRef::Blob(bytes) => (4, bytes.len() as u64, bytes),
        };
        head[0] = kind;
        head[1..].copy_from_slice(&number.to_le_bytes());
        gathered.put(&head);
        gathered.put(bytes);
    }
    gathered.pass_on();
    gathered.hasher.finalize()
}

/// What most rows come to.
const GATHERED: usize = 256;

/// Passes many small pieces on as a few large ones, which a CRC is several times as fast over.
struct Gathered {
    hasher: crc32fast::Hasher,
    bytes: [u8; GATHERED],
    filled: usize,
}

impl Gathered {
    fn put(&mut self, piece: &[u8]) {
        if piece.len() > GATHERED - self.filled {
            self.pass_on();
        }
        match self.bytes[self.filled..].get_mut(..piece.len()) {
            Some(room) => {
                room.copy_from_slice(piece);
                self.filled += piece.len();
            }
            None => self.hasher.update(piece),
        }
    }

    fn pass_on(&mut self) {
        self.hasher.update(&self.bytes[..self.filled]);
        self.filled = 0;
    }
}

/// Checks the first `fields` columns of a row against the checksum in the column after them, and gives it.
pub(super) fn check(row: &Row<'_>, fields: usize, of_what: impl FnOnce() -> String) -> rusqlite::Result<u32> {
    check_fields((0..fields).map(|column| row.get_ref_unwrap(column)), row.get_ref(fields)?, of_what)
}

/// The same, of fields that are at hand.
pub(super) fn check_fields<'a>(
    fields: impl IntoIterator<Item = ValueRef<'a>>,
    stored: ValueRef<'_>,
    of_what: impl FnOnce() -> String,
) -> rusqlite::Result<u32> {
    let reckoned = checksum(fields);
    match stored == ValueRef::Integer(reckoned.into()) {
        true => Ok(reckoned),
        false => Err(wrong(format!("the row of {} does not match its checksum", of_what()))),
    }
}

/// Over the rows of a table: which there are, each as it was written last.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Sum(u64);

impl Sum {
    /// As `meta` has it.
    pub fn of(stored: i64) -> Sum {
        Sum(stored.cast_unsigned())
    }

    pub fn stored(self) -> i64 {
        self.0.cast_signed()
    }

    /// Puts in a row with this checksum. Even one of 0 counts.
    pub fn add(&mut self, checksum: u32) {
        self.0 = self.0.wrapping_add(1 << 32 | u64::from(checksum));
    }

    /// Takes out a row that had this one.
    pub fn remove(&mut self, checksum: u32) {
        self.0 = self.0.wrapping_sub(1 << 32 | u64::from(checksum));
    }

    /// Compares the sum of the rows that were found with the one that was kept.
    pub fn check(self, kept: Sum, table: &str) -> rusqlite::Result<()> {
        match self == kept {
            true => Ok(()),
            false => Err(wrong(format!("the rows of {table} are not all there, or some of them are old ones"))),
        }
    }
}

/// Reads an index from end to end, by a query that gives its entries in their order, and checks that they come to `rows`, the sum of the
/// same fields in the table's rows.
pub(super) fn check_index(connection: &Connection, entries: &str, rows: Sum, table: &str) -> rusqlite::Result<()> {
    let mut statement = connection.prepare(entries)?;
    let columns = statement.column_count();
    let mut found = statement.query([])?;
    let (mut sum, mut key, mut last) = (Sum::default(), Vec::new(), Vec::new());
    let mut is_in_order = true;
    while let Some(entry) = found.next()? {
        let fields = || (0..columns).map(|column| entry.get_ref_unwrap(column));
        sum.add(checksum(fields()));
        key.clear();
        fields().for_each(|field| in_order(&mut key, field));
        is_in_order &= last < key;
        std::mem::swap(&mut last, &mut key);
    }
    match is_in_order && sum == rows {
        true => Ok(()),
        false => Err(wrong(format!("an index of {table} does not show what its rows do"))),
    }
}

/// Appends bytes that sort as SQLite sorts the field among those of its type. No text in an index of ours has a NUL.
fn in_order(key: &mut Vec<u8>, field: ValueRef<'_>) {
    match field {
        ValueRef::Integer(value) => key.extend_from_slice(&(value.cast_unsigned() ^ 1 << 63).to_be_bytes()),
        ValueRef::Text(bytes) | ValueRef::Blob(bytes) => {
            key.extend_from_slice(bytes);
            key.push(0);
        }
        ValueRef::Null | ValueRef::Real(_) => {} // no index of ours has such a field
    }
}

/// Gives all rows their checksums, and `meta` the sums, within a transaction: for rows that have none yet.
pub(super) fn fill_in(connection: &Connection) -> rusqlite::Result<()> {
    let flags = FunctionFlags::SQLITE_UTF8 | FunctionFlags::SQLITE_DETERMINISTIC | FunctionFlags::SQLITE_DIRECTONLY;
    connection.create_scalar_function("row_checksum", -1, flags, |call| {
        Ok(Value::from(checksum((0..call.len()).map(|argument| call.get_raw(argument)))))
    })?;
    let fill_in = |table: &str, fields: &str| {
        connection.execute(&format!("UPDATE {table} SET checksum = row_checksum({fields})"), [])?;
        let sum = format!("SELECT coalesce(sum(4294967296 + checksum), 0) FROM {table}");
        connection.query_row(&sum, [], |row| row.get(0).map(Sum::of))
    };
    let locks = fill_in("locks", sqlite_locks::FIELDS)?;
    let accounts = fill_in("accounts", sqlite_accounts::FIELDS)?;
    let tokens = fill_in("tokens", sqlite_accounts::TOKEN_FIELDS)?;
    MetaRow { locks, accounts, tokens, ..sqlite_meta::read_unchecked(connection)? }.write(connection)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_two_rows_go_in_alike() {
        use ValueRef::{Blob, Integer, Null, Real, Text};
        let rows: [&[ValueRef<'_>]; 12] = [
            &[Null],
            &[Text(b"")],
            &[Blob(b"")],
            &[Integer(0)],
            &[Real(0.0)],
            &[Null, Null],
            &[Text(b"a"), Text(b"bc")],
            &[Text(b"ab"), Text(b"c")],
            &[Text(b"abc"), Text(b"")],
            &[Text(b"abc"), Null],
            &[Text(b"abc")],
            &[Blob(b"abc")],
        ];
        let mut sums: Vec<u32> = rows.iter().map(|row| checksum(row.iter().copied())).collect();
        sums.sort_unstable();
        sums.dedup();
        assert_eq!(sums.len(), rows.len());
    }

    #[test]
    fn a_checksum_is_that_of_all_bytes_in_a_row_however_long_they_are() {
        for length in [0, 1, 200, 237, 238, 239, 256, 257, 1024, 5000] {
            let text = "x".repeat(length);
            let mut bytes = vec![1, 7, 0, 0, 0, 0, 0, 0, 0, 3];
            bytes.extend_from_slice(&length.to_le_bytes());
            bytes.extend_from_slice(text.as_bytes());
            bytes.extend_from_slice(&[0; 9]);
            let fields = [ValueRef::Integer(7), ValueRef::Text(text.as_bytes()), ValueRef::Null];
            assert_eq!(checksum(fields), crc32fast::hash(&bytes), "{length}");
        }
    }

    #[test]
    fn a_sum_knows_which_rows_there_are_in_whatever_order() {
        let sum = |checksums: &[u32]| {
            let mut sum = Sum::default();
            checksums.iter().for_each(|&checksum| sum.add(checksum));
            sum
        };
        assert_eq!(sum(&[1, 7, u32::MAX]), sum(&[u32::MAX, 1, 7]));
        assert_ne!(sum(&[1, 7]), sum(&[1, 7, 0]), "a row with a checksum of 0 counts");
        assert_ne!(sum(&[u32::MAX]), sum(&[u32::MAX - 1, 1]));
        let mut left = sum(&[1, 7, 9]);
        left.remove(7);
        assert_eq!(left, sum(&[9, 1]));
        assert_eq!(Sum::of(left.stored()), left);
    }

    #[test]
    fn keys_sort_as_sqlite_sorts_them() {
        let connection = Connection::open_in_memory().unwrap();
        connection.execute_batch("CREATE TABLE t (a TEXT, b INTEGER); CREATE UNIQUE INDEX i ON t (a, b)").unwrap();
        let mut rows = Sum::default();
        for a in ["", "a", "ab", "b", "\u{e9}", "B"] {
            for b in [0, 1, -1, 255, 256, i64::MAX, i64::MIN] {
                connection.execute("INSERT INTO t VALUES (?1, ?2)", rusqlite::params![a, b]).unwrap();
                rows.add(checksum([ValueRef::Text(a.as_bytes()), ValueRef::Integer(b)]));
            }
        }
        let checked = |order: &str| {
            let entries = format!("SELECT a, b FROM t INDEXED BY i ORDER BY a {order}, b {order}");
            check_index(&connection, &entries, rows, "t").map_err(|error| error.to_string())
        };
        assert_eq!(checked("ASC"), Ok(()));
        assert!(checked("DESC").unwrap_err().contains("an index of t does not show what its rows do"));
        rows.remove(0);
        assert!(check_index(&connection, "SELECT a, b FROM t INDEXED BY i ORDER BY a, b", rows, "t").is_err());
    }
}
