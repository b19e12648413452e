//! Text to values, in one pass.
//!
//! What is wrong with the JSON itself stops the parser. What is wrong with a value (a name, a tag, a limit) is
//! carried upwards as an `Err` inside of the parser's `Ok`: the rest of the text is still to be JSON, and a field
//! that a later one of the same name replaces does no harm.

use std::borrow::Cow;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor};

use crate::json::{ARRAY_LEN_MAX, JsonError, JsonErrorKind, NESTING_MAX, OBJECT_LEN_MAX, Tag};
use crate::name::check_field_name;
use crate::value::{Object, Value};

/// Reads one value; `level` is how many arrays and objects it stands in.
#[derive(Clone, Copy)]
pub(crate) struct ValueSeed {
    level: usize,
}

impl ValueSeed {
    /// For a value that stands in nothing.
    pub(crate) fn top() -> ValueSeed {
        ValueSeed { level: 0 }
    }

    /// The seed of what stands in this array or object, if that may be one at all.
    fn inner(self) -> Result<ValueSeed, JsonErrorKind> {
        let level = self.level + 1;
        if level > NESTING_MAX {
            return Err(JsonErrorKind::TooNested { found: level, limit: NESTING_MAX });
        }
        Ok(ValueSeed { level })
    }
}

impl<'de> DeserializeSeed<'de> for ValueSeed {
    type Value = Result<Value, JsonError>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for ValueSeed {
    type Value = Result<Value, JsonError>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_unit<E>(self) -> Result<Self::Value, E> {
        Ok(Ok(Value::Null))
    }

    fn visit_bool<E>(self, value: bool) -> Result<Self::Value, E> {
        Ok(Ok(Value::Boolean(value)))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Self::Value, E> {
        Ok(Ok(Value::Float64(value as f64)))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Self::Value, E> {
        Ok(Ok(Value::Float64(value as f64)))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Self::Value, E> {
        Ok(Ok(Value::Float64(value)))
    }

    fn visit_str<E>(self, value: &str) -> Result<Self::Value, E> {
        Ok(Ok(Value::String(value.to_owned())))
    }

    fn visit_string<E>(self, value: String) -> Result<Self::Value, E> {
        Ok(Ok(Value::String(value)))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
        let inner = match self.inner() {
            Ok(inner) => inner,
            Err(kind) => {
                while seq.next_element::<IgnoredAny>()?.is_some() {}
                return Ok(Err(kind.at_top()));
            }
        };
        let mut items = Vec::new();
        while items.len() < ARRAY_LEN_MAX {
            match seq.next_element_seed(inner)? {
                Some(Ok(item)) => items.push(item),
                Some(Err(error)) => {
                    while seq.next_element::<IgnoredAny>()?.is_some() {}
                    return Ok(Err(error.in_element(items.len())));
                }
                None => return Ok(Ok(Value::Array(items))),
            }
        }
        Ok(array_tail(seq)?.map(|()| Value::Array(items)))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let inner = match self.inner() {
            Ok(inner) => inner,
            // A tagged value is no object and so no level of its own: read on, and refuse only a real object.
            Err(kind) => return Ok(visit_tag_only(map)?.unwrap_or_else(|| Err(kind.at_top()))),
        };
        let mut fields = Fields::default();
        while let Some(key) = map.next_key_seed(KeyText)? {
            if let Some(tag) = Tag::of_key(&key) {
                let payload = map.next_value_seed(PayloadSeed { tag })?;
                fields.insert_tag(tag, payload);
            } else if let Err(error) = check_field_name(&key) {
                map.next_value::<IgnoredAny>()?;
                fields.refuse(JsonErrorKind::FieldName(error).at_top());
            } else {
                let value = map.next_value_seed(inner)?;
                fields.insert(key, value);
            }
        }
        Ok(fields.finish())
    }
}

/// Reads the rest of an array that has reached its limit, and refuses it if there is any.
pub(crate) fn array_tail<'de, A: SeqAccess<'de>>(mut seq: A) -> Result<Result<(), JsonError>, A::Error> {
    let mut found = ARRAY_LEN_MAX;
    while seq.next_element::<IgnoredAny>()?.is_some() {
        found += 1;
    }
    if found > ARRAY_LEN_MAX {
        return Ok(Err(JsonErrorKind::ArrayTooLong { found, limit: ARRAY_LEN_MAX }.at_top()));
    }
    Ok(Ok(()))
}

/// Reads an object below the deepest level: a tagged value if it is one, else `None`.
fn visit_tag_only<'de, A: MapAccess<'de>>(mut map: A) -> Result<Option<Result<Value, JsonError>>, A::Error> {
    let mut only: Option<(Tag, Result<Value, JsonErrorKind>)> = None;
    let mut is_tagged = true;
    while let Some(key) = map.next_key_seed(KeyText)? {
        match Tag::of_key(&key) {
            Some(tag) if only.as_ref().is_none_or(|(seen, _)| *seen == tag) => {
                only = Some((tag, map.next_value_seed(PayloadSeed { tag })?));
            }
            _ => {
                map.next_value::<IgnoredAny>()?;
                is_tagged = false;
            }
        }
    }
    Ok(only.filter(|_| is_tagged).map(|(_, payload)| payload.map_err(JsonErrorKind::at_top)))
}

/// Reads an object that has to be a value with the given tag.
pub(crate) fn tag_payload<'de, A: MapAccess<'de>>(tag: Tag, mut map: A) -> Result<Value, A::Error> {
    let mut value = None;
    while let Some(key) = map.next_key_seed(KeyText)? {
        if key != tag.key() {
            return Err(A::Error::custom(format_args!("found the key {key:?}, expected `{tag}`")));
        }
        value = Some(map.next_value_seed(PayloadSeed { tag })?);
    }
    value.ok_or_else(|| A::Error::custom(format_args!("expected the key `{tag}`")))?.map_err(A::Error::custom)
}

/// What is known of an object while its fields come in.
#[derive(Default)]
struct Fields {
    object: Object,
    /// Fields whose value is refused, unless a later field of the same name replaces it. Rarely any.
    refused: Vec<(String, JsonError)>,
    /// A tag, with what its payload stands for if it is the only key.
    tag: Option<(Tag, Result<Value, JsonErrorKind>)>,
    /// The first key that no object may have.
    bad_key: Option<JsonError>,
    /// Keys beyond the limit; they are counted and not kept.
    n_over: usize,
}

impl Fields {
    fn insert_tag(&mut self, tag: Tag, payload: Result<Value, JsonErrorKind>) {
        match &self.tag {
            Some((seen, _)) if *seen != tag => self.refuse(tag_is_not_alone(tag)),
            _ => self.tag = Some((tag, payload)),
        }
    }

    fn refuse(&mut self, error: JsonError) {
        self.bad_key.get_or_insert(error);
    }

    fn insert(&mut self, name: Cow<'_, str>, value: Result<Value, JsonError>) {
        self.refused.retain(|(refused, _)| *refused != name);
        if self.object.len() >= OBJECT_LEN_MAX && !self.object.contains_key(&*name) {
            self.n_over += 1;
            return;
        }
        let value = value.unwrap_or_else(|error| {
            let error = error.in_field(&name);
            self.refused.push((name.clone().into_owned(), error));
            Value::Null
        });
        self.object.insert(name.into_owned(), value);
    }

    fn finish(mut self) -> Result<Value, JsonError> {
        if let Some(error) = self.bad_key {
            return Err(error);
        }
        if let Some((tag, payload)) = self.tag {
            if self.object.is_empty() {
                return payload.map_err(JsonErrorKind::at_top);
            }
            return Err(tag_is_not_alone(tag));
        }
        if !self.refused.is_empty() {
            return Err(self.refused.swap_remove(0).1);
        }
        if self.n_over > 0 {
            let found = OBJECT_LEN_MAX + self.n_over;
            return Err(JsonErrorKind::TooManyFields { found, limit: OBJECT_LEN_MAX }.at_top());
        }
        Ok(Value::Object(self.object))
    }
}

/// A tag beside another key is not a tag but a field name, and no field name starts with `$`.
fn tag_is_not_alone(tag: Tag) -> JsonError {
    let error = crate::name::NameError::ReservedDollar { name: tag.key().to_owned() };
    JsonErrorKind::FieldName(error).at_top()
}

/// Reads the payload of a tag.
struct PayloadSeed {
    tag: Tag,
}

impl PayloadSeed {
    fn wrong_type<E>(self, found: &'static str) -> Result<Result<Value, JsonErrorKind>, E> {
        Ok(Err(JsonErrorKind::PayloadType { tag: self.tag, found }))
    }
}

impl<'de> DeserializeSeed<'de> for PayloadSeed {
    type Value = Result<Value, JsonErrorKind>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for PayloadSeed {
    type Value = Result<Value, JsonErrorKind>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a string with base64")
    }

    fn visit_str<E>(self, payload: &str) -> Result<Self::Value, E> {
        Ok(self.tag.decode(payload))
    }

    fn visit_unit<E>(self) -> Result<Self::Value, E> {
        self.wrong_type("null")
    }

    fn visit_bool<E>(self, _: bool) -> Result<Self::Value, E> {
        self.wrong_type("boolean")
    }

    fn visit_i64<E>(self, _: i64) -> Result<Self::Value, E> {
        self.wrong_type("integer")
    }

    fn visit_u64<E>(self, _: u64) -> Result<Self::Value, E> {
        self.wrong_type("integer")
    }

    fn visit_f64<E>(self, _: f64) -> Result<Self::Value, E> {
        self.wrong_type("floating")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
        while seq.next_element::<IgnoredAny>()?.is_some() {}
        self.wrong_type("sequence")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        self.wrong_type("map")
    }
}

/// Reads a key, borrowing it from the text where it has no escapes.
pub(crate) struct KeyText;

impl<'de> DeserializeSeed<'de> for KeyText {
    type Value = Cow<'de, str>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl<'de> Visitor<'de> for KeyText {
    type Value = Cow<'de, str>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key")
    }

    fn visit_borrowed_str<E>(self, key: &'de str) -> Result<Self::Value, E> {
        Ok(Cow::Borrowed(key))
    }

    fn visit_str<E>(self, key: &str) -> Result<Self::Value, E> {
        Ok(Cow::Owned(key.to_owned()))
    }

    fn visit_string<E>(self, key: String) -> Result<Self::Value, E> {
        Ok(Cow::Owned(key))
    }
}
