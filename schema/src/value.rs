//! A value as functions, documents and clients exchange it, with its total order, its size and its printed form.
//!
//! Source: `tests/spec/data-and-functions.md` 1.1, 1.7, 1.9 and 3.3. There is no undefined value: a missing
//! field is `None` wherever it can be meant.

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::name::FieldPath;

/// The fields of an object, in the order of their names' bytes.
pub type Object = BTreeMap<String, Value>;

/// Any value. Its order is total: types first, in the order of the variants, then by content.
#[derive(Clone, Debug)]
pub enum Value {
    /// `null`.
    Null,
    /// A 64-bit integer; never equal to a float.
    Int64(i64),
    /// A double; every JSON number is one. NaN equals itself when the bits do, and -0 differs from 0.
    Float64(f64),
    /// `true` or `false`.
    Boolean(bool),
    /// Text. Document ids are strings too.
    String(String),
    /// Raw bytes.
    Bytes(Vec<u8>),
    /// Values in order.
    Array(Vec<Value>),
    /// Values by name.
    Object(Object),
}

/// The type of a value. Displays as the spec names it: `Int64`, `Float64`, ...
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ValueKind {
    /// See [`Value::Null`].
    Null,
    /// See [`Value::Int64`].
    Int64,
    /// See [`Value::Float64`].
    Float64,
    /// See [`Value::Boolean`].
    Boolean,
    /// See [`Value::String`].
    String,
    /// See [`Value::Bytes`].
    Bytes,
    /// See [`Value::Array`].
    Array,
    /// See [`Value::Object`].
    Object,
}

impl ValueKind {
    /// The name of the type.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            ValueKind::Null => "Null",
            ValueKind::Int64 => "Int64",
            ValueKind::Float64 => "Float64",
            ValueKind::Boolean => "Boolean",
            ValueKind::String => "String",
            ValueKind::Bytes => "Bytes",
            ValueKind::Array => "Array",
            ValueKind::Object => "Object",
        }
    }
}

impl fmt::Display for ValueKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl Value {
    /// The type of the value.
    #[must_use]
    pub fn kind(&self) -> ValueKind {
        match self {
            Value::Null => ValueKind::Null,
            Value::Int64(_) => ValueKind::Int64,
            Value::Float64(_) => ValueKind::Float64,
            Value::Boolean(_) => ValueKind::Boolean,
            Value::String(_) => ValueKind::String,
            Value::Bytes(_) => ValueKind::Bytes,
            Value::Array(_) => ValueKind::Array,
            Value::Object(_) => ValueKind::Object,
        }
    }

    /// The size in bytes that limits are counted in, the same as `getConvexSize` of the JavaScript client.
    #[must_use]
    pub fn size(&self) -> usize {
        match self {
            Value::Null | Value::Boolean(_) => 1,
            Value::Int64(_) | Value::Float64(_) => 9,
            Value::String(s) => 2 + s.len(),
            Value::Bytes(b) => 2 + b.len(),
            Value::Array(items) => 2 + items.iter().map(Value::size).sum::<usize>(),
            Value::Object(fields) => {
                2 + fields.iter().map(|(name, value)| name.len() + 1 + value.size()).sum::<usize>()
            }
        }
    }

    /// How deep arrays and objects are nested: 0 for a value that is neither.
    #[must_use]
    pub fn depth(&self) -> usize {
        match self {
            Value::Array(items) => 1 + items.iter().map(Value::depth).max().unwrap_or(0),
            Value::Object(fields) => 1 + fields.values().map(Value::depth).max().unwrap_or(0),
            _ => 0,
        }
    }

    /// The value at a path, or `None` where a field on the way is missing or its holder is no object.
    #[must_use]
    pub fn at(&self, path: &FieldPath) -> Option<&Value> {
        at_parts(Some(self), path.parts())
    }
}

/// The value at a path in an object; see [`Value::at`].
#[must_use]
pub fn object_at<'a>(object: &'a Object, path: &FieldPath) -> Option<&'a Value> {
    let (first, rest) = path.parts().split_first()?;
    at_parts(object.get(first), rest)
}

fn at_parts<'a>(mut value: Option<&'a Value>, parts: &[String]) -> Option<&'a Value> {
    for part in parts {
        let Some(Value::Object(fields)) = value else { return None };
        value = fields.get(part);
    }
    value
}

impl Ord for Value {
    fn cmp(&self, other: &Value) -> Ordering {
        match (self, other) {
            (Value::Int64(a), Value::Int64(b)) => a.cmp(b),
            (Value::Float64(a), Value::Float64(b)) => a.total_cmp(b),
            (Value::Boolean(a), Value::Boolean(b)) => a.cmp(b),
            (Value::String(a), Value::String(b)) => a.cmp(b),
            (Value::Bytes(a), Value::Bytes(b)) => a.cmp(b),
            (Value::Array(a), Value::Array(b)) => a.cmp(b),
            (Value::Object(a), Value::Object(b)) => a.cmp(b),
            _ => self.kind().cmp(&other.kind()),
        }
    }
}

impl PartialOrd for Value {
    fn partial_cmp(&self, other: &Value) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Value {
    fn eq(&self, other: &Value) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Value {}

/// Prints the value as messages show it: `{a: 1.0, b: [null]}`. Not a form that can be read back.
impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Value::Null => f.write_str("null"),
            Value::Int64(i) => write!(f, "{i}"),
            Value::Float64(x) => write!(f, "{x:?}"),
            Value::Boolean(b) => write!(f, "{b}"),
            Value::String(s) => write!(f, "{s:?}"),
            Value::Bytes(b) => write!(f, "b\"{}\"", STANDARD.encode(b)),
            Value::Array(items) => {
                f.write_str("[")?;
                for (i, item) in items.iter().enumerate() {
                    f.write_str(if i == 0 { "" } else { ", " })?;
                    item.fmt(f)?;
                }
                f.write_str("]")
            }
            Value::Object(fields) => PrintedObject(fields).fmt(f),
        }
    }
}

/// Prints an object that is not wrapped in a [`Value`].
pub(crate) struct PrintedObject<'a>(pub &'a Object);

impl fmt::Display for PrintedObject<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("{")?;
        for (i, (name, value)) in self.0.iter().enumerate() {
            f.write_str(if i == 0 { "" } else { ", " })?;
            write!(f, "{name}: {value}")?;
        }
        f.write_str("}")
    }
}

/// Longest print of a value in a message, in bytes: a message is to be read, and an argument may have 16 MiB.
const PRINT_LEN_MAX: usize = 8 * 1024;

/// Prints something into a string of bounded length; what is cut off is counted.
pub(crate) fn print(value: &impl fmt::Display) -> String {
    struct Bounded {
        text: String,
        n_cut: usize,
    }
    impl fmt::Write for Bounded {
        fn write_str(&mut self, s: &str) -> fmt::Result {
            // Nothing is written after the first cut, else the print would have a hole.
            let room = if self.n_cut > 0 { 0 } else { PRINT_LEN_MAX - self.text.len() };
            let fits = (0..=room.min(s.len())).rev().find(|&i| s.is_char_boundary(i)).unwrap_or(0);
            self.text.push_str(&s[..fits]);
            self.n_cut += s.len() - fits;
            Ok(())
        }
    }
    let mut out = Bounded { text: String::new(), n_cut: 0 };
    fmt::write(&mut out, format_args!("{value}")).unwrap_or_default();
    if out.n_cut > 0 {
        out.text.push_str(&format!("... ({} more bytes)", out.n_cut));
    }
    out.text
}

impl From<bool> for Value {
    fn from(value: bool) -> Value {
        Value::Boolean(value)
    }
}

impl From<f64> for Value {
    fn from(value: f64) -> Value {
        Value::Float64(value)
    }
}

impl From<i64> for Value {
    fn from(value: i64) -> Value {
        Value::Int64(value)
    }
}

impl From<&str> for Value {
    fn from(value: &str) -> Value {
        Value::String(value.to_owned())
    }
}

impl From<String> for Value {
    fn from(value: String) -> Value {
        Value::String(value)
    }
}

impl From<Object> for Value {
    fn from(value: Object) -> Value {
        Value::Object(value)
    }
}

impl From<Vec<Value>> for Value {
    fn from(value: Vec<Value>) -> Value {
        Value::Array(value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_print_is_cut_between_characters_and_says_so() {
        assert_eq!(print(&Value::from("é")), "\"é\"");
        let cut = print(&Value::from("é".repeat(PRINT_LEN_MAX)));
        assert!(cut.len() < PRINT_LEN_MAX + 32, "{}", cut.len());
        // One quote and 4095 letters of two bytes fit; the rest of the letters and the other quote do not.
        assert!(cut.ends_with("é... (8195 more bytes)"), "{cut}");
    }

    #[test]
    fn a_path_leads_through_objects_only() {
        let value = Value::from_json(r#"{"a":{"b":1},"s":"x"}"#).unwrap();
        let at = |path: &str| value.at(&FieldPath::parse(path).unwrap()).map(Value::to_string);
        assert_eq!(at("a.b").as_deref(), Some("1.0"));
        assert_eq!((at("a.c"), at("s.b"), at("x.y")), (None, None, None));
    }
}
