//! The tables in the file, and opening it.

use std::path::Path;

use rusqlite::{Connection, OpenFlags, OptionalExtension};
use smallvec::SmallVec;
use syncline_schema::{InternalId, TableNumber, Timestamp};

use super::error::of_sqlite;
use super::upgrade::upgrade;
use super::{SqliteOptions, configure};
use crate::commit::IndexId;
use crate::ports::Progress;
use crate::storage::StorageError;
use crate::storage::log_files::{LogFiles, LogId};

/// Marks the file as a store of ours: "SYNL".
const APPLICATION_ID: i64 = 0x5359_4e4c;

/// The newest format that this version reads and writes. What older ones had instead: see `upgrade.rs`.
const FORMAT: i64 = 4;

/// How long a statement waits for someone else who writes: only a person with a shell does.
const BUSY_MS: u64 = 5_000;

/// Documents lie in the order of their insertion, found through an index on their ids: so a new one is appended, and
/// large ones do not thin out the tree that is searched. Entries are small and lie in their own order.
///
/// An entry has its index and its key in one value, compared at once, and the row of its document: so that what it leads
/// to is found in one search. The row is a hint: it is given to another document once this one is removed, and the
/// entry may still be there then. The key says which document is meant.
///
/// A document's sum tells when it is not what was written; SQLite's own pages have none.
///
/// `log` is the name of the log that goes on behind the base: that must be there then, beside the file. `NULL`: there is
/// none, and what lies there is of no use any more.
const TABLES: &str = "
    CREATE TABLE position (one INTEGER PRIMARY KEY CHECK (one = 1), base INTEGER NOT NULL, log BLOB);
    INSERT INTO position VALUES (1, 0, NULL);
    CREATE TABLE meta (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
    CREATE TABLE outcomes (
        session BLOB NOT NULL, last INTEGER NOT NULL, ts INTEGER NOT NULL, first INTEGER NOT NULL, outcomes BLOB NOT NULL,
        PRIMARY KEY (session, last, ts)
    ) WITHOUT ROWID;
    CREATE INDEX outcomes_by_ts ON outcomes (ts);
";

/// The tables of documents and entries, under names that begin with `prefix`.
pub(super) fn base_tables(prefix: &str) -> String {
    format!(
        "CREATE TABLE {prefix}documents (
            row INTEGER PRIMARY KEY, table_number INTEGER NOT NULL, id BLOB NOT NULL, sum INTEGER NOT NULL, json TEXT NOT NULL
        );
        CREATE TABLE {prefix}entries (key BLOB PRIMARY KEY, row INTEGER) WITHOUT ROWID;"
    )
}

/// What is made once those tables have their names.
pub(super) const ROWS_AND_VIEW: &str = "
    CREATE UNIQUE INDEX document_rows ON documents (table_number, id);
    CREATE VIEW browse AS SELECT
        (SELECT json_extract(value, '$.name') FROM meta WHERE name = 'table/' || table_number) AS table_name,
        json_extract(json, '$._id') AS id, json FROM documents;
";

pub(super) fn open_for_writing(
    path: &Path,
    options: &SqliteOptions,
    on_progress: &dyn Fn(&Progress),
) -> Result<(Connection, LogFiles), StorageError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags).map_err(of_sqlite)?;
    let format = prepare(&connection, options)?;
    if format < FORMAT {
        upgrade(&connection, path, format, on_progress)?;
    }
    let log = open_log(&connection, path, options)?;
    Ok((connection, log))
}

/// The log beside the file: the one that the file names, or a new one.
fn open_log(connection: &Connection, path: &Path, options: &SqliteOptions) -> Result<LogFiles, StorageError> {
    let found = connection.query_row("SELECT base, log, randomblob(16) FROM position", [], |row| {
        Ok((row.get::<_, i64>(0)?, row.get::<_, Option<LogId>>(1)?, row.get::<_, LogId>(2)?))
    });
    let (base, log, new) = found.map_err(of_sqlite)?;
    let base = Timestamp(base.cast_unsigned());
    let mut files = match log {
        Some(log) => LogFiles::open(path, log, base)?,
        None => {
            let files = LogFiles::create(path, new, base)?;
            connection.execute("UPDATE position SET log = ?1", [new]).map_err(of_sqlite)?;
            files
        }
    };
    if let Some(max) = options.file_bytes_max {
        files.set_file_bytes_max(max);
    }
    Ok(files)
}

/// Makes the tables of a new file. Returns the format of the file.
fn prepare(connection: &Connection, options: &SqliteOptions) -> Result<i64, StorageError> {
    connection.busy_timeout(std::time::Duration::from_millis(BUSY_MS)).map_err(of_sqlite)?;
    // The first statement that reads the file: a damaged or foreign one shows here.
    let pragma = |name| connection.pragma_query_value(None, name, |row| row.get::<_, i64>(0)).map_err(of_sqlite);
    let (application, format) = (pragma("application_id")?, pragma("user_version")?);
    if application != APPLICATION_ID {
        let tables = connection.query_row("SELECT 1 FROM sqlite_master", [], |_| Ok(())).optional();
        if tables.map_err(of_sqlite)?.is_some() || application != 0 {
            return Err(StorageError::Corrupt { what: "an SQLite file, but no store of Syncline".to_owned() });
        }
    } else if format > FORMAT {
        return Err(StorageError::Version { found: format.unsigned_abs(), known: FORMAT.unsigned_abs() });
    }
    let set_up = || -> Result<i64, rusqlite::Error> {
        connection.pragma_update(None, "journal_mode", "WAL")?;
        connection.pragma_update(None, "synchronous", "FULL")?;
        connection.pragma_update(None, "wal_autocheckpoint", options.wal_pages_max)?;
        configure(connection, options)?;
        if let Some(max) = options.file_bytes_max {
            let page: i64 = connection.pragma_query_value(None, "page_size", |row| row.get(0))?;
            let n_pages = i64::try_from(max).unwrap_or(i64::MAX) / page;
            connection.query_row(&format!("PRAGMA max_page_count = {n_pages}"), [], |_| Ok(()))?;
        }
        if application == APPLICATION_ID {
            return Ok(format);
        }
        // All or nothing: a file without the marks is made anew by the next start.
        connection.execute_batch(&format!(
            "BEGIN IMMEDIATE; {TABLES} {} {ROWS_AND_VIEW}
            PRAGMA application_id = {APPLICATION_ID}; PRAGMA user_version = {FORMAT}; COMMIT",
            base_tables("")
        ))?;
        Ok(FORMAT)
    };
    set_up().map_err(of_sqlite)
}

/// The sum of a document and of where it belongs. Whatever changes within eight bytes changes it: each step is reversible.
///
/// Four sums that do not wait for each other: a processor does them at once.
pub(super) fn sum(table: TableNumber, id: InternalId, json: &str) -> i64 {
    const FACTOR: u64 = 0x9E37_79B9_7F4A_7C15;
    let mix = |sum: u64, word: u64| (sum ^ word).wrapping_mul(FACTOR).rotate_left(29);
    let id = u128::from_be_bytes(id.0);
    let mut lanes = [u64::from(table.0), json.len() as u64, id as u64, (id >> 64) as u64];
    let mut add = |words: &[[u8; 8]]| {
        for (lane, word) in lanes.iter_mut().zip(words) {
            *lane = mix(*lane, u64::from_le_bytes(*word));
        }
    };
    let (blocks, rest) = json.as_bytes().as_chunks::<32>();
    blocks.iter().for_each(|block| add(block.as_chunks().0));
    let mut last = [0; 32];
    last[..rest.len()].copy_from_slice(rest);
    add(last.as_chunks().0);
    let sum = lanes.into_iter().fold(0, mix);
    (sum ^ (sum >> 32)).cast_signed()
}

/// What the keys of an index begin with in the table of all entries.
pub(super) const INDEX_BYTES: usize = 8;

/// The bytes that all keys of an index begin with.
pub(super) fn index_bytes(index: IndexId) -> [u8; INDEX_BYTES] {
    (u64::from(index.table.0) << 32 | u64::from(index.index)).to_be_bytes()
}

/// A key of an index, or a bound of some, in the table of all entries.
pub(super) fn entry_key(index: IndexId, key: &[u8]) -> SmallVec<[u8; 64]> {
    let mut whole = SmallVec::from_slice(&index_bytes(index));
    whole.extend_from_slice(key);
    whole
}

/// The first key behind those of an index.
pub(super) fn index_end(index: IndexId) -> SmallVec<[u8; 64]> {
    let next = u64::from_be_bytes(index_bytes(index)).saturating_add(1);
    SmallVec::from_slice(&next.to_be_bytes())
}

pub(super) fn open_for_reading(path: &Path, options: &SqliteOptions) -> Result<Connection, StorageError> {
    // Not with the read-only flag: a reader of a WAL file writes to the index beside it.
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let open = || -> Result<Connection, rusqlite::Error> {
        let connection = Connection::open_with_flags(path, flags)?;
        connection.busy_timeout(std::time::Duration::from_millis(BUSY_MS))?;
        configure(&connection, options)?;
        connection.pragma_update(None, "query_only", true)?;
        Ok(connection)
    };
    open().map_err(of_sqlite)
}
