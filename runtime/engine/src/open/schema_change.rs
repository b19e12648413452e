//! From the stored schema to the declared one: numbers for new tables, checks of documents, new indexes.
//!
//! Everything is prepared beside the base, which is complete and which nobody changes meanwhile; then one step of the
//! storage makes schema and indexes current. A start that is broken off goes on where it was.

mod new_entries;
mod read_through;

use std::sync::{Arc, Weak};
use std::time::Duration;

use serde_json::json;
use syncline_schema::{
    DocumentId, IndexDefinition, InternalId, Schema, SchemaDiff, TableDefinition, TableNumber, Timestamp,
};

use super::{SCHEMA, new_table, schema_text};
use crate::catalog::{Catalog, Index, Table, document_validator};
use crate::commit::IndexId;
use crate::engine::Shared;
use crate::error::OpenError;
use crate::storage::{BaseWrites, Checkpoint, Meta, StorageError};

/// Index entries dropped in one transaction of the storage.
const DROPPED_AT_ONCE: usize = 1_024;

const BUILDING_PREFIX: &str = "building/";
const DROPPING_PREFIX: &str = "dropping/";

/// A table that has to be read through.
struct Work<'a> {
    table: Arc<Table>,
    check: Option<&'a TableDefinition>,
    build: Vec<Index>,
    /// What an earlier start left.
    left: Left,
}

/// What an earlier start left of the indexes that are to be built.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Left {
    /// Nothing.
    Nothing,
    /// All entries of the documents up to one; `None`: perhaps some entries.
    UpTo(Option<InternalId>),
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
        let left = resume(shared, table, &build, note).await?;
        let check = declared.tables.get(&*table.name).filter(|_| diff.recheck.iter().any(|name| **name == *table.name));
        if check.is_some() || !build.is_empty() {
            works.push(Work { table: table.clone(), check, build, left });
        }
    }
    for work in &works {
        read_through::read_through(shared, &catalog, work).await?;
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

/// The note of how far the building of a table's indexes is: durable before their first entry is, so that none is ever
/// taken for an entry of something else.
///
/// It holds for the state of the base that it was made in. A server without these indexes may run in between: what that
/// one writes has no entries in them.
fn note(shared: &Shared, work: &Work<'_>, after: Option<InternalId>) -> Checkpoint {
    let table = work.table.number;
    let after = after.map(|internal| DocumentId { table, internal }.to_string());
    let note = json!({"indexes": describe(&work.build), "base": shared.base().0, "after": after}).to_string();
    Checkpoint { meta: vec![(building_name(table), note)], ..Checkpoint::default() }
}

/// Where an earlier start got to with the same indexes over the same documents. What it left of others is removed.
async fn resume(shared: &Shared, table: &Table, build: &[Index], note: Option<&str>) -> Result<Left, StorageError> {
    let Some(note) = note else { return Ok(Left::Nothing) };
    let corrupt = || StorageError::Corrupt { what: format!("the note `{}`: {note}", building_name(table.number)) };
    let found: serde_json::Value = serde_json::from_str(note).map_err(|_| corrupt())?;
    if found["indexes"] == describe(build) && found["base"] == shared.base().0 {
        let after = match &found["after"] {
            serde_json::Value::Null => None,
            after => Some(after.as_str().and_then(|text| DocumentId::parse(text).ok()).ok_or_else(corrupt)?.internal),
        };
        return Ok(Left::UpTo(after));
    }
    for index in found["indexes"].as_array().ok_or_else(corrupt)? {
        let number = index["number"].as_u64().and_then(|number| u32::try_from(number).ok()).ok_or_else(corrupt)?;
        drop_entries(shared, IndexId { table: table.number, index: number }).await?;
    }
    Ok(Left::Nothing)
}

async fn drop_entries(shared: &Shared, index: IndexId) -> Result<(), StorageError> {
    loop {
        let writes = BaseWrites { index_dropped: Some((index, DROPPED_AT_ONCE)), ..BaseWrites::default() };
        if shared.storage.write_base(writes).await? == 0 {
            return Ok(());
        }
    }
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
