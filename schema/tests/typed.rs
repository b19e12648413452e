//! Rust types as fields, arguments and results, put together as the derive macros do it.

use std::collections::BTreeMap;

use syncline_schema::field::{self, Fields, Key, Keys};
use syncline_schema::serde::de::{MapAccess, Visitor};
use syncline_schema::serde::{Deserializer, Serializer};
use syncline_schema::{
    Bytes, DecodeError, Doc, DocumentId, FieldType, FindingKind, Id, JsonErrorKind, Nullable, StoredText, Table,
    TableDefinition, Validator, Value, decode_json, decode_value, encode_json, object_from_json,
};

/// What `derive(Object)` or `derive(Table)` makes of a struct; see the documentation of `syncline_schema::field`.
/// Fields are given in the byte order of their names on the wire.
macro_rules! fields {
    ($name:ident, $keys:ident, { $($field:ident: $ty:ty = $wire:literal at $place:pat),* $(,)? }) => {
        #[derive(Clone, Debug, PartialEq)]
        struct $name { $($field: $ty),* }

        impl FieldType for $name {
            fn validator() -> Validator {
                Validator::object([$(($wire, <$ty as FieldType>::field_validator())),*])
            }

            fn decode<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                const KEYS: Keys = Keys::$keys(&[$($wire),*]);
                struct FieldsVisitor;
                impl<'de> Visitor<'de> for FieldsVisitor {
                    type Value = $name;

                    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                        KEYS.expecting(f)
                    }

                    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<$name, A::Error> {
                        $(let mut $field = None;)*
                        while let Some(Key(place)) = map.next_key_seed(KEYS)? {
                            match place {
                                $($place => $field = Some(map.next_value_seed(field::FieldSeed::new())?),)*
                                _ => field::skip(&mut map)?,
                            }
                        }
                        Ok($name { $($field: field::present($field, $wire)?),* })
                    }
                }
                deserializer.deserialize_map(FieldsVisitor)
            }

            fn encode<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                let mut fields = Fields::new(serializer)?;
                $(fields.field($wire, &self.$field)?;)*
                fields.end()
            }
        }
    };
}

fields!(Account, of_table, { balance: f64 = "balance" at 0, number: f64 = "id" at 1, note: Option<String> = "note" at 2 });

impl Table for Account {
    const NAME: &'static str = "accounts";

    fn definition() -> TableDefinition {
        TableDefinition::new(Self::NAME, Self::validator()).with_index("by_account_id", &["id"])
    }
}

fields!(Everything, of_object, {
    bytes: Bytes = "bytes" at 0,
    flag: bool = "flag" at 1,
    id: Id<Account> = "id" at 2,
    inner: Box<Inner> = "inner" at 3,
    int: i64 = "int" at 4,
    list: Vec<Option<f64>> = "list" at 5,
    maybe_null: Option<Nullable<String>> = "maybeNull" at 6,
    null: () = "null" at 7,
    nullable: Nullable<i64> = "nullable" at 8,
    record: BTreeMap<String, Vec<Inner>> = "record" at 9,
    value: Value = "value" at 10,
});
fields!(Inner, of_object, { x: f64 = "x" at 0 });

const ID: &str = "j577p7x0s4z5ah6jhe7pm462x57kmmrq";

fn account() -> Account {
    Account { balance: 5.0, number: 1.0, note: None }
}

fn everything() -> Everything {
    Everything {
        bytes: Bytes(vec![1, 2]),
        flag: true,
        id: DocumentId::parse(ID).unwrap().into(),
        int: -1,
        inner: Box::new(Inner { x: f64::INFINITY }),
        list: vec![Some(1.5), None],
        maybe_null: Some(Nullable::Null),
        null: (),
        nullable: Nullable::Some(7),
        record: BTreeMap::from([("a b".into(), vec![Inner { x: -0.0 }]), (String::new(), vec![])]),
        value: Value::from_json(r#"[{"$integer":"AQAAAAAAAAA="},{"k":null}]"#).unwrap(),
    }
}

#[test]
fn every_type_is_written_as_the_wire_has_it_and_read_back() {
    let json = encode_json(&everything());
    let expected = concat!(
        r#"{"bytes":{"$bytes":"AQI="},"flag":true,"id":"j577p7x0s4z5ah6jhe7pm462x57kmmrq","#,
        r#""inner":{"x":{"$float":"AAAAAAAA8H8="}},"int":{"$integer":"//////////8="},"list":[1.5,null],"#,
        r#""maybeNull":null,"null":null,"nullable":{"$integer":"BwAAAAAAAAA="},"#,
        r#""record":{"":[],"a b":[{"x":{"$float":"AAAAAAAAAIA="}}]},"value":[{"$integer":"AQAAAAAAAAA="},{"k":null}]}"#,
    );
    assert_eq!(json, expected);
    assert_eq!(decode_json(&json), Ok(everything()));
    let value = Value::from_json(&json).unwrap();
    assert_eq!(value.to_json(), json, "typed and untyped writing agree");
    assert_eq!(decode_value(value), Ok(everything()));
}

#[test]
fn validators_follow_from_the_types() {
    assert_eq!(
        Everything::validator().to_string(),
        "v.object({bytes: v.bytes(), flag: v.boolean(), id: v.id(\"accounts\"), inner: v.object({x: v.float64()}), \
         int: v.int64(), list: v.array(v.union(v.float64(), v.null())), \
         maybeNull: v.optional(v.union(v.string(), v.null())), null: v.null(), \
         nullable: v.union(v.int64(), v.null()), \
         record: v.record(v.string(), v.array(v.object({x: v.float64()}))), value: v.any()})"
    );
    assert!(Everything::validator().has_ids());
    assert!(!Account::validator().has_ids());
    assert_eq!(<Option<f64>>::validator().to_string(), "v.union(v.float64(), v.null())", "not as a field");
}

#[track_caller]
fn finding(json: &str) -> (FindingKind, String) {
    match decode_json::<Account>(json).unwrap_err() {
        DecodeError::Finding(finding) => (finding.kind, finding.path),
        other => panic!("{json}: {other:?}"),
    }
}

/// spec: D43
#[test]
fn an_optional_field_may_be_missing_and_not_null() {
    let json = r#"{"balance":5,"id":1}"#;
    assert_eq!(decode_json(json), Ok(account()));
    assert_eq!(encode_json(&account()), r#"{"balance":5.0,"id":1.0}"#);
    assert_eq!(finding(r#"{"balance":5,"id":1,"note":null}"#), (FindingKind::Type, ".note".into()));
    let noted = Account { note: Some("n".into()), ..account() };
    assert_eq!(decode_json(&encode_json(&noted)), Ok(noted));
}

#[test]
fn what_does_not_fit_is_found_exactly() {
    assert_eq!(finding(r#"{"balance":5}"#), (FindingKind::MissingField { field: "id".into() }, String::new()));
    assert_eq!(finding(r#"{"balance":"5","id":1}"#), (FindingKind::Type, ".balance".into()));
    assert_eq!(finding(r#"{"balance":{"$integer":"AQAAAAAAAAA="},"id":1}"#), (FindingKind::Type, ".balance".into()));
    assert_eq!(
        finding(r#"{"x":1,"balance":5,"id":1}"#),
        (FindingKind::ExtraField { field: "x".into() }, String::new())
    );
    assert_eq!(finding("[]"), (FindingKind::Type, String::new()));
}

/// spec: D13
#[test]
fn the_last_of_repeated_fields_wins_also_over_one_that_does_not_fit() {
    assert_eq!(decode_json(r#"{"balance":4,"id":1,"balance":5}"#), Ok(account()));
    assert_eq!(decode_json(r#"{"balance":"x","id":1,"balance":5}"#), Ok(account()));
    assert_eq!(decode_json(r#"{"balance":{"$integer":5},"id":1,"balance":5}"#), Ok(account()));
    assert_eq!(finding(r#"{"balance":5,"id":1,"balance":"x"}"#), (FindingKind::Type, ".balance".into()));
    assert_eq!(decode_json::<Value>(r#"{"a":{"$foo":1},"a":2}"#), Ok(object_from_json(r#"{"a":2}"#).unwrap().into()));
    assert_eq!(decode_json::<i64>(r#"{"$integer":1,"$integer":"AQAAAAAAAAA="}"#), Ok(1));
}

/// spec: D6
#[test]
fn integers_and_floats_do_not_stand_for_each_other() {
    assert!(matches!(decode_json::<i64>("1"), Err(DecodeError::Finding(_))));
    assert!(matches!(decode_json::<f64>(r#"{"$integer":"AQAAAAAAAAA="}"#), Err(DecodeError::Finding(_))));
    assert_eq!(decode_json::<f64>("9007199254740993"), Ok(9_007_199_254_740_992.0));
    assert_eq!(decode_json::<f64>("-0").map(f64::to_bits), Ok((-0.0f64).to_bits()));
    assert_eq!(decode_json::<f64>(r#"{"$float":"AQAAAAAA+H8="}"#).map(f64::to_bits), Ok(0x7ff8_0000_0000_0001));
    assert!(matches!(decode_json::<f64>("1e400"), Err(DecodeError::Json(_))));
    assert!(matches!(decode_json::<f64>("1 2"), Err(DecodeError::Json(_))));
}

/// spec: D12
#[test]
fn limits_hold_within_types_too() {
    let nulls = |n: usize| format!("[{}]", vec!["null"; n].join(","));
    assert_eq!(decode_json::<Vec<()>>(&nulls(8192)).map(|items| items.len()), Ok(8192));
    let Err(DecodeError::Json(error)) = decode_json::<Vec<()>>(&nulls(8193)) else { panic!("accepted") };
    assert_eq!(error.kind, JsonErrorKind::ArrayTooLong { found: 8193, limit: 8192 });

    let record = |n: usize| format!("{{{}}}", (0..n).map(|i| format!(r#""f{i}":null"#)).collect::<Vec<_>>().join(","));
    assert_eq!(decode_json::<BTreeMap<String, ()>>(&record(1024)).map(|record| record.len()), Ok(1024));
    let Err(DecodeError::Json(error)) = decode_json::<BTreeMap<String, ()>>(&record(1025)) else { panic!("accepted") };
    assert_eq!(error.kind, JsonErrorKind::TooManyFields { found: 1025, limit: 1024 });

    // The first level is the type's own, the others are of any value in it.
    let nested = |n: usize| "[".repeat(n) + r#"{"$integer":"AQAAAAAAAAA="}"# + &"]".repeat(n);
    decode_json::<Vec<Value>>(&nested(64)).unwrap();
    let Err(DecodeError::Json(error)) = decode_json::<Vec<Value>>(&nested(65)) else { panic!("accepted") };
    assert_eq!(error.kind, JsonErrorKind::TooNested { found: 65, limit: 64 });
}

#[test]
fn keys_of_a_record_are_field_names() {
    for json in [r#"{"$a":null}"#, r#"{"é":null}"#, r#"{"$bytes":"AA=="}"#] {
        assert!(decode_json::<BTreeMap<String, ()>>(json).is_err(), "{json}");
    }
}

/// What `derive(Object)` makes of an enum without data.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Color {
    Red,
    DarkBlue,
}

impl FieldType for Color {
    fn validator() -> Validator {
        Validator::Union(["red", "darkBlue"].map(Validator::literal).into())
    }

    fn decode<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok([Color::Red, Color::DarkBlue][field::variant(deserializer, &["red", "darkBlue"])?])
    }

    fn encode<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        field::encode_literal(serializer, ["red", "darkBlue"][*self as usize])
    }
}

#[test]
fn an_enum_without_data_is_a_union_of_literals() {
    assert_eq!(encode_json(&vec![Color::Red, Color::DarkBlue]), r#"["red","darkBlue"]"#);
    assert_eq!(decode_json(r#"["darkBlue","red"]"#), Ok(vec![Color::DarkBlue, Color::Red]));
    let error = decode_json::<Color>(r#""green""#).unwrap_err().to_string();
    assert!(error.contains("green") && error.contains("v.literal(\"darkBlue\")"), "{error}");
}

#[test]
fn an_object_with_a_tag_is_read_whatever_the_order_of_its_fields() {
    for json in [r#"{"kind":"circle","a":1,"z":{"$integer":"AQAAAAAAAAA="}}"#, r#"{"a":1,"kind":"circle","z":[null]}"#]
    {
        let mut deserializer = serde_json::Deserializer::from_str(json);
        let (tag, fields) = field::tagged(&mut deserializer, "kind").unwrap();
        assert_eq!(tag, "circle");
        assert_eq!(fields.keys().collect::<Vec<_>>(), ["a", "z"]);
    }
    for json in [r#"{"a":1}"#, r#"{"kind":1}"#, "[]"] {
        assert!(field::tagged(&mut serde_json::Deserializer::from_str(json), "kind").is_err(), "{json}");
    }
}

fn stored() -> StoredText {
    format!(r#"{{"_creationTime":12.5,"_id":"{ID}","balance":5.0,"id":1.0}}"#).into()
}

#[test]
fn a_document_is_read_with_its_system_fields_and_returned_as_it_is_stored() {
    let doc: Doc<Account> = Doc::from_json(stored()).unwrap();
    assert_eq!((&*doc.id.text(), doc.creation_time, doc.balance), (ID, 12.5, 5.0));
    assert_eq!(*doc, account());
    assert_eq!(encode_json(&vec![doc.clone()]), format!("[{}]", &*stored()));
    assert_eq!(
        <Doc<Account>>::validator().to_string(),
        "v.object({_creationTime: v.float64(), _id: v.id(\"accounts\"), balance: v.float64(), id: v.float64(), \
         note: v.optional(v.string())})"
    );
    assert_eq!(doc.into_inner(), account());
    // Without the wrapper the system fields are skipped.
    assert_eq!(decode_json(&stored()), Ok(account()));
}

#[test]
fn a_document_that_is_an_argument_is_held_in_its_canonical_form() {
    let doc: Doc<Account> =
        decode_json(&format!(r#"{{ "id": 1, "balance": 5, "_id": "{ID}", "_creationTime": 12.5 }}"#)).unwrap();
    assert_eq!(encode_json(&doc), &*stored());
    assert!(decode_json::<Doc<Account>>(r#"{"id":1,"balance":5}"#).is_err(), "the system fields are missing");
}

#[test]
fn a_stored_document_that_does_not_fit_its_type_is_explained() {
    let not_fitting = |json: String| Doc::<Account>::from_json(json.into()).unwrap_err();
    let error = not_fitting(format!(r#"{{"_creationTime":12.5,"_id":"{ID}","balance":"5","id":1.0}}"#));
    assert!(matches!(error, DecodeError::Finding(finding) if finding.path == ".balance"));
    let error = not_fitting(r#"{"_creationTime":12.5,"balance":5.0,"id":1.0}"#.into());
    assert!(matches!(error, DecodeError::Refused { detail } if detail.contains("`_id`")));
}
