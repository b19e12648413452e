//! `paths.json`: the paths of functions.

use serde_json::{Value as Tree, json};
use syncline_schema::{FunctionPath, PathError};

use crate::{cases, check_facts, load, names, text};

fn facts(error: &PathError) -> Tree {
    let mut facts = match error {
        PathError::Extension { path }
        | PathError::Absolute { path }
        | PathError::DotPart { path }
        | PathError::DotDotPart { path }
        | PathError::NoFile { path } => json!({"path": path}),
        PathError::PartCharacter { part, .. } => json!({"part": part}),
        PathError::PartTooLong { found, limit, .. } => json!({"found": found, "limit": limit}),
        PathError::FunctionName(error) => names::facts(error),
    };
    facts["kind"] = json!(error.kind());
    facts
}

/// spec: D94
#[test]
fn paths_have_the_canonical_form_of_the_vectors_or_break_their_rule() {
    for case in cases(&load("paths.json"), "paths", 38) {
        let input = text(&case["input"]);
        let server = &case["server"];
        match FunctionPath::parse(input) {
            Ok(path) => {
                assert_eq!(server["ok"], true, "{input:?} is accepted as {path}");
                assert_eq!(path.canonical(), text(&server["canonical"]), "{input:?}");
                assert_eq!(path.short(), text(&server["stripped"]), "{input:?}");
                for same in [path.canonical(), path.short()] {
                    assert_eq!(FunctionPath::parse(&same).as_ref(), Ok(&path), "{input:?} again from {same:?}");
                }
            }
            Err(error) => {
                assert_eq!(server["ok"], false, "{input:?} is refused: {error}");
                check_facts(input, &server["error"], &facts(&error));
            }
        }
    }
}

/// spec: D94, D95
#[test]
fn what_the_javascript_clients_send_finds_the_same_function() {
    let file = load("paths.json");
    for case in cases(&file, "paths", 38) {
        if case["server"]["ok"] == true {
            let sent = FunctionPath::parse(text(&case["npm_canonical"]));
            assert_eq!(sent, FunctionPath::parse(text(&case["input"])), "{case}");
        }
    }
    for case in cases(&file, "references", 4) {
        let path = FunctionPath::parse(text(&case["name_sent"])).expect("a path");
        assert_eq!(path.short(), text(&case["name_sent"]));
    }
}
