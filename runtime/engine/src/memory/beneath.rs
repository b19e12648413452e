//! What one reader asked of the base and memory did not take in: looked at beneath memory, as long as the reader needs it.

use std::borrow::Cow;
use std::cmp::Ordering;
use std::collections::BTreeMap;

use syncline_functions::tx::Order;
use syncline_schema::{InternalId, Timestamp};

use super::{Gap, Stored};
use crate::base_key;
use crate::commit::IndexId;
use crate::storage::BaseRow;

/// Rows of the base at one of its timestamps.
#[derive(Debug)]
pub(crate) struct Beneath {
    /// The index that `interval` and `rows` are of.
    index: IndexId,
    /// The timestamp of the base that all of it was read at.
    base: Timestamp,
    /// The interval of an index that `rows` are all of. `None`: no interval.
    interval: Option<Gap>,
    /// By key, and these as the base has them: few are wanted in memory's form, which takes as long to make as to read the
    /// row.
    rows: Vec<BaseRow>,
    /// Documents that were looked up, and those that are not there.
    documents: BTreeMap<InternalId, Option<Stored>>,
}

impl Beneath {
    /// Nothing yet.
    pub fn of(index: IndexId) -> Self {
        let (base, rows) = (Timestamp::ZERO, Vec::new());
        Beneath { index, base, interval: None, rows, documents: BTreeMap::new() }
    }

    /// Forgets what was read when the base stood elsewhere. Asked under the table's lock, as a load is: see `load.rs`.
    pub fn keep_at(&mut self, base: Timestamp) {
        if self.base != base {
            *self = Beneath { base, ..Beneath::of(self.index) };
        }
    }

    /// Adds the rows of an interval; what was known of another one goes, unless the two touch.
    pub fn add_rows(&mut self, base: Timestamp, order: Order, interval: Gap, mut rows: Vec<BaseRow>) {
        self.keep_at(base);
        if order == Order::Desc {
            rows.reverse();
        }
        match (&mut self.interval, order) {
            (Some(known), Order::Asc) if known.end.as_ref() == Some(&interval.start) => {
                known.end = interval.end;
                self.rows.append(&mut rows);
            }
            (Some(known), Order::Desc) if interval.end.as_ref() == Some(&known.start) => {
                known.start = interval.start;
                rows.append(&mut self.rows);
                self.rows = rows;
            }
            (known, _) => {
                *known = Some(interval);
                self.rows = rows;
            }
        }
    }

    /// Adds what was found when documents were looked up.
    pub fn add_documents(&mut self, base: Timestamp, found: impl Iterator<Item = (InternalId, Option<Stored>)>) {
        self.keep_at(base);
        self.documents.extend(found);
    }

    /// A document that was looked up; `None` when it was not.
    pub fn document(&self, id: InternalId) -> Option<&Option<Stored>> {
        self.documents.get(&id)
    }

    /// The part of a gap, from where reading comes, of which all rows are here.
    pub fn part_of<'a>(&self, gap: &'a Gap, order: Order) -> Option<Cow<'a, Gap>> {
        let known = self.interval.as_ref()?;
        if known == gap {
            return Some(Cow::Borrowed(gap));
        }
        match order {
            Order::Asc => {
                let begins = known.start <= gap.start && known.end.as_ref().is_none_or(|end| gap.start < *end);
                let end = match (&known.end, &gap.end) {
                    (None, end) | (end, None) => end.clone(),
                    (Some(a), Some(b)) => Some(a.min(b).clone()),
                };
                begins.then(|| Cow::Owned(Gap { start: gap.start.clone(), end }))
            }
            Order::Desc => {
                let begins = match (&known.end, &gap.end) {
                    (None, _) => true,
                    (Some(_), None) => false,
                    (Some(known), Some(end)) => end <= known,
                };
                let begins = begins && gap.end.as_ref().is_none_or(|end| known.start < *end);
                let start = (&known.start).max(&gap.start);
                begins.then(|| Cow::Owned(Gap { start: start.clone(), end: gap.end.clone() }))
            }
        }
    }

    /// How many rows there are.
    pub fn n_rows(&self) -> usize {
        self.rows.len()
    }

    /// The rows in an interval, by key.
    pub fn rows_in(&self, interval: &Gap) -> &[BaseRow] {
        let n_before = |bound: &[u8]| self.rows.partition_point(|row| self.compare(bound, row).is_gt());
        let to = interval.end.as_ref().map_or(self.rows.len(), |end| n_before(end));
        &self.rows[n_before(&interval.start)..to]
    }

    /// How a key in memory, or a bound of some, compares with that of a row.
    pub fn compare(&self, key: &[u8], row: &BaseRow) -> Ordering {
        base_key::compare(self.index, key, &row.key)
    }
}
