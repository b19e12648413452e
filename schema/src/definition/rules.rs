//! The rules of a schema that go beyond its form.

use std::collections::BTreeSet;

use crate::definition::{Schema, SchemaError, SchemaErrorKind, TableDefinition, VectorIndexDefinition};
use crate::index::{BY_CREATION_TIME, BY_ID, IndexDefinition};
use crate::name::{CREATION_TIME_FIELD, FieldPath, ID_FIELD, check_identifier};
use crate::validator::Validator;
use crate::value::print;

/// Most fields of an index. Source: `tests/spec/data-and-functions.md` 3.5, as for the other limits here.
pub const INDEX_FIELDS_MAX: usize = 16;

/// Most indexes of a table, of all kinds together.
pub const INDEXES_MAX: usize = 64;

/// Most filter fields of an index for text or vector search.
pub const FILTER_FIELDS_MAX: usize = 16;

/// Fewest dimensions of a vector.
pub const VECTOR_DIMENSIONS_MIN: u32 = 2;

/// Most dimensions of a vector.
pub const VECTOR_DIMENSIONS_MAX: u32 = 4096;

impl Schema {
    /// Checks the rules of names, documents and indexes; the first that is broken is returned.
    pub fn check(&self) -> Result<(), SchemaError> {
        for table in self.tables.values() {
            TableRules { table, validation: self.validation }.check()?;
        }
        Ok(())
    }
}

struct TableRules<'a> {
    table: &'a TableDefinition,
    validation: bool,
}

impl TableRules<'_> {
    fn check(&self) -> Result<(), SchemaError> {
        let table = self.table;
        let in_table = |kind: SchemaErrorKind| kind.in_table(&table.name);
        check_identifier(&table.name).map_err(|error| in_table(SchemaErrorKind::InvalidTableName(error)))?;
        if table.name.starts_with('_') {
            return Err(in_table(SchemaErrorKind::TableNameReserved));
        }
        if !is_document(&table.document) {
            return Err(in_table(SchemaErrorKind::InvalidTopLevelType { found: print(&table.document) }));
        }
        self.check_names()?;
        self.check_database_indexes()?;
        self.check_search_indexes()?;
        self.check_vector_indexes()
    }

    fn check_names(&self) -> Result<(), SchemaError> {
        let table = self.table;
        let database = table.indexes.iter().chain(&table.staged_indexes).map(|index| &index.name);
        let search = table.search_indexes.iter().chain(&table.staged_search_indexes).map(|index| &index.name);
        let vector = table.vector_indexes.iter().chain(&table.staged_vector_indexes).map(|index| &index.name);
        let mut names = BTreeSet::new();
        let mut found = 0;
        for name in database.chain(search).chain(vector) {
            let in_index = |kind: SchemaErrorKind| kind.in_index(&table.name, name);
            check_identifier(name).map_err(|error| in_index(SchemaErrorKind::InvalidIndexName(error)))?;
            if name.starts_with('_') || name == BY_ID || name == BY_CREATION_TIME {
                return Err(in_index(SchemaErrorKind::IndexNameReserved));
            }
            if !names.insert(name) {
                return Err(in_index(SchemaErrorKind::IndexNamesNotUnique));
            }
            found += 1;
        }
        if found > INDEXES_MAX {
            return Err(SchemaErrorKind::TooManyIndexes { found, limit: INDEXES_MAX }.in_table(&table.name));
        }
        Ok(())
    }

    fn check_database_indexes(&self) -> Result<(), SchemaError> {
        let table = self.table;
        let mut seen: Vec<&IndexDefinition> = Vec::new();
        let indexes = table.indexes.iter().map(|index| (index, false));
        for (index, staged) in indexes.chain(table.staged_indexes.iter().map(|index| (index, true))) {
            let in_index = |kind: SchemaErrorKind| kind.in_index(&table.name, &index.name);
            check_fields(&index.fields, staged).map_err(in_index)?;
            self.check_possible(&index.name, &index.fields)?;
            if let Some(other) = seen.iter().find(|other| other.fields == index.fields) {
                let fields = index.fields.iter().map(FieldPath::to_string).collect();
                return Err(in_index(SchemaErrorKind::IndexNotUnique { other: other.name.clone(), fields }));
            }
            seen.push(index);
        }
        Ok(())
    }

    fn check_search_indexes(&self) -> Result<(), SchemaError> {
        let table = self.table;
        let mut seen: Vec<(&str, &FieldPath, BTreeSet<&FieldPath>)> = Vec::new();
        for index in table.search_indexes.iter().chain(&table.staged_search_indexes) {
            self.check_filter_fields(&index.name, &index.filter_fields)?;
            self.check_possible(&index.name, [&index.search_field])?;
            let filter_fields = index.filter_fields.iter().collect();
            let is_same = |(_, field, filters): &&(&str, &FieldPath, BTreeSet<&FieldPath>)| {
                **field == index.search_field && *filters == filter_fields
            };
            if let Some((other, ..)) = seen.iter().find(is_same) {
                let kind = SchemaErrorKind::SearchIndexFieldNotUnique { other: (*other).to_owned() };
                return Err(kind.in_index(&table.name, &index.name));
            }
            seen.push((&index.name, &index.search_field, filter_fields));
        }
        Ok(())
    }

    fn check_vector_indexes(&self) -> Result<(), SchemaError> {
        for index in self.table.vector_indexes.iter().chain(&self.table.staged_vector_indexes) {
            let VectorIndexDefinition { name, vector_field, dimensions, filter_fields } = index;
            if !(VECTOR_DIMENSIONS_MIN..=VECTOR_DIMENSIONS_MAX).contains(dimensions) {
                let kind = SchemaErrorKind::VectorDimensions { found: *dimensions };
                return Err(kind.in_index(&self.table.name, name));
            }
            self.check_filter_fields(name, filter_fields)?;
            self.check_possible(name, [vector_field])?;
            let is_vector = |validator: &Validator| match validator {
                Validator::Array(element) => element.any_at(&[], &|element| *element == Validator::Float64),
                _ => false,
            };
            if self.validation && !self.table.document.any_at(vector_field.parts(), &is_vector) {
                let kind = SchemaErrorKind::ImpossibleVector { field: vector_field.to_string() };
                return Err(kind.in_index(&self.table.name, name));
            }
        }
        Ok(())
    }

    fn check_filter_fields(&self, index: &str, fields: &[FieldPath]) -> Result<(), SchemaError> {
        let found = fields.len();
        if found > FILTER_FIELDS_MAX {
            let kind = SchemaErrorKind::IndexTooManyFilterFields { found, limit: FILTER_FIELDS_MAX };
            return Err(kind.in_index(&self.table.name, index));
        }
        self.check_possible(index, fields)
    }

    fn check_possible<'f>(
        &self,
        index: &str,
        fields: impl IntoIterator<Item = &'f FieldPath>,
    ) -> Result<(), SchemaError> {
        // The system fields are not in the validator, and every document has them.
        let is_possible = |field: &FieldPath| {
            field.is(ID_FIELD) || field.is(CREATION_TIME_FIELD) || self.table.document.can_have(field)
        };
        match fields.into_iter().find(|field| self.validation && !is_possible(field)) {
            Some(field) => {
                let kind = SchemaErrorKind::ImpossibleField { field: field.to_string() };
                Err(kind.in_index(&self.table.name, index))
            }
            None => Ok(()),
        }
    }
}

fn is_document(validator: &Validator) -> bool {
    let mut members = Vec::new();
    match validator {
        Validator::Any | Validator::Object(_) => return true,
        validator => members.push(validator),
    }
    while let Some(member) = members.pop() {
        match member {
            Validator::Object(_) => {}
            Validator::Union(inner) => members.extend(inner),
            _ => return false,
        }
    }
    true
}

fn check_fields(fields: &[FieldPath], staged: bool) -> Result<(), SchemaErrorKind> {
    let found = fields.len();
    if found == 0 {
        return Err(SchemaErrorKind::EmptyIndex { staged });
    }
    if found > INDEX_FIELDS_MAX {
        return Err(SchemaErrorKind::IndexTooManyFields { found, limit: INDEX_FIELDS_MAX });
    }
    let mut seen = BTreeSet::new();
    for field in fields {
        if field.is(ID_FIELD) {
            return Err(SchemaErrorKind::IndexFieldsContainId);
        }
        if field.is(CREATION_TIME_FIELD) {
            return Err(SchemaErrorKind::IndexFieldsContainCreationTime);
        }
        if field.parts()[0].starts_with('_') {
            return Err(SchemaErrorKind::IndexFieldNameReserved { field: field.to_string() });
        }
        if !seen.insert(field) {
            return Err(SchemaErrorKind::FieldsNotUniqueWithinIndex { field: field.to_string() });
        }
    }
    Ok(())
}
