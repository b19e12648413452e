//! `ordering.json`: the total order of values, and the keys that have the same order.

use syncline_schema::{Value, write_key};

use crate::{cases, hex, load, text};

/// spec: D17, D18
#[test]
fn every_value_is_less_than_every_later_one() {
    let file = load("ordering.json");
    let cases = cases(&file, "values", 117);
    // The first is undefined: `None`, less than any `Some`.
    let values: Vec<Option<Value>> =
        cases.iter().map(|case| case["raw"].as_str().map(|raw| Value::from_json(raw).unwrap())).collect();
    let keys: Vec<Vec<u8>> = values
        .iter()
        .map(|value| {
            let mut key = Vec::new();
            write_key(value.as_ref(), &mut key);
            key
        })
        .collect();
    for (i, case) in cases.iter().enumerate() {
        assert_eq!(hex(&keys[i]), text(&case["sort_key_hex"]), "{case}");
        for j in 0..cases.len() {
            assert_eq!(values[i].cmp(&values[j]), i.cmp(&j), "{case} against {}", cases[j]);
            assert_eq!(keys[i].cmp(&keys[j]), i.cmp(&j), "the keys of {case} against {}", cases[j]);
        }
    }
}
