//! Checking a value, and what is found where it does not fit.

use std::collections::BTreeMap;
use std::fmt;

use crate::id::{DocumentId, TableNumber};
use crate::json::JsonError;
use crate::name::is_system_field;
use crate::validator::{FieldValidator, Validator};
use crate::value::{Object, PrintedObject, Value, print};

/// The tables that ids may belong to.
pub trait TableNumbers {
    /// The number of a table, if there is a table of that name.
    fn number(&self, name: &str) -> Option<TableNumber>;

    /// The name of a table, if there is a table of that number.
    fn name(&self, number: TableNumber) -> Option<String>;
}

impl TableNumbers for BTreeMap<String, TableNumber> {
    fn number(&self, name: &str) -> Option<TableNumber> {
        self.get(name).copied()
    }

    fn name(&self, number: TableNumber) -> Option<String> {
        self.iter().find(|(_, other)| **other == number).map(|(name, _)| name.clone())
    }
}

/// Where and how a value does not fit. Displays as a whole sentence.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// How it does not fit.
    pub kind: FindingKind,
    /// Where: `.a[1].b`, empty at the top.
    pub path: String,
    /// What is there, as it is printed in messages.
    pub found: String,
    /// The validator there, as it is printed in messages.
    pub expected: String,
}

/// How a value does not fit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FindingKind {
    /// Another type, no member of the union, no id, or an id of no known table.
    Type,
    /// A field that is not optional is missing.
    MissingField {
        /// Its name.
        field: String,
    },
    /// A field is there that the validator lacks.
    ExtraField {
        /// Its name.
        field: String,
    },
    /// Another value than the literal.
    Literal,
    /// The id of a document of another table.
    IdTable {
        /// The table of the id.
        found_table: String,
    },
    /// The id of a system table's document, where a user table is named.
    IdSystemTable,
}

impl FindingKind {
    /// The case, as the vectors name it.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            FindingKind::Type => "type",
            FindingKind::MissingField { .. } => "missing_field",
            FindingKind::ExtraField { .. } => "extra_field",
            FindingKind::Literal => "literal",
            FindingKind::IdTable { .. } => "id_table",
            FindingKind::IdSystemTable => "id_system_table",
        }
    }

    /// The name of the field that is missing or not known.
    #[must_use]
    pub fn field(&self) -> Option<&str> {
        match self {
            FindingKind::MissingField { field } | FindingKind::ExtraField { field } => Some(field),
            _ => None,
        }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.path.is_empty() {
            write!(f, "at {}: ", self.path)?;
        }
        let Finding { found, expected, .. } = self;
        match &self.kind {
            FindingKind::Type => write!(f, "the value does not fit. Found {found}, expected {expected}."),
            FindingKind::MissingField { field } => write!(
                f,
                "the field `{field}` is missing. Found {found}, expected {expected}. \
                 Send the field or make it `v.optional` in the validator.",
            ),
            FindingKind::ExtraField { field } => write!(
                f,
                "the field `{field}` is unknown. Found {found}, expected {expected}. \
                 Remove the field or add it to the validator.",
            ),
            FindingKind::Literal => {
                write!(f, "the value is another than the one that is allowed. Found {found}, expected {expected}.")
            }
            FindingKind::IdTable { found_table } => write!(
                f,
                "the id belongs to another table. Found the id {found} of the table `{found_table}`, \
                 expected {expected}.",
            ),
            FindingKind::IdSystemTable => {
                write!(f, "the id belongs to a system table. Found the id {found}, expected {expected}.")
            }
        }
    }
}

impl std::error::Error for Finding {}

/// Why a text does not fit a validator.
#[derive(Clone, Debug, PartialEq)]
pub enum CheckError {
    /// The text is no value at all.
    Json(JsonError),
    /// It is a value that does not fit.
    Finding(Finding),
}

impl fmt::Display for CheckError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            CheckError::Json(error) => error.fmt(f),
            CheckError::Finding(finding) => finding.fmt(f),
        }
    }
}

impl std::error::Error for CheckError {}

impl From<JsonError> for CheckError {
    fn from(error: JsonError) -> CheckError {
        CheckError::Json(error)
    }
}

impl From<Finding> for CheckError {
    fn from(finding: Finding) -> CheckError {
        CheckError::Finding(finding)
    }
}

impl Validator {
    /// Checks a value, depth first; the first violation is returned.
    pub fn check(&self, value: &Value, tables: &dyn TableNumbers) -> Result<(), Finding> {
        Checker { ids: Ids::Of(tables) }.check(self, value, &Place::Top)
    }

    /// Checks a value, but not which tables its ids belong to.
    pub(crate) fn check_shape(&self, value: &Value) -> Result<(), Finding> {
        Checker { ids: Ids::OfAnyTable }.check(self, value, &Place::Top)
    }

    /// Reads a value and checks it.
    pub fn check_json(&self, text: &str, tables: &dyn TableNumbers) -> Result<Value, CheckError> {
        let value = Value::from_json(text)?;
        self.check(&value, tables)?;
        Ok(value)
    }
}

/// Checks a document against its table's validator, which does not name the system fields.
pub(crate) fn check_document(
    validator: &Validator,
    document: &Object,
    tables: &dyn TableNumbers,
) -> Result<(), Finding> {
    let checker = Checker { ids: Ids::Of(tables) };
    match validator {
        Validator::Any => Ok(()),
        Validator::Object(fields) => checker.check_fields(fields, document, SystemFields::Ignored, &Place::Top),
        // A union's message prints the whole value, which is to have no system fields either.
        _ => {
            let user_fields = document.iter().filter(|(name, _)| !is_system_field(name));
            let value = Value::Object(user_fields.map(|(name, value)| (name.clone(), value.clone())).collect());
            checker.check(validator, &value, &Place::Top)
        }
    }
}

/// Which ids are accepted.
enum Ids<'a> {
    Of(&'a dyn TableNumbers),
    OfAnyTable,
}

#[derive(Clone, Copy, PartialEq)]
enum SystemFields {
    Checked,
    Ignored,
}

/// A place in the value: it is printed only when something is found there.
enum Place<'a> {
    Top,
    Field(&'a Place<'a>, &'a str),
    Element(&'a Place<'a>, usize),
    Keys(&'a Place<'a>),
    Values(&'a Place<'a>),
}

impl fmt::Display for Place<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Place::Top => Ok(()),
            Place::Field(holder, name) => write!(f, "{holder}.{name}"),
            Place::Element(holder, index) => write!(f, "{holder}[{index}]"),
            Place::Keys(holder) => write!(f, "{holder}.keys()"),
            Place::Values(holder) => write!(f, "{holder}.values()"),
        }
    }
}

struct Checker<'a> {
    ids: Ids<'a>,
}

impl Checker<'_> {
    fn check(&self, validator: &Validator, value: &Value, place: &Place<'_>) -> Result<(), Finding> {
        let fits = match (validator, value) {
            (Validator::Id(table), Value::String(text)) => return self.check_id(table, text, place),
            (Validator::Literal(literal), value) if literal != value => {
                return Err(finding(FindingKind::Literal, place, value, validator));
            }
            (Validator::Array(element), Value::Array(items)) => return self.check_items(element, items, place),
            (Validator::Record(keys, values), Value::Object(object)) => {
                return self.check_record(keys, values, object, place);
            }
            (Validator::Object(fields), Value::Object(object)) => {
                return self.check_fields(fields, object, SystemFields::Checked, place);
            }
            (Validator::Union(members), value) => match members.as_slice() {
                [member] => return self.check(member, value, place),
                members => members.iter().any(|member| self.fits(member, value)),
            },
            _ => fits_simply(validator, value),
        };
        if fits { Ok(()) } else { Err(finding(FindingKind::Type, place, value, validator)) }
    }

    /// Whether a value fits; unlike `check` it builds no finding, which a union would throw away.
    fn fits(&self, validator: &Validator, value: &Value) -> bool {
        match (validator, value) {
            (Validator::Id(table), Value::String(text)) => self.id_kind(table, text).is_none(),
            (Validator::Array(element), Value::Array(items)) => items.iter().all(|item| self.fits(element, item)),
            (Validator::Record(keys, values), Value::Object(object)) => object
                .iter()
                .all(|(name, value)| self.fits(keys, &Value::String(name.clone())) && self.fits(values, value)),
            (Validator::Object(fields), Value::Object(object)) => {
                fields.iter().all(|(name, field)| match object.get(name) {
                    Some(value) => self.fits(&field.validator, value),
                    None => field.optional,
                }) && object.keys().all(|name| fields.contains_key(name))
            }
            (Validator::Union(members), value) => members.iter().any(|member| self.fits(member, value)),
            _ => fits_simply(validator, value),
        }
    }

    fn check_items(&self, element: &Validator, items: &[Value], place: &Place<'_>) -> Result<(), Finding> {
        for (index, item) in items.iter().enumerate() {
            self.check(element, item, &Place::Element(place, index))?;
        }
        Ok(())
    }

    fn check_record(
        &self,
        keys: &Validator,
        values: &Validator,
        object: &Object,
        place: &Place<'_>,
    ) -> Result<(), Finding> {
        for (name, value) in object {
            // Any key is a string: only for other validators is it worth a copy.
            if *keys != Validator::String {
                self.check(keys, &Value::String(name.clone()), &Place::Keys(place))?;
            }
            self.check(values, value, &Place::Values(place))?;
        }
        Ok(())
    }

    fn check_fields(
        &self,
        fields: &BTreeMap<String, FieldValidator>,
        object: &Object,
        system_fields: SystemFields,
        place: &Place<'_>,
    ) -> Result<(), Finding> {
        let broken = |kind| Finding {
            kind,
            path: place.to_string(),
            found: print(&PrintedObject(object)),
            expected: print(&Validator::Object(fields.clone())),
        };
        for (name, field) in fields {
            match object.get(name) {
                Some(value) => self.check(&field.validator, value, &Place::Field(place, name))?,
                None if field.optional => {}
                None => return Err(broken(FindingKind::MissingField { field: name.clone() })),
            }
        }
        let is_ignored = |name: &str| system_fields == SystemFields::Ignored && is_system_field(name);
        match object.keys().find(|name| !fields.contains_key(*name) && !is_ignored(name)) {
            Some(name) => Err(broken(FindingKind::ExtraField { field: name.clone() })),
            None => Ok(()),
        }
    }

    fn check_id(&self, table: &str, text: &str, place: &Place<'_>) -> Result<(), Finding> {
        let Some(kind) = self.id_kind(table, text) else { return Ok(()) };
        // Of an id the text is shown as it is; what is no id is shown as the string that it is.
        let found = if kind == FindingKind::Type { print(&Value::from(text)) } else { text.to_owned() };
        let expected = Validator::Id(table.to_owned()).to_string();
        Err(Finding { kind, path: place.to_string(), found, expected })
    }

    /// What is wrong with an id, if anything is.
    fn id_kind(&self, table: &str, text: &str) -> Option<FindingKind> {
        let Ok(id) = DocumentId::parse(text) else { return Some(FindingKind::Type) };
        let Ids::Of(tables) = &self.ids else { return None };
        if tables.number(table) == Some(id.table) {
            return None;
        }
        let is_system = |name: &str| name.starts_with('_');
        Some(match tables.name(id.table) {
            None => FindingKind::Type,
            Some(found) if is_system(&found) && !is_system(table) => FindingKind::IdSystemTable,
            Some(found_table) => FindingKind::IdTable { found_table },
        })
    }
}

/// Whether a value fits a validator that holds no other, and whose values hold no ids.
fn fits_simply(validator: &Validator, value: &Value) -> bool {
    match (validator, value) {
        (Validator::Literal(literal), value) => literal == value,
        (Validator::Any, _)
        | (Validator::Null, Value::Null)
        | (Validator::Float64, Value::Float64(_))
        | (Validator::Int64 | Validator::CommitTs, Value::Int64(_))
        | (Validator::Boolean, Value::Boolean(_))
        | (Validator::String, Value::String(_))
        | (Validator::Bytes, Value::Bytes(_)) => true,
        _ => false,
    }
}

fn finding(kind: FindingKind, place: &Place<'_>, value: &Value, validator: &Validator) -> Finding {
    Finding { kind, path: place.to_string(), found: print(value), expected: print(validator) }
}
