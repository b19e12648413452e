//! `names.json`: identifiers, field names and field paths.

use serde_json::{Value as Tree, json};
use syncline_schema::{FieldPath, NameError, check_field_name, check_identifier};

use crate::{cases, check_facts, check_shown, load, text};

pub fn facts(error: &NameError) -> Tree {
    let mut facts = match error {
        NameError::Empty => json!({}),
        NameError::FirstCharacter { name, character }
        | NameError::Character { name, character }
        | NameError::FieldCharacter { name, character } => {
            json!({"name": name, "character": character.escape_debug().to_string()})
        }
        NameError::AllUnderscores { name } | NameError::ReservedDollar { name } => json!({"name": name}),
        NameError::TooLong { found, limit, .. } => json!({"found": found, "limit": limit}),
        NameError::EmptyPath { path } => json!({"path": path}),
    };
    facts["kind"] = json!(error.kind());
    facts
}

fn check(list: &str, n_min: usize, parse: impl Fn(&str) -> Result<Option<String>, NameError>) {
    for case in cases(&load("names.json"), list, n_min) {
        let input = text(&case["input"]);
        match parse(input) {
            Ok(parsed) => {
                assert_eq!(case["ok"], true, "{input:?} is accepted");
                if let Some(parsed) = parsed {
                    assert_eq!(parsed, text(&case["parsed"]), "{input:?}");
                }
            }
            Err(error) => {
                assert_eq!(case["ok"], false, "{input:?} is refused: {error}");
                check_facts(input, &case["error"], &facts(&error));
                if let Some(name) = case["error"]["name"].as_str() {
                    check_shown(input, &error.to_string(), &name.escape_debug().to_string());
                }
                if let Some(limit) = case["error"]["limit"].as_u64() {
                    check_shown(input, &error.to_string(), &limit.to_string());
                }
            }
        }
    }
}

/// spec: D10
#[test]
fn identifiers() {
    check("identifiers", 17, |input| check_identifier(input).map(|()| None));
}

/// spec: D9
#[test]
fn field_names() {
    check("field_names", 16, |input| check_field_name(input).map(|()| None));
}

/// spec: D10
#[test]
fn field_paths() {
    check("field_paths", 15, |input| FieldPath::parse(input).map(|path| Some(path.to_string())));
}
