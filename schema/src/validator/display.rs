//! Validators as messages print them: `v.object({a: v.optional(v.string()), b: v.float64()})`.

use std::fmt;

use crate::validator::{FieldValidator, Validator};
use crate::value::Value;

impl fmt::Display for Validator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Validator::Null => f.write_str("v.null()"),
            Validator::Float64 => f.write_str("v.float64()"),
            Validator::Int64 => f.write_str("v.int64()"),
            Validator::CommitTs => f.write_str("v.commitTs()"),
            Validator::Boolean => f.write_str("v.boolean()"),
            Validator::String => f.write_str("v.string()"),
            Validator::Bytes => f.write_str("v.bytes()"),
            Validator::Any => f.write_str("v.any()"),
            Validator::Id(table) => write!(f, "v.id({table:?})"),
            // Source: `tests/spec/data-and-functions.md` 3.2, which hides the number.
            Validator::Literal(Value::Int64(_)) => f.write_str("v.literal(<bigint>)"),
            Validator::Literal(value) => write!(f, "v.literal({value})"),
            Validator::Array(element) => write!(f, "v.array({element})"),
            Validator::Record(keys, values) => write!(f, "v.record({keys}, {values})"),
            Validator::Object(fields) => {
                f.write_str("v.object({")?;
                for (i, (name, field)) in fields.iter().enumerate() {
                    f.write_str(if i == 0 { "" } else { ", " })?;
                    write!(f, "{name}: {field}")?;
                }
                f.write_str("})")
            }
            Validator::Union(members) => {
                f.write_str("v.union(")?;
                for (i, member) in members.iter().enumerate() {
                    f.write_str(if i == 0 { "" } else { ", " })?;
                    member.fmt(f)?;
                }
                f.write_str(")")
            }
        }
    }
}

impl fmt::Display for FieldValidator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.optional { write!(f, "v.optional({})", self.validator) } else { self.validator.fmt(f) }
    }
}
