//! Reading all documents of a table once: checks them, and writes the entries of new indexes.

use futures::future::join;
use syncline_schema::{
    DocumentId, IndexDefinition, InternalId, TableDefinition, TableNumber, first_behind, is_system_field,
    object_from_json,
};

use super::new_entries::{ENTRIES_AT_ONCE, NewEntries, NewEntry};
use super::{Left, Work, note};
use crate::catalog::Catalog;
use crate::commit::IndexId;
use crate::engine::Shared;
use crate::error::{OpenError, SchemaMismatch};
use crate::load::First;
use crate::memory::Gap;
use crate::ports::Progress;
use crate::storage::{BaseRow, BaseWrites, StorageError};

/// Documents read at once.
const CHUNK_ROWS: usize = 1_024;

/// Share of the memory budget that entries may take which are gathered to be sorted.
const GATHERED_SHARE: usize = 4;

/// Of so many writes, one is waited for before reading goes on: while somebody reads, SQLite's own log cannot begin
/// anew, and would grow as large as the index.
const WAITED_FOR_ONE_OF: usize = 16;

/// Offending documents that a mismatch names.
const EXAMPLES_MAX: usize = 5;

/// A table on the way through it.
struct Pass<'a> {
    shared: &'a Shared,
    catalog: &'a Catalog,
    work: &'a Work<'a>,
    /// What is still to be read.
    rest: Gap,
    /// Nothing is.
    ended: bool,
    n_read: u64,
    mismatch: SchemaMismatch,
    entries: NewEntries<'a>,
}

pub(super) async fn read_through(shared: &Shared, catalog: &Catalog, work: &Work<'_>) -> Result<(), OpenError> {
    let from = match work.left {
        // Documents that an earlier start passed were checked by it, but perhaps against another declaration.
        Left::UpTo(after) => after.filter(|_| work.check.is_none()),
        Left::Nothing if work.build.is_empty() => None,
        Left::Nothing => {
            shared.storage.finish_checkpoint(note(shared, work, None)).await?;
            None
        }
    };
    let definitions: Vec<IndexDefinition> = work.build.iter().map(|index| index.definition.clone()).collect();
    let mismatch = SchemaMismatch { table: work.table.name.to_string(), n_documents: 0, examples: Vec::new() };
    let mut pass = Pass {
        shared,
        catalog,
        work,
        rest: Gap { start: from.map_or_else(Vec::new, |id| first_behind(&id.0).into_vec()), end: None },
        ended: false,
        n_read: 0,
        mismatch,
        entries: NewEntries::new(work, &definitions),
    };
    pass.run().await?;
    if pass.mismatch.n_documents > 0 { Err(OpenError::Mismatch(pass.mismatch)) } else { Ok(()) }
}

impl Pass<'_> {
    /// Reads on while the storage writes what is known to come next.
    async fn run(&mut self) -> Result<(), StorageError> {
        let gathered_max = self.shared.config.memory_budget_bytes / GATHERED_SHARE;
        let mut due = Vec::new();
        for n_writes in 1_usize.. {
            let writing = write(self.shared, std::mem::take(&mut due));
            if n_writes.is_multiple_of(WAITED_FOR_ONE_OF) {
                writing.await?;
                self.read_some(gathered_max).await?;
            } else {
                let (written, read) = join(writing, self.read_some(gathered_max)).await;
                written?;
                read?;
            }
            if self.mismatch.n_documents > 0 {
                self.entries.clear();
            } else if self.ended {
                return write(self.shared, self.entries.take_all()).await;
            } else if self.entries.bytes() > gathered_max {
                write(self.shared, self.entries.take_all()).await?;
                let last = self.rest.start.first_chunk().map(|id| InternalId(*id));
                self.shared.storage.finish_checkpoint(note(self.shared, self.work, last)).await?;
            } else {
                due = self.entries.take_due();
            }
            if self.ended {
                return Ok(());
            }
        }
        Ok(())
    }

    /// Reads as many documents as entries are written at once, fewer when what is gathered takes too much memory.
    async fn read_some(&mut self, gathered_max: usize) -> Result<(), StorageError> {
        let mut n_read = 0;
        while !self.ended && n_read < ENTRIES_AT_ONCE && self.entries.bytes() <= gathered_max {
            let Work { table, check, .. } = self.work;
            let rows = self.shared.read_gap(table, IndexId::BY_ID, &self.rest, First::of(CHUNK_ROWS)).await?;
            if let Some(last) = rows.last() {
                self.rest.start = first_behind(&last.key).into_vec();
            }
            if let Some(definition) = check {
                check_rows(table.number, definition, self.catalog, &rows, &mut self.mismatch)?;
            }
            if self.mismatch.n_documents == 0 {
                self.entries.gather(&rows)?;
            }
            self.ended = rows.len() < CHUNK_ROWS;
            n_read += rows.len();
            self.n_read += rows.len() as u64;
            self.tell();
        }
        Ok(())
    }

    fn tell(&self) {
        let Some(on_progress) = &self.shared.ports.progress else { return };
        let (of, work) = match self.work.build.first() {
            Some(index) => (format!("{}.{}", self.work.table.name, index.definition.name), "index"),
            None => (self.work.table.name.to_string(), "check"),
        };
        on_progress(&Progress { work, of, done: self.n_read, total: None });
    }
}

async fn write(shared: &Shared, some: Vec<Vec<NewEntry>>) -> Result<(), StorageError> {
    for entries in some {
        shared.storage.write_base(BaseWrites { entries, ..BaseWrites::default() }).await?;
    }
    Ok(())
}

fn check_rows(
    table: TableNumber,
    definition: &TableDefinition,
    catalog: &Catalog,
    rows: &[BaseRow],
    mismatch: &mut SchemaMismatch,
) -> Result<(), StorageError> {
    for row in rows {
        let id = DocumentId { table, internal: row.key.id() };
        let text = row.json.as_deref().unwrap_or_default();
        let mut document = object_from_json(text)
            .map_err(|error| StorageError::Corrupt { what: format!("document {id}: {error}") })?;
        document.retain(|name, _| !is_system_field(name));
        if let Err(finding) = definition.check_document(&document, catalog) {
            mismatch.n_documents += 1;
            if mismatch.examples.len() < EXAMPLES_MAX {
                mismatch.examples.push((id, finding.to_string()));
            }
        }
    }
    Ok(())
}
