//! What a reader keeps in memory of one state of the file: blocks of entries, and where blocks of documents lie.
//!
//! A block of entries leads to some hundred documents, and one of documents has some ten: so it is the former that are
//! worth their place, and of the latter, in which row of SQLite's they are. SQLite's own cache keeps what was read last,
//! and that is documents.

use std::collections::VecDeque;
use std::ops::RangeInclusive;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use syncline_functions::tx::Order;

use super::by_start::ByStart;
use super::keys::Keys;
use super::{INDEX_BYTES, place_of};
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
    pub first: Box<[u8]>,
    pub keys: Keys<Vec<u8>>,
}

/// What is kept of one state of the file.
pub struct KeptBlocks {
    by_start: ByStart,
    /// Oldest first.
    order: VecDeque<Box<[u8]>>,
    room: Arc<Room>,
    /// Documents that were looked for and whose block was not known.
    n_unknown: usize,
}

/// About the bytes that where one begins takes: most are shorter.
const PLACE_BYTES: usize = 32;

/// About the memory that one takes beside its keys: itself, where it begins, twice, and what it is found by.
const BESIDE_KEYS: usize = size_of::<Kept>() + size_of::<Box<[u8]>>() + 2 * PLACE_BYTES + 2 * size_of::<u64>();

/// Of so many documents whose block is not known, one makes that of some hundred known.
const UNKNOWN_ONE_OF: usize = 16;

impl Room {
    /// Room for so many bytes.
    pub fn new(bytes_max: usize) -> Arc<Self> {
        Arc::new(Room { bytes_max, bytes: AtomicUsize::new(0) })
    }
}

impl Kept {
    /// About the memory it takes.
    fn bytes(&self) -> usize {
        BESIDE_KEYS + self.keys.len()
    }
}

impl KeptBlocks {
    /// None yet.
    pub fn new(room: Arc<Room>) -> Self {
        KeptBlocks { by_start: ByStart::default(), order: VecDeque::new(), room, n_unknown: 0 }
    }

    /// Forgets all: the file has changed.
    pub fn clear(&mut self) {
        self.order.clear();
        std::mem::take(&mut self.by_start).iter().for_each(|kept| self.give_back(kept));
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
        let first = kept.first.clone();
        match self.by_start.insert(kept) {
            Some(before) => self.give_back(&before),
            None => self.order.push_back(first),
        }
    }

    fn give_back(&self, kept: &Kept) {
        self.room.bytes.fetch_sub(kept.bytes(), Ordering::Relaxed);
    }

    fn remove_oldest(&mut self) -> bool {
        let Some(first) = self.order.pop_front() else { return false };
        if let Some(kept) = self.by_start.remove(&first) {
            self.give_back(&kept);
        }
        true
    }

    /// The last of an index that begins at or before a key.
    fn last_before(&self, index: IndexId, key: &[u8]) -> Option<&Kept> {
        let place = place_of(index, key);
        let last = self.by_start.last_up_to(&place)?;
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

    /// Where what is known of an index behind a key begins.
    pub fn next_known(&self, index: IndexId, key: &[u8]) -> Option<&[u8]> {
        let place = place_of(index, key);
        let next = self.by_start.first_behind(&place)?;
        next.first.strip_prefix(&place[..INDEX_BYTES])
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
