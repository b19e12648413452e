//! An ordered map of versions: the newest part of a store's history, over what of its base is cached.
//!
//! A slot's versions are a gapless run of the key's history up to now. A version at or below the base's timestamp is
//! clean: it can be read again, so it may be evicted. Where memory is [resident](Residency), a key without a slot does
//! not exist; elsewhere the base must be asked.

use std::collections::VecDeque;
use std::ops::Bound;
use std::sync::atomic::{AtomicBool, Ordering};

use smallvec::{Array, SmallVec};
use syncline_schema::{InternalId, Timestamp};

use super::residency::Residency;
use super::slots::{Beside, InPlaces, Place, Slots};
use crate::key::{Key, KeyLike, Probe};

/// What orders a keyspace: ids of documents, or keys of an index.
pub(crate) trait SpaceKey: Ord + Clone {
    /// The key as bytes, in whose order it sorts.
    type Bytes<'a>: AsRef<[u8]>
    where
        Self: 'a;

    /// Where slots of such keys lie.
    type Slots<V: Weigh>: Slots<Self, V>;

    /// The key as bytes.
    fn bytes(&self) -> Self::Bytes<'_>;

    /// Whether it stands before other bytes.
    fn is_before(&self, other: &Probe<'_>) -> bool;
}

impl SpaceKey for Key {
    type Bytes<'a> = &'a [u8];
    type Slots<V: Weigh> = Beside<V>;

    fn bytes(&self) -> &[u8] {
        KeyLike::bytes(self)
    }

    fn is_before(&self, other: &Probe<'_>) -> bool {
        let key: &dyn KeyLike = self;
        *key < *(other as &dyn KeyLike)
    }
}

/// The id of a document as a number, which sorts as the id does and is compared at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct IdKey(u128);

impl IdKey {
    pub fn id(self) -> InternalId {
        InternalId(self.0.to_be_bytes())
    }
}

impl From<InternalId> for IdKey {
    fn from(id: InternalId) -> Self {
        IdKey(u128::from_be_bytes(id.0))
    }
}

impl SpaceKey for IdKey {
    type Bytes<'a> = [u8; 16];
    type Slots<V: Weigh> = InPlaces<V>;

    fn bytes(&self) -> [u8; 16] {
        self.0.to_be_bytes()
    }

    fn is_before(&self, other: &Probe<'_>) -> bool {
        self.bytes()[..] < *other.bytes()
    }
}

/// The ids in an interval of bytes; `None` when there are none (a map would panic at some such bounds).
///
/// Bytes shorter than an id stand before all ids that begin with them, longer ones behind the one they begin with.
pub(crate) fn id_bounds(start: &[u8], end: Option<&[u8]>) -> Option<(Bound<InternalId>, Bound<InternalId>)> {
    let lower = match padded(start) {
        (id, true) => Bound::Excluded(id),
        (id, false) => Bound::Included(id),
    };
    let upper = match end.map(padded) {
        None => Bound::Unbounded,
        Some((id, true)) => Bound::Included(id),
        Some((id, false)) => Bound::Excluded(id),
    };
    let empty = match (lower, upper) {
        (Bound::Excluded(a), Bound::Included(b) | Bound::Excluded(b)) => a >= b,
        (Bound::Included(a), Bound::Excluded(b)) => a >= b,
        (Bound::Included(a), Bound::Included(b)) => a > b,
        _ => false,
    };
    (!empty).then_some((lower, upper))
}

/// The first 16 bytes, filled up with zeros, and whether there were more.
fn padded(bytes: &[u8]) -> (InternalId, bool) {
    let mut id = [0; 16];
    let n = bytes.len().min(16);
    id[..n].copy_from_slice(&bytes[..n]);
    (InternalId(id), bytes.len() > 16)
}

/// Where an entry of an index leads.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Entry {
    /// The document.
    pub id: InternalId,
    /// Where that was when the entry was written.
    pub place: Place,
}

/// What a keyspace holds.
pub(crate) trait Weigh: Sized {
    /// Room for so many versions of a key, without an allocation.
    type Versions: Array<Item = Version<Self>>;

    /// Memory that it takes beyond its own size, bytes; what it shares with others counts once, somewhere.
    fn extra_bytes(&self) -> usize;

    /// Asks for what is looked at when it is let go of.
    fn ask_for_end(&self);
}

impl Weigh for Entry {
    /// Entries are written once.
    type Versions = [Version<Entry>; 1];

    fn extra_bytes(&self) -> usize {
        0
    }

    fn ask_for_end(&self) {}
}

/// A value, or its absence, from a timestamp on.
#[derive(Clone, Debug)]
pub(crate) struct Version<V> {
    /// [`Timestamp::ZERO`] for what was read from the base: when it was written is not known, only that it is visible
    /// to every snapshot.
    pub ts: Timestamp,
    /// `None`: deleted.
    pub value: Option<V>,
}

impl<V: Weigh> Version<V> {
    fn bytes(&self) -> usize {
        size_of::<Self>() + self.value.as_ref().map_or(0, Weigh::extra_bytes)
    }
}

/// The versions of one key.
pub(crate) struct Slot<V: Weigh> {
    /// Oldest first; never empty.
    versions: SmallVec<V::Versions>,
    /// Read since eviction last came by.
    touched: AtomicBool,
    /// Holds a version that the base lacks.
    dirty: bool,
}

impl<V: Weigh> Slot<V> {
    /// One without versions, read just now.
    pub fn clean() -> Self {
        Slot { versions: SmallVec::new(), touched: AtomicBool::new(true), dirty: false }
    }

    /// The version that a snapshot sees; `None` when memory does not know.
    pub fn at(&self, snapshot: Timestamp) -> Option<&Version<V>> {
        if !self.touched.load(Ordering::Relaxed) {
            self.touched.store(true, Ordering::Relaxed);
        }
        let newest = self.versions.last()?;
        if newest.ts <= snapshot {
            return Some(newest);
        }
        let n_visible = self.versions.partition_point(|version| version.ts <= snapshot);
        n_visible.checked_sub(1).map(|visible| &self.versions[visible])
    }

    /// The value that a snapshot sees; `None` when there is none, or memory does not know it.
    pub fn value_at(&self, snapshot: Timestamp) -> Option<&V> {
        self.at(snapshot).and_then(|version| version.value.as_ref())
    }

    fn newest(&self) -> Option<&Version<V>> {
        self.versions.last()
    }
}

impl<V: Weigh> Slot<V> {
    /// Drops versions that no snapshot at or above `horizon` sees. Returns their bytes.
    fn trim(&mut self, horizon: Timestamp) -> usize {
        let n_visible = self.versions.partition_point(|version| version.ts <= horizon);
        self.versions.drain(..n_visible.saturating_sub(1)).map(|gone| gone.bytes()).sum()
    }

    fn bytes(&self) -> usize {
        size_of::<Self>() + self.versions.iter().map(Version::bytes).sum::<usize>()
    }
}

/// What a keyspace knows of a key at a snapshot.
#[derive(Debug)]
pub(crate) enum Known<'a, V> {
    /// It holds this value; and where that was found.
    Present(&'a V, Place),
    /// It does not exist.
    Absent,
    /// The base must be asked.
    Unknown,
}

/// What a slot takes beyond its parts, bytes: heads of allocations, what they are rounded up by, and room in nodes of
/// the map, which are two thirds full.
const SLOT_OVERHEAD_BYTES: usize = 32;

/// Slots that are remembered as written again, a number: those of some milliseconds. Others are trimmed when they are
/// written the next time, or settled.
const REWRITTEN_MAX: usize = 4_096;

/// So many of them are trimmed at once: what they need is asked for together, and the code runs while it is near.
const TRIMMED_TOGETHER: usize = 16;

/// Versions by key.
pub(crate) struct Keyspace<K: SpaceKey, V: Weigh> {
    slots: K::Slots<V>,
    resident: Residency,
    /// Keys of dirty slots, each once, and where the slots are.
    dirty: Vec<(K, Place)>,
    /// How many keys are in `dirty`, or were taken from it and have not been settled.
    n_unsettled: usize,
    /// Slots that were written again: where they are, and when.
    rewritten: VecDeque<(K, Place, Timestamp)>,
    /// Where eviction goes on.
    hand: Option<K>,
    /// Entries that eviction has let go of, ever.
    n_evicted: u64,
    bytes: usize,
}

impl<K: SpaceKey, V: Weigh> Keyspace<K, V> {
    /// A keyspace without entries; `resident` tells what that means.
    pub fn new(resident: Residency) -> Self {
        Keyspace {
            slots: K::Slots::default(),
            resident,
            dirty: Vec::new(),
            n_unsettled: 0,
            rewritten: VecDeque::new(),
            hand: None,
            n_evicted: 0,
            bytes: 0,
        }
    }

    fn key_bytes(key: &K) -> usize {
        size_of::<K>() + key.bytes().as_ref().len() + SLOT_OVERHEAD_BYTES
    }

    /// About the memory it takes, bytes.
    pub fn bytes(&self) -> usize {
        self.bytes + self.resident.n_intervals() * Residency::INTERVAL_BYTES
    }

    /// Rises whenever eviction lets go of something.
    pub fn n_evicted(&self) -> u64 {
        self.n_evicted
    }

    /// Whether the base has all that memory has: what is read there need not be looked for here.
    pub fn is_settled(&self) -> bool {
        self.n_unsettled == 0
    }

    pub fn resident(&self) -> &Residency {
        &self.resident
    }

    /// What a snapshot sees at a key, which is looked for at `hint` first.
    pub fn get(&self, key: &K, hint: Place, snapshot: Timestamp) -> Known<'_, V> {
        let found = self.slots.find(key, hint).and_then(|(slot, place)| Some((slot.at(snapshot)?, place)));
        match found {
            Some((Version { value: Some(value), .. }, place)) => Known::Present(value, place),
            Some((Version { value: None, .. }, _)) => Known::Absent,
            None if self.resident.covers_key(key.bytes().as_ref()) => Known::Absent,
            None => Known::Unknown,
        }
    }

    /// The slots from a key on, in order.
    pub fn slots_from(&self, start: &[u8]) -> impl Iterator<Item = (&K, &Slot<V>)> {
        self.slots.from(start)
    }

    /// The slots before a key, last first.
    pub fn slots_before(&self, end: Option<&[u8]>) -> impl Iterator<Item = (&K, &Slot<V>)> {
        self.slots.before(end)
    }

    /// Adds a version that the base lacks. `before` is what the key held until now, in case memory does not know.
    /// Returns where it is.
    ///
    /// Versions that no snapshot at or above `horizon` sees are dropped: those of this key, and now and then those of keys
    /// that were written a moment ago.
    pub fn push(
        &mut self,
        key: &K,
        hint: Place,
        version: Version<V>,
        before: impl FnOnce() -> Option<V>,
        horizon: Timestamp,
    ) -> Place {
        self.trim_rewritten(horizon);
        self.bytes += version.bytes();
        let ts = version.ts;
        if let Some((slot, place)) = self.slots.find_mut(key, hint) {
            // A key that is written faster than snapshots end is trimmed now and then, at a constant cost a version.
            let in_sight = slot.newest().is_some_and(|newest| newest.ts > horizon);
            if !in_sight || slot.versions.len().is_power_of_two() {
                self.bytes -= slot.trim(horizon);
            }
            slot.versions.push(version);
            if !slot.dirty {
                slot.dirty = true;
                self.n_unsettled += 1;
                self.dirty.push((key.clone(), place));
            }
            if slot.versions.len() > 1 && self.rewritten.len() < REWRITTEN_MAX {
                self.rewritten.push_back((key.clone(), place, ts));
            }
            return place;
        }
        let mut slot = Slot { dirty: true, ..Slot::clean() };
        if let Some(before) = before() {
            slot.versions.push(Version { ts: Timestamp::ZERO, value: Some(before) });
        }
        self.bytes += Self::key_bytes(key) + slot.bytes();
        slot.versions.push(version);
        self.n_unsettled += 1;
        let (_, place) = self.slots.find_or_insert(key.clone(), |_| slot);
        self.dirty.push((key.clone(), place));
        place
    }

    /// Lets go of versions that were replaced lately and that no snapshot sees any more, while they are not far from the
    /// processor, and their memory is used again there.
    fn trim_rewritten(&mut self, horizon: Timestamp) {
        if self.rewritten.get(TRIMMED_TOGETHER - 1).is_none_or(|(_, _, ts)| *ts > horizon) {
            return;
        }
        let due: SmallVec<[_; TRIMMED_TOGETHER]> = self.rewritten.drain(..TRIMMED_TOGETHER).collect();
        due.iter().for_each(|(_, place, _)| self.slots.ask_for(*place));
        for (key, place, _) in &due {
            let found = self.slots.find(key, *place);
            if let Some(value) = found.and_then(|(slot, _)| slot.versions.first()?.value.as_ref()) {
                value.ask_for_end();
            }
        }
        for (key, place, _) in &due {
            if let Some((slot, _)) = self.slots.find_mut(key, *place) {
                self.bytes -= slot.trim(horizon);
            }
        }
    }

    /// Takes back all versions of a key above a timestamp: their commits were undone.
    pub fn undo(&mut self, key: &K, above: Timestamp) {
        let Some((slot, _)) = self.slots.find_mut(key, Place::UNKNOWN) else { return };
        while slot.newest().is_some_and(|newest| newest.ts > above) {
            self.bytes -= slot.versions.pop().map_or(0, |gone| gone.bytes());
        }
        if slot.versions.is_empty() {
            self.drop_slot(key);
        }
    }

    fn drop_slot(&mut self, key: &K) {
        if let Some(slot) = self.slots.remove(key) {
            self.bytes -= Self::key_bytes(key) + slot.bytes();
        }
    }

    /// Takes in what the base held at a key when it was at `base`, unless memory knows it already. Returns where it is.
    pub fn install(&mut self, key: K, value: V, base: Timestamp) -> Place {
        let mut version = Some(Version { ts: Timestamp::ZERO, value: Some(value) });
        let mut bytes = 0;
        let (slot, place) = self.slots.find_or_insert(key, |key| {
            let slot = Slot { versions: version.take().into_iter().collect(), ..Slot::clean() };
            bytes = Self::key_bytes(key) + slot.bytes();
            slot
        });
        if let Some(version) = version
            && slot.versions.first().is_some_and(|oldest| oldest.ts > base)
        {
            bytes = version.bytes();
            slot.versions.insert(0, version);
        }
        self.bytes += bytes;
        place
    }

    /// All of an interval has been installed.
    pub fn set_resident(&mut self, start: &[u8], end: Option<&[u8]>) {
        self.resident.insert(start, end);
    }

    /// Starts a checkpoint: the keys that the base lacks a version of. All are to be given back to [`Keyspace::settle`].
    pub fn take_dirty(&mut self) -> Vec<(K, Place)> {
        std::mem::take(&mut self.dirty)
    }

    /// The newest version of a key in (base, to], if there is one.
    pub fn newest_between(&self, (key, place): &(K, Place), base: Timestamp, to: Timestamp) -> Option<&Version<V>> {
        let (slot, _) = self.slots.find(key, *place)?;
        let n_visible = slot.versions.partition_point(|version| version.ts <= to);
        slot.versions[..n_visible].last().filter(|version| version.ts > base)
    }

    /// Ends a checkpoint for some keys: the base holds everything up to `base` now. After a failed one, nothing has changed.
    pub fn settle(&mut self, keys: Vec<(K, Place)>, base: Timestamp, horizon: Timestamp) {
        for (key, place) in keys {
            self.n_unsettled -= 1;
            let Some((slot, place)) = self.slots.find_mut(&key, place) else { continue };
            self.bytes -= slot.trim(horizon);
            slot.versions.shrink_to_fit();
            slot.dirty = slot.newest().is_some_and(|newest| newest.ts > base);
            if slot.dirty {
                self.n_unsettled += 1;
                self.dirty.push((key, place));
            } else if slot.versions.len() == 1 && slot.versions[0].value.is_none() {
                self.drop_slot(&key);
            }
        }
    }

    /// Looks at `n_max` slots and lets go of those that are clean and were not read since it last came by.
    pub fn evict(&mut self, n_max: usize) {
        let start = self.hand.take();
        let start = start.as_ref().map(SpaceKey::bytes);
        let start = start.as_ref().map_or(&[][..], AsRef::as_ref);
        let mut gone = Vec::new();
        // Runs of keys to let go of, each up to the next key that stays: what lies between is forgotten too.
        let mut runs: Vec<(K, Option<K>)> = Vec::new();
        let mut run: Option<K> = None;
        for (n_seen, (key, slot)) in self.slots.from(start).enumerate() {
            if n_seen == n_max {
                self.hand = Some(key.clone());
                break;
            }
            let clean = !slot.dirty && slot.versions.len() == 1;
            if clean && !slot.touched.swap(false, Ordering::Relaxed) {
                run.get_or_insert_with(|| key.clone());
                gone.push(key.clone());
            } else if let Some(first) = run.take() {
                runs.push((first, Some(key.clone())));
            }
        }
        if let Some(first) = run {
            runs.push((first, self.hand.clone()));
        }
        for (first, next) in runs {
            let next = next.as_ref().map(SpaceKey::bytes);
            self.resident.remove(first.bytes().as_ref(), next.as_ref().map(AsRef::as_ref));
        }
        self.n_evicted += gone.len() as u64;
        for key in &gone {
            self.drop_slot(key);
        }
        if self.resident.n_intervals() > 2 * self.slots.len() + 1024 {
            // Mostly intervals that were found empty: no slot leads eviction to them.
            self.resident = Residency::default();
        }
    }
}
