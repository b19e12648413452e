//! `ctx.db`: typed reads and writes of documents.

mod cursor;
mod page;
mod pagination;
mod patch;
mod query;
mod range;
mod row;
mod rules;
mod untyped;

use std::ops::Deref;
use std::sync::Arc;

use syncline_schema::{Doc, DocumentId, Id, Table, TableNumber, normalize_id};

use crate::error::{Error, Result};
use crate::outgoing::encode_document;
use crate::run::Run;
use crate::tx::{Fields, Tx};

pub use crate::tx::Order;
pub use pagination::{PageStatus, PaginationOptions, PaginationResult};
pub use patch::{IntoField, Patch, PatchFields};
pub use query::Query;
pub use range::{Bounded, IndexFields, IndexRange, LowerBounded, RangeOf, UpperBounded};
pub use row::Row;
pub use rules::{Everything, RuledReader, RuledWriter, Rules};
pub use untyped::{TableReader, TableWriter};

/// A table that any code may read and write: every one without `#[table(ruled)]`.
///
/// `derive(Table)` implements it.
#[diagnostic::on_unimplemented(
    message = "the table `{Self}` is `ruled`: its documents are read and written under row rules",
    label = "this would go past the rules",
    note = "write `ctx.db.under(rules)` instead of `ctx.db`, with a type that has `impl Rules<{Self}>`",
    note = "what stands above all rules writes `ctx.db.under(&Everything)`"
)]
pub trait OpenTable: Table {}

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
    pub async fn get<T: OpenTable>(&self, id: Id<T>) -> Result<Option<Doc<T>>> {
        self.get_any(id).await
    }

    async fn get_any<T: Table>(&self, id: Id<T>) -> Result<Option<Doc<T>>> {
        self.run.settled().await;
        let id = id.document_id();
        check_table::<T>(self.run.tx().as_ref(), "get", id)?;
        let document = self.run.tx().get(id).await?;
        document.map(Doc::from_document).transpose()
    }

    /// Begins to read a table: `ctx.db.query(Message::by_channel().eq(channel))`, or `Message::all()`.
    pub fn query<R: RangeOf<Table: OpenTable>>(&self, range: R) -> Query<Doc<R::Table>> {
        self.query_any(range)
    }

    fn query_any<R: RangeOf>(&self, range: R) -> Query<Doc<R::Table>> {
        Query::new(self.run.clone(), range.into_plan())
    }

    /// The same database under row rules: what they do not allow is not there.
    pub fn under<R: Clone + Send + Sync + 'static>(&self, rules: &R) -> RuledReader<R> {
        RuledReader::new(&self.run, rules)
    }

    /// The id that a text is, if it is one of a document of the table. Reads no document.
    pub fn normalize_id<T: Table>(&self, text: &str) -> Option<Id<T>> {
        let table = self.run.tx().table_number(T::NAME)?;
        normalize_id(table, text).map(Id::from)
    }

    /// The names of all tables, in the order in which they came into being. A query that looked runs again when there
    /// is a new one.
    pub async fn tables(&self) -> Result<Vec<(TableNumber, Arc<str>)>> {
        self.run.settled().await;
        Ok(self.run.tx().tables().await?)
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

    /// The same database under row rules: what they do not allow is not there, and refused when it is written.
    pub fn under<R: Clone + Send + Sync + 'static>(&self, rules: &R) -> RuledWriter<R> {
        RuledWriter::new(&self.reader.run, rules)
    }

    /// Adds a document and returns its id.
    pub async fn insert<T: OpenTable>(&self, document: T) -> Result<Id<T>> {
        self.insert_any(document).await
    }

    async fn insert_any<T: Table>(&self, document: T) -> Result<Id<T>> {
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
    pub fn patch<P: Patch<Table: OpenTable>>(
        &self,
        id: Id<P::Table>,
        patch: P,
    ) -> impl Future<Output = Result<()>> + Send + use<'_, P> {
        self.patch_any(id, patch.into_fields())
    }

    async fn patch_any<T: Table>(&self, id: Id<T>, fields: PatchFields) -> Result<()> {
        let run = &self.reader.run;
        let _turn = run.turn().await;
        let id = id.document_id();
        check_table::<T>(run.tx().as_ref(), "patch", id)?;
        Ok(run.tx().patch(id, Fields::Typed(&fields.into_json::<T>()?)).await?)
    }

    /// Replaces all fields of a document.
    ///
    /// # Errors
    /// `NonexistentDocument` when there is no such document.
    pub async fn replace<T: OpenTable>(&self, id: Id<T>, document: T) -> Result<()> {
        self.replace_any(id, document).await
    }

    async fn replace_any<T: Table>(&self, id: Id<T>, document: T) -> Result<()> {
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
    pub async fn delete<T: OpenTable>(&self, id: Id<T>) -> Result<()> {
        self.delete_any(id).await
    }

    async fn delete_any<T: Table>(&self, id: Id<T>) -> Result<()> {
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
