//! What the derive macros put together: the parts of an implementation of [`FieldType`].
//!
//! Not for applications. A struct with the fields `balance: f64`, `id: f64`, `note: Option<String>` becomes:
//!
//! ```
//! use syncline_schema::field::{self, Key, Seed};
//! use syncline_schema::serde::{Deserializer, Serializer, de::{MapAccess, Visitor}};
//! use syncline_schema::{FieldType, Validator};
//!
//! struct Account { id: f64, balance: f64, note: Option<String> }
//!
//! impl FieldType for Account {
//!     fn validator() -> Validator {
//!         Validator::object([
//!             ("balance", <f64 as FieldType>::field_validator()),
//!             ("id", <f64 as FieldType>::field_validator()),
//!             ("note", <Option<String> as FieldType>::field_validator()),
//!         ])
//!     }
//!
//!     fn decode<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
//!         // The names on the wire, in byte order. `Keys::of_table` for a table, `Keys::of_object` for an object.
//!         const KEYS: field::Keys = field::Keys::of_table(&["balance", "id", "note"]);
//!         struct AccountVisitor;
//!         impl<'de> Visitor<'de> for AccountVisitor {
//!             type Value = Account;
//!
//!             fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
//!                 KEYS.expecting(f)
//!             }
//!
//!             fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Account, A::Error> {
//!                 let (mut balance, mut id, mut note) = (None, None, None);
//!                 while let Some(Key(key)) = map.next_key_seed(KEYS)? {
//!                     match key {
//!                         0 => balance = Some(map.next_value_seed(field::FieldSeed::new())?),
//!                         1 => id = Some(map.next_value_seed(field::FieldSeed::new())?),
//!                         2 => note = Some(map.next_value_seed(field::FieldSeed::new())?),
//!                         _ => field::skip(&mut map)?,
//!                     }
//!                 }
//!                 Ok(Account {
//!                     balance: field::present(balance, "balance")?,
//!                     id: field::present(id, "id")?,
//!                     note: field::present(note, "note")?,
//!                 })
//!             }
//!         }
//!         deserializer.deserialize_map(AccountVisitor)
//!     }
//!
//!     // The same again, from text as programs write it: nearly all of it is.
//!     fn read(reader: &mut field::Reader<'_>) -> Result<Self, field::GivenUp> {
//!         const KEYS: field::Keys = field::Keys::of_table(&["balance", "id", "note"]);
//!         let (mut balance, mut id, mut note) = (None, None, None);
//!         let mut object = reader.open_object()?;
//!         while let Some(Key(key)) = reader.next_key(&KEYS, &mut object)? {
//!             match key {
//!                 0 => balance = Some(FieldType::read_field(reader)?),
//!                 1 => id = Some(FieldType::read_field(reader)?),
//!                 2 => note = Some(FieldType::read_field(reader)?),
//!                 _ => reader.skip()?,
//!             }
//!         }
//!         Ok(Account {
//!             balance: field::present(balance, "balance")?,
//!             id: field::present(id, "id")?,
//!             note: field::present(note, "note")?,
//!         })
//!     }
//!
//!     fn encode<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
//!         // In byte order of the names on the wire. A field that is missing is left out.
//!         let mut fields = field::Fields::new(serializer)?;
//!         fields.field("balance", &self.balance)?;
//!         fields.field("id", &self.id)?;
//!         fields.field("note", &self.note)?;
//!         fields.end()
//!     }
//! }
//! # let account: Account = syncline_schema::decode_json(r#"{"_id":"x","id":1,"balance":5}"#).unwrap();
//! # assert_eq!(syncline_schema::encode_json(&account), r#"{"balance":5.0,"id":1.0}"#);
//! # assert!(account.note.is_none());
//! ```
//!
//! An enum without data is a union of literals: [`variant`] reads it, [`encode_literal`] writes it. An enum of structs
//! is a union of objects with a tag, whose other fields may come before the tag: [`tagged`] reads it into memory
//! and gives the tag, [`decode_fields`] decodes the rest; it is written with [`Fields::literal`].

use std::fmt;
use std::marker::PhantomData;

use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, Visitor};
use serde::ser::{Serialize, SerializeMap, Serializer};

use crate::field_type::FieldType;
use crate::json::ValueDeserializer;
pub use crate::json::compact::{GivenUp, Reader};
use crate::name::is_system_field;
use crate::value::{Object, Value};

/// Decodes a value that is no field.
pub struct Seed<T>(PhantomData<T>);

impl<T> Seed<T> {
    /// A seed for any value of the type.
    #[must_use]
    pub fn new() -> Seed<T> {
        Seed(PhantomData)
    }
}

impl<T> Default for Seed<T> {
    fn default() -> Seed<T> {
        Seed::new()
    }
}

impl<'de, T: FieldType> DeserializeSeed<'de> for Seed<T> {
    type Value = T;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<T, D::Error> {
        T::decode(deserializer)
    }
}

/// Decodes the value of a field or an argument, where `Option` means that it may be missing.
pub struct FieldSeed<T>(PhantomData<T>);

impl<T> FieldSeed<T> {
    /// A seed for a field of the type.
    #[must_use]
    pub fn new() -> FieldSeed<T> {
        FieldSeed(PhantomData)
    }
}

impl<T> Default for FieldSeed<T> {
    fn default() -> FieldSeed<T> {
        FieldSeed::new()
    }
}

impl<'de, T: FieldType> DeserializeSeed<'de> for FieldSeed<T> {
    type Value = T;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<T, D::Error> {
        T::decode_field(deserializer)
    }
}

/// Encodes a value that is no field.
pub struct AsSerialize<'a, T>(pub &'a T);

impl<T: FieldType> Serialize for AsSerialize<'_, T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.encode(serializer)
    }
}

/// Encodes the value of a field.
struct AsField<'a, T>(&'a T);

impl<T: FieldType> Serialize for AsField<'_, T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.encode_field(serializer)
    }
}

/// The names of a struct's fields on the wire. As a seed it reads a key and gives its place among them.
#[derive(Clone, Copy)]
pub struct Keys {
    names: &'static [&'static str],
    holder: Holder,
}

#[derive(Clone, Copy, PartialEq)]
enum Holder {
    Object,
    Table,
}

/// The place of a key among the names, or a place beyond them for a field that is to be skipped.
pub struct Key(pub usize);

impl Keys {
    /// The fields of an object.
    #[must_use]
    pub const fn of_object(names: &'static [&'static str]) -> Keys {
        Keys { names, holder: Holder::Object }
    }

    /// The fields of a table's documents, where `_id` and `_creationTime` are skipped.
    #[must_use]
    pub const fn of_table(names: &'static [&'static str]) -> Keys {
        Keys { names, holder: Holder::Table }
    }

    pub(crate) fn names(&self) -> &'static [&'static str] {
        self.names
    }

    /// Says what is expected, for a visitor.
    pub fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "an object with the fields {}", self.names.join(", "))
    }
}

impl<'de> DeserializeSeed<'de> for Keys {
    type Value = Key;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Key, D::Error> {
        deserializer.deserialize_identifier(self)
    }
}

impl Visitor<'_> for Keys {
    type Value = Key;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "one of the fields {}", self.names.join(", "))
    }

    fn visit_str<E: Error>(self, key: &str) -> Result<Key, E> {
        match self.names.iter().position(|name| *name == key) {
            Some(place) => Ok(Key(place)),
            None if self.holder == Holder::Table && is_system_field(key) => Ok(Key(self.names.len())),
            None => Err(E::unknown_field(key, self.names)),
        }
    }
}

/// Skips the value of a field.
pub fn skip<'de, A: MapAccess<'de>>(map: &mut A) -> Result<(), A::Error> {
    map.next_value::<IgnoredAny>().map(|_| ())
}

/// The value of a field after all were read: what was read, what a missing one stands for, or an error.
pub fn present<T: FieldType, E: Error>(value: Option<T>, name: &'static str) -> Result<T, E> {
    value.or_else(T::missing).ok_or_else(|| E::missing_field(name))
}

/// Writes the fields of an object. To be called in byte order of their names.
pub struct Fields<S: Serializer>(S::SerializeMap);

impl<S: Serializer> Fields<S> {
    /// Begins an object.
    pub fn new(serializer: S) -> Result<Fields<S>, S::Error> {
        serializer.serialize_map(None).map(Fields)
    }

    /// Writes a field, unless its value is one that is left out.
    pub fn field<T: FieldType>(&mut self, name: &'static str, value: &T) -> Result<(), S::Error> {
        if value.is_missing() { Ok(()) } else { self.0.serialize_entry(name, &AsField(value)) }
    }

    /// Writes the tag of an enum's variant.
    pub fn literal(&mut self, name: &'static str, value: &'static str) -> Result<(), S::Error> {
        self.0.serialize_entry(name, value)
    }

    /// Ends the object.
    pub fn end(self) -> Result<S::Ok, S::Error> {
        self.0.end()
    }
}

/// Reads one of the given texts and gives its place: the variants of an enum without data.
pub fn variant<'de, D: Deserializer<'de>>(deserializer: D, names: &'static [&'static str]) -> Result<usize, D::Error> {
    struct Variants(&'static [&'static str]);
    impl Visitor<'_> for Variants {
        type Value = usize;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            write!(f, "one of {:?}", self.0)
        }

        fn visit_str<E: Error>(self, text: &str) -> Result<usize, E> {
            let place = self.0.iter().position(|name| *name == text);
            place.ok_or_else(|| E::unknown_variant(text, self.0))
        }
    }
    deserializer.deserialize_str(Variants(names))
}

/// Writes a variant of an enum without data.
pub fn encode_literal<S: Serializer>(serializer: S, name: &'static str) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(name)
}

/// Reads an object whose field `tag` says which variant of an enum it is: the tag, and the other fields.
pub fn tagged<'de, D: Deserializer<'de>>(deserializer: D, tag: &'static str) -> Result<(String, Object), D::Error> {
    let Value::Object(mut fields) = Value::decode(deserializer)? else {
        return Err(D::Error::custom(format_args!("expected an object with the field `{tag}`")));
    };
    match fields.remove(tag) {
        Some(Value::String(name)) => Ok((name, fields)),
        Some(other) => Err(D::Error::custom(format_args!("the field `{tag}` is of type {}", other.kind()))),
        None => Err(D::Error::missing_field(tag)),
    }
}

/// Decodes the other fields that [`tagged`] gave. `E` is the error of the deserializer that they came from.
pub fn decode_fields<'de, V: Visitor<'de>, E: Error>(fields: Object, visitor: V) -> Result<V::Value, E> {
    ValueDeserializer::<E>::new(Value::Object(fields)).deserialize_map(visitor)
}
