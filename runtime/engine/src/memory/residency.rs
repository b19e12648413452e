//! For which keys memory is complete: what is not found there does not exist.

use std::collections::BTreeMap;
use std::ops::Bound;

use crate::key::{Key, KeyLike, Probe};

/// Disjoint intervals of keys, merged where they touch. An open end is beyond all keys.
#[derive(Debug, Default)]
pub(crate) struct Residency {
    intervals: BTreeMap<Key, Option<Key>>,
    /// Whether the one interval is everything: the common case, looked at before every read.
    everywhere: bool,
}

impl Residency {
    /// About the memory of one interval, bytes: two keys and their place in the map.
    pub const INTERVAL_BYTES: usize = 224;

    /// Complete everywhere: a new store.
    pub fn everywhere() -> Self {
        let mut residency = Residency::default();
        residency.insert(&[], None);
        residency
    }

    pub fn n_intervals(&self) -> usize {
        self.intervals.len()
    }

    /// How far memory is complete from `start` on: `None` when not at all, `Some(None)` when to the end.
    pub fn reach(&self, start: &[u8]) -> Option<Option<&[u8]>> {
        if self.everywhere {
            return Some(None);
        }
        let (_, end) = self.last_below(Bound::Included(start))?;
        let end = bytes(end);
        end.is_none_or(|end| start < end).then_some(end)
    }

    /// How far memory is complete downwards from `end` (exclusive): the start of the interval just below it.
    pub fn reach_back(&self, end: Option<&[u8]>) -> Option<&[u8]> {
        let (start, reached) = self.last_below(end.map_or(Bound::Unbounded, Bound::Excluded))?;
        let complete = match (end, bytes(reached)) {
            (_, None) => true,
            (None, Some(_)) => false,
            (Some(end), Some(reached)) => end <= reached,
        };
        complete.then_some(start.bytes())
    }

    pub fn covers_key(&self, key: &[u8]) -> bool {
        self.reach(key).is_some()
    }

    /// Memory has become complete in an interval.
    pub fn insert(&mut self, start: &[u8], end: Option<&[u8]>) {
        if self.everywhere || end.is_some_and(|end| end <= start) {
            return;
        }
        let (mut new_start, mut new_end) = (Key::new(start.into()), end.map(|end| Key::new(end.into())));
        if let Some((before, reached)) = self.last_below(Bound::Included(start))
            && bytes(reached).is_none_or(|reached| start <= reached)
        {
            new_start = before.clone();
            if later(bytes(reached), end) {
                new_end.clone_from(reached);
            }
        }
        while let Some((next, reached)) = self.first_from(new_start.bytes(), bytes(&new_end)) {
            let (next, reached) = (next.clone(), reached.clone());
            if later(bytes(&reached), bytes(&new_end)) {
                new_end = reached;
            }
            self.intervals.remove(&next);
        }
        self.everywhere = new_start.bytes().is_empty() && new_end.is_none();
        self.intervals.insert(new_start, new_end);
    }

    /// Memory is no longer complete in an interval.
    pub fn remove(&mut self, start: &[u8], end: Option<&[u8]>) {
        if end.is_some_and(|end| end <= start) {
            return;
        }
        self.everywhere = false;
        if let Some((before, reached)) = self.last_below(Bound::Included(start)) {
            let (before, reached) = (before.clone(), reached.clone());
            if bytes(&reached).is_none_or(|reached| start < reached) {
                self.cut(&before, reached, start, end);
            }
        }
        while let Some((next, reached)) = self.first_from(start, end) {
            if end.is_some_and(|end| end == next.bytes()) {
                break; // Only touches.
            }
            let (next, reached) = (next.clone(), reached.clone());
            self.cut(&next, reached, start, end);
        }
    }

    /// Takes [start, end) out of the interval [from, to).
    fn cut(&mut self, from: &Key, to: Option<Key>, start: &[u8], end: Option<&[u8]>) {
        self.intervals.remove(from);
        if from.bytes() < start {
            self.intervals.insert(from.clone(), Some(Key::new(start.into())));
        }
        if let Some(end) = end
            && later(bytes(&to), Some(end))
        {
            self.intervals.insert(Key::new(end.into()), to);
        }
    }

    /// The last interval that starts below a bound.
    fn last_below(&self, bound: Bound<&[u8]>) -> Option<(&Key, &Option<Key>)> {
        let bound = bound.map(Probe::new);
        let bound = bound.as_ref().map(|probe| probe as &dyn KeyLike);
        self.intervals.range::<dyn KeyLike, _>((Bound::Unbounded, bound)).next_back()
    }

    /// The first interval that starts in [start, end].
    fn first_from(&self, start: &[u8], end: Option<&[u8]>) -> Option<(&Key, &Option<Key>)> {
        let (start, end) = (Probe::new(start), end.map(Probe::new));
        let upper = end.as_ref().map_or(Bound::Unbounded, |end| Bound::Included(end as &dyn KeyLike));
        self.intervals.range::<dyn KeyLike, _>((Bound::Included(&start as &dyn KeyLike), upper)).next()
    }
}

fn bytes(end: &Option<Key>) -> Option<&[u8]> {
    end.as_ref().map(KeyLike::bytes)
}

/// `a > b` for ends.
fn later(a: Option<&[u8]>, b: Option<&[u8]>) -> bool {
    match (a, b) {
        (_, None) => false,
        (None, Some(_)) => true,
        (Some(a), Some(b)) => a > b,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Keys of one byte, 0 to 15; an end of 16 is open.
    fn end(n: u8) -> Option<[u8; 1]> {
        (n < 16).then_some([n])
    }

    proptest! {
        #[test]
        fn it_is_a_set_of_keys(steps in prop::collection::vec((any::<bool>(), 0u8..16, 0u8..=16), 1..40)) {
            let mut residency = Residency::default();
            let mut model = [false; 16];
            for (add, from, to) in steps {
                let to_key = end(to);
                let to_key = to_key.as_ref().map(|key| &key[..]);
                if add {
                    residency.insert(&[from], to_key);
                } else {
                    residency.remove(&[from], to_key);
                }
                for key in from..to.min(16) {
                    model[usize::from(key)] = add;
                }
                for key in 0..16u8 {
                    prop_assert_eq!(residency.covers_key(&[key]), model[usize::from(key)]);
                    let run = model[usize::from(key)..].iter().take_while(|complete| **complete).count();
                    let reached = residency.reach(&[key]).map(|end| end.map_or(16, |end| usize::from(end[0])));
                    prop_assert_eq!(reached, (run > 0).then_some(usize::from(key) + run));
                    let run = model[..=usize::from(key)].iter().rev().take_while(|complete| **complete).count();
                    let above = end(key + 1);
                    let back = residency.reach_back(above.as_ref().map(|key| &key[..])).map(|start| usize::from(start[0]));
                    prop_assert_eq!(back, (run > 0).then(|| usize::from(key) + 1 - run));
                }
            }
        }
    }

    #[test]
    fn everywhere_ends_when_a_key_goes_and_comes_back_with_it() {
        let mut residency = Residency::everywhere();
        assert_eq!(residency.reach(&[]), Some(None));
        residency.remove(b"k", Some(b"k\0"));
        assert!(!residency.covers_key(b"k") && residency.covers_key(b"k\0") && residency.covers_key(b"j"));
        assert_eq!(residency.reach(&[]), Some(Some(&b"k"[..])));
        residency.insert(b"k", Some(b"k\0"));
        assert_eq!(residency.reach(&[]), Some(None));
        assert_eq!(residency.n_intervals(), 1);
    }
}
