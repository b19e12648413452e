//! Which texts may be names: identifiers, field names, table names, and the paths that indexes and filters use.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

/// Longest identifier, in characters. Source: `tests/spec/data-and-functions.md` 1.4.
pub const IDENTIFIER_LEN_MAX: usize = 64;

/// Longest name of an object's field, in bytes. Source: `tests/spec/data-and-functions.md` 1.4.
pub const FIELD_NAME_LEN_MAX: usize = 1024;

/// The field that holds a document's id.
pub const ID_FIELD: &str = "_id";

/// The field that holds the time at which a document was created.
pub const CREATION_TIME_FIELD: &str = "_creationTime";

/// Whether a field's name is one of the two that the store itself fills in.
#[must_use]
pub fn is_system_field(name: &str) -> bool {
    name == ID_FIELD || name == CREATION_TIME_FIELD
}

/// Why a text is not a name. Each variant has the text that was given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NameError {
    /// An identifier has at least one character.
    Empty,
    /// An identifier starts with a letter or `_`.
    FirstCharacter {
        /// The text that was given.
        name: String,
        /// Its first character.
        character: char,
    },
    /// An identifier has letters, digits and `_` only.
    Character {
        /// The text that was given.
        name: String,
        /// The first character that may not be there.
        character: char,
    },
    /// An identifier is not all underscores.
    AllUnderscores {
        /// The text that was given.
        name: String,
    },
    /// The name is longer than allowed.
    TooLong {
        /// The text that was given.
        name: String,
        /// Its length.
        found: usize,
        /// The largest length allowed.
        limit: usize,
    },
    /// Names that start with `$` are kept for the tags of encoded values.
    ReservedDollar {
        /// The text that was given.
        name: String,
    },
    /// A field's name has printable ASCII characters only.
    FieldCharacter {
        /// The text that was given.
        name: String,
        /// The first character that may not be there.
        character: char,
    },
    /// A field path has at least one part.
    EmptyPath {
        /// The text that was given.
        path: String,
    },
}

impl NameError {
    /// The rule that is broken, as the vectors name it.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            NameError::Empty => "empty",
            NameError::FirstCharacter { .. } => "first_character",
            NameError::Character { .. } => "character",
            NameError::AllUnderscores { .. } => "all_underscores",
            NameError::TooLong { .. } => "too_long",
            NameError::ReservedDollar { .. } => "reserved_dollar",
            NameError::FieldCharacter { .. } => "field_character",
            NameError::EmptyPath { .. } => "empty_path",
        }
    }
}

impl fmt::Display for NameError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            NameError::Empty => f.write_str("a name is empty; it needs at least one character"),
            NameError::FirstCharacter { name, character } => write!(
                f,
                "`{}` is no identifier: it starts with '{}'; start it with a letter or an underscore",
                name.escape_debug(),
                character.escape_debug(),
            ),
            NameError::Character { name, character } => write!(
                f,
                "`{}` is no identifier: '{}' is not allowed in it; use ASCII letters, digits and underscores",
                name.escape_debug(),
                character.escape_debug(),
            ),
            NameError::AllUnderscores { name } => {
                write!(f, "`{name}` is no identifier: it has only underscores; add a letter or a digit")
            }
            NameError::TooLong { name, found, limit } => {
                let start: String = name.chars().take(16).collect();
                write!(f, "the name `{}...` has {found} characters; at most {limit} are allowed", start.escape_debug())
            }
            NameError::ReservedDollar { name } => write!(
                f,
                "the field name `{}` starts with `$`, which is kept for the tags of encoded values; rename the field",
                name.escape_debug(),
            ),
            NameError::FieldCharacter { name, character } => write!(
                f,
                "the field name `{}` contains '{}'; only printable ASCII characters are allowed",
                name.escape_debug(),
                character.escape_debug(),
            ),
            NameError::EmptyPath { path } => write!(
                f,
                "the field path `{}` has no part; name a field, or fields joined with dots",
                path.escape_debug(),
            ),
        }
    }
}

impl std::error::Error for NameError {}

/// Checks that a text may name a table, an index, a function, an argument or a field of a validator.
pub fn check_identifier(name: &str) -> Result<(), NameError> {
    let Some(first) = name.chars().next() else { return Err(NameError::Empty) };
    if !first.is_ascii_alphabetic() && first != '_' {
        return Err(NameError::FirstCharacter { name: name.to_owned(), character: first });
    }
    if let Some(character) = name.chars().find(|c| !c.is_ascii_alphanumeric() && *c != '_') {
        return Err(NameError::Character { name: name.to_owned(), character });
    }
    if name.len() > IDENTIFIER_LEN_MAX {
        return Err(NameError::TooLong { name: name.to_owned(), found: name.len(), limit: IDENTIFIER_LEN_MAX });
    }
    if name.bytes().all(|b| b == b'_') {
        return Err(NameError::AllUnderscores { name: name.to_owned() });
    }
    Ok(())
}

/// Checks that a text may be a field's name in any object. The empty name is allowed.
pub fn check_field_name(name: &str) -> Result<(), NameError> {
    if name.starts_with('$') {
        return Err(NameError::ReservedDollar { name: name.to_owned() });
    }
    if !name.bytes().all(|b| matches!(b, 0x20..=0x7e)) {
        let character = name.chars().find(|c| !matches!(c, ' '..='~')).unwrap_or(char::REPLACEMENT_CHARACTER);
        return Err(NameError::FieldCharacter { name: name.to_owned(), character });
    }
    if name.len() > FIELD_NAME_LEN_MAX {
        return Err(NameError::TooLong { name: name.to_owned(), found: name.len(), limit: FIELD_NAME_LEN_MAX });
    }
    Ok(())
}

/// Where a field is in a document: identifiers, outermost first. Written with dots: `address.city`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FieldPath {
    parts: Arc<[String]>,
}

impl FieldPath {
    /// Reads identifiers joined with dots. Dots at either end are dropped.
    pub fn parse(path: &str) -> Result<FieldPath, NameError> {
        let trimmed = path.trim_matches('.');
        if trimmed.is_empty() {
            return Err(NameError::EmptyPath { path: path.to_owned() });
        }
        let mut parts = Vec::new();
        for part in trimmed.split('.') {
            if part.starts_with('$') {
                return Err(NameError::ReservedDollar { name: part.to_owned() });
            }
            check_identifier(part)?;
            parts.push(part.to_owned());
        }
        Ok(FieldPath { parts: parts.into() })
    }

    /// The path of `_id`.
    #[must_use]
    pub fn id() -> FieldPath {
        FieldPath { parts: [ID_FIELD.to_owned()].into() }
    }

    /// The path of `_creationTime`.
    #[must_use]
    pub fn creation_time() -> FieldPath {
        FieldPath { parts: [CREATION_TIME_FIELD.to_owned()].into() }
    }

    /// The identifiers, outermost first; there is at least one.
    #[must_use]
    pub fn parts(&self) -> &[String] {
        &self.parts
    }

    /// Whether this path is the one field `name` at the top of the document.
    #[must_use]
    pub fn is(&self, name: &str) -> bool {
        self.parts.len() == 1 && self.parts[0] == name
    }
}

impl FromStr for FieldPath {
    type Err = NameError;

    fn from_str(path: &str) -> Result<FieldPath, NameError> {
        FieldPath::parse(path)
    }
}

impl fmt::Display for FieldPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, part) in self.parts.iter().enumerate() {
            if i > 0 {
                f.write_str(".")?;
            }
            f.write_str(part)?;
        }
        Ok(())
    }
}
