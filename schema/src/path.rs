//! Paths of functions: `messages:list`, `dir/file.js:fn`.
//!
//! Source: `tests/spec/data-and-functions.md` 7.2. Clients spell the same path in several ways; two paths are equal
//! when their canonical forms are.

use std::fmt;
use std::str::FromStr;

use crate::name::{NameError, check_identifier};

/// Longest part of a module's path, in characters, the extension included.
const PART_LEN_MAX: usize = 64;

const EXTENSION: &str = ".js";

/// The function of a module that is meant when none is named.
const DEFAULT_FUNCTION: &str = "default";

/// The path of a function in its canonical form.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FunctionPath {
    /// `dir/file.js`
    module: String,
    function: String,
}

impl FunctionPath {
    /// Reads any spelling of a path.
    pub fn parse(path: &str) -> Result<FunctionPath, PathError> {
        let (module, function) = path.rsplit_once(':').unwrap_or((path, DEFAULT_FUNCTION));
        let module = canonical_module(module)?;
        check_identifier(function).map_err(PathError::FunctionName)?;
        Ok(FunctionPath { module, function: function.to_owned() })
    }

    /// The module with its extension: `dir/file.js`.
    #[must_use]
    pub fn module(&self) -> &str {
        &self.module
    }

    /// The name of the function: `fn`, or `default`.
    #[must_use]
    pub fn function(&self) -> &str {
        &self.function
    }

    /// The form with the extension and the function's name: `dir/file.js:fn`.
    #[must_use]
    pub fn canonical(&self) -> String {
        format!("{}:{}", self.module, self.function)
    }

    /// The form that people write: `dir/file:fn`, and `dir/file` for the function `default`.
    #[must_use]
    pub fn short(&self) -> String {
        let module = self.module.strip_suffix(EXTENSION).unwrap_or(&self.module);
        if self.function == DEFAULT_FUNCTION { module.to_owned() } else { format!("{module}:{}", self.function) }
    }
}

fn canonical_module(module: &str) -> Result<String, PathError> {
    if module.starts_with('/') {
        return Err(PathError::Absolute { path: module.to_owned() });
    }
    let stem = module.trim_end_matches('/');
    if stem.is_empty() {
        return Err(PathError::NoFile { path: module.to_owned() });
    }
    for part in stem.split('/') {
        match part {
            "." => return Err(PathError::DotPart { path: module.to_owned() }),
            ".." => return Err(PathError::DotDotPart { path: module.to_owned() }),
            _ => {}
        }
    }
    let file = stem.rsplit('/').next().unwrap_or(stem);
    // A dot at the start does not begin an extension, as in the names of hidden files.
    let canonical = match file.rfind('.').filter(|dot| *dot > 0).map(|dot| &file[dot..]) {
        None => format!("{stem}{EXTENSION}"),
        Some(EXTENSION) => stem.to_owned(),
        Some(_) => return Err(PathError::Extension { path: module.to_owned() }),
    };
    for part in canonical.split('/') {
        check_part(part)?;
    }
    Ok(canonical)
}

fn check_part(part: &str) -> Result<(), PathError> {
    if let Some(character) = part.chars().find(|c| !c.is_ascii_alphanumeric() && !matches!(c, '_' | '.')) {
        return Err(PathError::PartCharacter { part: part.to_owned(), character });
    }
    if part.len() > PART_LEN_MAX {
        return Err(PathError::PartTooLong { part: part.to_owned(), found: part.len(), limit: PART_LEN_MAX });
    }
    Ok(())
}

impl fmt::Display for FunctionPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.module, self.function)
    }
}

impl FromStr for FunctionPath {
    type Err = PathError;

    fn from_str(path: &str) -> Result<FunctionPath, PathError> {
        FunctionPath::parse(path)
    }
}

/// Why a text is not the path of a function.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PathError {
    /// The extension is another than `.js`.
    Extension {
        /// The module that was given.
        path: String,
    },
    /// The module starts with a slash.
    Absolute {
        /// The module that was given.
        path: String,
    },
    /// A part of the module is `.`.
    DotPart {
        /// The module that was given.
        path: String,
    },
    /// A part of the module is `..`.
    DotDotPart {
        /// The module that was given.
        path: String,
    },
    /// There is no module.
    NoFile {
        /// The module that was given.
        path: String,
    },
    /// A part of the module has a character that may not be there.
    PartCharacter {
        /// The part, with its extension.
        part: String,
        /// The first such character.
        character: char,
    },
    /// A part of the module is too long.
    PartTooLong {
        /// The part, with its extension.
        part: String,
        /// Its length, in characters.
        found: usize,
        /// The largest length allowed.
        limit: usize,
    },
    /// The function's name is no identifier.
    FunctionName(NameError),
}

impl PathError {
    /// The rule that is broken, as the vectors name it.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            PathError::Extension { .. } => "extension",
            PathError::Absolute { .. } => "absolute",
            PathError::DotPart { .. } => "dot_part",
            PathError::DotDotPart { .. } => "dot_dot_part",
            PathError::NoFile { .. } => "no_file",
            PathError::PartCharacter { .. } => "part_character",
            PathError::PartTooLong { .. } => "part_too_long",
            PathError::FunctionName(error) => error.kind(),
        }
    }
}

impl fmt::Display for PathError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            PathError::Extension { path } => {
                write!(f, "the module {path:?} has an extension other than `.js`; leave it out, or write `.js`")
            }
            PathError::Absolute { path } => {
                write!(f, "the module {path:?} starts with a slash; write it relative to the folder of functions")
            }
            PathError::DotPart { path } => write!(f, "the module {path:?} has a part `.`; leave the part out"),
            PathError::DotDotPart { path } => {
                write!(f, "the module {path:?} has a part `..`; write it relative to the folder of functions")
            }
            PathError::NoFile { path } => {
                write!(f, "the module {path:?} names no file; a path is written `dir/file:function`")
            }
            PathError::PartCharacter { part, character } => write!(
                f,
                "the part {part:?} of the module contains '{}'; use ASCII letters, digits, underscores and dots",
                character.escape_debug(),
            ),
            PathError::PartTooLong { part, found, limit } => {
                write!(f, "the part {part:?} of the module has {found} characters; at most {limit} are allowed")
            }
            PathError::FunctionName(error) => write!(f, "the function's name is wrong: {error}"),
        }
    }
}

impl std::error::Error for PathError {}
