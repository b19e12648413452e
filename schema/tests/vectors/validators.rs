//! `validators.json`: validators as JSON and in print, what they find, and which contain which.

use std::collections::BTreeMap;

use serde_json::{Value as Tree, json};
use syncline_schema::{
    Finding, FindingKind, Schema, TableNumber, Validator, ValidatorError, ValidatorErrorKind, Value,
};

use crate::{cases, check_facts, check_shown, load, names, text};

/// Numbers of JSON are compared as numbers: the vectors have `1` where we write `1.0`.
#[track_caller]
fn check_same_json(found: &str, expected: &Tree, case: &str) {
    fn as_floats(tree: &Tree) -> Tree {
        match tree {
            Tree::Number(number) => json!(number.as_f64()),
            Tree::Array(items) => items.iter().map(as_floats).collect(),
            Tree::Object(entries) => entries.iter().map(|(name, tree)| (name.clone(), as_floats(tree))).collect(),
            other => other.clone(),
        }
    }
    let found: Tree = serde_json::from_str(found).unwrap();
    assert_eq!(as_floats(&found), as_floats(expected), "{case}");
}

/// spec: D28
#[test]
fn validators_are_read_printed_and_written_back() {
    for case in cases(&load("validators.json"), "exported", 27) {
        let js = text(&case["js"]);
        let validator = Validator::from_json(&case["json"].to_string()).unwrap_or_else(|e| panic!("{js}: {e}"));
        assert_eq!(validator.to_string(), text(&case["server_display"]), "{js}");
        check_same_json(&validator.to_json().unwrap(), &case["json"], js);
    }
}

fn rejection_facts(error: &ValidatorError) -> Tree {
    let mut facts = match &error.kind {
        ValidatorErrorKind::Name(error) => names::facts(error),
        ValidatorErrorKind::UnknownType { found } => json!({"found": found}),
        ValidatorErrorKind::LiteralValue { found } | ValidatorErrorKind::RecordKeysNotString { found } => {
            json!({"found": found, "expected": error.kind.expected()})
        }
        ValidatorErrorKind::RecordKeysLiteral | ValidatorErrorKind::RecordValuesOptional => json!({}),
        other => panic!("unexpected: {other:?}"),
    };
    facts["kind"] = json!(error.kind.name());
    if !error.keys.is_empty() {
        facts["key"] = json!(error.keys.join("."));
    }
    facts
}

/// spec: D29
#[test]
fn unusual_validators_are_refused_or_read_as_the_vectors_say() {
    for case in cases(&load("validators.json"), "rejected", 13) {
        let given = case["json"].to_string();
        let server = &case["server"];
        match Validator::from_json(&given) {
            Ok(validator) => {
                assert_eq!(server["ok"], true, "{given} is accepted");
                if let Some(display) = server["display"].as_str() {
                    assert_eq!(validator.to_string(), display, "{given}");
                    check_same_json(&validator.to_json().unwrap(), &server["json"], &given);
                } else {
                    assert_eq!(server["note"], "accepted on input, cannot be re-exported");
                    let error = validator.to_json().unwrap_err().to_string();
                    assert!(error.starts_with("UnsupportedFloatLiteral: "), "{error}");
                }
            }
            Err(error) => {
                assert_eq!(server["ok"], false, "{given} is refused: {error}");
                check_facts(&given, &server["error"], &rejection_facts(&error));
                for fact in ["found", "expected", "name", "key"] {
                    if let Some(fact) = server["error"][fact].as_str() {
                        check_shown(&given, &error.to_string(), fact);
                    }
                }
            }
        }
    }
}

fn finding_facts(finding: &Finding) -> Tree {
    let mut facts = json!({
        "kind": finding.kind.name(),
        "path": finding.path,
        "found": finding.found,
        "expected": finding.expected,
    });
    if let Some(field) = finding.kind.field() {
        facts["field"] = json!(field);
    }
    if let FindingKind::IdTable { found_table } = &finding.kind {
        facts["found_table"] = json!(found_table);
    }
    facts
}

/// spec: D30, D43
#[test]
fn checks_find_what_the_vectors_say_and_show_it() {
    let file = load("validators.json");
    let numbers = file["tables"].as_object().unwrap().iter();
    let tables: BTreeMap<String, TableNumber> =
        numbers.map(|(name, n)| (name.clone(), TableNumber(u32::try_from(n.as_u64().unwrap()).unwrap()))).collect();
    for case in cases(&file, "checks", 64) {
        let id = text(&case["id"]);
        let validator = Validator::from_json(&case["validator"].to_string()).unwrap();
        let value = Value::from_json(text(&case["raw"])).unwrap();
        match validator.check(&value, &tables) {
            Ok(()) => assert_eq!(case["ok"], true, "{id}: accepted"),
            Err(finding) => {
                assert_eq!(case["ok"], false, "{id}: {finding}");
                check_facts(id, &case["error"], &finding_facts(&finding));
                for fact in case["error"].as_object().unwrap().iter().filter(|(name, _)| *name != "kind") {
                    check_shown(id, &finding.to_string(), text(fact.1));
                }
            }
        }
    }
}

/// spec: D31
#[test]
fn subsets_are_those_of_the_vectors() {
    for case in cases(&load("validators.json"), "subset", 19) {
        let [a, b] = ["a", "b"].map(|name| Validator::from_json(&case[name].to_string()).unwrap());
        assert_eq!(Tree::from(a.is_subset_of(&b)), case["a_subset_of_b"], "{a} in {b}");
    }
}

/// spec: D32
#[test]
fn the_exported_schema_is_read_completely() {
    let raw = &load("validators.json")["schema_export"]["raw"];
    let schema = Schema::from_json(&raw.to_string()).unwrap();
    schema.check().unwrap();
    let written: Tree = serde_json::from_str(&schema.to_json().unwrap()).unwrap();
    assert_eq!(written["schemaValidation"], raw["schemaValidation"]);
    let by_name = |tree: &Tree| -> BTreeMap<String, Tree> {
        let tables = tree["tables"].as_array().unwrap().iter();
        tables.map(|table| (text(&table["tableName"]).to_owned(), table.clone())).collect()
    };
    assert_eq!(by_name(&written), by_name(raw));
    assert_eq!(by_name(raw).len(), 3);
}
