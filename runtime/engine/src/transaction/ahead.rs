//! Entries of an index on their way to their documents, some at a time.
//!
//! Documents lie all over memory. One by one, each is waited for; when several are asked for before the first is looked
//! at, they come together.

use std::hint::black_box;

use smallvec::SmallVec;

use crate::memory::{Entry, Known, Stored};

/// Entries that go together, a number: about as many as a processor fetches at once.
const TOGETHER: usize = 16;

/// Entries that were come to, with what `K` says of where.
pub(super) struct Ahead<'a, K> {
    entries: SmallVec<[(K, &'a Entry); TOGETHER]>,
    room: usize,
}

impl<'a, K> Ahead<'a, K> {
    /// None yet, for a reader that wants so many rows: no more entries are come to than that.
    pub fn of(limit: usize) -> Self {
        Ahead { entries: SmallVec::new(), room: limit.min(TOGETHER) }
    }

    pub fn push(&mut self, key: K, entry: &'a Entry) {
        self.entries.push((key, entry));
    }

    pub fn is_full(&self) -> bool {
        self.entries.len() >= self.room
    }

    /// Takes all, in their order, with what `find` knows of their documents.
    pub fn take<'s>(
        &mut self,
        find: impl Fn(&Entry) -> Known<'s, Stored>,
    ) -> impl Iterator<Item = (K, &'a Entry, Known<'s, Stored>)> {
        let known: SmallVec<[_; TOGETHER]> = self.entries.iter().map(|(_, entry)| find(entry)).collect();
        for known in &known {
            if let Known::Present(stored, _) = known {
                // Nothing waits for this: it asks for the text.
                black_box(stored.json.as_bytes().first());
            }
        }
        self.entries.drain(..).zip(known).map(|((key, entry), known)| (key, entry, known))
    }
}
