//! The keys of rows on their way to the caller.

use std::cmp::Ordering;
use std::sync::Arc;

use syncline_schema::{DocumentId, InternalId, by_id_key};

use crate::base_key;
use crate::commit::IndexId;
use crate::storage::BaseKey;

/// The key of a row, of which few are wanted: where it is, or what it is made of then.
pub(super) enum RowKey<'a> {
    /// The id is all of it: `by_id`.
    Id,
    /// In memory.
    Memory(&'a Arc<[u8]>),
    /// As the base has it.
    Base(&'a BaseKey),
    /// Of a document that the transaction wrote.
    Own(Arc<[u8]>),
}

impl RowKey<'_> {
    /// The key itself, of a document in an index.
    pub fn into_bytes(self, index: IndexId, id: DocumentId) -> Arc<[u8]> {
        match self {
            RowKey::Id => by_id_key(&id).into(),
            RowKey::Memory(key) => key.clone(),
            RowKey::Own(key) => key,
            RowKey::Base(key) => base_key::from_base(index, key).into(),
        }
    }

    /// How the key of an own row compares with this one.
    pub fn compare(&self, index: IndexId, own: &[u8], id: InternalId) -> Ordering {
        match self {
            RowKey::Id => own.cmp(&id.0),
            RowKey::Memory(key) => own.cmp(key),
            RowKey::Own(key) => own.cmp(key),
            RowKey::Base(key) => base_key::compare(index, own, key),
        }
    }
}
