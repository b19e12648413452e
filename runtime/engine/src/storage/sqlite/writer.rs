//! The thread that writes: appends to the log, moves parts of it to the base, and forgets what the base has.

use std::sync::{Arc, LazyLock};

use rusqlite::{Connection, OptionalExtension, Transaction, TransactionBehavior, params};
use syncline_schema::Timestamp;
use tokio::sync::mpsc;
use tokio::sync::mpsc::error::TryRecvError;

use super::Job;
use super::error::{is_failed_sync, of_sqlite};
use super::reader::Readers;
use super::tables::{entry_key, index_end, sum};
use crate::storage::{BaseEntry, BaseWrites, Checkpoint, LogBatch, Meta, Position, Pruned, RowNumber, StorageError};

/// Batches of the log that the base has and that are forgotten along with an append, a number: more than come in, so
/// that they run out, and few, so that the append hardly takes longer.
const FORGOTTEN_WITH_APPEND: i64 = 4;

/// The same when nothing else is to be done.
const FORGOTTEN_WHEN_IDLE: i64 = 8;

/// Entries that one statement puts, a number: what it takes to begin and to end one is shared by so many.
const MANY_ENTRIES: usize = 64;

static PUT_MANY_ENTRIES: LazyLock<String> =
    LazyLock::new(|| format!("INSERT OR REPLACE INTO entries VALUES {}", ["(?, ?)"; MANY_ENTRIES].join(", ")));

/// The connection that writes.
pub(super) struct Writer {
    connection: Connection,
    readers: Arc<Readers>,
    /// As the file had it after the last success. `None`: to be read again.
    position: Option<Position>,
    /// The sync of a transaction failed: it counts as undone, but the file may hold it.
    is_doubtful: bool,
    /// The log may have batches that the base has.
    forgets: bool,
    /// Bytes of outcomes, once they were counted.
    outcome_bytes: Option<u64>,
}

/// Does jobs until nobody can ask any more; then moves SQLite's own log to the file, which leaves one file.
pub(super) fn run(mut writer: Writer, mut jobs: mpsc::Receiver<Job>) {
    loop {
        let job = match jobs.try_recv() {
            Err(TryRecvError::Empty) if writer.forgets => {
                if let Err(error) = writer.forget() {
                    tracing::warn!(%error, "the log could not be shortened");
                    writer.forgets = false;
                }
                continue;
            }
            Err(TryRecvError::Empty) => jobs.blocking_recv(),
            Err(TryRecvError::Disconnected) => None,
            Ok(job) => Some(job),
        };
        match job {
            Some(job) => job(&mut writer),
            None => break,
        }
    }
    // What they see would have to stay in that log.
    writer.readers.close();
    if let Err(error) = writer.connection.execute_batch("PRAGMA wal_checkpoint(TRUNCATE)") {
        tracing::warn!(%error, "SQLite's log stays beside the file; the next start takes it in");
    }
}

impl Writer {
    pub fn new(connection: Connection, readers: Arc<Readers>) -> Result<Self, StorageError> {
        let mut writer =
            Writer { connection, readers, position: None, is_doubtful: false, forgets: true, outcome_bytes: None };
        writer.position()?;
        Ok(writer)
    }

    /// Where the file says that log and base stand.
    pub fn position(&mut self) -> Result<Position, StorageError> {
        if self.is_doubtful {
            self.overwrite_doubtful()?;
        }
        let sql = "SELECT base, coalesce((SELECT max(ts) FROM log), 0) FROM position";
        let found: (i64, i64) =
            self.connection.query_row(sql, [], |row| Ok((row.get(0)?, row.get(1)?))).map_err(of_sqlite)?;
        let base = Timestamp(found.0.cast_unsigned());
        let position = Position { head: base.max(Timestamp(found.1.cast_unsigned())), base };
        self.position = Some(position);
        Ok(position)
    }

    fn known_position(&mut self) -> Result<Position, StorageError> {
        self.position.map_or_else(|| self.position(), Ok)
    }

    pub fn meta(&self) -> Result<Meta, StorageError> {
        let read = || {
            let mut statement = self.connection.prepare_cached("SELECT name, value FROM meta ORDER BY name")?;
            statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?.collect::<Result<Meta, _>>()
        };
        read().map_err(of_sqlite)
    }

    pub fn append(&mut self, expected: Timestamp, batch: &LogBatch) -> Result<(), StorageError> {
        let Position { head, base } = self.known_position()?;
        if head != expected {
            return Err(StorageError::HeadMoved { expected, found: head });
        }
        let forgets = self.forgets;
        let n_forgotten = self.transaction(|transaction| {
            let mut insert = transaction.prepare_cached("INSERT INTO log VALUES (?1, ?2)")?;
            insert.execute(params![batch.ts.0.cast_signed(), batch.bytes])?;
            if forgets { forget(transaction, base, FORGOTTEN_WITH_APPEND) } else { Ok(0) }
        })?;
        self.forgets = n_forgotten > 0;
        self.position = Some(Position { head: batch.ts, base });
        Ok(())
    }

    pub fn log_after(&mut self, ts: Timestamp, bytes_max: usize) -> Result<Vec<LogBatch>, StorageError> {
        let read = || -> Result<Vec<LogBatch>, rusqlite::Error> {
            let sql = "SELECT ts, batch FROM log WHERE ts > ?1 ORDER BY ts";
            let mut statement = self.connection.prepare_cached(sql)?;
            let mut rows = statement.query([ts.0.cast_signed()])?;
            let (mut batches, mut n_bytes) = (Vec::new(), 0);
            while n_bytes < bytes_max
                && let Some(row) = rows.next()?
            {
                let bytes: Vec<u8> = row.get(1)?;
                n_bytes += bytes.len();
                batches.push(LogBatch { ts: Timestamp(row.get::<_, i64>(0)?.cast_unsigned()), bytes });
            }
            Ok(batches)
        };
        read().map_err(of_sqlite)
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
        self.position = None;
        self.forgets = true;
        Ok(pruned)
    }

    pub fn base_bytes(&self) -> Result<u64, StorageError> {
        let pragma = |name| self.connection.pragma_query_value(None, name, |row| row.get::<_, i64>(0));
        let read = || Ok(pragma("page_size")? * (pragma("page_count")? - pragma("freelist_count")?));
        read().map(i64::cast_unsigned).map_err(of_sqlite)
    }

    /// Shortens the log a little.
    fn forget(&mut self) -> Result<(), StorageError> {
        let base = self.known_position()?.base;
        self.connection.pragma_update(None, "synchronous", "NORMAL").map_err(of_sqlite)?;
        let forgotten = self.transaction(|transaction| forget(transaction, base, FORGOTTEN_WHEN_IDLE));
        self.connection.pragma_update(None, "synchronous", "FULL").map_err(of_sqlite)?;
        self.forgets = forgotten? > 0;
        Ok(())
    }

    /// Writes, durably, over what a failed sync has left behind the end of SQLite's own log. Left there, it would come
    /// back when the next process takes that log in, long after it was told to be undone.
    fn overwrite_doubtful(&mut self) -> Result<(), StorageError> {
        self.transaction(|transaction| {
            transaction.execute("INSERT INTO log VALUES (0, x'')", [])?;
            transaction.execute("DELETE FROM log WHERE ts = 0", [])
        })?;
        self.is_doubtful = false;
        Ok(())
    }

    /// All of `f`, or nothing of it.
    fn transaction<T>(
        &mut self,
        f: impl FnOnce(&Transaction<'_>) -> Result<T, rusqlite::Error>,
    ) -> Result<T, StorageError> {
        // Whatever fails, the file is asked where it stands before the next append.
        let position = self.position.take();
        let run = || {
            let transaction = self.connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
            let done = f(&transaction)?;
            transaction.commit()?;
            Ok(done)
        };
        self.readers.before_change();
        let done = run();
        self.readers.after_change();
        match done {
            Ok(done) => {
                self.position = position;
                Ok(done)
            }
            Err(error) => {
                self.is_doubtful |= is_failed_sync(&error);
                Err(of_sqlite(error))
            }
        }
    }
}

/// Forgets some batches that the base has, oldest first. Returns how many.
fn forget(transaction: &Transaction<'_>, base: Timestamp, n_max: i64) -> Result<usize, rusqlite::Error> {
    let sql = "DELETE FROM log WHERE ts IN (SELECT ts FROM log WHERE ts <= ?1 ORDER BY ts LIMIT ?2)";
    transaction.prepare_cached(sql)?.execute([base.0.cast_signed(), n_max])
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
