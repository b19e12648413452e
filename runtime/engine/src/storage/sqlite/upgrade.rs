//! Bringing a file of an older format up to date.
//!
//! - Format 1 had no sums of documents, and format 2 others.
//! - Format 2 had each document and each index entry in a row, and the id at the end of an entry's key as its text;
//!   `entries` had the index in two columns of their own.
//! - Format 3 had the index and the key of an entry in one value, which ended with the id.
//! - Up to there the log was in a table, a batch in a row.
//! - Format 4 had rows as format 3: those of what is in one block now.
//! - Format 5 had blocks without outlines. They are read as they are, and have outlines when they are written again.
//!
//! The blocks are filled from the rows, some in a transaction, so that SQLite's log stays short however large the file
//! is. The last transaction removes the rows: whatever comes between leaves the file in its old format, with tables that
//! the next attempt removes.

use std::path::Path;

use rusqlite::{Connection, Transaction, TransactionBehavior, params};
use syncline_schema::{InternalId, TableNumber, Timestamp};

use super::blocks::{self, BlockSize, Edit, Text, Tree, documents_of, text_sum};
use super::error::{damaged, of_sqlite};
use super::tables::FORMAT;
use crate::base_key::to_base;
use crate::commit::IndexId;
use crate::ports::Progress;
use crate::record::checksum;
use crate::storage::log_files::{LogFiles, LogId};
use crate::storage::{BaseKey, LogBatch, StorageError};

/// Rows copied in one transaction, a number: some megabytes.
const CHUNK_ROWS: i64 = 10_000;

type Result<T> = std::result::Result<T, rusqlite::Error>;

/// From one of the formats before to the newest.
pub(super) fn upgrade(
    connection: &Connection,
    path: &Path,
    from: i64,
    on_progress: &dyn Fn(&Progress),
) -> std::result::Result<(), StorageError> {
    if from >= 5 {
        return connection.pragma_update(None, "user_version", FORMAT).map_err(of_sqlite);
    }
    let log = if from < 4 { Some(import_log(connection, path)?) } else { None };
    copy_rows(connection, from, on_progress).map_err(of_sqlite)?;
    finish(connection, log).map_err(of_sqlite)
}

/// Writes the log to files of its own. The table goes once these are durable: until then they are written anew.
fn import_log(connection: &Connection, path: &Path) -> std::result::Result<LogId, StorageError> {
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
    Ok(id)
}

/// Fills the blocks.
fn copy_rows(connection: &Connection, from: i64, on_progress: &dyn Fn(&Progress)) -> Result<()> {
    connection.execute_batch(&format!(
        "BEGIN IMMEDIATE; DROP TABLE IF EXISTS new_documents; DROP TABLE IF EXISTS new_entries;
        DROP TABLE IF EXISTS document_blocks; DROP TABLE IF EXISTS entry_blocks; {} COMMIT",
        blocks::TABLES
    ))?;
    // The last transaction syncs, and with it SQLite's log of the others.
    connection.pragma_update(None, "synchronous", "NORMAL")?;
    let tell = |of: &str, done: usize| {
        on_progress(&Progress { work: "upgrade", of: of.to_owned(), done: done as u64, total: None });
    };
    copy(connection, |after| documents(connection, from, after), Tree::Documents, |done| tell("documents", done))?;
    let entries = |after: &Option<OldRow>| match from {
        ..3 => entries_of_format_2(connection, after),
        _ => entries(connection, after),
    };
    copy(connection, entries, Tree::Entries, |done| tell("index entries", done))?;
    connection.pragma_update(None, "synchronous", "FULL")
}

/// Puts the blocks in the place of the rows, and the log that was imported in that of its table.
fn finish(connection: &Connection, log: Option<LogId>) -> Result<()> {
    let transaction = Transaction::new_unchecked(connection, TransactionBehavior::Immediate)?;
    transaction.execute_batch("DROP VIEW browse; DROP TABLE documents; DROP TABLE entries;")?;
    transaction.execute_batch(blocks::BROWSE)?;
    if let Some(id) = log {
        transaction.execute_batch("ALTER TABLE position ADD COLUMN log BLOB; DROP TABLE log")?;
        transaction.execute("UPDATE position SET log = ?1", [id])?;
    }
    transaction.pragma_update(None, "user_version", FORMAT)?;
    transaction.commit()
}

/// A row on its way.
struct OldRow {
    index: IndexId,
    /// As the old format has it.
    old_key: Vec<u8>,
    key: BaseKey,
    sum: i64,
    json: String,
}

impl OldRow {
    fn edit(&self) -> Edit<'_> {
        Edit { key: self.key.clone(), text: Some(Text { sum: self.sum, json: self.json.as_bytes(), outline: None }) }
    }
}

/// Copies all rows, some in a transaction. `read_some` reads those behind one, in their order.
fn copy(
    connection: &Connection,
    read_some: impl Fn(&Option<OldRow>) -> Result<Vec<OldRow>>,
    tree: Tree,
    tell: impl Fn(usize),
) -> Result<()> {
    let size = BlockSize::of_file(connection)?;
    let (mut done, mut last) = (0, None);
    loop {
        let transaction = Transaction::new_unchecked(connection, TransactionBehavior::Immediate)?;
        let mut rows = read_some(&last)?;
        for of_one in rows.chunk_by(|a, b| a.index == b.index) {
            let edits: Vec<_> = of_one.iter().map(OldRow::edit).collect();
            tree.apply(&transaction, of_one[0].index, &edits, size)?;
        }
        transaction.commit()?;
        done += rows.len();
        tell(done);
        last = rows.pop();
        if last.is_none() {
            return Ok(());
        }
    }
}

fn documents(connection: &Connection, from: i64, after: &Option<OldRow>) -> Result<Vec<OldRow>> {
    let sum = if from < 2 { "NULL" } else { "sum" };
    let mut read = connection.prepare_cached(&format!(
        "SELECT table_number, id, {sum}, json FROM documents WHERE (table_number, id) > (?1, ?2) \
         ORDER BY table_number, id LIMIT ?3",
    ))?;
    let (table, key) = after.as_ref().map_or((0, &[][..]), |row| (row.index.table.0, &row.old_key));
    let rows = read.query_map(params![table, key, CHUNK_ROWS], |row| {
        let (table, id, kept): (u32, [u8; 16], Option<i64>) = (row.get(0)?, row.get(1)?, row.get(2)?);
        let (table, id, json) = (TableNumber(table), InternalId(id), row.get::<_, String>(3)?);
        // A document that is not what was written stays one.
        let sum = match (from, kept) {
            (3.., Some(kept)) => kept,
            (_, Some(kept)) => text_sum(table, id, json.as_bytes()) ^ kept ^ sum_of_format_2(table, id, &json),
            (_, None) => text_sum(table, id, json.as_bytes()),
        };
        let index = documents_of(table);
        Ok(OldRow { index, old_key: id.0.to_vec(), key: BaseKey::new(&[], id), sum, json })
    })?;
    rows.collect()
}

fn sum_of_format_2(table: TableNumber, id: InternalId, json: &str) -> i64 {
    let mut place = [0; 20];
    place[..4].copy_from_slice(&table.0.to_le_bytes());
    place[4..].copy_from_slice(&id.0);
    (checksum(&place) ^ checksum(json.as_bytes())).cast_signed()
}

fn entries_of_format_2(connection: &Connection, after: &Option<OldRow>) -> Result<Vec<OldRow>> {
    let mut read = connection.prepare_cached(
        "SELECT table_number, index_number, key FROM entries WHERE (table_number, index_number, key) > (?1, ?2, ?3) \
         ORDER BY table_number, index_number, key LIMIT ?4",
    )?;
    let first = (IndexId { table: TableNumber(0), index: 0 }, &[][..]);
    let (IndexId { table, index }, key) = after.as_ref().map_or(first, |row| (row.index, &row.old_key));
    let rows = read.query_map(params![table.0, index, key, CHUNK_ROWS], |row| {
        let index = IndexId { table: TableNumber(row.get(0)?), index: row.get(1)? };
        let old_key: Vec<u8> = row.get(2)?;
        let key = to_base(index.table, &old_key).ok_or_else(|| no_id(index))?;
        Ok(OldRow { index, old_key, key, sum: 0, json: String::new() })
    })?;
    rows.collect()
}

fn entries(connection: &Connection, after: &Option<OldRow>) -> Result<Vec<OldRow>> {
    let mut read = connection.prepare_cached("SELECT key FROM entries WHERE key > ?1 ORDER BY key LIMIT ?2")?;
    let key = after.as_ref().map_or(&[][..], |row| &row.old_key);
    let rows = read.query_map(params![key, CHUNK_ROWS], |row| {
        let old_key: Vec<u8> = row.get(0)?;
        let (begin, key) = old_key.split_first_chunk().unwrap_or((&[0; 8], &[]));
        let number = u64::from_be_bytes(*begin);
        let index = IndexId { table: TableNumber((number >> 32) as u32), index: number as u32 };
        let key = BaseKey::from_parts(key, &[]).ok_or_else(|| no_id(index))?;
        Ok(OldRow { index, old_key, key, sum: 0, json: String::new() })
    })?;
    rows.collect()
}

fn no_id(IndexId { table, index }: IndexId) -> rusqlite::Error {
    damaged(format!("an entry of the index {index} of table {table} ends with no id"))
}
