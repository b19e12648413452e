//! What holds for all values, ids, validators and ranges.

use std::collections::BTreeMap;

use proptest::collection::{btree_map, vec};
use proptest::prelude::*;
use syncline_schema::{
    DocumentId, FieldPath, FieldValidator, IndexDefinition, InternalId, KeyRange, Object, RangeOp, RangePart, RangeSet,
    TableNumber, Validator, Value, by_creation_time_key, by_id_key, compile_range, decode_value, document_keys,
    normalize_id, object_at, object_to_json, write_key,
};

fn float() -> impl Strategy<Value = f64> {
    prop_oneof![
        any::<u64>().prop_map(f64::from_bits),
        prop::sample::select(vec![0.0, -0.0, 1.0, -1.0, 0.1, 1e21, 5e-324, f64::MAX, f64::INFINITY, f64::NEG_INFINITY]),
        prop::sample::select(vec![f64::NAN, -f64::NAN, f64::from_bits(0x7ff0_0000_0000_0001)]),
        (-1000i32..1000).prop_map(f64::from),
        (-2_000_000_000_000_000i64..2_000_000_000_000_000).prop_map(|whole| whole as f64),
        (-60_000i64..60_000).prop_map(|eighths| eighths as f64 / 8.0),
    ]
}

/// Few characters, so that texts share beginnings; zero bytes, which keys escape; and those that JSON escapes.
fn text() -> impl Strategy<Value = String> {
    vec(prop::sample::select(vec!['\0', '\u{1}', 'a', 'b', '"', '\\', '\n', 'é', '\u{ff5e}', '🎉', '\u{7f}']), 0..5)
        .prop_map(String::from_iter)
}

fn field_name() -> impl Strategy<Value = String> {
    prop::sample::select(vec!["", "a", "b", "aa", "_x", "A", "a b", "~", "x$"]).prop_map(str::to_owned)
}

fn scalar() -> impl Strategy<Value = Value> {
    prop_oneof![
        Just(Value::Null),
        any::<i64>().prop_map(Value::Int64),
        (-70000i64..70000).prop_map(Value::Int64),
        float().prop_map(Value::Float64),
        any::<bool>().prop_map(Value::Boolean),
        text().prop_map(Value::String),
        vec(prop::sample::select(vec![0u8, 1, 0x7f, 0xff]), 0..4).prop_map(Value::Bytes),
    ]
}

fn value() -> impl Strategy<Value = Value> {
    scalar().prop_recursive(4, 24, 4, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..4).prop_map(Value::Array),
            btree_map(field_name(), inner, 0..4).prop_map(Value::Object),
        ]
    })
}

fn id() -> impl Strategy<Value = DocumentId> {
    let table = prop_oneof![1u32.., 1u32..600, 10_001u32..10_100, Just(127), Just(128), Just(16_384), Just(u32::MAX)];
    (table, any::<[u8; 16]>())
        .prop_map(|(table, internal)| DocumentId { table: TableNumber(table), internal: InternalId(internal) })
}

fn key(value: Option<&Value>) -> Vec<u8> {
    let mut key = Vec::new();
    write_key(value, &mut key);
    key
}

proptest! {
    /// spec: D2, D5, D13
    #[test]
    fn what_is_written_reads_back_as_the_same_value(value in value()) {
        let json = value.to_json();
        let read = Value::from_json(&json).unwrap();
        prop_assert_eq!(&read, &value);
        prop_assert_eq!(read.to_json(), json);
        prop_assert_eq!(decode_value::<Value>(value.clone()), Ok(value));
    }

    /// Whole or not, a float that JSON has is written as the shortest text that reads back as it.
    ///
    /// spec: D2
    #[test]
    fn floats_are_spelled_one_way(float in float()) {
        if float.is_finite() && float.to_bits() != (-0.0f64).to_bits() {
            let expected = serde_json::to_string(&float).unwrap().replace('+', "");
            prop_assert_eq!(Value::Float64(float).to_json(), expected);
        }
    }

    /// spec: D17, D18
    #[test]
    fn keys_sort_as_values_do(a in value(), b in value()) {
        prop_assert_eq!(key(Some(&a)).cmp(&key(Some(&b))), a.cmp(&b));
        prop_assert!(key(None) < key(Some(&a)));
    }

    /// spec: D18, D20
    #[test]
    fn keys_of_several_fields_sort_field_by_field(
        a in vec(prop::option::of(value()), 2),
        b in vec(prop::option::of(value()), 2),
    ) {
        let key = |values: &[Option<Value>]| values.iter().flat_map(|value| key(value.as_ref())).collect::<Vec<u8>>();
        prop_assert_eq!(key(&a).cmp(&key(&b)), a.cmp(&b));
    }

    /// spec: D11
    #[test]
    fn the_size_of_an_object_is_that_of_its_parts(fields in btree_map(field_name(), value(), 0..4)) {
        let parts: usize = fields.iter().map(|(name, value)| name.len() + 1 + value.size()).sum();
        prop_assert_eq!(Value::Object(fields).size(), 2 + parts);
    }

    /// spec: D21, D22, D25
    #[test]
    fn ids_round_trip_and_a_changed_character_is_noticed(id in id(), place in 0usize..31, digit in 0usize..32) {
        let text = id.text();
        prop_assert_eq!(DocumentId::parse(&text), Ok(id));
        prop_assert_eq!(normalize_id(id.table, &text), Some(id));
        prop_assert_eq!(normalize_id(TableNumber(id.table.0 ^ 1), &text), None);
        let digit = b"0123456789abcdefghjkmnpqrstvwxyz"[digit];
        let mut changed = text.as_bytes().to_vec();
        if changed[place] != digit {
            changed[place] = digit;
            let changed = String::from_utf8(changed).unwrap();
            prop_assert_ne!(DocumentId::parse(&changed), Ok(id));
        }
    }

    /// spec: D20
    #[test]
    fn in_a_table_ids_sort_as_their_texts_and_keys(a in id(), b in id()) {
        let b = DocumentId { table: a.table, ..b };
        prop_assert_eq!(a.text().cmp(&b.text()), a.cmp(&b));
        prop_assert_eq!(by_id_key(&a).cmp(&by_id_key(&b)), a.cmp(&b));
        prop_assert!(by_creation_time_key(1.0, &a) < by_creation_time_key(1.5, &b));
    }
}

/// All keys of at most two bytes out of few: enough to see each way in which two ranges can lie.
fn universe() -> Vec<Vec<u8>> {
    let bytes = [0u8, 1, 2, 0xff];
    let longer = |keys: &[Vec<u8>]| -> Vec<Vec<u8>> {
        keys.iter().flat_map(|key| bytes.iter().map(move |byte| [&key[..], &[*byte]].concat())).collect()
    };
    let one = longer(&[Vec::new()]);
    let two = longer(&one);
    [vec![Vec::new()], one, two].concat()
}

fn range() -> impl Strategy<Value = KeyRange> {
    let key = || prop::sample::select(universe());
    (key(), prop::option::weighted(0.9, key()))
        .prop_map(|(start, end)| KeyRange { start: start.into(), end: end.map(Into::into) })
}

proptest! {
    #[test]
    fn a_range_set_has_the_keys_of_its_ranges(ranges in vec(range(), 0..8), probe in range()) {
        let set: RangeSet = ranges.iter().cloned().collect();
        for key in universe() {
            prop_assert_eq!(set.contains(&key), ranges.iter().any(|range| range.contains(&key)), "{:02x?}", key);
        }
        prop_assert_eq!(set.overlaps(&probe), ranges.iter().any(|range| range.overlaps(&probe)));
        let merged: Vec<KeyRange> = set.iter().collect();
        prop_assert_eq!(merged.len(), set.len());
        prop_assert_eq!(set.is_empty(), merged.is_empty());
        for pair in merged.windows(2) {
            // Ranges that touch would be one: the count of intervals read depends on it.
            prop_assert!(pair[0].end.as_ref().is_some_and(|end| *end < pair[1].start), "{:?}", pair);
        }
    }

    #[test]
    fn ranges_overlap_when_they_share_a_key(a in range(), b in range()) {
        // A range that is not empty has its first key; of two that overlap, the later first key is in both.
        let expected = [&a, &b].iter().any(|r| a.contains(&r.start) && b.contains(&r.start));
        prop_assert_eq!(a.overlaps(&b), expected);
        prop_assert_eq!(a.is_empty(), !a.contains(&a.start));
    }
}

fn path(text: &str) -> FieldPath {
    FieldPath::parse(text).unwrap()
}

/// Values of an indexed field: few, some of which are beginnings of others.
fn indexed() -> impl Strategy<Value = Option<Value>> {
    let values = [
        "null",
        "1",
        "2",
        r#"{"$integer":"AQAAAAAAAAA="}"#,
        "false",
        r#""""#,
        r#""a""#,
        r#""a\u0000""#,
        r#""a\u0000b""#,
        r#""ab""#,
        r#"{"$bytes":"AA=="}"#,
        r#"{"$bytes":""}"#,
        "[]",
        "[null]",
        r#"["a"]"#,
        "{}",
        r#"{"":null}"#,
        r#"{"a":1}"#,
    ];
    let values: Vec<Option<Value>> =
        values.iter().map(|raw| Some(Value::from_json(raw).unwrap())).chain([None]).collect();
    prop::sample::select(values)
}

fn document() -> impl Strategy<Value = (Object, f64, DocumentId)> {
    (indexed(), indexed(), prop::sample::select(vec![1.0, 2.0, 3.0]), id()).prop_map(|(a, b, creation_time, id)| {
        let fields = [("a", a), ("b", b), ("_creationTime", Some(Value::Float64(creation_time)))];
        let fields = fields.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?)));
        (fields.chain([("_id".to_owned(), Value::from(&*id.text()))]).collect(), creation_time, id)
    })
}

/// Conditions that are a range of the index (a, b): equalities on the first fields, then bounds on the next one.
fn conditions() -> impl Strategy<Value = Vec<RangePart>> {
    let bound = |ops: [RangeOp; 2]| prop::option::of((prop::sample::select(ops.to_vec()), indexed()));
    let lower = bound([RangeOp::Gt, RangeOp::Gte]);
    let upper = bound([RangeOp::Lt, RangeOp::Lte]);
    let times = prop::sample::select(vec![Some(Value::Float64(1.0)), Some(Value::Float64(2.0)), None]);
    (0usize..4, indexed(), indexed(), times, lower, upper, any::<bool>()).prop_map(
        |(n_equal, a, b, time, lower, upper, is_reversed)| {
            let fields = ["a", "b", "_creationTime", "_id"].map(path);
            let equal = fields.iter().zip([a, b, time]).take(n_equal);
            let mut parts: Vec<RangePart> =
                equal.map(|(field, value)| RangePart { op: RangeOp::Eq, field: field.clone(), value }).collect();
            for (op, value) in [lower, upper].into_iter().flatten() {
                parts.push(RangePart { op, field: fields[n_equal].clone(), value });
            }
            if is_reversed {
                parts.reverse();
            }
            parts
        },
    )
}

fn holds(document: &Object, part: &RangePart) -> bool {
    let ordering = object_at(document, &part.field).cmp(&part.value.as_ref());
    match part.op {
        RangeOp::Eq => ordering.is_eq(),
        RangeOp::Gt => ordering.is_gt(),
        RangeOp::Gte => ordering.is_ge(),
        RangeOp::Lt => ordering.is_lt(),
        RangeOp::Lte => ordering.is_le(),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    /// spec: D61, D63
    #[test]
    fn a_range_selects_the_documents_for_which_its_conditions_hold(
        documents in vec(document(), 1..8),
        parts in conditions(),
    ) {
        let index = IndexDefinition { name: "by_a_b".into(), fields: vec![path("a"), path("b")] };
        let range = compile_range("t", &index.name, &index.fields, &parts).unwrap();
        prop_assert!(range.end.as_ref().is_none_or(|end| range.start <= *end));
        for (document, creation_time, id) in documents {
            let json = object_to_json(&document);
            let keys = document_keys(&json, std::slice::from_ref(&index), creation_time, &id).unwrap();
            let expected = parts.iter().all(|part| holds(&document, part));
            prop_assert_eq!(range.contains(&keys[0]), expected, "{} in {:?}", json, parts);
        }
    }
}

proptest! {
    /// spec: D18
    #[test]
    fn keys_from_the_text_are_those_from_the_values(
        fields in btree_map(prop::sample::select(vec!["a", "b", "c", "o"]).prop_map(str::to_owned), value(), 0..4),
        inner in prop::option::of(btree_map(prop::sample::select(vec!["x", "y"]).prop_map(str::to_owned), value(), 0..2)),
        id in id(),
    ) {
        let mut fields = fields;
        if let Some(inner) = inner {
            fields.insert("o".to_owned(), Value::Object(inner));
        }
        let indexes: Vec<IndexDefinition> = [&["a"][..], &["b", "a"], &["o.x"], &["o", "o.y", "c"], &[]]
            .iter()
            .map(|fields| IndexDefinition { name: "i".into(), fields: fields.iter().map(|f| path(f)).collect() })
            .collect();
        let keys = document_keys(&object_to_json(&fields), &indexes, 7.5, &id).unwrap();
        for (index, found) in indexes.iter().zip(keys) {
            let mut expected = Vec::new();
            for field in &index.fields {
                write_key(object_at(&fields, field), &mut expected);
            }
            write_key(Some(&Value::Float64(7.5)), &mut expected);
            write_key(Some(&Value::from(&*id.text())), &mut expected);
            prop_assert_eq!(found, expected, "{:?}", index);
        }
    }
}

fn tables() -> BTreeMap<String, TableNumber> {
    BTreeMap::from([("users".to_owned(), TableNumber(10_001)), ("posts".to_owned(), TableNumber(10_002))])
}

/// Values that validators of [`validator`] accept often enough.
fn plain_value() -> impl Strategy<Value = Value> {
    let scalars = [
        "null",
        "1",
        "2",
        r#"{"$integer":"AQAAAAAAAAA="}"#,
        "true",
        "false",
        r#""a""#,
        r#""b""#,
        r#""j577p7x0s4z5ah6jhe7pm462x57kmmrq""#,
        r#""j977p7x0s4z5ah6jhe7pm462x57kmn19""#,
        r#"{"$bytes":""}"#,
    ];
    let scalars = scalars.iter().map(|raw| Value::from_json(raw).unwrap()).collect::<Vec<_>>();
    prop::sample::select(scalars).prop_recursive(3, 12, 3, |inner| {
        let name = prop::sample::select(vec!["x", "y"]).prop_map(str::to_owned);
        prop_oneof![
            vec(inner.clone(), 0..3).prop_map(Value::Array),
            btree_map(name, inner, 0..3).prop_map(Value::Object),
        ]
    })
}

fn validator() -> impl Strategy<Value = Validator> {
    let leaf = prop_oneof![
        Just(Validator::Null),
        Just(Validator::Float64),
        Just(Validator::Int64),
        Just(Validator::CommitTs),
        Just(Validator::Boolean),
        Just(Validator::String),
        Just(Validator::Bytes),
        Just(Validator::Any),
        prop::sample::select(vec!["users", "posts"]).prop_map(|table| Validator::Id(table.to_owned())),
        prop::sample::select(vec!["a", "b"]).prop_map(Validator::literal),
        any::<bool>().prop_map(|b| Validator::Literal(Value::Boolean(b))),
    ];
    leaf.prop_recursive(3, 16, 3, |inner| {
        let name = prop::sample::select(vec!["x", "y"]).prop_map(str::to_owned);
        let field =
            (inner.clone(), any::<bool>()).prop_map(|(validator, optional)| FieldValidator { validator, optional });
        prop_oneof![
            inner.clone().prop_map(Validator::array),
            inner.clone().prop_map(|values| Validator::record(Validator::String, values)),
            btree_map(name, field, 0..3).prop_map(Validator::Object),
            vec(inner, 0..3).prop_map(Validator::Union),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4000))]

    /// spec: D31
    #[test]
    fn what_fits_a_subset_fits_the_whole(a in validator(), b in validator(), values in vec(plain_value(), 1..6)) {
        prop_assert!(a.is_subset_of(&a), "{}", a);
        if a.is_subset_of(&b) {
            for value in values {
                let fits = |validator: &Validator| validator.check(&value, &tables()).is_ok();
                prop_assert!(!fits(&a) || fits(&b), "{} fits {} and not {}", value, a, b);
            }
        }
    }

    /// spec: D28, D30
    #[test]
    fn a_union_accepts_what_a_member_accepts(a in validator(), b in validator(), value in plain_value()) {
        let fits = |validator: &Validator| validator.check(&value, &tables()).is_ok();
        let union = Validator::Union(vec![a.clone(), b.clone()]);
        prop_assert_eq!(fits(&union), fits(&a) || fits(&b));
        prop_assert_eq!(Validator::from_json(&union.to_json().unwrap()), Ok(union));
    }
}
