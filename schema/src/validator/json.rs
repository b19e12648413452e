//! Validators as JSON: the form in which tools and the JavaScript library exchange them.

use std::collections::BTreeMap;
use std::fmt;

use serde::de::DeserializeSeed as _;
use serde_json::{Map, Value as Tree, json};

use crate::json::{Format, Formatted, JsonError, ValueSeed};
use crate::name::{NameError, check_identifier};
use crate::validator::{FieldValidator, Validator};
use crate::value::{Value, print};

/// Why a text is not a validator.
#[derive(Clone, Debug, PartialEq)]
pub struct ValidatorError {
    /// The keys of `v.object` that lead to the place, outermost first.
    pub keys: Vec<String>,
    /// What is wrong there.
    pub kind: ValidatorErrorKind,
}

/// What is wrong with a validator's text.
#[derive(Clone, Debug, PartialEq)]
pub enum ValidatorErrorKind {
    /// The text is not JSON, or a literal is no value.
    Json(JsonError),
    /// A member is missing or of the wrong JSON type.
    Member {
        /// Its name.
        name: &'static str,
        /// What is expected there.
        expected: &'static str,
    },
    /// There is no such type of validators.
    UnknownType {
        /// The type that was given.
        found: String,
    },
    /// The key of an object or the name of a table is no identifier.
    Name(NameError),
    /// A literal of a type that literals cannot have.
    LiteralValue {
        /// The value, as it is printed in messages.
        found: String,
    },
    /// The keys of a record have to be strings.
    RecordKeysNotString {
        /// The validator of the keys, as it is printed in messages.
        found: String,
    },
    /// The keys of a record are not literals: that would be an object.
    RecordKeysLiteral,
    /// The values of a record cannot be missing.
    RecordValuesOptional,
}

impl ValidatorErrorKind {
    /// The rule that is broken, as the vectors name it.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            ValidatorErrorKind::Json(error) => error.kind.name(),
            ValidatorErrorKind::Member { .. } => "member",
            ValidatorErrorKind::UnknownType { .. } => "unknown_type",
            ValidatorErrorKind::Name(error) => error.kind(),
            ValidatorErrorKind::LiteralValue { .. } => "literal_value",
            ValidatorErrorKind::RecordKeysNotString { .. } => "record_keys_not_string",
            ValidatorErrorKind::RecordKeysLiteral => "record_keys_literal",
            ValidatorErrorKind::RecordValuesOptional => "record_values_optional",
        }
    }

    /// What is expected in place of what was found, where the vectors tell it.
    #[must_use]
    pub fn expected(&self) -> Option<&'static str> {
        match self {
            ValidatorErrorKind::Member { expected, .. } => Some(expected),
            ValidatorErrorKind::LiteralValue { .. } => Some("string, float, int64 or boolean"),
            ValidatorErrorKind::RecordKeysNotString { .. } => Some("a subtype of v.string()"),
            _ => None,
        }
    }
}

impl From<ValidatorErrorKind> for ValidatorError {
    fn from(kind: ValidatorErrorKind) -> ValidatorError {
        ValidatorError { keys: Vec::new(), kind }
    }
}

impl fmt::Display for ValidatorError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.keys.is_empty() {
            write!(f, "in the field `{}`: ", self.keys.join("."))?;
        }
        match &self.kind {
            ValidatorErrorKind::Json(error) => error.fmt(f),
            ValidatorErrorKind::Member { name, expected } => {
                write!(f, "the member `{name}` of a validator is missing or wrong; expected {expected}")
            }
            ValidatorErrorKind::UnknownType { found } => write!(
                f,
                "there is no validator of type {found:?}; expected null, number, bigint, commitTs, boolean, string, \
                 bytes, any, id, literal, array, record, object or union",
            ),
            ValidatorErrorKind::Name(error) => error.fmt(f),
            ValidatorErrorKind::LiteralValue { found } => {
                write!(f, "{found} cannot be a literal; expected a string, float, int64 or boolean")
            }
            ValidatorErrorKind::RecordKeysNotString { found } => {
                write!(f, "the keys of a record are {found}; expected a subtype of v.string()")
            }
            ValidatorErrorKind::RecordKeysLiteral => {
                f.write_str("the keys of a record are a literal; use v.object for fields that are known by name")
            }
            ValidatorErrorKind::RecordValuesOptional => {
                f.write_str("the values of a record are optional; leave v.optional out, for a record may lack any key")
            }
        }
    }
}

impl std::error::Error for ValidatorError {}

/// A literal for which the JSON of validators has no form: NaN, an infinity, or a value that is no literal at all.
#[derive(Clone, Debug, PartialEq)]
pub struct UnsupportedLiteral {
    /// The literal.
    pub found: Value,
}

impl fmt::Display for UnsupportedLiteral {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Value::Float64(_) = self.found {
            f.write_str("UnsupportedFloatLiteral: ")?;
        }
        write!(
            f,
            "the literal {} cannot be exported; expected a string, a finite float, an int64 or a boolean",
            print(&self.found)
        )
    }
}

impl std::error::Error for UnsupportedLiteral {}

impl Validator {
    /// Reads a validator. The retired types `map` and `set` are read as `any`.
    pub fn from_json(text: &str) -> Result<Validator, ValidatorError> {
        let tree = serde_json::from_str(text).map_err(|e| ValidatorErrorKind::Json(JsonError::syntax(&e)))?;
        from_tree(&tree)
    }

    /// The JSON of the validator.
    pub fn to_json(&self) -> Result<String, UnsupportedLiteral> {
        Ok(crate::json::to_json_string(&to_tree(self)?))
    }
}

/// Reads a validator from JSON that is parsed already.
pub(crate) fn from_tree(tree: &Tree) -> Result<Validator, ValidatorError> {
    let kind = text(tree, "type", "the name of a type")?;
    Ok(match kind {
        "null" => Validator::Null,
        "number" => Validator::Float64,
        "bigint" => Validator::Int64,
        "commitTs" => Validator::CommitTs,
        "boolean" => Validator::Boolean,
        "string" => Validator::String,
        "bytes" => Validator::Bytes,
        "any" | "map" | "set" => Validator::Any,
        "id" => {
            let table = text(tree, "tableName", "the name of a table")?;
            check_identifier(table).map_err(ValidatorErrorKind::Name)?;
            Validator::Id(table.to_owned())
        }
        "literal" => Validator::Literal(literal(member(tree, "value", "a value")?)?),
        "array" => Validator::array(from_tree(member(tree, "value", "a validator")?)?),
        "record" => record(tree)?,
        "object" => Validator::Object(fields(tree)?),
        "union" => {
            let members = tree.get("value").and_then(Tree::as_array);
            let members = members.ok_or(ValidatorErrorKind::Member { name: "value", expected: "validators" })?;
            Validator::Union(members.iter().map(from_tree).collect::<Result<_, _>>()?)
        }
        found => return Err(ValidatorErrorKind::UnknownType { found: found.to_owned() }.into()),
    })
}

/// Reads a validator that may be null, which means that nothing is checked.
pub(crate) fn optional_tree(tree: Option<&Tree>) -> Result<Validator, ValidatorError> {
    match tree {
        None | Some(Tree::Null) => Ok(Validator::Any),
        Some(tree) => from_tree(tree),
    }
}

fn member<'a>(tree: &'a Tree, name: &'static str, expected: &'static str) -> Result<&'a Tree, ValidatorError> {
    tree.get(name).ok_or_else(|| ValidatorErrorKind::Member { name, expected }.into())
}

fn text<'a>(tree: &'a Tree, name: &'static str, expected: &'static str) -> Result<&'a str, ValidatorError> {
    member(tree, name, expected)?.as_str().ok_or_else(|| ValidatorErrorKind::Member { name, expected }.into())
}

fn literal(tree: &Tree) -> Result<Value, ValidatorError> {
    let value = ValueSeed::top().deserialize(tree).map_err(|e| ValidatorErrorKind::Json(JsonError::syntax(&e)))?;
    let value = value.map_err(ValidatorErrorKind::Json)?;
    match value {
        Value::String(_) | Value::Float64(_) | Value::Int64(_) | Value::Boolean(_) => Ok(value),
        other => Err(ValidatorErrorKind::LiteralValue { found: print(&other) }.into()),
    }
}

fn record(tree: &Tree) -> Result<Validator, ValidatorError> {
    let keys = from_tree(member(tree, "keys", "a validator")?)?;
    let values = field(member(tree, "values", "a field's validator")?)?;
    if matches!(&keys, Validator::Literal(Value::String(_))) {
        return Err(ValidatorErrorKind::RecordKeysLiteral.into());
    }
    if !keys.is_subset_of(&Validator::String) {
        return Err(ValidatorErrorKind::RecordKeysNotString { found: keys.to_string() }.into());
    }
    if values.optional {
        return Err(ValidatorErrorKind::RecordValuesOptional.into());
    }
    Ok(Validator::record(keys, values.validator))
}

fn fields(tree: &Tree) -> Result<BTreeMap<String, FieldValidator>, ValidatorError> {
    let members = tree.get("value").and_then(Tree::as_object);
    let members = members.ok_or(ValidatorErrorKind::Member { name: "value", expected: "fields by name" })?;
    let mut fields = BTreeMap::new();
    for (name, tree) in members {
        check_identifier(name).map_err(ValidatorErrorKind::Name)?;
        let field = field(tree).map_err(|mut error| {
            error.keys.insert(0, name.clone());
            error
        })?;
        fields.insert(name.clone(), field);
    }
    Ok(fields)
}

fn field(tree: &Tree) -> Result<FieldValidator, ValidatorError> {
    let validator = from_tree(member(tree, "fieldType", "a validator")?)?;
    let optional = member(tree, "optional", "true or false")?.as_bool();
    let optional = optional.ok_or(ValidatorErrorKind::Member { name: "optional", expected: "true or false" })?;
    Ok(FieldValidator { validator, optional })
}

/// The JSON of a validator as a tree.
pub(crate) fn to_tree(validator: &Validator) -> Result<Tree, UnsupportedLiteral> {
    Ok(match validator {
        Validator::Null => json!({"type": "null"}),
        Validator::Float64 => json!({"type": "number"}),
        Validator::Int64 => json!({"type": "bigint"}),
        Validator::CommitTs => json!({"type": "commitTs"}),
        Validator::Boolean => json!({"type": "boolean"}),
        Validator::String => json!({"type": "string"}),
        Validator::Bytes => json!({"type": "bytes"}),
        Validator::Any => json!({"type": "any"}),
        Validator::Id(table) => json!({"type": "id", "tableName": table}),
        Validator::Literal(value) => json!({"type": "literal", "value": literal_tree(value)?}),
        Validator::Array(element) => json!({"type": "array", "value": to_tree(element)?}),
        Validator::Record(keys, values) => json!({
            "type": "record",
            "keys": to_tree(keys)?,
            "values": {"fieldType": to_tree(values)?, "optional": false},
        }),
        Validator::Object(fields) => {
            let mut trees = Map::new();
            for (name, field) in fields {
                let tree = json!({"fieldType": to_tree(&field.validator)?, "optional": field.optional});
                trees.insert(name.clone(), tree);
            }
            json!({"type": "object", "value": trees})
        }
        Validator::Union(members) => {
            let trees = members.iter().map(to_tree).collect::<Result<Vec<_>, _>>()?;
            json!({"type": "union", "value": trees})
        }
    })
}

fn literal_tree(value: &Value) -> Result<Tree, UnsupportedLiteral> {
    let unsupported = || UnsupportedLiteral { found: value.clone() };
    match value {
        // A plain number, also for -0: readers of validators do not know the `$float` tag.
        Value::Float64(x) if x.is_finite() => Ok(json!(x)),
        Value::Int64(_) => serde_json::to_value(Formatted(value, Format::Encoded)).map_err(|_| unsupported()),
        Value::String(s) => Ok(json!(s)),
        Value::Boolean(b) => Ok(json!(b)),
        _ => Err(unsupported()),
    }
}
