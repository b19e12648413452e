//! Whether everything that fits one validator fits another.

use std::collections::BTreeMap;

use crate::validator::{FieldValidator, Validator};
use crate::value::Value;

impl Validator {
    /// Whether documents that fit this validator need not be checked again for `other`.
    ///
    /// A `true` can be relied on. A `false` may only mean that it is not obvious.
    #[must_use]
    pub fn is_subset_of(&self, other: &Validator) -> bool {
        match (self, other) {
            (_, Validator::Any) => true,
            (Validator::Union(members), _) => members.iter().all(|member| member.is_subset_of(other)),
            (Validator::Boolean, Validator::Union(members)) => {
                let has = |literal: bool| members.iter().any(|m| Validator::Literal(literal.into()).is_subset_of(m));
                members.iter().any(|member| self.is_subset_of(member)) || has(true) && has(false)
            }
            (_, Validator::Union(members)) => members.iter().any(|member| self.is_subset_of(member)),
            (Validator::Int64 | Validator::CommitTs, Validator::Int64 | Validator::CommitTs)
            | (Validator::Id(_), Validator::String) => true,
            (Validator::Literal(literal), _) => literal_is_subset(literal, other),
            (Validator::Array(a), Validator::Array(b)) => a.is_subset_of(b),
            (Validator::Object(a), Validator::Object(b)) => fields_are_subset(a, b),
            // Records are compared for equality only: `tests/spec/data-and-functions.md` 3.6 by its vectors.
            _ => self == other,
        }
    }
}

fn literal_is_subset(literal: &Value, other: &Validator) -> bool {
    match (literal, other) {
        (Value::String(_), Validator::String)
        | (Value::Float64(_), Validator::Float64)
        | (Value::Int64(_), Validator::Int64 | Validator::CommitTs)
        | (Value::Boolean(_), Validator::Boolean) => true,
        (literal, Validator::Literal(other)) => literal == other,
        _ => false,
    }
}

fn fields_are_subset(a: &BTreeMap<String, FieldValidator>, b: &BTreeMap<String, FieldValidator>) -> bool {
    let kept = a.iter().all(|(name, field)| {
        b.get(name)
            .is_some_and(|other| (other.optional || !field.optional) && field.validator.is_subset_of(&other.validator))
    });
    kept && b.iter().all(|(name, field)| field.optional || a.contains_key(name))
}
