//! What a reader keeps in memory of one state of the file: blocks of entries, and where blocks of documents lie.
//!
//! A block of entries leads to some hundred documents, and one of documents has some ten: so it is the former that are
//! worth their place, and of the latter, in which row of SQLite's they are. SQLite's own cache keeps what was read last,
//! and that is documents.

use std::collections::{BTreeMap, VecDeque};
use std::ops::RangeInclusive;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use syncline_functions::tx::Order;

use super::keys::Keys;
use super::{INDEX_BYTES, Place, place_of};
use crate::commit::IndexId;
use crate::storage::{BaseKey, BaseRange};

/// The room that several readers have together.
#[derive(Debug)]
pub struct Room {
    bytes_max: usize,
    bytes: AtomicUsize,
}

/// Sorted keys of an index that were read: those of a block of entries, or those that blocks of documents begin with.
pub struct Kept {
    /// All keys at or above this and not above the last are these.
    pub first: Place,
    pub keys: Keys<Vec<u8>>,
}

/// What a [`Kept`] begins with: its index and the first bytes of the key behind it, so that comparing is quick.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Start([u64; 2]);

/// What is kept of one state of the file.
pub struct KeptBlocks {
    /// By where they begin. Those of which that is not told apart are together, in order.
    by_start: BTreeMap<Start, Vec<Kept>>,
    /// Oldest first.
    order: VecDeque<Place>,
    room: Arc<Room>,
    /// Documents that were looked for and whose block was not known.
    n_unknown: usize,
}

/// Of so many documents whose block is not known, one makes that of some hundred known.
const UNKNOWN_ONE_OF: usize = 16;

impl Room {
    /// Room for so many bytes.
    pub fn new(bytes_max: usize) -> Arc<Self> {
        Arc::new(Room { bytes_max, bytes: AtomicUsize::new(0) })
    }
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

impl Kept {
    /// About the memory it takes.
    fn bytes(&self) -> usize {
        size_of::<Kept>() + 2 * size_of::<Place>() + size_of::<Start>() + self.keys.len()
    }
}

impl KeptBlocks {
    /// None yet.
    pub fn new(room: Arc<Room>) -> Self {
        KeptBlocks { by_start: BTreeMap::new(), order: VecDeque::new(), room, n_unknown: 0 }
    }

    /// Forgets all: the file has changed.
    pub fn clear(&mut self) {
        while self.remove_oldest() {}
    }

    /// How much of the room is taken, by all who have it.
    #[cfg(test)]
    pub fn bytes_in_room(&self) -> usize {
        self.room.bytes.load(Ordering::Relaxed)
    }

    /// Keeps some, if there is room when older ones have gone.
    pub fn add(&mut self, kept: Kept) {
        let bytes = kept.bytes();
        while self.room.bytes.fetch_add(bytes, Ordering::Relaxed) + bytes > self.room.bytes_max {
            self.room.bytes.fetch_sub(bytes, Ordering::Relaxed);
            if !self.remove_oldest() {
                return;
            }
        }
        let together = self.by_start.entry(Start::of(&kept.first)).or_default();
        match together.binary_search_by(|other| other.first.cmp(&kept.first)) {
            Ok(at) => {
                let before = std::mem::replace(&mut together[at], kept);
                self.room.bytes.fetch_sub(before.bytes(), Ordering::Relaxed);
            }
            Err(at) => {
                self.order.push_back(kept.first.clone());
                together.insert(at, kept);
            }
        }
    }

    fn remove_oldest(&mut self) -> bool {
        let Some(first) = self.order.pop_front() else { return false };
        let start = Start::of(&first);
        if let Some(together) = self.by_start.get_mut(&start)
            && let Ok(at) = together.binary_search_by(|kept| kept.first.cmp(&first))
        {
            self.room.bytes.fetch_sub(together.remove(at).bytes(), Ordering::Relaxed);
            if together.is_empty() {
                self.by_start.remove(&start);
            }
        }
        true
    }

    /// The last of an index that begins at or before a key.
    fn last_before(&self, index: IndexId, key: &[u8]) -> Option<&Kept> {
        let place = place_of(index, key);
        let mut starts = self.by_start.range(..=Start::of(&place)).rev();
        let (_, together) = starts.next()?;
        let last = match together.iter().rev().find(|kept| kept.first <= place) {
            Some(kept) => kept,
            None => starts.next()?.1.last()?,
        };
        last.first.starts_with(&place[..INDEX_BYTES]).then_some(last)
    }

    /// All keys of a range that comes by rising keys, if a block here is known to have them.
    pub fn keys(&self, index: IndexId, range: &BaseRange) -> Option<Vec<BaseKey>> {
        if range.order == Order::Desc {
            return None;
        }
        let Kept { keys, .. } = self.last_before(index, &range.start)?;
        let (from, to) = keys.part(range);
        // With a key that is not below the range, this is the block where the range begins.
        let is_its_block = from < keys.n();
        let has_all = to < keys.n() || to - from >= range.limit;
        if !is_its_block || !has_all {
            return None;
        }
        (from..to).take(range.limit).map(|n| keys.key(n)).collect()
    }

    /// The rows of SQLite's that have a document's block and those behind it, `n_max` at most, as long as one number
    /// follows the other; if that is known.
    pub fn rows_of(&self, documents: IndexId, key: &[u8], n_max: usize) -> Option<RangeInclusive<i64>> {
        let Kept { keys, .. } = self.last_before(documents, key)?;
        let n = keys.search(key).unwrap_or_else(|n_below| n_below.saturating_sub(1));
        // The last one only tells where the block before it ends.
        let mut rows =
            (n..keys.n() - 1).take(n_max).map_while(|n| keys.belonging(n).try_into().ok()).map(i64::from_le_bytes);
        let first = rows.next()?;
        Some(first..=rows.zip(first + 1..).take_while(|(row, next)| row == next).last().map_or(first, |(row, _)| row))
    }

    /// Whether to make known where the block of a document lies that is not, and of those behind it: now and then, so
    /// that it pays, and as long as nothing has to leave for it.
    pub fn wants_rows(&mut self) -> bool {
        self.n_unknown += 1;
        let is_due = self.n_unknown.is_multiple_of(UNKNOWN_ONE_OF);
        is_due && self.room.bytes.load(Ordering::Relaxed) < self.room.bytes_max - self.room.bytes_max / 32
    }
}

impl Drop for KeptBlocks {
    fn drop(&mut self) {
        self.clear();
    }
}
