//! The tables in the file, and opening it.

use std::path::Path;

use rusqlite::{Connection, OpenFlags, OptionalExtension};
use syncline_schema::Timestamp;

use super::error::of_sqlite;
use super::upgrade::upgrade;
use super::{SqliteOptions, blocks, configure};
use crate::ports::Progress;
use crate::storage::StorageError;
use crate::storage::log_files::{LogFiles, LogId};

/// Marks the file as a store of ours: "SYNL".
const APPLICATION_ID: i64 = 0x5359_4e4c;

/// The newest format that this version reads and writes. What older ones had instead: see `upgrade.rs`.
pub(super) const FORMAT: i64 = 6;

/// How large the pages of a new file are, bytes. Source: ours, measured; each has one block.
const PAGE_BYTES: i64 = 8192;

/// How long a statement waits for someone else who writes: only a person with a shell does.
const BUSY_MS: u64 = 5_000;

/// What is beside the [blocks](super::blocks) of documents and entries.
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
        // Of a file that has pages it changes nothing.
        connection.pragma_update(None, "page_size", PAGE_BYTES)?;
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
            "BEGIN IMMEDIATE; {TABLES} {} {}
            PRAGMA application_id = {APPLICATION_ID}; PRAGMA user_version = {FORMAT}; COMMIT",
            blocks::TABLES,
            blocks::BROWSE
        ))?;
        Ok(FORMAT)
    };
    set_up().map_err(of_sqlite)
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
