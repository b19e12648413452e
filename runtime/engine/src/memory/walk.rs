//! Walking an interval of a keyspace at a snapshot, in either direction, as far as memory is complete.

use std::ops::ControlFlow;

use syncline_functions::tx::Order;
use syncline_schema::Timestamp;

use super::keyspace::{Keyspace, Slot, SpaceKey, Weigh};

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

impl<K: SpaceKey, V: Weigh> Keyspace<K, V> {
    /// Calls `visit` for what a snapshot sees in an interval, in order.
    pub fn walk(
        &self,
        (start, end): (&[u8], Option<&[u8]>),
        order: Order,
        snapshot: Timestamp,
        mut visit: impl FnMut(&K, &V) -> ControlFlow<()>,
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
        let mut visit = |key: &K, slot: &Slot<V>| match slot.value_at(snapshot) {
            Some(value) => visit(key, value),
            None => ControlFlow::Continue(()),
        };
        let stopped = match order {
            Order::Asc => self
                .slots_from(from)
                .take_while(|(key, _)| to.is_none_or(|to| key.bytes().as_ref() < to))
                .try_for_each(|(key, slot)| visit(key, slot)),
            Order::Desc => self
                .slots_before(to)
                .rev()
                .take_while(|(key, _)| key.bytes().as_ref() >= from)
                .try_for_each(|(key, slot)| visit(key, slot)),
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
    use crate::memory::{Residency, Version};

    type Space = Keyspace<Key, InternalId>;

    fn key(n: u8) -> Key {
        Key::new(Arc::from([n]))
    }

    fn seen(space: &Space, from: u8, to: Option<u8>, order: Order, snapshot: u64, limit: usize) -> (Vec<u8>, Walk) {
        let mut keys = Vec::new();
        let end = to.map(|to| [to]);
        let interval = (&[from][..], end.as_ref().map(|end| &end[..]));
        let walk = space.walk(interval, order, Timestamp(snapshot), |key, _| {
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
            space.install(key(n), InternalId([n; 16]), Timestamp(1));
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
        let at = |ts, present: bool| Version { ts: Timestamp(ts), value: present.then_some(InternalId([1; 16])) };
        space.push(&key(1), at(10, true), || None, Timestamp(5));
        space.push(&key(1), at(20, false), || None, Timestamp(5));
        space.push(&key(2), at(20, true), || None, Timestamp(5));
        assert!(seen(&space, 0, None, Order::Asc, 9, 9).0.is_empty());
        assert_eq!(seen(&space, 0, None, Order::Asc, 19, 9).0, [1]);
        assert_eq!(seen(&space, 0, None, Order::Asc, 20, 9).0, [2]);
        space.undo(&key(1), Timestamp(15));
        space.undo(&key(2), Timestamp(15));
        assert_eq!(seen(&space, 0, None, Order::Desc, 20, 9).0, [1]);
    }
}
