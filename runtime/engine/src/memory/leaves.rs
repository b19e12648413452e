//! An ordered map of keys for much more than a processor keeps near.
//!
//! Keys lie in leaves of up to 64, and which leaf is found by its least key. In a leaf the first bytes of all keys lie
//! together: they are asked for at once, and decide nearly always. A standard map of as much looks at a dozen places
//! that are far, one after the other.

use std::collections::{BTreeMap, btree_map};
use std::ops::Bound;
use std::sync::Arc;

use super::near;
use crate::key::Key;

/// Keys in a leaf, at most.
const LEAF_MAX: usize = 64;

/// A leaf with so few keys becomes one with a neighbour, if that leaves room.
const LEAF_FEW: usize = LEAF_MAX / 4;

/// Some neighbours: the parts of one have the same place in each list.
struct Leaf<V> {
    /// The first 8 bytes of the keys, as a number that sorts as they do.
    heads: Vec<u64>,
    keys: Vec<Key>,
    values: Vec<V>,
}

impl<V> Leaf<V> {
    fn new() -> Self {
        Leaf { heads: Vec::new(), keys: Vec::new(), values: Vec::new() }
    }

    fn len(&self) -> usize {
        self.keys.len()
    }

    /// How many keys are below one.
    fn n_below(&self, key: &Key) -> usize {
        near::ask_for(&self.heads[..]);
        let head = key.head();
        let first = self.heads.partition_point(|other| *other < head);
        if self.heads.get(first) != Some(&head) {
            return first;
        }
        let end = first + self.heads[first..].partition_point(|other| *other == head);
        first + self.keys[first..end].partition_point(|other| other < key)
    }

    fn find(&self, key: &Key) -> Option<usize> {
        let place = self.n_below(key);
        (self.keys.get(place) == Some(key)).then_some(place)
    }

    fn insert(&mut self, place: usize, key: Key, value: V) {
        self.heads.insert(place, key.head());
        self.keys.insert(place, key);
        self.values.insert(place, value);
    }

    fn remove(&mut self, place: usize) -> V {
        self.heads.remove(place);
        self.keys.remove(place);
        let value = self.values.remove(place);
        if self.len() * 4 <= self.keys.capacity() {
            let room = self.len() * 2;
            self.heads.shrink_to(room);
            self.keys.shrink_to(room);
            self.values.shrink_to(room);
        }
        value
    }

    /// Takes what lies behind a place.
    fn split_off(&mut self, place: usize) -> Self {
        Leaf {
            heads: self.heads.split_off(place),
            keys: self.keys.split_off(place),
            values: self.values.split_off(place),
        }
    }

    fn append(&mut self, mut next: Self) {
        self.heads.append(&mut next.heads);
        self.keys.append(&mut next.keys);
        self.values.append(&mut next.values);
    }

    fn entries(&self, from: usize, to: usize) -> impl DoubleEndedIterator<Item = (&Key, &V)> {
        self.keys[from..to].iter().zip(&self.values[from..to])
    }
}

/// See the module.
pub(crate) struct Leaves<V> {
    /// By a bound: no key in a leaf is below its own, nor reaches the next one's. None is empty.
    leaves: BTreeMap<Key, Leaf<V>>,
    len: usize,
}

impl<V> Default for Leaves<V> {
    fn default() -> Self {
        Leaves { leaves: BTreeMap::new(), len: 0 }
    }
}

impl<V> Leaves<V> {
    pub fn len(&self) -> usize {
        self.len
    }

    fn leaf(&self, key: &Key) -> Option<&Leaf<V>> {
        self.leaves.range::<Key, _>(..=key).next_back().map(|(_, leaf)| leaf)
    }

    fn leaf_mut(&mut self, key: &Key) -> Option<(&Key, &mut Leaf<V>)> {
        self.leaves.range_mut::<Key, _>(..=key).next_back()
    }

    pub fn get(&self, key: &Key) -> Option<&V> {
        let leaf = self.leaf(key)?;
        Some(&leaf.values[leaf.find(key)?])
    }

    pub fn get_mut(&mut self, key: &Key) -> Option<&mut V> {
        let (_, leaf) = self.leaf_mut(key)?;
        let place = leaf.find(key)?;
        Some(&mut leaf.values[place])
    }

    /// The value of a key, which is made when there is none.
    pub fn get_or_insert(&mut self, key: Key, make: impl FnOnce(&Key) -> V) -> &mut V {
        if self.leaf(&key).is_none_or(|leaf| leaf.len() == LEAF_MAX && leaf.find(&key).is_none()) {
            self.make_room(&key);
        }
        let (_, leaf) = self.leaves.range_mut::<Key, _>(..=&key).next_back().expect("there is room for the key");
        let place = leaf.n_below(&key);
        if leaf.keys.get(place) != Some(&key) {
            let value = make(&key);
            leaf.insert(place, key, value);
            self.len += 1;
        }
        &mut leaf.values[place]
    }

    /// Makes sure that there is a leaf for a new key, and that it is not full.
    fn make_room(&mut self, key: &Key) {
        let Some((_, full)) = self.leaf_mut(key) else {
            // Below all bounds: the first leaf has the least bound of all.
            self.leaves.insert(Key::new(Arc::default()), Leaf::new());
            return;
        };
        // Behind all others begins a new leaf: what comes in order leaves full ones.
        let place = full.n_below(key);
        if place == LEAF_MAX {
            self.leaves.insert(key.clone(), Leaf::new());
        } else {
            let upper = full.split_off(LEAF_MAX / 2);
            self.leaves.insert(upper.keys[0].clone(), upper);
        }
    }

    pub fn remove(&mut self, key: &Key) -> Option<V> {
        let (bound, leaf) = self.leaf_mut(key)?;
        let place = leaf.find(key)?;
        let value = leaf.remove(place);
        let (bound, len) = (bound.clone(), leaf.len());
        self.len -= 1;
        if len == 0 {
            self.leaves.remove(&bound);
        } else if len <= LEAF_FEW {
            self.merge(&bound, len);
        }
        Some(value)
    }

    /// Makes one leaf of one with few keys and of a neighbour, if that leaves room.
    fn merge(&mut self, bound: &Key, len: usize) {
        let fits = |(_, leaf): &(&Key, &Leaf<V>)| len + leaf.len() <= LEAF_MAX / 2;
        let before = self.leaves.range::<Key, _>(..bound).next_back().filter(fits).map(|(before, _)| before.clone());
        let behind = (Bound::Excluded(bound), Bound::Unbounded);
        let (first, second) = match before {
            Some(before) => (before, bound.clone()),
            None => match self.leaves.range::<Key, _>(behind).next().filter(fits) {
                Some((next, _)) => (bound.clone(), next.clone()),
                None => return,
            },
        };
        if let (Some(second), Some(first)) = (self.leaves.remove(&second), self.leaves.get_mut(&first)) {
            first.append(second);
        }
    }

    /// Those from a key on, in order.
    pub fn from(&self, start: Key) -> From<'_, V> {
        let leaf = self.leaf(&start);
        let place = leaf.map_or(0, |leaf| leaf.n_below(&start));
        From { leaves: &self.leaves, start, leaf, place, rest: None }
    }

    /// Those before a key, last first.
    pub fn before(&self, end: Option<Key>) -> impl Iterator<Item = (&Key, &V)> {
        let (leaves, n_last) = match &end {
            None => (self.leaves.range::<Key, _>(..), None),
            Some(end) => (self.leaves.range::<Key, _>(..=end), self.leaf(end).map(|last| last.n_below(end))),
        };
        let mut n_last = n_last;
        leaves.rev().flat_map(move |(_, leaf)| leaf.entries(0, n_last.take().unwrap_or(leaf.len())).rev())
    }
}

/// See [`Leaves::from`].
pub(crate) struct From<'a, V> {
    leaves: &'a BTreeMap<Key, Leaf<V>>,
    start: Key,
    leaf: Option<&'a Leaf<V>>,
    place: usize,
    /// The leaves behind the first: looked for when that has ended, and most ranges end in it.
    rest: Option<btree_map::Range<'a, Key, Leaf<V>>>,
}

impl<'a, V> Iterator for From<'a, V> {
    type Item = (&'a Key, &'a V);

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some(leaf) = self.leaf
                && let Some(key) = leaf.keys.get(self.place)
            {
                self.place += 1;
                return Some((key, &leaf.values[self.place - 1]));
            }
            let behind = (Bound::Excluded(&self.start), Bound::Unbounded);
            let rest = self.rest.get_or_insert_with(|| self.leaves.range::<Key, _>(behind));
            self.leaf = Some(rest.next()?.1);
            self.place = 0;
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::key::KeyLike as _;

    fn key(bytes: &[u8]) -> Key {
        Key::new(bytes.into())
    }

    /// Keys that share their first bytes, or are a beginning of another, and a few that do not.
    fn keys() -> impl Strategy<Value = Vec<u8>> {
        prop_oneof![
            (0..400_u16).prop_map(|n| [&[7; 8][..], &n.to_be_bytes()].concat()),
            (0..400_u16).prop_map(|n| n.to_be_bytes().to_vec()),
            (0..20_usize).prop_map(|n| vec![0; n]),
        ]
    }

    fn check(leaves: &Leaves<u32>, model: &BTreeMap<Vec<u8>, u32>, around: &[u8]) {
        assert_eq!(leaves.len(), model.len());
        let same = |found: Vec<(&Key, &u32)>, expected: Vec<(&Vec<u8>, &u32)>| {
            let found = found.into_iter().map(|(key, value)| (key.bytes(), value));
            assert!(found.eq(expected.into_iter().map(|(key, value)| (&key[..], value))));
        };
        same(leaves.from(key(around)).collect(), model.range(around.to_vec()..).collect());
        same(leaves.before(Some(key(around))).collect(), model.range(..around.to_vec()).rev().collect());
        same(leaves.before(None).collect(), model.iter().rev().collect());
        let mut bound_before: Option<&Key> = None;
        for (bound, leaf) in &leaves.leaves {
            assert!((1..=LEAF_MAX).contains(&leaf.len()));
            assert!(bound <= &leaf.keys[0] && leaf.keys.is_sorted());
            assert!(leaf.heads.iter().eq(leaf.keys.iter().map(Key::head).collect::<Vec<_>>().iter()));
            assert!(bound_before.is_none_or(|before| before < bound));
            bound_before = Some(leaf.keys.last().unwrap());
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        /// It is a map: whatever is put and taken, in whatever order.
        #[test]
        fn it_is_an_ordered_map(
            steps in prop::collection::vec((keys(), prop::bool::weighted(0.6)), 1..900),
            around in keys(),
        ) {
            let (mut leaves, mut model) = (Leaves::default(), BTreeMap::new());
            for (n, (bytes, is_put)) in steps.iter().enumerate() {
                let n = n as u32;
                if *is_put {
                    let found = *leaves.get_or_insert(key(bytes), |_| n);
                    prop_assert_eq!(found, *model.entry(bytes.clone()).or_insert(n));
                    *leaves.get_mut(&key(bytes)).unwrap() = n + 1;
                    model.insert(bytes.clone(), n + 1);
                } else {
                    prop_assert_eq!(leaves.remove(&key(bytes)), model.remove(bytes));
                }
                prop_assert_eq!(leaves.get(&key(bytes)), model.get(bytes));
            }
            check(&leaves, &model, &around);
            while let Some((bytes, _)) = model.pop_first() {
                prop_assert!(leaves.remove(&key(&bytes)).is_some());
            }
            prop_assert!(leaves.len() == 0 && leaves.leaves.is_empty());
        }
    }

    #[test]
    fn what_comes_in_order_fills_its_leaves() {
        let mut leaves = Leaves::default();
        for n in 0..1_000_u32 {
            leaves.get_or_insert(key(&n.to_be_bytes()), |_| n);
        }
        assert_eq!(leaves.leaves.len(), 1_000_usize.div_ceil(LEAF_MAX));
        assert!(leaves.from(key(&[])).map(|(_, n)| *n).eq(0..1_000));
        for n in (0..1_000_u32).filter(|n| n % 20 != 0) {
            leaves.remove(&key(&n.to_be_bytes()));
        }
        assert!(leaves.leaves.len() <= 4, "leaves with few keys become one: {}", leaves.leaves.len());
    }
}
