//! Whose read set did this commit touch?
//!
//! An index from keys to those who read them. A look-up costs by the affected, hardly by the registered: documents
//! are found by their id, ranges in a search tree of intervals. Pure: it is told of commits and answers.

mod intervals;

use std::collections::{BTreeMap, HashMap, HashSet};
use std::hash::Hash;

use smallvec::SmallVec;
use syncline_schema::DocumentId;

use crate::commit::{Change, Commit, IndexId};
use crate::reads::ReadSet;
use intervals::Intervals;

/// Read sets by the names of their owners.
#[derive(Debug)]
pub struct Subscriptions<K> {
    registered: HashMap<K, ReadSet>,
    documents: HashMap<DocumentId, SmallVec<[K; 1]>>,
    ranges: BTreeMap<IndexId, Intervals<K>>,
}

impl<K> Default for Subscriptions<K> {
    fn default() -> Self {
        Subscriptions { registered: HashMap::new(), documents: HashMap::new(), ranges: BTreeMap::new() }
    }
}

impl<K: Clone + Eq + Hash> Subscriptions<K> {
    /// Registers what `key` has read, instead of what it had read before.
    ///
    /// Commits since the read set's snapshot are the caller's to check: see
    /// [`Engine::commits_after`](crate::Engine::commits_after).
    pub fn register(&mut self, key: K, reads: &ReadSet) {
        self.remove(&key);
        for id in reads.documents() {
            self.documents.entry(id).or_default().push(key.clone());
        }
        reads.for_each_range(|index, range| {
            self.ranges.entry(index).or_default().insert(&range.start, range.end.as_deref(), key.clone());
        });
        self.registered.insert(key, reads.clone());
    }

    /// Forgets a read set. Nothing happens when it is not registered.
    pub fn remove(&mut self, key: &K) {
        let Some(reads) = self.registered.remove(key) else { return };
        for id in reads.documents() {
            let Some(readers) = self.documents.get_mut(&id) else { continue };
            readers.retain(|reader| reader != key);
            if readers.is_empty() {
                self.documents.remove(&id);
            }
        }
        reads.for_each_range(|index, range| {
            let Some(intervals) = self.ranges.get_mut(&index) else { return };
            intervals.remove(&range.start, range.end.as_deref(), key);
            if intervals.is_empty() {
                self.ranges.remove(&index);
            }
        });
    }

    /// Those whose read sets a commit touched, each once, in an order that depends on the history alone.
    pub fn affected(&self, commit: &Commit) -> Vec<K> {
        let mut found = Vec::new();
        for change in &commit.changes {
            if !self.documents.is_empty()
                && let Change::Document { id, .. } = change
                && let Some(readers) = self.documents.get(id)
            {
                found.extend(readers.iter().cloned());
            }
            if self.ranges.is_empty() {
                continue;
            }
            change.for_each_key(|index, key| {
                if let Some(intervals) = self.ranges.get(&index) {
                    intervals.stab(key, |reader| found.push(reader.clone()));
                }
            });
        }
        if found.len() > 1 {
            let mut seen = HashSet::with_capacity(found.len());
            found.retain(|reader| seen.insert(reader.clone()));
        }
        found
    }

    /// How many read sets are registered.
    pub fn len(&self) -> usize {
        self.registered.len()
    }

    /// Whether none is registered.
    pub fn is_empty(&self) -> bool {
        self.registered.is_empty()
    }
}

#[cfg(test)]
mod tests;
