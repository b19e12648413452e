//! The rules of a schema, documents against it, and the difference between two.

use std::collections::BTreeMap;

use syncline_schema::{
    FieldValidator, FindingKind, IndexDefinition, Schema, SchemaDiff, SchemaError, SchemaErrorKind, TableDefinition,
    TableIndex, TableNumber, Validator, object_from_json,
};

fn document() -> Validator {
    let optional = |validator| FieldValidator::optional(validator);
    Validator::object([
        ("a", optional(Validator::Any)),
        ("b", optional(Validator::String)),
        ("o", FieldValidator::required(Validator::object([("_x", FieldValidator::required(Validator::Float64))]))),
        ("v", optional(Validator::array(Validator::Float64))),
    ])
}

fn table() -> TableDefinition {
    TableDefinition::new("t", document())
}

#[track_caller]
fn refusal(table: TableDefinition) -> SchemaError {
    let error = Schema::new([table]).check().expect_err("a rule is broken");
    let message = error.to_string();
    assert!(message.starts_with(error.kind.code()), "{message}");
    for name in error.table.iter().chain(&error.index) {
        assert!(message.contains(name), "{message}");
    }
    error
}

#[track_caller]
fn check(table: TableDefinition, code: &str, facts: &[&str]) {
    let error = refusal(table);
    assert_eq!(error.kind.code(), code, "{error}");
    for fact in facts {
        assert!(error.to_string().contains(fact), "{fact:?} is not shown: {error}");
    }
}

/// Reads a schema with one table `t`, of which the JSON of some members is given.
fn read(members: &str) -> Result<Schema, SchemaError> {
    let document = document().to_json().unwrap();
    Schema::from_json(&format!(
        r#"{{"tables":[{{"tableName":"t","indexes":[],"documentType":{document},{members}}}]}}"#
    ))
}

/// spec: D39
#[test]
fn names_of_indexes() {
    check(table().with_index("a-b", &["a"]), "InvalidIndexName", &["a-b", "'-'"]);
    check(table().with_index("", &["a"]), "InvalidIndexName", &["empty"]);
    for name in ["_x", "by_id", "by_creation_time"] {
        check(table().with_index(name, &["a"]), "IndexNameReserved", &[name, "by_id", "by_creation_time"]);
    }
    check(table().with_index("i", &["a"]).with_index("i", &["b"]), "IndexNamesNotUnique", &["t.i"]);
}

/// spec: D39
#[test]
fn names_of_indexes_are_unique_over_all_kinds() {
    for (kind, index) in [
        ("stagedDbIndexes", r#"{"indexDescriptor":"i","fields":["a"]}"#),
        ("searchIndexes", r#"{"indexDescriptor":"i","searchField":"b","filterFields":[]}"#),
        ("stagedSearchIndexes", r#"{"indexDescriptor":"i","searchField":"b","filterFields":[]}"#),
        ("vectorIndexes", r#"{"indexDescriptor":"i","vectorField":"v","dimensions":2,"filterFields":[]}"#),
        ("stagedVectorIndexes", r#"{"indexDescriptor":"i","vectorField":"v","dimensions":2,"filterFields":[]}"#),
    ] {
        let mut schema = read(&format!(r#""{kind}":[{index}]"#)).unwrap();
        schema.check().unwrap();
        let table = schema.tables.remove("t").unwrap().with_index("i", &["b"]);
        check(table, "IndexNamesNotUnique", &["t.i"]);
    }
}

/// spec: D39
#[test]
fn fields_of_indexes() {
    check(table().with_index("i", &[]), "EmptyIndex", &["t.i"]);
    check(table().with_index("i", &["a", "b", "a"]), "FieldsNotUniqueWithinIndex", &["`a`"]);
    check(table().with_index("i", &["a", "_id"]), "IndexFieldsContainId", &["get"]);
    check(table().with_index("i", &["_creationTime"]), "IndexFieldsContainCreationTime", &["leave it out"]);
    check(table().with_index("i", &["_x"]), "IndexFieldNameReserved", &["`_x`"]);
    check(table().with_index("i", &["b", "a"]).with_index("j", &["b", "a"]), "IndexNotUnique", &["t.j", "`i`", "b, a"]);
    Schema::new([table().with_index("i", &["b", "a"]).with_index("j", &["a", "b"])]).check().unwrap();
    // Only at the top are names with an underscore reserved.
    Schema::new([table().with_index("i", &["o._x"])]).check().unwrap();
}

/// spec: D39
#[test]
fn a_staged_index_is_checked_as_any_other() {
    let staged = |fields: &[&str]| {
        let built = table().with_index("i", fields);
        TableDefinition { staged_indexes: built.indexes, indexes: Vec::new(), ..built }
    };
    assert_eq!(refusal(staged(&[])).kind, SchemaErrorKind::EmptyIndex { staged: true });
    check(staged(&["_id"]), "IndexFieldsContainId", &[]);
    check(staged(&["a"]).with_index("j", &["a"]), "IndexNotUnique", &["`j`"]);
}

/// spec: D39
#[test]
fn an_index_of_a_path_that_cannot_be_is_refused_when_it_is_read() {
    let error = read(r#""stagedDbIndexes":[{"indexDescriptor":"i","fields":["a","b-c"]}]"#).unwrap_err();
    assert_eq!(error.kind.code(), "InvalidIndexField");
    assert_eq!((error.table.as_deref(), error.index.as_deref()), (Some("t"), Some("i")));
    assert!(error.to_string().contains("b-c"), "{error}");
}

/// spec: D39, D12
#[test]
fn sixteen_fields_and_sixty_four_indexes_are_accepted_and_no_more() {
    let fields: Vec<String> = (0..17).map(|i| format!("f{i}")).collect();
    let fields: Vec<&str> = fields.iter().map(String::as_str).collect();
    let any = || TableDefinition::new("t", Validator::Any);
    Schema::new([any().with_index("i", &fields[..16])]).check().unwrap();
    let error = refusal(any().with_index("i", &fields));
    assert_eq!(error.kind, SchemaErrorKind::IndexTooManyFields { found: 17, limit: 16 });

    let with_indexes =
        |n: usize| (0..n).fold(any(), |table, i| table.with_index(&format!("i{i}"), &[&format!("f{i}")]));
    Schema::new([with_indexes(64)]).check().unwrap();
    assert_eq!(refusal(with_indexes(65)).kind, SchemaErrorKind::TooManyIndexes { found: 65, limit: 64 });
}

/// spec: D39
#[test]
fn a_field_that_no_document_can_have_is_refused_where_documents_are_checked() {
    let table = || table().with_index("i", &["b.c"]);
    check(table(), "SchemaDefinitionError", &["t.i", "b.c"]);
    Schema { validation: false, ..Schema::new([table()]) }.check().unwrap();
    // Within `any` every field is possible, and in a union one member is enough.
    let union =
        Validator::Union(vec![Validator::object([("x", FieldValidator::required(Validator::Null))]), document()]);
    Schema::new([TableDefinition::new("t", union).with_index("i", &["x", "a.b.c", "o._x"])]).check().unwrap();
}

/// spec: D39
#[test]
fn search_indexes() {
    let filters = (0..17).map(|i| format!(r#""a.f{i}""#)).collect::<Vec<_>>();
    let search = |names: &[&str], filters: &[String]| {
        let index = |name| {
            let filters = filters.join(",");
            format!(r#"{{"indexDescriptor":"{name}","searchField":"b","filterFields":[{filters}]}}"#)
        };
        let indexes: Vec<String> = names.iter().map(index).collect();
        read(&format!(r#""searchIndexes":[{}]"#, indexes.join(","))).unwrap().tables.remove("t").unwrap()
    };
    Schema::new([search(&["i"], &filters[..16])]).check().unwrap();
    let error = refusal(search(&["i"], &filters));
    assert_eq!(error.kind, SchemaErrorKind::IndexTooManyFilterFields { found: 17, limit: 16 });
    check(search(&["i", "j"], &filters[..2]), "SearchIndexFieldNotUnique", &["t.j", "`i`"]);
}

/// spec: D39
#[test]
fn vector_indexes() {
    let vector = |field: &str, dimensions: u32| {
        let index = format!(
            r#"{{"indexDescriptor":"i","vectorField":"{field}","dimensions":{dimensions},"filterFields":["b"]}}"#
        );
        read(&format!(r#""vectorIndexes":[{index}]"#)).unwrap().tables.remove("t").unwrap()
    };
    for dimensions in [2, 4096] {
        Schema::new([vector("v", dimensions)]).check().unwrap();
    }
    for dimensions in [1, 4097] {
        check(vector("v", dimensions), "SchemaDefinitionError", &[&dimensions.to_string(), "2 to 4096"]);
    }
    check(vector("b", 2), "SchemaDefinitionError", &["`b`", "array of floats"]);
}

/// spec: D39
#[test]
fn names_and_documents_of_tables() {
    let named = |name: &str| TableDefinition::new(name, Validator::Any);
    check(named("a b"), "InvalidTableName", &["a b"]);
    check(named("_t"), "TableNameReserved", &["_t"]);
    for document in [
        Validator::String,
        Validator::record(Validator::String, Validator::Any),
        Validator::Union(vec![document(), Validator::Null]),
    ] {
        let printed = document.to_string();
        check(TableDefinition::new("t", document), "InvalidTopLevelTypeInSchemaError", &[&printed, "v.any()"]);
    }
    let nested = Validator::Union(vec![document(), Validator::Union(vec![document()])]);
    Schema::new([TableDefinition::new("t", nested)]).check().unwrap();
}

#[test]
fn what_is_no_schema_is_refused_with_the_place() {
    for (text, shown) in [
        ("[", "not JSON"),
        ("{}", "`tables`"),
        (r#"{"tables":[{}]}"#, "`tableName`"),
        (r#"{"tables":[],"schemaValidation":1}"#, "`schemaValidation`"),
        (r#"{"tables":[{"tableName":"t","documentType":{"type":"nope"}}]}"#, "nope"),
        (r#"{"tables":[{"tableName":"t"},{"tableName":"t"}]}"#, "`t`"),
        (r#"{"tables":[{"tableName":"t","indexes":[{"indexDescriptor":"i","fields":[1]}]}]}"#, "`t.i`"),
        (
            r#"{"tables":[{"tableName":"t","vectorIndexes":[{"indexDescriptor":"i","vectorField":"v","dimensions":2.5}]}]}"#,
            "`dimensions`",
        ),
    ] {
        let error = Schema::from_json(text).expect_err(text).to_string();
        assert!(error.contains(shown), "{text}: {error}");
    }
}

/// spec: D34, D43
#[test]
fn documents_are_checked_without_their_system_fields() {
    let tables: BTreeMap<String, TableNumber> = BTreeMap::new();
    let union =
        Validator::Union(vec![document(), Validator::object([("k", FieldValidator::required(Validator::Null))])]);
    for validator in [document(), union.clone(), Validator::Any] {
        let schema = Schema::new([TableDefinition::new("t", validator)]);
        let document = object_from_json(r#"{"_creationTime":1,"_id":"x","b":"","o":{"_x":1}}"#).unwrap();
        schema.check_document("t", &document, &tables).unwrap();
    }
    let nested = object_from_json(r#"{"_id":"x","o":{"_x":1,"_id":"x"}}"#).unwrap();
    let finding = table().check_document(&nested, &tables).unwrap_err();
    assert_eq!(finding.kind, FindingKind::ExtraField { field: "_id".into() });
    assert_eq!(finding.path, ".o");
    let finding = TableDefinition::new("t", union).check_document(&nested, &tables).unwrap_err();
    assert_eq!(finding.found, "{o: {_id: \"x\", _x: 1.0}}", "the system fields are not shown either");
}

#[test]
fn without_validation_or_outside_of_the_schema_any_document_fits() {
    let tables: BTreeMap<String, TableNumber> = BTreeMap::new();
    let document = object_from_json(r#"{"unknown":1}"#).unwrap();
    let schema = Schema::new([table()]);
    schema.check_document("t", &document, &tables).unwrap_err();
    schema.check_document("other", &document, &tables).unwrap();
    Schema { validation: false, ..schema }.check_document("t", &document, &tables).unwrap();
}

fn entry(name: &str, field: &str) -> TableIndex {
    let index = table().with_index(name, &[field]).indexes.remove(0);
    TableIndex { table: "t".into(), index }
}

fn staged(mut table: TableDefinition, name: &str, field: &str) -> TableDefinition {
    table.staged_indexes.push(entry(name, field).index);
    table
}

#[test]
fn the_difference_tells_what_to_build_and_what_to_drop() {
    let old = Schema::new([
        staged(
            table().with_index("kept", &["a"]).with_index("changed", &["b"]).with_index("gone", &["v"]),
            "ready",
            "o",
        ),
        TableDefinition::new("dropped", Validator::Any),
    ]);
    let new = Schema::new([
        staged(
            table().with_index("kept", &["a"]).with_index("changed", &["b.c"]).with_index("ready", &["o"]),
            "later",
            "b",
        ),
        TableDefinition::new("added", Validator::Any).with_index("i", &["a"]),
    ]);
    let added = TableIndex {
        table: "added".into(),
        index: IndexDefinition { name: "i".into(), fields: vec!["a".parse().unwrap()] },
    };
    assert_eq!(
        Schema::diff(&old, &new),
        SchemaDiff {
            new_tables: vec!["added".into()],
            removed_tables: vec!["dropped".into()],
            new_indexes: vec![added, entry("changed", "b.c"), entry("later", "b")],
            removed_indexes: vec![entry("changed", "b"), entry("gone", "v")],
            enabled_indexes: vec![entry("ready", "o")],
            ..SchemaDiff::default()
        }
    );
    assert!(Schema::diff(&new, &new).is_empty());
}

/// spec: D31
#[test]
fn a_table_is_checked_again_unless_its_old_documents_surely_fit() {
    let schema = |validation, document| Schema { validation, ..Schema::new([TableDefinition::new("t", document)]) };
    let string = || Validator::object([("x", FieldValidator::required(Validator::String))]);
    let wider = || Validator::object([("x", FieldValidator::optional(Validator::Any))]);
    let recheck = |old: &Schema, new: &Schema| !Schema::diff(old, new).recheck.is_empty();
    assert!(!recheck(&schema(true, string()), &schema(true, wider())));
    assert!(recheck(&schema(true, wider()), &schema(true, string())));
    // What was declared and not checked may be anything, and so may a table that no schema named.
    assert!(recheck(&schema(false, string()), &schema(true, string())));
    assert!(recheck(&Schema::default(), &schema(true, string())));
    assert!(!recheck(&Schema::default(), &schema(true, Validator::Any)));
    assert!(!recheck(&schema(true, wider()), &schema(false, string())));
}

#[test]
fn tables_that_others_name_are_known() {
    let post =
        Validator::object([("author", FieldValidator::required(Validator::array(Validator::Id("users".into()))))]);
    let schema = Schema::new([TableDefinition::new("posts", post), TableDefinition::new("users", Validator::Any)]);
    assert_eq!(schema.tables_naming("users"), ["posts"]);
    assert!(schema.tables_naming("posts").is_empty());
}
