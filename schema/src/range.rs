//! Ranges of index keys, and sets of them. Read sets are made of these.

mod compile;

pub use compile::{Bound, RangeError, RangeOp, RangePart, compile_range};

use std::collections::BTreeMap;
use std::ops::Bound as RangeBound;

use smallvec::SmallVec;

/// Where a range of keys begins or ends: most lie in place, with numbers, ids, or short texts.
pub type KeyBytes = SmallVec<[u8; 24]>;

/// The first key behind a key.
#[must_use]
pub fn first_behind(key: &[u8]) -> KeyBytes {
    let mut behind = KeyBytes::with_capacity(key.len() + 1);
    behind.extend_from_slice(key);
    behind.push(0);
    behind
}

/// The keys from `start` (in) to `end` (out).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KeyRange {
    /// The first key.
    pub start: KeyBytes,
    /// The first key after the range; `None` when there is no upper bound.
    pub end: Option<KeyBytes>,
}

impl KeyRange {
    /// All keys.
    #[must_use]
    pub fn all() -> KeyRange {
        KeyRange { start: KeyBytes::new(), end: None }
    }

    /// The keys from `start` to `end`; none when `end` is below `start`.
    #[must_use]
    pub fn new(start: KeyBytes, end: Option<KeyBytes>) -> KeyRange {
        match end {
            // An end below the start would make the standard library's maps panic.
            Some(end) if end < start => KeyRange { end: Some(start.clone()), start },
            end => KeyRange { start, end },
        }
    }

    /// Only this key.
    #[must_use]
    pub fn one(key: &[u8]) -> KeyRange {
        KeyRange { start: key.into(), end: Some(first_behind(key)) }
    }

    /// Whether no key is in the range.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.end.as_ref().is_some_and(|end| *end <= self.start)
    }

    /// Whether a key is in the range.
    #[must_use]
    pub fn contains(&self, key: &[u8]) -> bool {
        *self.start <= *key && self.end.as_ref().is_none_or(|end| *key < **end)
    }

    /// Whether some key is in both ranges.
    #[must_use]
    pub fn overlaps(&self, other: &KeyRange) -> bool {
        let starts_before_end = |a: &KeyRange, b: &KeyRange| b.end.as_ref().is_none_or(|end| a.start < *end);
        !self.is_empty() && !other.is_empty() && starts_before_end(self, other) && starts_before_end(other, self)
    }
}

/// A set of keys, held as the fewest ranges: none overlaps or touches another.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RangeSet {
    /// From the first key of each range to its end.
    ranges: BTreeMap<KeyBytes, Option<KeyBytes>>,
}

impl RangeSet {
    /// The empty set.
    #[must_use]
    pub fn new() -> RangeSet {
        RangeSet::default()
    }

    /// Adds the keys of a range, merging it with those it overlaps or touches.
    pub fn insert(&mut self, range: KeyRange) {
        if range.is_empty() {
            return;
        }
        let KeyRange { mut start, mut end } = range;
        if let Some((before, before_end)) =
            self.ranges.range::<[u8], _>((RangeBound::Unbounded, RangeBound::Included(&*start))).next_back()
            && before_end.as_ref().is_none_or(|before_end| start <= *before_end)
        {
            start = before.clone();
        }
        // Whatever begins inside of the range or at its end, the one before it included, becomes part of it.
        while let Some((next, next_end)) =
            self.ranges.range::<[u8], _>((RangeBound::Included(&*start), RangeBound::Unbounded)).next()
            && end.as_ref().is_none_or(|end| next <= end)
        {
            end = end.zip(next_end.clone()).map(|(a, b)| a.max(b));
            let next = next.clone();
            self.ranges.remove(&next);
        }
        self.ranges.insert(start, end);
    }

    /// Whether a key is in the set.
    #[must_use]
    pub fn contains(&self, key: &[u8]) -> bool {
        let until_key = (RangeBound::Unbounded, RangeBound::Included(key));
        let last = self.ranges.range::<[u8], _>(until_key).next_back();
        last.is_some_and(|(_, end)| end.as_ref().is_none_or(|end| key < &**end))
    }

    /// Whether some key of a range is in the set.
    #[must_use]
    pub fn overlaps(&self, range: &KeyRange) -> bool {
        if range.is_empty() {
            return false;
        }
        let begins_inside = match &range.end {
            Some(end) => {
                self.ranges.range::<[u8], _>((RangeBound::Included(&*range.start), RangeBound::Excluded(&**end))).next()
            }
            None => self.ranges.range::<[u8], _>((RangeBound::Included(&*range.start), RangeBound::Unbounded)).next(),
        };
        begins_inside.is_some() || self.contains(&range.start)
    }

    /// The ranges, in order.
    pub fn iter(&self) -> impl Iterator<Item = KeyRange> + '_ {
        self.ranges.iter().map(|(start, end)| KeyRange { start: start.clone(), end: end.clone() })
    }

    /// How many ranges there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.ranges.len()
    }

    /// Whether no key is in the set.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.ranges.is_empty()
    }
}

impl Extend<KeyRange> for RangeSet {
    fn extend<I: IntoIterator<Item = KeyRange>>(&mut self, ranges: I) {
        ranges.into_iter().for_each(|range| self.insert(range));
    }
}

impl FromIterator<KeyRange> for RangeSet {
    fn from_iter<I: IntoIterator<Item = KeyRange>>(ranges: I) -> RangeSet {
        let mut set = RangeSet::new();
        set.extend(ranges);
        set
    }
}
