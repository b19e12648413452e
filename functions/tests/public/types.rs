//! What `derive(Table)`, `derive(Object)`, `schema![]` and `functions![]` make.

use syncline::registry::{FunctionKind, Visibility};
use syncline::{Object, Table, functions, schema};
use syncline_schema::{FieldType, FunctionPath, Validator, decode_json, encode_json};

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
