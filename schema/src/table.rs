//! Tables as Rust types: a table's documents, their ids, and the two fields that the store fills in.

mod system_fields;

use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::marker::PhantomData;
use std::ops::Deref;

use serde::Serialize as _;
use serde::de::{Deserializer, Error as _, Visitor};
use serde::ser::{Error as _, Serializer};
use serde_json::value::RawValue;

use crate::definition::TableDefinition;
use crate::field_type::{DecodeError, FieldType};
use crate::id::{DocumentId, IdText};
use crate::json::{compact, object_from_json};
use crate::name::{CREATION_TIME_FIELD, ID_FIELD, is_system_field};
use crate::table::system_fields::{SystemFields, decode_document};
use crate::text::StoredText;
use crate::validator::{FieldValidator, Validator};
use crate::value::Value;

/// A Rust type whose values are the documents of a table, without `_id` and `_creationTime`.
///
/// As a [`FieldType`] it is written as an object. Reading it skips the two system fields at the top.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a table",
    label = "not a table",
    note = "add `#[derive(Table)]` and `#[table(name = \"...\")]` to the struct"
)]
pub trait Table: FieldType + Send + Sync + 'static {
    /// The table's name.
    const NAME: &'static str;

    /// What the table holds and how it is indexed.
    fn definition() -> TableDefinition;
}

/// The id of a document of the table `T`.
pub struct Id<T> {
    id: DocumentId,
    table: PhantomData<fn() -> T>,
}

impl<T> Id<T> {
    /// The id without the table's type.
    #[must_use]
    pub fn document_id(self) -> DocumentId {
        self.id
    }

    /// The text form.
    #[must_use]
    pub fn text(self) -> IdText {
        self.id.text()
    }
}

// By hand, because derived ones would ask the same of `T`.
impl<T> Clone for Id<T> {
    fn clone(&self) -> Id<T> {
        *self
    }
}

impl<T> Copy for Id<T> {}

impl<T> PartialEq for Id<T> {
    fn eq(&self, other: &Id<T>) -> bool {
        self.id == other.id
    }
}

impl<T> Eq for Id<T> {}

impl<T> PartialOrd for Id<T> {
    fn partial_cmp(&self, other: &Id<T>) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl<T> Ord for Id<T> {
    fn cmp(&self, other: &Id<T>) -> Ordering {
        self.id.cmp(&other.id)
    }
}

impl<T> Hash for Id<T> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.id.hash(state);
    }
}

impl<T> fmt::Debug for Id<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Id({})", self.id)
    }
}

impl<T> fmt::Display for Id<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.id.fmt(f)
    }
}

impl<T> From<DocumentId> for Id<T> {
    fn from(id: DocumentId) -> Id<T> {
        Id { id, table: PhantomData }
    }
}

impl<T> From<Id<T>> for DocumentId {
    fn from(id: Id<T>) -> DocumentId {
        id.id
    }
}

/// Reads an id; which table it belongs to is checked by whoever knows the tables' numbers.
pub(crate) fn decode_id<'de, D: Deserializer<'de>>(deserializer: D) -> Result<DocumentId, D::Error> {
    struct IdVisitor;
    impl Visitor<'_> for IdVisitor {
        type Value = DocumentId;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a document id")
        }

        fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<DocumentId, E> {
            DocumentId::parse(text).map_err(E::custom)
        }
    }
    deserializer.deserialize_str(IdVisitor)
}

impl<T: Table> FieldType for Id<T> {
    fn validator() -> Validator {
        Validator::Id(T::NAME.to_owned())
    }

    fn decode<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Id<T>, D::Error> {
        decode_id(deserializer).map(Id::from)
    }

    fn encode<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.text())
    }

    fn to_value(&self) -> Value {
        Value::String(self.text().to_string())
    }
}

/// A document of the table `T`, as it is stored. Its fields are those of `T`, through `Deref`.
///
/// It cannot be changed in place: what is stored changes by writing to the database.
pub struct Doc<T> {
    /// The document's id.
    pub id: Id<T>,
    /// When it was created: milliseconds since the Unix epoch, with a fraction.
    pub creation_time: f64,
    value: T,
    /// The stored text, so that a document which is returned as it is need not be written again.
    json: StoredText,
}

impl<T: Table> Doc<T> {
    /// Reads a stored document of which the store knows the system fields: they are not read again. `fields_at` is
    /// where the text goes on behind them, at a comma or the closing brace.
    pub fn from_stored(
        id: DocumentId,
        creation_time: f64,
        fields_at: usize,
        json: StoredText,
    ) -> Result<Doc<T>, DecodeError> {
        match compact::read_fields::<T>(&json, fields_at) {
            Ok(value) => Ok(Doc { id: id.into(), creation_time, value, json }),
            Err(_) => Doc::from_json(json),
        }
    }

    /// Reads a stored document: the text of its fields and the system fields, as [`Value::to_json`] writes it.
    pub fn from_json(json: StoredText) -> Result<Doc<T>, DecodeError> {
        match decode_document::<T>(&json) {
            Ok((value, SystemFields { id: Some(id), creation_time: Some(creation_time) })) => {
                Ok(Doc { id: id.into(), creation_time, value, json })
            }
            Ok(_) => Err(DecodeError::Refused {
                detail: format!("the document lacks `{ID_FIELD}` or `{CREATION_TIME_FIELD}`; both are expected"),
            }),
            Err(error) => Err(explain_document::<T>(&json, &error)),
        }
    }
}

impl<T> Doc<T> {
    /// The fields without the system fields.
    #[must_use]
    pub fn into_inner(self) -> T {
        self.value
    }

    /// The stored text.
    #[must_use]
    pub fn json(&self) -> &StoredText {
        &self.json
    }
}

fn explain_document<T: Table>(json: &str, error: &serde_json::Error) -> DecodeError {
    match object_from_json(json) {
        Err(error) => DecodeError::Json(error),
        Ok(mut object) => {
            object.retain(|name, _| !is_system_field(name));
            match T::validator().check_shape(&Value::Object(object)) {
                Err(finding) => DecodeError::Finding(finding),
                Ok(()) => DecodeError::Refused { detail: error.to_string() },
            }
        }
    }
}

impl<T> Deref for Doc<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.value
    }
}

impl<T: Clone> Clone for Doc<T> {
    fn clone(&self) -> Doc<T> {
        Doc { id: self.id, creation_time: self.creation_time, value: self.value.clone(), json: self.json.clone() }
    }
}

impl<T: fmt::Debug> fmt::Debug for Doc<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Doc")
            .field("id", &self.id)
            .field("creation_time", &self.creation_time)
            .field("value", &self.value)
            .finish()
    }
}

/// Equal when the stored documents are.
impl<T> PartialEq for Doc<T> {
    fn eq(&self, other: &Doc<T>) -> bool {
        self.json == other.json
    }
}

impl<T: Table> FieldType for Doc<T> {
    fn validator() -> Validator {
        with_system_fields(T::validator(), T::NAME)
    }

    fn decode<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Doc<T>, D::Error> {
        // What a client sends need not be canonical, and is written to other clients as it is held here.
        let canonical = Value::decode(deserializer)?.to_json();
        Doc::from_json(canonical.into()).map_err(D::Error::custom)
    }

    fn encode<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let raw: &RawValue = serde_json::from_str(&self.json).map_err(S::Error::custom)?;
        raw.serialize(serializer)
    }
}

/// The validator of documents with their system fields, made from that of the fields alone.
pub(crate) fn with_system_fields(validator: Validator, table: &str) -> Validator {
    match validator {
        Validator::Object(mut fields) => {
            fields.insert(ID_FIELD.to_owned(), FieldValidator::required(Validator::Id(table.to_owned())));
            fields.insert(CREATION_TIME_FIELD.to_owned(), FieldValidator::required(Validator::Float64));
            Validator::Object(fields)
        }
        Validator::Union(members) => {
            Validator::Union(members.into_iter().map(|member| with_system_fields(member, table)).collect())
        }
        other => other,
    }
}
