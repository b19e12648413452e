//! Environment variables of the deployment: transactional, in the read set, durable.

use std::collections::BTreeMap;

use syncline_engine::{CommitError, Engine, Subscriptions};
use syncline_functions::tx::Tx;

use crate::world::{begin, commit, insert, items, now};

async fn set(engine: &Engine, changes: &[(&str, Option<&str>)]) {
    let changes: BTreeMap<_, _> =
        changes.iter().map(|(name, value)| ((*name).to_owned(), value.map(str::to_owned))).collect();
    let committed = engine.set_environment_variables(changes).await.unwrap();
    assert!(engine.wait_durable(committed.ts, 0).await);
}

fn read(tx: &dyn Tx, name: &str) -> Option<String> {
    now(tx.environment_variable(name)).unwrap().map(|value| value.to_string())
}

#[tokio::test]
async fn variables_are_read_at_the_snapshot() {
    let engine = items().open().await;
    let before = begin(&engine);
    set(&engine, &[("URL", Some("a")), ("KEY", Some("k"))]).await;
    let between = begin(&engine);
    set(&engine, &[("URL", Some("b")), ("KEY", None)]).await;
    let after = begin(&engine);
    assert_eq!([read(&*before, "URL"), read(&*before, "KEY")], [None, None]);
    assert_eq!([read(&*between, "URL"), read(&*between, "KEY")], [Some("a".to_owned()), Some("k".to_owned())]);
    assert_eq!([read(&*after, "URL"), read(&*after, "KEY")], [Some("b".to_owned()), None]);
    assert_eq!(engine.environment_variables(), [("URL".into(), "b".into())]);
}

#[tokio::test]
async fn whoever_read_a_variable_is_affected_when_it_changes() {
    let engine = items().open().await;
    let (reader, other) = (begin(&engine), begin(&engine));
    assert_eq!(read(&*reader, "URL"), None);
    assert_eq!(read(&*other, "KEY"), None);
    for tx in [&reader, &other] {
        insert(tx, "items", "{}").await;
    }
    let mut subscriptions = Subscriptions::default();
    subscriptions.register("reader", &reader.read_set());
    subscriptions.register("other", &other.read_set());
    set(&engine, &[("URL", Some("a"))]).await;
    let commits = engine.commits_after(reader.snapshot()).unwrap();
    assert_eq!(subscriptions.affected(&commits[0]), ["reader"]);
    assert!(matches!(commit(&engine, &reader), Err(CommitError::Conflict(_))));
    commit(&engine, &other).unwrap();
}

#[tokio::test]
async fn whoever_read_all_variables_is_affected_by_each() {
    let engine = items().open().await;
    set(&engine, &[("B", Some("2")), ("A", Some("1"))]).await;
    let reader = begin(&engine);
    let all = now(reader.environment_variables()).unwrap();
    assert_eq!(all, [("A".into(), "1".into()), ("B".into(), "2".into())]);
    let mut subscriptions = Subscriptions::default();
    for change in [("A", None), ("NEW", Some("3"))] {
        subscriptions.register("reader", &reader.read_set());
        let before = engine.durable();
        set(&engine, &[change]).await;
        assert_eq!(subscriptions.affected(&engine.commits_after(before).unwrap()[0]), ["reader"], "{change:?}");
        subscriptions.remove(&"reader");
    }
}

#[tokio::test]
async fn variables_survive_crashes_and_checkpoints() {
    let mut world = items();
    let engine = world.open().await;
    set(&engine, &[("A", Some("1")), ("B", Some("2"))]).await;
    engine.checkpoint().await.unwrap();
    set(&engine, &[("A", None), ("C", Some("3"))]).await;
    let engine = world.crash_and_open().await;
    let expected = [("B".into(), "2".into()), ("C".into(), "3".into())];
    assert_eq!(engine.environment_variables(), expected);
    engine.checkpoint().await.unwrap();
    let engine = world.crash_and_open().await;
    assert_eq!(engine.environment_variables(), expected);
}
