//! Reading the base into memory, and letting go of what has not been read for a while.
//!
//! A base row may be put into memory only if nothing newer was let go of meanwhile: what is dirty is never let go of,
//! and what is clean is at or below `base`. So a read is good when `base` is the same before it and, under the table's
//! lock, after it; else it is made again.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use syncline_functions::tx::Order;
use syncline_schema::{InternalId, TableNumber, Timestamp};

use crate::catalog::{Table, stored_from_base};
use crate::commit::IndexId;
use crate::engine::Shared;
use crate::key::Key;
use crate::memory::{Gap, TableSpace};
use crate::storage::{BaseAnswer, BaseRange, BaseRead, BaseRow, StorageError};

/// The least number of rows asked of the base at once: a question costs more than a row.
const ROWS_MIN: usize = 64;

/// Slots that eviction looks at under one lock, a number: some tens of microseconds.
const EVICTED_AT_ONCE: usize = 256;

/// The answer of a storage that answers something else than it was asked.
pub(crate) fn unasked() -> StorageError {
    StorageError::Io { what: "the storage answered something that was not asked".to_owned() }
}

/// Somebody needs what he loads to stay until he has read it. Lets go of what is too much afterwards.
pub(crate) struct Loading<'a>(&'a Shared);

impl<'a> Loading<'a> {
    pub fn begin(shared: &'a Shared) -> Self {
        shared.n_loading.fetch_add(1, Ordering::Relaxed);
        Loading(shared)
    }
}

impl Drop for Loading<'_> {
    fn drop(&mut self) {
        let n_before = self.0.n_loading.fetch_sub(1, Ordering::Relaxed);
        let budget = self.0.config.memory_budget_bytes;
        // While others load, memory may grow to twice the budget, so that nobody's rows go before they are read.
        self.0.evict(if n_before == 1 { budget } else { budget.saturating_mul(2) });
    }
}

impl Shared {
    /// Puts documents, or their absence, into memory.
    pub(crate) async fn load_documents(&self, table: &Table, ids: Vec<InternalId>) -> Result<(), StorageError> {
        loop {
            let base = self.base();
            let part = BaseRead::Documents { table: table.number, ids: ids.clone() };
            let mut answers = self.storage.read(vec![part]).await?;
            let Some(BaseAnswer::Documents(found)) = answers.pop() else { return Err(unasked()) };
            let mut space = table.memory.write();
            if self.base() != base {
                continue;
            }
            for (id, json) in ids.iter().zip(found) {
                install_document(&mut space, *id, json, base)?;
            }
            return Ok(());
        }
    }

    /// Puts the first rows of a gap in an index into memory, with their documents; at least `limit` if there are.
    pub(crate) async fn load_gap(
        &self,
        table: &Table,
        index: u32,
        gap: &Gap,
        order: Order,
        limit: usize,
    ) -> Result<(), StorageError> {
        let limit = limit.max(ROWS_MIN);
        loop {
            let base = self.base();
            let rows = self.read_gap(table.number, index, gap, order, limit).await?;
            let mut space = table.memory.write();
            if self.base() != base {
                continue;
            }
            let (start, end) = covered(gap, order, &rows, limit);
            for row in rows {
                if index != IndexId::BY_ID
                    && let Some(index) = space.index_mut(index)
                {
                    index.entries.install(Key::new(row.key), row.id, base);
                }
                if let Some(json) = row.json {
                    install_document(&mut space, row.id, Some(json), base)?;
                }
            }
            if index == IndexId::BY_ID {
                space.documents.set_resident(&start, end.as_deref());
            } else if let Some(index) = space.index_mut(index) {
                index.entries.set_resident(&start, end.as_deref());
            }
            return Ok(());
        }
    }

    /// The first rows of a gap, as the base has them.
    pub(crate) async fn read_gap(
        &self,
        table: TableNumber,
        index: u32,
        gap: &Gap,
        order: Order,
        limit: usize,
    ) -> Result<Vec<BaseRow>, StorageError> {
        let range = BaseRange { start: gap.start.clone(), end: gap.end.clone(), order, limit };
        let part = match index {
            IndexId::BY_ID => BaseRead::DocumentRange { table, range },
            index => BaseRead::IndexRange { index: IndexId { table, index }, range },
        };
        match self.storage.read(vec![part]).await?.pop() {
            Some(BaseAnswer::Rows(rows)) => Ok(rows),
            _ => Err(unasked()),
        }
    }

    /// Lets go of what can be read again, while memory is over a budget. Bounded: more goes with the next load.
    pub(crate) fn evict(&self, budget: usize) {
        let catalog = self.catalog();
        let tables: Vec<&Arc<Table>> = catalog.iter().collect();
        let total = || tables.iter().map(|table| table.memory.bytes()).sum::<usize>();
        // Twice over everything at most: the first time may only find that all of it was read lately.
        let mut n_left = 2 * total() / 64;
        while total() > budget && n_left > 0 {
            for table in &tables {
                let mut space = table.memory.write();
                space.documents.evict(EVICTED_AT_ONCE);
                for index in &mut space.indexes {
                    index.entries.evict(EVICTED_AT_ONCE);
                }
            }
            n_left = n_left.saturating_sub(EVICTED_AT_ONCE * tables.len());
        }
    }
}

fn install_document(
    space: &mut TableSpace,
    id: InternalId,
    json: Option<Arc<str>>,
    base: Timestamp,
) -> Result<(), StorageError> {
    match json {
        Some(json) => space.documents.install(id.into(), stored_from_base(json)?, base),
        None => space.documents.set_resident(&id.0, Some(&[&id.0[..], &[0]].concat())),
    }
    Ok(())
}

/// The interval that rows of a gap are all of.
fn covered(gap: &Gap, order: Order, rows: &[BaseRow], limit: usize) -> (Vec<u8>, Option<Vec<u8>>) {
    let whole = (gap.start.clone(), gap.end.clone());
    match rows.last() {
        Some(last) if rows.len() >= limit => match order {
            Order::Asc => (whole.0, Some([&last.key[..], &[0]].concat())),
            Order::Desc => (last.key.to_vec(), whole.1),
        },
        _ => whole,
    }
}
