//! Intervals of keys and who holds them: which of them contain this key?
//!
//! Most subscriptions read their own rows, so most intervals overlap no other: those lie in an ordered map, one
//! step from the key. The others lie in a search tree ordered by start, each node of which knows the largest end
//! below it. Its priorities are a hash of the node's number, so that equal histories make equal trees.

use std::collections::BTreeMap;
use std::ops::Bound;

use smallvec::SmallVec;

use crate::key::{Key, KeyLike, Probe};

/// The end of an interval, exclusive; `None` is beyond all keys.
type End = Option<Box<[u8]>>;

fn end_above(end: Option<&[u8]>, key: &[u8]) -> bool {
    end.is_none_or(|end| key < end)
}

/// `a <= b` for ends.
fn end_at_most(a: Option<&[u8]>, b: Option<&[u8]>) -> bool {
    match (a, b) {
        (_, None) => true,
        (None, Some(_)) => false,
        (Some(a), Some(b)) => a <= b,
    }
}

#[derive(Debug)]
struct Holders<K> {
    end: End,
    keys: SmallVec<[K; 1]>,
}

/// A multiset of (interval, holder).
#[derive(Debug)]
pub(super) struct Intervals<K> {
    disjoint: BTreeMap<Key, Holders<K>>,
    overlapping: Tree<K>,
}

impl<K> Default for Intervals<K> {
    fn default() -> Self {
        Intervals { disjoint: BTreeMap::new(), overlapping: Tree::default() }
    }
}

impl<K: Clone + PartialEq> Intervals<K> {
    /// Adds a holder. An empty interval contains nothing and may be added like others.
    pub fn insert(&mut self, start: &[u8], end: Option<&[u8]>, holder: K) {
        let probe = Probe::new(start);
        if let Some(same) = self.disjoint.get_mut(&probe as &dyn KeyLike)
            && same.end.as_deref() == end
        {
            same.keys.push(holder);
        } else if end_above(end, start) && self.is_free(start, end) {
            let holders = Holders { end: end.map(Into::into), keys: SmallVec::from_iter([holder]) };
            self.disjoint.insert(Key::new(start.into()), holders);
        } else {
            self.overlapping.insert(start, end, holder);
        }
    }

    /// Whether no interval of the map overlaps this one.
    fn is_free(&self, start: &[u8], end: Option<&[u8]>) -> bool {
        let probe = Probe::new(start);
        if self.last_at_or_before(&probe).is_some_and(|holders| end_above(holders.end.as_deref(), start)) {
            return false;
        }
        let mut behind =
            self.disjoint.range::<dyn KeyLike, _>((Bound::Included(&probe as &dyn KeyLike), Bound::Unbounded));
        behind.next().is_none_or(|(next, _)| !end_above(end, next.bytes()))
    }

    fn last_at_or_before(&self, probe: &Probe<'_>) -> Option<&Holders<K>> {
        let bounds = (Bound::Unbounded, Bound::Included(probe as &dyn KeyLike));
        self.disjoint.range::<dyn KeyLike, _>(bounds).next_back().map(|(_, holders)| holders)
    }

    /// Takes one holding away. Nothing happens when there is none.
    pub fn remove(&mut self, start: &[u8], end: Option<&[u8]>, holder: &K) {
        let probe = Probe::new(start);
        if let Some(same) = self.disjoint.get_mut(&probe as &dyn KeyLike)
            && same.end.as_deref() == end
            && let Some(position) = same.keys.iter().position(|key| key == holder)
        {
            same.keys.swap_remove(position);
            if same.keys.is_empty() {
                self.disjoint.remove(&probe as &dyn KeyLike);
            }
            return;
        }
        self.overlapping.remove(start, end, holder);
    }

    /// Calls `each` for every holding of an interval that contains `key`.
    pub fn stab(&self, key: &[u8], mut each: impl FnMut(&K)) {
        let probe = Probe::new(key);
        if let Some(holders) = self.last_at_or_before(&probe)
            && end_above(holders.end.as_deref(), key)
        {
            holders.keys.iter().for_each(&mut each);
        }
        self.overlapping.stab(self.overlapping.root, key, &mut each);
    }

    pub fn is_empty(&self) -> bool {
        self.disjoint.is_empty() && self.overlapping.root == NONE
    }
}

/// No node.
const NONE: u32 = u32::MAX;

#[derive(Debug)]
struct Node<K> {
    start: Box<[u8]>,
    holders: Holders<K>,
    /// The node at or below this one whose end is the largest.
    largest_end: u32,
    left: u32,
    right: u32,
}

/// A treap, its nodes in a vector.
#[derive(Debug)]
struct Tree<K> {
    nodes: Vec<Option<Node<K>>>,
    free: Vec<u32>,
    root: u32,
}

impl<K> Default for Tree<K> {
    fn default() -> Self {
        Tree { nodes: Vec::new(), free: Vec::new(), root: NONE }
    }
}

/// SplitMix64's last step: spreads consecutive numbers evenly.
fn priority(node: u32) -> u64 {
    let mut z = u64::from(node).wrapping_add(1).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

impl<K: Clone + PartialEq> Tree<K> {
    fn node(&self, at: u32) -> &Node<K> {
        self.nodes[at as usize].as_ref().expect("links lead to nodes in use")
    }

    fn node_mut(&mut self, at: u32) -> &mut Node<K> {
        self.nodes[at as usize].as_mut().expect("links lead to nodes in use")
    }

    fn end(&self, at: u32) -> Option<&[u8]> {
        self.node(at).holders.end.as_deref()
    }

    /// Whether the interval of node `at` sorts before (start, end).
    fn is_before(&self, at: u32, start: &[u8], end: Option<&[u8]>) -> bool {
        match (*self.node(at).start).cmp(start) {
            std::cmp::Ordering::Less => true,
            std::cmp::Ordering::Greater => false,
            std::cmp::Ordering::Equal => !end_at_most(end, self.end(at)),
        }
    }

    fn find(&self, start: &[u8], end: Option<&[u8]>) -> Option<u32> {
        let mut at = self.root;
        while at != NONE {
            let node = self.node(at);
            if *node.start == *start && node.holders.end.as_deref() == end {
                return Some(at);
            }
            at = if self.is_before(at, start, end) { node.right } else { node.left };
        }
        None
    }

    fn insert(&mut self, start: &[u8], end: Option<&[u8]>, holder: K) {
        if let Some(at) = self.find(start, end) {
            self.node_mut(at).holders.keys.push(holder);
            return;
        }
        let holders = Holders { end: end.map(Into::into), keys: SmallVec::from_iter([holder]) };
        let node = Node { start: start.into(), holders, largest_end: NONE, left: NONE, right: NONE };
        let at = if let Some(at) = self.free.pop() {
            self.nodes[at as usize] = Some(node);
            at
        } else {
            self.nodes.push(Some(node));
            u32::try_from(self.nodes.len() - 1).expect("fewer than 2^32 intervals fit into memory")
        };
        self.node_mut(at).largest_end = at;
        let (before, behind) = self.split(self.root, start, end);
        let left = self.merge(before, at);
        self.root = self.merge(left, behind);
    }

    fn remove(&mut self, start: &[u8], end: Option<&[u8]>, holder: &K) {
        let Some(at) = self.find(start, end) else { return };
        let keys = &mut self.node_mut(at).holders.keys;
        let Some(position) = keys.iter().position(|key| key == holder) else { return };
        keys.swap_remove(position);
        if keys.is_empty() {
            self.root = self.without(self.root, at, start, end);
            self.nodes[at as usize] = None;
            self.free.push(at);
        }
    }

    /// The tree at `root` without the node `gone`, which is (start, end).
    fn without(&mut self, root: u32, gone: u32, start: &[u8], end: Option<&[u8]>) -> u32 {
        let (left, right) = (self.node(root).left, self.node(root).right);
        if root == gone {
            return self.merge(left, right);
        }
        if self.is_before(root, start, end) {
            let right = self.without(right, gone, start, end);
            self.node_mut(root).right = right;
        } else {
            let left = self.without(left, gone, start, end);
            self.node_mut(root).left = left;
        }
        self.update(root);
        root
    }

    fn update(&mut self, at: u32) {
        let mut largest = at;
        for below in [self.node(at).left, self.node(at).right] {
            if below != NONE {
                let candidate = self.node(below).largest_end;
                if end_at_most(self.end(largest), self.end(candidate)) {
                    largest = candidate;
                }
            }
        }
        self.node_mut(at).largest_end = largest;
    }

    /// The nodes before (start, end), and the others.
    fn split(&mut self, root: u32, start: &[u8], end: Option<&[u8]>) -> (u32, u32) {
        if root == NONE {
            return (NONE, NONE);
        }
        let halves = if self.is_before(root, start, end) {
            let (middle, behind) = self.split(self.node(root).right, start, end);
            self.node_mut(root).right = middle;
            (root, behind)
        } else {
            let (before, middle) = self.split(self.node(root).left, start, end);
            self.node_mut(root).left = middle;
            (before, root)
        };
        self.update(root);
        halves
    }

    /// One tree of two; all of `left` sorts before all of `right`.
    fn merge(&mut self, left: u32, right: u32) -> u32 {
        if left == NONE {
            return right;
        }
        if right == NONE {
            return left;
        }
        if priority(left) > priority(right) {
            let below = self.merge(self.node(left).right, right);
            self.node_mut(left).right = below;
            self.update(left);
            left
        } else {
            let below = self.merge(left, self.node(right).left);
            self.node_mut(right).left = below;
            self.update(right);
            right
        }
    }

    fn stab(&self, at: u32, key: &[u8], each: &mut impl FnMut(&K)) {
        if at == NONE {
            return;
        }
        let node = self.node(at);
        if !end_above(self.end(node.largest_end), key) {
            return;
        }
        self.stab(node.left, key, each);
        if *node.start <= *key {
            if end_above(node.holders.end.as_deref(), key) {
                node.holders.keys.iter().for_each(&mut *each);
            }
            self.stab(node.right, key, each);
        }
    }
}
