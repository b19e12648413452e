//! What changes from one schema to the next.

use std::collections::{BTreeMap, BTreeSet};

use crate::definition::{Schema, TableDefinition};
use crate::index::IndexDefinition;
use crate::validator::Validator;

/// A database index and its table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TableIndex {
    /// The table's name.
    pub table: String,
    /// The index.
    pub index: IndexDefinition,
}

/// What is to be done when one schema takes the place of another. Only database indexes are told.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SchemaDiff {
    /// Tables that only the new schema names.
    pub new_tables: Vec<String>,
    /// Tables that only the old schema names: kept, and no longer checked.
    pub removed_tables: Vec<String>,
    /// Indexes to be built, staged ones included. One whose fields changed is removed and new.
    pub new_indexes: Vec<TableIndex>,
    /// Indexes to be dropped.
    pub removed_indexes: Vec<TableIndex>,
    /// Indexes that were staged and are now for use; they are built already.
    pub enabled_indexes: Vec<TableIndex>,
    /// Indexes that were for use and are now staged.
    pub disabled_indexes: Vec<TableIndex>,
    /// Tables whose documents have to be checked, because those of the old schema need not fit.
    pub recheck: Vec<String>,
}

impl SchemaDiff {
    /// Whether nothing is to be done.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == SchemaDiff::default()
    }
}

impl Schema {
    /// What changes from the old schema to the new one.
    #[must_use]
    pub fn diff(old: &Schema, new: &Schema) -> SchemaDiff {
        let mut diff = SchemaDiff::default();
        let names = |a: &Schema, b: &Schema| -> Vec<String> {
            a.tables.keys().filter(|name| !b.tables.contains_key(*name)).cloned().collect()
        };
        diff.new_tables = names(new, old);
        diff.removed_tables = names(old, new);
        let tables: BTreeSet<&String> = old.tables.keys().chain(new.tables.keys()).collect();
        for table in tables {
            let (old, new) = (old.tables.get(table), new.tables.get(table));
            diff_indexes(table, old, new, &mut diff);
        }
        diff.recheck =
            new.tables.values().filter(|table| needs_check(old, new, table)).map(|t| t.name.clone()).collect();
        diff
    }
}

fn needs_check(old: &Schema, new: &Schema, table: &TableDefinition) -> bool {
    // A table that no schema named may have documents of any shape.
    let enforced = old.tables.get(&table.name).filter(|_| old.validation).map_or(&Validator::Any, |old| &old.document);
    new.validation && !enforced.is_subset_of(&table.document)
}

#[derive(Clone, Copy, PartialEq)]
enum State {
    Enabled,
    Staged,
}

fn indexes(table: Option<&TableDefinition>) -> BTreeMap<&str, (&IndexDefinition, State)> {
    let mut indexes = BTreeMap::new();
    if let Some(table) = table {
        indexes.extend(table.staged_indexes.iter().map(|index| (index.name.as_str(), (index, State::Staged))));
        indexes.extend(table.indexes.iter().map(|index| (index.name.as_str(), (index, State::Enabled))));
    }
    indexes
}

fn diff_indexes(table: &str, old: Option<&TableDefinition>, new: Option<&TableDefinition>, diff: &mut SchemaDiff) {
    let (old, new) = (indexes(old), indexes(new));
    let entry = |index: &IndexDefinition| TableIndex { table: table.to_owned(), index: index.clone() };
    for (name, (index, state)) in &new {
        match old.get(name).filter(|(other, _)| other == index) {
            None => diff.new_indexes.push(entry(index)),
            Some((_, other)) if other == state => {}
            Some(_) if *state == State::Enabled => diff.enabled_indexes.push(entry(index)),
            Some(_) => diff.disabled_indexes.push(entry(index)),
        }
    }
    let is_kept = |name: &&str, index: &IndexDefinition| new.get(name).is_some_and(|(other, _)| *other == index);
    diff.removed_indexes
        .extend(old.iter().filter(|(name, (index, _))| !is_kept(name, index)).map(|(_, (index, _))| entry(index)));
}
