//! `queries.json`: filter expressions on a document, and index ranges.

use serde_json::{Value as Tree, json};
use syncline_schema::{
    EvalError, Expression, ExpressionError, FieldPath, Object, Operand, RangeError, RangeOp, RangePart, Value,
    compile_range, object_from_json, write_key,
};

use crate::{cases, check_facts, check_shown, load, names, text, unhex};

/// A value, or undefined.
fn value(tree: &Tree) -> Option<Value> {
    (*tree != json!({"$undefined": null})).then(|| Value::from_json(&tree.to_string()).unwrap())
}

fn eval_facts(error: &EvalError) -> Tree {
    let mut facts = match error {
        EvalError::NotBoolean { found } => {
            json!({"found": found.value, "found_type": found.kind, "expected_type": "Boolean"})
        }
        _ => {
            let (operation, operands) = error.operation().unwrap();
            let values: Vec<&str> = operands.iter().map(|operand: &Operand| operand.value.as_str()).collect();
            let types: Vec<&str> = operands.iter().map(|operand| operand.kind).collect();
            json!({"operation": operation, "operands": values, "types": types})
        }
    };
    facts["kind"] = json!(error.kind());
    facts
}

fn check_eval_error(id: &str, error: &EvalError, expected: &Tree) {
    check_facts(id, expected, &eval_facts(error));
    let message = error.to_string();
    for operand in expected["operands"].as_array().into_iter().flatten() {
        check_shown(id, &message, text(operand));
    }
    assert_eq!(error.code(), (error.kind() != "not_boolean").then_some("EvalError"), "{id}");
}

/// spec: D62
#[test]
fn filters_have_the_results_of_the_vectors() {
    let file = load("queries.json");
    let document = object_from_json(text(&file["filter_document"])).unwrap();
    for case in cases(&file, "filters", 52) {
        let id = text(&case["id"]);
        let expression = match Expression::from_json(&case["expr"].to_string()) {
            Ok(expression) => expression,
            Err(ExpressionError::Field(error)) => {
                assert_eq!(case["ok"], false, "{id}: {error}");
                check_facts(id, &case["error"], &names::facts(&error));
                continue;
            }
            Err(error) => panic!("{id}: {error}"),
        };
        match expression.eval(&document) {
            Ok(found) => {
                assert_eq!(case["ok"], true, "{id}: {found:?}");
                assert_eq!(found, value(&case["result"]), "{id}");
            }
            Err(error) => {
                assert_eq!(case["ok"], false, "{id}: {error}");
                check_eval_error(id, &error, &case["error"]);
            }
        }
        match (&case["keep"], expression.keeps(&document)) {
            (Tree::Bool(expected), Ok(found)) => assert_eq!(found, *expected, "{id}"),
            (Tree::Bool(expected), Err(error)) => panic!("{id}: expected {expected}, found {error}"),
            // Not a boolean, or failed before that was known.
            (_, found) => assert!(found.is_err(), "{id}: kept or dropped"),
        }
    }
}

fn part(tree: &Tree) -> RangePart {
    let op = match text(&tree["type"]) {
        "Eq" => RangeOp::Eq,
        "Gt" => RangeOp::Gt,
        "Gte" => RangeOp::Gte,
        "Lt" => RangeOp::Lt,
        "Lte" => RangeOp::Lte,
        other => panic!("unknown operator {other}"),
    };
    RangePart { op, field: FieldPath::parse(text(&tree["fieldPath"])).unwrap(), value: value(&tree["value"]) }
}

fn range_facts(error: &RangeError) -> Tree {
    let mut facts = match error {
        RangeError::AlreadyDefinedBound { field, existing, refused } => {
            let (kind, shown) = match (existing.op, refused.op) {
                // Of two equalities the vectors tell the first, and of an equality and another bound the equality.
                (RangeOp::Eq, RangeOp::Eq) => ("second_equality", existing),
                (RangeOp::Eq, _) => ("equality_and_bound", existing),
                (_, RangeOp::Eq) => ("equality_and_bound", refused),
                (_, RangeOp::Gt | RangeOp::Gte) => ("second_lower", refused),
                (_, RangeOp::Lt | RangeOp::Lte) => ("second_upper", refused),
            };
            json!({"kind": kind, "field": field, "operator": shown.op.symbol(), "value": shown.value})
        }
        RangeError::BoundsOnMultipleFields { index, fields } => json!({"index": index, "fields": fields}),
        RangeError::InvalidIndexRange { index, index_fields, query_fields, first_wrong_field } => json!({
            "index": index,
            "index_fields": index_fields,
            "query_fields": query_fields,
            "first_wrong_field": first_wrong_field,
        }),
        RangeError::FieldNotInIndex { index, index_fields, field } => {
            json!({"index": index, "index_fields": index_fields, "field": field})
        }
    };
    facts["code"] = json!(error.code());
    facts
}

/// The keys of documents with all kinds of values in the fields of an index.
///
/// No strings with a zero byte and no empty field names: there the reference's intervals are known to be wrong
/// (`tests/spec/data-and-functions.md` 1.10).
fn document_keys(n_fields: usize) -> Vec<Vec<u8>> {
    let ids = ["j57000820c20a1g7104gm2rc1m70ynr8", "j577p7x0s4z5ah6jhe7pm462x57kmmrq"].map(Value::from);
    let mut keys: Vec<Vec<u8>> = vec![Vec::new()];
    let values = [
        "null",
        "0",
        "1",
        "1.0000000000000002",
        "2",
        "5",
        "6",
        "-1",
        r#"{"$integer":"AQAAAAAAAAA="}"#,
        "true",
        "false",
        r#""""#,
        r#""a""#,
        r#""ab""#,
        r#""abc""#,
        r#""m""#,
        r#""mm""#,
        r#""n""#,
        r#""x""#,
        r#""z""#,
        r#""zz""#,
        r#"{"$bytes":"AA=="}"#,
        "[]",
        "[1]",
        "[1,1]",
        "[2]",
        "{}",
        r#"{"a":1}"#,
    ];
    let values: Vec<Option<Value>> =
        values.iter().map(|raw| Some(Value::from_json(raw).unwrap())).chain([None]).collect();
    let times = [1.0, 3.0, 999.0, 1000.0, 1001.0].map(|time| Some(Value::Float64(time)));
    let extend = |keys: Vec<Vec<u8>>, values: &[Option<Value>]| -> Vec<Vec<u8>> {
        let key = |(key, value): (&Vec<u8>, &Option<Value>)| {
            let mut key = key.clone();
            write_key(value.as_ref(), &mut key);
            key
        };
        keys.iter().flat_map(|old| values.iter().map(move |value| (old, value))).map(key).collect()
    };
    for _ in 0..n_fields {
        keys = extend(keys, &values);
    }
    if n_fields > 0 {
        keys = extend(keys, &times);
    }
    extend(keys, &ids.map(Some))
}

fn check_same_documents(id: &str, keys: &[Vec<u8>], found: &syncline_schema::KeyRange, expected: &Tree) {
    let start = unhex(text(&expected["start_hex"]));
    let end = expected["end_hex"].as_str().map(unhex);
    let mut n_selected = 0;
    for key in keys {
        let selected = *key >= start && end.as_ref().is_none_or(|end| key < end);
        assert_eq!(found.contains(key), selected, "{id}: {key:02x?} against {found:02x?}");
        n_selected += usize::from(selected);
    }
    // R013 is empty by its meaning; all others must have something to select.
    assert_eq!(n_selected == 0, id == "R013", "{id}: {n_selected} documents are selected");
}

/// spec: D61, D63
#[test]
fn ranges_select_the_documents_of_the_vectors() {
    let file = load("queries.json");
    let keys = [document_keys(2), document_keys(0)];
    for case in cases(&file, "ranges", 36) {
        let id = text(&case["id"]);
        let fields = case["index_fields"].as_array().unwrap();
        let fields: Vec<FieldPath> = fields.iter().map(|field| FieldPath::parse(text(field)).unwrap()).collect();
        let parts: Vec<RangePart> = case["range"].as_array().unwrap().iter().map(part).collect();
        // The vectors name the implicit creation time, and no fields for `by_id`.
        let (index, keys) = if fields.is_empty() { ("by_id", &keys[1]) } else { ("by_a_b", &keys[0]) };
        let fields = &fields[..fields.len().saturating_sub(1)];
        match compile_range("messages", index, fields, &parts) {
            Ok(range) => {
                assert_eq!(case["ok"], true, "{id}: accepted");
                check_same_documents(id, keys, &range, case);
            }
            Err(error) => {
                assert_eq!(case["ok"], false, "{id}: {error}");
                check_facts(id, &case["error"], &range_facts(&error));
                for fact in ["index", "field", "value", "operator", "first_wrong_field"] {
                    if let Some(fact) = case["error"][fact].as_str() {
                        check_shown(id, &error.to_string(), fact);
                    }
                }
            }
        }
    }
}

/// spec: D63
#[test]
fn a_bound_compares_across_types() {
    let document = |raw: &str| object_from_json(raw).unwrap();
    let below_one = Expression::from_json(r#"{"$lt":[{"$field":"f"},{"$literal":1}]}"#).unwrap();
    for (raw, expected) in [
        ("{}", true),
        (r#"{"f":null}"#, true),
        (r#"{"f":{"$integer":"AgAAAAAAAAA="}}"#, true),
        (r#"{"f":0.5}"#, true),
        (r#"{"f":1}"#, false),
        (r#"{"f":false}"#, false),
    ] {
        let document: Object = document(raw);
        assert_eq!(below_one.keeps(&document), Ok(expected), "{raw}");
        let mut key = Vec::new();
        write_key(document.get("f"), &mut key);
        let field = FieldPath::parse("f").unwrap();
        let part = RangePart { op: RangeOp::Lt, field: field.clone(), value: Some(Value::Float64(1.0)) };
        let range = compile_range("t", "by_f", &[field], &[part]).unwrap();
        assert_eq!(range.contains(&key), expected, "{raw}");
    }
}
