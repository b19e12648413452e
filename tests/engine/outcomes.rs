//! The outcome of a request is stored with its mutation, once.

use std::time::Duration;

use syncline_engine::{CommitError, Engine, Outcome, RequestKey, Transaction};
use syncline_schema::Timestamp;

use crate::world::{World, begin, insert, items};

const SESSION: [u8; 16] = [7; 16];

fn key(request: u64) -> RequestKey {
    RequestKey { session: SESSION, request }
}

fn outcome(text: &str) -> Outcome {
    Outcome { ts: Timestamp::ZERO, value: text.into(), log_lines: vec![format!("[LOG] '{text}'")] }
}

/// Looks a request up and, when it is new, does something under it.
async fn request(engine: &Engine, key: RequestKey, text: &str) -> Outcome {
    let tx = begin(engine);
    if let Some(known) = tx.request_outcome(&key).await.unwrap() {
        return known;
    }
    insert(&tx, "items", r#"{"n":1.0}"#).await;
    let committed = engine.commit(&tx, Some((key, outcome(text)))).unwrap();
    assert!(engine.wait_durable(committed.ts, tx.generation()).await);
    Outcome { ts: committed.ts, ..outcome(text) }
}

async fn look_up(tx: &Transaction, request: u64) -> Option<Outcome> {
    tx.request_outcome(&key(request)).await.unwrap()
}

/// spec: S74, S75, S76, S79
#[tokio::test]
async fn a_request_takes_effect_once_over_checkpoints_and_restarts() {
    let mut world = items();
    let mut engine = world.open().await;
    let mut told = Vec::new();
    for n in 0..40 {
        told.push(request(&engine, key(n), &format!("first {n}")).await);
        match n % 4 {
            1 => engine.checkpoint().await.unwrap(),
            3 => engine = world.crash_and_open().await,
            _ => {}
        }
        for (again, told) in told.iter().enumerate() {
            assert_eq!(request(&engine, key(again as u64), "again").await, *told);
        }
    }
    let other = RequestKey { session: [8; 16], request: 5 };
    assert_eq!(request(&engine, other, "another session").await.value.as_ref(), "another session");
}

/// spec: S77
#[tokio::test]
async fn of_two_attempts_at_a_request_one_commits() {
    let engine = items().open().await;
    let (first, second) = (begin(&engine), begin(&engine));
    for tx in [&first, &second] {
        assert_eq!(look_up(tx, 1).await, None);
        insert(tx, "items", "{}").await;
    }
    engine.commit(&first, Some((key(1), outcome("one")))).unwrap();
    let conflict = engine.commit(&second, Some((key(1), outcome("two"))));
    assert!(matches!(conflict, Err(CommitError::Conflict(_))));
    assert_eq!(look_up(&begin(&engine), 1).await.unwrap().value.as_ref(), "one");
    assert_eq!(look_up(&second, 1).await, None, "its snapshot is older");
}

/// spec: S78
#[tokio::test]
async fn a_failure_leaves_no_record() {
    let engine = items().open().await;
    let failed = begin(&engine);
    assert_eq!(look_up(&failed, 1).await, None);
    insert(&failed, "items", "{}").await;
    drop(failed);
    assert_eq!(request(&engine, key(1), "at last").await.value.as_ref(), "at last");
}

#[tokio::test]
async fn an_outcome_is_stored_for_a_mutation_that_wrote_nothing() {
    let engine = items().open().await;
    let tx = begin(&engine);
    let committed = engine.commit(&tx, Some((key(1), outcome("nothing")))).unwrap();
    assert!(!committed.wrote && committed.ts > tx.snapshot());
    assert_eq!(look_up(&begin(&engine), 1).await.unwrap().ts, committed.ts);
}

/// spec: S81
#[tokio::test]
async fn outcomes_are_kept_for_fourteen_days() {
    let mut world = items();
    let engine = world.open().await;
    let told = request(&engine, key(1), "old").await;
    engine.checkpoint().await.unwrap();
    world.clock.advance(Duration::from_secs(14 * 24 * 3600 - 60));
    request(&engine, key(2), "newer").await;
    engine.checkpoint().await.unwrap();
    assert_eq!(look_up(&begin(&engine), 1).await, Some(told));
    world.clock.advance(Duration::from_secs(120));
    request(&engine, key(3), "newest").await;
    engine.checkpoint().await.unwrap();
    let engine = world.crash_and_open().await;
    let tx = begin(&engine);
    assert_eq!(look_up(&tx, 1).await, None);
    assert!(look_up(&tx, 2).await.is_some() && look_up(&tx, 3).await.is_some());
}

#[tokio::test]
async fn outcomes_over_their_byte_budget_go_oldest_first() {
    let mut world = items();
    world.config.outcome_bytes_max = 5_000;
    let engine = world.open().await;
    let text = "a result of one hundred characters, or so, so that fifty of them are as large as what is allowed here";
    for n in 0..100 {
        request(&engine, key(n), text).await;
        engine.checkpoint().await.unwrap();
    }
    let engine = world.crash_and_open().await;
    let tx = begin(&engine);
    assert_eq!(look_up(&tx, 0).await, None);
    assert_eq!(look_up(&tx, 50).await, None);
    assert!(look_up(&tx, 99).await.is_some() && look_up(&tx, 80).await.is_some());
}

/// A session that nobody has seen since the start is asked for once, and then known.
#[tokio::test]
async fn a_new_session_after_a_restart_is_known_after_one_look() {
    let world = World::new([]);
    let engine = world.open().await;
    request(&engine, key(4), "before").await;
    engine.shutdown().await.unwrap();
    let mut world = world;
    let engine = world.crash_and_open().await;
    let tx = begin(&engine);
    assert!(matches!(tx.request_outcome(&key(9)), syncline_functions::tx::Reply::Later(_)));
    assert_eq!(look_up(&tx, 9).await, None);
    assert!(matches!(tx.request_outcome(&key(10)), syncline_functions::tx::Reply::Now(_)), "above all that are stored");
    assert!(look_up(&tx, 4).await.is_some());
    assert_eq!(look_up(&tx, 3).await, None);
}
