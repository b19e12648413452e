//! Where the slots of a keyspace lie: beside their keys in the order of the keys, or in places that do not move.

use std::collections::{BTreeMap, btree_map};

use super::keyspace::{IdKey, Slot, Weigh, id_bounds};
use super::leaves::Leaves;
use super::near;
use crate::key::{Key, Probe};

/// Where a slot was seen: a hint, because the place may have become another key's since.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Place(u32);

impl Place {
    /// No place was seen.
    pub const UNKNOWN: Place = Place(u32::MAX);

    #[cfg(test)]
    pub fn numbered(n: u32) -> Self {
        Place(n)
    }
}

/// The slots of a keyspace, by key.
pub(crate) trait Slots<K, V: Weigh>: Default {
    /// The slot of a key, which is looked for at `hint` first; and where it is.
    fn find(&self, key: &K, hint: Place) -> Option<(&Slot<V>, Place)>;

    /// Asks for the slot at a place that was seen.
    fn ask_for(&self, place: Place);

    /// The same, to be changed.
    fn find_mut(&mut self, key: &K, hint: Place) -> Option<(&mut Slot<V>, Place)>;

    /// The slot of a key, which is made when there is none.
    fn find_or_insert(&mut self, key: K, make: impl FnOnce(&K) -> Slot<V>) -> (&mut Slot<V>, Place);

    /// Takes out the slot of a key.
    fn remove(&mut self, key: &K) -> Option<Slot<V>>;

    /// How many there are.
    fn len(&self) -> usize;

    /// Those from a key on, in order.
    fn from<'a>(&'a self, start: &[u8]) -> impl Iterator<Item = (&'a K, &'a Slot<V>)>
    where
        K: 'a,
        V: 'a;

    /// Those before a key, last first.
    fn before<'a>(&'a self, end: Option<&[u8]>) -> impl Iterator<Item = (&'a K, &'a Slot<V>)>
    where
        K: 'a,
        V: 'a;
}

/// Slots beside their keys: what is found by key alone.
pub(crate) struct Beside<V: Weigh>(Leaves<Slot<V>>);

impl<V: Weigh> Default for Beside<V> {
    fn default() -> Self {
        Beside(Leaves::default())
    }
}

impl<V: Weigh> Slots<Key, V> for Beside<V> {
    fn find(&self, key: &Key, _hint: Place) -> Option<(&Slot<V>, Place)> {
        Some((self.0.get(key)?, Place::UNKNOWN))
    }

    /// There are no places.
    fn ask_for(&self, _place: Place) {}

    fn find_mut(&mut self, key: &Key, _hint: Place) -> Option<(&mut Slot<V>, Place)> {
        Some((self.0.get_mut(key)?, Place::UNKNOWN))
    }

    fn find_or_insert(&mut self, key: Key, make: impl FnOnce(&Key) -> Slot<V>) -> (&mut Slot<V>, Place) {
        (self.0.get_or_insert(key, make), Place::UNKNOWN)
    }

    fn remove(&mut self, key: &Key) -> Option<Slot<V>> {
        self.0.remove(key)
    }

    fn len(&self) -> usize {
        self.0.len()
    }

    fn from<'a>(&'a self, start: &[u8]) -> impl Iterator<Item = (&'a Key, &'a Slot<V>)>
    where
        V: 'a,
    {
        self.0.from(&Probe::new(start))
    }

    fn before<'a>(&'a self, end: Option<&[u8]>) -> impl Iterator<Item = (&'a Key, &'a Slot<V>)>
    where
        V: 'a,
    {
        self.0.before(end.map(Probe::new).as_ref())
    }
}

/// Places of one allocation: large enough that the list of allocations stays in the processor's cache.
const PLACES_TOGETHER: usize = 4_096;

/// A slot, and whose it is.
type Held<V> = (IdKey, Slot<V>);

/// Places, filled in the order in which slots come; one that becomes free is used again.
///
/// Their memory stays as large as it was at most; eviction keeps that within the budget.
struct Places<V: Weigh> {
    /// All but the last are full of places.
    some: Vec<Vec<Option<Held<V>>>>,
    free: Vec<Place>,
}

impl<V: Weigh> Places<V> {
    fn split(Place(n): Place) -> (usize, usize) {
        (n as usize / PLACES_TOGETHER, n as usize % PLACES_TOGETHER)
    }

    fn at(&self, place: Place) -> Option<&Option<Held<V>>> {
        let (some, one) = Self::split(place);
        self.some.get(some)?.get(one)
    }

    fn get(&self, place: Place) -> Option<&Held<V>> {
        let held = self.at(place)?;
        near::ask_for(held);
        held.as_ref()
    }

    fn get_mut(&mut self, place: Place) -> Option<&mut Held<V>> {
        let (some, one) = Self::split(place);
        self.some.get_mut(some)?.get_mut(one)?.as_mut()
    }

    fn put(&mut self, held: Held<V>) -> Place {
        if let Some(place) = self.free.pop() {
            let (some, one) = Self::split(place);
            self.some[some][one] = Some(held);
            return place;
        }
        if self.some.last().is_none_or(|last| last.len() == PLACES_TOGETHER) {
            self.some.push(Vec::new());
        }
        let some = self.some.len() - 1;
        let n = some * PLACES_TOGETHER + self.some[some].len();
        self.some[some].push(Some(held));
        Place(u32::try_from(n).ok().filter(|n| *n != u32::MAX).expect("memory holds fewer documents than 2^32 - 1"))
    }

    fn take(&mut self, place: Place) -> Option<Slot<V>> {
        let (some, one) = Self::split(place);
        let (_, slot) = self.some.get_mut(some)?.get_mut(one)?.take()?;
        self.free.push(place);
        Some(slot)
    }
}

/// Slots in places that do not move: who remembers a place finds its slot without a search, and who goes through what
/// came together finds it lying together.
pub(crate) struct InPlaces<V: Weigh> {
    order: BTreeMap<IdKey, Place>,
    places: Places<V>,
}

impl<V: Weigh> Default for InPlaces<V> {
    fn default() -> Self {
        InPlaces { order: BTreeMap::new(), places: Places { some: Vec::new(), free: Vec::new() } }
    }
}

impl<V: Weigh> InPlaces<V> {
    fn place(&self, key: &IdKey, hint: Place) -> Option<Place> {
        match self.places.get(hint) {
            Some((held, _)) if held == key => Some(hint),
            _ => self.order.get(key).copied(),
        }
    }

    /// The ids in an interval of bytes. Where to stop may be found on the way: a map looks for both ends of a range first,
    /// and most ranges hold a handful.
    fn in_order(&self, start: &[u8], end: Option<&[u8]>) -> btree_map::Range<'_, IdKey, Place> {
        let bounds = id_bounds(start, end).map(|(lower, upper)| (lower.map(IdKey::from), upper.map(IdKey::from)));
        bounds.map_or_else(btree_map::Range::default, |bounds| self.order.range(bounds))
    }

    fn slots<'a>(
        &'a self,
        entries: impl Iterator<Item = (&'a IdKey, &'a Place)>,
    ) -> impl Iterator<Item = (&'a IdKey, &'a Slot<V>)> {
        entries.filter_map(|(key, place)| self.places.get(*place).map(|(_, slot)| (key, slot)))
    }
}

impl<V: Weigh> Slots<IdKey, V> for InPlaces<V> {
    fn find(&self, key: &IdKey, hint: Place) -> Option<(&Slot<V>, Place)> {
        let place = self.place(key, hint)?;
        self.places.get(place).map(|(_, slot)| (slot, place))
    }

    fn ask_for(&self, place: Place) {
        self.places.at(place).into_iter().for_each(near::ask_for);
    }

    fn find_mut(&mut self, key: &IdKey, hint: Place) -> Option<(&mut Slot<V>, Place)> {
        let place = self.place(key, hint)?;
        self.places.get_mut(place).map(|(_, slot)| (slot, place))
    }

    fn find_or_insert(&mut self, key: IdKey, make: impl FnOnce(&IdKey) -> Slot<V>) -> (&mut Slot<V>, Place) {
        let place = *self.order.entry(key).or_insert_with_key(|key| self.places.put((*key, make(key))));
        let (_, slot) = self.places.get_mut(place).expect("what the order names is there");
        (slot, place)
    }

    fn remove(&mut self, key: &IdKey) -> Option<Slot<V>> {
        let place = self.order.remove(key)?;
        self.places.take(place)
    }

    fn len(&self) -> usize {
        self.order.len()
    }

    fn from<'a>(&'a self, start: &[u8]) -> impl Iterator<Item = (&'a IdKey, &'a Slot<V>)>
    where
        V: 'a,
    {
        self.slots(self.in_order(start, None))
    }

    fn before<'a>(&'a self, end: Option<&[u8]>) -> impl Iterator<Item = (&'a IdKey, &'a Slot<V>)>
    where
        V: 'a,
    {
        self.slots(self.in_order(&[], end).rev())
    }
}

#[cfg(test)]
mod tests {
    use syncline_schema::{InternalId, Timestamp};

    use super::*;
    use crate::memory::{Entry, Known, Residency, Version, keyspace::Keyspace};

    fn id(n: u8) -> InternalId {
        InternalId([n; 16])
    }

    fn value(n: u8) -> Entry {
        Entry { id: id(n), place: Place::UNKNOWN }
    }

    fn found(space: &Keyspace<IdKey, Entry>, n: u8, hint: Place) -> Option<(InternalId, Place)> {
        match space.get(&id(n).into(), hint, Timestamp(9)) {
            Known::Present(entry, place) => Some((entry.id, place)),
            Known::Absent => None,
            Known::Unknown => panic!("memory knows everything here"),
        }
    }

    /// Whatever is believed of its place, a key leads to its own slot or to none.
    #[test]
    fn a_hint_never_leads_to_another_key() {
        let mut space: Keyspace<IdKey, Entry> = Keyspace::new(Residency::everywhere());
        let first = space.install(id(1).into(), value(1), Timestamp(1));
        let second = space.install(id(2).into(), value(2), Timestamp(1));
        assert_ne!(first, second);
        for hint in [first, second, Place::UNKNOWN, Place(7)] {
            assert_eq!(found(&space, 1, hint), Some((id(1), first)));
            assert_eq!(found(&space, 3, hint), None);
        }
        // The first was made by a commit that is undone, so its place is free for the next one.
        let made = space.push(
            &id(3).into(),
            first,
            Version { ts: Timestamp(5), value: Some(value(3)) },
            || None,
            Timestamp(1),
        );
        space.undo(&id(3).into(), Timestamp(4));
        assert_eq!(found(&space, 3, made), None);
        assert_eq!(space.install(id(4).into(), value(4), Timestamp(1)), made);
        assert_eq!(found(&space, 3, made), None);
        assert_eq!(found(&space, 4, second), Some((id(4), made)));
        let changed = Version { ts: Timestamp(6), value: Some(value(9)) };
        assert_eq!(space.push(&id(2).into(), made, changed, || None, Timestamp(1)), second);
        assert_eq!(found(&space, 2, first), Some((id(9), second)));
        assert_eq!(found(&space, 4, made), Some((id(4), made)), "nothing was written over it");
    }

    /// Versions that were replaced go with the writes behind them, some at a time, when no snapshot sees them; nobody has
    /// to write their keys again.
    #[test]
    fn what_was_replaced_goes_when_nobody_sees_it() {
        const N: u8 = 64;
        let mut space: Keyspace<IdKey, Entry> = Keyspace::new(Residency::everywhere());
        let write = |space: &mut Keyspace<IdKey, Entry>, n: u8, ts: u64, horizon: u64| {
            let version = Version { ts: Timestamp(ts), value: Some(value(n)) };
            space.push(&id(n).into(), Place::UNKNOWN, version, || None, Timestamp(horizon));
            space.bytes()
        };
        let at = |space: &Keyspace<IdKey, Entry>, ts: u64| {
            matches!(space.get(&id(1).into(), Place::UNKNOWN, Timestamp(ts)), Known::Present(..))
        };
        let empty = space.bytes();
        let one = write(&mut space, 0, 1, 0) - empty;
        let once_each = (1..N).map(|n| write(&mut space, n, 1, 0)).last().unwrap();
        assert_eq!(once_each - empty, one * usize::from(N));
        let twice_each = (0..N).map(|n| write(&mut space, n, 10, 1)).last().unwrap();
        assert!(twice_each > once_each + usize::from(N) && at(&space, 9), "a snapshot at 9 sees the first ones still");
        let bytes = (0..N).map(|n| write(&mut space, N + n, 20, 10)).last().unwrap();
        assert_eq!(bytes - empty, one * 2 * usize::from(N), "each key has one version");
        assert!(at(&space, 10) && !at(&space, 9) && !space.is_settled());
    }

    #[test]
    fn more_slots_than_lie_together() {
        let mut slots: InPlaces<Entry> = InPlaces::default();
        let key = |n: usize| IdKey::from(InternalId((n as u128 * 7).to_be_bytes()));
        let n = 2 * PLACES_TOGETHER + 10;
        for k in (0..n).rev() {
            slots.find_or_insert(key(k), |_| Slot::clean());
        }
        assert_eq!(slots.len(), n);
        assert!(slots.from(&[]).map(|(key, _)| *key).eq((0..n).map(key)), "in order");
        assert!(slots.before(None).map(|(key, _)| *key).eq((0..n).rev().map(key)), "and back");
        for k in (0..n).step_by(3) {
            assert!(slots.remove(&key(k)).is_some());
        }
        for k in 0..n {
            assert_eq!(slots.find(&key(k), Place::UNKNOWN).is_some(), k % 3 != 0);
        }
    }
}
