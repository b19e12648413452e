//! Values to text, in the three formats.

use std::io;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::ser::{Serialize, SerializeMap, SerializeSeq, Serializer};
use serde_json::ser::{CompactFormatter, Formatter};

use crate::json::Tag;
use crate::value::{Object, Value};

/// How values are written. Source: `tests/spec/data-and-functions.md` 1.8.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// `convex_encoded_json`: with tags, so that it reads back as the same value. Documents are stored so.
    Encoded,
    /// `json`: without tags; integers, bytes and special floats become strings.
    Clean,
    /// `export_json`: integers as JSON integers, the rest with tags.
    Export,
}

impl Format {
    /// The format of a name in an HTTP request, if there is one of that name.
    #[must_use]
    pub fn parse(name: &str) -> Option<Format> {
        match name {
            "convex_encoded_json" | "convex_json" => Some(Format::Encoded),
            "json" | "convex_clean_json" => Some(Format::Clean),
            "export_json" => Some(Format::Export),
            _ => None,
        }
    }
}

/// A value to be written in a format.
pub(crate) struct Formatted<'a>(pub &'a Value, pub Format);

impl Serialize for Formatted<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Formatted(value, format) = *self;
        match value {
            Value::Null => serializer.serialize_unit(),
            Value::Boolean(b) => serializer.serialize_bool(*b),
            Value::String(s) => serializer.serialize_str(s),
            Value::Int64(i) => match format {
                Format::Encoded => encode_i64(*i, serializer),
                Format::Clean => serializer.collect_str(i),
                Format::Export => serializer.serialize_i64(*i),
            },
            Value::Float64(x) => match format {
                Format::Encoded => encode_f64(*x, serializer),
                Format::Clean | Format::Export if x.is_finite() => serializer.serialize_f64(*x),
                Format::Clean => serializer.serialize_str(special_float_name(*x)),
                Format::Export => encode_f64(*x, serializer),
            },
            Value::Bytes(b) => match format {
                Format::Encoded | Format::Export => encode_bytes(b, serializer),
                Format::Clean => serializer.serialize_str(&STANDARD.encode(b)),
            },
            Value::Array(items) => {
                let mut seq = serializer.serialize_seq(Some(items.len()))?;
                for item in items {
                    seq.serialize_element(&Formatted(item, format))?;
                }
                seq.end()
            }
            Value::Object(fields) => FormattedObject(fields, format).serialize(serializer),
        }
    }
}

/// An object to be written in a format.
pub(crate) struct FormattedObject<'a>(pub &'a Object, pub Format);

impl Serialize for FormattedObject<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.0.len()))?;
        for (name, value) in self.0 {
            map.serialize_entry(name, &Formatted(value, self.1))?;
        }
        map.end()
    }
}

fn special_float_name(x: f64) -> &'static str {
    match x {
        x if x.is_nan() => "NaN",
        x if x > 0.0 => "Infinity",
        _ => "-Infinity",
    }
}

fn encode_tag<S: Serializer>(tag: Tag, payload: &str, serializer: S) -> Result<S::Ok, S::Error> {
    let mut map = serializer.serialize_map(Some(1))?;
    map.serialize_entry(tag.key(), payload)?;
    map.end()
}

fn encode_word<S: Serializer>(tag: Tag, word: [u8; 8], serializer: S) -> Result<S::Ok, S::Error> {
    let mut payload = [0; 12];
    let len = STANDARD.encode_slice(word, &mut payload).map_err(serde::ser::Error::custom)?;
    encode_tag(tag, str::from_utf8(&payload[..len]).map_err(serde::ser::Error::custom)?, serializer)
}

/// Writes an Int64 with its tag.
pub(crate) fn encode_i64<S: Serializer>(value: i64, serializer: S) -> Result<S::Ok, S::Error> {
    encode_word(Tag::Integer, value.to_le_bytes(), serializer)
}

/// Writes a Float64: a number, or with its tag where JSON has no number for it.
pub(crate) fn encode_f64<S: Serializer>(value: f64, serializer: S) -> Result<S::Ok, S::Error> {
    if value.is_finite() && !(value == 0.0 && value.is_sign_negative()) {
        return serializer.serialize_f64(value);
    }
    encode_word(Tag::Float, value.to_le_bytes(), serializer)
}

/// Writes Bytes with their tag.
pub(crate) fn encode_bytes<S: Serializer>(value: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
    encode_tag(Tag::Bytes, &STANDARD.encode(value), serializer)
}

/// The text of something that is written as a value.
///
/// # Panics
///
/// When an implementation of `FieldType::encode` fails by itself: memory does not.
pub(crate) fn to_json_string<T: Serialize>(value: &T) -> String {
    let mut text = String::with_capacity(128);
    write_json_behind(&mut text, value);
    text
}

/// The same, behind what a text has.
///
/// # Panics
///
/// As [`to_json_string`].
pub(crate) fn write_json_behind<T: Serialize>(text: &mut String, value: &T) {
    let mut serializer = serde_json::Serializer::with_formatter(Behind(text), CanonicalFormatter);
    value.serialize(&mut serializer).expect("writing a value into memory does not fail");
}

/// A text that bytes are written behind. `serde_json` writes whole characters at once.
struct Behind<'a>(&'a mut String);

impl io::Write for Behind<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let text = str::from_utf8(bytes).map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
        self.0.push_str(text);
        Ok(bytes.len())
    }

    fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.write(bytes).map(drop)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Whole floats below it are written as integers are, with `.0` behind them.
const WHOLE_BELOW: f64 = 1e15;

/// Compact JSON with floats as the spec spells them: `1e21`, where serde_json now writes `1e+21`.
struct CanonicalFormatter;

impl Formatter for CanonicalFormatter {
    fn write_f64<W: ?Sized + io::Write>(&mut self, writer: &mut W, value: f64) -> io::Result<()> {
        let whole = value as i64;
        if value.abs() < WHOLE_BELOW && whole as f64 == value && (whole != 0 || value.is_sign_positive()) {
            let mut digits = itoa::Buffer::new();
            writer.write_all(digits.format(whole).as_bytes())?;
            return writer.write_all(b".0");
        }
        // The longest float has 24 characters: sign, 17 digits, point, and an exponent such as `e-308`.
        let mut text = [0; 32];
        let mut rest = &mut text[..];
        CompactFormatter.write_f64(&mut rest, value)?;
        let len = 32 - rest.len();
        match text[..len].iter().position(|byte| *byte == b'+') {
            None => writer.write_all(&text[..len]),
            Some(plus) => {
                writer.write_all(&text[..plus])?;
                writer.write_all(&text[plus + 1..len])
            }
        }
    }
}
