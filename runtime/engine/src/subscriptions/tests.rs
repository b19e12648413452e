//! What a commit affects, and what it does not.

use std::sync::Arc;

use proptest::prelude::*;
use syncline_schema::{InternalId, KeyRange, TableNumber, Timestamp};

use super::*;
use crate::commit::{DocumentKeys, RequestKey};
use crate::reads::Reads;

const TABLE: TableNumber = TableNumber(10_001);
const INDEX: IndexId = IndexId { table: TABLE, index: 2 };

fn id(n: u8) -> DocumentId {
    DocumentId { table: TABLE, internal: InternalId([n; 16]) }
}

fn keys(key: u8) -> DocumentKeys {
    Arc::from([(1, Arc::from([0])), (2, Arc::from([key]))])
}

fn commit(changes: Vec<Change>) -> Commit {
    Commit { ts: Timestamp(1), changes: changes.into() }
}

fn range(from: u8, to: Option<u8>) -> KeyRange {
    KeyRange { start: [from][..].into(), end: to.map(|to| [to][..].into()) }
}

fn read_set(documents: &[u8], ranges: &[(u8, Option<u8>)]) -> ReadSet {
    let mut reads = Reads::default();
    documents.iter().for_each(|n| reads.document_got(id(*n)));
    ranges.iter().for_each(|(from, to)| reads.range(INDEX, range(*from, *to)));
    ReadSet::new(reads)
}

/// spec: D89
#[test]
fn those_who_read_what_changed_are_affected_and_nobody_else() {
    let mut subscriptions = Subscriptions::default();
    subscriptions.register("document 1", &read_set(&[1], &[]));
    subscriptions.register("keys 5 to 9", &read_set(&[], &[(5, Some(9))]));
    subscriptions.register("keys from 8", &read_set(&[2], &[(8, None)]));
    subscriptions.register("nothing", &ReadSet::default());
    let changed = |n, old: Option<u8>, new: Option<u8>| {
        let change = Change::Document { id: id(n), old: old.map(keys), new: new.map(keys) };
        subscriptions.affected(&commit(vec![change]))
    };
    assert_eq!(changed(1, Some(1), Some(1)), ["document 1"]);
    assert_eq!(changed(3, None, Some(5)), ["keys 5 to 9"], "inserted");
    assert_eq!(changed(3, Some(8), None), ["keys 5 to 9", "keys from 8"], "deleted");
    assert_eq!(changed(3, Some(6), Some(4)), ["keys 5 to 9"], "left");
    assert_eq!(changed(2, Some(100), Some(100)), ["keys from 8"], "once, though found twice");
    assert!(changed(3, Some(4), Some(9)).contains(&"keys from 8"));
    assert!(changed(3, Some(4), Some(3)).is_empty());
    let request = Change::Request(RequestKey { session: [0; 16], request: 0 });
    let other = Change::System { index: IndexId::TABLE_NAMES, key: [5].into() };
    assert!(subscriptions.affected(&commit(vec![request, other])).is_empty());
}

#[test]
fn registering_again_takes_the_place_of_what_was_registered() {
    let mut subscriptions = Subscriptions::default();
    subscriptions.register(1, &read_set(&[1], &[(1, Some(5))]));
    subscriptions.register(1, &read_set(&[2], &[(7, Some(9))]));
    assert_eq!(subscriptions.len(), 1);
    let insert = |key| commit(vec![Change::Document { id: id(9), old: None, new: Some(keys(key)) }]);
    assert!(subscriptions.affected(&insert(3)).is_empty());
    assert_eq!(subscriptions.affected(&insert(8)), [1]);
    subscriptions.remove(&1);
    subscriptions.remove(&1);
    assert!(subscriptions.is_empty() && subscriptions.affected(&insert(8)).is_empty());
}

/// A step of a random history: (who, from, length) registers, `None` removes.
type Step = (u8, Option<(u8, u8)>);

proptest! {
    #[test]
    fn it_finds_what_a_list_finds(steps in prop::collection::vec((0u8..20, prop::option::of((0u8..60, 0u8..30))), 1..120)) {
        let mut subscriptions = Subscriptions::default();
        let mut model: std::collections::BTreeMap<u8, (u8, Option<u8>)> = std::collections::BTreeMap::new();
        let steps: Vec<Step> = steps;
        for (who, interval) in steps {
            match interval {
                None => {
                    subscriptions.remove(&who);
                    model.remove(&who);
                }
                Some((from, length)) => {
                    // Long ones are open.
                    let to = (length < 28).then_some(from + length);
                    subscriptions.register(who, &read_set(&[], &[(from, to)]));
                    model.insert(who, (from, to));
                }
            }
            for key in 0..100u8 {
                let change = Change::Document { id: id(1), old: None, new: Some(keys(key)) };
                let mut found = subscriptions.affected(&commit(vec![change]));
                found.sort_unstable();
                let contains = |(from, to): &(u8, Option<u8>)| *from <= key && to.is_none_or(|to| key < to);
                let expected: Vec<u8> = model.iter().filter(|(_, interval)| contains(interval)).map(|(who, _)| *who).collect();
                prop_assert_eq!(found, expected);
            }
        }
    }
}
