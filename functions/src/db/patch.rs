//! Patches: some fields of a document, and what may be given for a field.

use std::ops::Range;

use smallvec::SmallVec;
use syncline_schema::{Bytes, DecodeError, FieldType, Id, Table, Value, object_from_json, object_to_json};

use crate::error;
use crate::outgoing;

/// What a field becomes that is removed.
const UNDEFINED: &str = r#"{"$undefined":null}"#;

/// What a field is given in the text beyond its name: quotes, colon and a number, bytes.
const ROOM_BYTES: usize = 32;

/// The fields of a patch, encoded.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct PatchFields {
    /// The wire JSON of them all, in byte order of their names, but for the closing brace.
    json: String,
    /// Their names, and where their values are.
    fields: SmallVec<[(&'static str, Range<usize>); 2]>,
    /// The first field whose value breaks a rule of the wire.
    invalid: Option<Box<DecodeError>>,
}

impl PatchFields {
    /// Sets a field. One that is left out when it is written (an `Option` that is `None`) is removed.
    ///
    /// `open` tells whether values of the type can break a rule that the type does not know.
    pub fn set<T: FieldType>(&mut self, name: &'static str, value: &T, open: bool) {
        if value.is_missing() {
            return self.clear(name);
        }
        let set = if self.is_behind_all(name) {
            self.encode_behind(name, value, open)
        } else {
            outgoing::encode(value, open).map(|value| self.insert(name, &value))
        };
        if let Err(error) = set {
            self.invalid.get_or_insert_with(|| Box::new(error));
        }
    }

    /// Removes a field.
    pub fn clear(&mut self, name: &'static str) {
        self.insert(name, UNDEFINED);
    }

    fn is_behind_all(&self, name: &str) -> bool {
        self.fields.last().is_none_or(|(last, _)| *last < name)
    }

    /// Adds a field behind all others, unless its value breaks a rule.
    fn encode_behind<T: FieldType>(&mut self, name: &'static str, value: &T, open: bool) -> Result<(), DecodeError> {
        let (before, start) = (self.json.len(), self.begin(name));
        match outgoing::encode_behind(&mut self.json, value, open) {
            Ok(()) => self.end(name, start),
            Err(error) => {
                self.json.truncate(before);
                return Err(error);
            }
        }
        Ok(())
    }

    fn insert(&mut self, name: &'static str, value: &str) {
        if self.is_behind_all(name) {
            return self.push(name, value);
        }
        let mut rest = std::mem::take(self);
        self.invalid = rest.invalid.take();
        let mut is_put = false;
        for (other, place) in &rest.fields {
            if *other >= name && !std::mem::replace(&mut is_put, true) {
                self.push(name, value);
            }
            if *other != name {
                self.push(other, &rest.json[place.clone()]);
            }
        }
    }

    /// Adds a field behind all others.
    fn push(&mut self, name: &'static str, value: &str) {
        let start = self.begin(name);
        self.json.push_str(value);
        self.end(name, start);
    }

    /// Writes the name of a field behind all others. Returns where its value goes.
    fn begin(&mut self, name: &str) -> usize {
        self.json.reserve(name.len() + ROOM_BYTES);
        // Names of fields are identifiers: nothing in them needs an escape.
        self.json.push_str(if self.fields.is_empty() { "{\"" } else { ",\"" });
        self.json.push_str(name);
        self.json.push_str("\":");
        self.json.len()
    }

    /// Its value has been written.
    fn end(&mut self, name: &'static str, start: usize) {
        self.fields.push((name, start..self.json.len()));
    }

    /// What the document with this wire JSON becomes, system fields included.
    pub(crate) fn applied_to<T: Table>(&self, document: &str) -> error::Result<String> {
        if let Some(error) = &self.invalid {
            return Err(outgoing::refused::<T>("patch", error));
        }
        let mut document = object_from_json(document)?;
        for (name, place) in &self.fields {
            let value = &self.json[place.clone()];
            if value == UNDEFINED {
                document.remove(*name);
            } else {
                document.insert((*name).to_owned(), Value::from_json(value)?);
            }
        }
        Ok(object_to_json(&document))
    }

    /// Wire JSON, the names in byte order.
    pub(crate) fn into_json<T: Table>(mut self) -> error::Result<String> {
        if let Some(error) = &self.invalid {
            return Err(outgoing::refused::<T>("patch", error));
        }
        self.json.push_str(if self.fields.is_empty() { "{}" } else { "}" });
        Ok(self.json)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_in_order_however_they_are_set() {
        let mut patch = PatchFields::default();
        patch.set("c", &1.0, false);
        patch.set("a", &true, false);
        patch.clear("b");
        patch.set("a", &false, false);
        patch.set("d", &"x".to_owned(), false);
        patch.set("c", &2.0, false);
        assert_eq!(patch.json, r#"{"a":false,"b":{"$undefined":null},"c":2.0,"d":"x""#);
        let names: Vec<_> = patch.fields.iter().map(|(name, place)| (*name, &patch.json[place.clone()])).collect();
        assert_eq!(names, [("a", "false"), ("b", UNDEFINED), ("c", "2.0"), ("d", "\"x\"")]);
    }
}
