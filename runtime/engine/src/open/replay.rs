//! Replaying the log: its commits become what they were in memory, newer than the base.

use std::sync::Arc;

use syncline_schema::{DocumentId, StoredText, Timestamp};

use super::Found;
use crate::catalog::{Table, stored_from_base};
use crate::commit::Outcome;
use crate::key::Key;
use crate::memory::{Entry, Place, Stored, Version};
use crate::ports::{Ports, Progress};
use crate::record::{self, Step};
use crate::storage::{Storage, StorageError};

/// Bytes of the log in memory at once while it is replayed.
const CHUNK_BYTES: usize = 8 << 20;

pub(super) async fn replay(storage: &dyn Storage, ports: &Ports, found: &mut Found) -> Result<(), StorageError> {
    let mut done = 0;
    let mut after = found.base;
    loop {
        let batches = storage.log_after(after, CHUNK_BYTES).await?;
        let Some(last) = batches.last() else { break };
        after = last.ts;
        for batch in &batches {
            found.log_bytes += batch.bytes.len() as u64;
            record::read_batch(&batch.bytes, |ts, steps| {
                done += 1;
                steps.iter().try_for_each(|step| replay_step(found, ts, step))
            })?;
        }
        if let Some(on_progress) = &ports.progress {
            on_progress(&Progress { work: "replay", of: String::new(), done, total: None });
        }
    }
    if after != found.head {
        let what = format!("the log ends at {after}, and says that it ends at {}", found.head);
        return Err(StorageError::Corrupt { what });
    }
    Ok(())
}

fn replay_step(found: &mut Found, ts: Timestamp, step: &Step<'_>) -> Result<(), StorageError> {
    match step {
        Step::Table { number, name } => {
            let table = Table::new_in_transaction(*number, name);
            table.set_created(ts);
            found.catalog.insert(Arc::new(table));
        }
        Step::Put { id, json, removed_keys } => {
            let stored = stored_from_base(StoredText::from(*json).into())?;
            write(found, ts, id, Some(stored), removed_keys)?;
        }
        Step::Delete { id, removed_keys } => write(found, ts, id, None, removed_keys)?,
        Step::SetVariable { name, value } => found.environment.set(name, Some(Arc::from(*value)), ts, ts),
        Step::RemoveVariable { name } => found.environment.set(name, None, ts, ts),
        Step::Outcome { key, value, log_lines } => {
            let log_lines = log_lines.iter().map(|line| (*line).to_owned()).collect();
            found.outcomes.insert(*key, &Outcome { ts, value: Arc::from(*value), log_lines });
        }
    }
    Ok(())
}

/// Nobody reads at older snapshots, so older versions go at once.
fn write(
    found: &Found,
    ts: Timestamp,
    id: &DocumentId,
    stored: Option<Stored>,
    removed_keys: &[(u32, &[u8])],
) -> Result<(), StorageError> {
    let unknown = || StorageError::Corrupt { what: format!("the log has document {id} of no known table") };
    let table = found.catalog.numbered(id.table, ts).ok_or_else(unknown)?;
    let keys = match &stored {
        Some(stored) => Some(table.keys(&stored.json, stored.creation_time, id)?),
        None => None,
    };
    let mut space = table.memory.write();
    let value = stored.map(|stored| Stored { keys: keys.clone(), ..stored });
    let place = space.documents.push(&id.internal.into(), Place::UNKNOWN, Version { ts, value }, || None, ts);
    let entry = Entry { id: id.internal, place };
    for (number, key) in removed_keys {
        if let Some(index) = space.index_mut(*number) {
            index.push(Key::new(Arc::from(*key)), Version { ts, value: None }, || Some(entry), ts);
        }
    }
    for (number, key) in keys.iter().flat_map(|keys| keys.iter()) {
        if let Some(index) = space.index_mut(*number) {
            index.push(Key::new(key.clone()), Version { ts, value: Some(entry) }, || None, ts);
        }
    }
    Ok(())
}
