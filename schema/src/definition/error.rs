//! Why a text is no schema, or a schema breaks a rule.

use std::fmt;

use crate::definition::rules::{VECTOR_DIMENSIONS_MAX, VECTOR_DIMENSIONS_MIN};
use crate::index::{BY_CREATION_TIME, BY_ID};
use crate::json::JsonError;
use crate::name::NameError;
use crate::validator::ValidatorError;

/// What is wrong with a schema, and where.
#[derive(Clone, Debug, PartialEq)]
pub struct SchemaError {
    /// The table, where it is known.
    pub table: Option<String>,
    /// The index, where one is concerned.
    pub index: Option<String>,
    /// What is wrong.
    pub kind: SchemaErrorKind,
}

/// What is wrong with a schema.
#[derive(Clone, Debug, PartialEq)]
pub enum SchemaErrorKind {
    /// The text is not JSON.
    Json(JsonError),
    /// A member is missing or of the wrong JSON type.
    Member {
        /// Its name.
        name: &'static str,
        /// What is expected there.
        expected: &'static str,
    },
    /// The validator of the documents cannot be read.
    Validator(Box<ValidatorError>),
    /// Two tables have the same name.
    TableNotUnique,
    /// The table's name is no identifier.
    InvalidTableName(NameError),
    /// The table's name starts with an underscore.
    TableNameReserved,
    /// The documents are neither any, nor an object, nor a union of objects.
    InvalidTopLevelType {
        /// The validator, as it is printed in messages.
        found: String,
    },
    /// The index's name is no identifier.
    InvalidIndexName(NameError),
    /// The index's name is one of ours.
    IndexNameReserved,
    /// Two indexes of the table have the same name.
    IndexNamesNotUnique,
    /// The index has no fields.
    EmptyIndex {
        /// Whether it is a staged one.
        staged: bool,
    },
    /// The index has too many fields.
    IndexTooManyFields {
        /// How many.
        found: usize,
        /// How many are allowed.
        limit: usize,
    },
    /// The index has a field twice.
    FieldsNotUniqueWithinIndex {
        /// The field.
        field: String,
    },
    /// The index names `_id`.
    IndexFieldsContainId,
    /// The index names `_creationTime`.
    IndexFieldsContainCreationTime,
    /// The index names another field that starts with an underscore.
    IndexFieldNameReserved {
        /// The field.
        field: String,
    },
    /// The index names a field whose path cannot be.
    InvalidIndexField {
        /// The field.
        field: String,
        /// The rule that is broken.
        error: NameError,
    },
    /// Two database indexes have the same fields.
    IndexNotUnique {
        /// The other index.
        other: String,
        /// The fields of both.
        fields: Vec<String>,
    },
    /// The table has too many indexes.
    TooManyIndexes {
        /// How many.
        found: usize,
        /// How many are allowed.
        limit: usize,
    },
    /// The index names a field that no document can have.
    ImpossibleField {
        /// The field.
        field: String,
    },
    /// A search or vector index has too many filter fields.
    IndexTooManyFilterFields {
        /// How many.
        found: usize,
        /// How many are allowed.
        limit: usize,
    },
    /// Two search indexes have the same fields.
    SearchIndexFieldNotUnique {
        /// The other index.
        other: String,
    },
    /// A vector index has too few or too many dimensions.
    VectorDimensions {
        /// How many.
        found: u32,
    },
    /// The field of a vector index cannot be an array of floats.
    ImpossibleVector {
        /// The field.
        field: String,
    },
}

impl SchemaErrorKind {
    /// The code by which clients and tools know the error.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            SchemaErrorKind::Json(_) | SchemaErrorKind::Member { .. } | SchemaErrorKind::Validator(_) => {
                "InvalidSchema"
            }
            SchemaErrorKind::TableNotUnique => "TableNamesNotUnique",
            SchemaErrorKind::InvalidTableName(_) => "InvalidTableName",
            SchemaErrorKind::TableNameReserved => "TableNameReserved",
            SchemaErrorKind::InvalidTopLevelType { .. } => "InvalidTopLevelTypeInSchemaError",
            SchemaErrorKind::InvalidIndexName(_) => "InvalidIndexName",
            SchemaErrorKind::IndexNameReserved => "IndexNameReserved",
            SchemaErrorKind::IndexNamesNotUnique => "IndexNamesNotUnique",
            SchemaErrorKind::EmptyIndex { .. } => "EmptyIndex",
            SchemaErrorKind::IndexTooManyFields { .. } => "IndexTooManyFields",
            SchemaErrorKind::FieldsNotUniqueWithinIndex { .. } => "FieldsNotUniqueWithinIndex",
            SchemaErrorKind::IndexFieldsContainId => "IndexFieldsContainId",
            SchemaErrorKind::IndexFieldsContainCreationTime => "IndexFieldsContainCreationTime",
            SchemaErrorKind::IndexFieldNameReserved { .. } => "IndexFieldNameReserved",
            SchemaErrorKind::InvalidIndexField { .. } => "InvalidIndexField",
            SchemaErrorKind::IndexNotUnique { .. } => "IndexNotUnique",
            SchemaErrorKind::TooManyIndexes { .. } => "TooManyIndexes",
            SchemaErrorKind::IndexTooManyFilterFields { .. } => "IndexTooManyFilterFields",
            SchemaErrorKind::SearchIndexFieldNotUnique { .. } => "SearchIndexFieldNotUnique",
            SchemaErrorKind::ImpossibleField { .. }
            | SchemaErrorKind::VectorDimensions { .. }
            | SchemaErrorKind::ImpossibleVector { .. } => "SchemaDefinitionError",
        }
    }

    pub(super) fn in_table(self, table: &str) -> SchemaError {
        SchemaError { table: Some(table.to_owned()), index: None, kind: self }
    }

    pub(super) fn in_index(self, table: &str, index: &str) -> SchemaError {
        SchemaError { table: Some(table.to_owned()), index: Some(index.to_owned()), kind: self }
    }

    pub(super) fn at_top(self) -> SchemaError {
        SchemaError { table: None, index: None, kind: self }
    }
}

impl fmt::Display for SchemaError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", self.kind.code())?;
        match (&self.table, &self.index) {
            (Some(table), Some(index)) => write!(f, "in the index `{table}.{index}`: ")?,
            (Some(table), None) => write!(f, "in the table `{table}`: ")?,
            (None, _) => {}
        }
        self.kind.fmt(f)
    }
}

impl fmt::Display for SchemaErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SchemaErrorKind::Json(error) => error.fmt(f),
            SchemaErrorKind::Member { name, expected } => {
                write!(f, "the member `{name}` is missing or wrong; expected {expected}")
            }
            SchemaErrorKind::Validator(error) => error.fmt(f),
            SchemaErrorKind::TableNotUnique => f.write_str("two tables have this name; rename one"),
            SchemaErrorKind::InvalidTableName(error) | SchemaErrorKind::InvalidIndexName(error) => error.fmt(f),
            SchemaErrorKind::TableNameReserved => {
                f.write_str("names that start with an underscore are kept for system tables; rename it")
            }
            SchemaErrorKind::InvalidTopLevelType { found } => {
                write!(f, "the documents are {found}; expected v.object({{...}}), v.union(...) of objects, or v.any()",)
            }
            SchemaErrorKind::IndexNameReserved => write!(
                f,
                "the names `{BY_ID}`, `{BY_CREATION_TIME}` and all that start with an underscore are reserved; rename it",
            ),
            SchemaErrorKind::IndexNamesNotUnique => f.write_str("two indexes have this name; rename one"),
            SchemaErrorKind::EmptyIndex { staged } => {
                let staged = if *staged { "staged " } else { "" };
                write!(f, "the {staged}index has no fields; name at least one")
            }
            SchemaErrorKind::IndexTooManyFields { found, limit } => {
                write!(f, "the index has {found} fields; at most {limit} are allowed")
            }
            SchemaErrorKind::FieldsNotUniqueWithinIndex { field } => {
                write!(f, "the index has the field `{field}` twice; name it once")
            }
            SchemaErrorKind::IndexFieldsContainId => {
                f.write_str("an index cannot name `_id`; `get` loads a document by its id")
            }
            SchemaErrorKind::IndexFieldsContainCreationTime => {
                f.write_str("every index ends in `_creationTime` anyway; leave it out")
            }
            SchemaErrorKind::IndexFieldNameReserved { field } => write!(
                f,
                "the field `{field}` starts with an underscore, and no document can have such a field; remove it",
            ),
            SchemaErrorKind::InvalidIndexField { field, error } => write!(f, "the field `{field}` cannot be: {error}"),
            SchemaErrorKind::IndexNotUnique { other, fields } => {
                write!(f, "the index `{other}` has the same fields, {}; remove one of the two", fields.join(", "),)
            }
            SchemaErrorKind::TooManyIndexes { found, limit } => {
                write!(f, "the table has {found} indexes; at most {limit} are allowed")
            }
            SchemaErrorKind::ImpossibleField { field } => {
                write!(
                    f,
                    "no document can have the field `{field}`; add it to the table's validator, or remove it here"
                )
            }
            SchemaErrorKind::IndexTooManyFilterFields { found, limit } => {
                write!(f, "the index has {found} filter fields; at most {limit} are allowed")
            }
            SchemaErrorKind::SearchIndexFieldNotUnique { other } => {
                write!(f, "the index `{other}` has the same search field and filter fields; remove one of the two")
            }
            SchemaErrorKind::VectorDimensions { found } => write!(
                f,
                "vectors have {found} dimensions; expected {VECTOR_DIMENSIONS_MIN} to {VECTOR_DIMENSIONS_MAX}",
            ),
            SchemaErrorKind::ImpossibleVector { field } => {
                write!(f, "the field `{field}` cannot be an array of floats; make it v.array(v.float64())")
            }
        }
    }
}

impl std::error::Error for SchemaError {}
