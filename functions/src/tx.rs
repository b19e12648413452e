//! `Tx`: what a function needs of a transaction. The engine implements it; nothing here knows how.
//!
//! Documents travel as their wire JSON, shared and never copied. Positions are index-key bytes.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use futures::future::BoxFuture;
use smallvec::SmallVec;
use syncline_schema::{DocumentId, RangePart, StoredText, TableNumber};

use crate::limits;

/// A document as it is stored: the wire JSON of all its fields, `_id` and `_creationTime` included.
#[derive(Clone, Debug)]
pub struct Document {
    /// Its id.
    pub id: DocumentId,
    /// Milliseconds since the epoch, with a fraction.
    pub creation_time: f64,
    /// The wire JSON, no whitespace: `{"_creationTime":…,"_id":"…",` and then the fields in byte order of their names.
    pub json: StoredText,
    /// Where in `json` the document's own fields begin: at the comma or brace behind the id.
    pub fields_at: usize,
}

/// The answer of a transaction: at once when memory has it, later when the base must be read.
///
/// A future of its own, so that the common case allocates nothing.
pub enum Reply<T> {
    /// Known at once. `None` after it was taken.
    Now(Option<Result<T, DbError>>),
    /// Being read.
    Later(BoxFuture<'static, Result<T, DbError>>),
}

impl<T> Reply<T> {
    /// An answer that is known at once.
    pub fn now(result: Result<T, DbError>) -> Self {
        Reply::Now(Some(result))
    }
}

impl<T: Unpin> Future for Reply<T> {
    type Output = Result<T, DbError>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match self.get_mut() {
            Reply::Now(answer) => Poll::Ready(answer.take().expect("a Reply is polled once after it is ready")),
            Reply::Later(future) => future.as_mut().poll(cx),
        }
    }
}

/// Why a database call failed.
///
/// An application may catch [`DbError::Refused`]. The others end the run whatever the application makes of
/// them: the transaction remembers them, and its owner looks there first.
#[derive(Clone, Debug)]
pub enum DbError {
    /// The call broke a rule: a limit, the schema, an unknown index. The text begins with `code` and a colon
    /// where the code is one that clients or tools know.
    Refused {
        /// The code of the specification, for example `TooManyReads`.
        code: &'static str,
        /// The whole text, for a person.
        message: String,
        /// What a client can branch on; JSON. Only a few refusals have it (`InvalidCursor`).
        data: Option<String>,
    },
    /// The snapshot is older than what is kept: run again on a newer one.
    OutOfRetention,
    /// The storage failed; nobody's fault but the machine's.
    Storage(Arc<str>),
}

impl DbError {
    /// A refusal without data.
    pub fn refused(code: &'static str, message: impl Into<String>) -> Self {
        DbError::Refused { code, message: message.into(), data: None }
    }

    /// The refusal of a write to a document that is not there, or not there for the caller.
    pub fn nonexistent(call: &str, id: &DocumentId) -> Self {
        const CODE: &str = "NonexistentDocument";
        DbError::refused(CODE, format!("{CODE}: `{call}` of {id}: there is no such document."))
    }
}

impl fmt::Display for DbError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            DbError::Refused { message, .. } => f.write_str(message),
            DbError::OutOfRetention => f.write_str("the snapshot of this run is older than what is kept; run it again"),
            DbError::Storage(cause) => write!(f, "the storage failed: {cause}"),
        }
    }
}

impl std::error::Error for DbError {}

/// The direction in which an index is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Order {
    /// In key order.
    Asc,
    /// In exact reverse of the key order.
    Desc,
}

/// One step of reading an index: at most `limit` documents of a range, from a position on.
///
/// The step's interval enters the read set: up to the last document returned, or to the range's end when `done`.
#[derive(Clone, Copy, Debug)]
pub struct Scan<'a> {
    /// Name of the table; one that does not exist is empty.
    pub table: &'a str,
    /// Name of the index: `by_id`, `by_creation_time` or a declared one.
    pub index: &'a str,
    /// Equalities, then bounds on one field.
    pub range: &'a [RangePart],
    /// Direction.
    pub order: Order,
    /// Continue behind this index key (exclusive, in the direction of `order`).
    pub after: Option<&'a [u8]>,
    /// Stop at this index key (inclusive, in the direction of `order`).
    pub until: Option<&'a [u8]>,
    /// How many documents at most; at least 1.
    pub limit: usize,
    /// Whether the key of each document is wanted, or the last one's alone.
    pub keys: bool,
}

/// Documents that were read; one alone lies in place.
pub type Documents = SmallVec<[Document; 1]>;

/// What one [`Scan`] found.
#[derive(Clone, Debug, Default)]
pub struct Batch {
    /// In order.
    pub documents: Documents,
    /// The index keys of the documents, when the scan asked for all; otherwise that of the last one, unless nothing
    /// follows it.
    pub keys: Vec<Arc<[u8]>>,
    /// Whether the range (or `until`) was reached: nothing follows.
    pub done: bool,
}

/// The fields of a write, as wire JSON of an object without `_id` and `_creationTime` (they may be repeated
/// unchanged in an [`Fields::Untyped`] patch or replace).
#[derive(Clone, Copy, Debug)]
pub enum Fields<'a> {
    /// Encoded from the table's own Rust type, keys in byte order: the type has checked it.
    Typed(&'a str),
    /// From anywhere else: checked against the table's validator before it is written.
    Untyped(&'a str),
}

/// How much of its limits a transaction has used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// Documents read, filtered-out and repeated ones included.
    pub documents_read: u64,
    /// Bytes of documents read.
    pub bytes_read: u64,
    /// Index intervals read.
    pub intervals_read: u64,
    /// Documents written; the same document twice counts twice.
    pub documents_written: u64,
    /// Bytes of documents written.
    pub bytes_written: u64,
    /// Bytes of the index keys that led to the documents read.
    pub index_bytes_read: u64,
    /// Bytes of the index keys that came and went with the documents written.
    pub index_bytes_written: u64,
}

/// The most that a transaction may use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UsageLimits {
    /// Documents read.
    pub documents_read: u64,
    /// Bytes of documents read.
    pub bytes_read: u64,
    /// Index intervals read.
    pub intervals_read: u64,
    /// Documents written.
    pub documents_written: u64,
    /// Bytes of documents written.
    pub bytes_written: u64,
}

impl Default for UsageLimits {
    fn default() -> Self {
        UsageLimits {
            documents_read: limits::DOCUMENTS_READ_MAX,
            bytes_read: limits::BYTES_READ_MAX,
            intervals_read: limits::INTERVALS_READ_MAX,
            documents_written: limits::DOCUMENTS_WRITTEN_MAX,
            bytes_written: limits::BYTES_WRITTEN_MAX,
        }
    }
}

impl Usage {
    /// What is used by more than four fifths, each as a sentence.
    pub(crate) fn close_to(&self, limits: &UsageLimits) -> Vec<String> {
        let all = [
            ("documents read", self.documents_read, limits.documents_read),
            ("bytes of documents read", self.bytes_read, limits.bytes_read),
            ("index intervals read", self.intervals_read, limits.intervals_read),
            ("documents written", self.documents_written, limits.documents_written),
            ("bytes of documents written", self.bytes_written, limits.bytes_written),
        ];
        all.iter()
            .filter(|(_, used, limit)| used.saturating_mul(5) > limit.saturating_mul(4))
            .map(|(what, used, limit)| format!("This call is close to a limit: {used} {what}, at most {limit}."))
            .collect()
    }
}

/// Variables of the deployment: names and values, in the order of the names.
pub type Variables = Vec<(Arc<str>, Arc<str>)>;

/// A transaction: one snapshot, its own writes over it, and the record of what was read.
///
/// All calls may be made at once from one run; writes apply in the order of the calls. A query's transaction
/// refuses the writing calls with code `ReadOnly`.
pub trait Tx: Send + Sync {
    /// The number of a table by name; enters the read set. `None` when there is no such table.
    fn table_number(&self, name: &str) -> Option<TableNumber>;

    /// The name of a table by number. `None` when there is no such table.
    fn table_name(&self, number: TableNumber) -> Option<Arc<str>>;

    /// All tables of the application, by number; enters the read set, so that a new one is noticed.
    fn tables(&self) -> Reply<Vec<(TableNumber, Arc<str>)>>;

    /// Brings a table into being, empty; nothing happens when it is there. Errors: as for an insert into a new one.
    fn create_table(&self, name: &str) -> Reply<TableNumber>;

    /// The document, or `None` when there is none or its table is unknown.
    fn get(&self, id: DocumentId) -> Reply<Option<Document>>;

    /// Reads one step of an index. Errors: `IndexNotFoundError`, `InvalidIndexRange` and the like, read limits.
    fn scan(&self, scan: Scan<'_>) -> Reply<Batch>;

    /// Inserts a document and returns its id; the table comes into being when it is new.
    fn insert(&self, table: &str, fields: Fields<'_>) -> Reply<DocumentId>;

    /// Replaces the given top-level fields; `{"$undefined":null}` removes one. Writes nothing when all are equal.
    /// Errors: `NonexistentDocument`, `SchemaEnforcementError`, `InvalidIdError`, write limits.
    fn patch(&self, id: DocumentId, fields: Fields<'_>) -> Reply<()>;

    /// Replaces all fields but the two of the system.
    fn replace(&self, id: DocumentId, fields: Fields<'_>) -> Reply<()>;

    /// Deletes a document.
    fn delete(&self, id: DocumentId) -> Reply<()>;

    /// A variable of the deployment; enters the read set, set or not.
    fn environment_variable(&self, name: &str) -> Reply<Option<Arc<str>>>;

    /// All variables of the deployment, by name; each one enters the read set, those that are not set too.
    fn environment_variables(&self) -> Reply<Variables>;

    /// Opens a nested transaction; it sees all writes so far. Calls nest like brackets.
    fn begin_nested(&self);

    /// Closes the innermost nested transaction: its writes stay, or go. Its reads stay in the read set either way.
    fn end_nested(&self, end: NestedEnd);

    /// What was used so far.
    fn usage(&self) -> Usage;

    /// How much it may use, so that a page can end before it goes over.
    fn limits(&self) -> UsageLimits {
        UsageLimits::default()
    }
}

/// How a nested transaction ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NestedEnd {
    /// Its writes become writes of the outer one.
    Keep,
    /// Its writes are undone.
    Undo,
}
