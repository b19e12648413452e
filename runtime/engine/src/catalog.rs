//! Which tables and indexes there are. Tables come into being while the engine runs; indexes change only at a start.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use serde_json::{Value as Json, json};
use syncline_functions::tx::DbError;
use syncline_schema::{
    BY_CREATION_TIME, BY_ID, DocumentId, FieldPath, IndexDefinition, Schema, TableNumber, TableNumbers, Timestamp,
    Validator, by_creation_time_key, document_keys,
};

use crate::commit::{DocumentKeys, IndexId};
use crate::document::Outline;
use crate::memory::{Stored, TableMemory};
use crate::storage::{BaseText, StorageError};

/// A declared index of a table.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Index {
    /// Its number in the table.
    pub number: u32,
    /// Built, but not for use.
    pub staged: bool,
    /// Its name and fields.
    pub definition: IndexDefinition,
}

/// A table.
#[derive(Debug)]
pub(crate) struct Table {
    /// Its number: for ever.
    pub number: TableNumber,
    /// Its name.
    pub name: Arc<str>,
    /// Snapshots before this do not see it; nobody but its own transaction does before it is committed.
    created: AtomicU64,
    /// What its documents must be; [`Validator::Any`] when they are not checked.
    pub document: Validator,
    /// The declared indexes, by number.
    pub indexes: Vec<Index>,
    /// The number that the next new index gets.
    pub next_index: u32,
    /// The same definitions again, as `schema` takes them.
    definitions: Vec<IndexDefinition>,
    /// Its newest part.
    pub memory: Arc<TableMemory>,
}

impl Table {
    /// A table; `memory` has its indexes.
    pub fn new(number: TableNumber, name: &str, created: Timestamp, document: Validator, indexes: Vec<Index>) -> Self {
        let next_index = indexes.last().map_or(IndexId::FIRST_DECLARED, |index| index.number + 1);
        Table {
            number,
            name: name.into(),
            created: AtomicU64::new(created.0),
            document,
            next_index,
            definitions: indexes.iter().map(|index| index.definition.clone()).collect(),
            memory: Arc::new(TableMemory::new(index_numbers(&indexes), true)),
            indexes,
        }
    }

    /// A table whose documents and entries are all in the base, and none in memory.
    pub fn over_base(
        number: TableNumber,
        name: &str,
        document: Validator,
        indexes: Vec<Index>,
        next_index: u32,
    ) -> Self {
        let memory = Arc::new(TableMemory::new(index_numbers(&indexes), false));
        Table { next_index, memory, ..Table::new(number, name, Timestamp::ZERO, document, indexes) }
    }

    /// A table that a transaction makes: nobody else sees it until [`Table::set_created`].
    pub fn new_in_transaction(number: TableNumber, name: &str) -> Self {
        Table::new(number, name, Timestamp(u64::MAX), Validator::Any, Vec::new())
    }

    /// When it came into being.
    pub fn created(&self) -> Timestamp {
        Timestamp(self.created.load(Ordering::Acquire))
    }

    /// The transaction that made it has committed.
    pub fn set_created(&self, ts: Timestamp) {
        self.created.store(ts.0, Ordering::Release);
    }

    /// The number of an index by name, if queries may use it, and its fields.
    pub fn index(&self, name: &str) -> Result<(u32, &[FieldPath]), DbError> {
        match name {
            BY_CREATION_TIME => return Ok((IndexId::BY_CREATION_TIME, &[])),
            BY_ID => return Ok((IndexId::BY_ID, &[])),
            _ => {}
        }
        match self.indexes.iter().find(|index| index.definition.name == name) {
            Some(index) if !index.staged => Ok((index.number, &index.definition.fields)),
            Some(_) => Err(DbError::refused(
                "IndexNotFoundError",
                format!(
                    "IndexNotFoundError: the index `{}.{name}` is staged: it is built, but not for use yet. \
                     List it as a normal index to enable it.",
                    self.name
                ),
            )),
            None => {
                let names: Vec<&str> = self.indexes.iter().map(|index| index.definition.name.as_str()).collect();
                Err(index_not_found(&self.name, name, &names))
            }
        }
    }

    /// The name of an index by its number, for messages.
    pub fn index_name(&self, number: u32) -> &str {
        let declared = self.indexes.iter().find(|index| index.number == number);
        match (number, declared) {
            (_, Some(index)) => &index.definition.name,
            (IndexId::BY_ID, None) => BY_ID,
            (_, None) => BY_CREATION_TIME,
        }
    }

    /// How many fields the keys of an index begin with.
    pub fn n_fields(&self, number: u32) -> usize {
        let declared = self.indexes.iter().find(|index| index.number == number);
        declared.map_or(0, |index| index.definition.fields.len())
    }

    /// The keys of a document of this table.
    pub fn keys(&self, json: &str, creation_time: f64, id: &DocumentId) -> Result<DocumentKeys, StorageError> {
        let by_creation_time: Arc<[u8]> = by_creation_time_key(creation_time, id).into();
        let first = std::iter::once((IndexId::BY_CREATION_TIME, by_creation_time));
        if self.indexes.is_empty() {
            return Ok(first.collect());
        }
        let keys = document_keys(json, &self.definitions, creation_time, id)
            .map_err(|error| StorageError::Corrupt { what: format!("document {id}: {error}") })?;
        let declared = self.indexes.iter().zip(keys).map(|(index, key)| (index.number, key.into()));
        Ok(first.chain(declared).collect())
    }

    /// Makes sure that a version's keys are known.
    pub fn fill_keys(&self, id: &DocumentId, stored: &mut Stored) -> Result<DocumentKeys, StorageError> {
        if let Some(keys) = &stored.keys {
            return Ok(keys.clone());
        }
        let keys = self.keys(&stored.json, stored.creation_time, id)?;
        Ok(stored.keys.insert(keys).clone())
    }

    /// Whether a field at the top of documents is in an index, whole or in part.
    pub fn is_indexed(&self, field: &str) -> bool {
        self.definitions.iter().flat_map(|index| &index.fields).any(|path| path.parts()[0] == field)
    }

    /// The text under which the storage keeps it: [`Table::meta_name`].
    pub fn to_meta(&self) -> String {
        let index = |index: &Index| {
            let fields: Vec<String> = index.definition.fields.iter().map(FieldPath::to_string).collect();
            json!({"number": index.number, "name": index.definition.name, "fields": fields, "staged": index.staged})
        };
        let indexes: Vec<Json> = self.indexes.iter().map(index).collect();
        json!({"name": &*self.name, "indexes": indexes, "nextIndex": self.next_index}).to_string()
    }

    /// The name of its text in the storage.
    pub fn meta_name(number: TableNumber) -> String {
        format!("{META_PREFIX}{number}")
    }

    /// Reads what [`Table::to_meta`] wrote, under the schema that was stored with it.
    pub fn from_meta(name: &str, text: &str, schema: &Schema) -> Result<Option<Table>, StorageError> {
        let Some(number) = name.strip_prefix(META_PREFIX) else { return Ok(None) };
        let table = parse_table(number, text, schema);
        table.map(Some).ok_or_else(|| StorageError::Corrupt { what: format!("the description `{name}`: {text}") })
    }
}

const META_PREFIX: &str = "table/";

fn index_numbers(indexes: &[Index]) -> impl Iterator<Item = u32> + use<'_> {
    std::iter::once(IndexId::BY_CREATION_TIME).chain(indexes.iter().map(|index| index.number))
}

fn parse_table(number: &str, text: &str, schema: &Schema) -> Option<Table> {
    let number = TableNumber(number.parse().ok()?);
    let text: Json = serde_json::from_str(text).ok()?;
    let name = text.get("name")?.as_str()?;
    let mut indexes = Vec::new();
    for index in text.get("indexes")?.as_array()? {
        let fields = index.get("fields")?.as_array()?.iter();
        let fields: Option<Vec<FieldPath>> = fields.map(|field| FieldPath::parse(field.as_str()?).ok()).collect();
        indexes.push(Index {
            number: u32::try_from(index.get("number")?.as_u64()?).ok()?,
            staged: index.get("staged")?.as_bool()?,
            definition: IndexDefinition { name: index.get("name")?.as_str()?.to_owned(), fields: fields? },
        });
    }
    let next_index = u32::try_from(text.get("nextIndex")?.as_u64()?).ok()?;
    Some(Table::over_base(number, name, document_validator(schema, name), indexes, next_index))
}

/// What documents of a table must be under a schema.
pub(crate) fn document_validator(schema: &Schema, table: &str) -> Validator {
    match schema.tables.get(table) {
        Some(definition) if schema.validation => definition.document.clone(),
        _ => Validator::Any,
    }
}

/// The refusal for an index that a table does not have.
pub(crate) fn index_not_found(table: &str, index: &str, declared: &[&str]) -> DbError {
    let mut names = vec![BY_ID, BY_CREATION_TIME];
    names.extend(declared);
    DbError::refused(
        "IndexNotFoundError",
        format!("IndexNotFoundError: table `{table}` has no index `{index}`; its indexes are: {}.", names.join(", ")),
    )
}

/// A document as the base holds it.
pub(crate) fn stored_from_base(text: BaseText) -> Result<Stored, StorageError> {
    let Outline { creation_time, head_len, size } = outline_from_base(&text)?;
    Ok(Stored { creation_time, json: text.into_stored(), size, head_len, keys: None })
}

/// What is kept beside a document as the base holds it.
pub(crate) fn outline_from_base(text: &BaseText) -> Result<Outline, StorageError> {
    let begin = || text.get(..80).unwrap_or(text);
    text.outline().ok_or_else(|| StorageError::Corrupt { what: format!("a document begins {}", begin()) })
}

/// All tables, at some moment. A new one takes its place when a table comes into being.
#[derive(Clone, Debug, Default)]
pub(crate) struct Catalog {
    by_name: BTreeMap<Arc<str>, Arc<Table>>,
    by_number: BTreeMap<TableNumber, Arc<Table>>,
}

impl Catalog {
    pub fn insert(&mut self, table: Arc<Table>) {
        self.by_name.insert(table.name.clone(), table.clone());
        self.by_number.insert(table.number, table);
    }

    pub fn remove(&mut self, number: TableNumber) {
        if let Some(table) = self.by_number.remove(&number) {
            self.by_name.remove(&table.name);
        }
    }

    /// A table by name, as a snapshot sees it.
    pub fn named(&self, name: &str, snapshot: Timestamp) -> Option<&Arc<Table>> {
        self.by_name.get(name).filter(|table| table.created() <= snapshot)
    }

    /// A table by number, as a snapshot sees it.
    pub fn numbered(&self, number: TableNumber, snapshot: Timestamp) -> Option<&Arc<Table>> {
        self.by_number.get(&number).filter(|table| table.created() <= snapshot)
    }

    /// All, by number.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<Table>> {
        self.by_number.values()
    }

    pub fn len(&self) -> usize {
        self.by_number.len()
    }

    /// The number that the next new table gets.
    pub fn next_number(&self) -> TableNumber {
        self.by_number.last_key_value().map_or(TableNumber::FIRST_USER, |(last, _)| TableNumber(last.0 + 1))
    }
}

/// The two public tables of the system, which `v.id` may name.
const SYSTEM_TABLES: [(&str, TableNumber); 2] =
    [("_storage", TableNumber::STORAGE), ("_scheduled_functions", TableNumber::SCHEDULED_FUNCTIONS)];

impl TableNumbers for Catalog {
    fn number(&self, name: &str) -> Option<TableNumber> {
        let system = SYSTEM_TABLES.iter().find(|(system, _)| *system == name).map(|(_, number)| *number);
        system.or_else(|| self.by_name.get(name).map(|table| table.number))
    }

    fn name(&self, number: TableNumber) -> Option<String> {
        let system = SYSTEM_TABLES.iter().find(|(_, system)| *system == number).map(|(name, _)| (*name).to_owned());
        system.or_else(|| self.by_number.get(&number).map(|table| table.name.to_string()))
    }
}
