//! What a commit did, as conflicts and subscriptions look at it: which keys it touched, never what it wrote there.

use std::sync::Arc;

use smallvec::SmallVec;
use syncline_schema::{DocumentId, TableNumber, Timestamp};

use crate::memory::near;

/// An index of a table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct IndexId {
    /// The table's number.
    pub table: TableNumber,
    /// The index's number in its table: never used again for another index.
    pub index: u32,
}

impl IndexId {
    /// Number of `by_id` in every table. Its keys, here, are the 16 bytes of the id, which sort as the texts do.
    pub const BY_ID: u32 = 0;
    /// Number of `by_creation_time` in every table.
    pub const BY_CREATION_TIME: u32 = 1;
    /// Number of the first index that an application declares in a table.
    pub const FIRST_DECLARED: u32 = 2;

    /// The names of tables.
    ///
    /// Numbers of system tables: `tests/spec/data-and-functions.md` 2.4.
    pub(crate) const TABLE_NAMES: IndexId = IndexId { table: TableNumber(513), index: 0 };
    /// The names of environment variables.
    pub(crate) const ENVIRONMENT_VARIABLES: IndexId = IndexId { table: TableNumber(525), index: 0 };
}

/// The keys of one version of a document, in all indexes of its table but `by_id`.
pub type DocumentKeys = Arc<[(u32, Arc<[u8]>)]>;

/// A request of a client's session, which takes effect at most once.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RequestKey {
    /// The session, as 16 bytes (sessions are named by UUIDs).
    pub session: [u8; 16],
    /// The request in its session.
    pub request: u64,
}

/// What a request came to: stored with its mutation, told again when it is sent again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// When it committed. What [`Engine::commit`](crate::Engine::commit) is given here is not looked at.
    pub ts: Timestamp,
    /// Its result as wire JSON.
    pub value: Arc<str>,
    /// Its log lines.
    pub log_lines: Vec<String>,
}

/// One thing that a commit changed.
#[derive(Clone, Debug)]
pub enum Change {
    /// A document was inserted (no old keys), changed, or deleted (no new keys). A changed document whose keys are
    /// the same is a change at those keys: who read the range has read the document.
    Document {
        /// Which document.
        id: DocumentId,
        /// Where it was.
        old: Option<DocumentKeys>,
        /// Where it is now.
        new: Option<DocumentKeys>,
    },
    /// A name of the system: a table came into being, an environment variable changed.
    System {
        /// Which kind of name.
        index: IndexId,
        /// The name.
        key: Box<[u8]>,
    },
    /// The outcome of a request was stored.
    Request(RequestKey),
}

/// What a commit changed; mostly a handful.
pub type Changes = SmallVec<[Change; 3]>;

/// A commit.
#[derive(Clone, Debug)]
pub struct Commit {
    /// When. Every commit has its own.
    pub ts: Timestamp,
    /// What it changed.
    pub changes: Changes,
}

impl Commit {
    /// About how much memory it takes, keys not counted: documents share them.
    pub(crate) fn bytes(&self) -> usize {
        size_of::<Commit>() + self.changes.len() * (size_of::<Change>() + 32)
    }

    /// Asks for what is looked at when it is let go of, once the commit itself is near: the counters of its keys.
    pub(crate) fn ask_for_end(&self) {
        for change in &self.changes {
            if let Change::Document { new: Some(keys), .. } = change {
                near::ask_before(&**keys);
            }
        }
    }
}

impl Change {
    /// Calls `each` for every key of a change in a document or name, old ones and new ones, equal ones once.
    pub(crate) fn for_each_key(&self, mut each: impl FnMut(IndexId, &[u8])) {
        match self {
            Change::Document { id, old, new } => {
                each(IndexId { table: id.table, index: IndexId::BY_ID }, &id.internal.0);
                for_each_key(id.table, old.as_ref(), new.as_ref(), each);
            }
            Change::System { index, key } => each(*index, key),
            Change::Request(_) => {}
        }
    }
}

/// Calls `each` for the keys of a document before and after a change; one that stays only once.
pub(crate) fn for_each_key(
    table: TableNumber,
    old: Option<&DocumentKeys>,
    new: Option<&DocumentKeys>,
    mut each: impl FnMut(IndexId, &[u8]),
) {
    for (index, key) in old.into_iter().flat_map(|keys| keys.iter()) {
        each(IndexId { table, index: *index }, key);
    }
    let Some(new) = new else { return };
    if old.is_some_and(|old| Arc::ptr_eq(old, new)) {
        return;
    }
    for (position, (index, key)) in new.iter().enumerate() {
        // All versions of a document list the same indexes in the same order.
        if old.is_none_or(|old| old[position].1 != *key) {
            each(IndexId { table, index: *index }, key);
        }
    }
}
