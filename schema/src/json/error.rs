//! Why a text is not a value.

use std::fmt;

use crate::json::Tag;
use crate::name::NameError;
use crate::value::ValueKind;

/// Why a text is not a value, and where in it.
#[derive(Clone, Debug, PartialEq)]
pub struct JsonError {
    /// Where in the value: `.a[1].b`, empty at the top.
    pub path: String,
    /// What is wrong there.
    pub kind: JsonErrorKind,
}

/// What is wrong with a value's text.
#[derive(Clone, Debug, PartialEq)]
pub enum JsonErrorKind {
    /// The text is not JSON, or has a number outside of the doubles.
    Syntax {
        /// What the parser says.
        detail: String,
        /// Line of the text, from 1.
        line: usize,
        /// Column of the line, from 1.
        column: usize,
    },
    /// The payload of a tag is a string, but not base64 in the standard alphabet.
    Base64 {
        /// The tag.
        tag: Tag,
        /// The start of the payload.
        found: String,
    },
    /// The payload of a tag has the wrong number of bytes.
    PayloadLength {
        /// The tag.
        tag: Tag,
        /// Bytes found.
        found: usize,
        /// Bytes expected.
        expected: usize,
    },
    /// The payload of a tag is not a string.
    PayloadType {
        /// The tag.
        tag: Tag,
        /// The JSON type found: `null`, `boolean`, `integer`, `floating`, `sequence` or `map`.
        found: &'static str,
    },
    /// A `$float` that has to be written as a plain number.
    FloatNotSpecial {
        /// The number.
        found: f64,
    },
    /// A key that no field may have.
    FieldName(NameError),
    /// More elements than an array may have.
    ArrayTooLong {
        /// Elements found.
        found: usize,
        /// Elements allowed.
        limit: usize,
    },
    /// More fields than an object may have.
    TooManyFields {
        /// Fields found.
        found: usize,
        /// Fields allowed.
        limit: usize,
    },
    /// Arrays and objects are nested too deep.
    TooNested {
        /// The first level that is too deep, or the whole depth where it is known.
        found: usize,
        /// Levels allowed.
        limit: usize,
    },
    /// The value is too large.
    TooLarge {
        /// Bytes found.
        found: usize,
        /// Bytes allowed.
        limit: usize,
    },
    /// An object is expected.
    NotAnObject {
        /// The type found.
        found: ValueKind,
    },
}

impl JsonErrorKind {
    /// The error at the top of the value.
    pub(crate) fn at_top(self) -> JsonError {
        JsonError { path: String::new(), kind: self }
    }

    /// The rule that is broken, as the vectors name it.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            JsonErrorKind::Syntax { .. } => "json",
            JsonErrorKind::Base64 { .. } => "base64",
            JsonErrorKind::PayloadLength { .. } => "payload_length",
            JsonErrorKind::PayloadType { .. } => "payload_type",
            JsonErrorKind::FloatNotSpecial { .. } => "float_not_special",
            JsonErrorKind::FieldName(error) => error.kind(),
            JsonErrorKind::ArrayTooLong { .. } => "array_too_long",
            JsonErrorKind::TooManyFields { .. } => "too_many_fields",
            JsonErrorKind::TooNested { .. } => "too_nested",
            JsonErrorKind::TooLarge { .. } => "too_large",
            JsonErrorKind::NotAnObject { .. } => "not_an_object",
        }
    }
}

impl JsonError {
    pub(crate) fn syntax(error: &serde_json::Error) -> JsonError {
        let text = error.to_string();
        // The parser ends its text with the place, which has fields of its own here.
        let detail = text.rsplit_once(" at line ").map_or(text.as_str(), |(detail, _)| detail).to_owned();
        JsonErrorKind::Syntax { detail, line: error.line(), column: error.column() }.at_top()
    }

    /// The code by which clients and tools know the error, where it has one.
    #[must_use]
    pub fn code(&self) -> Option<&'static str> {
        match &self.kind {
            JsonErrorKind::ArrayTooLong { .. } => Some("ArrayTooLong"),
            JsonErrorKind::TooManyFields { .. } => Some("TooManyFieldsError"),
            JsonErrorKind::TooNested { .. } => Some("TooNestedError"),
            JsonErrorKind::TooLarge { .. } => Some("ValueTooLargeError"),
            _ => None,
        }
    }

    /// Puts a field's name before the path, on the way out of an object.
    pub(crate) fn in_field(mut self, name: &str) -> JsonError {
        self.path = format!(".{name}{}", self.path);
        self
    }

    /// Puts an index before the path, on the way out of an array.
    pub(crate) fn in_element(mut self, index: usize) -> JsonError {
        self.path = format!("[{index}]{}", self.path);
        self
    }
}

impl fmt::Display for JsonError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(code) = self.code() {
            write!(f, "{code}: ")?;
        }
        if !self.path.is_empty() {
            write!(f, "at {}: ", self.path.escape_debug())?;
        }
        self.kind.fmt(f)
    }
}

impl fmt::Display for JsonErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            JsonErrorKind::Syntax { detail, line, column } => {
                write!(f, "the text is not JSON: {detail} (line {line}, column {column})")
            }
            JsonErrorKind::Base64 { tag, found } => write!(
                f,
                "the payload of `{tag}` is {found:?}, which is not base64; use the standard alphabet (`+`, `/`), \
                 no whitespace, and zero in the bits after the last byte",
            ),
            JsonErrorKind::PayloadLength { tag, found, expected } => write!(
                f,
                "the payload of `{tag}` has {found} bytes; {} needs exactly {expected}, little-endian",
                tag.value_kind(),
            ),
            JsonErrorKind::PayloadType { tag, found } => {
                write!(f, "the payload of `{tag}` is of type {found}; expected a string with base64")
            }
            JsonErrorKind::FloatNotSpecial { found } => write!(
                f,
                "`$float` holds {found:?}, which has to be written as a plain number; \
                 the tag is for NaN, the infinities and -0",
            ),
            JsonErrorKind::FieldName(error) => error.fmt(f),
            JsonErrorKind::ArrayTooLong { found, limit } => {
                write!(f, "an array has {found} elements; at most {limit} are allowed; split it up")
            }
            JsonErrorKind::TooManyFields { found, limit } => {
                write!(f, "an object has {found} fields; at most {limit} are allowed; use an array of pairs")
            }
            JsonErrorKind::TooNested { found, limit } => {
                write!(
                    f,
                    "arrays and objects are nested {found} levels deep; at most {limit} are allowed; flatten them"
                )
            }
            JsonErrorKind::TooLarge { found, limit } => {
                write!(f, "the value has {found} bytes; at most {limit} are allowed; split it up")
            }
            JsonErrorKind::NotAnObject { found } => write!(f, "the value is of type {found}; expected an Object"),
        }
    }
}

impl std::error::Error for JsonError {}
