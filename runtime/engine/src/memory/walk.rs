//! Walking an interval of a keyspace at a snapshot, in either direction, as far as memory is complete.

use std::cmp::Ordering;
use std::ops::ControlFlow;

use syncline_functions::tx::Order;
use syncline_schema::Timestamp;

use super::beneath::Beneath;
use super::keyspace::{Keyspace, Slot, SpaceKey, Version, Weigh};
use crate::key::Probe;
use crate::storage::BaseRow;

/// Where a walk ended.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Walk {
    /// At the end of the interval.
    Ended,
    /// The visitor had enough.
    Stopped,
    /// Memory is not complete in this interval: the rest of the walk.
    Gap(Gap),
}

/// An interval that the base must be asked for. The end is open when `None`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Gap {
    pub start: Vec<u8>,
    pub end: Option<Vec<u8>>,
}

/// What a walk comes to.
#[derive(Debug)]
pub(crate) enum Seen<'a, K, V> {
    /// In memory.
    Memory(&'a K, &'a V),
    /// Beneath it.
    Base(&'a BaseRow),
}

impl<K: SpaceKey, V: Weigh> Keyspace<K, V> {
    /// Calls `visit` for what a snapshot sees in an interval, in order.
    pub fn walk<'a>(
        &'a self,
        (start, end): (&[u8], Option<&[u8]>),
        order: Order,
        snapshot: Timestamp,
        beneath: Option<&'a Beneath>,
        mut visit: impl FnMut(Seen<'a, K, V>) -> ControlFlow<()>,
    ) -> Walk {
        let mut walk = self.walk_memory((start, end), order, snapshot, &mut visit);
        // At most one gap for each time that memory is complete, and then not: every turn comes nearer to the end.
        while let Walk::Gap(gap) = walk {
            let Some(part) = beneath.and_then(|beneath| beneath.part_of(&gap, order).zip(Some(beneath))) else {
                return Walk::Gap(gap);
            };
            let (part, beneath) = (&*part.0, part.1);
            if self.walk_merged(part, beneath, order, snapshot, &mut visit).is_break() {
                return Walk::Stopped;
            }
            let reached_end = match order {
                Order::Asc => part.end == gap.end,
                Order::Desc => part.start == gap.start,
            };
            if reached_end {
                return Walk::Ended;
            }
            let rest = match order {
                Order::Asc => (part.end.as_deref().unwrap_or_default(), gap.end.as_deref()),
                Order::Desc => (&gap.start[..], Some(&part.start[..])),
            };
            walk = self.walk_memory(rest, order, snapshot, &mut visit);
        }
        walk
    }

    /// The same as far as memory is complete.
    fn walk_memory<'a>(
        &'a self,
        (start, end): (&[u8], Option<&[u8]>),
        order: Order,
        snapshot: Timestamp,
        visit: &mut impl FnMut(Seen<'a, K, V>) -> ControlFlow<()>,
    ) -> Walk {
        if end.is_some_and(|end| end <= start) {
            return Walk::Ended;
        }
        // Intervals of residency do not touch, so what follows one is a gap.
        let (from, to) = match order {
            Order::Asc => match self.resident().reach(start) {
                None => (None, None),
                Some(reached) => (Some(start), lesser(reached, end)),
            },
            Order::Desc => match self.resident().reach_back(end) {
                None => (None, None),
                Some(reached) => (Some(reached.max(start)), end),
            },
        };
        let Some(from) = from else {
            return Walk::Gap(Gap { start: start.to_vec(), end: end.map(<[u8]>::to_vec) });
        };
        let mut visit = |key: &'a K, slot: &'a Slot<V>| match slot.value_at(snapshot) {
            Some(value) => visit(Seen::Memory(key, value)),
            None => ControlFlow::Continue(()),
        };
        let stopped = match order {
            Order::Asc => self.slots_in(from, to).try_for_each(|(key, slot)| visit(key, slot)),
            Order::Desc => self.slots_back(from, to).try_for_each(|(key, slot)| visit(key, slot)),
        };
        if stopped.is_break() {
            return Walk::Stopped;
        }
        match order {
            Order::Asc if to == end => Walk::Ended,
            Order::Asc => Walk::Gap(Gap { start: to.unwrap_or_default().to_vec(), end: end.map(<[u8]>::to_vec) }),
            Order::Desc if from == start => Walk::Ended,
            Order::Desc => Walk::Gap(Gap { start: start.to_vec(), end: Some(from.to_vec()) }),
        }
    }

    /// The slots in an interval, in order.
    fn slots_in<'a>(&'a self, from: &[u8], to: Option<&[u8]>) -> impl Iterator<Item = (&'a K, &'a Slot<V>)> {
        let to = to.map(Probe::new);
        self.slots_from(from).take_while(move |(key, _)| to.is_none_or(|to| key.is_before(&to)))
    }

    /// The slots in an interval, last first.
    fn slots_back<'a>(&'a self, from: &[u8], to: Option<&[u8]>) -> impl Iterator<Item = (&'a K, &'a Slot<V>)> {
        let from = Probe::new(from);
        self.slots_before(to).take_while(move |(key, _)| !key.is_before(&from))
    }

    /// What a snapshot sees where all rows of the base are at hand: memory's versions, and those rows where it has none.
    fn walk_merged<'a>(
        &'a self,
        interval: &Gap,
        beneath: &'a Beneath,
        order: Order,
        snapshot: Timestamp,
        visit: &mut impl FnMut(Seen<'a, K, V>) -> ControlFlow<()>,
    ) -> ControlFlow<()> {
        let (Gap { start, end }, mut rows) = (interval, beneath.rows_in(interval).iter());
        match order {
            Order::Asc if self.is_settled() => rows.try_for_each(|row| visit(Seen::Base(row))),
            Order::Desc if self.is_settled() => rows.rev().try_for_each(|row| visit(Seen::Base(row))),
            Order::Asc => {
                let slots = self.slots_in(start, end.as_deref());
                merge(slots, rows, |key, row| beneath.compare(key, row), snapshot, visit)
            }
            Order::Desc => {
                let slots = self.slots_back(start, end.as_deref());
                merge(slots, rows.rev(), |key, row| beneath.compare(key, row).reverse(), snapshot, visit)
            }
        }
    }
}

fn merge<'a, K: SpaceKey + 'a, V: Weigh + 'a>(
    slots: impl Iterator<Item = (&'a K, &'a Slot<V>)>,
    rows: impl Iterator<Item = &'a BaseRow>,
    compare: impl Fn(&[u8], &BaseRow) -> Ordering,
    snapshot: Timestamp,
    visit: &mut impl FnMut(Seen<'a, K, V>) -> ControlFlow<()>,
) -> ControlFlow<()> {
    let mut rows = rows.peekable();
    for (key, slot) in slots {
        while let Some(row) = rows.next_if(|row| compare(key.bytes().as_ref(), row).is_gt()) {
            visit(Seen::Base(row))?;
        }
        let row = rows.next_if(|row| compare(key.bytes().as_ref(), row).is_eq());
        match (slot.at(snapshot), row) {
            (Some(Version { value: Some(value), .. }), _) => visit(Seen::Memory(key, value))?,
            // All that memory has is newer than the snapshot: what the base has is what it was before.
            (None, Some(row)) => visit(Seen::Base(row))?,
            (Some(Version { value: None, .. }), _) | (None, None) => {}
        }
    }
    rows.try_for_each(|row| visit(Seen::Base(row)))
}

/// The lesser of two ends, of which `None` is the greatest.
fn lesser<'a>(a: Option<&'a [u8]>, b: Option<&'a [u8]>) -> Option<&'a [u8]> {
    match (a, b) {
        (None, end) | (end, None) => end,
        (Some(a), Some(b)) => Some(a.min(b)),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use syncline_schema::InternalId;

    use super::*;
    use crate::key::Key;
    use crate::memory::{Entry, Place, Residency, Version};

    type Space = Keyspace<Key, Entry>;

    fn entry(n: u8) -> Entry {
        Entry { id: InternalId([n; 16]), place: Place::UNKNOWN }
    }

    fn key(n: u8) -> Key {
        Key::new(Arc::from([n]))
    }

    fn seen(space: &Space, from: u8, to: Option<u8>, order: Order, snapshot: u64, limit: usize) -> (Vec<u8>, Walk) {
        let mut keys = Vec::new();
        let end = to.map(|to| [to]);
        let interval = (&[from][..], end.as_ref().map(|end| &end[..]));
        let walk = space.walk(interval, order, Timestamp(snapshot), None, |seen| {
            let Seen::Memory(key, _) = seen else { panic!("nothing is beneath memory: {seen:?}") };
            keys.push(SpaceKey::bytes(key)[0]);
            if keys.len() == limit { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        });
        (keys, walk)
    }

    fn gap(start: u8, end: Option<u8>) -> Walk {
        Walk::Gap(Gap { start: vec![start], end: end.map(|end| vec![end]) })
    }

    #[test]
    fn a_walk_goes_as_far_as_memory_is_complete() {
        let mut space = Space::new(Residency::default());
        for n in [11, 13, 15] {
            space.install(key(n), entry(n), Timestamp(1));
        }
        space.set_resident(&[10], Some(&[20]));
        assert_eq!(seen(&space, 10, Some(20), Order::Asc, 1, 9), (vec![11, 13, 15], Walk::Ended));
        assert_eq!(seen(&space, 12, Some(30), Order::Asc, 1, 9), (vec![13, 15], gap(20, Some(30))));
        assert_eq!(seen(&space, 12, None, Order::Asc, 1, 1), (vec![13], Walk::Stopped));
        assert_eq!(seen(&space, 9, Some(12), Order::Asc, 1, 9), (vec![], gap(9, Some(12))));
        assert_eq!(seen(&space, 10, Some(20), Order::Desc, 1, 9), (vec![15, 13, 11], Walk::Ended));
        assert_eq!(seen(&space, 5, Some(14), Order::Desc, 1, 9), (vec![13, 11], gap(5, Some(10))));
        assert_eq!(seen(&space, 5, None, Order::Desc, 1, 9), (vec![], gap(5, None)));
        assert_eq!(seen(&space, 14, Some(14), Order::Asc, 1, 9), (vec![], Walk::Ended));
    }

    #[test]
    fn a_walk_sees_its_snapshot() {
        let mut space = Space::new(Residency::everywhere());
        let at = |ts, present: bool| Version { ts: Timestamp(ts), value: present.then(|| entry(1)) };
        space.push(&key(1), Place::UNKNOWN, at(10, true), || None, Timestamp(5));
        space.push(&key(1), Place::UNKNOWN, at(20, false), || None, Timestamp(5));
        space.push(&key(2), Place::UNKNOWN, at(20, true), || None, Timestamp(5));
        assert!(seen(&space, 0, None, Order::Asc, 9, 9).0.is_empty());
        assert_eq!(seen(&space, 0, None, Order::Asc, 19, 9).0, [1]);
        assert_eq!(seen(&space, 0, None, Order::Asc, 20, 9).0, [2]);
        space.undo(&key(1), Timestamp(15));
        space.undo(&key(2), Timestamp(15));
        assert_eq!(seen(&space, 0, None, Order::Desc, 20, 9).0, [1]);
    }
}
