//! `ids.json`: ids and their texts.

use serde_json::{Value as Tree, json};
use syncline_schema::{DocumentId, IdErrorKind, InternalId, TableNumber, normalize_id};

use crate::{cases, check_facts, check_shown, load, text, unhex};

fn internal(case: &Tree) -> InternalId {
    InternalId(unhex(text(&case["internal_id_hex"])).try_into().unwrap())
}

/// spec: D21
#[test]
fn ids_have_the_texts_of_the_vectors() {
    let file = load("ids.json");
    for case in cases(&file, "valid", 26) {
        let table = TableNumber(u32::try_from(case["table_number"].as_u64().unwrap()).unwrap());
        let id = DocumentId { table, internal: internal(case) };
        assert_eq!(&*id.text(), text(&case["id"]), "{case}");
        assert_eq!(id.text().len() as u64, case["length"].as_u64().unwrap(), "{case}");
        assert_eq!(DocumentId::parse(text(&case["id"])), Ok(id), "{case}");
    }
}

fn facts(kind: IdErrorKind) -> Tree {
    let mut facts = match kind {
        IdErrorKind::Length { found } => json!({"found": found, "expected": "31 to 37"}),
        IdErrorKind::Form { found } => json!({"found": found}),
        IdErrorKind::Footer { found, expected } => json!({"found": found, "expected": expected}),
        IdErrorKind::Alphabet { .. } | IdErrorKind::TableNumber => json!({}),
    };
    facts["kind"] = json!(kind.name());
    facts
}

/// spec: D22
#[test]
fn what_is_no_id_fails_the_check_of_the_vectors() {
    let file = load("ids.json");
    for case in cases(&file, "invalid", 22) {
        let given = text(&case["id"]);
        let error = DocumentId::parse(given).expect_err(given);
        check_facts(given, &case["server_error"], &facts(error.kind));
        check_shown(given, &error.to_string(), given);
        if let Some(found) = case["server_error"]["found"].as_u64() {
            check_shown(given, &error.to_string(), &found.to_string());
        }
    }
}

/// spec: D22
#[test]
fn the_first_character_outside_of_the_alphabet_is_told() {
    let error = DocumentId::parse("j577p7x0s4z5ah6jhé7pm462x57kmmrl").unwrap_err();
    assert_eq!(error.kind, IdErrorKind::Alphabet { character: 'é', position: 17 });
    check_shown("é", &error.to_string(), "'é' at position 17");
}

/// spec: D25
#[test]
fn normalizing_gives_ids_of_the_table_only() {
    let file = load("ids.json");
    let users = TableNumber(10_001);
    for case in cases(&file, "legacy_normalize", 1) {
        let id = normalize_id(users, text(&case["input"])).expect("a retired form");
        assert_eq!(id.internal, internal(case));
        assert_eq!(&*id.text(), text(&case["normalized_under_table_10001"]));
    }
    for case in cases(&file, "valid", 26) {
        let given = text(&case["id"]);
        let expected = (case["table_number"] == users.0).then(|| given.to_owned());
        assert_eq!(normalize_id(users, given).map(|id| id.to_string()), expected, "{case}");
    }
    for case in cases(&file, "invalid", 22) {
        // One of these is of the retired form, and no id otherwise.
        if text(&case["id"]).len() != 22 {
            assert_eq!(normalize_id(users, text(&case["id"])), None, "{case}");
        }
    }
}
