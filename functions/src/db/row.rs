//! What a stored document becomes when it is read.

use syncline_schema::{Doc, Object, Table, object_from_json};

use crate::error::{Error, Result};
use crate::tx::Document;

/// What a query gives for a document: [`Doc<T>`], an untyped [`Object`], or the [`Document`] as it is stored.
pub trait Row: Send + Sized + 'static {
    /// Reads a stored document.
    fn from_document(document: Document) -> Result<Self>;
}

impl<T: Table> Row for Doc<T> {
    fn from_document(document: Document) -> Result<Self> {
        let Document { id, creation_time, json, fields_at } = document;
        Doc::from_stored(id, creation_time, fields_at, json).map_err(|error| {
            Error::new(format!("the document {id} of the table `{}` does not fit its Rust type: {error}", T::NAME))
        })
    }
}

impl Row for Object {
    fn from_document(document: Document) -> Result<Self> {
        Ok(object_from_json(&document.json)?)
    }
}

impl Row for Document {
    fn from_document(document: Document) -> Result<Self> {
        Ok(document)
    }
}
