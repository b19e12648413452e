//! From the stored schema to the declared one: numbers for new tables, checks of documents, new indexes.
//!
//! Everything is prepared beside the base, which is complete and which nobody changes meanwhile; then one step of the
//! storage makes schema and indexes current. A start that is broken off goes on where it was.

use std::sync::{Arc, Weak};
use std::time::Duration;

use serde_json::json;
use syncline_functions::tx::Order;
use syncline_schema::{
    DocumentId, IndexDefinition, InternalId, Schema, SchemaDiff, TableDefinition, TableNumber, Timestamp,
    document_keys, is_system_field, object_from_json,
};

use super::{SCHEMA, new_table, schema_text};
use crate::catalog::{Catalog, Index, Table, document_validator, stored_from_base};
use crate::commit::IndexId;
use crate::engine::Shared;
use crate::error::{OpenError, SchemaMismatch};
use crate::memory::Gap;
use crate::ports::Progress;
use crate::storage::{BaseRow, BaseWrites, Checkpoint, Meta, StorageError};

/// Documents read at once.
const CHUNK_ROWS: usize = 1_024;

/// Chunks between two notes of how far the building of an index is.
const CHUNKS_A_NOTE: usize = 64;

/// Index entries dropped in one transaction of the storage.
const DROPPED_AT_ONCE: usize = 1_024;

/// Offending documents that a mismatch names.
const EXAMPLES_MAX: usize = 5;

const BUILDING_PREFIX: &str = "building/";
const DROPPING_PREFIX: &str = "dropping/";

/// A table that has to be read through.
struct Work<'a> {
    table: Arc<Table>,
    check: Option<&'a TableDefinition>,
    build: Vec<Index>,
    /// Where an earlier start got to.
    after: Option<InternalId>,
}

pub(super) async fn apply(shared: &Shared, stored: &Schema, meta: &Meta) -> Result<(), OpenError> {
    let declared = &shared.schema;
    let diff = Schema::diff(stored, declared);
    let catalog = next_catalog(&shared.catalog(), declared, shared.committed());
    let mut works = Vec::new();
    for table in catalog.iter() {
        let Some(before) = shared.catalog().numbered(table.number, Timestamp(u64::MAX)).cloned() else { continue };
        let build = new_indexes(&before, table);
        let note = meta.iter().find(|(name, _)| *name == building_name(table.number)).map(|(_, note)| note.as_str());
        let after = resume(shared, table, &build, note).await?;
        let check = declared.tables.get(&*table.name).filter(|_| diff.recheck.iter().any(|name| **name == *table.name));
        if check.is_some() || !build.is_empty() {
            works.push(Work { table: table.clone(), check, build, after });
        }
    }
    for work in &works {
        read_through(shared, &catalog, work).await?;
    }
    activate(shared, catalog, &diff, meta).await
}

/// The tables as they will be: new ones get numbers in order of their names.
fn next_catalog(before: &Catalog, declared: &Schema, created: Timestamp) -> Catalog {
    let mut catalog = before.clone();
    for table in before.iter() {
        let next = changed_table(table, declared);
        if next.indexes != table.indexes || next.document != table.document {
            catalog.insert(Arc::new(next));
        }
    }
    for name in declared.tables.keys().filter(|name| before.named(name, Timestamp(u64::MAX)).is_none()) {
        catalog.insert(Arc::new(new_table(declared, name, catalog.next_number(), created)));
    }
    catalog
}

/// A table with the indexes that are declared for it: those that stay keep their numbers.
fn changed_table(before: &Table, declared: &Schema) -> Table {
    let definition = declared.tables.get(&*before.name);
    let wanted = definition.into_iter().flat_map(|definition| {
        let staged = definition.staged_indexes.iter().map(|index| (index, true));
        definition.indexes.iter().map(|index| (index, false)).chain(staged)
    });
    let mut next_number = before.next_index;
    let mut indexes: Vec<Index> = Vec::new();
    for (definition, staged) in wanted {
        let kept = before.indexes.iter().find(|index| index.definition == *definition);
        let number = kept.map_or(next_number, |kept| kept.number);
        next_number = next_number.max(number + 1);
        indexes.push(Index { number, staged, definition: definition.clone() });
    }
    indexes.sort_by_key(|index| index.number);
    let validator = document_validator(declared, &before.name);
    Table::over_base(before.number, &before.name, validator, indexes, next_number)
}

fn new_indexes(before: &Table, after: &Table) -> Vec<Index> {
    let is_new = |index: &&Index| before.indexes.iter().all(|other| other.number != index.number);
    after.indexes.iter().filter(is_new).cloned().collect()
}

fn building_name(table: TableNumber) -> String {
    format!("{BUILDING_PREFIX}{table}")
}

fn describe(indexes: &[Index]) -> serde_json::Value {
    let describe = |index: &Index| {
        let IndexDefinition { name, fields } = &index.definition;
        let fields: Vec<String> = fields.iter().map(ToString::to_string).collect();
        json!({"number": index.number, "name": name, "fields": fields})
    };
    indexes.iter().map(describe).collect()
}

/// Where an earlier start got to with the same indexes. What it left of others is removed.
async fn resume(
    shared: &Shared,
    table: &Table,
    build: &[Index],
    note: Option<&str>,
) -> Result<Option<InternalId>, StorageError> {
    let Some(note) = note else { return Ok(None) };
    let corrupt = || StorageError::Corrupt { what: format!("the note `{}`: {note}", building_name(table.number)) };
    let found: serde_json::Value = serde_json::from_str(note).map_err(|_| corrupt())?;
    if found["indexes"] == describe(build) {
        let after = found["after"].as_str().and_then(|text| DocumentId::parse(text).ok()).ok_or_else(corrupt)?;
        return Ok(Some(after.internal));
    }
    for index in found["indexes"].as_array().ok_or_else(corrupt)? {
        let number = index["number"].as_u64().and_then(|number| u32::try_from(number).ok()).ok_or_else(corrupt)?;
        drop_entries(shared, IndexId { table: table.number, index: number }).await?;
    }
    Ok(None)
}

async fn drop_entries(shared: &Shared, index: IndexId) -> Result<(), StorageError> {
    loop {
        let writes = BaseWrites { index_dropped: Some((index, DROPPED_AT_ONCE)), ..BaseWrites::default() };
        if shared.storage.write_base(writes).await? == 0 {
            return Ok(());
        }
    }
}

/// Reads all documents of a table once: checks them, and writes the entries of new indexes.
async fn read_through(shared: &Shared, catalog: &Catalog, work: &Work<'_>) -> Result<(), OpenError> {
    let mut mismatch = SchemaMismatch { table: work.table.name.to_string(), n_documents: 0, examples: Vec::new() };
    // Documents that an earlier start passed were checked by it, but perhaps against another declaration.
    let from = if work.check.is_some() { None } else { work.after };
    let mut gap = Gap { start: from.map_or_else(Vec::new, |id| [&id.0[..], &[0]].concat()), end: None };
    let (mut done, mut n_chunks) = (0, 0);
    loop {
        let number = work.table.number;
        let rows = shared.read_gap(number, IndexId::BY_ID, &gap, Order::Asc, CHUNK_ROWS).await?;
        let Some(last) = rows.last() else { break };
        gap.start = [&last.key[..], &[0]].concat();
        done += rows.len() as u64;
        n_chunks += 1;
        if let Some(definition) = work.check {
            check_rows(number, definition, catalog, &rows, &mut mismatch)?;
        }
        if mismatch.n_documents == 0 && !work.build.is_empty() {
            let note = n_chunks % CHUNKS_A_NOTE == 0;
            build_rows(shared, work, &rows, note).await?;
        }
        tell(shared, work, done);
        if rows.len() < CHUNK_ROWS {
            break;
        }
    }
    if mismatch.n_documents > 0 { Err(OpenError::Mismatch(mismatch)) } else { Ok(()) }
}

fn tell(shared: &Shared, work: &Work<'_>, done: u64) {
    let Some(on_progress) = &shared.ports.progress else { return };
    let (of, work) = match work.build.first() {
        Some(index) => (format!("{}.{}", work.table.name, index.definition.name), "index"),
        None => (work.table.name.to_string(), "check"),
    };
    on_progress(&Progress { work, of, done, total: None });
}

fn check_rows(
    table: TableNumber,
    definition: &TableDefinition,
    catalog: &Catalog,
    rows: &[BaseRow],
    mismatch: &mut SchemaMismatch,
) -> Result<(), StorageError> {
    for row in rows {
        let id = DocumentId { table, internal: row.id };
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

/// Writes the entries of some documents, and notes how far it is now and then.
async fn build_rows(shared: &Shared, work: &Work<'_>, rows: &[BaseRow], note: bool) -> Result<(), StorageError> {
    let table = work.table.number;
    let definitions: Vec<IndexDefinition> = work.build.iter().map(|index| index.definition.clone()).collect();
    let mut writes = BaseWrites::default();
    for row in rows {
        let id = DocumentId { table, internal: row.id };
        let stored = stored_from_base(row.json.clone().unwrap_or_default())?;
        let keys = document_keys(&stored.json, &definitions, stored.creation_time, &id)
            .map_err(|error| StorageError::Corrupt { what: format!("document {id}: {error}") })?;
        for (index, key) in work.build.iter().zip(keys) {
            writes.entries.push((IndexId { table, index: index.number }, key.into(), row.id));
        }
    }
    shared.storage.write_base(writes).await?;
    if let Some(last) = rows.last().filter(|_| note) {
        let after = DocumentId { table, internal: last.id }.to_string();
        let note = json!({"indexes": describe(&work.build), "after": after}).to_string();
        let meta = vec![(building_name(table), note)];
        shared.storage.finish_checkpoint(Checkpoint { meta, ..Checkpoint::default() }).await?;
    }
    Ok(())
}

/// One step of the storage makes it all current.
async fn activate(shared: &Shared, catalog: Catalog, diff: &SchemaDiff, meta: &Meta) -> Result<(), OpenError> {
    let mut end = Checkpoint { meta: vec![(SCHEMA.to_owned(), schema_text(&shared.schema)?)], ..Checkpoint::default() };
    let before = shared.catalog();
    for table in catalog.iter() {
        end.meta.push((Table::meta_name(table.number), table.to_meta()));
        let Some(before) = before.numbered(table.number, Timestamp(u64::MAX)) else { continue };
        let gone = before.indexes.iter().filter(|index| table.indexes.iter().all(|kept| kept.number != index.number));
        end.meta
            .extend(gone.map(|index| (format!("{DROPPING_PREFIX}{}/{}", table.number, index.number), String::new())));
    }
    let notes = meta.iter().filter(|(name, _)| name.starts_with(BUILDING_PREFIX)).map(|(name, _)| name.clone());
    end.meta_removed = notes.chain(catalog.iter().map(|table| building_name(table.number))).collect();
    shared.storage.finish_checkpoint(end).await?;
    shared.set_catalog(catalog);
    tracing::info!(
        new_tables = ?diff.new_tables,
        n_new_indexes = diff.new_indexes.len(),
        n_removed_indexes = diff.removed_indexes.len(),
        checked = ?diff.recheck,
        "the schema has changed"
    );
    Ok(())
}

/// Removes what dropped indexes left in the base, a little at a time; an earlier process may have left some too.
pub(super) async fn drop_indexes(shared: Weak<Shared>) {
    let Some(alive) = shared.upgrade() else { return };
    let Ok(meta) = alive.storage.meta().await else { return };
    drop(alive);
    for (name, _) in meta {
        let Some(index) = parse_dropping(&name) else { continue };
        loop {
            let Some(alive) = shared.upgrade() else { return };
            let writes = BaseWrites { index_dropped: Some((index, DROPPED_AT_ONCE)), ..BaseWrites::default() };
            match alive.storage.write_base(writes).await {
                Ok(0) => {
                    let end = Checkpoint { meta_removed: vec![name.clone()], ..Checkpoint::default() };
                    if let Err(error) = alive.storage.finish_checkpoint(end).await {
                        tracing::warn!(%error, "a dropped index is not noted as gone; the next start looks again");
                    }
                    break;
                }
                // Commits share the storage: they go first.
                Ok(_) => alive.ports.timer.sleep(Duration::from_millis(5)).await,
                Err(error) => {
                    tracing::warn!(%error, "a dropped index still takes space; the next start goes on with it");
                    return;
                }
            }
        }
    }
}

fn parse_dropping(name: &str) -> Option<IndexId> {
    let (table, index) = name.strip_prefix(DROPPING_PREFIX)?.split_once('/')?;
    Some(IndexId { table: TableNumber(table.parse().ok()?), index: index.parse().ok()? })
}
