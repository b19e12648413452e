//! What goes out, to clients or into the store: encoded from its Rust type, and checked where the type cannot know.
//!
//! A Rust type keeps most rules of the wire by itself. Two it cannot: a record's names and whatever a `Value` holds
//! may be anything, and an array may be too long. Only where that is possible the text is read again.

use std::any::TypeId;
use std::cell::RefCell;
use std::collections::HashMap;

use syncline_schema::{ARRAY_LEN_MAX, DecodeError, FieldType, Table, Validator, decode_json, encode_json_behind};

use crate::error::{Error, Result};

/// Room that a text is given before it is written, bytes: as much as small documents take.
const ROOM_BYTES: usize = 128;

/// Whether values of a type can break a rule that the type does not know.
pub(crate) fn is_open(validator: &Validator) -> bool {
    match validator {
        Validator::Any | Validator::Record(..) => true,
        Validator::Array(element) => is_open(element),
        Validator::Object(fields) => fields.values().any(|field| is_open(&field.validator)),
        Validator::Union(members) => members.iter().any(is_open),
        _ => false,
    }
}

/// Encodes a value; `open` is what [`is_open`] says of its type.
pub(crate) fn encode<T: FieldType>(value: &T, open: bool) -> Result<String, DecodeError> {
    let mut json = String::with_capacity(ROOM_BYTES);
    encode_behind(&mut json, value, open)?;
    Ok(json)
}

/// The same, behind what `json` has; what it has when that fails is not a text.
pub(crate) fn encode_behind<T: FieldType>(json: &mut String, value: &T, open: bool) -> Result<(), DecodeError> {
    let start = json.len();
    encode_json_behind(json, value);
    if open || may_have_long_array(&json[start..]) {
        decode_json::<T>(&json[start..])?;
    }
    Ok(())
}

/// Encodes a document of a table.
pub(crate) fn encode_document<T: Table>(call: &str, document: &T) -> Result<String> {
    encode(document, table_is_open::<T>()).map_err(|error| refused::<T>(call, &error))
}

/// The refusal of a document, or of a field of one, that breaks a rule of the wire.
pub(crate) fn refused<T: Table>(call: &str, error: &DecodeError) -> Error {
    let text = format!("`{call}` on the table `{}`: {error}", T::NAME);
    match error {
        DecodeError::Json(json) if json.code().is_some() => Error::refused(json.code().unwrap_or_default(), text),
        _ => Error::new(text),
    }
}

/// Whether the documents of a table can break a rule that their type does not know.
pub(crate) fn table_is_open<T: Table>() -> bool {
    // Making a validator takes longer than most writes, so its answer is kept, by thread to need no lock.
    thread_local! {
        static OPEN: RefCell<HashMap<TypeId, bool>> = RefCell::default();
    }
    OPEN.with_borrow_mut(|open| *open.entry(TypeId::of::<T>()).or_insert_with(|| is_open(&T::validator())))
}

/// Whether an array can be over the limit: its elements are divided by as many commas.
fn may_have_long_array(json: &str) -> bool {
    json.len() > 2 * ARRAY_LEN_MAX && json.bytes().filter(|byte| *byte == b',').count() >= ARRAY_LEN_MAX
}
