//! An ordered map of keys for much more than a processor keeps near.
//!
//! Keys lie in leaves of up to 64, leaves in groups of up to 64, and each is found by its least key. The first bytes of
//! all keys in one lie together: they are asked for at once, and decide nearly always. Groups and their lists of leaves
//! are a hundredth of the whole and stay near. A standard map of as much looks at a dozen places that are far, one
//! after the other.

use smallvec::SmallVec;

use super::near;
use crate::key::{Key, KeyLike};

/// Parts of one run, at most.
const PARTS_MAX: usize = 64;

/// A run of so few parts becomes one with a neighbour, if that leaves room.
const PARTS_FEW: usize = PARTS_MAX / 4;

/// Neighbours in the order of their keys: what belongs together has the same place in each list.
struct Run<T> {
    keys: Vec<Key>,
    values: Vec<T>,
    /// The first 8 bytes of the keys, as a number that sorts as they do. Within the run itself, so that who knows where
    /// that is asks for them at once; with room for one more, until the run is two.
    heads: SmallVec<[u64; PARTS_MAX + 1]>,
}

impl<T> Run<T> {
    fn new() -> Self {
        Run { keys: Vec::new(), values: Vec::new(), heads: SmallVec::new() }
    }

    fn of(key: Key, value: T) -> Self {
        let mut run = Run::new();
        run.insert(0, key, value);
        run
    }

    fn len(&self) -> usize {
        self.keys.len()
    }

    /// How many keys are below one.
    fn n_below(&self, key: &impl KeyLike) -> usize {
        let head = (key.prefix() >> 64) as u64;
        let first = self.heads.partition_point(|other| *other < head);
        if self.heads.get(first) != Some(&head) {
            return first;
        }
        let as_low = self.heads[first..].partition_point(|other| *other == head);
        let is_below = |other: &Key| (other.prefix(), KeyLike::bytes(other)) < (key.prefix(), key.bytes());
        first + self.keys[first..first + as_low].partition_point(is_below)
    }

    /// Whether a key is at a place.
    fn has_at(&self, place: usize, key: &impl KeyLike) -> bool {
        self.keys.get(place).is_some_and(|other| other.prefix() == key.prefix() && KeyLike::bytes(other) == key.bytes())
    }

    /// The last place whose key is not above one. There is one: the first bound is the least of all keys.
    fn last_to(&self, key: &impl KeyLike) -> usize {
        let place = self.n_below(key);
        if self.has_at(place, key) { place } else { place.saturating_sub(1) }
    }

    fn insert(&mut self, place: usize, key: Key, value: T) {
        self.heads.insert(place, key.head());
        self.keys.insert(place, key);
        self.values.insert(place, value);
    }

    fn remove(&mut self, place: usize) -> T {
        self.heads.remove(place);
        self.keys.remove(place);
        let value = self.values.remove(place);
        if self.len() * 4 <= self.keys.capacity() {
            let room = self.len() * 2;
            self.keys.shrink_to(room);
            self.values.shrink_to(room);
        }
        value
    }

    /// Takes what lies behind a place.
    fn split_off(&mut self, place: usize) -> Self {
        let heads = self.heads.drain(place..).collect();
        Run { keys: self.keys.split_off(place), values: self.values.split_off(place), heads }
    }

    fn append(&mut self, mut next: Self) {
        self.keys.append(&mut next.keys);
        self.values.append(&mut next.values);
        self.heads.append(&mut next.heads);
    }
}

/// Runs by their bounds: no key in one is below its own bound, nor reaches the next one's.
impl<T> Run<Box<Run<T>>> {
    /// Lets a run that has grown by one in its middle or at its end be two when it is too long.
    fn tend_grown(&mut self, place: usize, grown_at: usize) {
        let run = &mut self.values[place];
        if run.len() <= PARTS_MAX {
            return;
        }
        // What comes in order leaves full ones.
        let is_last = grown_at + 1 == run.len();
        let upper = run.split_off(if is_last { grown_at } else { run.len() / 2 });
        self.insert(place + 1, upper.keys[0].clone(), Box::new(upper));
    }

    /// Lets a run that has lost a part go when it is empty, or be one with a neighbour when it has few.
    fn tend_shrunk(&mut self, place: usize) {
        let len = self.values[place].len();
        if len == 0 {
            self.take(place);
        } else if len <= PARTS_FEW {
            let fits = |other: Option<&Box<Run<T>>>| other.is_some_and(|other| len + other.len() <= PARTS_MAX / 2);
            let before = place.checked_sub(1).filter(|before| fits(self.values.get(*before)));
            if let Some(first) = before.or_else(|| fits(self.values.get(place + 1)).then_some(place)) {
                let second = self.take(first + 1);
                self.values[first].append(*second);
            }
        }
    }

    /// Takes a run out. The bound of the first stays: it becomes the next one's.
    fn take(&mut self, place: usize) -> Box<Run<T>> {
        if place == 0 && self.len() > 1 {
            self.keys.swap(0, 1);
            self.heads.swap(0, 1);
        }
        self.remove(place)
    }
}

type Leaf<V> = Run<V>;
type Group<V> = Run<Box<Leaf<V>>>;

/// See the module.
pub(crate) struct Leaves<V> {
    groups: Run<Box<Group<V>>>,
    len: usize,
}

/// Where a key is or would be: the group, the leaf in it, the place in that.
#[derive(Clone, Copy)]
struct Position {
    group: usize,
    leaf: usize,
    place: usize,
}

impl<V> Default for Leaves<V> {
    fn default() -> Self {
        Leaves { groups: Run::new(), len: 0 }
    }
}

impl<V> Leaves<V> {
    pub fn len(&self) -> usize {
        self.len
    }

    fn leaf(&self, at: Position) -> Option<&Leaf<V>> {
        Some(self.groups.values.get(at.group)?.values.get(at.leaf)?)
    }

    fn leaf_mut(&mut self, at: Position) -> &mut Leaf<V> {
        &mut self.groups.values[at.group].values[at.leaf]
    }

    /// Where a key is or would be, and the leaf there; `None` when there are no leaves.
    #[inline]
    fn position(&self, key: &impl KeyLike) -> Option<(Position, &Leaf<V>)> {
        let group = self.groups.last_to(key);
        let leaves = self.groups.values.get(group)?;
        let leaf = leaves.last_to(key);
        let found = &*leaves.values[leaf];
        near::ask_for_all(found);
        Some((Position { group, leaf, place: found.n_below(key) }, found))
    }

    /// The same, if the key is there.
    fn find(&self, key: &impl KeyLike) -> Option<(Position, &Leaf<V>)> {
        self.position(key).filter(|(at, leaf)| leaf.has_at(at.place, key))
    }

    pub fn get(&self, key: &Key) -> Option<&V> {
        let (at, leaf) = self.find(key)?;
        Some(&leaf.values[at.place])
    }

    pub fn get_mut(&mut self, key: &Key) -> Option<&mut V> {
        let (at, _) = self.find(key)?;
        Some(&mut self.leaf_mut(at).values[at.place])
    }

    /// The value of a key, which is made when there is none.
    pub fn get_or_insert(&mut self, key: Key, make: impl FnOnce(&Key) -> V) -> &mut V {
        let at = match self.position(&key) {
            Some((at, leaf)) if leaf.has_at(at.place, &key) => at,
            Some((at, _)) => {
                let value = make(&key);
                self.insert(at, key, value)
            }
            None => {
                let value = make(&key);
                let leaf = Box::new(Leaf::of(key, value));
                self.groups = Run::of(Key::least(), Box::new(Group::of(Key::least(), leaf)));
                self.len = 1;
                Position { group: 0, leaf: 0, place: 0 }
            }
        };
        &mut self.leaf_mut(at).values[at.place]
    }

    /// Puts a new key where it would be. Returns where it is.
    fn insert(&mut self, at: Position, key: Key, value: V) -> Position {
        self.len += 1;
        let Position { group, leaf, place } = at;
        let (groups, leaves) = (self.groups.len(), self.groups.values[group].len());
        self.leaf_mut(at).insert(place, key, value);
        self.groups.values[group].tend_grown(leaf, place);
        if self.groups.values[group].len() == leaves {
            return at;
        }
        let first = self.groups.values[group].values[leaf].len();
        let at = if place < first { at } else { Position { leaf: leaf + 1, place: place - first, ..at } };
        self.groups.tend_grown(group, leaf + 1);
        if self.groups.len() == groups {
            return at;
        }
        let first = self.groups.values[group].len();
        if at.leaf < first { at } else { Position { group: group + 1, leaf: at.leaf - first, ..at } }
    }

    pub fn remove(&mut self, key: &Key) -> Option<V> {
        let (at, _) = self.find(key)?;
        let value = self.leaf_mut(at).remove(at.place);
        self.len -= 1;
        self.groups.values[at.group].tend_shrunk(at.leaf);
        self.groups.tend_shrunk(at.group);
        Some(value)
    }

    /// Those from a key on, in order.
    pub fn from(&self, start: &impl KeyLike) -> From<'_, V> {
        let (at, leaf) = self.position(start).unzip();
        From { leaves: self, leaf, at: at.unwrap_or(Position { group: 0, leaf: 0, place: 0 }) }
    }

    /// Those before a key, last first.
    pub fn before(&self, end: Option<&impl KeyLike>) -> Before<'_, V> {
        let behind_all = Position { group: self.groups.len(), leaf: 0, place: 0 };
        Before { leaves: self, at: end.map_or(Some(behind_all), |end| Some(self.position(end)?.0)) }
    }

    /// The end of the leaf before the one of a position.
    fn leaf_before(&self, at: Position) -> Option<Position> {
        let at = match at.leaf.checked_sub(1) {
            Some(leaf) => Position { leaf, ..at },
            None => {
                let group = at.group.checked_sub(1)?;
                Position { group, leaf: self.groups.values[group].len().checked_sub(1)?, place: 0 }
            }
        };
        Some(Position { place: self.leaf(at)?.len(), ..at })
    }
}

/// See [`Leaves::from`].
pub(crate) struct From<'a, V> {
    leaves: &'a Leaves<V>,
    leaf: Option<&'a Leaf<V>>,
    at: Position,
}

impl<'a, V> Iterator for From<'a, V> {
    type Item = (&'a Key, &'a V);

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let (leaf, place) = (self.leaf?, self.at.place);
            if let Some(key) = leaf.keys.get(place) {
                self.at.place += 1;
                return Some((key, &leaf.values[place]));
            }
            self.at = Position { leaf: self.at.leaf + 1, place: 0, ..self.at };
            self.leaf = self.leaves.leaf(self.at);
            if self.leaf.is_none() {
                self.at = Position { group: self.at.group + 1, leaf: 0, place: 0 };
                self.leaf = self.leaves.leaf(self.at);
            }
        }
    }
}

/// See [`Leaves::before`].
pub(crate) struct Before<'a, V> {
    leaves: &'a Leaves<V>,
    at: Option<Position>,
}

impl<'a, V> Iterator for Before<'a, V> {
    type Item = (&'a Key, &'a V);

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let at = self.at.as_mut()?;
            if let Some(place) = at.place.checked_sub(1) {
                at.place = place;
                let leaf = self.leaves.leaf(*at)?;
                return Some((&leaf.keys[place], &leaf.values[place]));
            }
            self.at = self.leaves.leaf_before(*at);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

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
        same(leaves.from(&key(around)).collect(), model.range(around.to_vec()..).collect());
        same(leaves.before(Some(&key(around))).collect(), model.range(..around.to_vec()).rev().collect());
        same(leaves.before(None::<&Key>).collect(), model.iter().rev().collect());
        let mut last: Option<&Key> = None;
        assert_runs(&leaves.groups);
        for (bound, group) in leaves.groups.keys.iter().zip(&leaves.groups.values) {
            assert_runs(group);
            assert_eq!(bound, &group.keys[0]);
            for (bound, leaf) in group.keys.iter().zip(&group.values) {
                assert_run(leaf);
                assert!(bound <= &leaf.keys[0] && last.is_none_or(|last| last < bound));
                last = leaf.keys.last();
            }
        }
        assert!(leaves.groups.keys.first().is_none_or(|first| *first == Key::least()));
    }

    fn assert_run<T>(run: &Run<T>) {
        assert!((1..=PARTS_MAX).contains(&run.len()) && run.values.len() == run.len());
        assert!(run.keys.is_sorted() && run.keys.iter().map(Key::head).eq(run.heads.iter().copied()));
    }

    fn assert_runs<T>(runs: &Run<Box<Run<T>>>) {
        if runs.len() > 0 {
            assert_run(runs);
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
            prop_assert!(leaves.len() == 0 && leaves.groups.len() == 0);
        }
    }

    fn n_leaves(leaves: &Leaves<u32>) -> usize {
        leaves.groups.values.iter().map(|group| group.len()).sum()
    }

    /// More than one group has, in one order and in another.
    #[test]
    fn what_comes_in_order_fills_its_leaves() {
        const N: u32 = 10_000;
        let mut leaves = Leaves::default();
        for n in 0..N {
            leaves.get_or_insert(key(&n.to_be_bytes()), |_| n);
        }
        let full = (N as usize).div_ceil(PARTS_MAX);
        assert_eq!((n_leaves(&leaves), leaves.groups.len()), (full, full.div_ceil(PARTS_MAX)));
        assert!(leaves.from(&key(&[])).map(|(_, n)| *n).eq(0..N));
        for n in (0..N).filter(|n| n % 20 != 0) {
            leaves.remove(&key(&n.to_be_bytes()));
        }
        let n_kept = N as usize / 20;
        assert!(n_leaves(&leaves) <= n_kept / PARTS_FEW + 1, "leaves with few keys become one: {}", n_leaves(&leaves));
        assert!(leaves.before(None::<&Key>).map(|(_, n)| *n).eq((0..N).step_by(20).rev()));

        let mut scattered = Leaves::default();
        for n in (0..N).map(|n| n * 7_919 % N) {
            scattered.get_or_insert(key(&n.to_be_bytes()), |_| n);
        }
        assert!(scattered.from(&key(&[])).map(|(_, n)| *n).eq(0..N));
        let around = 5_000_u32.to_be_bytes();
        check(&scattered, &(0..N).map(|n| (n.to_be_bytes().to_vec(), n)).collect(), &around);
    }
}
