//! What a field, an argument or a result may hold, and the finding when a value does not fit.
//!
//! Source: `tests/spec/data-and-functions.md` 3.2 and 3.3.

mod check;
mod display;
mod json;
mod subset;

pub use check::{CheckError, Finding, FindingKind, TableNumbers};
pub use json::{UnsupportedLiteral, ValidatorError, ValidatorErrorKind};

pub(crate) use check::check_document;
pub(crate) use json::{optional_tree, to_tree};

use std::collections::BTreeMap;

use crate::name::FieldPath;
use crate::value::Value;

/// What a value may be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Validator {
    /// `v.null()`
    Null,
    /// `v.float64()`, `v.number()`
    Float64,
    /// `v.int64()`, `v.bigint()`
    Int64,
    /// `v.commitTs()`: accepts what `Int64` does.
    CommitTs,
    /// `v.boolean()`
    Boolean,
    /// `v.string()`
    String,
    /// `v.bytes()`
    Bytes,
    /// `v.any()`
    Any,
    /// `v.id(table)`: the id of a document of the table.
    Id(String),
    /// `v.literal(value)`: a string, a float, an Int64 or a boolean.
    Literal(Value),
    /// `v.array(element)`
    Array(Box<Validator>),
    /// `v.record(keys, values)`
    Record(Box<Validator>, Box<Validator>),
    /// `v.object({ .. })`
    Object(BTreeMap<String, FieldValidator>),
    /// `v.union(..)`
    Union(Vec<Validator>),
}

/// What a field of an object may hold, and whether it may be missing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FieldValidator {
    /// What the field may hold.
    pub validator: Validator,
    /// Whether it may be missing. Null is not missing.
    pub optional: bool,
}

impl FieldValidator {
    /// A field that has to be there.
    #[must_use]
    pub fn required(validator: Validator) -> FieldValidator {
        FieldValidator { validator, optional: false }
    }

    /// A field that may be missing.
    #[must_use]
    pub fn optional(validator: Validator) -> FieldValidator {
        FieldValidator { validator, optional: true }
    }
}

impl Validator {
    /// `v.array(element)`
    #[must_use]
    pub fn array(element: Validator) -> Validator {
        Validator::Array(Box::new(element))
    }

    /// `v.record(keys, values)`
    #[must_use]
    pub fn record(keys: Validator, values: Validator) -> Validator {
        Validator::Record(Box::new(keys), Box::new(values))
    }

    /// `v.object({ .. })`
    #[must_use]
    pub fn object<N: Into<String>>(fields: impl IntoIterator<Item = (N, FieldValidator)>) -> Validator {
        Validator::Object(fields.into_iter().map(|(name, field)| (name.into(), field)).collect())
    }

    /// `v.nullable(validator)`: a union with null.
    #[must_use]
    pub fn nullable(validator: Validator) -> Validator {
        Validator::Union(vec![validator, Validator::Null])
    }

    /// `v.literal(text)`
    #[must_use]
    pub fn literal(text: &str) -> Validator {
        Validator::Literal(Value::String(text.to_owned()))
    }

    /// Whether the validator, or one within it, is for ids.
    ///
    /// Decoding straight into a Rust type cannot see which table an id belongs to. Where this is true, arguments are
    /// checked with [`Validator::check_json`] as well.
    #[must_use]
    pub fn has_ids(&self) -> bool {
        match self {
            Validator::Id(_) => true,
            Validator::Array(element) => element.has_ids(),
            Validator::Record(keys, values) => keys.has_ids() || values.has_ids(),
            Validator::Object(fields) => fields.values().any(|field| field.validator.has_ids()),
            Validator::Union(members) => members.iter().any(Validator::has_ids),
            _ => false,
        }
    }

    /// Adds the names of all tables that the validator names with `v.id`.
    pub(crate) fn collect_tables<'a>(&'a self, tables: &mut Vec<&'a str>) {
        match self {
            Validator::Id(table) => tables.push(table),
            Validator::Array(element) => element.collect_tables(tables),
            Validator::Record(keys, values) => {
                keys.collect_tables(tables);
                values.collect_tables(tables);
            }
            Validator::Object(fields) => fields.values().for_each(|field| field.validator.collect_tables(tables)),
            Validator::Union(members) => members.iter().for_each(|member| member.collect_tables(tables)),
            _ => {}
        }
    }

    /// Whether some value that fits has a field at the path, and what `is_possible` says of what may be there.
    pub(crate) fn any_at(&self, parts: &[String], is_possible: &dyn Fn(&Validator) -> bool) -> bool {
        match (self, parts.split_first()) {
            (Validator::Union(members), _) => members.iter().any(|member| member.any_at(parts, is_possible)),
            (Validator::Any, _) => true,
            (_, None) => is_possible(self),
            (Validator::Object(fields), Some((first, rest))) => {
                fields.get(first).is_some_and(|field| field.validator.any_at(rest, is_possible))
            }
            // A record's keys are any strings, or ids, which are field names too.
            (Validator::Record(_, values), Some((_, rest))) => values.any_at(rest, is_possible),
            _ => false,
        }
    }

    /// Whether some value that fits can have a field at the path.
    pub(crate) fn can_have(&self, path: &FieldPath) -> bool {
        self.any_at(path.parts(), &|_| true)
    }
}
