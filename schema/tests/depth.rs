//! Text that nests deep enough to exhaust a stack is refused like any other.

use syncline_schema::{
    DecodeError, DocumentId, Expression, IndexDefinition, JsonErrorKind, Schema, Validator, Value, decode_json,
    document_keys,
};

const DEPTH: usize = 1_000_000;

/// spec: D12
#[test]
fn a_million_levels_are_too_many_for_a_value() {
    let too_nested = JsonErrorKind::TooNested { found: 65, limit: 64 };
    for (open, close) in [("[", "]"), (r#"{"a":"#, "}"), (r#"[{"a":"#, "}]")] {
        let closed = open.repeat(DEPTH) + "null" + &close.repeat(DEPTH);
        assert_eq!(Value::from_json(&closed).unwrap_err().kind, too_nested, "{open}");
        let Err(DecodeError::Json(error)) = decode_json::<Vec<Value>>(&closed) else { panic!("accepted") };
        assert_eq!(error.kind, too_nested, "{open}");
        let error = Value::from_json(&open.repeat(DEPTH)).unwrap_err();
        assert!(matches!(error.kind, JsonErrorKind::Syntax { .. }), "{open}: {error}");
    }
}

#[test]
fn a_million_levels_are_too_many_for_everything_else() {
    let nested = |open: &str, close: &str| open.repeat(DEPTH) + "null" + &close.repeat(DEPTH);
    assert!(decode_json::<f64>(&nested("[", "]")).is_err());
    assert!(decode_json::<f64>(&nested(r#"{"$float":"#, "}")).is_err());
    assert!(Validator::from_json(&nested(r#"{"type":"array","value":"#, "}")).is_err());
    assert!(Expression::from_json(&nested(r#"{"$not":"#, "}")).is_err());
    assert!(Schema::from_json(&nested(r#"{"tables":["#, "]}")).is_err());
    let index = IndexDefinition { name: "i".into(), fields: vec!["a".parse().unwrap()] };
    let id = DocumentId::parse("j577p7x0s4z5ah6jhe7pm462x57kmmrq").unwrap();
    for (open, close) in [("[", "]"), (r#"{"a":"#, "}")] {
        let document = format!(r#"{{"a":{}}}"#, nested(open, close));
        assert!(document_keys(&document, std::slice::from_ref(&index), 1.0, &id).is_err(), "{open}");
    }
}
