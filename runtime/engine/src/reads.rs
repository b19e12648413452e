//! What a transaction has read: ranges of index keys, single documents, names, requests.
//!
//! The same look-up serves conflicts (did a newer commit touch it?) and live queries (does this commit touch it?).

use std::collections::BTreeSet;
use std::sync::Arc;

use smallvec::SmallVec;
use syncline_schema::{DocumentId, KeyRange, RangeSet};

use crate::commit::{Change, Commit, IndexId, RequestKey};

/// Above this many documents a set is searched as a tree. Most transactions read a handful.
const LINEAR_MAX: usize = 16;

/// A set of documents: a short list, or a tree when it is longer.
#[derive(Clone, Debug, Default)]
struct Points {
    few: SmallVec<[DocumentId; 4]>,
    many: BTreeSet<DocumentId>,
}

impl Points {
    fn contains(&self, id: &DocumentId) -> bool {
        self.few.contains(id) || (!self.many.is_empty() && self.many.contains(id))
    }

    /// Whether it is new.
    fn insert(&mut self, id: DocumentId) -> bool {
        if self.contains(&id) {
            return false;
        }
        if self.few.len() < LINEAR_MAX {
            self.few.push(id);
            true
        } else {
            self.many.insert(id)
        }
    }

    fn iter(&self) -> impl Iterator<Item = DocumentId> {
        self.few.iter().chain(&self.many).copied()
    }
}

/// What is read, while it grows.
#[derive(Clone, Debug, Default)]
pub(crate) struct Reads {
    documents: Points,
    ranges: SmallVec<[(IndexId, RangeSet); 2]>,
    requests: SmallVec<[RequestKey; 1]>,
    /// Documents among those that count as an interval: looked up by `get`, not only written.
    n_documents_got: usize,
}

impl Reads {
    /// A document was looked up by its id.
    pub fn document_got(&mut self, id: DocumentId) {
        if self.documents.insert(id) {
            self.n_documents_got += 1;
        }
    }

    /// A document was looked up in order to write it.
    pub fn document_written(&mut self, id: DocumentId) {
        self.documents.insert(id);
    }

    /// A range of an index was read. Keys of `by_id` are the bytes of ids.
    pub fn range(&mut self, index: IndexId, range: KeyRange) {
        match self.ranges.iter_mut().find(|(id, _)| *id == index) {
            Some((_, ranges)) => ranges.insert(range),
            None => {
                let mut ranges = RangeSet::default();
                ranges.insert(range);
                self.ranges.push((index, ranges));
            }
        }
    }

    /// A name of the system was looked up.
    pub fn name(&mut self, index: IndexId, name: &str) {
        self.range(index, point(name.as_bytes()));
    }

    /// The outcome of a request was looked up.
    pub fn request(&mut self, key: RequestKey) {
        if !self.requests.contains(&key) {
            self.requests.push(key);
        }
    }

    /// How many intervals, overlapping ones merged. Names of the system do not count.
    pub fn n_intervals(&self) -> usize {
        let user_tables = self.ranges.iter().filter(|(index, _)| !is_system(*index));
        self.n_documents_got + user_tables.map(|(_, ranges)| ranges.len()).sum::<usize>()
    }

    /// The first change of a commit that touches what was read.
    pub fn touched<'a>(&self, commit: &'a Commit) -> Option<&'a Change> {
        commit.changes.iter().find(|change| self.touched_by_change(change))
    }

    fn touched_by_change(&self, change: &Change) -> bool {
        match change {
            Change::Request(key) => self.requests.contains(key),
            Change::Document { id, .. } if self.documents.contains(id) => true,
            Change::Document { id, .. } if !self.ranges.iter().any(|(index, _)| index.table == id.table) => false,
            Change::Document { .. } | Change::System { .. } => {
                let mut found = false;
                change.for_each_key(|changed, key| {
                    found =
                        found || self.ranges.iter().any(|(index, ranges)| *index == changed && ranges.contains(key));
                });
                found
            }
        }
    }
}

fn is_system(index: IndexId) -> bool {
    index == IndexId::TABLE_NAMES || index == IndexId::ENVIRONMENT_VARIABLES
}

/// The range that holds one key.
pub(crate) fn point(key: &[u8]) -> KeyRange {
    let mut end = Vec::with_capacity(key.len() + 1);
    end.extend_from_slice(key);
    end.push(0);
    KeyRange { start: key.to_vec(), end: Some(end) }
}

/// What a transaction has read. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct ReadSet {
    reads: Arc<Reads>,
}

impl ReadSet {
    pub(crate) fn new(reads: Reads) -> Self {
        ReadSet { reads: Arc::new(reads) }
    }

    /// Whether a commit changed any of it.
    pub fn touched_by(&self, commit: &Commit) -> bool {
        self.reads.touched(commit).is_some()
    }

    /// Whether nothing was read.
    pub fn is_empty(&self) -> bool {
        self.reads.ranges.is_empty() && self.reads.documents.few.is_empty() && self.reads.requests.is_empty()
    }

    pub(crate) fn documents(&self) -> impl Iterator<Item = DocumentId> {
        self.reads.documents.iter()
    }

    pub(crate) fn ranges(&self) -> impl Iterator<Item = (IndexId, &RangeSet)> {
        self.reads.ranges.iter().map(|(index, ranges)| (*index, ranges))
    }
}
