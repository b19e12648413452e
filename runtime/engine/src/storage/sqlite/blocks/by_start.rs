//! What is kept, sorted by where it begins. Pure.
//!
//! It lies in parts of some tens, and what is compared lies together: looked for one after the other all over a file,
//! each is found by fetching a few lines of memory, where a tree fetches some for each of its levels.

use super::INDEX_BYTES;
use super::kept::Kept;
use super::keys::bisect;

/// A part that has so many is divided.
const PART_MAX: usize = 64;

/// What a [`Kept`] begins with: its index and the first bytes of the key behind it, so that comparing is quick.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Start([u64; 2]);

/// All that is kept.
#[derive(Default)]
pub struct ByStart {
    /// What each part begins with.
    starts: Vec<Start>,
    /// None is empty.
    parts: Vec<Part>,
}

#[derive(Default)]
struct Part {
    starts: Vec<Start>,
    kept: Vec<Kept>,
}

impl Start {
    fn of(place: &[u8]) -> Self {
        let mut bytes = [0; 2 * INDEX_BYTES];
        let n = place.len().min(bytes.len());
        bytes[..n].copy_from_slice(&place[..n]);
        let [index, key] = bytes.as_chunks().0 else { unreachable!("they are two") };
        Start([u64::from_be_bytes(*index), u64::from_be_bytes(*key)])
    }
}

/// How many begin at or before a place. `first` is where one of them begins, for those whose starts are alike.
fn n_up_to<'a>(starts: &[Start], place: &[u8], first: impl Fn(usize) -> &'a [u8]) -> usize {
    let start = Start::of(place);
    let n = starts.partition_point(|other| *other <= start);
    if starts[..n].last() != Some(&start) {
        return n;
    }
    let n_below = starts.partition_point(|other| *other < start);
    bisect(n_below..n, |n| first(n).cmp(place)).map_or_else(|n| n, |at| at + 1)
}

impl Part {
    fn n_up_to(&self, place: &[u8]) -> usize {
        n_up_to(&self.starts, place, |n| &*self.kept[n].first)
    }
}

impl ByStart {
    /// The part with the last that begins at or before a place, and how many of that part do.
    fn find(&self, place: &[u8]) -> Option<(usize, usize)> {
        let part = n_up_to(&self.starts, place, |n| &*self.parts[n].kept[0].first).checked_sub(1)?;
        Some((part, self.parts[part].n_up_to(place)))
    }

    /// The last that begins at or before a place.
    pub fn last_up_to(&self, place: &[u8]) -> Option<&Kept> {
        let (part, n) = self.find(place)?;
        Some(&self.parts[part].kept[n - 1])
    }

    /// The first that begins behind a place.
    pub fn first_behind(&self, place: &[u8]) -> Option<&Kept> {
        let (part, n) = self.find(place).unwrap_or_default();
        let in_part = self.parts.get(part)?.kept.get(n);
        in_part.or_else(|| self.parts.get(part + 1)?.kept.first())
    }

    /// All in order.
    pub fn iter(&self) -> impl Iterator<Item = &Kept> {
        self.parts.iter().flat_map(|part| &part.kept)
    }

    /// Puts one in; gives back what begins at the same place.
    pub fn insert(&mut self, kept: Kept) -> Option<Kept> {
        let (at, n) = self.find(&kept.first).unwrap_or_default();
        if self.parts.is_empty() {
            self.starts.push(Start::of(&kept.first));
            self.parts.push(Part::default());
        }
        let part = &mut self.parts[at];
        if let Some(same) = part.kept[..n].last_mut().filter(|last| last.first == kept.first) {
            return Some(std::mem::replace(same, kept));
        }
        part.starts.insert(n, Start::of(&kept.first));
        part.kept.insert(n, kept);
        self.starts[at] = part.starts[0];
        if part.kept.len() >= PART_MAX {
            let half = PART_MAX / 2;
            let rest = Part { starts: part.starts.split_off(half), kept: part.kept.split_off(half) };
            self.starts.insert(at + 1, rest.starts[0]);
            self.parts.insert(at + 1, rest);
        }
        None
    }

    /// Takes out what begins at a place.
    pub fn remove(&mut self, place: &[u8]) -> Option<Kept> {
        let (at, n) = self.find(place)?;
        let part = &mut self.parts[at];
        if *part.kept[n - 1].first != *place {
            return None;
        }
        part.starts.remove(n - 1);
        let removed = part.kept.remove(n - 1);
        match part.starts.first() {
            Some(first) => self.starts[at] = *first,
            None => {
                self.starts.remove(at);
                self.parts.remove(at);
            }
        }
        Some(removed)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::ops::Bound;

    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::super::Place;
    use super::super::keys::{self, Keys};
    use super::*;

    /// One with a key that is told from those of others.
    fn kept(first: &Place, key: usize) -> Kept {
        let encoded = keys::encode([&key.to_be_bytes()[..]].into_iter(), &[], first);
        Kept { first: first[..].into(), keys: Keys::decode(encoded, 0, first).unwrap() }
    }

    fn is(kept: Option<&Kept>, expected: Option<(&Place, &usize)>) -> bool {
        match (kept, expected) {
            (Some(kept), Some((first, key))) => {
                *kept.first == first[..] && kept.keys.search(&key.to_be_bytes()).is_ok()
            }
            (None, None) => true,
            _ => false,
        }
    }

    proptest! {
        /// With places of which many begin alike, and so many that parts are divided and vanish.
        #[test]
        fn it_is_a_sorted_map(edits in vec((0..4_u8, vec(0..3_u8, 0..20), 0..2_u8), 0..600)) {
            let (mut ours, mut expected) = (ByStart::default(), BTreeMap::new());
            for (n, (what, end, index)) in edits.iter().enumerate() {
                let mut place = Place::from_slice(&[0, 0, 0, 0, 0, 0, 0, *index]);
                place.extend_from_slice(end);
                prop_assert!(is(ours.last_up_to(&place), expected.range(..=place.clone()).next_back()));
                let behind = (Bound::Excluded(place.clone()), Bound::Unbounded);
                prop_assert!(is(ours.first_behind(&place), expected.range(behind).next()));
                if *what == 0 {
                    let removed = expected.remove(&place);
                    prop_assert!(is(ours.remove(&place).as_ref(), removed.as_ref().map(|key| (&place, key))));
                } else {
                    let before = expected.insert(place.clone(), n);
                    prop_assert!(is(ours.insert(kept(&place, n)).as_ref(), before.as_ref().map(|key| (&place, key))));
                }
            }
            let firsts: Vec<_> = ours.iter().map(|kept| Place::from_slice(&kept.first)).collect();
            prop_assert_eq!(firsts, expected.keys().cloned().collect::<Vec<_>>());
            prop_assert!(ours.parts.iter().all(|part| (1..PART_MAX).contains(&part.kept.len())));
            for place in expected.keys() {
                prop_assert!(ours.remove(place).is_some());
            }
            prop_assert!(ours.parts.is_empty() && ours.starts.is_empty());
        }
    }
}
