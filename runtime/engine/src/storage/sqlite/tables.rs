//! The tables in the file, and opening it.

use std::path::Path;

use rusqlite::{Connection, OpenFlags, OptionalExtension};
use syncline_schema::{InternalId, TableNumber};

use super::error::of_sqlite;
use super::{SqliteOptions, configure};
use crate::record::checksum;
use crate::storage::StorageError;

/// Marks the file as a store of ours: "SYNL".
const APPLICATION_ID: i64 = 0x5359_4e4c;

/// The newest format that this version reads and writes. 1 had no sums of documents.
const FORMAT: i64 = 2;

/// How long a statement waits for someone else who writes: only a person with a shell does.
const BUSY_MS: u64 = 5_000;

/// Documents lie in the order of their insertion, found through an index on their ids: so a new one is appended, and
/// large ones do not thin out the tree that is searched. Entries are small and lie in their own order.
///
/// A document's sum tells when it is not what was written; SQLite's own pages have none. Documents of format 1 have no
/// sum until they are written again.
const TABLES: &str = "
    CREATE TABLE position (one INTEGER PRIMARY KEY CHECK (one = 1), base INTEGER NOT NULL);
    INSERT INTO position VALUES (1, 0);
    CREATE TABLE meta (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
    CREATE TABLE log (ts INTEGER PRIMARY KEY, batch BLOB NOT NULL);
    CREATE TABLE documents (table_number INTEGER NOT NULL, id BLOB NOT NULL, json TEXT NOT NULL, sum INTEGER);
    CREATE UNIQUE INDEX documents_by_id ON documents (table_number, id);
    CREATE TABLE entries (
        table_number INTEGER NOT NULL, index_number INTEGER NOT NULL, key BLOB NOT NULL, id BLOB NOT NULL,
        PRIMARY KEY (table_number, index_number, key)
    ) WITHOUT ROWID;
    CREATE TABLE outcomes (
        session BLOB NOT NULL, last INTEGER NOT NULL, ts INTEGER NOT NULL, first INTEGER NOT NULL, outcomes BLOB NOT NULL,
        PRIMARY KEY (session, last, ts)
    ) WITHOUT ROWID;
    CREATE INDEX outcomes_by_ts ON outcomes (ts);
    CREATE VIEW browse AS SELECT
        (SELECT json_extract(value, '$.name') FROM meta WHERE name = 'table/' || table_number) AS table_name,
        json_extract(json, '$._id') AS id, json FROM documents;
";

pub(super) fn open_for_writing(path: &Path, options: &SqliteOptions) -> Result<Connection, StorageError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags).map_err(of_sqlite)?;
    prepare(&connection, options)?;
    Ok(connection)
}

fn prepare(connection: &Connection, options: &SqliteOptions) -> Result<(), StorageError> {
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
    let set_up = || -> Result<(), rusqlite::Error> {
        connection.pragma_update(None, "journal_mode", "WAL")?;
        connection.pragma_update(None, "synchronous", "FULL")?;
        connection.pragma_update(None, "wal_autocheckpoint", options.wal_pages_max)?;
        configure(connection, options)?;
        if let Some(max) = options.file_bytes_max {
            let page: i64 = connection.pragma_query_value(None, "page_size", |row| row.get(0))?;
            let n_pages = i64::try_from(max).unwrap_or(i64::MAX) / page;
            connection.query_row(&format!("PRAGMA max_page_count = {n_pages}"), [], |_| Ok(()))?;
        }
        if application != APPLICATION_ID {
            // All or nothing: a file without the marks is made anew by the next start.
            connection.execute_batch(&format!(
                "BEGIN IMMEDIATE; {TABLES} PRAGMA application_id = {APPLICATION_ID}; PRAGMA user_version = {FORMAT}; COMMIT"
            ))?;
        }
        if application == APPLICATION_ID && format < FORMAT {
            connection.execute_batch(&format!(
                "BEGIN IMMEDIATE; ALTER TABLE documents ADD COLUMN sum INTEGER; PRAGMA user_version = {FORMAT}; COMMIT"
            ))?;
        }
        Ok(())
    };
    set_up().map_err(of_sqlite)
}

/// The sum of a document and of where it belongs.
pub(super) fn sum(table: TableNumber, id: &InternalId, json: &str) -> i64 {
    let mut place = [0; 20];
    place[..4].copy_from_slice(&table.0.to_le_bytes());
    place[4..].copy_from_slice(&id.0);
    (checksum(&place) ^ checksum(json.as_bytes())).cast_signed()
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
