//! The Rust types that a field, an argument or a result may have.

use std::collections::BTreeMap;
use std::fmt;
use std::marker::PhantomData;

use serde::de::{DeserializeSeed as _, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};
use serde::ser::{SerializeMap as _, SerializeSeq as _, Serializer};

use crate::field::{AsSerialize, Seed};
use crate::json::{
    ARRAY_LEN_MAX, Format, Formatted, JsonError, JsonErrorKind, KeyText, NESTING_MAX, OBJECT_LEN_MAX, Tag,
    VALUE_SIZE_MAX, ValueDeserializer, ValueSeed, array_tail, encode_bytes, encode_f64, encode_i64, tag_payload,
    to_json_string,
};
use crate::name::check_field_name;
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
            `Nullable<T>`, `Id<T>`, `Doc<T>` and `Value`; structs and enums need `#[derive(Object)]`"
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

    /// Writes it as JSON, the keys of objects in byte order.
    fn encode<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error>;

    /// Writes it as a field; called only when it is not missing.
    fn encode_field<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.encode(serializer)
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

impl FieldType for bool {
    fn validator() -> Validator {
        Validator::Boolean
    }

    fn decode<'de, D: Deserializer<'de>>(deserializer: D) -> Result<bool, D::Error> {
        serde::Deserialize::deserialize(deserializer)
    }

    fn encode<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bool(*self)
    }
}

impl FieldType for String {
    fn validator() -> Validator {
        Validator::String
    }

    fn decode<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
        serde::Deserialize::deserialize(deserializer)
    }

    fn encode<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self)
    }
}

impl FieldType for () {
    fn validator() -> Validator {
        Validator::Null
    }

    fn decode<'de, D: Deserializer<'de>>(deserializer: D) -> Result<(), D::Error> {
        serde::Deserialize::deserialize(deserializer)
    }

    fn encode<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_unit()
    }
}

impl FieldType for f64 {
    fn validator() -> Validator {
        Validator::Float64
    }

    fn decode<'de, D: Deserializer<'de>>(deserializer: D) -> Result<f64, D::Error> {
        struct FloatVisitor;
        impl<'de> Visitor<'de> for FloatVisitor {
            type Value = f64;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a number")
            }

            fn visit_f64<E>(self, value: f64) -> Result<f64, E> {
                Ok(value)
            }

            fn visit_u64<E>(self, value: u64) -> Result<f64, E> {
                Ok(value as f64)
            }

            fn visit_i64<E>(self, value: i64) -> Result<f64, E> {
                Ok(value as f64)
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<f64, A::Error> {
                match tag_payload(Tag::Float, map)? {
                    Value::Float64(value) => Ok(value),
                    other => Err(A::Error::custom(format_args!("found {}, expected Float64", other.kind()))),
                }
            }
        }
        deserializer.deserialize_any(FloatVisitor)
    }

    fn encode<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        encode_f64(*self, serializer)
    }
}

/// Reads the object of a tag.
struct TagVisitor(Tag);

impl<'de> Visitor<'de> for TagVisitor {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "an object with the key `{}`", self.0)
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Value, A::Error> {
        tag_payload(self.0, map)
    }
}

impl FieldType for i64 {
    fn validator() -> Validator {
        Validator::Int64
    }

    fn decode<'de, D: Deserializer<'de>>(deserializer: D) -> Result<i64, D::Error> {
        match deserializer.deserialize_map(TagVisitor(Tag::Integer))? {
            Value::Int64(value) => Ok(value),
            other => Err(D::Error::custom(format_args!("found {}, expected Int64", other.kind()))),
        }
    }

    fn encode<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        encode_i64(*self, serializer)
    }
}

/// Raw bytes as a field, an argument or a result.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Bytes(pub Vec<u8>);

impl FieldType for Bytes {
    fn validator() -> Validator {
        Validator::Bytes
    }

    fn decode<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Bytes, D::Error> {
        match deserializer.deserialize_map(TagVisitor(Tag::Bytes))? {
            Value::Bytes(bytes) => Ok(Bytes(bytes)),
            other => Err(D::Error::custom(format_args!("found {}, expected Bytes", other.kind()))),
        }
    }

    fn encode<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        encode_bytes(&self.0, serializer)
    }
}

impl<T: FieldType> FieldType for Vec<T> {
    fn validator() -> Validator {
        Validator::array(T::validator())
    }

    fn decode<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<T>, D::Error> {
        struct VecVisitor<T>(PhantomData<T>);
        impl<'de, T: FieldType> Visitor<'de> for VecVisitor<T> {
            type Value = Vec<T>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an array")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Vec<T>, A::Error> {
                let mut items = Vec::new();
                while items.len() < ARRAY_LEN_MAX {
                    match seq.next_element_seed(Seed::<T>::new())? {
                        Some(item) => items.push(item),
                        None => return Ok(items),
                    }
                }
                array_tail(seq)?.map_err(A::Error::custom)?;
                Ok(items)
            }
        }
        deserializer.deserialize_seq(VecVisitor(PhantomData))
    }

    fn encode<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut seq = serializer.serialize_seq(Some(self.len()))?;
        for item in self {
            seq.serialize_element(&AsSerialize(item))?;
        }
        seq.end()
    }
}

impl<T: FieldType> FieldType for BTreeMap<String, T> {
    fn validator() -> Validator {
        Validator::record(Validator::String, T::validator())
    }

    fn decode<'de, D: Deserializer<'de>>(deserializer: D) -> Result<BTreeMap<String, T>, D::Error> {
        struct MapVisitor<T>(PhantomData<T>);
        impl<'de, T: FieldType> Visitor<'de> for MapVisitor<T> {
            type Value = BTreeMap<String, T>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<BTreeMap<String, T>, A::Error> {
                let mut entries = BTreeMap::new();
                while let Some(key) = map.next_key_seed(KeyText)? {
                    check_field_name(&key).map_err(A::Error::custom)?;
                    entries.insert(key.into_owned(), map.next_value_seed(Seed::<T>::new())?);
                    let found = entries.len();
                    if found > OBJECT_LEN_MAX {
                        return Err(A::Error::custom(JsonErrorKind::TooManyFields { found, limit: OBJECT_LEN_MAX }));
                    }
                }
                Ok(entries)
            }
        }
        deserializer.deserialize_map(MapVisitor(PhantomData))
    }

    fn encode<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.len()))?;
        for (key, value) in self {
            map.serialize_entry(key, &AsSerialize(value))?;
        }
        map.end()
    }
}

/// Reads null or a value.
struct OptionVisitor<T>(PhantomData<T>);

impl<'de, T: FieldType> Visitor<'de> for OptionVisitor<T> {
    type Value = Option<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("null or a value")
    }

    fn visit_none<E>(self) -> Result<Option<T>, E> {
        Ok(None)
    }

    fn visit_unit<E>(self) -> Result<Option<T>, E> {
        Ok(None)
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Option<T>, D::Error> {
        T::decode(deserializer).map(Some)
    }
}

/// As a field, `None` is a missing field and null is refused; elsewhere `None` is null.
impl<T: FieldType> FieldType for Option<T> {
    const OPTIONAL: bool = true;

    fn validator() -> Validator {
        Validator::nullable(T::validator())
    }

    fn field_validator() -> FieldValidator {
        FieldValidator::optional(T::validator())
    }

    fn missing() -> Option<Option<T>> {
        Some(None)
    }

    fn is_missing(&self) -> bool {
        self.is_none()
    }

    fn decode<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<T>, D::Error> {
        deserializer.deserialize_option(OptionVisitor(PhantomData))
    }

    fn decode_field<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<T>, D::Error> {
        T::decode(deserializer).map(Some)
    }

    fn encode<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            None => serializer.serialize_unit(),
            Some(value) => value.encode(serializer),
        }
    }
}

/// A field that is always there and may be null.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Nullable<T> {
    /// Null.
    #[default]
    Null,
    /// Anything else.
    Some(T),
}

impl<T> Nullable<T> {
    /// The value, or `None` for null.
    pub fn into_option(self) -> Option<T> {
        match self {
            Nullable::Null => None,
            Nullable::Some(value) => Some(value),
        }
    }

    /// A reference to the value, or `None` for null.
    pub fn as_option(&self) -> Option<&T> {
        match self {
            Nullable::Null => None,
            Nullable::Some(value) => Some(value),
        }
    }
}

impl<T> From<Option<T>> for Nullable<T> {
    fn from(value: Option<T>) -> Nullable<T> {
        value.map_or(Nullable::Null, Nullable::Some)
    }
}

impl<T> From<Nullable<T>> for Option<T> {
    fn from(value: Nullable<T>) -> Option<T> {
        value.into_option()
    }
}

impl<T: FieldType> FieldType for Nullable<T> {
    fn validator() -> Validator {
        Validator::nullable(T::validator())
    }

    fn decode<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Nullable<T>, D::Error> {
        deserializer.deserialize_option(OptionVisitor(PhantomData)).map(Nullable::from)
    }

    fn encode<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Nullable::Null => serializer.serialize_unit(),
            Nullable::Some(value) => value.encode(serializer),
        }
    }
}

impl<T: FieldType> FieldType for Box<T> {
    const OPTIONAL: bool = T::OPTIONAL;

    fn validator() -> Validator {
        T::validator()
    }

    fn field_validator() -> FieldValidator {
        T::field_validator()
    }

    fn missing() -> Option<Box<T>> {
        T::missing().map(Box::new)
    }

    fn is_missing(&self) -> bool {
        (**self).is_missing()
    }

    fn decode<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Box<T>, D::Error> {
        T::decode(deserializer).map(Box::new)
    }

    fn decode_field<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Box<T>, D::Error> {
        T::decode_field(deserializer).map(Box::new)
    }

    fn encode<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        (**self).encode(serializer)
    }

    fn encode_field<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        (**self).encode_field(serializer)
    }
}

impl FieldType for Value {
    fn validator() -> Validator {
        Validator::Any
    }

    fn decode<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Value, D::Error> {
        ValueSeed::top().deserialize(deserializer)?.map_err(D::Error::custom)
    }

    fn encode<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serde::Serialize::serialize(&Formatted(self, Format::Encoded), serializer)
    }
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
