//! From what a scan asks for to an interval of keys. Pure.

use syncline_functions::tx::{DbError, Order, Scan};
use syncline_schema::{DocumentId, FieldPath, InternalId, KeyRange, RangeOp, by_id_key, compile_range, write_key};

use crate::commit::IndexId;

/// The keys that a scan asks for; those of `by_id` are ids. `None` when no key can be among them.
pub(super) fn interval(scan: &Scan<'_>, index: IndexId, fields: &[FieldPath]) -> Result<Option<KeyRange>, DbError> {
    let mut range = match equalities(scan, fields) {
        Some(range) => range,
        None => compile_range(scan.table, scan.index, fields, scan.range)
            .map_err(|error| DbError::refused(error.code(), error.to_string()))?,
    };
    match scan.order {
        Order::Asc => {
            raise_start(&mut range, scan.after.map(next));
            lower_end(&mut range, scan.until.map(next));
        }
        Order::Desc => {
            lower_end(&mut range, scan.after.map(<[u8]>::to_vec));
            raise_start(&mut range, scan.until.map(<[u8]>::to_vec));
        }
    }
    if index.index == IndexId::BY_ID {
        let Some(start) = id_bound(index, &range.start) else { return Ok(None) };
        range = KeyRange { start, end: range.end.and_then(|end| id_bound(index, &end)) };
    }
    Ok((!range.is_empty()).then_some(range))
}

/// The common case, without the copies that good messages need: equalities with the first fields, in their order.
fn equalities(scan: &Scan<'_>, fields: &[FieldPath]) -> Option<KeyRange> {
    if scan.range.is_empty() {
        return Some(KeyRange::all());
    }
    let mut start = Vec::with_capacity(64);
    if scan.range.len() > fields.len() {
        return None;
    }
    for (part, field) in scan.range.iter().zip(fields) {
        if part.op != RangeOp::Eq || part.field != *field {
            return None;
        }
        write_key(part.value.as_ref(), &mut start);
    }
    // No key continues with this byte: see `schema`'s `index.rs`.
    let end = [&start[..], &[0xff]].concat();
    Some(KeyRange { start, end: Some(end) })
}

/// The first key behind a key.
fn next(key: &[u8]) -> Vec<u8> {
    [key, &[0]].concat()
}

fn raise_start(range: &mut KeyRange, start: Option<Vec<u8>>) {
    if let Some(start) = start
        && start > range.start
    {
        range.start = start;
    }
}

fn lower_end(range: &mut KeyRange, end: Option<Vec<u8>>) {
    if let Some(end) = end
        && range.end.as_ref().is_none_or(|old| end < *old)
    {
        range.end = Some(end);
    }
}

/// The least bytes of an id whose key in `by_id` is not below `key`; `None` when all are.
///
/// Ids sort as their texts do, so a key that is no id's is found by bisection.
fn id_bound(index: IndexId, key: &[u8]) -> Option<Vec<u8>> {
    let key_of = |n: u128| by_id_key(&DocumentId { table: index.table, internal: InternalId(n.to_be_bytes()) });
    if let Some(exact) = exact_id(index, key) {
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
fn exact_id(index: IndexId, key: &[u8]) -> Option<Vec<u8>> {
    let text_end = 1 + key.get(1..)?.iter().position(|byte| *byte == 0)?;
    let id = DocumentId::parse(str::from_utf8(&key[1..text_end]).ok()?).ok()?;
    if id.table != index.table || !key.starts_with(&by_id_key(&id)) {
        return None;
    }
    let bytes = id.internal.0.to_vec();
    Some(if key.len() == text_end + 1 { bytes } else { next(&bytes) })
}

/// The part of an interval that a step has read: up to the last row, or all of it.
pub(super) fn read_up_to(interval: KeyRange, order: Order, last: Option<&[u8]>, done: bool) -> KeyRange {
    let mut read = interval;
    if let Some(last) = last.filter(|_| !done) {
        match order {
            Order::Asc => read.end = Some(next(last)),
            Order::Desc => read.start = last.to_vec(),
        }
    }
    read
}

#[cfg(test)]
mod tests {
    use super::*;
    use syncline_schema::{RangePart, TableNumber, Value};

    const BY_ID: IndexId = IndexId { table: TableNumber(10_001), index: IndexId::BY_ID };

    #[test]
    fn bounds_of_by_id_become_ids() {
        for n in [0, 1, 77, 1 << 100, u128::MAX] {
            let internal = InternalId(n.to_be_bytes());
            let key = by_id_key(&DocumentId { table: BY_ID.table, internal });
            assert_eq!(id_bound(BY_ID, &key), Some(internal.0.to_vec()), "the id itself");
            assert_eq!(id_bound(BY_ID, &next(&key)), Some(next(&internal.0)), "what follows it");
            let cut = &key[..20];
            let bound = id_bound(BY_ID, cut).unwrap();
            let bound_key =
                by_id_key(&DocumentId { table: BY_ID.table, internal: InternalId(bound.clone().try_into().unwrap()) });
            assert!(*bound_key >= *cut && bound_key.starts_with(cut), "the first id that begins so");
        }
        assert_eq!(id_bound(BY_ID, &[]), Some(vec![0; 16]));
        assert_eq!(id_bound(BY_ID, &[0x10, b'z']), None, "all ids of the table are below");
    }

    #[test]
    fn equalities_compile_as_the_general_case_does() {
        let fields = [FieldPath::parse("a").unwrap(), FieldPath::parse("b.c").unwrap()];
        let part = |field: &FieldPath, value| RangePart { op: RangeOp::Eq, field: field.clone(), value };
        let values = [None, Some(Value::Float64(1.0)), Some(Value::String("x\0".into()))];
        for value in &values {
            for parts in [
                vec![],
                vec![part(&fields[0], value.clone())],
                vec![part(&fields[0], value.clone()), part(&fields[1], value.clone())],
            ] {
                let scan = Scan {
                    table: "t",
                    index: "i",
                    range: &parts,
                    order: Order::Asc,
                    after: None,
                    until: None,
                    limit: 1,
                    keys: false,
                };
                assert_eq!(equalities(&scan, &fields), Some(compile_range("t", "i", &fields, &parts).unwrap()));
            }
        }
    }
}
