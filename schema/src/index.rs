//! Index definitions, and keys whose bytes sort as the values do.
//!
//! Source: `tests/spec/data-and-functions.md` 1.10 and 3.5. The key of a document in an index is the keys of its
//! fields, of its creation time and of its id, one after the other. No key of a value is a prefix of another one's
//! unless a byte `ff` follows, which no value begins with: ranges rely on that.

mod describe;
mod length;

use std::fmt;
use std::ops::Range;

use serde::de::{DeserializeSeed, Deserializer, Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor};

use crate::id::DocumentId;
use crate::json::{JsonError, KeyText, ValueSeed, compact};
use crate::name::FieldPath;
use crate::range::KeyBytes;
use crate::value::{Object, Value};

pub use describe::describe_key;
pub use length::value_key_len;

/// The index of every table whose key is the id.
pub const BY_ID: &str = "by_id";

/// The index of every table whose key is the creation time, then the id.
pub const BY_CREATION_TIME: &str = "by_creation_time";

/// An index on fields of a table. Creation time and id follow them in the key and are not named.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IndexDefinition {
    /// The name, unique in its table.
    pub name: String,
    /// The fields, in the order in which they sort.
    pub fields: Vec<FieldPath>,
}

mod tag {
    pub const UNDEFINED: u8 = 0x01;
    pub const NULL: u8 = 0x03;
    pub const INT64_NEGATIVE_8: u8 = 0x04;
    pub const INT64_NEGATIVE_4: u8 = 0x05;
    pub const INT64_NEGATIVE_2: u8 = 0x06;
    pub const INT64_NEGATIVE_1: u8 = 0x07;
    pub const INT64_ZERO: u8 = 0x08;
    pub const INT64_POSITIVE_1: u8 = 0x09;
    pub const INT64_POSITIVE_2: u8 = 0x0a;
    pub const INT64_POSITIVE_4: u8 = 0x0b;
    pub const INT64_POSITIVE_8: u8 = 0x0c;
    pub const FLOAT64: u8 = 0x0d;
    pub const FALSE: u8 = 0x0e;
    pub const TRUE: u8 = 0x0f;
    pub const STRING: u8 = 0x10;
    pub const BYTES: u8 = 0x11;
    pub const ARRAY: u8 = 0x12;
    pub const OBJECT: u8 = 0x15;
}

/// Ends strings, bytes, arrays and objects; sorts before whatever continues them.
const END: u8 = 0x00;

/// After a zero byte of a string or of bytes: it is content, not the end.
const ESCAPED: u8 = 0xff;

/// What keys are written into.
pub trait KeyOut {
    /// Adds a byte.
    fn push(&mut self, byte: u8);

    /// Adds bytes.
    fn extend_from_slice(&mut self, bytes: &[u8]);
}

impl KeyOut for Vec<u8> {
    fn push(&mut self, byte: u8) {
        Vec::push(self, byte);
    }

    fn extend_from_slice(&mut self, bytes: &[u8]) {
        Vec::extend_from_slice(self, bytes);
    }
}

impl KeyOut for KeyBytes {
    fn push(&mut self, byte: u8) {
        KeyBytes::push(self, byte);
    }

    fn extend_from_slice(&mut self, bytes: &[u8]) {
        KeyBytes::extend_from_slice(self, bytes);
    }
}

/// Appends the key of a value; `None` is a missing field.
pub fn write_key(value: Option<&Value>, out: &mut impl KeyOut) {
    match value {
        None => out.push(tag::UNDEFINED),
        Some(Value::Null) => out.push(tag::NULL),
        Some(Value::Int64(i)) => write_int64(*i, out),
        Some(Value::Float64(x)) => write_float64(*x, out),
        Some(Value::Boolean(b)) => write_boolean(*b, out),
        Some(Value::String(s)) => write_string(s, out),
        Some(Value::Bytes(b)) => {
            out.push(tag::BYTES);
            write_escaped(b, out);
        }
        Some(Value::Array(items)) => {
            out.push(tag::ARRAY);
            for item in items {
                write_key(Some(item), out);
            }
            out.push(END);
        }
        Some(Value::Object(fields)) => write_object(fields, out),
    }
}

fn write_object(fields: &Object, out: &mut impl KeyOut) {
    out.push(tag::OBJECT);
    for (name, value) in fields {
        if name.is_empty() {
            // The end of an empty name alone would look like the end of the object.
            out.extend_from_slice(&[END, ESCAPED]);
        } else {
            write_escaped(name.as_bytes(), out);
        }
        write_key(Some(value), out);
    }
    out.push(END);
}

fn write_boolean(value: bool, out: &mut impl KeyOut) {
    out.push(if value { tag::TRUE } else { tag::FALSE });
}

/// The shortest of 1, 2, 4 and 8 bytes that holds the number; longer positive ones sort later, negative ones earlier.
fn write_int64(value: i64, out: &mut impl KeyOut) {
    let (tag, n_bytes) = match value {
        0 => (tag::INT64_ZERO, 0),
        1.. if i8::try_from(value).is_ok() => (tag::INT64_POSITIVE_1, 1),
        1.. if i16::try_from(value).is_ok() => (tag::INT64_POSITIVE_2, 2),
        1.. if i32::try_from(value).is_ok() => (tag::INT64_POSITIVE_4, 4),
        1.. => (tag::INT64_POSITIVE_8, 8),
        _ if i8::try_from(value).is_ok() => (tag::INT64_NEGATIVE_1, 1),
        _ if i16::try_from(value).is_ok() => (tag::INT64_NEGATIVE_2, 2),
        _ if i32::try_from(value).is_ok() => (tag::INT64_NEGATIVE_4, 4),
        _ => (tag::INT64_NEGATIVE_8, 8),
    };
    out.push(tag);
    out.extend_from_slice(&value.to_be_bytes()[8 - n_bytes..]);
}

/// The bits in the order of IEEE's total order: negative numbers are reversed and go first.
fn write_float64(value: f64, out: &mut impl KeyOut) {
    let bits = value.to_bits();
    let sign = 1 << 63;
    out.push(tag::FLOAT64);
    out.extend_from_slice(&if bits & sign == 0 { bits | sign } else { !bits }.to_be_bytes());
}

fn write_string(value: &str, out: &mut impl KeyOut) {
    out.push(tag::STRING);
    write_escaped(value.as_bytes(), out);
}

fn write_escaped(bytes: &[u8], out: &mut impl KeyOut) {
    for (i, run) in bytes.split(|byte| *byte == END).enumerate() {
        if i > 0 {
            out.extend_from_slice(&[END, ESCAPED]);
        }
        out.extend_from_slice(run);
    }
    out.push(END);
}

/// The key of a document in [`BY_ID`].
#[must_use]
pub fn by_id_key(id: &DocumentId) -> Vec<u8> {
    let mut key = Vec::with_capacity(40);
    write_id_key(id, &mut key);
    key
}

/// Appends the key of a document in [`BY_ID`], which also ends its keys in all other indexes.
pub fn write_id_key(id: &DocumentId, out: &mut impl KeyOut) {
    write_string(&id.text(), out);
}

/// The key of a document in [`BY_CREATION_TIME`], which also ends the keys of all other indexes.
#[must_use]
pub fn by_creation_time_key(creation_time: f64, id: &DocumentId) -> Vec<u8> {
    let mut key = Vec::with_capacity(48);
    write_key_end(creation_time, id, &mut key);
    key
}

fn write_key_end(creation_time: f64, id: &DocumentId, out: &mut impl KeyOut) {
    write_float64(creation_time, out);
    write_id_key(id, out);
}

/// The keys of a stored document in the given indexes, in their order.
pub fn document_keys(
    json: &str,
    indexes: &[IndexDefinition],
    creation_time: f64,
    id: &DocumentId,
) -> Result<Vec<Vec<u8>>, JsonError> {
    let mut keys = Vec::with_capacity(indexes.len());
    IndexedFields::new(indexes).read(json, 0, |key| {
        write_key_end(creation_time, id, key);
        keys.push(key.clone());
    })?;
    Ok(keys)
}

/// Reads the indexed fields of documents, in whatever order these have them, and no other fields. Its buffers serve one
/// document after the other.
pub struct IndexedFields<'a> {
    indexes: &'a [IndexDefinition],
    /// The fields of all indexes, index by index, and where in `keys` their key is.
    places: Vec<(&'a FieldPath, Option<Range<usize>>)>,
    keys: Vec<u8>,
    /// The keys of the fields of one index.
    key: Vec<u8>,
}

impl<'a> IndexedFields<'a> {
    /// Of these indexes.
    #[must_use]
    pub fn new(indexes: &'a [IndexDefinition]) -> IndexedFields<'a> {
        let places = indexes.iter().flat_map(|index| &index.fields).map(|field| (field, None)).collect();
        IndexedFields { indexes, places, keys: Vec::new(), key: Vec::new() }
    }

    /// Calls `each` for the indexes in their order, with the keys of their fields in a stored document; it may put more
    /// behind them. What stands before `fields_at` is not looked at, where a text is read quickly: up to the comma or brace
    /// behind the system fields, which no index has.
    ///
    /// # Errors
    /// When the text is no document's.
    pub fn read(&mut self, json: &str, fields_at: usize, mut each: impl FnMut(&mut Vec<u8>)) -> Result<(), JsonError> {
        self.forget();
        if !self.places.is_empty() && compact::visit_fields(json, fields_at, &mut *self).is_err() {
            self.forget();
            let mut deserializer = serde_json::Deserializer::from_str(json);
            deserializer
                .deserialize_map(&mut *self)
                .and_then(|()| deserializer.end())
                .map_err(|error| JsonError::syntax(&error))?;
        }
        let mut places = self.places.iter();
        for index in self.indexes {
            self.key.clear();
            for (_, place) in places.by_ref().take(index.fields.len()) {
                match place {
                    Some(place) => self.key.extend_from_slice(&self.keys[place.clone()]),
                    None => self.key.push(tag::UNDEFINED),
                }
            }
            each(&mut self.key);
        }
        Ok(())
    }

    fn forget(&mut self) {
        self.keys.clear();
        self.places.iter_mut().for_each(|(_, place)| *place = None);
    }
}

/// How the indexes use a field at the top of the document.
#[derive(PartialEq)]
enum Use {
    None,
    Whole,
    /// Fields within it are indexed, and perhaps itself.
    Parts,
}

impl IndexedFields<'_> {
    fn use_of(&self, name: &str) -> Use {
        let mut used = Use::None;
        for (field, _) in &self.places {
            match field.parts() {
                [first] if first == name && used == Use::None => used = Use::Whole,
                [first, _, ..] if first == name => return Use::Parts,
                _ => {}
            }
        }
        used
    }

    fn set_whole(&mut self, name: &str, start: usize) {
        let end = self.keys.len();
        for (field, place) in &mut self.places {
            if field.is(name) {
                *place = Some(start..end);
            }
        }
    }

    fn set_parts(&mut self, name: &str, value: Value) {
        let holder = Object::from([(name.to_owned(), value)]);
        for (field, place) in &mut self.places {
            if field.parts()[0] == name {
                let start = self.keys.len();
                *place = crate::value::object_at(&holder, field).map(|value| {
                    write_key(Some(value), &mut self.keys);
                    start..self.keys.len()
                });
            }
        }
    }
}

impl<'de> Visitor<'de> for &mut IndexedFields<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a document")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(name) = map.next_key_seed(KeyText)? {
            match self.use_of(&name) {
                Use::None => {
                    map.next_value::<IgnoredAny>()?;
                }
                Use::Whole => {
                    let start = self.keys.len();
                    map.next_value_seed(KeyWriter { out: &mut self.keys })?;
                    self.set_whole(&name, start);
                }
                Use::Parts => {
                    let value = map.next_value_seed(ValueSeed::top())?.map_err(A::Error::custom)?;
                    self.set_parts(&name, value);
                }
            }
        }
        Ok(())
    }
}

/// Writes the key of a value from its text, without building the value where its key does not need that.
struct KeyWriter<'a> {
    out: &'a mut Vec<u8>,
}

impl<'de> DeserializeSeed<'de> for KeyWriter<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for KeyWriter<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        self.out.push(tag::NULL);
        Ok(())
    }

    fn visit_bool<E>(self, value: bool) -> Result<(), E> {
        write_boolean(value, self.out);
        Ok(())
    }

    fn visit_i64<E>(self, value: i64) -> Result<(), E> {
        write_float64(value as f64, self.out);
        Ok(())
    }

    fn visit_u64<E>(self, value: u64) -> Result<(), E> {
        write_float64(value as f64, self.out);
        Ok(())
    }

    fn visit_f64<E>(self, value: f64) -> Result<(), E> {
        write_float64(value, self.out);
        Ok(())
    }

    fn visit_str<E>(self, value: &str) -> Result<(), E> {
        write_string(value, self.out);
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<(), A::Error> {
        self.out.push(tag::ARRAY);
        while seq.next_element_seed(KeyWriter { out: self.out })?.is_some() {}
        self.out.push(END);
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<(), A::Error> {
        // Tags have to be told from objects, and fields to be sorted.
        let value = ValueSeed::top().visit_map(map)?.map_err(A::Error::custom)?;
        write_key(Some(&value), self.out);
        Ok(())
    }
}
