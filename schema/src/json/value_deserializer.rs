//! Values as a source to decode from, for what has to be read before it is known what it is.

use std::marker::PhantomData;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::de::value::{MapDeserializer, SeqDeserializer};
use serde::de::{self, Deserializer, IntoDeserializer, Visitor};
use serde::forward_to_deserialize_any;

use crate::json::Tag;
use crate::value::{Object, Value};

/// Shows a value as the JSON that it is written as: tagged values are objects of one key.
pub(crate) struct ValueDeserializer<E> {
    value: Value,
    error: PhantomData<E>,
}

impl<E> ValueDeserializer<E> {
    pub(crate) fn new(value: Value) -> ValueDeserializer<E> {
        ValueDeserializer { value, error: PhantomData }
    }
}

/// A value inside of another one.
struct Inner(Value);

impl<E: de::Error> IntoDeserializer<'_, E> for Inner {
    type Deserializer = ValueDeserializer<E>;

    fn into_deserializer(self) -> ValueDeserializer<E> {
        ValueDeserializer::new(self.0)
    }
}

impl<'de, E: de::Error> Deserializer<'de> for ValueDeserializer<E> {
    type Error = E;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, E> {
        match self.value {
            Value::Null => visitor.visit_unit(),
            Value::Boolean(b) => visitor.visit_bool(b),
            Value::String(s) => visitor.visit_string(s),
            Value::Int64(i) => visit_tag(Tag::Integer, &i.to_le_bytes(), visitor),
            Value::Float64(x) if x.is_finite() => visitor.visit_f64(x),
            Value::Float64(x) => visit_tag(Tag::Float, &x.to_le_bytes(), visitor),
            Value::Bytes(b) => visit_tag(Tag::Bytes, &b, visitor),
            Value::Array(items) => {
                let mut seq = SeqDeserializer::new(items.into_iter().map(Inner));
                let value = visitor.visit_seq(&mut seq)?;
                seq.end()?;
                Ok(value)
            }
            Value::Object(fields) => visit_object(fields, visitor),
        }
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, E> {
        match self.value {
            Value::Null => visitor.visit_none(),
            _ => visitor.visit_some(self),
        }
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf unit unit_struct
        newtype_struct seq tuple tuple_struct map struct enum identifier ignored_any
    }
}

fn visit_tag<'de, V: Visitor<'de>, E: de::Error>(tag: Tag, payload: &[u8], visitor: V) -> Result<V::Value, E> {
    let entry = (tag.key(), STANDARD.encode(payload));
    visitor.visit_map(MapDeserializer::<_, E>::new(std::iter::once(entry)))
}

fn visit_object<'de, V: Visitor<'de>, E: de::Error>(fields: Object, visitor: V) -> Result<V::Value, E> {
    let mut map = MapDeserializer::<_, E>::new(fields.into_iter().map(|(name, value)| (name, Inner(value))));
    let value = visitor.visit_map(&mut map)?;
    map.end()?;
    Ok(value)
}
