//! Data larger than the memory for it.

use syncline_engine::Engine;
use syncline_functions::tx::Tx;
use syncline_schema::{DocumentId, RangeOp, Value};

use crate::world::{Read, World, begin, commit, insert, items, now, patch};

const N: usize = 4_000;
const BODY_BYTES: usize = 500;

/// A tenth of what the documents alone take.
const BUDGET: usize = N * BODY_BYTES / 10;

/// An engine over documents that are all in the base.
async fn filled() -> (World, Engine, Vec<DocumentId>) {
    let mut world = items();
    world.config.memory_budget_bytes = BUDGET;
    let engine = world.open().await;
    let mut ids = Vec::new();
    for start in (0..N).step_by(100) {
        let tx = begin(&engine);
        for n in start..start + 100 {
            ids.push(insert(&tx, "items", &format!(r#"{{"n":{n}.0,"s":"{}"}}"#, "x".repeat(BODY_BYTES))).await);
        }
        let committed = commit(&engine, &tx).unwrap();
        drop(tx);
        assert!(engine.wait_durable(committed.ts, 0).await);
        engine.checkpoint().await.unwrap();
        assert!(engine.data_bytes() < 2 * BUDGET, "{} bytes after {start} documents", engine.data_bytes());
    }
    (world, engine, ids)
}

#[tokio::test]
async fn reads_of_ten_times_the_budget_stay_within_twice_of_it() {
    let (_world, engine, ids) = filled().await;
    let check = |what: &str| assert!(engine.data_bytes() < 2 * BUDGET, "{} bytes after {what}", engine.data_bytes());
    for n in 0..N {
        let n = n * 1_237 % N;
        let tx = begin(&engine);
        assert_eq!(Read::eq_n(n as f64).run(&tx).await.len(), 1);
        assert!(tx.get(ids[n]).await.unwrap().is_some());
        check("a look-up");
    }
    for index in ["by_id", "by_creation_time", "by_n"] {
        let all = Read::all("items", index);
        assert_eq!(all.run_all(&begin(&engine)).await.len(), N);
        check(index);
        assert_eq!(all.desc().run_all(&begin(&engine)).await.len(), N);
        check(index);
    }
}

#[tokio::test]
async fn what_is_read_again_and_again_is_kept_in_memory() {
    let (_world, engine, ids) = filled().await;
    for _ in 0..2 {
        // Everything else passes by meanwhile.
        Read::all("items", "by_n").run_all(&begin(&engine)).await;
        for _ in 0..100 {
            assert!(begin(&engine).get(ids[17]).await.unwrap().is_some());
        }
    }
    let found = now(begin(&engine).get(ids[17])).unwrap();
    assert_eq!(found.map(|document| document.id), Some(ids[17]));
}

/// Rows that pass by memory are those of the snapshot, with what was written since over them.
#[tokio::test]
async fn rows_that_pass_by_memory_are_those_of_the_snapshot() {
    let (_world, engine, ids) = filled().await;
    let before = begin(&engine);
    let tx = begin(&engine);
    tx.delete(ids[2_001]).await.unwrap();
    patch(&tx, ids[2_002], r#"{"n":2001.5}"#).await;
    insert(&tx, "items", r#"{"n":2002.5,"s":"new"}"#).await;
    let range = Read::all("items", "by_n").with(RangeOp::Gte, "n", Value::Float64(2_000.0)).with(
        RangeOp::Lt,
        "n",
        Value::Float64(2_004.0),
    );
    let numbers = |texts: Vec<String>| -> Vec<String> {
        texts.iter().map(|text| text[r#"{"n":"#.len()..text.find(',').unwrap()].to_owned()).collect()
    };
    let (old, new) = (["2000.0", "2001.0", "2002.0", "2003.0"], ["2000.0", "2001.5", "2002.5", "2003.0"]);
    // Often enough that memory takes some of it in, while the rest passes by.
    for _ in 0..20 {
        assert_eq!(numbers(range.run(&tx).await), new, "its own writes");
        assert_eq!(numbers(range.run(&before).await), old);
    }
    commit(&engine, &tx).unwrap();
    for _ in 0..20 {
        assert_eq!(numbers(range.run(&before).await), old);
        assert_eq!(numbers(range.run(&begin(&engine)).await), new);
        let backwards: Vec<&str> = new.iter().rev().copied().collect();
        assert_eq!(numbers(range.clone().desc().run(&begin(&engine)).await), backwards);
        Read::all("items", "by_creation_time").run_all(&begin(&engine)).await;
    }
}
