//! What a transaction has read: ranges of index keys, single documents, names, requests.
//!
//! The same look-up serves conflicts (did a newer commit touch it?) and live queries (does this commit touch it?).

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use smallvec::SmallVec;
use syncline_schema::{DocumentId, KeyRange, RangeSet, TableNumber};

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

/// A set of ranges of indexes: a short list as they came, or merged sets when it is longer.
#[derive(Clone, Debug, Default)]
struct Ranges {
    few: SmallVec<[(IndexId, KeyRange); 2]>,
    many: BTreeMap<IndexId, RangeSet>,
}

impl Ranges {
    fn insert(&mut self, index: IndexId, range: KeyRange) {
        if self.few.len() < LINEAR_MAX {
            // Reading the same again is common, merging what touches is not worth its cost here.
            if !self.few.iter().any(|(other, known)| *other == index && *known == range) {
                self.few.push((index, range));
            }
            return;
        }
        if self.many.is_empty() {
            for (index, range) in &self.few {
                self.many.entry(*index).or_default().insert(range.clone());
            }
        }
        self.many.entry(index).or_default().insert(range);
    }

    fn contains(&self, index: IndexId, key: &[u8]) -> bool {
        if self.many.is_empty() {
            return self.few.iter().any(|(other, range)| *other == index && range.contains(key));
        }
        self.many.get(&index).is_some_and(|ranges| ranges.contains(key))
    }

    fn has_table(&self, table: TableNumber) -> bool {
        if self.many.is_empty() {
            return self.few.iter().any(|(index, _)| index.table == table);
        }
        let first = IndexId { table, index: 0 };
        self.many.range(first..).next().is_some_and(|(index, _)| index.table == table)
    }

    fn n_intervals(&self) -> usize {
        if self.many.is_empty() {
            return self.few.iter().filter(|(index, _)| !is_system(*index)).count();
        }
        self.many.iter().filter(|(index, _)| !is_system(**index)).map(|(_, ranges)| ranges.len()).sum()
    }

    fn for_each(&self, mut each: impl FnMut(IndexId, &KeyRange)) {
        if self.many.is_empty() {
            return self.few.iter().for_each(|(index, range)| each(*index, range));
        }
        for (index, ranges) in &self.many {
            ranges.iter().for_each(|range| each(*index, &range));
        }
    }
}

/// The documents that ranges had, while they are few.
#[derive(Clone, Debug)]
enum InRanges {
    Few(SmallVec<[DocumentId; 2]>),
    Many,
}

impl Default for InRanges {
    fn default() -> Self {
        InRanges::Few(SmallVec::new())
    }
}

/// What is read, while it grows.
#[derive(Clone, Debug, Default)]
pub(crate) struct Reads {
    documents: Points,
    ranges: Ranges,
    requests: SmallVec<[RequestKey; 1]>,
    /// The documents that ranges had.
    in_ranges: InRanges,
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
        self.ranges.insert(index, range);
    }

    /// A range that was read had these documents, and no others.
    pub fn had(&mut self, documents: impl ExactSizeIterator<Item = DocumentId>) {
        match &mut self.in_ranges {
            InRanges::Few(few) if few.len() + documents.len() <= LINEAR_MAX => few.extend(documents),
            in_ranges => *in_ranges = InRanges::Many,
        }
    }

    /// A name of the system was looked up.
    pub fn name(&mut self, index: IndexId, name: &str) {
        self.range(index, KeyRange::one(name.as_bytes()));
    }

    /// The outcome of a request was looked up.
    pub fn request(&mut self, key: RequestKey) {
        if !self.requests.contains(&key) {
            self.requests.push(key);
        }
    }

    /// How many intervals: overlapping ones are merged when there are many, which is when it matters. Names of the
    /// system do not count.
    pub fn n_intervals(&self) -> usize {
        self.n_documents_got + self.ranges.n_intervals()
    }

    /// Whether there are more intervals than so many: known at once while they are few.
    pub fn has_more_intervals(&self, max: u64) -> bool {
        let at_most = self.n_documents_got + self.ranges.few.len();
        (!self.ranges.many.is_empty() || at_most as u64 > max) && self.n_intervals() as u64 > max
    }

    /// The first change of a commit that touches what was read.
    pub fn touched<'a>(&self, commit: &'a Commit) -> Option<&'a Change> {
        commit.changes.iter().find(|change| self.touched_by_change(change))
    }

    fn touched_by_change(&self, change: &Change) -> bool {
        match change {
            Change::Request(key) => self.requests.contains(key),
            Change::Document { id, .. } if self.documents.contains(id) => true,
            Change::Document { id, .. } if !self.ranges.has_table(id.table) => false,
            // It is where it was: in a range that was read, if that had it. So no key need be looked at.
            Change::Document { id, old: Some(old), new: Some(new) }
                if Arc::ptr_eq(old, new)
                    && let InRanges::Few(few) = &self.in_ranges =>
            {
                few.contains(id)
            }
            Change::Document { .. } | Change::System { .. } => {
                let mut found = false;
                change.for_each_key(|index, key| found = found || self.ranges.contains(index, key));
                found
            }
        }
    }
}

fn is_system(index: IndexId) -> bool {
    index == IndexId::TABLE_NAMES || index == IndexId::ENVIRONMENT_VARIABLES
}

/// What of a read set a commit changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Touched {
    /// Documents of a table.
    Table(TableNumber),
    /// Which tables there are.
    Tables,
    /// Variables of the deployment.
    Variables,
    /// The outcome of a request.
    Request,
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

    /// What a commit changed of it first, if anything.
    pub fn first_touched(&self, commit: &Commit) -> Option<Touched> {
        Some(match self.reads.touched(commit)? {
            Change::Document { id, .. } => Touched::Table(id.table),
            Change::System { index, .. } if *index == IndexId::TABLE_NAMES => Touched::Tables,
            Change::System { .. } => Touched::Variables,
            Change::Request(_) => Touched::Request,
        })
    }

    /// Whether nothing was read.
    pub fn is_empty(&self) -> bool {
        let Reads { documents, ranges, requests, in_ranges: _, n_documents_got: _ } = &*self.reads;
        documents.few.is_empty() && ranges.few.is_empty() && requests.is_empty()
    }

    pub(crate) fn documents(&self) -> impl Iterator<Item = DocumentId> {
        self.reads.documents.iter()
    }

    pub(crate) fn for_each_range(&self, each: impl FnMut(IndexId, &KeyRange)) {
        self.reads.ranges.for_each(each);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commit::DocumentKeys;
    use smallvec::smallvec;
    use syncline_schema::{InternalId, Timestamp};

    const TABLE: TableNumber = TableNumber(10_001);
    const INDEX: IndexId = IndexId { table: TABLE, index: 2 };

    fn id(n: u8) -> DocumentId {
        DocumentId { table: TABLE, internal: InternalId([n; 16]) }
    }

    fn inserted(n: u8, key: u8) -> Commit {
        let keys: DocumentKeys = Arc::from([(1, Arc::from([0])), (2, Arc::from([key]))]);
        Commit { ts: Timestamp(1), changes: smallvec![Change::Document { id: id(n), old: None, new: Some(keys) }] }
    }

    fn range(from: u8, to: u8) -> KeyRange {
        KeyRange { start: [from][..].into(), end: Some([to][..].into()) }
    }

    /// The same answers, whether few or many things were read.
    #[test]
    fn few_and_many_are_looked_up_alike() {
        for n_more in [0, LINEAR_MAX as u8, 60] {
            let mut reads = Reads::default();
            reads.document_got(id(7));
            reads.range(INDEX, range(10, 20));
            for n in 0..n_more {
                reads.document_got(id(100 + n));
                reads.range(INDEX, range(101 + 2 * n % 100, 102 + 2 * n % 100));
            }
            let touched = |n, key| reads.touched(&inserted(n, key)).is_some();
            assert!(touched(7, 0) && touched(1, 10) && touched(1, 19));
            assert!(!touched(1, 9) && !touched(1, 20));
            assert_eq!(touched(100, 0), n_more > 0);
            assert_eq!(touched(1, 101), n_more > 0);
        }
    }

    /// A change that leaves all keys as they were touches a range only if that had the document.
    #[test]
    fn a_change_in_its_place_is_looked_up_by_its_document_or_by_its_keys() {
        let changed = |n, key| {
            let keys: DocumentKeys = Arc::from([(1, Arc::from([0])), (2, Arc::from([key]))]);
            let change = Change::Document { id: id(n), old: Some(keys.clone()), new: Some(keys) };
            Commit { ts: Timestamp(1), changes: smallvec![change] }
        };
        for n_more in [0, LINEAR_MAX as u8 - 1, LINEAR_MAX as u8] {
            let mut reads = Reads::default();
            reads.range(INDEX, range(10, 20));
            reads.had([id(1)].into_iter());
            reads.range(INDEX, range(30, 40));
            reads.had((0..n_more).map(|n| id(100 + n)));
            let touched = |commit| reads.touched(&commit).is_some();
            assert!(touched(changed(1, 10)), "{n_more}");
            assert_eq!(touched(changed(100, 30)), n_more > 0 || matches!(reads.in_ranges, InRanges::Many));
            assert!(!touched(changed(2, 9)) && !touched(changed(2, 20)), "{n_more}");
            assert!(touched(inserted(2, 10)) && !touched(inserted(2, 20)), "new keys are looked at, {n_more}");
        }
    }

    #[test]
    fn intervals_count_once() {
        let mut reads = Reads::default();
        for _ in 0..3 {
            reads.document_got(id(1));
            reads.range(INDEX, range(1, 2));
            reads.name(IndexId::TABLE_NAMES, "users");
        }
        reads.document_written(id(2));
        assert_eq!(reads.n_intervals(), 2);
        assert!(reads.has_more_intervals(1) && !reads.has_more_intervals(2));
        for n in 0..100 {
            reads.range(INDEX, range(n, n + 2));
        }
        assert_eq!(reads.n_intervals(), 2, "they overlap");
        assert!(reads.has_more_intervals(1) && !reads.has_more_intervals(2));
    }

    #[test]
    fn requests_and_names_are_read_apart() {
        let key = |request| RequestKey { session: [1; 16], request };
        let mut reads = Reads::default();
        reads.request(key(1));
        reads.name(IndexId::ENVIRONMENT_VARIABLES, "URL");
        let touched = |change| reads.touched(&Commit { ts: Timestamp(1), changes: smallvec![change] }).is_some();
        assert!(touched(Change::Request(key(1))) && !touched(Change::Request(key(2))));
        let name = |index, name: &str| Change::System { index, key: name.as_bytes().into() };
        assert!(touched(name(IndexId::ENVIRONMENT_VARIABLES, "URL")));
        assert!(!touched(name(IndexId::ENVIRONMENT_VARIABLES, "URLS")));
        assert!(!touched(name(IndexId::TABLE_NAMES, "URL")));
    }
}
