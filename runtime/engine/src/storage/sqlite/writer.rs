//! The thread that writes: appends to the log, moves parts of it to the base, and forgets what the base has.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use rusqlite::{Connection, OptionalExtension, Transaction, TransactionBehavior, params};
use syncline_schema::{DocumentId, Timestamp};
use tokio::sync::mpsc;

use super::Job;
use super::blocks::{BlockSize, Edit, Text, Tree, documents_of, text_sum};
use super::error::of_sqlite;
use super::reader::Readers;
use crate::commit::IndexId;
use crate::storage::log_files::LogFiles;
use crate::storage::{BaseKey, BaseWrites, Checkpoint, LogBatch, Meta, Position, Pruned, StorageError};

/// Who writes: the log, and the base.
pub(super) struct Writer {
    connection: Connection,
    log: LogFiles,
    /// Beside which the log is.
    path: Arc<Path>,
    readers: Arc<Readers>,
    block_size: BlockSize,
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
    pub fn new(
        connection: Connection,
        log: LogFiles,
        path: Arc<Path>,
        readers: Arc<Readers>,
    ) -> Result<Self, StorageError> {
        let block_size = BlockSize::of_file(&connection).map_err(of_sqlite)?;
        Ok(Writer { connection, log, path, readers, block_size, outcome_bytes: None })
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
        let size = self.block_size;
        let written = self.transaction(|transaction| {
            added = writes.outcomes.iter().map(|group| group.bytes.len() as u64).sum();
            write_parts(transaction, writes, size)
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
        // What it has in its cache is of no use until the next one: readers have their own. The checkpoint is done,
        // whatever comes of this.
        let _ = self.connection.execute_batch("PRAGMA shrink_memory");
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

fn write_parts(transaction: &Transaction<'_>, writes: &BaseWrites, size: BlockSize) -> Result<usize, rusqlite::Error> {
    let put = writes.documents.iter().map(|(id, text)| {
        let (json, outline) = (text.as_bytes(), text.outline());
        (*id, Some(Text { sum: text_sum(id.table, id.internal, json), json, outline }))
    });
    let removed = writes.documents_removed.iter().map(|id| (*id, None));
    let edits = put.chain(removed).map(|(DocumentId { table, internal }, text)| {
        let key = BaseKey::new(&[], internal);
        (documents_of(table), Edit { key, text })
    });
    apply(transaction, Tree::Documents, edits, size)?;
    let put = writes.entries.iter().map(|entry| (entry, Some(Text::default())));
    let removed = writes.entries_removed.iter().map(|entry| (entry, None));
    let edits = put.chain(removed).map(|((index, key), text)| (*index, Edit { key: key.clone(), text }));
    apply(transaction, Tree::Entries, edits, size)?;
    let mut put = transaction.prepare_cached("INSERT OR REPLACE INTO outcomes VALUES (?1, ?2, ?3, ?4, ?5)")?;
    for group in &writes.outcomes {
        let (first, last, ts) = (group.first.cast_signed(), group.last.cast_signed(), group.ts.0.cast_signed());
        put.execute(params![&group.session[..], last, ts, first, group.bytes])?;
    }
    match writes.index_dropped {
        Some((index, n_max)) => Tree::Entries.drop_some(transaction, index, n_max),
        None => Ok(0),
    }
}

/// Puts and removes rows of some indexes. Of what is done to a row, the last is what counts.
fn apply<'a>(
    transaction: &Transaction<'_>,
    tree: Tree,
    edits: impl Iterator<Item = (IndexId, Edit<'a>)>,
    size: BlockSize,
) -> Result<(), rusqlite::Error> {
    let mut by_index: BTreeMap<IndexId, Vec<Edit<'a>>> = BTreeMap::new();
    for (index, edit) in edits {
        by_index.entry(index).or_default().push(edit);
    }
    for (index, mut edits) in by_index {
        edits.sort_by(|a, b| a.key.cmp(&b.key));
        edits.dedup_by(|later, kept| {
            let is_same = later.key == kept.key;
            if is_same {
                kept.text = later.text;
            }
            is_same
        });
        tree.apply(transaction, index, &edits, size)?;
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
