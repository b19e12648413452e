//! `_id` and `_creationTime`, read beside a table's own fields.

use std::fmt;

use serde::de::value::CowStrDeserializer;
use serde::de::{DeserializeSeed, Deserializer, MapAccess, Visitor};
use serde::forward_to_deserialize_any;

use crate::field::Seed;
use crate::field_type::FieldType;
use crate::id::DocumentId;
use crate::json::KeyText;
use crate::name::{CREATION_TIME_FIELD, ID_FIELD};
use crate::table::decode_id;

/// The system fields that a document has.
#[derive(Default)]
pub(super) struct SystemFields {
    pub(super) id: Option<DocumentId>,
    pub(super) creation_time: Option<f64>,
}

/// Reads a stored document in one pass: the fields of `T`, and those of the store.
pub(super) fn decode_document<T: FieldType>(json: &str) -> Result<(T, SystemFields), serde_json::Error> {
    let mut system_fields = SystemFields::default();
    let mut deserializer = serde_json::Deserializer::from_str(json);
    let value = T::decode(Document { inner: &mut deserializer, system_fields: &mut system_fields })?;
    deserializer.end()?;
    Ok((value, system_fields))
}

/// A source that keeps the system fields back.
struct Document<'a, D> {
    inner: D,
    system_fields: &'a mut SystemFields,
}

impl<'de, D: Deserializer<'de>> Deserializer<'de> for Document<'_, D> {
    type Error = D::Error;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, D::Error> {
        self.inner.deserialize_map(DocumentVisitor { visitor, system_fields: self.system_fields })
    }

    // Whatever the type asks for, a document is an object.
    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option unit unit_struct
        newtype_struct seq tuple tuple_struct map struct enum identifier ignored_any
    }
}

struct DocumentVisitor<'a, V> {
    visitor: V,
    system_fields: &'a mut SystemFields,
}

impl<'de, V: Visitor<'de>> Visitor<'de> for DocumentVisitor<'_, V> {
    type Value = V::Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.visitor.expecting(f)
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<V::Value, A::Error> {
        self.visitor.visit_map(UserFields { map, system_fields: self.system_fields })
    }
}

struct UserFields<'a, A> {
    map: A,
    system_fields: &'a mut SystemFields,
}

impl<'de, A: MapAccess<'de>> MapAccess<'de> for UserFields<'_, A> {
    type Error = A::Error;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, A::Error> {
        while let Some(key) = self.map.next_key_seed(KeyText)? {
            match &*key {
                ID_FIELD => self.system_fields.id = Some(self.map.next_value_seed(IdSeed)?),
                CREATION_TIME_FIELD => {
                    self.system_fields.creation_time = Some(self.map.next_value_seed(Seed::<f64>::new())?);
                }
                _ => return seed.deserialize(CowStrDeserializer::new(key)).map(Some),
            }
        }
        Ok(None)
    }

    fn next_value_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<S::Value, A::Error> {
        self.map.next_value_seed(seed)
    }
}

struct IdSeed;

impl<'de> DeserializeSeed<'de> for IdSeed {
    type Value = DocumentId;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<DocumentId, D::Error> {
        decode_id(deserializer)
    }
}
