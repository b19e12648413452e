//! After a start: reads a store that fits into memory, in the background, so that nothing waits for the base later.
//!
//! Reads and commits go on meanwhile. What they load or write is in memory already and stays as it is; when a
//! checkpoint or eviction comes in between, a table is begun again, a few times.

use std::sync::{Arc, Weak};

use syncline_schema::{DocumentId, InternalId, first_behind};

use crate::catalog::{Table, stored_from_base};
use crate::commit::{DocumentKeys, IndexId};
use crate::engine::Shared;
use crate::key::Key;
use crate::load::First;
use crate::memory::{Entry, Gap, Stored};
use crate::storage::{BaseRow, StorageError};

/// Documents installed under one lock, a number: some tenths of a millisecond.
const CHUNK_ROWS: usize = 256;

/// How often a table is begun again.
const ATTEMPTS_MAX: u32 = 3;

/// What a base row becomes in memory.
type Prepared = (InternalId, Stored, DocumentKeys);

pub(super) async fn warm_up(shared: Weak<Shared>) {
    let Some(alive) = shared.upgrade() else { return };
    // In memory it takes about twice the bytes that it takes in a file.
    let fits = alive.storage.base_bytes().await.is_ok_and(|bytes| bytes <= alive.memory_budget() as u64 / 2);
    let tables: Vec<Arc<Table>> = if fits { alive.catalog().iter().cloned().collect() } else { Vec::new() };
    drop(alive);
    for table in tables {
        for _ in 0..ATTEMPTS_MAX {
            match load_table(&shared, &table).await {
                Ok(Loaded::Interrupted) => {}
                Ok(Loaded::All) => break,
                Ok(Loaded::Ended) => return,
                Err(error) => {
                    tracing::warn!(%error, table = &*table.name, "a table was not read in advance; it is read when needed");
                    return;
                }
            }
        }
    }
}

enum Loaded {
    All,
    /// What was read may be outdated.
    Interrupted,
    /// The engine has ended.
    Ended,
}

async fn load_table(shared: &Weak<Shared>, table: &Arc<Table>) -> Result<Loaded, StorageError> {
    let Some(alive) = shared.upgrade() else { return Ok(Loaded::Ended) };
    let (base, n_evicted) = (alive.base(), table.memory.read().n_evicted());
    if table.memory.read().documents.resident().reach(&[]) == Some(None) {
        return Ok(Loaded::All);
    }
    drop(alive);
    let mut gap = Gap { start: Vec::new(), end: None };
    loop {
        // Not held while it waits, and not without letting others run.
        tokio::task::yield_now().await;
        let Some(alive) = shared.upgrade() else { return Ok(Loaded::Ended) };
        let rows = alive.read_gap(table, IndexId::BY_ID, &gap, First::of(CHUNK_ROWS)).await?;
        let is_last = rows.len() < CHUNK_ROWS;
        if let Some(last) = rows.last() {
            gap.start = first_behind(&last.key).into_vec();
        }
        let rows: Vec<Prepared> = rows.into_iter().map(|row| prepare(table, row)).collect::<Result<_, _>>()?;
        let mut space = table.memory.write();
        if alive.base() != base || space.n_evicted() != n_evicted {
            return Ok(Loaded::Interrupted);
        }
        for (id, stored, keys) in rows {
            let place = space.documents.install(id.into(), stored, base);
            for (number, key) in keys.iter() {
                if let Some(index) = space.index_mut(*number) {
                    index.entries.install(Key::new(key.clone()), Entry { id, place }, base);
                }
            }
        }
        if is_last {
            space.set_all_resident();
            return Ok(Loaded::All);
        }
    }
}

fn prepare(table: &Table, row: BaseRow) -> Result<Prepared, StorageError> {
    let id = row.key.id();
    let stored = stored_from_base(row.json.unwrap_or_default())?.alone();
    let document = DocumentId { table: table.number, internal: id };
    let keys = table.keys(&stored.json, stored.creation_time, &document)?;
    Ok((id, Stored { keys: Some(keys.clone()), ..stored }, keys))
}
