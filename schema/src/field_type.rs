//! The Rust types that a field, an argument or a result may have.

mod containers;
mod scalars;

pub use containers::Nullable;
pub use scalars::Bytes;

use std::fmt;

use serde::de::Deserializer;
use serde::ser::Serializer;

use crate::field::{AsSerialize, GivenUp, Reader};
use crate::json::{
    JsonError, NESTING_MAX, VALUE_SIZE_MAX, ValueDeserializer, compact, to_json_string, write_json_behind,
};
use crate::validator::{FieldValidator, Finding, Validator};
use crate::value::Value;

/// A Rust type that a field, an argument or a result may have.
///
/// | Rust | validator | on the wire |
/// |---|---|---|
/// | `f64` | `v.number()` | a number |
/// | `i64` | `v.int64()` | `{"$integer": ...}` |
/// | `bool`, `String` | `v.boolean()`, `v.string()` | themselves |
/// | [`Bytes`] | `v.bytes()` | `{"$bytes": ...}` |
/// | `()` | `v.null()` | `null` |
/// | `Vec<T>` | `v.array(T)` | an array |
/// | `BTreeMap<String, T>` | `v.record(v.string(), T)` | an object |
/// | `Option<T>` as a field or an argument | `v.optional(T)` | missing, or what `T` is |
/// | `Option<T>` elsewhere | `v.union(T, v.null())` | null, or what `T` is |
/// | [`Nullable<T>`] | `v.union(T, v.null())` | null, or what `T` is |
/// | [`Id<T>`](crate::Id) | `v.id("table")` | a string |
/// | [`Value`] | `v.any()` | anything |
///
/// Structs and enums get it with `derive(Object)`.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be a field, an argument or a result",
    label = "not a type that clients and the database know",
    note = "numbers are `f64` (a number in JavaScript) or `i64` (a bigint in JavaScript)",
    note = "other types are `bool`, `String`, `Bytes`, `()`, `Vec<T>`, `BTreeMap<String, T>`, `Option<T>`, \
            `Nullable<T>`, `Id<T>`, `Doc<T>` and `Value`; structs and enums need `#[derive(Object)]`",
    note = "a guard is borrowed in the signature of a function: `&{Self}`"
)]
pub trait FieldType: Sized {
    /// Whether a field of this type may be missing.
    const OPTIONAL: bool = false;

    /// What the type accepts.
    fn validator() -> Validator;

    /// What a field of this type accepts.
    fn field_validator() -> FieldValidator {
        FieldValidator::required(Self::validator())
    }

    /// What a missing field of this type stands for, if it may be missing.
    fn missing() -> Option<Self> {
        None
    }

    /// Whether a field with this value is left out when it is written.
    fn is_missing(&self) -> bool {
        false
    }

    /// Reads it from JSON, straight into the type.
    ///
    /// The error of a value that does not fit says little. Whoever shows it to people parses the text again and takes
    /// the finding of [`Validator::check`], as [`decode_json`] does.
    fn decode<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error>;

    /// Reads it from a field that is there.
    fn decode_field<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::decode(deserializer)
    }

    /// Reads it from text as programs write it; what derives make of this is quicker than [`FieldType::decode`].
    #[doc(hidden)]
    fn read(reader: &mut Reader<'_>) -> Result<Self, GivenUp> {
        Self::decode(reader)
    }

    /// The same of a field that is there.
    #[doc(hidden)]
    fn read_field(reader: &mut Reader<'_>) -> Result<Self, GivenUp> {
        Self::decode_field(reader)
    }

    /// Writes it as JSON, the keys of objects in byte order.
    fn encode<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error>;

    /// Writes it as a field; called only when it is not missing.
    fn encode_field<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.encode(serializer)
    }

    /// The value that it is when it is not missing: what an index has for it.
    ///
    /// # Panics
    ///
    /// When what the type encodes to is no value.
    fn to_value(&self) -> Value {
        Value::from_json(&to_json_string(&AsSerialize(self))).expect("what a type encodes to is a value")
    }
}

/// Why a text is not a value of a Rust type.
#[derive(Clone, Debug, PartialEq)]
pub enum DecodeError {
    /// The text is no value at all.
    Json(JsonError),
    /// It is a value that does not fit the type's validator.
    Finding(Finding),
    /// It fits the validator, but the type refuses it.
    Refused {
        /// What the type says.
        detail: String,
    },
}

impl fmt::Display for DecodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            DecodeError::Json(error) => error.fmt(f),
            DecodeError::Finding(finding) => finding.fmt(f),
            DecodeError::Refused { detail } => f.write_str(detail),
        }
    }
}

impl std::error::Error for DecodeError {}

/// Reads a value of a Rust type from JSON as clients send it.
///
/// Which table an id belongs to is not checked; see [`Validator::has_ids`].
pub fn decode_json<T: FieldType>(text: &str) -> Result<T, DecodeError> {
    // The type bounds the levels that it decodes itself, but within it there may be any value; and nothing counts
    // sizes. A text that could be over a limit is parsed for that first; most are far too short.
    if text.len() > VALUE_SIZE_MAX / 5 || text.len() > 2 * NESTING_MAX && nests_beyond(text, NESTING_MAX) {
        Value::from_json(text).map_err(DecodeError::Json)?;
    }
    match decode_straight(text) {
        Ok(value) => Ok(value),
        // The slow way says exactly what is wrong. It also takes what the other one refuses without need: a field that
        // does not fit, but is replaced by a later one of the same name.
        Err(_) => decode_value(Value::from_json(text).map_err(DecodeError::Json)?),
    }
}

fn decode_straight<T: FieldType>(text: &str) -> Result<T, serde_json::Error> {
    if let Ok(value) = compact::read(text) {
        return Ok(value);
    }
    let mut deserializer = serde_json::Deserializer::from_str(text);
    let value = T::decode(&mut deserializer)?;
    deserializer.end()?;
    Ok(value)
}

/// Reads a value of a Rust type from a value.
pub fn decode_value<T: FieldType>(value: Value) -> Result<T, DecodeError> {
    T::validator().check_shape(&value).map_err(DecodeError::Finding)?;
    T::decode(ValueDeserializer::<serde_json::Error>::new(value))
        .map_err(|error| DecodeError::Refused { detail: error.to_string() })
}

/// Writes a value of a Rust type as JSON as clients read it.
pub fn encode_json<T: FieldType>(value: &T) -> String {
    to_json_string(&AsSerialize(value))
}

/// The same, behind what a text has.
pub fn encode_json_behind<T: FieldType>(text: &mut String, value: &T) {
    write_json_behind(text, &AsSerialize(value));
}

/// Whether brackets outside of strings nest deeper than the limit.
fn nests_beyond(text: &str, limit: usize) -> bool {
    let (mut depth, mut in_string, mut escaped) = (0usize, false, false);
    for byte in text.bytes() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_string => escaped = true,
            b'"' => in_string = !in_string,
            b'[' | b'{' if !in_string => {
                depth += 1;
                if depth > limit {
                    return true;
                }
            }
            b']' | b'}' if !in_string => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn brackets_are_counted_outside_of_strings_only() {
        assert!(!nests_beyond("[[]]", 2));
        assert!(nests_beyond("[[[]]]", 2));
        assert!(nests_beyond(r#"[{"a":{"b":1}}]"#, 2));
        assert!(!nests_beyond("[[],[],[],[]]", 2));
        assert!(!nests_beyond(r#"["[[[","\",""[[["]"#, 1));
    }
}
