//! Patches: some fields of a document, and what may be given for a field.

use syncline_schema::{Bytes, DecodeError, FieldType, Id, Table, Value, object_from_json, object_to_json};

use crate::error::Result;
use crate::outgoing;

/// What a field becomes that is removed.
const UNDEFINED: &str = r#"{"$undefined":null}"#;

/// The fields of a patch, encoded.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct PatchFields {
    /// Encoded, in byte order of the names. Most patches have one or two.
    fields: Vec<(&'static str, String)>,
    /// The first field whose value breaks a rule of the wire.
    invalid: Option<DecodeError>,
}

impl PatchFields {
    /// Sets a field. One that is left out when it is written (an `Option` that is `None`) is removed.
    ///
    /// `open` tells whether values of the type can break a rule that the type does not know.
    pub fn set<T: FieldType>(&mut self, name: &'static str, value: &T, open: bool) {
        if value.is_missing() {
            return self.clear(name);
        }
        match outgoing::encode(value, open) {
            Ok(json) => self.insert(name, json),
            Err(error) => self.invalid = self.invalid.take().or(Some(error)),
        }
    }

    /// Removes a field.
    pub fn clear(&mut self, name: &'static str) {
        self.insert(name, UNDEFINED.to_owned());
    }

    fn insert(&mut self, name: &'static str, json: String) {
        match self.fields.binary_search_by_key(&name, |(name, _)| *name) {
            Ok(known) => self.fields[known].1 = json,
            Err(place) => self.fields.insert(place, (name, json)),
        }
    }

    /// What the document with this wire JSON becomes, system fields included.
    pub(crate) fn applied_to<T: Table>(&self, document: &str) -> Result<String> {
        if let Some(error) = &self.invalid {
            return Err(outgoing::refused::<T>("patch", error));
        }
        let mut document = object_from_json(document)?;
        for (name, value) in &self.fields {
            if value == UNDEFINED {
                document.remove(*name);
            } else {
                document.insert((*name).to_owned(), Value::from_json(value)?);
            }
        }
        Ok(object_to_json(&document))
    }

    /// Wire JSON, the names in byte order.
    pub(crate) fn to_json<T: Table>(&self) -> Result<String> {
        if let Some(error) = &self.invalid {
            return Err(outgoing::refused::<T>("patch", error));
        }
        let len = self.fields.iter().map(|(name, value)| name.len() + value.len() + 4).sum::<usize>();
        let mut json = String::with_capacity(len + 2);
        json.push('{');
        for (name, value) in &self.fields {
            if json.len() > 1 {
                json.push(',');
            }
            // Names of fields are identifiers: nothing in them needs an escape.
            json.push('"');
            json.push_str(name);
            json.push_str("\":");
            json.push_str(value);
        }
        json.push('}');
        Ok(json)
    }
}

/// A patch of the documents of one table; `derive(Table)` makes one for each.
pub trait Patch {
    /// The table.
    type Table: Table;

    /// Its fields.
    fn into_fields(self) -> PatchFields;
}

/// What may be given for a field of type `F`: an `F`, a `&F`; a `&str` for a `String`; and for an `Option`, what it
/// holds.
#[diagnostic::on_unimplemented(
    message = "a `{Self}` cannot stand for a field of type `{F}`",
    label = "expected `{F}` or `&{F}`"
)]
pub trait IntoField<F> {
    /// As the field has it.
    fn into_field(self) -> F;
}

impl<F: FieldType> IntoField<F> for F {
    fn into_field(self) -> F {
        self
    }
}

impl<F: FieldType + Clone> IntoField<F> for &F {
    fn into_field(self) -> F {
        self.clone()
    }
}

impl IntoField<String> for &str {
    fn into_field(self) -> String {
        self.to_owned()
    }
}

impl IntoField<Option<String>> for &str {
    fn into_field(self) -> Option<String> {
        Some(self.to_owned())
    }
}

impl IntoField<Option<String>> for &String {
    fn into_field(self) -> Option<String> {
        Some(self.clone())
    }
}

impl<T> IntoField<Option<Id<T>>> for Id<T> {
    fn into_field(self) -> Option<Id<T>> {
        Some(self)
    }
}

impl IntoField<Bytes> for Vec<u8> {
    fn into_field(self) -> Bytes {
        Bytes(self)
    }
}

impl IntoField<Bytes> for &[u8] {
    fn into_field(self) -> Bytes {
        Bytes(self.to_vec())
    }
}

macro_rules! optional {
    ($($ty:ty),*) => {
        $(impl IntoField<Option<$ty>> for $ty {
            fn into_field(self) -> Option<$ty> {
                Some(self)
            }
        })*
    };
}

optional!(String, f64, i64, bool, Bytes, syncline_schema::Value);
