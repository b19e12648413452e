//! The checkpoint: moves the newest version of each key that changed from the log to the base, in small steps, while
//! commits go on.
//!
//! Nothing in memory is let go of before the base has it durably, and the log keeps all of it until then: so a
//! checkpoint can stop anywhere. Its cost follows the keys that were written, however often.

use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError, Weak};
use std::time::Duration;

use syncline_schema::{DocumentId, Timestamp};

use crate::base_key;
use crate::catalog::Table;
use crate::commit::IndexId;
use crate::engine::{Shared, Wakes};
use crate::environment;
use crate::key::Key;
use crate::memory::{IdKey, Place, TableSpace};
use crate::storage::{BaseWrites, Checkpoint, StorageError};

/// How old a snapshot may be while commits wait for the base, which no snapshot may hold back for long then.
///
/// Source: ours; longer than nearly all functions run, and no pause that clients give up in.
const AGE_WHILE_COMMITS_WAIT: Duration = Duration::from_secs(1);

/// Slots that are settled while others wait.
const SETTLED_TOGETHER_MAX: usize = 1_024;

/// Dirty keys of a table on their way to the base.
struct Taken {
    table: Arc<Table>,
    documents: Vec<(IdKey, Place)>,
    /// By index, in the order of the table's.
    entries: Vec<(u32, Vec<(Key, Place)>)>,
}

impl Taken {
    /// In the order of the base: what is written together then lies together, on few pages. In the order in which the
    /// keys were written, nearly every row would rewrite a page of its own.
    fn sort(&mut self) {
        self.documents.sort_unstable_by_key(|(id, _)| *id);
        self.entries.iter_mut().for_each(|(_, keys)| keys.sort_unstable_by(|(a, _), (b, _)| a.cmp(b)));
    }
}

/// Runs as long as the engine lives.
pub(crate) async fn run(shared: Weak<Shared>, wakes: Arc<Wakes>) {
    loop {
        wakes.checkpoint.notified().await;
        let Some(shared) = shared.upgrade() else { return };
        if shared.stopping.load(Ordering::Acquire) {
            shared.stopped.add_permits(1);
            return;
        }
        if let Err(error) = checkpoint(&shared).await {
            tracing::error!(%error, "a checkpoint failed; the log keeps growing until one succeeds");
        }
    }
}

/// Moves the log to the base as far as snapshots and durability allow.
pub(crate) async fn checkpoint(shared: &Shared) -> Result<(), StorageError> {
    let _only_one = shared.checkpointing.lock().await;
    let age_max = if shared.is_log_too_long() { AGE_WHILE_COMMITS_WAIT } else { shared.config.snapshot_age_max };
    let age_max_ms = u64::try_from(age_max.as_millis()).unwrap_or(u64::MAX);
    let now_ms = shared.ports.clock.monotonic_ms();
    shared.snapshots.end_old(Timestamp::ZERO, now_ms.saturating_sub(age_max_ms));
    // Every snapshot is at or above the horizon, and the horizon is durable.
    let to = shared.snapshots.horizon();
    let base = shared.base();
    if to <= base {
        return Ok(());
    }
    // What was written since the last one has taken room, and what that one moved can make it.
    shared.evict(shared.memory_budget(), usize::MAX);
    let log_bytes = shared.log_bytes.load(Ordering::Relaxed);
    let mut taken: Vec<Taken> = shared.catalog().iter().map(take).collect();
    taken.iter_mut().for_each(Taken::sort);
    let moved = move_to_base(shared, &taken, base, to).await;
    if moved.is_ok() {
        // Before anything is let go of: see `load.rs`.
        shared.base.store(to.0, Ordering::Release);
        shared.log_bytes.fetch_sub(log_bytes, Ordering::Relaxed);
    }
    // Also after a failure: then all of it is as dirty as before.
    let base = shared.base();
    for Taken { table, documents, entries } in taken {
        settle(&table, documents, |space, some| {
            space.documents.settle(some, base, shared.snapshots.horizon());
        });
        for (index, keys) in entries {
            settle(&table, keys, |space, some| {
                if let Some(index) = space.index_mut(index) {
                    index.entries.settle(some, base, shared.snapshots.horizon());
                }
            });
        }
    }
    if let Ok(groups) = &moved {
        shared.outcomes.settle(groups, to);
        shared.evict(shared.memory_budget(), usize::MAX);
    }
    moved.map(|_| ())
}

/// Settles some slots at a time, so that those who read and commit get their turn in between.
fn settle<T>(table: &Table, taken: Vec<T>, settle_some: impl Fn(&mut TableSpace, Vec<T>)) {
    let mut taken = taken.into_iter();
    while taken.len() > 0 {
        let some = taken.by_ref().take(SETTLED_TOGETHER_MAX).collect();
        settle_some(&mut table.memory.write(), some);
    }
}

fn take(table: &Arc<Table>) -> Taken {
    let mut space = table.memory.write();
    Taken {
        table: table.clone(),
        documents: space.documents.take_dirty(),
        entries: space.indexes.iter_mut().map(|index| (index.number, index.entries.take_dirty())).collect(),
    }
}

/// Writes everything in (base, to]. Returns the sessions whose outcomes moved, each with its greatest request.
async fn move_to_base(
    shared: &Shared,
    taken: &[Taken],
    base: Timestamp,
    to: Timestamp,
) -> Result<Vec<([u8; 16], u64)>, StorageError> {
    let n_max = shared.config.checkpoint_rows_max.max(1);
    for Taken { table, documents, entries } in taken {
        // Documents before entries: a new entry always finds its document.
        for some in documents.chunks(n_max) {
            shared.storage.write_base(document_writes(table, some, base, to)).await?;
        }
        for (index, keys) in entries {
            for some in keys.chunks(n_max) {
                shared.storage.write_base(entry_writes(table, *index, some, base, to)?).await?;
            }
        }
    }
    let mut outcomes = shared.outcomes.groups(to);
    let settled = outcomes.iter().map(|group| (group.session, group.last)).collect();
    while !outcomes.is_empty() {
        let rest = outcomes.split_off(outcomes.len().min(n_max));
        shared.storage.write_base(BaseWrites { outcomes, ..BaseWrites::default() }).await?;
        outcomes = rest;
    }
    let pruned = shared.storage.finish_checkpoint(end(shared, base, to)).await?;
    if pruned.over_budget > 0 {
        tracing::warn!(
            n_groups = pruned.over_budget,
            "dropped outcomes of requests before their time, because they take more than their share of the disk: \
             a client that sends one of these again may have it done twice"
        );
    }
    Ok(settled)
}

fn document_writes(table: &Table, documents: &[(IdKey, Place)], base: Timestamp, to: Timestamp) -> BaseWrites {
    let mut writes = BaseWrites::default();
    let space = table.memory.read();
    for document in documents {
        let id = DocumentId { table: table.number, internal: document.0.id() };
        match space.documents.newest_between(document, base, to) {
            None => {}
            Some(version) => match &version.value {
                Some(stored) => writes.documents.push((id, stored.into())),
                None => writes.documents_removed.push(id),
            },
        }
    }
    writes
}

fn entry_writes(
    table: &Table,
    index: u32,
    keys: &[(Key, Place)],
    base: Timestamp,
    to: Timestamp,
) -> Result<BaseWrites, StorageError> {
    let mut writes = BaseWrites::default();
    let space = table.memory.read();
    let Some(entries) = space.index(index).map(|index| &index.entries) else { return Ok(writes) };
    let index = IndexId { table: table.number, index };
    for key in keys {
        let Some(version) = entries.newest_between(key, base, to) else { continue };
        let key = base_key::to_base(table.number, key.0.shared());
        let key = key.ok_or_else(|| StorageError::Corrupt { what: "an index key ends with no id".to_owned() })?;
        match version.value {
            Some(_) => writes.entries.push((index, key)),
            None => writes.entries_removed.push((index, key)),
        }
    }
    Ok(writes)
}

/// The end of the checkpoint: the base's timestamp, with the names that changed and the outcomes that go.
fn end(shared: &Shared, base: Timestamp, to: Timestamp) -> Checkpoint {
    let age_ns = u64::try_from(shared.config.outcome_age_max.as_nanos()).unwrap_or(u64::MAX);
    let mut end = Checkpoint {
        base: Some(to),
        outcomes_before: Timestamp(to.0.saturating_sub(age_ns)),
        outcome_bytes_max: Some(shared.config.outcome_bytes_max),
        ..Checkpoint::default()
    };
    for table in shared.catalog().iter().filter(|table| (base.0 + 1..=to.0).contains(&table.created().0)) {
        end.meta.push((Table::meta_name(table.number), table.to_meta()));
    }
    let changed = shared.environment.read().unwrap_or_else(PoisonError::into_inner).changed(base, to);
    for (name, value) in changed {
        let name = format!("{}{name}", environment::META_PREFIX);
        match value {
            Some(value) => end.meta.push((name, value.to_string())),
            None => end.meta_removed.push(name),
        }
    }
    end
}
