//! What `derive(Table)`, `derive(Object)`, `schema![]` and `functions![]` make.

use proptest::prelude::*;
use syncline::registry::{FunctionKind, Visibility};
use syncline::{Object, Table, functions, schema};
use syncline_schema::{
    Doc, DocumentId, FieldType, FunctionPath, InternalId, TableNumber, Validator, Value, decode_json, decode_value,
    encode_json,
};

use crate::app::{Message, registry, tables};

#[derive(Debug, PartialEq, Object)]
enum Status {
    Open,
    InProgress,
    #[variant(name = "closed!")]
    Closed,
}

#[derive(Debug, PartialEq, Object)]
#[object(tag = "kind")]
enum Shape {
    Circle {
        radius: f64,
    },
    Rect {
        width: f64,
        a_height: Option<f64>,
    },
    #[variant(name = "none")]
    Nothing,
}

#[derive(Debug, PartialEq, Object)]
struct Pair<A, B> {
    #[field(name = "left")]
    first: A,
    second: Option<B>,
}

#[derive(Debug, PartialEq, Table)]
#[table(name = "things", rename_all = "snake_case", index(by_kind = [kind_of, status]), index(by_size = [size]))]
struct Thing {
    kind_of: Shape,
    status: Status,
    size: i64,
}

#[track_caller]
fn check<T: FieldType + PartialEq + std::fmt::Debug>(value: T, json: &str, validator: &str) {
    assert_eq!(encode_json(&value), json);
    assert_eq!(decode_json::<T>(json).unwrap(), value);
    assert_eq!(T::validator().to_string(), validator);
}

#[test]
fn an_enum_of_plain_variants_is_a_union_of_literals() {
    let union = r#"v.union(v.literal("open"), v.literal("inProgress"), v.literal("closed!"))"#;
    check(Status::InProgress, r#""inProgress""#, union);
    check(Status::Closed, r#""closed!""#, union);
    assert!(decode_json::<Status>(r#""InProgress""#).unwrap_err().to_string().contains(union));
}

#[test]
fn an_enum_with_fields_is_a_union_of_tagged_objects() {
    let union = concat!(
        r#"v.union(v.object({kind: v.literal("circle"), radius: v.float64()}), "#,
        r#"v.object({aHeight: v.optional(v.float64()), kind: v.literal("rect"), width: v.float64()}), "#,
        r#"v.object({kind: v.literal("none")}))"#
    );
    check(Shape::Circle { radius: 1.0 }, r#"{"kind":"circle","radius":1.0}"#, union);
    check(Shape::Rect { width: 2.0, a_height: Some(1.0) }, r#"{"aHeight":1.0,"kind":"rect","width":2.0}"#, union);
    check(Shape::Rect { width: 2.0, a_height: None }, r#"{"kind":"rect","width":2.0}"#, union);
    check(Shape::Nothing, r#"{"kind":"none"}"#, union);
    for wrong in [r#"{"kind":"circle"}"#, r#"{"radius":1.0}"#, r#"{"kind":"none","radius":1}"#, r#"{"kind":5}"#] {
        assert!(decode_json::<Shape>(wrong).is_err(), "{wrong}");
    }
}

#[test]
fn a_struct_may_have_parameters_and_names_of_its_own() {
    let validator = "v.object({left: v.array(v.float64()), second: v.optional(v.string())})";
    let pair = Pair { first: vec![1.0], second: Some("x".to_owned()) };
    check(pair, r#"{"left":[1.0],"second":"x"}"#, validator);
    check(Pair::<Vec<f64>, String> { first: vec![], second: None }, r#"{"left":[]}"#, validator);
}

/// spec: D13
#[test]
fn the_last_of_repeated_keys_wins_and_their_order_does_not_matter() {
    let json = r#"{"second":"x","left":1,"left":2}"#;
    assert_eq!(decode_json::<Pair<f64, String>>(json).unwrap(), Pair { first: 2.0, second: Some("x".into()) });
}

#[test]
fn a_table_has_its_name_its_fields_and_its_indexes() {
    let definition = Thing::definition();
    assert_eq!(Thing::NAME, "things");
    assert_eq!(definition.document, Thing::validator());
    let indexes: Vec<_> = definition
        .indexes
        .iter()
        .map(|index| {
            format!("{}: {}", index.name, index.fields.iter().map(ToString::to_string).collect::<Vec<_>>().join(","))
        })
        .collect();
    assert_eq!(indexes, ["by_kind: kind_of,status", "by_size: size"]);
    let thing = Thing { kind_of: Shape::Nothing, status: Status::Open, size: 1 };
    assert_eq!(
        encode_json(&thing),
        r#"{"kind_of":{"kind":"none"},"size":{"$integer":"AQAAAAAAAAA="},"status":"open"}"#
    );
}

#[test]
fn a_schema_of_the_tables_keeps_all_rules() {
    let schema = tables();
    assert_eq!(schema.tables.keys().collect::<Vec<_>>(), ["bags", "friends", "messages", "private_notes", "users"]);
    schema.check().unwrap();
    let nested = &schema.tables["messages"].index("by_nested").unwrap().fields[0];
    assert_eq!(nested.to_string(), "place.city");
}

#[test]
#[should_panic(expected = "two tables are called `messages`")]
fn two_tables_of_one_name_are_refused() {
    schema![Message, Message];
}

/// spec: D103
#[test]
fn a_registered_function_tells_what_it_is() {
    let registry = registry();
    let find = |path: &str| registry.find(&FunctionPath::parse(path).unwrap()).unwrap();
    let list = find("messages:list");
    assert_eq!((list.kind, list.visibility), (FunctionKind::Query, Visibility::Public));
    assert_eq!(list.docs, "The newest messages of a channel.");
    assert_eq!(list.args.to_string(), "v.object({channel: v.string(), n: v.optional(v.float64())})");
    let Validator::Array(element) = &list.returns else { panic!("{}", list.returns) };
    assert!(element.to_string().contains(r#"_id: v.id("messages")"#), "{element}");
    let remove = find("messages.js:remove");
    assert_eq!((remove.kind, remove.visibility), (FunctionKind::Mutation, Visibility::Internal));
    assert_eq!(remove.returns, Validator::Null);
    assert_eq!(find("args/arguments:renamed").args.to_string(), "v.object({from_id: v.float64()})");
}

#[test]
#[should_panic(expected = "two functions are registered as `app/messages:list`")]
fn two_functions_of_one_path_are_refused() {
    use crate::app;
    functions![app::messages::list, crate::app::messages::list];
}

#[test]
#[should_panic(expected = "`list` is registered without its module")]
fn a_function_needs_a_module() {
    use crate::app::messages::list;
    functions![list];
}

#[derive(Debug, PartialEq, Table)]
#[table(name = "measures")]
struct Measure {
    a: f64,
    bc: Option<f64>,
    inner: Option<Pair<String, f64>>,
    list: Vec<Pair<f64, bool>>,
}

/// Objects with the fields of a `Measure` in any order, some twice, some missing, some that do not fit.
fn measures() -> impl Strategy<Value = String> {
    let fields = [
        r#""a":1.5"#,
        r#""a":{"$float":"AAAAAAAA8H8="}"#,
        r#""a":null"#,
        r#""\u0061":2.0"#,
        r#""bc":-3.0"#,
        r#""bc":null"#,
        r#""b":1.0"#,
        r#""bcd":1.0"#,
        r#""inner":{"left":"x","second":1.0}"#,
        r#""inner":{"second":1.0,"left":"\n"}"#,
        r#""inner":{}"#,
        r#""list":[]"#,
        r#""list":[{"left":1.0},{"second":true,"left":2.0}]"#,
        r#""list":[1.0]"#,
        r#""_id":"x""#,
        r#""_creationTime":1.0"#,
        r#""_other":1.0"#,
    ];
    let some = proptest::sample::subsequence(fields.to_vec(), 0..6).prop_shuffle();
    // What most are: without this, few would fit.
    (some, any::<bool>()).prop_map(move |(mut some, whole)| {
        if whole {
            some.retain(|field| field.starts_with("\"bc") || field.starts_with("\"inner"));
            some.insert(some.len() / 2, fields[0]);
            some.push(fields[12]);
        }
        format!("{{{}}}", some.join(","))
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4_000))]

    /// There is a quick way to read text, which gives up, and a slow one, which says what is wrong.
    #[test]
    fn what_is_read_quickly_is_what_the_value_is(text in measures()) {
        let quick = decode_json::<Measure>(&text).map_err(|_| ());
        let straight = Measure::decode(&mut serde_json::Deserializer::from_str(&text)).map_err(|_| ());
        // A field that does not fit may be replaced by a later one.
        let slow = straight.or_else(|()| decode_value(Value::from_json(&text).map_err(|_| ())?).map_err(|_| ()));
        prop_assert_eq!(quick, slow, "{}", text);
    }
}

#[test]
fn a_stored_document_is_read_behind_its_system_fields() {
    let head = r#"{"_creationTime":1.5,"_id":"x""#;
    let read = |fields: &str| {
        let json = format!("{head}{fields}");
        let id = DocumentId { table: TableNumber(10_001), internal: InternalId([1; 16]) };
        Doc::<Measure>::from_stored(id, 1.5, head.len(), json.into()).map(Doc::into_inner)
    };
    let expected = Measure { a: 1.0, bc: None, inner: None, list: vec![Pair { first: 2.0, second: None }] };
    assert_eq!(read(r#","a":1.0,"list":[{"left":2.0}]}"#).unwrap(), expected);
    assert!(read("}").unwrap_err().to_string().contains("`a`"), "a field is missing");
    assert!(read(r#","a":1.0,"list":[]"#).is_err(), "it does not end");
}
