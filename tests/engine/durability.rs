//! Visible before it is durable, told only after; undone when it cannot be stored.

use std::time::Duration;

use syncline_engine::{At, BeginError, BeginOptions, Clock, CommitError, Durability, Fault};
use syncline_functions::tx::Tx;

use crate::world::{Read, begin, commit, get, insert, items, patch};

async fn yield_often() {
    for _ in 0..20 {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_commit_is_visible_to_mutations_at_once_and_to_queries_when_it_is_durable() {
    let world = items();
    let engine = world.open().await;
    world.storage.hold_appends(true);
    let tx = begin(&engine);
    let id = insert(&tx, "items", r#"{"n":1.0}"#).await;
    let committed = commit(&engine, &tx).unwrap();
    let next = begin(&engine);
    assert_eq!(next.snapshot(), committed.ts);
    assert_eq!(get(&next, id).await.as_deref(), Some(r#"{"n":1.0}"#));
    let query = engine.begin(At::Durable, BeginOptions::default()).unwrap();
    assert_eq!(get(&query, id).await, None);
    yield_often().await;
    assert!(engine.durable() < committed.ts);
    assert_eq!(engine.durability(committed.ts, tx.generation()), Durability::Pending);
    let refused = engine.begin(At::Timestamp(committed.ts), BeginOptions::default());
    assert!(matches!(refused, Err(BeginError::OutOfRetention { .. })), "what is not durable is not for queries");
    world.storage.hold_appends(false);
    assert!(engine.wait_durable(committed.ts, tx.generation()).await);
    let query = engine.begin(At::Durable, BeginOptions::default()).unwrap();
    assert_eq!(get(&query, id).await.as_deref(), Some(r#"{"n":1.0}"#));
}

#[tokio::test]
async fn all_that_gathers_during_an_append_is_one_append() {
    let world = items();
    let engine = world.open().await;
    let before = world.storage.n_syncs();
    world.storage.hold_appends(true);
    let mut last = None;
    for n in 0..50 {
        let tx = begin(&engine);
        insert(&tx, "items", &format!(r#"{{"n":{n}.0}}"#)).await;
        last = Some(commit(&engine, &tx).unwrap());
        tokio::task::yield_now().await;
    }
    world.storage.hold_appends(false);
    engine.wait_durable(last.unwrap().ts, 0).await;
    assert_eq!(world.storage.n_syncs() - before, 2, "the first, and the 49 that came during it");
}

#[tokio::test]
async fn commits_that_are_about_to_come_share_an_append() {
    let world = items();
    let engine = world.open().await;
    let before = world.storage.n_syncs();
    let expected = [engine.expect_commit(), engine.expect_commit()];
    let first = begin(&engine);
    insert(&first, "items", r#"{"n":1.0}"#).await;
    commit(&engine, &first).unwrap();
    // The log writer sees that there is one, and that two are expected.
    tokio::task::yield_now().await;
    let second = begin(&engine);
    insert(&second, "items", r#"{"n":2.0}"#).await;
    let last = commit(&engine, &second).unwrap();
    drop(expected);
    assert!(engine.wait_durable(last.ts, second.generation()).await);
    assert_eq!(world.storage.n_syncs() - before, 1);
}

#[tokio::test]
async fn nobody_waits_for_a_commit_that_does_not_come() {
    let world = items();
    let engine = world.open().await;
    let _expected = [engine.expect_commit(), engine.expect_commit()];
    let before_ms = world.clock.monotonic_ms();
    let tx = begin(&engine);
    insert(&tx, "items", r#"{"n":1.0}"#).await;
    let committed = commit(&engine, &tx).unwrap();
    assert!(engine.wait_durable(committed.ts, tx.generation()).await);
    assert_eq!(world.clock.monotonic_ms() - before_ms, 1, "a millisecond");
}

/// spec: S82
#[tokio::test]
async fn timestamps_rise_when_the_clock_is_set_back_and_over_restarts() {
    let mut world = items();
    let engine = world.open().await;
    let mut last = engine.durable();
    assert!(last.0 >= 1_700_000_000_000_000_000, "making a store is a commit at the clock");
    for _ in 0..3 {
        world.clock.set_back(Duration::from_secs(3600));
        let engine = world.crash_and_open().await;
        assert!(engine.durable() >= last);
        let tx = begin(&engine);
        insert(&tx, "items", "{}").await;
        let committed = commit(&engine, &tx).unwrap();
        assert!(committed.ts > last);
        assert!(engine.wait_durable(committed.ts, 0).await);
        last = committed.ts;
    }
}

#[tokio::test]
async fn what_cannot_be_stored_is_undone_and_nothing_else() {
    let world = items();
    let engine = world.open().await;
    let tx = begin(&engine);
    let kept = insert(&tx, "items", r#"{"n":1.0}"#).await;
    let kept_at = commit(&engine, &tx).unwrap().ts;
    assert!(engine.wait_durable(kept_at, 0).await);

    world.storage.fail_at(world.storage.n_syncs(), Fault::Fails);
    let tx = begin(&engine);
    patch(&tx, kept, r#"{"n":2.0}"#).await;
    let lost = insert(&tx, "new_table", "{}").await;
    let lost_at = commit(&engine, &tx).unwrap().ts;
    let reader = begin(&engine);
    assert_eq!(get(&reader, kept).await.as_deref(), Some(r#"{"n":2.0}"#));
    let mut follower = begin(&engine);
    insert(&follower, "items", r#"{"n":3.0}"#).await;
    assert!(!engine.wait_durable(lost_at, tx.generation()).await, "it was undone");

    assert!(matches!(commit(&engine, &follower), Err(CommitError::Undone)), "it saw what was undone");
    assert_eq!(engine.durability(reader.snapshot(), reader.generation()), Durability::Undone);
    assert!(matches!(commit(&engine, &reader), Err(CommitError::Undone)), "also when it wrote nothing");
    yield_often().await;
    follower = begin(&engine);
    assert_eq!(follower.generation(), 1);
    assert_eq!(get(&follower, kept).await.as_deref(), Some(r#"{"n":1.0}"#));
    assert_eq!(Read::all("items", "by_n").run(&follower).await, [r#"{"n":1.0}"#]);
    assert_eq!((follower.table_number("new_table"), get(&follower, lost).await), (None, None));
    insert(&follower, "new_table", r#"{"n":4.0}"#).await;
    let again_at = commit(&engine, &follower).unwrap().ts;
    assert!(again_at > lost_at, "a timestamp is never used twice");
    assert!(engine.wait_durable(again_at, follower.generation()).await);
    assert_eq!(engine.durability(lost_at, 0), Durability::Undone, "also when newer ones are durable");
    assert_eq!(engine.durability(kept_at, 0), Durability::Durable);
    let commits = engine.commits_after(kept_at).unwrap();
    assert_eq!(commits.iter().map(|commit| commit.ts).collect::<Vec<_>>(), [again_at]);
}

#[tokio::test]
async fn an_append_that_failed_but_was_stored_counts() {
    let mut world = items();
    let engine = world.open().await;
    world.storage.fail_at(world.storage.n_syncs(), Fault::FailsButStored);
    let tx = begin(&engine);
    let id = insert(&tx, "items", r#"{"n":1.0}"#).await;
    let at = commit(&engine, &tx).unwrap().ts;
    assert!(engine.wait_durable(at, 0).await);
    let engine = world.crash_and_open().await;
    assert_eq!(get(&begin(&engine), id).await.as_deref(), Some(r#"{"n":1.0}"#));
}

#[tokio::test]
async fn while_the_log_cannot_be_read_commits_are_refused() {
    let world = items();
    let engine = world.open().await;
    world.storage.fail_at(world.storage.n_syncs(), Fault::FailsButStored);
    world.storage.set_unreadable(true);
    let tx = begin(&engine);
    insert(&tx, "items", r#"{"n":1.0}"#).await;
    let at = commit(&engine, &tx).unwrap().ts;
    yield_often().await;
    let refused = begin(&engine);
    insert(&refused, "items", r#"{"n":2.0}"#).await;
    assert!(matches!(commit(&engine, &refused), Err(CommitError::Storage(_))));
    assert_eq!(engine.durability(at, 0), Durability::Pending, "it is not known yet");
    world.storage.set_unreadable(false);
    assert!(engine.wait_durable(at, 0).await);
    commit(&engine, &refused).unwrap();
}

#[tokio::test]
async fn a_shutdown_leaves_everything_in_the_base() {
    let mut world = items();
    let engine = world.open().await;
    let late = begin(&engine);
    insert(&late, "items", r#"{"n":2.0}"#).await;
    let tx = begin(&engine);
    let id = insert(&tx, "items", r#"{"n":1.0}"#).await;
    commit(&engine, &tx).unwrap();
    drop(tx);
    engine.clone().shutdown().await.unwrap();
    assert!(matches!(commit(&engine, &late), Err(CommitError::Storage(_))));
    assert_eq!(world.storage.counts(), (1, 0, 0), "the open transaction held the checkpoint back");
    drop(late);
    let engine = world.crash_and_open().await;
    assert_eq!(get(&begin(&engine), id).await.as_deref(), Some(r#"{"n":1.0}"#));
    engine.shutdown().await.unwrap();
    assert_eq!(world.storage.counts(), (0, 1, 3), "one document, in three indexes");
}

#[tokio::test]
async fn a_pin_keeps_its_snapshot_and_the_commits_behind_it() {
    let world = items();
    let engine = world.open().await;
    let tx = begin(&engine);
    let id = insert(&tx, "items", r#"{"n":0.0}"#).await;
    let at = commit(&engine, &tx).unwrap().ts;
    assert!(engine.wait_durable(at, 0).await);
    drop(tx);
    let pin = engine.pin_durable().unwrap();
    assert_eq!(pin.ts(), at);
    let mut last = at;
    for n in 1..=10 {
        let tx = begin(&engine);
        patch(&tx, id, &format!(r#"{{"n":{n}.0}}"#)).await;
        last = commit(&engine, &tx).unwrap().ts;
        assert!(engine.wait_durable(last, 0).await);
    }
    engine.checkpoint().await.unwrap();
    let old = engine.begin(At::Timestamp(at), BeginOptions::default()).unwrap();
    assert_eq!(get(&old, id).await.as_deref(), Some(r#"{"n":0.0}"#));
    assert_eq!(engine.commits_after(at).unwrap().len(), 10);
    drop((old, pin));
    let tx = begin(&engine);
    patch(&tx, id, r#"{"n":-1.0}"#).await;
    commit(&engine, &tx).unwrap();
    let gone = engine.begin(At::Timestamp(at), BeginOptions::default());
    assert!(matches!(gone, Err(BeginError::OutOfRetention { ts }) if ts == at));
    assert!(engine.pin(at).is_err());
    engine.begin(At::Timestamp(last), BeginOptions::default()).unwrap();
}

#[tokio::test]
async fn pins_are_bounded() {
    let mut world = items();
    world.config.pins_max = 2;
    let engine = world.open().await;
    let first = engine.pin_durable().unwrap();
    let _second = engine.pin_durable().unwrap();
    assert!(matches!(engine.pin_durable(), Err(BeginError::TooManyPins { limit: 2 })));
    drop(first);
    engine.pin_durable().unwrap();
}

#[tokio::test]
async fn commits_that_wait_for_the_disk_are_bounded() {
    let mut world = items();
    world.config.pending_bytes_max = 10_000;
    let engine = world.open().await;
    world.storage.hold_appends(true);
    let mut n = 0;
    let overloaded = loop {
        let tx = begin(&engine);
        insert(&tx, "items", r#"{"s":"some hundred bytes of text, so that it does not take too many of them"}"#).await;
        match commit(&engine, &tx) {
            Ok(_) => n += 1,
            Err(error) => break error,
        }
        tokio::task::yield_now().await;
    };
    assert!(matches!(overloaded, CommitError::Overloaded) && n > 20, "{n} {overloaded}");
    world.storage.hold_appends(false);
    let seen = begin(&engine);
    assert!(engine.wait_durable(seen.snapshot(), 0).await);
    let tx = begin(&engine);
    insert(&tx, "items", "{}").await;
    commit(&engine, &tx).unwrap();
}

/// What is only in the log stays in memory, so the log may not outgrow the base without end.
#[tokio::test]
async fn commits_wait_while_the_base_is_far_behind() {
    let mut world = items();
    world.config.log_bytes_max = 10_000;
    let engine = world.open().await;
    // Holds the base where it is, until it is too old.
    let reader = begin(&engine);
    let started_ms = world.clock.monotonic_ms();
    let mut n = 0;
    while engine.log_bytes() < 10_000 {
        let tx = begin(&engine);
        insert(&tx, "items", r#"{"s":"some hundred bytes of text, so that it does not take too many of them"}"#).await;
        let committed = commit(&engine, &tx).unwrap();
        assert!(engine.wait_durable(committed.ts, 0).await);
        n += 1;
    }
    assert!(n > 20 && world.clock.monotonic_ms() == started_ms, "{n} commits, none waited");
    let tx = begin(&engine);
    insert(&tx, "items", "{}").await;
    let committed = commit(&engine, &tx).unwrap();
    drop(tx);
    assert!(engine.wait_durable(committed.ts, 0).await);
    let waited_ms = world.clock.monotonic_ms() - started_ms;
    let age_max_ms = world.config.snapshot_age_max.as_millis() as u64;
    assert!((1_000..age_max_ms).contains(&waited_ms), "it waited {waited_ms} ms, and the reader was ended early");
    assert!(engine.log_bytes() < 10_000);
    assert!(Read::all("items", "by_n").step(&reader, None, None).await.is_err(), "the reader was too old");
}
