//! What memory holds of each table: newest versions, and what is cached of the base.
//!
//! A table's documents and indexes are under one lock, held for a step of a read or of a commit and never across
//! anything slow. Snapshots need no lock over several tables: a commit is visible once its timestamp is.

mod beneath;
mod keyspace;
mod leaves;
pub(crate) mod near;
mod residency;
mod slots;
mod walk;

use std::fmt;
use std::ops::{Deref, DerefMut};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use syncline_schema::{InternalId, StoredText, Timestamp};

use crate::commit::DocumentKeys;
use crate::document::Outline;
use crate::key::Key;
use crate::storage::BaseText;
pub(crate) use beneath::Beneath;
pub(crate) use keyspace::{Entry, IdKey, Keyspace, Known, Version, Weigh, id_bounds};
pub(crate) use residency::Residency;
pub(crate) use slots::Place;
pub(crate) use walk::{Gap, Seen, Walk};

/// A version of a document. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Stored {
    /// Milliseconds since the epoch.
    pub creation_time: f64,
    /// The stored text.
    pub json: StoredText,
    /// Its size by the rules of values, bytes.
    pub size: u32,
    /// Where in the text its own fields begin; see [`head_len`](crate::document::head_len).
    pub head_len: u32,
    /// Where it is in the indexes of its table; `None` for what was read from the base and not written since.
    pub keys: Option<DocumentKeys>,
}

impl Stored {
    /// Asks for what a reader who may write it looks at.
    pub fn ask_for(&self) {
        near::ask_for(&*self.json);
        if let Some(first) = self.keys.as_ref().and_then(|keys| keys.first()) {
            near::ask_for(first);
        }
    }

    /// The same, for who keeps it: nothing stays with it that was read beside it.
    pub fn alone(self) -> Self {
        Stored { json: self.json.alone(), ..self }
    }
}

/// A document as a reader is given it: one in memory, or one of the base.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sight<'a> {
    pub json: &'a StoredText,
    pub outline: Outline,
}

impl<'a> Sight<'a> {
    /// Of a document of the base. `None` when its text is not one, which a load refuses.
    pub fn of_base(text: &'a BaseText) -> Option<Self> {
        Some(Sight { json: text.stored(), outline: text.outline()? })
    }
}

impl<'a> From<&'a Stored> for Sight<'a> {
    fn from(stored: &'a Stored) -> Self {
        let Stored { creation_time, ref json, size, head_len, .. } = *stored;
        Sight { json, outline: Outline { creation_time, head_len, size } }
    }
}

impl From<&Stored> for BaseText {
    fn from(stored: &Stored) -> Self {
        let Sight { json, outline } = stored.into();
        BaseText::new(json.clone(), Some(outline))
    }
}

impl Weigh for Stored {
    /// One that is written often has the one before beside the newest nearly always: for those who read it still.
    type Versions = [Version<Stored>; 2];

    fn extra_bytes(&self) -> usize {
        // Allocators have blocks of some sizes only: a text takes an eighth more than it has, and its counters.
        let text = self.json.len() + self.json.len() / 8 + 2 * size_of::<usize>();
        text + self.keys.as_ref().map_or(0, |keys| keys.len() * size_of::<(u32, Arc<[u8]>)>())
    }

    /// Their counters, which lie before what they count.
    fn ask_for_end(&self) {
        near::ask_before(&*self.json);
        if let Some(keys) = &self.keys {
            near::ask_before(&**keys);
        }
    }
}

/// An index of a table, in memory: from keys to documents.
pub(crate) struct IndexSpace {
    /// Its number in the table.
    pub number: u32,
    /// Its entries.
    pub entries: Keyspace<Key, Entry>,
}

impl IndexSpace {
    /// Adds a version of an entry, see [`Keyspace::push`].
    pub fn push(
        &mut self,
        key: Key,
        version: Version<Entry>,
        before: impl FnOnce() -> Option<Entry>,
        horizon: Timestamp,
    ) {
        self.entries.push(&key, Place::UNKNOWN, version, before, horizon);
    }
}

/// A table in memory.
pub(crate) struct TableSpace {
    /// Documents by id.
    pub documents: Keyspace<IdKey, Stored>,
    /// The indexes but `by_id`, in the order in which [`DocumentKeys`] has them.
    pub indexes: Vec<IndexSpace>,
}

impl TableSpace {
    /// An index by its number.
    pub fn index(&self, number: u32) -> Option<&IndexSpace> {
        self.indexes.iter().find(|index| index.number == number)
    }

    /// An index by its number.
    pub fn index_mut(&mut self, number: u32) -> Option<&mut IndexSpace> {
        self.indexes.iter_mut().find(|index| index.number == number)
    }

    /// Rises whenever eviction lets go of something.
    pub fn n_evicted(&self) -> u64 {
        self.documents.n_evicted() + self.indexes.iter().map(|index| index.entries.n_evicted()).sum::<u64>()
    }

    /// Memory is complete for the table.
    pub fn set_all_resident(&mut self) {
        self.documents.set_resident(&[], None);
        for index in &mut self.indexes {
            index.entries.set_resident(&[], None);
        }
    }

    /// About the memory it takes, bytes.
    pub fn bytes(&self) -> usize {
        self.documents.bytes() + self.indexes.iter().map(|index| index.entries.bytes()).sum::<usize>()
    }

    /// Writes a version of a document, which was at `place`, and moves its index entries. Everything at `ts`, see
    /// [`Keyspace::push`].
    pub fn apply(
        &mut self,
        (id, place): (InternalId, Place),
        old: Option<&Stored>,
        new: Option<Stored>,
        ts: Timestamp,
        horizon: Timestamp,
    ) {
        let old_keys = old.and_then(|old| old.keys.as_ref());
        let new_keys = new.as_ref().and_then(|new| new.keys.as_ref());
        let same = matches!((old_keys, new_keys), (Some(old), Some(new)) if Arc::ptr_eq(old, new));
        let moved_to = new_keys.filter(|_| !same).cloned();
        let place = self.documents.push(&id.into(), place, Version { ts, value: new }, || old.cloned(), horizon);
        if same {
            return;
        }
        let entry = Entry { id, place };
        for (position, index) in self.indexes.iter_mut().enumerate() {
            let old_key = old_keys.map(|keys| &keys[position].1);
            let new_key = moved_to.as_ref().map(|keys| &keys[position].1);
            if old_key == new_key {
                continue;
            }
            if let Some(key) = old_key {
                index.push(Key::new(key.clone()), Version { ts, value: None }, || Some(entry), horizon);
            }
            if let Some(key) = new_key {
                index.push(Key::new(key.clone()), Version { ts, value: Some(entry) }, || None, horizon);
            }
        }
    }

    /// Takes back what was written to a document above a timestamp.
    pub fn undo(&mut self, id: InternalId, old: Option<&DocumentKeys>, new: Option<&DocumentKeys>, above: Timestamp) {
        self.documents.undo(&id.into(), above);
        for keys in [old, new].into_iter().flatten() {
            for (number, key) in keys.iter() {
                if let Some(index) = self.index_mut(*number) {
                    index.entries.undo(&Key::new(key.clone()), above);
                }
            }
        }
    }
}

/// A table in memory, shared.
pub(crate) struct TableMemory {
    space: RwLock<TableSpace>,
    bytes: AtomicUsize,
}

impl fmt::Debug for TableMemory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TableMemory").field("bytes", &self.bytes()).finish_non_exhaustive()
    }
}

impl TableMemory {
    /// A table of which memory knows everything (a new one) or nothing yet.
    pub fn new(indexes: impl Iterator<Item = u32>, complete: bool) -> Self {
        let resident = || if complete { Residency::everywhere() } else { Residency::default() };
        let indexes = indexes.map(|number| IndexSpace { number, entries: Keyspace::new(resident()) }).collect();
        let space = TableSpace { documents: Keyspace::new(resident()), indexes };
        TableMemory { bytes: AtomicUsize::new(space.bytes()), space: RwLock::new(space) }
    }

    /// For a step of a read.
    pub fn read(&self) -> RwLockReadGuard<'_, TableSpace> {
        self.space.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// For a step of a commit, of loading, or of a checkpoint.
    pub fn write(&self) -> WriteGuard<'_> {
        WriteGuard { space: self.space.write().unwrap_or_else(PoisonError::into_inner), bytes: &self.bytes }
    }

    /// About the memory it takes, bytes.
    pub fn bytes(&self) -> usize {
        self.bytes.load(Ordering::Relaxed)
    }
}

/// A table that is being changed; its size is noted afterwards.
pub(crate) struct WriteGuard<'a> {
    space: RwLockWriteGuard<'a, TableSpace>,
    bytes: &'a AtomicUsize,
}

impl Deref for WriteGuard<'_> {
    type Target = TableSpace;
    fn deref(&self) -> &TableSpace {
        &self.space
    }
}

impl DerefMut for WriteGuard<'_> {
    fn deref_mut(&mut self) -> &mut TableSpace {
        &mut self.space
    }
}

impl Drop for WriteGuard<'_> {
    fn drop(&mut self) {
        self.bytes.store(self.space.bytes(), Ordering::Relaxed);
    }
}
