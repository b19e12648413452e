//! Types that hold no others, and any value.

use std::fmt;

use serde::de::{DeserializeSeed as _, Deserializer, Error as _, MapAccess, Visitor};
use serde::ser::Serializer;

use crate::field::{GivenUp, Reader};
use crate::field_type::FieldType;
use crate::json::{Format, Formatted, Tag, ValueSeed, encode_bytes, encode_f64, encode_i64, tag_payload};
use crate::validator::Validator;
use crate::value::Value;

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

    fn to_value(&self) -> Value {
        Value::Boolean(*self)
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

    fn to_value(&self) -> Value {
        Value::String(self.clone())
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

    #[inline]
    fn read(reader: &mut Reader<'_>) -> Result<f64, GivenUp> {
        // Those that JSON has no number for are objects.
        if reader.is_at_number() { reader.number() } else { f64::decode(reader) }
    }

    #[inline]
    fn read_field(reader: &mut Reader<'_>) -> Result<f64, GivenUp> {
        f64::read(reader)
    }

    fn encode<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        encode_f64(*self, serializer)
    }

    fn to_value(&self) -> Value {
        Value::Float64(*self)
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

    fn to_value(&self) -> Value {
        Value::Int64(*self)
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

    fn to_value(&self) -> Value {
        self.clone()
    }
}
