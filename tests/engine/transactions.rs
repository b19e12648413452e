//! What one transaction sees and does.

use syncline_engine::{Access, At, BeginOptions, Transaction};
use syncline_functions::tx::{Fields, NestedEnd, Tx};
use syncline_schema::{RangeOp, Value};
use syncline_tests::random::Rng;

use crate::world::{Read, begin, code, commit, get, insert, items, now, own, patch};

/// spec: D23, D24, D52
#[tokio::test]
async fn an_insert_makes_its_table_and_gives_an_id() {
    let world = items();
    let engine = world.open().await;
    let tx = begin(&engine);
    assert!(tx.table_number("new_table").is_none());
    let id = insert(&tx, "new_table", r#"{"a":1.0}"#).await;
    assert_eq!(id.to_string().len(), 32);
    assert_eq!(id.table.0, 10_003, "items is 10001, others 10002");
    assert_eq!(tx.table_number("new_table"), Some(id.table));
    assert_eq!(tx.table_name(id.table).as_deref(), Some("new_table"));
    assert_eq!(get(&tx, id).await.as_deref(), Some(r#"{"a":1.0}"#));
    commit(&engine, &tx).unwrap();
    let later = begin(&engine);
    assert_eq!(later.table_number("new_table"), Some(id.table));
    assert_eq!(get(&later, id).await.as_deref(), Some(r#"{"a":1.0}"#));
}

/// spec: D64
#[tokio::test]
async fn a_mutation_sees_its_own_writes() {
    let engine = items().open().await;
    let tx = begin(&engine);
    let mut ids = Vec::new();
    for n in 0..40 {
        ids.push(insert(&tx, "items", &format!(r#"{{"n":{n}.0}}"#)).await);
    }
    commit(&engine, &tx).unwrap();

    let tx = begin(&engine);
    patch(&tx, ids[3], r#"{"n":100.0}"#).await;
    tx.delete(ids[5]).await.unwrap();
    insert(&tx, "items", r#"{"n":4.5}"#).await;
    let read = Read::all("items", "by_n").with(RangeOp::Gte, "n", Value::Float64(2.0)).take(4);
    assert_eq!(read.run(&tx).await, [r#"{"n":2.0}"#, r#"{"n":4.0}"#, r#"{"n":4.5}"#, r#"{"n":6.0}"#]);
    let back = read.clone().desc().take(2);
    assert_eq!(back.run(&tx).await, [r#"{"n":100.0}"#, r#"{"n":39.0}"#]);
    assert_eq!(get(&tx, ids[5]).await, None);
    for n in 200..240 {
        insert(&tx, "items", &format!(r#"{{"n":{n}.0}}"#)).await;
    }
    tx.delete(ids[3]).await.unwrap();
    assert_eq!(back.run(&tx).await, [r#"{"n":239.0}"#, r#"{"n":238.0}"#]);
    assert_eq!(read.clone().take(7).run_all(&tx).await.len(), 40 + 1 - 2 - 2 + 40);
    assert_eq!(Read::all("items", "by_id").take(9).run_all(&tx).await.len(), 40 + 1 - 2 + 40);
    let before = engine.begin(At::Committed, BeginOptions::default()).unwrap();
    assert_eq!(read.run_all(&before).await.len(), 38, "nobody else does");
}

/// spec: D86
#[tokio::test]
async fn a_transaction_sees_one_snapshot() {
    let engine = items().open().await;
    let setup = begin(&engine);
    let id = insert(&setup, "items", r#"{"n":1.0}"#).await;
    commit(&engine, &setup).unwrap();
    let reader = begin(&engine);
    let writer = begin(&engine);
    patch(&writer, id, r#"{"n":2.0}"#).await;
    insert(&writer, "items", r#"{"n":3.0}"#).await;
    commit(&engine, &writer).unwrap();
    assert_eq!(get(&reader, id).await.as_deref(), Some(r#"{"n":1.0}"#));
    assert_eq!(Read::all("items", "by_n").run(&reader).await, [r#"{"n":1.0}"#]);
    assert_eq!(Read::all("items", "by_creation_time").run(&reader).await, [r#"{"n":1.0}"#]);
    let newer = begin(&engine);
    assert_eq!(Read::all("items", "by_n").run(&newer).await, [r#"{"n":2.0}"#, r#"{"n":3.0}"#]);
}

/// spec: D26
#[tokio::test]
async fn creation_times_rise_within_a_transaction() {
    let world = items();
    let engine = world.open().await;
    let tx = begin(&engine);
    let mut last = 0.0;
    for n in 0..5 {
        let id = insert(&tx, "items", &format!(r#"{{"n":{}.0}}"#, 5 - n)).await;
        let document = tx.get(id).await.unwrap().unwrap();
        assert!(document.creation_time > last);
        last = document.creation_time;
        assert!(
            document.json.starts_with(&format!(r#"{{"_creationTime":{last:?},"_id":"{id}","n":"#)),
            "{}",
            document.json
        );
        assert!((last - 1_700_000_000_000.0).abs() < 1.0);
    }
    let read = Read::all("items", "by_creation_time");
    let inserted: Vec<String> = (0..5).map(|n| format!(r#"{{"n":{}.0}}"#, 5 - n)).collect();
    assert_eq!(read.run(&tx).await, inserted);
    commit(&engine, &tx).unwrap();
    // D59
    let tx = begin(&engine);
    assert_eq!(read.run(&tx).await, inserted);
    let reversed: Vec<String> = inserted.into_iter().rev().collect();
    assert_eq!(read.desc().run(&tx).await, reversed);
}

/// spec: D27
#[tokio::test]
async fn system_fields_never_change() {
    let engine = items().open().await;
    let tx = begin(&engine);
    let id = insert(&tx, "items", r#"{"n":1.0}"#).await;
    let other = insert(&tx, "items", r#"{"n":1.0}"#).await;
    let time = tx.get(id).await.unwrap().unwrap().creation_time;
    for (fields, expected) in [
        (format!(r#"{{"_id":"{id}","_creationTime":{time},"n":2}}"#), None),
        (format!(r#"{{"_id":"{other}"}}"#), Some("InvalidIdError")),
        (r#"{"_id":{"$undefined":null}}"#.to_owned(), Some("InvalidIdError")),
        (r#"{"_creationTime":1}"#.to_owned(), Some("InvalidCreationTimeError")),
        (r#"{"_other":1}"#.to_owned(), Some("InvalidDocumentError")),
        (r#"{"n":{"_nested":1}}"#.to_owned(), None),
    ] {
        let patched = tx.patch(id, Fields::Untyped(&fields)).await;
        assert_eq!(patched.as_ref().err().map(code), expected, "patch {fields}");
        if !fields.contains("undefined") {
            let replaced = tx.replace(id, Fields::Untyped(&fields)).await;
            assert_eq!(replaced.as_ref().err().map(code), expected, "replace {fields}");
        }
        let document = tx.get(id).await.unwrap().unwrap();
        assert_eq!((document.id, document.creation_time), (id, time));
    }
    let inserted = tx.insert("items", Fields::Untyped(&format!(r#"{{"_id":"{id}"}}"#))).await;
    assert_eq!(code(&inserted.unwrap_err()), "InvalidIdError");
    let inserted = tx.insert("items", Fields::Untyped(r#"{"_creationTime":1}"#)).await;
    assert_eq!(code(&inserted.unwrap_err()), "InvalidCreationTimeError");
}

/// spec: D53, D54
#[tokio::test]
async fn patch_and_replace_of_untyped_values() {
    let engine = items().open().await;
    let tx = begin(&engine);
    let id = insert(&tx, "items", r#"{"a":{"x":1.0,"y":2.0},"b":1.0,"c":"c"}"#).await;
    let patch = r#" {"c": {"$undefined": null}, "a": {"x": 3}, "d": {"$integer": "AQAAAAAAAAA="} } "#;
    tx.patch(id, Fields::Untyped(patch)).await.unwrap();
    let patched = r#"{"a":{"x":3.0},"b":1.0,"d":{"$integer":"AQAAAAAAAAA="}}"#;
    assert_eq!(get(&tx, id).await.as_deref(), Some(patched));
    tx.replace(id, Fields::Untyped(r#"{"z": [1, null]}"#)).await.unwrap();
    assert_eq!(get(&tx, id).await.as_deref(), Some(r#"{"z":[1.0,null]}"#));
    // D16
    let refused = tx.replace(id, Fields::Untyped(r#"{"z":{"$undefined":null}}"#)).await;
    assert!(refused.is_err());
    let refused = tx.patch(id, Fields::Untyped(r#"{"z":{"y":{"$undefined":null}}}"#)).await;
    assert!(refused.is_err());
    let refused = tx.patch(id, Fields::Untyped("[1]")).await;
    assert!(refused.is_err());
}

/// spec: D55
#[tokio::test]
async fn writes_to_missing_documents_fail_with_operation_and_id() {
    let engine = items().open().await;
    let tx = begin(&engine);
    let id = insert(&tx, "items", "{}").await;
    tx.delete(id).await.unwrap();
    let results = [
        ("patch", now(tx.patch(id, Fields::Typed("{}")))),
        ("replace", now(tx.replace(id, Fields::Typed("{}")))),
        ("delete", now(tx.delete(id))),
    ];
    for (operation, result) in results {
        let error = result.unwrap_err();
        assert_eq!(code(&error), "NonexistentDocument");
        assert!(error.to_string().contains(operation) && error.to_string().contains(&id.to_string()), "{error}");
    }
}

/// spec: D50, D60
#[tokio::test]
async fn what_does_not_exist_is_empty_but_an_unknown_index_is_an_error() {
    let engine = items().open().await;
    let tx = begin(&engine);
    let id = insert(&tx, "items", "{}").await;
    tx.delete(id).await.unwrap();
    assert_eq!(get(&tx, id).await, None);
    let unknown = syncline_schema::DocumentId { table: syncline_schema::TableNumber(10_500), ..id };
    assert_eq!(get(&tx, unknown).await, None);
    assert!(Read::all("nowhere", "by_creation_time").run(&tx).await.is_empty());
    assert!(Read::all("nowhere", "by_id").run(&tx).await.is_empty());
    for table in ["nowhere", "items"] {
        let error = Read::all(table, "by_x").step(&tx, None, None).await.unwrap_err();
        assert_eq!(code(&error), "IndexNotFoundError", "{error}");
    }
}

/// spec: D88, D104
#[tokio::test]
async fn a_nested_transaction_that_is_undone_leaves_nothing_behind() {
    let engine = items().open().await;
    let tx = begin(&engine);
    let a = insert(&tx, "items", r#"{"n":1.0}"#).await;
    tx.begin_nested();
    patch(&tx, a, r#"{"n":2.0}"#).await;
    tx.begin_nested();
    let b = insert(&tx, "items", r#"{"n":3.0}"#).await;
    patch(&tx, a, r#"{"n":4.0}"#).await;
    tx.end_nested(NestedEnd::Keep);
    assert_eq!(Read::all("items", "by_n").run(&tx).await, [r#"{"n":3.0}"#, r#"{"n":4.0}"#]);
    tx.begin_nested();
    tx.delete(a).await.unwrap();
    tx.end_nested(NestedEnd::Undo);
    assert_eq!(get(&tx, a).await.as_deref(), Some(r#"{"n":4.0}"#));
    tx.end_nested(NestedEnd::Undo);
    assert_eq!(get(&tx, a).await.as_deref(), Some(r#"{"n":1.0}"#));
    assert_eq!(get(&tx, b).await, None);
    tx.begin_nested();
    insert(&tx, "only_nested", "{}").await;
    tx.end_nested(NestedEnd::Undo);
    commit(&engine, &tx).unwrap();
    let tx = begin(&engine);
    assert_eq!(Read::all("items", "by_n").run(&tx).await, [r#"{"n":1.0}"#]);
    assert_eq!(tx.table_number("only_nested"), None);
}

/// All values of `vectors/ordering.json`, as JSON, in their order; the first is a missing field.
fn ordered_values() -> Vec<Option<String>> {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/vectors/ordering.json");
    let file: serde_json::Value = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    let values = file["values"].as_array().unwrap();
    values.iter().map(|value| value["raw"].as_str().map(str::to_owned)).collect()
}

/// Among the writer's own writes, after the commit, and after a restart.
///
/// spec: D19
#[tokio::test]
async fn an_index_returns_all_values_in_their_order_and_in_its_reverse() {
    let mut world = items();
    let engine = world.open().await;
    let values = ordered_values();
    assert_eq!(values.len(), 117);
    let mut shuffled: Vec<usize> = (0..values.len()).collect();
    let mut rng = Rng(19);
    for i in (1..shuffled.len()).rev() {
        shuffled.swap(i, rng.below(i as u64 + 1) as usize);
    }
    let tx = begin(&engine);
    let mut ids = vec![None; values.len()];
    for i in shuffled {
        let fields = values[i].as_ref().map_or("{}".to_owned(), |raw| format!(r#"{{"n":{raw}}}"#));
        ids[i] = Some(tx.insert("items", Fields::Untyped(&fields)).await.unwrap());
    }
    let ids: Vec<_> = ids.into_iter().map(Option::unwrap).collect();
    let check = async |tx: &Transaction| {
        let read = Read { limit: 1_000, ..Read::all("items", "by_n") };
        let found = async |read: Read| -> Vec<_> {
            read.step(tx, None, None).await.unwrap().documents.iter().map(|document| document.id).collect()
        };
        assert_eq!(found(read.clone()).await, ids);
        let reverse: Vec<_> = ids.iter().rev().copied().collect();
        assert_eq!(found(read.desc()).await, reverse);
    };
    check(&tx).await;
    let committed = commit(&engine, &tx).unwrap();
    check(&begin(&engine)).await;
    assert!(engine.wait_durable(committed.ts, 0).await);
    drop((tx, engine));
    let engine = world.crash_and_open().await;
    check(&begin(&engine)).await;
}

/// spec: D20, D42, D63
#[tokio::test]
async fn ranges_cross_types_and_equal_values_follow_creation() {
    let engine = items().open().await;
    let tx = begin(&engine);
    for fields in [
        r#"{"n":"x"}"#,
        r#"{"n":1.0}"#,
        "{}",
        r#"{"n":null}"#,
        r#"{"n":{"$integer":"AQAAAAAAAAA="}}"#,
        r#"{"n":1.0,"s":"second"}"#,
    ] {
        insert(&tx, "items", fields).await;
    }
    commit(&engine, &tx).unwrap();
    let tx = begin(&engine);
    let below = Read::all("items", "by_n").with(RangeOp::Lt, "n", Value::Float64(1.0)).run(&tx).await;
    assert_eq!(below, ["{}", r#"{"n":null}"#, r#"{"n":{"$integer":"AQAAAAAAAAA="}}"#]);
    let has = Read::all("items", "by_n").with(RangeOp::Gt, "n", None).run(&tx).await;
    assert_eq!(has.len(), 5);
    assert_eq!(Read::eq_n(1.0).run(&tx).await, [r#"{"n":1.0}"#, r#"{"n":1.0,"s":"second"}"#]);
    assert_eq!(Read::eq_n(1.0).desc().run(&tx).await, [r#"{"n":1.0,"s":"second"}"#, r#"{"n":1.0}"#]);
    let all = Read::all("items", "by_id").step(&tx, None, None).await.unwrap();
    let ids: Vec<String> = all.documents.iter().map(|document| document.id.to_string()).collect();
    assert!(ids.is_sorted() && ids.len() == 6);
    let one = Read::all("items", "by_id").with(RangeOp::Eq, "_id", Value::String(ids[2].clone()));
    let found = one.step(&tx, None, None).await.unwrap();
    assert_eq!(found.documents.len(), 1);
    assert_eq!(found.documents[0].id.to_string(), ids[2]);
    let rest = Read::all("items", "by_id").with(RangeOp::Gt, "_id", Value::String(ids[2].clone()));
    assert_eq!(rest.step(&tx, None, None).await.unwrap().documents.len(), 3);
}

#[tokio::test]
async fn steps_go_on_behind_a_key_and_stop_at_one() {
    let engine = items().open().await;
    let tx = begin(&engine);
    for n in 0..10 {
        insert(&tx, "items", &format!(r#"{{"n":{n}.0}}"#)).await;
    }
    commit(&engine, &tx).unwrap();
    let tx = begin(&engine);
    for index in ["by_n", "by_id", "by_creation_time"] {
        for read in [Read::all("items", index), Read::all("items", index).desc()] {
            let all = read.step(&tx, None, None).await.unwrap();
            assert!(all.done);
            let key = |n: usize| Some(&*all.keys[n]);
            let texts =
                |documents: &[syncline_functions::tx::Document]| -> Vec<String> { documents.iter().map(own).collect() };
            let middle = read.step(&tx, key(2), key(6)).await.unwrap();
            assert_eq!((texts(&middle.documents), middle.done), (texts(&all.documents[3..7]), true), "{index}");
            let cut = read.clone().take(2).step(&tx, key(2), key(6)).await.unwrap();
            assert_eq!((texts(&cut.documents), cut.done), (texts(&all.documents[3..5]), false), "{index}");
            let none = read.step(&tx, key(9), None).await.unwrap();
            assert!(none.documents.is_empty() && none.done);
        }
    }
}

#[tokio::test]
async fn a_query_does_not_write() {
    let engine = items().open().await;
    let tx = engine.begin(At::Durable, BeginOptions { access: Access::ReadOnly, turn: None }).unwrap();
    let error = tx.insert("items", Fields::Typed("{}")).await.unwrap_err();
    assert_eq!(code(&error), "ReadOnly");
}
