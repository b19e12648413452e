//! Values as JSON text, the form in which clients send and receive them and in which documents are stored.
//!
//! What JSON lacks is written as an object with one key: `{"$integer": ...}`, `{"$float": ...}`, `{"$bytes": ...}`.
//! Source: `tests/spec/data-and-functions.md` 1.2, 1.3, 1.7 and 1.8.

pub(crate) mod compact;
mod decode;
mod encode;
mod error;
mod value_deserializer;

pub(crate) use decode::{KeyText, ValueSeed, array_tail, tag_payload};
pub use encode::Format;
pub(crate) use encode::{Formatted, encode_bytes, encode_f64, encode_i64, to_json_string, write_json_behind};
pub use error::{JsonError, JsonErrorKind};
pub(crate) use value_deserializer::ValueDeserializer;

use std::fmt;

use base64::Engine as _;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};

use crate::value::{Object, Value, ValueKind};

/// Most elements of an array. Source: `tests/spec/data-and-functions.md` 1.7, as for the other limits here.
pub const ARRAY_LEN_MAX: usize = 8192;

/// Most fields of an object.
pub const OBJECT_LEN_MAX: usize = 1024;

/// Deepest nesting of arrays and objects in a value.
pub const NESTING_MAX: usize = 64;

/// Largest value, in bytes as [`Value::size`] counts them.
pub const VALUE_SIZE_MAX: usize = 1 << 25;

/// The standard alphabet, written with padding, read with or without it.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// The key of an object that stands for a value which JSON lacks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tag {
    /// `$integer`: an Int64.
    Integer,
    /// `$float`: a Float64 that is not a JSON number.
    Float,
    /// `$bytes`: Bytes.
    Bytes,
}

impl Tag {
    /// The key as it is written.
    #[must_use]
    pub fn key(self) -> &'static str {
        match self {
            Tag::Integer => "$integer",
            Tag::Float => "$float",
            Tag::Bytes => "$bytes",
        }
    }

    /// The type that the tag stands for.
    #[must_use]
    pub fn value_kind(self) -> ValueKind {
        match self {
            Tag::Integer => ValueKind::Int64,
            Tag::Float => ValueKind::Float64,
            Tag::Bytes => ValueKind::Bytes,
        }
    }

    fn of_key(key: &str) -> Option<Tag> {
        match key {
            "$integer" => Some(Tag::Integer),
            "$float" => Some(Tag::Float),
            "$bytes" => Some(Tag::Bytes),
            _ => None,
        }
    }

    /// Reads the payload of the tag.
    pub(crate) fn decode(self, payload: &str) -> Result<Value, JsonErrorKind> {
        match self {
            Tag::Integer => self.decode_word(payload).map(|word| Value::Int64(i64::from_le_bytes(word))),
            Tag::Float => {
                let float = f64::from_le_bytes(self.decode_word(payload)?);
                // Every other double has a form of its own, a plain number.
                if float.is_finite() && float != 0.0 {
                    return Err(JsonErrorKind::FloatNotSpecial { found: float });
                }
                Ok(Value::Float64(float))
            }
            Tag::Bytes => BASE64.decode(payload).map(Value::Bytes).map_err(|_| self.base64_error(payload)),
        }
    }

    fn decode_word(self, payload: &str) -> Result<[u8; 8], JsonErrorKind> {
        let mut bytes = [0; 12];
        let found = match BASE64.decode_slice(payload, &mut bytes) {
            Ok(found) => found,
            // More than the twelve bytes that fit: only then is it worth an allocation.
            Err(base64::DecodeSliceError::OutputSliceTooSmall) => {
                BASE64.decode(payload).map_err(|_| self.base64_error(payload))?.len()
            }
            Err(base64::DecodeSliceError::DecodeError(_)) => return Err(self.base64_error(payload)),
        };
        match bytes.first_chunk::<8>() {
            Some(word) if found == 8 => Ok(*word),
            _ => Err(JsonErrorKind::PayloadLength { tag: self, found, expected: 8 }),
        }
    }

    fn base64_error(self, payload: &str) -> JsonErrorKind {
        JsonErrorKind::Base64 { tag: self, found: payload.chars().take(64).collect() }
    }
}

impl fmt::Display for Tag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.key())
    }
}

impl Value {
    /// Reads a value as clients send it. The last of repeated keys wins.
    ///
    /// Refused are text that is not JSON, ill-formed tags, names that no field may have, and whatever is over
    /// the limits of a value.
    pub fn from_json(text: &str) -> Result<Value, JsonError> {
        let mut deserializer = serde_json::Deserializer::from_str(text);
        let value = serde::de::DeserializeSeed::deserialize(ValueSeed::top(), &mut deserializer)
            .and_then(|value| deserializer.end().map(|()| value))
            .map_err(|e| JsonError::syntax(&e))??;
        // A number takes two characters at least and counts nine bytes: short texts need no count.
        if text.len() > VALUE_SIZE_MAX / 5 {
            let found = value.size();
            if found > VALUE_SIZE_MAX {
                return Err(JsonErrorKind::TooLarge { found, limit: VALUE_SIZE_MAX }.at_top());
            }
        }
        Ok(value)
    }

    /// The value as clients read it: keys in byte order, no whitespace.
    #[must_use]
    pub fn to_json(&self) -> String {
        to_json_string(&Formatted(self, Format::Encoded))
    }

    /// Appends what [`Value::to_json`] gives.
    pub fn write_json(&self, out: &mut String) {
        self.write_json_as(Format::Encoded, out);
    }

    /// Appends the value in the given format.
    pub fn write_json_as(&self, format: Format, out: &mut String) {
        write_json_behind(out, &Formatted(self, format));
    }
}

/// Reads an object as clients send it; see [`Value::from_json`].
pub fn object_from_json(text: &str) -> Result<Object, JsonError> {
    match Value::from_json(text)? {
        Value::Object(object) => Ok(object),
        other => Err(JsonErrorKind::NotAnObject { found: other.kind() }.at_top()),
    }
}

/// An object as clients read it; see [`Value::to_json`].
#[must_use]
pub fn object_to_json(object: &Object) -> String {
    to_json_string(&encode::FormattedObject(object, Format::Encoded))
}
