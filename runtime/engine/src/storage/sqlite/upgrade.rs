//! Bringing a file of an older format up to date.
//!
//! - Format 1 had no sums of documents, and format 2 others.
//! - Format 2 found the document of an entry by its id, which the entry had twice: as bytes, and as text at the end of
//!   its key. `documents` had no name for its rows; `entries` had the index in two columns of their own.
//! - Format 3 had the log in a table, a batch in a row.
//!
//! For format 3, new tables are filled beside the old ones, some rows in a transaction, so that SQLite's log stays short however
//! large the file is. The last transaction puts them in the places of the old ones: whatever comes between leaves the
//! file in its old format, with tables that the next attempt removes.

use std::path::Path;

use rusqlite::types::Type;
use rusqlite::{Connection, Row, Transaction, TransactionBehavior, params};
use smallvec::SmallVec;
use syncline_schema::{InternalId, TableNumber, Timestamp};

use super::error::of_sqlite;
use super::tables::{ROWS_AND_VIEW, base_tables, entry_key, sum};
use crate::base_key::to_base;
use crate::commit::IndexId;
use crate::ports::Progress;
use crate::record::checksum;
use crate::storage::log_files::{LogFiles, LogId};
use crate::storage::{LogBatch, StorageError};

/// Rows copied in one transaction, a number: some megabytes.
const CHUNK_ROWS: i64 = 10_000;

type Result<T> = std::result::Result<T, rusqlite::Error>;

/// From one of the formats before 4 to that.
pub(super) fn upgrade(
    connection: &Connection,
    path: &Path,
    from: i64,
    on_progress: &dyn Fn(&Progress),
) -> std::result::Result<(), StorageError> {
    if from < 3 {
        to_3(connection, from, on_progress).map_err(of_sqlite)?;
    }
    to_4(connection, path)
}

/// Writes the log to files of its own. The table goes once these are durable: until then they are written anew.
fn to_4(connection: &Connection, path: &Path) -> std::result::Result<(), StorageError> {
    let found = connection.query_row("SELECT base, randomblob(16) FROM position", [], |row| {
        Ok((row.get::<_, i64>(0)?, row.get::<_, LogId>(1)?))
    });
    let (base, id) = found.map_err(of_sqlite)?;
    let mut log = LogFiles::create(path, id, Timestamp(base.cast_unsigned()))?;
    let mut read = connection.prepare("SELECT ts, batch FROM log WHERE ts > ?1 ORDER BY ts").map_err(of_sqlite)?;
    let batches = read.query_map([base], |row| {
        Ok(LogBatch { ts: Timestamp(row.get::<_, i64>(0)?.cast_unsigned()), bytes: row.get(1)? })
    });
    log.import(batches.map_err(of_sqlite)?.map(|batch| batch.map_err(of_sqlite)))?;
    drop(read);
    let done = Transaction::new_unchecked(connection, TransactionBehavior::Immediate).and_then(|transaction| {
        transaction.execute_batch("ALTER TABLE position ADD COLUMN log BLOB; DROP TABLE log")?;
        transaction.execute("UPDATE position SET log = ?1", [id])?;
        transaction.pragma_update(None, "user_version", 4)?;
        transaction.commit()
    });
    done.map_err(of_sqlite)
}

fn to_3(connection: &Connection, from: i64, on_progress: &dyn Fn(&Progress)) -> Result<()> {
    if from < 2 {
        connection.execute_batch(
            "BEGIN IMMEDIATE; ALTER TABLE documents ADD COLUMN sum INTEGER; PRAGMA user_version = 2; COMMIT",
        )?;
    }
    connection.execute_batch(&format!(
        "BEGIN IMMEDIATE; DROP TABLE IF EXISTS new_documents; DROP TABLE IF EXISTS new_entries; {} COMMIT",
        base_tables("new_")
    ))?;
    // The last transaction syncs, and with it SQLite's log of the others.
    connection.pragma_update(None, "synchronous", "NORMAL")?;
    let tell = |of: &str, done: usize| {
        on_progress(&Progress { work: "upgrade", of: of.to_owned(), done: done as u64, total: None });
    };
    copy(connection, 0, copy_documents, |done| tell("documents", done))?;
    copy(connection, (0, 0, Vec::new()), copy_entries, |done| tell("index entries", done))?;
    connection.pragma_update(None, "synchronous", "FULL")?;
    connection.execute_batch(&format!(
        "BEGIN IMMEDIATE;
        DROP VIEW browse; DROP TABLE documents; DROP TABLE entries;
        ALTER TABLE new_documents RENAME TO documents; ALTER TABLE new_entries RENAME TO entries;
        {ROWS_AND_VIEW}
        PRAGMA user_version = 3; COMMIT"
    ))
}

/// Copies all rows, some in a transaction. `copy_some` does those behind one, and tells the last of them.
fn copy<P>(
    connection: &Connection,
    mut after: P,
    copy_some: impl Fn(&Connection, &P) -> Result<(usize, Option<P>)>,
    tell: impl Fn(usize),
) -> Result<()> {
    let mut done = 0;
    loop {
        let transaction = Transaction::new_unchecked(connection, TransactionBehavior::Immediate)?;
        let (n, last) = copy_some(connection, &after)?;
        transaction.commit()?;
        done += n;
        tell(done);
        match last {
            Some(last) => after = last,
            None => return Ok(()),
        }
    }
}

fn copy_documents(connection: &Connection, after: &i64) -> Result<(usize, Option<i64>)> {
    let mut read = connection.prepare_cached(
        "SELECT rowid, table_number, id, sum, json FROM documents WHERE rowid > ?1 ORDER BY rowid LIMIT ?2",
    )?;
    let mut insert = connection.prepare_cached("INSERT INTO new_documents VALUES (?1, ?2, ?3, ?4, ?5)")?;
    let mut rows = read.query(params![after, CHUNK_ROWS])?;
    let (mut n, mut last) = (0, None);
    while let Some(row) = rows.next()? {
        let (place, table, id): (i64, u32, [u8; 16]) = (row.get(0)?, row.get(1)?, row.get(2)?);
        let json = row.get_ref(4)?.as_str()?;
        let (table, id) = (TableNumber(table), InternalId(id));
        // A document that is not what was written stays one.
        let kept: Option<i64> = row.get(3)?;
        let damage = kept.map_or(0, |kept| kept ^ sum_of_format_2(table, id, json));
        insert.execute(params![place, table.0, id.0, sum(table, id, json) ^ damage, json])?;
        (n, last) = (n + 1, Some(place));
    }
    Ok((n, last))
}

fn sum_of_format_2(table: TableNumber, id: InternalId, json: &str) -> i64 {
    let mut place = [0; 20];
    place[..4].copy_from_slice(&table.0.to_le_bytes());
    place[4..].copy_from_slice(&id.0);
    (checksum(&place) ^ checksum(json.as_bytes())).cast_signed()
}

/// An entry of format 2 by its table, index and key.
type OldKey = (u32, u32, Vec<u8>);

fn copy_entries(connection: &Connection, after: &OldKey) -> Result<(usize, Option<OldKey>)> {
    let mut read = connection.prepare_cached(
        "SELECT e.table_number, index_number, key, d.rowid
        FROM entries e LEFT JOIN documents d ON d.table_number = e.table_number AND d.id = e.id
        WHERE (e.table_number, index_number, key) > (?1, ?2, ?3)
        ORDER BY e.table_number, index_number, key LIMIT ?4",
    )?;
    let mut insert = connection.prepare_cached("INSERT INTO new_entries VALUES (?1, ?2)")?;
    let mut rows = read.query(params![after.0, after.1, after.2, CHUNK_ROWS])?;
    let (mut n, mut last) = (0, None);
    while let Some(row) = rows.next()? {
        let (key, place) = entry(row)?;
        insert.execute(params![&new_key(&key)?[..], place])?;
        (n, last) = (n + 1, Some(key));
    }
    Ok((n, last))
}

fn entry(row: &Row<'_>) -> Result<(OldKey, Option<i64>)> {
    Ok(((row.get(0)?, row.get(1)?, row.get(2)?), row.get(3)?))
}

fn new_key((table, index, key): &OldKey) -> Result<SmallVec<[u8; 64]>> {
    let index = IndexId { table: TableNumber(*table), index: *index };
    let Some(found) = to_base(index.table, key) else {
        let what = format!("an entry of the index {} of table {table} ends with no id", index.index);
        return Err(rusqlite::Error::FromSqlConversionFailure(2, Type::Blob, what.into()));
    };
    Ok(entry_key(index, &found))
}
