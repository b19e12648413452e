//! `_id` and `_creationTime`: read beside a table's own fields, and put among them.

use std::fmt;

use serde::de::value::CowStrDeserializer;
use serde::de::{DeserializeSeed, Deserializer, MapAccess, Visitor};
use serde::forward_to_deserialize_any;

use crate::field::Seed;
use crate::field_type::{FieldType, encode_json};
use crate::id::DocumentId;
use crate::json::{KeyText, object_from_json, object_to_json};
use crate::name::{CREATION_TIME_FIELD, ID_FIELD};
use crate::table::decode_id;
use crate::value::Value;

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

/// Puts the system fields into the text of an object, where the order of keys has them.
///
/// # Panics
///
/// When the table is not written as an object, against the contract of `Table`.
pub(super) fn insert(fields: &str, id: DocumentId, creation_time: f64) -> String {
    // No field of a user's starts with an underscore. Mostly all start with a lower-case letter, which sorts after.
    match fields.as_bytes() {
        [b'{', b'"', first, ..] if *first <= b'_' => insert_among(fields, id, creation_time),
        [b'{', rest @ ..] => {
            let mut document = String::with_capacity(fields.len() + 96);
            document.push_str(r#"{"_creationTime":"#);
            document.push_str(&encode_json(&creation_time));
            document.push_str(r#","_id":""#);
            document.push_str(&id.text());
            document.push_str(if rest == b"}" { r#"""# } else { r#"","# });
            document.push_str(&fields[1..]);
            document
        }
        _ => panic!("a table is written as an object, not as {fields}"),
    }
}

/// The slow way, for fields that sort before an underscore.
fn insert_among(fields: &str, id: DocumentId, creation_time: f64) -> String {
    let mut object = object_from_json(fields).expect("a table is written as an object within the limits");
    object.insert(ID_FIELD.to_owned(), Value::from(&*id.text()));
    object.insert(CREATION_TIME_FIELD.to_owned(), Value::Float64(creation_time));
    object_to_json(&object)
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
