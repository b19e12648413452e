//! The thread that writes: appends to the log, moves parts of it to the base, and forgets what the base has.

use std::path::Path;
use std::sync::{Arc, LazyLock};

use rusqlite::{Connection, OptionalExtension, Transaction, TransactionBehavior, params};
use syncline_schema::Timestamp;
use tokio::sync::mpsc;

use super::Job;
use super::error::of_sqlite;
use super::reader::Readers;
use super::tables::{entry_key, index_end, sum};
use crate::storage::log_files::LogFiles;
use crate::storage::{BaseEntry, BaseWrites, Checkpoint, LogBatch, Meta, Position, Pruned, RowNumber, StorageError};

/// Entries that one statement puts, a number: what it takes to begin and to end one is shared by so many.
const MANY_ENTRIES: usize = 64;

static PUT_MANY_ENTRIES: LazyLock<String> =
    LazyLock::new(|| format!("INSERT OR REPLACE INTO entries VALUES {}", ["(?, ?)"; MANY_ENTRIES].join(", ")));

/// Who writes: the log, and the base.
pub(super) struct Writer {
    connection: Connection,
    log: LogFiles,
    /// Beside which the log is.
    path: Arc<Path>,
    readers: Arc<Readers>,
    /// Bytes of outcomes, once they were counted.
    outcome_bytes: Option<u64>,
}

/// Does jobs until nobody can ask any more; then moves all to one file, if the base has everything.
pub(super) fn run(mut writer: Writer, mut jobs: mpsc::Receiver<Job>) {
    while let Some(job) = jobs.blocking_recv() {
        job(&mut writer);
    }
    // What they see would have to stay in SQLite's own log.
    writer.readers.close();
    if let Err(error) = writer.end() {
        tracing::warn!(%error, "the logs stay beside the file; the next start takes them in");
    }
}

impl Writer {
    pub fn new(connection: Connection, log: LogFiles, path: Arc<Path>, readers: Arc<Readers>) -> Self {
        Writer { connection, log, path, readers, outcome_bytes: None }
    }

    /// Where log and base stand.
    pub fn position(&mut self) -> Result<Position, StorageError> {
        self.log.settle()?;
        let base = self.connection.query_row("SELECT base FROM position", [], |row| row.get::<_, i64>(0));
        Ok(Position { head: self.log.head(), base: Timestamp(base.map_err(of_sqlite)?.cast_unsigned()) })
    }

    pub fn meta(&self) -> Result<Meta, StorageError> {
        let read = || {
            let mut statement = self.connection.prepare_cached("SELECT name, value FROM meta ORDER BY name")?;
            statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?.collect::<Result<Meta, _>>()
        };
        read().map_err(of_sqlite)
    }

    pub fn append(&mut self, expected: Timestamp, batch: &LogBatch) -> Result<(), StorageError> {
        let found = self.log.head();
        if found != expected {
            return Err(StorageError::HeadMoved { expected, found });
        }
        self.log.append(batch)
    }

    pub fn log_after(&mut self, ts: Timestamp, bytes_max: usize) -> Result<Vec<LogBatch>, StorageError> {
        self.log.after(ts, bytes_max)
    }

    pub fn write_base(&mut self, writes: &BaseWrites) -> Result<usize, StorageError> {
        let mut added = 0;
        // The end of the checkpoint syncs; until then the log has all of it.
        self.connection.pragma_update(None, "synchronous", "NORMAL").map_err(of_sqlite)?;
        let written = self.transaction(|transaction| {
            added = writes.outcomes.iter().map(|group| group.bytes.len() as u64).sum();
            write_parts(transaction, writes)
        });
        self.connection.pragma_update(None, "synchronous", "FULL").map_err(of_sqlite)?;
        if written.is_ok() {
            self.outcome_bytes = self.outcome_bytes.map(|bytes| bytes + added);
        }
        written
    }

    pub fn finish_checkpoint(&mut self, checkpoint: &Checkpoint) -> Result<Pruned, StorageError> {
        let counted = self.outcome_bytes;
        let (pruned, bytes) = self.transaction(|transaction| {
            if let Some(base) = checkpoint.base {
                transaction.execute("UPDATE position SET base = ?1", [base.0.cast_signed()])?;
            }
            let mut put = transaction.prepare_cached("INSERT OR REPLACE INTO meta VALUES (?1, ?2)")?;
            checkpoint.meta.iter().try_for_each(|meta| put.execute(params![meta.0, meta.1]).map(drop))?;
            let mut remove = transaction.prepare_cached("DELETE FROM meta WHERE name = ?1")?;
            checkpoint.meta_removed.iter().try_for_each(|name| remove.execute([name]).map(drop))?;
            prune(transaction, checkpoint, counted)
        })?;
        self.outcome_bytes = Some(bytes);
        if let Some(base) = checkpoint.base {
            self.log.forget(base);
        }
        Ok(pruned)
    }

    pub fn base_bytes(&self) -> Result<u64, StorageError> {
        let pragma = |name| self.connection.pragma_query_value(None, name, |row| row.get::<_, i64>(0));
        let read = || Ok(pragma("page_size")? * (pragma("page_count")? - pragma("freelist_count")?));
        read().map(i64::cast_unsigned).map_err(of_sqlite)
    }

    /// Leaves one file, if nothing is in the log that the base lacks.
    fn end(&mut self) -> Result<(), StorageError> {
        if self.log.is_forgotten() {
            self.connection.execute("UPDATE position SET log = NULL", []).map_err(of_sqlite)?;
            LogFiles::remove(&self.path)?;
        }
        self.connection.execute_batch("PRAGMA wal_checkpoint(TRUNCATE)").map_err(of_sqlite)
    }

    /// All of `f`, or nothing of it.
    fn transaction<T>(
        &mut self,
        f: impl FnOnce(&Transaction<'_>) -> Result<T, rusqlite::Error>,
    ) -> Result<T, StorageError> {
        let run = || {
            let transaction = self.connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
            let done = f(&transaction)?;
            transaction.commit()?;
            Ok(done)
        };
        self.readers.before_change();
        let done = run();
        self.readers.after_change();
        done.map_err(of_sqlite)
    }
}

fn write_parts(transaction: &Transaction<'_>, writes: &BaseWrites) -> Result<usize, rusqlite::Error> {
    let sql = "INSERT INTO documents (table_number, id, sum, json) VALUES (?1, ?2, ?3, ?4) \
               ON CONFLICT (table_number, id) DO UPDATE SET sum = ?3, json = ?4";
    let mut put = transaction.prepare_cached(sql)?;
    for (id, json) in &writes.documents {
        put.execute(params![id.table.0, &id.internal.0[..], sum(id.table, id.internal, json), &**json])?;
    }
    let mut remove = transaction.prepare_cached("DELETE FROM documents WHERE table_number = ?1 AND id = ?2")?;
    for id in &writes.documents_removed {
        remove.execute(params![id.table.0, &id.internal.0[..]])?;
    }
    put_entries(transaction, &writes.entries)?;
    let mut remove = transaction.prepare_cached("DELETE FROM entries WHERE key = ?1")?;
    for (index, key) in &writes.entries_removed {
        remove.execute([&entry_key(*index, key)[..]])?;
    }
    let mut put = transaction.prepare_cached("INSERT OR REPLACE INTO outcomes VALUES (?1, ?2, ?3, ?4, ?5)")?;
    for group in &writes.outcomes {
        let (first, last, ts) = (group.first.cast_signed(), group.last.cast_signed(), group.ts.0.cast_signed());
        put.execute(params![&group.session[..], last, ts, first, group.bytes])?;
    }
    let Some((index, n_max)) = writes.index_dropped else { return Ok(0) };
    let sql = "DELETE FROM entries WHERE key IN \
               (SELECT key FROM entries WHERE key >= ?1 AND key < ?2 ORDER BY key LIMIT ?3)";
    let n_max = i64::try_from(n_max).unwrap_or(i64::MAX);
    transaction.prepare_cached(sql)?.execute(params![&entry_key(index, &[])[..], &index_end(index)[..], n_max])
}

/// Those of a new index come many at once, in their order and with their rows.
fn put_entries(transaction: &Transaction<'_>, entries: &[BaseEntry]) -> Result<(), rusqlite::Error> {
    let sql = "INSERT OR REPLACE INTO entries \
               VALUES (?1, coalesce(?2, (SELECT row FROM documents WHERE table_number = ?3 AND id = ?4)))";
    let mut put = transaction.prepare_cached(sql)?;
    let mut put_many = transaction.prepare_cached(&PUT_MANY_ENTRIES)?;
    for some in entries.chunks(MANY_ENTRIES) {
        if some.len() == MANY_ENTRIES && some.iter().all(|entry| entry.row.is_some()) {
            for (n, BaseEntry { index, key, row }) in some.iter().enumerate() {
                put_many.raw_bind_parameter(2 * n + 1, &entry_key(*index, key)[..])?;
                put_many.raw_bind_parameter(2 * n + 2, row.map(|RowNumber(n)| n))?;
            }
            put_many.raw_execute()?;
            continue;
        }
        for BaseEntry { index, key, row } in some {
            let row = row.map(|RowNumber(n)| n);
            put.execute(params![&entry_key(*index, key)[..], row, index.table.0, &key.id().0[..]])?;
        }
    }
    Ok(())
}

/// Lets old outcomes go. Returns how many groups, and how many bytes are left.
fn prune(
    transaction: &Transaction<'_>,
    checkpoint: &Checkpoint,
    counted: Option<u64>,
) -> Result<(Pruned, u64), rusqlite::Error> {
    let mut bytes = match counted {
        Some(bytes) => bytes,
        None => {
            let sql = "SELECT coalesce(sum(length(outcomes)), 0) FROM outcomes";
            transaction.query_row(sql, [], |row| row.get::<_, i64>(0))?.cast_unsigned()
        }
    };
    let mut pruned = Pruned::default();
    let sql = "SELECT session, last, ts, length(outcomes) FROM outcomes ORDER BY ts LIMIT 1";
    let mut oldest = transaction.prepare_cached(sql)?;
    let sql = "DELETE FROM outcomes WHERE session = ?1 AND last = ?2 AND ts = ?3";
    let mut remove = transaction.prepare_cached(sql)?;
    loop {
        let found: Option<([u8; 16], i64, i64, i64)> =
            oldest.query_row([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?))).optional()?;
        let Some((session, last, ts, len)) = found else { break };
        if ts.cast_unsigned() < checkpoint.outcomes_before.0 {
            pruned.aged += 1;
        } else if checkpoint.outcome_bytes_max.is_some_and(|max| bytes > max) {
            pruned.over_budget += 1;
        } else {
            break;
        }
        remove.execute(params![&session[..], last, ts])?;
        bytes = bytes.saturating_sub(len.cast_unsigned());
    }
    Ok((pruned, bytes))
}
