//! Blocks of entries that a reader keeps in memory.
//!
//! A block of entries leads to some hundred documents, and one of documents has some ten: so it is the former that are
//! worth their place. SQLite's own cache keeps what was read last, and that is documents.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use syncline_functions::tx::Order;

use super::{Found, Place, index_bytes, place_of};
use crate::commit::IndexId;
use crate::storage::{BaseKey, BaseRange};

/// The room that several readers have together.
#[derive(Debug)]
pub struct Room {
    bytes_max: usize,
    bytes: AtomicUsize,
}

/// Blocks of one state of the file.
pub struct KeptBlocks {
    by_first: BTreeMap<Place, Found>,
    /// Oldest first.
    order: VecDeque<Place>,
    room: Arc<Room>,
}

impl Room {
    /// Room for so many bytes.
    pub fn new(bytes_max: usize) -> Arc<Self> {
        Arc::new(Room { bytes_max, bytes: AtomicUsize::new(0) })
    }
}

impl KeptBlocks {
    /// None yet.
    pub fn new(room: Arc<Room>) -> Self {
        KeptBlocks { by_first: BTreeMap::new(), order: VecDeque::new(), room }
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

    /// Keeps a block, if there is room when older ones have gone.
    pub fn add(&mut self, found: Found) {
        let bytes = found.bytes();
        while self.room.bytes.fetch_add(bytes, Ordering::Relaxed) + bytes > self.room.bytes_max {
            self.room.bytes.fetch_sub(bytes, Ordering::Relaxed);
            if !self.remove_oldest() {
                return;
            }
        }
        self.order.push_back(found.first.clone());
        if let Some(before) = self.by_first.insert(found.first.clone(), found) {
            self.room.bytes.fetch_sub(before.bytes(), Ordering::Relaxed);
        }
    }

    fn remove_oldest(&mut self) -> bool {
        let Some(first) = self.order.pop_front() else { return false };
        if let Some(gone) = self.by_first.remove(&first) {
            self.room.bytes.fetch_sub(gone.bytes(), Ordering::Relaxed);
        }
        true
    }

    /// All keys of a range that comes by rising keys, if a block here is known to have them.
    pub fn keys(&self, index: IndexId, range: &BaseRange) -> Option<Vec<BaseKey>> {
        if range.order == Order::Desc {
            return None;
        }
        let (first, Found { block, .. }) = self.by_first.range(..=place_of(index, &range.start)).next_back()?;
        let (from, to) = block.keys.part(range);
        // With a key that is not below the range, this is the block where the range begins.
        let is_its_block = first.starts_with(&index_bytes(index)) && from < block.keys.n();
        let has_all = to < block.keys.n() || to - from >= range.limit;
        if !is_its_block || !has_all {
            return None;
        }
        (from..to).take(range.limit).map(|n| block.keys.key(n)).collect()
    }
}

impl Drop for KeptBlocks {
    fn drop(&mut self) {
        self.clear();
    }
}
