//! The vocabulary of Syncline: what values are, how they are named, ordered and written, and what tables hold.
//!
//! Nothing here waits, stores or sends; the crate knows neither functions nor the protocol. In the order to read it:
//! [`Value`] and its JSON, [`DocumentId`], [`FieldType`] and [`Table`], [`Validator`], index keys ([`write_key`]),
//! ranges of them ([`KeyRange`]), and a whole [`Schema`].
//!
//! Source of all rules: `tests/spec/data-and-functions.md`, named by section where they are applied.

mod definition;
#[doc(hidden)]
pub mod field;
mod field_type;
mod filter;
mod id;
mod index;
mod json;
mod name;
mod path;
mod range;
mod table;
mod text;
mod timestamp;
mod validator;
mod value;

/// For the code that derive macros write.
#[doc(hidden)]
pub use serde;

pub use definition::{
    FILTER_FIELDS_MAX, INDEX_FIELDS_MAX, INDEXES_MAX, Schema, SchemaDiff, SchemaError, SchemaErrorKind,
    SearchIndexDefinition, TableDefinition, TableIndex, VECTOR_DIMENSIONS_MAX, VECTOR_DIMENSIONS_MIN,
    VectorIndexDefinition,
};
pub use field_type::{
    Bytes, DecodeError, FieldType, Nullable, decode_json, decode_value, encode_json, encode_json_behind,
};
pub use filter::{Arithmetic, Comparison, EvalError, Expression, ExpressionError, Operand};
pub use id::{
    DocumentId, ID_TEXT_LEN_MAX, ID_TEXT_LEN_MIN, IdError, IdErrorKind, IdText, InternalId, TableNumber, normalize_id,
};
pub use index::{
    BY_CREATION_TIME, BY_ID, IndexDefinition, IndexedFields, KeyOut, by_creation_time_key, by_id_key, describe_key,
    document_keys, value_key_len, write_id_key, write_key,
};
pub use json::{
    ARRAY_LEN_MAX, Format, JsonError, JsonErrorKind, NESTING_MAX, OBJECT_LEN_MAX, Tag, VALUE_SIZE_MAX,
    object_from_json, object_to_json,
};
pub use name::{
    CREATION_TIME_FIELD, FIELD_NAME_LEN_MAX, FieldPath, ID_FIELD, IDENTIFIER_LEN_MAX, NameError, check_field_name,
    check_identifier, is_system_field,
};
pub use path::{FunctionPath, PathError};
pub use range::{Bound, KeyBytes, KeyRange, RangeError, RangeOp, RangePart, RangeSet, compile_range, first_behind};
pub use table::{Doc, Id, Table};
pub use text::StoredText;
pub use timestamp::Timestamp;
pub use validator::{
    CheckError, FieldValidator, Finding, FindingKind, TableNumbers, UnsupportedLiteral, Validator, ValidatorError,
    ValidatorErrorKind,
};
pub use value::{Object, Value, ValueKind, object_at};
