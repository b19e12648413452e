//! Types that hold others: arrays, records, and what may be missing or null.

use std::collections::BTreeMap;
use std::fmt;
use std::marker::PhantomData;

use serde::de::{Deserializer, Error as _, MapAccess, SeqAccess, Visitor};
use serde::ser::{SerializeMap as _, SerializeSeq as _, Serializer};

use crate::field::{AsSerialize, GivenUp, Reader, Seed};
use crate::field_type::FieldType;
use crate::json::{ARRAY_LEN_MAX, JsonErrorKind, KeyText, OBJECT_LEN_MAX, array_tail};
use crate::name::check_field_name;
use crate::validator::{FieldValidator, Validator};
use crate::value::Value;

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

    fn read_field(reader: &mut Reader<'_>) -> Result<Option<T>, GivenUp> {
        T::read(reader).map(Some)
    }

    fn encode<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            None => serializer.serialize_unit(),
            Some(value) => value.encode(serializer),
        }
    }

    fn to_value(&self) -> Value {
        self.as_ref().map_or(Value::Null, T::to_value)
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

    fn to_value(&self) -> Value {
        self.as_option().map_or(Value::Null, T::to_value)
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

    fn to_value(&self) -> Value {
        (**self).to_value()
    }
}
