//! `values.json`: text to value and back, sizes, prints, keys, and the limits.

use serde_json::{Value as Tree, json};
use syncline_schema::{Format, JsonError, JsonErrorKind, NameError, Value, write_key};

use crate::{cases, check_facts, check_shown, hex, load, names, text};

/// The text of a case: given, or to be built.
fn raw(case: &Tree) -> String {
    if let Some(raw) = case["raw"].as_str() {
        return raw.to_owned();
    }
    let generator = &case["generator"];
    let number = |name: &str| generator[name].as_u64().unwrap() as usize;
    match text(&generator["kind"]) {
        "array" => format!("[{}]", vec![text(&generator["item"]); number("count")].join(",")),
        "nest_array" => "[".repeat(number("depth")) + &"]".repeat(number("depth")),
        "nest_object" => {
            let depth = number("depth");
            r#"{"a":"#.repeat(depth - 1) + "{}" + &"}".repeat(depth - 1)
        }
        "object" => {
            let fields: Vec<String> = (0..number("count")).map(|i| format!(r#""f{i}":null"#)).collect();
            format!("{{{}}}", fields.join(","))
        }
        "key" => format!(r#"{{"{}":null}}"#, "k".repeat(number("length"))),
        "string" => format!(r#""{}""#, "s".repeat(number("length"))),
        other => panic!("unknown generator {other}"),
    }
}

fn facts(error: &JsonError) -> Tree {
    let mut facts = match &error.kind {
        JsonErrorKind::Syntax { detail, .. } => json!({"detail": detail}),
        JsonErrorKind::Base64 { .. } | JsonErrorKind::FloatNotSpecial { .. } => json!({}),
        JsonErrorKind::PayloadLength { tag, expected, .. } => {
            json!({"type": tag.value_kind().name(), "expected": expected})
        }
        JsonErrorKind::PayloadType { found, .. } => json!({"found": found, "expected": "string"}),
        JsonErrorKind::FieldName(error) => names::facts(error),
        JsonErrorKind::ArrayTooLong { found, limit }
        | JsonErrorKind::TooManyFields { found, limit }
        | JsonErrorKind::TooNested { found, limit }
        | JsonErrorKind::TooLarge { found, limit } => json!({"found": found, "limit": limit}),
        other => panic!("unexpected: {other:?}"),
    };
    facts["kind"] = json!(error.kind.name());
    if let Some(code) = error.code() {
        facts["code"] = json!(code);
    }
    facts
}

fn check_decoded(id: &str, value: &Value, server: &Tree) {
    assert_eq!(value.kind().name(), text(&server["type"]), "{id}");
    assert_eq!(value.size() as u64, server["size"].as_u64().unwrap(), "{id}: size");
    assert_eq!(value.depth() as u64, server["nesting"].as_u64().unwrap(), "{id}: nesting");
    // The cases that are built have no texts.
    if server["encoded"].is_string() {
        let written = |format| {
            let mut out = String::new();
            value.write_json_as(format, &mut out);
            out
        };
        let mut key = Vec::new();
        write_key(Some(value), &mut key);
        assert_eq!(written(Format::Encoded), text(&server["encoded"]), "{id}");
        assert_eq!(written(Format::Clean), text(&server["clean_json"]), "{id}");
        assert_eq!(written(Format::Export), text(&server["export_json"]), "{id}");
        assert_eq!(value.to_string(), text(&server["display"]), "{id}");
        assert_eq!(hex(&key), text(&server["sort_key_hex"]), "{id}");
    }
    assert_eq!(Value::from_json(&value.to_json()).as_ref(), Ok(value), "{id}: what is written reads back the same");
}

/// spec: D1, D2, D5, D7, D8, D11, D12, D13, D16, D18
#[test]
fn every_text_decodes_or_fails_as_its_vector_says() {
    let file = load("values.json");
    for case in cases(&file, "vectors", 129) {
        let id = text(&case["id"]);
        let server = &case["server"];
        match (Value::from_json(&raw(case)), text(&case["decodes"])) {
            (Ok(value), "ok") => check_decoded(id, &value, server),
            (Err(error), "error") => {
                check_facts(id, &server["error"], &facts(&error));
                if let Some(name) = server["error"]["name"].as_str() {
                    let shown: String = name.escape_debug().collect();
                    check_shown(id, &error.to_string(), &shown);
                }
                for number in ["found", "limit"] {
                    if let Some(number) = server["error"][number].as_u64() {
                        check_shown(id, &error.to_string(), &number.to_string());
                    }
                }
            }
            (found, expected) => panic!("{id}: expected {expected}, found {found:?}"),
        }
    }
}

/// spec: D3, D4, D6
#[test]
fn numbers_and_tags_are_written_so_that_every_client_reads_them() {
    let file = load("values.json");
    for case in cases(&file, "vectors", 129) {
        let Ok(value) = Value::from_json(&raw(case)) else { continue };
        let id = text(&case["id"]);
        match value {
            Value::Float64(x) if x.is_finite() && x.to_bits() != (-0.0f64).to_bits() => {
                assert!(value.to_json().contains(['.', 'e', 'E']), "{id}: {}", value.to_json());
            }
            Value::Int64(_) => {
                let tree: Tree = serde_json::from_str(&value.to_json()).unwrap();
                let payload = text(&tree["$integer"]);
                assert_eq!(payload.len(), 12, "{id}: eight bytes with padding");
                assert!(payload.ends_with('='), "{id}");
            }
            _ => {}
        }
    }
}

/// spec: D8
#[test]
fn a_key_with_a_dollar_is_refused_at_any_depth_and_named() {
    for (text, path) in [
        (r#"{"a":{"$foo":1}}"#, ".a"),
        (r#"[[{"$foo":1}]]"#, "[0][0]"),
        (r#"{"a":[1,{"b":{"c":1,"$foo":[]}}]}"#, ".a[1].b"),
    ] {
        let error = Value::from_json(text).unwrap_err();
        assert_eq!(error.kind, JsonErrorKind::FieldName(NameError::ReservedDollar { name: "$foo".into() }), "{text}");
        assert_eq!(error.path, path, "{text}");
        check_shown(text, &error.to_string(), "$foo");
    }
}
