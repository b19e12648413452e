//! Each limit of a transaction: the largest allowed passes, the next is refused by name, and may be caught.

use syncline_engine::Limits;
use syncline_functions::tx::{Fields, Tx};
use syncline_schema::{RangeOp, Value};

use crate::world::{Read, World, begin, code, commit, get, insert, items};

fn limited(limits: Limits) -> World {
    let mut world = items();
    world.config.limits = limits;
    world
}

fn defaults() -> Limits {
    Limits::default()
}

/// spec: D65
#[test]
fn the_defaults_are_those_of_the_specification() {
    let limits = defaults();
    assert_eq!((limits.documents_read_max, limits.bytes_read_max), (32_000, 16 << 20));
    assert_eq!(limits.intervals_read_max, 4_096);
    assert_eq!((limits.documents_written_max, limits.bytes_written_max), (16_000, 16 << 20));
    assert_eq!((limits.document_bytes_max, limits.document_depth_max), (1 << 20, 16));
    assert_eq!(limits.tables_max, 10_000);
}

/// spec: D65, D66
#[tokio::test]
async fn documents_read() {
    let engine = limited(Limits { documents_read_max: 10, ..defaults() }).open().await;
    let tx = begin(&engine);
    for n in 0..6 {
        insert(&tx, "items", &format!(r#"{{"n":{n}.0}}"#)).await;
    }
    let read = Read::all("items", "by_n");
    assert_eq!(read.run(&tx).await.len(), 6);
    assert_eq!(read.clone().take(4).run(&tx).await.len(), 4, "10 in all");
    let error = read.clone().take(1).step(&tx, None, None).await.unwrap_err();
    assert_eq!(code(&error), "TooManyDocumentsRead");
    assert!(error.to_string().contains("items.by_n") && error.to_string().contains("10"), "{error}");
    assert!(tx.failure().is_none(), "it may be caught");
    assert_eq!(code(&read.step(&tx, None, None).await.unwrap_err()), "TooManyDocumentsRead", "it stays over its limit");
    commit(&engine, &tx).unwrap();
}

/// spec: D65
#[tokio::test]
async fn bytes_read() {
    let world = limited(Limits { bytes_read_max: 1_000, ..defaults() });
    let engine = world.open().await;
    let tx = begin(&engine);
    // 63 bytes of system fields, 2 + 1 + 2 for the field, and the text.
    let text = "x".repeat(500 - 63 - 4);
    let id = insert(&tx, "items", &format!(r#"{{"s":"{text}"}}"#)).await;
    assert_eq!(tx.usage().bytes_written, 500);
    get(&tx, id).await;
    get(&tx, id).await;
    assert_eq!((tx.usage().bytes_read, tx.usage().documents_read), (1_000, 2));
    assert_eq!(code(&tx.get(id).await.unwrap_err()), "TooManyBytesRead");
}

/// spec: D65
#[tokio::test]
async fn intervals_read() {
    let engine = limited(Limits { intervals_read_max: 20, ..defaults() }).open().await;
    let setup = begin(&engine);
    let id = insert(&setup, "items", r#"{"n":1.0}"#).await;
    commit(&engine, &setup).unwrap();
    let tx = begin(&engine);
    for n in 0..19 {
        Read::eq_n(f64::from(n)).run(&tx).await;
    }
    for _ in 0..30 {
        get(&tx, id).await;
        Read::eq_n(5.0).run(&tx).await;
    }
    assert_eq!(tx.usage().intervals_read, 20, "the same ones count once");
    let error = Read::eq_n(99.0).step(&tx, None, None).await.unwrap_err();
    assert_eq!(code(&error), "TooManyReads");

    let tx = begin(&engine);
    for n in 0..40 {
        let from = Read::all("items", "by_n").with(RangeOp::Gte, "n", Value::Float64(f64::from(n)));
        from.with(RangeOp::Lt, "n", Value::Float64(f64::from(n + 2))).run(&tx).await;
    }
    assert_eq!(tx.usage().intervals_read, 1, "overlapping ones are one");
}

/// spec: D65, D66
#[tokio::test]
async fn documents_and_bytes_written() {
    let engine = limited(Limits { documents_written_max: 3, ..defaults() }).open().await;
    let tx = begin(&engine);
    let id = insert(&tx, "items", "{}").await;
    tx.patch(id, Fields::Typed(r#"{"n":1.0}"#)).await.unwrap();
    tx.patch(id, Fields::Typed(r#"{"n":1.0}"#)).await.unwrap();
    tx.patch(id, Fields::Typed(r#"{"n":2.0}"#)).await.unwrap();
    assert_eq!(tx.usage().documents_written, 3, "the same one twice counts twice, no change counts nothing");
    assert_eq!(code(&tx.delete(id).await.unwrap_err()), "TooManyWrites");
    assert_eq!(get(&tx, id).await.as_deref(), Some(r#"{"n":2.0}"#));
    commit(&engine, &tx).unwrap();

    let engine = limited(Limits { bytes_written_max: 130, ..defaults() }).open().await;
    let tx = begin(&engine);
    insert(&tx, "items", "{}").await;
    insert(&tx, "items", "{}").await;
    assert_eq!(tx.usage().bytes_written, 126);
    let error = tx.insert("items", Fields::Typed("{}")).await.unwrap_err();
    assert_eq!(code(&error), "TooManyBytesWritten");
}

/// spec: D12, D65
#[tokio::test]
async fn one_document() {
    let engine = items().open().await;
    let tx = begin(&engine);
    let text = |len: usize| format!(r#"{{"s":"{}"}}"#, "x".repeat(len - 63 - 4));
    insert(&tx, "items", &text(1 << 20)).await;
    for fields in [Fields::Typed(&text((1 << 20) + 1)), Fields::Untyped(&text((1 << 20) + 1))] {
        let error = tx.insert("items", fields).await.unwrap_err();
        assert_eq!(code(&error), "ValueTooLargeError");
        assert!(error.to_string().contains("items") && error.to_string().contains("1048577"), "{error}");
    }
    let nested = |levels: usize| format!(r#"{{"s":{}{}}}"#, "[".repeat(levels - 1), "]".repeat(levels - 1));
    insert(&tx, "items", &nested(16)).await;
    for fields in [Fields::Typed(&nested(17)), Fields::Untyped(&nested(17))] {
        assert_eq!(code(&tx.insert("items", fields).await.unwrap_err()), "TooNestedError");
    }
}

#[tokio::test]
async fn tables() {
    let engine = limited(Limits { tables_max: 4, ..defaults() }).open().await;
    let tx = begin(&engine);
    insert(&tx, "third", "{}").await;
    insert(&tx, "fourth", "{}").await;
    let error = tx.insert("fifth", Fields::Typed("{}")).await.unwrap_err();
    assert_eq!(code(&error), "TooManyTables");
    for (name, expected) in [("_mine", "ReadOnlyTable"), ("no spaces", "InvalidTableName"), ("", "InvalidTableName")] {
        assert_eq!(code(&tx.insert(name, Fields::Typed("{}")).await.unwrap_err()), expected);
    }
}
