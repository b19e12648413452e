//! Every vector of `tests/vectors` that concerns values, names, ids, validators, index ranges and filters.
//!
//! Errors are compared by their kind or code and the facts they carry, never by their text; but the text has to
//! show each fact.

mod ids;
mod names;
mod ordering;
mod paths;
mod queries;
mod validators;
mod values;

use std::path::Path;

use serde_json::Value as Tree;

/// A file of vectors.
fn load(file: &str) -> Tree {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/vectors").join(file);
    let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The cases of a list of the file, which has at least as many as the spec says.
fn cases<'a>(file: &'a Tree, list: &str, n_min: usize) -> &'a [Tree] {
    let cases = file[list].as_array().unwrap_or_else(|| panic!("no list {list}"));
    assert!(cases.len() >= n_min, "{list} has {} cases, the spec says {n_min}", cases.len());
    cases
}

#[track_caller]
fn text(tree: &Tree) -> &str {
    tree.as_str().unwrap_or_else(|| panic!("no string: {tree}"))
}

/// Checks that an error carries each fact that is expected of it.
#[track_caller]
fn check_facts(case: &str, expected: &Tree, found: &Tree) {
    for (name, fact) in expected.as_object().unwrap_or_else(|| panic!("{case}: no facts: {expected}")) {
        assert_eq!(found.get(name), Some(fact), "{case}: the fact {name} of {found}");
    }
}

/// Checks that the text of an error shows a fact.
#[track_caller]
fn check_shown(case: &str, message: &str, fact: &str) {
    assert!(message.contains(fact), "{case}: the message does not show {fact:?}: {message}");
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn unhex(text: &str) -> Vec<u8> {
    (0..text.len()).step_by(2).map(|i| u8::from_str_radix(&text[i..i + 2], 16).unwrap()).collect()
}
