//! `ctx.db`: typed reads and writes of documents.

mod cursor;
mod page;
mod pagination;
mod patch;
mod query;
mod range;
mod row;
mod untyped;

use std::ops::Deref;
use std::sync::Arc;

use syncline_schema::{Doc, DocumentId, Id, Table, normalize_id};

use crate::error::{Error, Result};
use crate::outgoing::encode_document;
use crate::run::Run;
use crate::tx::{Fields, Tx};

pub use crate::tx::Order;
pub use pagination::{PageStatus, PaginationOptions, PaginationResult};
pub use patch::{IntoField, Patch, PatchFields};
pub use query::Query;
pub use range::{Bounded, IndexRange, LowerBounded, RangeOf, UpperBounded};
pub use row::Row;
pub use untyped::{TableReader, TableWriter};

/// Reads documents of one snapshot of the database.
#[derive(Clone)]
pub struct DatabaseReader {
    run: Arc<Run>,
}

impl DatabaseReader {
    pub(crate) fn new(run: Arc<Run>) -> Self {
        DatabaseReader { run }
    }

    /// The document with this id, or `None`.
    pub async fn get<T: Table>(&self, id: Id<T>) -> Result<Option<Doc<T>>> {
        self.run.settled().await;
        let id = id.document_id();
        check_table::<T>(self.run.tx().as_ref(), "get", id)?;
        let document = self.run.tx().get(id).await?;
        document.map(Doc::from_document).transpose()
    }

    /// Begins to read a table: `ctx.db.query(Message::by_channel().eq(channel))`, or `Message::all()`.
    pub fn query<R: RangeOf>(&self, range: R) -> Query<Doc<R::Table>> {
        Query::new(self.run.clone(), range.into_plan())
    }

    /// The id that a text is, if it is one of a document of the table. Reads no document.
    pub fn normalize_id<T: Table>(&self, text: &str) -> Option<Id<T>> {
        let table = self.run.tx().table_number(T::NAME)?;
        normalize_id(table, text).map(Id::from)
    }

    /// A table by its name, for documents whose type is not known.
    pub fn table(&self, name: &str) -> TableReader {
        TableReader::new(self.run.clone(), name)
    }
}

/// Reads and writes documents. All writes of a mutation take effect together, when it has returned without an error.
#[derive(Clone)]
pub struct DatabaseWriter {
    reader: DatabaseReader,
}

impl Deref for DatabaseWriter {
    type Target = DatabaseReader;

    fn deref(&self) -> &DatabaseReader {
        &self.reader
    }
}

impl DatabaseWriter {
    pub(crate) fn new(run: Arc<Run>) -> Self {
        DatabaseWriter { reader: DatabaseReader::new(run) }
    }

    /// Adds a document and returns its id.
    pub async fn insert<T: Table>(&self, document: T) -> Result<Id<T>> {
        let run = &self.reader.run;
        let json = encode_document("insert", &document)?;
        let _turn = run.turn().await;
        let id = run.tx().insert(T::NAME, Fields::Typed(&json)).await?;
        Ok(id.into())
    }

    /// Changes some fields of a document: `ctx.db.patch(id, User::patch().name("Ada"))`.
    ///
    /// The others stay. A patch that changes nothing writes nothing.
    ///
    /// # Errors
    /// `NonexistentDocument` when there is no such document.
    pub async fn patch<P: Patch>(&self, id: Id<P::Table>, patch: P) -> Result<()> {
        let run = &self.reader.run;
        let _turn = run.turn().await;
        let id = id.document_id();
        check_table::<P::Table>(run.tx().as_ref(), "patch", id)?;
        Ok(run.tx().patch(id, Fields::Typed(&patch.into_fields().to_json::<P::Table>()?)).await?)
    }

    /// Replaces all fields of a document.
    ///
    /// # Errors
    /// `NonexistentDocument` when there is no such document.
    pub async fn replace<T: Table>(&self, id: Id<T>, document: T) -> Result<()> {
        let run = &self.reader.run;
        let _turn = run.turn().await;
        let id = id.document_id();
        check_table::<T>(run.tx().as_ref(), "replace", id)?;
        Ok(run.tx().replace(id, Fields::Typed(&encode_document("replace", &document)?)).await?)
    }

    /// Deletes a document.
    ///
    /// # Errors
    /// `NonexistentDocument` when there is no such document.
    pub async fn delete<T: Table>(&self, id: Id<T>) -> Result<()> {
        let run = &self.reader.run;
        let _turn = run.turn().await;
        let id = id.document_id();
        check_table::<T>(run.tx().as_ref(), "delete", id)?;
        Ok(run.tx().delete(id).await?)
    }

    /// A table by its name, for documents whose type is not known.
    pub fn table(&self, name: &str) -> TableWriter {
        TableWriter::new(self.reader.run.clone(), name)
    }
}

/// Refuses an id of another table than its type says, which can come from an untyped id only. An id of no known table
/// is left to the call.
fn check_table<T: Table>(tx: &dyn Tx, call: &str, id: DocumentId) -> Result<()> {
    check_table_name(tx, call, T::NAME, id)
}

/// The same for a table that is known by name.
fn check_table_name(tx: &dyn Tx, call: &str, table: &str, id: DocumentId) -> Result<()> {
    if tx.table_number(table) == Some(id.table) {
        return Ok(());
    }
    match tx.table_name(id.table) {
        None => Ok(()),
        Some(found) => Err(Error::new(format!(
            "`{call}` was given the id {id} of the table `{found}`; expected an id of the table `{table}`"
        ))),
    }
}
