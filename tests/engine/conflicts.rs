//! Which transactions may commit beside each other, and what happens to those that may not.

use std::time::Duration;

use syncline_engine::{At, BeginOptions, CommitError, Engine, Transaction};
use syncline_functions::tx::Tx;
use syncline_schema::{DocumentId, RangeOp, Value};

use crate::world::{Read, begin, commit, get, insert, items, patch};

async fn with_items(engine: &Engine, numbers: &[f64]) -> Vec<DocumentId> {
    let tx = begin(engine);
    let mut ids = Vec::new();
    for n in numbers {
        ids.push(insert(&tx, "items", &format!(r#"{{"n":{n:?}}}"#)).await);
    }
    commit(engine, &tx).unwrap();
    ids
}

fn conflicts(engine: &Engine, tx: &Transaction) -> bool {
    match commit(engine, tx) {
        Ok(_) => false,
        Err(CommitError::Conflict(_)) => true,
        Err(other) => panic!("{other}"),
    }
}

/// spec: D82
#[tokio::test]
async fn two_that_read_and_write_one_document_happen_one_after_the_other() {
    let engine = items().open().await;
    let id = with_items(&engine, &[0.0]).await[0];
    let (first, second) = (begin(&engine), begin(&engine));
    for tx in [&first, &second] {
        assert_eq!(get(tx, id).await.as_deref(), Some(r#"{"n":0.0}"#));
        patch(tx, id, r#"{"n":1.0}"#).await;
    }
    let committed = commit(&engine, &first).unwrap();
    assert!(committed.wrote && committed.ts > first.snapshot());
    match commit(&engine, &second) {
        Err(CommitError::Conflict(conflict)) => {
            assert_eq!(conflict.document, Some(id));
            assert_eq!(conflict.table.as_deref(), Some("items"));
            assert_eq!(conflict.newest, committed.ts);
        }
        other => panic!("{other:?}"),
    }
    let again = begin(&engine);
    assert_eq!(get(&again, id).await.as_deref(), Some(r#"{"n":1.0}"#));
    patch(&again, id, r#"{"n":2.0}"#).await;
    commit(&engine, &again).unwrap();
}

/// spec: D83
#[tokio::test]
async fn inserts_into_ranges_that_nobody_read_do_not_conflict() {
    let engine = items().open().await;
    let (first, second) = (begin(&engine), begin(&engine));
    insert(&first, "items", r#"{"n":1.0}"#).await;
    insert(&second, "items", r#"{"n":1.0}"#).await;
    assert!(!conflicts(&engine, &first));
    assert!(!conflicts(&engine, &second));
    let (first, second) = (begin(&engine), begin(&engine));
    assert!(Read::eq_n(5.0).run(&first).await.is_empty());
    assert!(Read::eq_n(6.0).run(&second).await.is_empty());
    insert(&first, "items", r#"{"n":5.0}"#).await;
    insert(&second, "items", r#"{"n":6.0}"#).await;
    assert!(!conflicts(&engine, &first));
    assert!(!conflicts(&engine, &second));
}

/// spec: D84
#[tokio::test]
async fn a_range_that_was_found_empty_conflicts_with_an_insert_into_it() {
    let engine = items().open().await;
    let (reader, writer) = (begin(&engine), begin(&engine));
    assert!(Read::eq_n(1.0).run(&reader).await.is_empty());
    insert(&reader, "others", "{}").await;
    insert(&writer, "items", r#"{"n":1.0}"#).await;
    assert!(!conflicts(&engine, &writer));
    assert!(conflicts(&engine, &reader));
}

/// A key that leaves a range conflicts as one that enters it, and so does a document whose keys stay.
///
/// spec: D84
#[tokio::test]
async fn old_and_new_keys_count() {
    for (change, touched) in [(r#"{"n":2.0}"#, true), (r#"{"s":"x"}"#, true), (r#"{"n":1.0}"#, false)] {
        let engine = items().open().await;
        let ids = with_items(&engine, &[1.0, 9.0]).await;
        let (reader, writer) = (begin(&engine), begin(&engine));
        assert_eq!(Read::eq_n(1.0).run(&reader).await.len(), 1);
        insert(&reader, "others", "{}").await;
        patch(&writer, ids[0], change).await;
        patch(&writer, ids[1], r#"{"n":8.0}"#).await;
        assert!(!conflicts(&engine, &writer));
        assert_eq!(conflicts(&engine, &reader), touched, "{change}");
    }
}

/// spec: D85
#[tokio::test]
async fn a_take_conflicts_up_to_its_last_document_only() {
    let engine = items().open().await;
    for (read, at, touched) in [
        (Read::all("items", "by_n").take(2), 2.5, false),
        (Read::all("items", "by_n").take(2), 1.5, true),
        (Read::all("items", "by_n").take(2).desc(), 1.5, false),
        (Read::all("items", "by_n").take(2).desc(), 3.5, true),
        (Read::all("items", "by_n").take(9), 99.0, true),
    ] {
        let setup = begin(&engine);
        for document in Read::all("items", "by_n").step(&setup, None, None).await.unwrap().documents {
            setup.delete(document.id).await.unwrap();
        }
        commit(&engine, &setup).unwrap();
        with_items(&engine, &[1.0, 2.0, 3.0, 4.0]).await;
        let (reader, writer) = (begin(&engine), begin(&engine));
        read.run(&reader).await;
        insert(&reader, "others", "{}").await;
        insert(&writer, "items", &format!(r#"{{"n":{at:?}}}"#)).await;
        assert!(!conflicts(&engine, &writer));
        assert_eq!(conflicts(&engine, &reader), touched, "{:?} {at}", read.order);
    }
}

/// spec: D56
#[tokio::test]
async fn a_patch_that_changes_nothing_is_no_write() {
    let engine = items().open().await;
    let id = with_items(&engine, &[1.0]).await[0];
    let (reader, writer) = (begin(&engine), begin(&engine));
    get(&reader, id).await;
    insert(&reader, "others", "{}").await;
    patch(&writer, id, r#"{"n":1.0}"#).await;
    assert!(!writer.has_writes());
    let committed = commit(&engine, &writer).unwrap();
    assert_eq!((committed.ts, committed.wrote), (writer.snapshot(), false));
    assert!(!conflicts(&engine, &reader));
    // There and back again is no write either.
    let writer = begin(&engine);
    patch(&writer, id, r#"{"n":2.0}"#).await;
    patch(&writer, id, r#"{"n":1.0}"#).await;
    assert!(!commit(&engine, &writer).unwrap().wrote);
}

#[tokio::test]
async fn absences_conflict() {
    let engine = items().open().await;
    let id = with_items(&engine, &[1.0]).await[0];
    let deleter = begin(&engine);
    deleter.delete(id).await.unwrap();
    let before = begin(&engine);
    get(&before, id).await;
    insert(&before, "others", "{}").await;
    commit(&engine, &deleter).unwrap();
    assert!(conflicts(&engine, &before), "what it saw was deleted");

    let (reader, maker) = (begin(&engine), begin(&engine));
    assert_eq!(reader.table_number("soon"), None);
    insert(&reader, "others", "{}").await;
    insert(&maker, "soon", "{}").await;
    commit(&engine, &maker).unwrap();
    assert!(conflicts(&engine, &reader), "the table it missed came into being");

    let (first, second) = (begin(&engine), begin(&engine));
    insert(&first, "one_table", "{}").await;
    insert(&second, "another_table", "{}").await;
    commit(&engine, &first).unwrap();
    assert!(conflicts(&engine, &second), "both would have the same number");
}

#[tokio::test]
async fn a_read_that_is_far_behind_is_checked_against_everything_since() {
    let engine = items().open().await;
    let ids = with_items(&engine, &[1.0, 2.0]).await;
    for (touched, id) in [(false, ids[1]), (true, ids[0])] {
        let reader = begin(&engine);
        get(&reader, ids[0]).await;
        insert(&reader, "others", "{}").await;
        for n in 0..500 {
            let writer = begin(&engine);
            patch(&writer, id, &format!(r#"{{"s":"{touched} {n}"}}"#)).await;
            commit(&engine, &writer).unwrap();
        }
        assert_eq!(conflicts(&engine, &reader), touched);
    }
}

#[tokio::test]
async fn the_turn_keeps_others_out_until_it_ends() {
    let world = items();
    let engine = world.open().await;
    let id = with_items(&engine, &[1.0]).await[0];
    let turn = engine.exclusive().await;
    let own = engine.begin(At::Committed, BeginOptions { turn: Some(turn.id()), ..BeginOptions::default() }).unwrap();
    patch(&own, id, r#"{"n":2.0}"#).await;
    let other = begin(&engine);
    insert(&other, "others", "{}").await;
    assert!(matches!(commit(&engine, &other), Err(CommitError::TurnTaken)));
    commit(&engine, &own).unwrap();
    let waiting = engine.turn_ended();
    drop(turn);
    waiting.await;
    commit(&engine, &other).unwrap();
}

#[tokio::test]
async fn a_turn_that_takes_too_long_ends() {
    let world = items();
    let engine = world.open().await;
    let turn = engine.exclusive().await;
    let own = engine.begin(At::Committed, BeginOptions { turn: Some(turn.id()), ..BeginOptions::default() }).unwrap();
    insert(&own, "items", "{}").await;
    let other = begin(&engine);
    insert(&other, "others", "{}").await;
    assert!(matches!(commit(&engine, &other), Err(CommitError::TurnTaken)));
    engine.turn_ended().await;
    commit(&engine, &other).unwrap();
    assert!(matches!(commit(&engine, &own), Err(CommitError::TurnTooLong)));
    drop(turn);
    let next = engine.exclusive().await;
    let own = engine.begin(At::Committed, BeginOptions { turn: Some(next.id()), ..BeginOptions::default() }).unwrap();
    insert(&own, "items", "{}").await;
    commit(&engine, &own).unwrap();
}

/// A check that would need commits which are gone is a failure, never a pass.
#[tokio::test]
async fn a_snapshot_that_is_too_old_neither_reads_nor_commits() {
    let world = items();
    let engine = world.open().await;
    let ids = with_items(&engine, &[1.0, 2.0]).await;
    let old = begin(&engine);
    get(&old, ids[0]).await;
    insert(&old, "others", "{}").await;
    for n in 0..20_000 {
        let writer = begin(&engine);
        patch(&writer, ids[n % 2], &format!(r#"{{"s":"{n}"}}"#)).await;
        commit(&engine, &writer).unwrap();
        if n % 100 == 0 {
            tokio::task::yield_now().await;
        }
    }
    let newest = begin(&engine);
    assert!(engine.wait_durable(newest.snapshot(), newest.generation()).await);
    drop(newest);
    world.clock.advance(Duration::from_secs(19));
    engine.checkpoint().await.unwrap();
    assert_eq!(get(&old, ids[0]).await.as_deref(), Some(r#"{"n":1.0}"#), "it is not 20 s old yet");
    world.clock.advance(Duration::from_secs(2));
    engine.checkpoint().await.unwrap();
    with_items(&engine, &[3.0]).await;
    assert!(old.get(ids[0]).await.is_err());
    assert!(old.failure().is_some());
    assert!(matches!(commit(&engine, &old), Err(CommitError::OutOfRetention | CommitError::Conflict(_))));
}

#[tokio::test]
async fn reading_to_the_end_is_reading_what_may_come() {
    let engine = items().open().await;
    with_items(&engine, &[1.0]).await;
    let read = Read::all("items", "by_n").with(RangeOp::Gt, "n", Value::Float64(0.5));
    let reader = begin(&engine);
    let first = read.clone().take(1).step(&reader, None, None).await.unwrap();
    assert!(!first.done);
    let second = read.step(&reader, Some(&first.keys[0]), None).await.unwrap();
    assert!(second.documents.is_empty() && second.done);
    insert(&reader, "others", "{}").await;
    with_items(&engine, &[100.0]).await;
    assert!(conflicts(&engine, &reader));
}
