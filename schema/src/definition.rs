//! A whole schema: its tables, their validators and indexes; its rules, and the difference between two of them.
//!
//! Source: `tests/spec/data-and-functions.md` 3.1, 3.4, 3.5 and 3.6.

mod diff;
mod error;
mod json;
mod rules;

pub use diff::{SchemaDiff, TableIndex};
pub use error::{SchemaError, SchemaErrorKind};
pub use rules::{FILTER_FIELDS_MAX, INDEX_FIELDS_MAX, INDEXES_MAX, VECTOR_DIMENSIONS_MAX, VECTOR_DIMENSIONS_MIN};

use std::collections::BTreeMap;

use crate::index::IndexDefinition;
use crate::name::FieldPath;
use crate::table::with_system_fields;
use crate::validator::{Finding, TableNumbers, Validator, check_document};
use crate::value::Object;

/// What a table holds and how it is indexed.
#[derive(Clone, Debug, PartialEq)]
pub struct TableDefinition {
    /// The table's name.
    pub name: String,
    /// What documents hold beside `_id` and `_creationTime`; [`Validator::Any`] when nothing is checked.
    pub document: Validator,
    /// The database indexes that queries may use, beside `by_id` and `by_creation_time`.
    pub indexes: Vec<IndexDefinition>,
    /// Database indexes that are built but not used yet.
    pub staged_indexes: Vec<IndexDefinition>,
    /// Indexes for text search.
    pub search_indexes: Vec<SearchIndexDefinition>,
    /// Indexes for text search that are built but not used yet.
    pub staged_search_indexes: Vec<SearchIndexDefinition>,
    /// Indexes for vector search.
    pub vector_indexes: Vec<VectorIndexDefinition>,
    /// Indexes for vector search that are built but not used yet.
    pub staged_vector_indexes: Vec<VectorIndexDefinition>,
}

/// An index for text search.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SearchIndexDefinition {
    /// The name, unique in its table.
    pub name: String,
    /// The field whose text is searched.
    pub search_field: FieldPath,
    /// The fields that a search can be restricted by.
    pub filter_fields: Vec<FieldPath>,
}

/// An index for vector search.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VectorIndexDefinition {
    /// The name, unique in its table.
    pub name: String,
    /// The field with the vector.
    pub vector_field: FieldPath,
    /// How many numbers a vector has.
    pub dimensions: u32,
    /// The fields that a search can be restricted by.
    pub filter_fields: Vec<FieldPath>,
}

impl TableDefinition {
    /// A table without indexes of its own.
    #[must_use]
    pub fn new(name: &str, document: Validator) -> TableDefinition {
        TableDefinition {
            name: name.to_owned(),
            document,
            indexes: Vec::new(),
            staged_indexes: Vec::new(),
            search_indexes: Vec::new(),
            staged_search_indexes: Vec::new(),
            vector_indexes: Vec::new(),
            staged_vector_indexes: Vec::new(),
        }
    }

    /// Adds a database index. The rules of indexes are checked by [`Schema::check`].
    ///
    /// # Panics
    ///
    /// When a field is no field path: fields are named in the code of an application.
    #[must_use]
    #[track_caller]
    pub fn with_index(mut self, name: &str, fields: &[&str]) -> TableDefinition {
        let parse = |field: &&str| match FieldPath::parse(field) {
            Ok(path) => path,
            Err(error) => panic!("the index `{}.{name}` has a field that cannot be: {error}", self.name),
        };
        let fields = fields.iter().map(parse).collect();
        self.indexes.push(IndexDefinition { name: name.to_owned(), fields });
        self
    }

    /// The database index of a name, if queries may use it; not `by_id` and `by_creation_time`.
    #[must_use]
    pub fn index(&self, name: &str) -> Option<&IndexDefinition> {
        self.indexes.iter().find(|index| index.name == name)
    }

    /// What a whole document is: `_id` and `_creationTime` as well.
    #[must_use]
    pub fn document_with_system_fields(&self) -> Validator {
        with_system_fields(self.document.clone(), &self.name)
    }

    /// Checks a document, whose system fields are left out of it.
    pub fn check_document(&self, document: &Object, tables: &dyn TableNumbers) -> Result<(), Finding> {
        check_document(&self.document, document, tables)
    }
}

/// All tables of an application.
#[derive(Clone, Debug, PartialEq)]
pub struct Schema {
    /// The tables by name. Others may exist, and are not checked.
    pub tables: BTreeMap<String, TableDefinition>,
    /// Whether documents are checked. Indexes exist either way.
    pub validation: bool,
}

impl Schema {
    /// A schema that checks documents.
    #[must_use]
    pub fn new(tables: impl IntoIterator<Item = TableDefinition>) -> Schema {
        let tables = tables.into_iter().map(|table| (table.name.clone(), table)).collect();
        Schema { tables, validation: true }
    }

    /// Checks a document of a table, as far as the schema says anything of it.
    pub fn check_document(&self, table: &str, document: &Object, tables: &dyn TableNumbers) -> Result<(), Finding> {
        match self.tables.get(table) {
            Some(table) if self.validation => table.check_document(document, tables),
            _ => Ok(()),
        }
    }

    /// The tables in whose validators a table is named with `v.id`, other than itself: it cannot be deleted.
    #[must_use]
    pub fn tables_naming(&self, table: &str) -> Vec<&str> {
        let names = |other: &TableDefinition| {
            let mut named = Vec::new();
            other.document.collect_tables(&mut named);
            other.name != table && named.contains(&table)
        };
        self.tables.values().filter(|other| names(other)).map(|other| other.name.as_str()).collect()
    }
}

impl Default for Schema {
    /// No tables at all.
    fn default() -> Schema {
        Schema::new([])
    }
}
