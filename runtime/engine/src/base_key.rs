//! Keys of index entries as the base has them: the document's id at their end is its sixteen bytes, not its text.
//!
//! ```text
//! key in memory  = keys of the fields, key of the creation time, key of the id's text
//! key in the base = keys of the fields, key of the creation time, id
//! ```
//!
//! Both sort alike. Two keys of an index that differ before the id differ in a byte that both have there, because no
//! key of a value begins with another one unless `ff` follows (`schema`'s `index.rs`); and ids sort as their texts do.

use std::cmp::Ordering;

use syncline_schema::{DocumentId, InternalId, TableNumber, by_id_key, value_key_len, write_id_key};

use crate::commit::IndexId;
use crate::storage::BaseKey;

const ID_BYTES: usize = 16;

/// What the base has for a key of an index. `None` when it does not end with the id of a document of the table.
pub(crate) fn to_base(table: TableNumber, key: &[u8]) -> Option<BaseKey> {
    let (head, end) = key.split_at_checked(key.len().checked_sub(id_key_len(table))?)?;
    let id: [u8; ID_BYTES] = exact_id(table, end)?.try_into().ok()?;
    Some(BaseKey::new(head, InternalId(id)))
}

/// How a key in memory, or a bound of some, compares with one of the same index that the base has.
pub(crate) fn compare(index: IndexId, key: &[u8], in_base: &BaseKey) -> Ordering {
    let head = in_base.head();
    let (begin, end) = key.split_at(head.len().min(key.len()));
    // Nearly always the heads decide, and the id's text is not needed.
    begin.cmp(head).then_with(|| {
        let mut id = Vec::with_capacity(64);
        write_id(index, in_base.id(), &mut id);
        end.cmp(&id)
    })
}

/// The key in memory for which the base has another one.
pub(crate) fn from_base(index: IndexId, key: &BaseKey) -> Vec<u8> {
    let mut whole = Vec::with_capacity(key.len() + longer_by(index));
    whole.extend_from_slice(key.head());
    write_id(index, key.id(), &mut whole);
    whole
}

/// How much longer a key is in memory than in the base.
pub(crate) fn longer_by(index: IndexId) -> usize {
    match index.index {
        IndexId::BY_ID => 0,
        _ => id_key_len(index.table) - ID_BYTES,
    }
}

fn id_key_len(table: TableNumber) -> usize {
    DocumentId { table, internal: InternalId([0; ID_BYTES]) }.text().len() + 2
}

/// The end of a key. Those of `by_id` are the ids, in memory as in the base.
fn write_id(index: IndexId, id: InternalId, out: &mut Vec<u8>) {
    match index.index {
        IndexId::BY_ID => out.extend_from_slice(&id.0),
        _ => write_id_key(&DocumentId { table: index.table, internal: id }, out),
    }
}

/// The bound in the base for a bound of keys in an index with so many fields: what is not below one is not below the
/// other. A bound need not be a key, and may end anywhere in one.
pub(crate) fn bound(table: TableNumber, n_fields: usize, bound: &[u8]) -> Vec<u8> {
    let value_end = |at: usize| Some(at + value_key_len(&bound[at..])?);
    // The creation time is one more.
    let head_len = (0..=n_fields).try_fold(0, |at, _| value_end(at));
    let Some(head_len) = head_len.filter(|len| *len < bound.len()) else {
        // It ends before the id: there, keys are the same.
        return bound.to_vec();
    };
    let (head, rest) = bound.split_at(head_len);
    // Behind all ids: no key goes on when sixteen bytes have been equal.
    let id = id_bound(table, rest).unwrap_or_else(|| vec![0xff; ID_BYTES + 1]);
    [head, &id].concat()
}

/// The least bytes of an id whose key in `by_id` is not below `key`; `None` when all are below.
///
/// Ids sort as their texts do, so a key that is no id's is found by bisection.
pub(crate) fn id_bound(table: TableNumber, key: &[u8]) -> Option<Vec<u8>> {
    let key_of = |n: u128| by_id_key(&DocumentId { table, internal: InternalId(n.to_be_bytes()) });
    if let Some(exact) = exact_id(table, key) {
        return Some(exact);
    }
    if *key_of(u128::MAX) < *key {
        return None;
    }
    let (mut low, mut high) = (0, u128::MAX);
    while low < high {
        let middle = low + (high - low) / 2;
        if *key_of(middle) < *key {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    Some(low.to_be_bytes().to_vec())
}

/// The bound when `key` is the key of an id, or begins with one.
fn exact_id(table: TableNumber, key: &[u8]) -> Option<Vec<u8>> {
    let text_end = 1 + key.get(1..)?.iter().position(|byte| *byte == 0)?;
    let id = DocumentId::parse(str::from_utf8(&key[1..text_end]).ok()?).ok()?;
    if id.table != table || !key.starts_with(&by_id_key(&id)) {
        return None;
    }
    let mut bytes = id.internal.0.to_vec();
    if key.len() > text_end + 1 {
        // What follows the id.
        bytes.push(0);
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;
    use syncline_schema::{Value, by_creation_time_key, write_key};

    use super::*;

    const TABLE: TableNumber = TableNumber(10_001);
    const INDEX: IndexId = IndexId { table: TABLE, index: 2 };

    #[test]
    fn bounds_of_by_id_become_ids() {
        for n in [0, 1, 77, 1 << 100, u128::MAX] {
            let internal = InternalId(n.to_be_bytes());
            let key = by_id_key(&DocumentId { table: TABLE, internal });
            assert_eq!(id_bound(TABLE, &key), Some(internal.0.to_vec()), "the id itself");
            assert_eq!(
                id_bound(TABLE, &[&key[..], &[0]].concat()),
                Some([&internal.0[..], &[0]].concat()),
                "behind it"
            );
            let cut = &key[..20];
            let bound = id_bound(TABLE, cut).unwrap();
            let bound_key =
                by_id_key(&DocumentId { table: TABLE, internal: InternalId(bound.clone().try_into().unwrap()) });
            assert!(*bound_key >= *cut && bound_key.starts_with(cut), "the first id that begins so");
        }
        assert_eq!(id_bound(TABLE, &[]), Some(vec![0; 16]));
        assert_eq!(id_bound(TABLE, &[0x10, b'z']), None, "all ids of the table are below");
    }

    /// A field, from few values: so that keys are often equal in part. The text of an id is one of them.
    fn field() -> impl Strategy<Value = Option<Value>> {
        let parent = id(3).text().to_string();
        let values = [
            None,
            Some(Value::Null),
            Some(Value::Float64(1.0)),
            Some(Value::String(String::new())),
            Some(Value::String("a".into())),
            Some(Value::String("a\0".into())),
            Some(Value::String(parent)),
            Some(Value::Array(vec![Value::String("a".into()), Value::Float64(1.0)])),
            Some(Value::Array(vec![])),
        ];
        proptest::sample::select(values.to_vec())
    }

    fn id(n: u128) -> DocumentId {
        DocumentId { table: TABLE, internal: InternalId(n.to_be_bytes()) }
    }

    fn key() -> impl Strategy<Value = Vec<u8>> {
        let id_number = prop_oneof![0..5_u128, Just(u128::MAX), any::<u128>()];
        ([field(), field()], 0..3_u8, id_number).prop_map(|(fields, created, id_number)| {
            let mut key = Vec::new();
            fields.iter().for_each(|field| write_key(field.as_ref(), &mut key));
            key.extend(by_creation_time_key(f64::from(created), &id(id_number)));
            key
        })
    }

    /// A key that ends early, or goes on.
    fn cut() -> impl Strategy<Value = Vec<u8>> {
        let more = proptest::sample::select(vec![vec![], vec![0], vec![0xff], vec![0, 0xff], vec![b'z']]);
        (key(), any::<proptest::sample::Index>(), any::<bool>(), more).prop_map(|(mut key, at, whole, more)| {
            if !whole {
                key.truncate(at.index(key.len() + 1));
            }
            key.extend(more);
            key
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2_000))]

        #[test]
        fn the_base_has_keys_in_their_order_and_gives_them_back(keys in vec(key(), 2..8)) {
            let in_base: Vec<_> = keys.iter().map(|key| to_base(TABLE, key).unwrap()).collect();
            for (a, base_a) in keys.iter().zip(&in_base) {
                prop_assert_eq!(&from_base(INDEX, base_a), a);
                for (b, base_b) in keys.iter().zip(&in_base) {
                    prop_assert_eq!(a.cmp(b), base_a.cmp(base_b));
                    prop_assert_eq!(compare(INDEX, a, base_b), a.cmp(b));
                }
                prop_assert_eq!(a.len(), base_a.len() + longer_by(INDEX));
            }
        }

        #[test]
        fn a_bound_parts_the_same_keys_in_the_base(keys in vec(key(), 1..8), cut in cut()) {
            let in_base = bound(TABLE, 2, &cut);
            for key in keys {
                let below = key < cut;
                let key_in_base = to_base(TABLE, &key).unwrap();
                prop_assert_eq!(key_in_base[..] < in_base[..], below, "{:x?} and {:x?}", key, cut);
                prop_assert_eq!(compare(INDEX, &cut, &key_in_base), cut.cmp(&key));
            }
        }
    }
}
