//! Why an operation of the engine failed, one type per operation, variants by what the caller does next.

use std::fmt;
use std::sync::Arc;

use syncline_schema::{DocumentId, Timestamp};

use crate::storage::StorageError;

/// Why a transaction did not begin.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BeginError {
    /// The store's state at `ts` is not kept any more, or was never durable: choose a newer timestamp.
    OutOfRetention {
        /// The timestamp asked for.
        ts: Timestamp,
    },
    /// So many snapshots are pinned already: try again later.
    TooManyPins {
        /// How many may be.
        limit: usize,
    },
}

impl fmt::Display for BeginError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            BeginError::OutOfRetention { ts } => {
                write!(f, "the state of the store at {ts} is not kept; choose a newer timestamp")
            }
            BeginError::TooManyPins { limit } => {
                write!(f, "{limit} snapshots are pinned, which is the limit; try again later")
            }
        }
    }
}

impl std::error::Error for BeginError {}

/// Why a transaction did not commit.
#[derive(Clone, Debug)]
pub enum CommitError {
    /// A newer commit wrote into what this transaction read: run it again.
    Conflict(Conflict),
    /// Someone else has the committer's turn: wait for [`Engine::turn_ended`](crate::Engine::turn_ended) and commit
    /// the same transaction again.
    TurnTaken,
    /// This transaction ran in a turn that took longer than `exclusive_turn_max`: it may be run again, but it had its chance.
    TurnTooLong,
    /// What it read has been undone, because an append failed: run it again.
    Undone,
    /// Its snapshot is not kept any more: run it again.
    OutOfRetention,
    /// Too many commits wait for the disk: try again later.
    Overloaded,
    /// The storage does not take commits at the moment. It may again later, by itself.
    Storage(Arc<str>),
}

/// Who won a conflict.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Conflict {
    /// The table that was read and written; `None` when it was not a table of the application.
    pub table: Option<Arc<str>>,
    /// The document that was written.
    pub document: Option<DocumentId>,
    /// When it was written: the next attempt needs a snapshot not before.
    pub newest: Timestamp,
}

impl fmt::Display for CommitError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            CommitError::Conflict(conflict) => {
                write!(f, "conflict with the commit at {}", conflict.newest)?;
                if let Some(table) = &conflict.table {
                    write!(f, " in table {table}")?;
                }
                match &conflict.document {
                    Some(document) => write!(f, ", document {document}"),
                    None => Ok(()),
                }
            }
            CommitError::TurnTaken => f.write_str("another mutation runs alone at the moment"),
            CommitError::TurnTooLong => f.write_str("the mutation took longer than it may keep others from committing"),
            CommitError::Undone => f.write_str("what the transaction read was undone, because it could not be stored"),
            CommitError::OutOfRetention => f.write_str("the snapshot of the transaction is older than what is kept"),
            CommitError::Overloaded => f.write_str("too many commits wait for the disk"),
            CommitError::Storage(cause) => write!(f, "the storage takes no commits: {cause}"),
        }
    }
}

impl std::error::Error for CommitError {}

/// Why a store could not be opened.
#[derive(Debug)]
pub enum OpenError {
    /// The storage failed, is in use, or is damaged.
    Storage(StorageError),
    /// The declared schema breaks a rule.
    Schema(String),
    /// Stored documents do not fit the declared schema; nothing was changed.
    Mismatch(SchemaMismatch),
}

/// A table whose documents do not fit its declaration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SchemaMismatch {
    /// The table.
    pub table: String,
    /// How many of its documents do not fit.
    pub n_documents: u64,
    /// The first few of them, each with what is wrong: path, what was found, what is expected.
    pub examples: Vec<(DocumentId, String)>,
}

impl fmt::Display for SchemaMismatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (n, table) = (self.n_documents, &self.table);
        let documents = if n == 1 { "document does" } else { "documents do" };
        write!(f, "{n} stored {documents} not fit the declared type of table `{table}`:")?;
        for (id, finding) in &self.examples {
            write!(f, "\n  {id}: {finding}")?;
        }
        let left_out = n - self.examples.len() as u64;
        if left_out > 0 {
            write!(f, "\n  and {left_out} more")?;
        }
        f.write_str(
            "\nNothing was changed. Correct the documents with the previous version, or declare what they hold.",
        )
    }
}

impl fmt::Display for OpenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            OpenError::Storage(error) => error.fmt(f),
            OpenError::Schema(text) => write!(f, "the declared schema is not valid: {text}"),
            OpenError::Mismatch(mismatch) => mismatch.fmt(f),
        }
    }
}

impl std::error::Error for OpenError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            OpenError::Storage(error) => Some(error),
            OpenError::Schema(_) | OpenError::Mismatch(_) => None,
        }
    }
}

impl From<StorageError> for OpenError {
    fn from(error: StorageError) -> Self {
        OpenError::Storage(error)
    }
}
