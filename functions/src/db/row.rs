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
        Doc::from_json(document.json).map_err(|error| {
            Error::new(format!(
                "the document {} of the table `{}` does not fit its Rust type: {error}",
                document.id,
                T::NAME
            ))
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
