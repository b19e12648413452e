//! `Storage`: where a store lives. An append-only log of commits, and a base that holds the state up to a timestamp.
//!
//! What an implementation promises:
//!
//! - [`Storage::append`] is all or nothing, and durable when it returns. It compares the head of the log first, so two
//!   writers can never both append behind the same commit.
//! - A read of the base sees one state of it, not older than the newest [`Storage::finish_checkpoint`] that had
//!   returned when the read was called.
//! - [`Storage::write_base`] may be seen by reads at once, and need not be durable before the next
//!   [`Storage::finish_checkpoint`] is. What a crash leaves of it is harmless: the log still has all of it.
//!
//! The engine owns the order of things; a storage has no opinion about what the bytes of a batch mean.

mod log_files;
mod memory;
mod sqlite;

use std::fmt;
use std::io;
use std::ops::Deref;
use std::path::Path;

use futures::future::BoxFuture;
use smallvec::SmallVec;
use syncline_functions::tx::Order;
use syncline_schema::{DocumentId, InternalId, StoredText, TableNumber, Timestamp};

use crate::commit::{IndexId, RequestKey};
use crate::document::{Outline, outline};
pub use memory::{Fault, MemoryStorage};
pub use sqlite::{SqliteOptions, SqliteStorage};

/// What a storage answers, later.
pub type StorageFuture<T> = BoxFuture<'static, Result<T, StorageError>>;

/// Commits that were appended together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogBatch {
    /// The newest commit in it: the head of the log once it is appended.
    pub ts: Timestamp,
    /// The commits, in a form of the engine's.
    pub bytes: Vec<u8>,
}

/// Where the log and the base stand.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Position {
    /// The newest commit of the log, or `base` when the log is empty.
    pub head: Timestamp,
    /// The base holds the newest version at or below this of every key. Zero: the storage is new.
    pub base: Timestamp,
}

/// Small named texts: the schema, the tables, environment variables.
pub type Meta = Vec<(String, String)>;

/// Part of a [`Storage::read`].
#[derive(Clone, Debug)]
pub enum BaseRead {
    /// Documents by id.
    Documents {
        /// The table.
        table: TableNumber,
        /// Which.
        ids: Vec<InternalId>,
    },
    /// The first documents of a table in an interval of ids.
    DocumentRange {
        /// The table.
        table: TableNumber,
        /// Which.
        range: BaseRange,
    },
    /// The first entries of an index in an interval of keys, with their documents.
    IndexRange {
        /// The index; not `by_id`.
        index: IndexId,
        /// Which.
        range: BaseRange,
        /// About how many rows behind these will be asked for next: a storage may begin to read them.
        ahead: usize,
    },
    /// The stored outcomes of a session that a request number may be in: groups of them, in a form of the engine's.
    Outcomes {
        /// Whose request.
        key: RequestKey,
    },
    /// Whether the base holds any outcome of a session, and the greatest request number among them.
    GreatestRequest {
        /// Whose.
        session: [u8; 16],
    },
}

/// An interval of keys, from one end.
#[derive(Clone, Debug)]
pub struct BaseRange {
    /// The first key.
    pub start: Vec<u8>,
    /// The first key behind it; `None` when open.
    pub end: Option<Vec<u8>>,
    /// From which end.
    pub order: Order,
    /// How many rows at most.
    pub limit: usize,
}

/// The key of a row of the base: bytes that sort as the rows do, of which the last sixteen are the document's id.
///
/// For a row of documents that is all. For an entry of an index the *head* stands before it; no head of an index begins
/// with another one.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct BaseKey(SmallVec<[u8; BaseKey::SHORT]>);

impl BaseKey {
    /// Bytes of a key that needs no allocation.
    const SHORT: usize = 40;

    /// A key.
    pub fn new(head: &[u8], id: InternalId) -> Self {
        BaseKey::from_parts(head, &id.0).expect("it ends with an id")
    }

    /// The key that has these bytes, given in two parts; `None` when they are too few.
    pub(crate) fn from_parts(begin: &[u8], end: &[u8]) -> Option<Self> {
        let len = begin.len() + end.len();
        if len < size_of::<InternalId>() {
            return None;
        }
        let mut short = [0; BaseKey::SHORT];
        if len > short.len() {
            return Some(BaseKey([begin, end].concat().into()));
        }
        // Filled at once: a key is made for every row that is read.
        short[..begin.len()].copy_from_slice(begin);
        short[begin.len()..len].copy_from_slice(end);
        Some(BaseKey(SmallVec::from_buf_and_len(short, len)))
    }

    /// Its bytes, which stay as many.
    pub(crate) fn bytes_mut(&mut self) -> &mut [u8] {
        &mut self.0
    }

    /// What stands before the id.
    pub fn head(&self) -> &[u8] {
        self.split().0
    }

    /// The document.
    pub fn id(&self) -> InternalId {
        InternalId(*self.split().1)
    }

    fn split(&self) -> (&[u8], &[u8; 16]) {
        self.0.split_last_chunk().expect("a key ends with an id")
    }
}

impl Deref for BaseKey {
    type Target = [u8];
    fn deref(&self) -> &[u8] {
        &self.0
    }
}

/// The stored text of a document of the base, with what the engine keeps beside it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct BaseText {
    text: StoredText,
    /// `None`: the text is not that of a document.
    outline: Option<Outline>,
}

impl BaseText {
    /// `outline` is what the text has.
    pub(crate) fn new(text: StoredText, outline: Option<Outline>) -> Self {
        BaseText { text, outline }
    }

    pub(crate) fn into_stored(self) -> StoredText {
        self.text
    }

    pub(crate) fn stored(&self) -> &StoredText {
        &self.text
    }

    pub(crate) fn outline(&self) -> Option<Outline> {
        self.outline
    }
}

impl From<StoredText> for BaseText {
    fn from(text: StoredText) -> Self {
        BaseText { outline: outline(&text), text }
    }
}

impl Deref for BaseText {
    type Target = str;
    fn deref(&self) -> &str {
        &self.text
    }
}

/// A row of a range.
#[derive(Clone, Debug, PartialEq)]
pub struct BaseRow {
    /// Its key, with the document's id.
    pub key: BaseKey,
    /// The document's stored text. `None` when the base holds the entry but not the document: a checkpoint is under way.
    pub json: Option<BaseText>,
}

/// The answer to a [`BaseRead`].
#[derive(Clone, Debug, PartialEq)]
pub enum BaseAnswer {
    /// To [`BaseRead::Documents`], in their order.
    Documents(Vec<Option<BaseText>>),
    /// To the ranges: rows in order; fewer than the limit mean that nothing follows.
    Rows(Vec<BaseRow>),
    /// To [`BaseRead::Outcomes`].
    Outcomes(Vec<Vec<u8>>),
    /// To [`BaseRead::GreatestRequest`].
    GreatestRequest(Option<u64>),
}

/// Outcomes of a session's requests that are stored together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OutcomeGroup {
    /// The session.
    pub session: [u8; 16],
    /// The smallest request number in it.
    pub first: u64,
    /// The greatest.
    pub last: u64,
    /// The newest commit among them.
    pub ts: Timestamp,
    /// The outcomes, in a form of the engine's.
    pub bytes: Vec<u8>,
}

/// A part of a checkpoint. What exists is replaced, what is removed need not exist.
#[derive(Clone, Debug, Default)]
pub struct BaseWrites {
    /// Documents to put.
    pub documents: Vec<(DocumentId, BaseText)>,
    /// Documents to remove.
    pub documents_removed: Vec<DocumentId>,
    /// Index entries to put.
    pub entries: Vec<(IndexId, BaseKey)>,
    /// Index entries to remove.
    pub entries_removed: Vec<(IndexId, BaseKey)>,
    /// Outcomes to put.
    pub outcomes: Vec<OutcomeGroup>,
    /// An index to remove about so many entries of, as the storage has them together.
    pub index_dropped: Option<(IndexId, usize)>,
}

/// The end of a checkpoint, all or nothing and durable.
#[derive(Clone, Debug, Default)]
pub struct Checkpoint {
    /// The base has everything up to here; the log may forget it. `None`: unchanged.
    pub base: Option<Timestamp>,
    /// Texts to put.
    pub meta: Meta,
    /// Texts to remove, by name.
    pub meta_removed: Vec<String>,
    /// Outcomes whose newest commit is older than this go.
    pub outcomes_before: Timestamp,
    /// Outcomes beyond so many bytes go, oldest first. `None`: no bound.
    pub outcome_bytes_max: Option<u64>,
}

/// What a checkpoint's end let go of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Pruned {
    /// Groups of outcomes older than allowed.
    pub aged: u64,
    /// Groups of outcomes beyond the byte bound.
    pub over_budget: u64,
}

/// Where a store lives. See the head of this module for what is promised.
pub trait Storage: Send + Sync + 'static {
    /// Where log and base stand.
    fn position(&self) -> StorageFuture<Position>;

    /// All small texts, by name.
    fn meta(&self) -> StorageFuture<Meta>;

    /// Appends a batch behind `expected_head`. Errors: [`StorageError::HeadMoved`] when something else stands there;
    /// for others the caller must look at [`Storage::position`] to know whether it was appended.
    fn append(&self, expected_head: Timestamp, batch: LogBatch) -> StorageFuture<()>;

    /// Batches of the log behind a timestamp, oldest first, as many as fit into `bytes_max` and at least one; none
    /// when there are none.
    fn log_after(&self, ts: Timestamp, bytes_max: usize) -> StorageFuture<Vec<LogBatch>>;

    /// Reads the base: all parts in one state.
    fn read(&self, parts: Vec<BaseRead>) -> StorageFuture<Vec<BaseAnswer>>;

    /// Writes a part of a checkpoint. Returns how many entries of a dropped index were removed: none when there were none.
    fn write_base(&self, writes: BaseWrites) -> StorageFuture<usize>;

    /// Ends a checkpoint.
    fn finish_checkpoint(&self, checkpoint: Checkpoint) -> StorageFuture<Pruned>;

    /// The most memory that it caches the base in, bytes. The engine takes it out of its own budget.
    fn cache_bytes_max(&self) -> usize {
        0
    }

    /// About how many bytes the base holds.
    fn base_bytes(&self) -> StorageFuture<u64>;

    /// Ends it: waits for what was asked for and lets go of files and locks. Everything else fails from then on.
    fn close(&self) -> StorageFuture<()>;
}

/// Why a storage failed, by what to do about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StorageError {
    /// Someone else appended: nothing was.
    HeadMoved {
        /// The head that was expected.
        expected: Timestamp,
        /// The head that is there.
        found: Timestamp,
    },
    /// Another server has it open: stop that one, or use another place.
    Locked {
        /// What is locked.
        what: String,
    },
    /// Another program writes to it at the moment: it passes when that one ends its transaction.
    Busy {
        /// What the system says.
        what: String,
    },
    /// It cannot be written: mend the permissions.
    ReadOnly {
        /// What, and what the system says.
        what: String,
    },
    /// No space is left: make some. What was stored is safe.
    Full {
        /// What the system says.
        what: String,
    },
    /// It is damaged, or it is no store: restore a copy.
    Corrupt {
        /// What is wrong, and where.
        what: String,
    },
    /// It was written by a newer version of Syncline: use that one.
    Version {
        /// The version of the format found.
        found: u64,
        /// The newest version that can be read.
        known: u64,
    },
    /// It was closed.
    Closed,
    /// Reading or writing failed; it may pass.
    Io {
        /// What the system says.
        what: String,
    },
}

impl fmt::Display for StorageError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            StorageError::HeadMoved { expected, found } => {
                write!(f, "something else wrote to the store: the log ends at {found}, expected {expected}")
            }
            StorageError::Locked { what } => {
                write!(f, "{what} is in use by another server; stop that one or use another data folder")
            }
            StorageError::Busy { what } => {
                write!(
                    f,
                    "another program writes to the store: {what}; end its transaction, a server that runs goes on then"
                )
            }
            StorageError::ReadOnly { what } => {
                write!(f, "the store cannot be written: {what}; let the server's user write this file and its folder")
            }
            StorageError::Full { what } => {
                write!(
                    f,
                    "no space is left for the store: {what}; make room there. What was acknowledged is safe, and a server \
                     that runs goes on by itself"
                )
            }
            StorageError::Corrupt { what } => {
                write!(f, "the store is damaged: {what}; restore a copy of the data folder, or use another one")
            }
            StorageError::Version { found, known } => {
                write!(
                    f,
                    "the store has format {found}, and this version reads formats up to {known}; use a newer version"
                )
            }
            StorageError::Closed => f.write_str("the store was closed"),
            StorageError::Io { what } => {
                write!(f, "the store could not be read or written: {what}; the system's log may say why")
            }
        }
    }
}

impl StorageError {
    /// The same, and of which file, unless it names that one or one beside it.
    fn of(mut self, file: &Path) -> Self {
        let file = file.display().to_string();
        match &mut self {
            StorageError::Busy { what }
            | StorageError::ReadOnly { what }
            | StorageError::Full { what }
            | StorageError::Corrupt { what }
            | StorageError::Io { what } => {
                if !what.starts_with(&file) {
                    *what = format!("{file}: {what}");
                }
            }
            // They name it, or are not about it.
            StorageError::HeadMoved { .. }
            | StorageError::Locked { .. }
            | StorageError::Version { .. }
            | StorageError::Closed => {}
        }
        self
    }
}

impl std::error::Error for StorageError {}

/// What the system says of a file.
fn of_file(path: &Path, error: &io::Error) -> StorageError {
    let what = format!("{}: {error}", path.display());
    match error.kind() {
        io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => StorageError::ReadOnly { what },
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => StorageError::Full { what },
        _ => StorageError::Io { what },
    }
}
