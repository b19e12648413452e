//! Documents written as untyped values: read, checked against the rules of system fields and the schema, and encoded.

use std::collections::BTreeMap;

use serde_json::value::RawValue;
use syncline_functions::tx::DbError;
use syncline_schema::{
    CREATION_TIME_FIELD, DocumentId, ID_FIELD, JsonError, Object, TableNumbers, Value, object_from_json, object_to_json,
};

use crate::catalog::Table;
use crate::document;
use crate::memory::Stored;

/// The text of a new document.
pub(super) fn inserted(
    table: &Table,
    id: &DocumentId,
    creation_time: f64,
    fields: &str,
    tables: &dyn TableNumbers,
) -> Result<String, DbError> {
    let fields = object_from_json(fields).map_err(|error| invalid(&error))?;
    if let Some(found) = fields.get(ID_FIELD) {
        let text = format!("InvalidIdError: `insert` makes the `_id` by itself; found {found}. Leave it out.");
        return Err(DbError::refused("InvalidIdError", text));
    }
    if let Some(found) = fields.get(CREATION_TIME_FIELD) {
        let text = format!(
            "InvalidCreationTimeError: `insert` makes the `_creationTime` by itself; found {found}. Leave it out."
        );
        return Err(DbError::refused("InvalidCreationTimeError", text));
    }
    checked(table, None, id, creation_time, fields, tables)
}

/// The text of a document whose fields are all replaced.
pub(super) fn replaced(
    table: &Table,
    id: &DocumentId,
    creation_time: f64,
    fields: &str,
    tables: &dyn TableNumbers,
) -> Result<String, DbError> {
    let mut fields = object_from_json(fields).map_err(|error| invalid(&error))?;
    check_system_fields(&mut fields, id, creation_time)?;
    checked(table, Some(id), id, creation_time, fields, tables)
}

/// The text of a document some of whose fields are replaced or removed.
pub(super) fn patched(
    table: &Table,
    id: &DocumentId,
    current: &Stored,
    patch: &str,
    tables: &dyn TableNumbers,
) -> Result<String, DbError> {
    let (mut given, removed) = split_removed(patch)?;
    if removed.iter().any(|name| name == ID_FIELD) {
        return Err(wrong_id(id, "undefined"));
    }
    if removed.iter().any(|name| name == CREATION_TIME_FIELD) {
        return Err(wrong_creation_time(current.creation_time, "undefined"));
    }
    check_system_fields(&mut given, id, current.creation_time)?;
    let own = document::own_fields(&current.json).and_then(|fields| object_from_json(&fields).ok());
    let mut fields =
        own.ok_or_else(|| DbError::Storage(format!("document {id}: its stored text is damaged").into()))?;
    fields.extend(given);
    fields.retain(|name, _| !removed.contains(name));
    checked(table, Some(id), id, current.creation_time, fields, tables)
}

/// The fields that a patch sets, and the names of those that it removes.
fn split_removed(patch: &str) -> Result<(Object, Vec<String>), DbError> {
    // Of repeated names the last counts, as everywhere.
    let Ok(fields) = serde_json::from_str::<BTreeMap<String, Box<RawValue>>>(patch) else {
        // Not JSON, or no object: the message of the ordinary reader says which.
        return match object_from_json(patch) {
            Err(error) => Err(invalid(&error)),
            Ok(fields) => Ok((fields, Vec::new())),
        };
    };
    let is_undefined = |raw: &RawValue| {
        raw.get().starts_with('{')
            && serde_json::from_str::<serde_json::Value>(raw.get())
                .is_ok_and(|value| value == serde_json::json!({"$undefined": null}))
    };
    let mut removed = Vec::new();
    let mut rest = BTreeMap::new();
    for (name, raw) in fields {
        if is_undefined(&raw) {
            removed.push(name);
        } else {
            rest.insert(name, raw);
        }
    }
    let rest =
        serde_json::to_string(&rest).map_err(|error| DbError::refused("InvalidDocumentError", error.to_string()))?;
    let rest = object_from_json(&rest).map_err(|error| invalid(&error))?;
    Ok((rest, removed))
}

/// Takes the two system fields out; they may be given as they are.
fn check_system_fields(fields: &mut Object, id: &DocumentId, creation_time: f64) -> Result<(), DbError> {
    match fields.remove(ID_FIELD) {
        None => {}
        Some(Value::String(text)) if text == *id.text() => {}
        Some(found) => return Err(wrong_id(id, &found.to_string())),
    }
    match fields.remove(CREATION_TIME_FIELD) {
        None => {}
        Some(found) if found == Value::Float64(creation_time) => {}
        Some(found) => return Err(wrong_creation_time(creation_time, &found.to_string())),
    }
    Ok(())
}

fn wrong_id(id: &DocumentId, found: &str) -> DbError {
    let text = format!("InvalidIdError: the `_id` of a document never changes: it is {id}, found {found}.");
    DbError::refused("InvalidIdError", text)
}

fn wrong_creation_time(creation_time: f64, found: &str) -> DbError {
    let creation_time = Value::Float64(creation_time);
    let text = format!(
        "InvalidCreationTimeError: the `_creationTime` of a document never changes: it is {creation_time}, found {found}."
    );
    DbError::refused("InvalidCreationTimeError", text)
}

/// Checks the fields of a document without its system fields, and encodes it. `updated` is its id when it exists.
fn checked(
    table: &Table,
    updated: Option<&DocumentId>,
    id: &DocumentId,
    creation_time: f64,
    fields: Object,
    tables: &dyn TableNumbers,
) -> Result<String, DbError> {
    if let Some(name) = fields.keys().find(|name| name.starts_with('_')) {
        let text = format!(
            "InvalidDocumentError: the field `{name}` starts with an underscore, which only `_id` and `_creationTime` may."
        );
        return Err(DbError::refused("InvalidDocumentError", text));
    }
    let fields = Value::Object(fields);
    if let Err(finding) = table.document.check(&fields, tables) {
        let which = updated.map_or_else(|| "a new document".to_owned(), |id| format!("document {id}"));
        let text =
            format!("SchemaEnforcementError: {which} of table `{}` does not fit the schema: {finding}", table.name);
        return Err(DbError::refused("SchemaEnforcementError", text));
    }
    let Value::Object(fields) = fields else { unreachable!("it was made an object above") };
    Ok(document::stored(creation_time, id, &object_to_json(&fields)))
}

fn invalid(error: &JsonError) -> DbError {
    let code = error.code().unwrap_or("InvalidDocumentError");
    DbError::refused(code, format!("{code}: {error}"))
}
