//! From what a scan asks for to an interval of keys. Pure.

use syncline_functions::tx::{DbError, Order, Scan};
use syncline_schema::{FieldPath, KeyBytes, KeyRange, RangeOp, compile_range, first_behind, write_key};

use crate::base_key::id_bound;
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
            raise_start(&mut range, scan.after.map(first_behind));
            lower_end(&mut range, scan.until.map(first_behind));
        }
        Order::Desc => {
            lower_end(&mut range, scan.after.map(KeyBytes::from_slice));
            raise_start(&mut range, scan.until.map(KeyBytes::from_slice));
        }
    }
    if index.index == IndexId::BY_ID {
        let bound = |key: &[u8]| id_bound(index.table, key).map(KeyBytes::from_vec);
        let Some(start) = bound(&range.start) else { return Ok(None) };
        range = KeyRange { start, end: range.end.and_then(|end| bound(&end)) };
    }
    Ok((!range.is_empty()).then_some(range))
}

/// The common case, without the copies that good messages need: equalities with the first fields, in their order.
fn equalities(scan: &Scan<'_>, fields: &[FieldPath]) -> Option<KeyRange> {
    if scan.range.is_empty() {
        return Some(KeyRange::all());
    }
    let mut start = KeyBytes::new();
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
    let mut end = start.clone();
    end.push(0xff);
    Some(KeyRange { start, end: Some(end) })
}

fn raise_start(range: &mut KeyRange, start: Option<KeyBytes>) {
    if let Some(start) = start
        && start > range.start
    {
        range.start = start;
    }
}

fn lower_end(range: &mut KeyRange, end: Option<KeyBytes>) {
    if let Some(end) = end
        && range.end.as_ref().is_none_or(|old| end < *old)
    {
        range.end = Some(end);
    }
}

/// The part of an interval that a step has read: up to the last row, or all of it.
pub(super) fn read_up_to(interval: KeyRange, order: Order, last: Option<&[u8]>, done: bool) -> KeyRange {
    let mut read = interval;
    if let Some(last) = last.filter(|_| !done) {
        match order {
            Order::Asc => read.end = Some(first_behind(last)),
            Order::Desc => read.start = last.into(),
        }
    }
    read
}

#[cfg(test)]
mod tests {
    use super::*;
    use syncline_schema::{RangePart, Value};

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
