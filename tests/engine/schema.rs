//! From one schema to the next, at a start.

use std::sync::{Arc, Mutex};

use syncline_engine::{Fault, OpenError, Progress};
use syncline_functions::tx::{Fields, Tx};
use syncline_schema::{FieldValidator, RangeOp, Schema, TableDefinition, Validator, Value};

use crate::world::{Read, World, begin, code, commit, get, insert, items, patch};

fn object(fields: &[(&str, FieldValidator)]) -> Validator {
    Validator::object(fields.iter().map(|(name, field)| (*name, field.clone())))
}

fn number() -> FieldValidator {
    FieldValidator::required(Validator::Float64)
}

async fn filled(n: usize) -> World {
    let mut world = items();
    let engine = world.open().await;
    for start in (0..n).step_by(10_000) {
        let tx = begin(&engine);
        for i in start..n.min(start + 10_000) {
            insert(&tx, "items", &format!(r#"{{"n":{i}.0,"s":"{}"}}"#, i % 10)).await;
        }
        let committed = commit(&engine, &tx).unwrap();
        assert!(engine.wait_durable(committed.ts, 0).await);
    }
    world.storage = world.storage.reopen();
    world
}

/// Lets the engine's own futures get on.
async fn others_run() {
    for _ in 0..2_000 {
        tokio::task::yield_now().await;
    }
}

/// Whether the schema never had the table, or does not have it any more.
///
/// spec: D38
#[tokio::test]
async fn a_table_outside_the_schema_stays_writable_and_unchecked() {
    let checked = |name: &str| TableDefinition::new(name, object(&[("n", number())]));
    let mut world = World::new([checked("kept"), checked("left")]);
    let engine = world.open().await;
    let tx = begin(&engine);
    let old = tx.insert("left", Fields::Untyped(r#"{"n":1}"#)).await.unwrap();
    assert_eq!(code(&tx.patch(old, Fields::Untyped(r#"{"n":"x"}"#)).await.unwrap_err()), "SchemaEnforcementError");
    let committed = commit(&engine, &tx).unwrap();
    assert!(engine.wait_durable(committed.ts, 0).await);
    drop((tx, engine));

    world.schema = Schema::new([checked("kept")]);
    world.clock.advance(std::time::Duration::from_secs(1));
    let engine = world.crash_and_open().await;
    let tx = begin(&engine);
    assert_eq!(get(&tx, old).await.as_deref(), Some(r#"{"n":1.0}"#));
    tx.patch(old, Fields::Untyped(r#"{"n":"x","more":null}"#)).await.unwrap();
    for table in ["left", "never"] {
        let id = tx.insert(table, Fields::Untyped(r#"{"any":["thing"]}"#)).await.unwrap();
        tx.replace(id, Fields::Untyped(r#"{"any":1}"#)).await.unwrap();
    }
    let refused = tx.insert("kept", Fields::Untyped(r#"{"any":1}"#)).await.unwrap_err();
    assert_eq!(code(&refused), "SchemaEnforcementError");
    commit(&engine, &tx).unwrap();
    let tx = begin(&engine);
    let left = Read::all("left", "by_creation_time").run(&tx).await;
    assert_eq!(left, [r#"{"more":null,"n":"x"}"#, r#"{"any":1.0}"#]);
    assert_eq!(Read::all("never", "by_creation_time").run(&tx).await, [r#"{"any":1.0}"#]);
}

/// spec: D33, D34, D66
#[tokio::test]
async fn a_write_that_breaks_the_schema_fails_and_changes_nothing() {
    let checked = TableDefinition::new("checked", object(&[("n", number())]));
    let world = World::new([checked, TableDefinition::new("other", Validator::Any)]);
    let engine = world.open().await;
    let tx = begin(&engine);
    let id = tx.insert("checked", Fields::Untyped(r#"{"n":1}"#)).await.unwrap();
    for (what, result) in [
        ("insert", tx.insert("checked", Fields::Untyped(r#"{"n":"x"}"#)).await.map(drop)),
        ("patch", tx.patch(id, Fields::Untyped(r#"{"n":null}"#)).await),
        ("patch", tx.patch(id, Fields::Untyped(r#"{"n":{"$undefined":null}}"#)).await),
        ("replace", tx.replace(id, Fields::Untyped(r#"{"n":1,"more":1}"#)).await),
    ] {
        let error = result.unwrap_err();
        assert_eq!(code(&error), "SchemaEnforcementError", "{what}");
        assert!(error.to_string().contains("checked"), "{error}");
        assert!(what == "insert" || error.to_string().contains(&id.to_string()), "{error}");
    }
    assert_eq!(get(&tx, id).await.as_deref(), Some(r#"{"n":1.0}"#));
    // D38
    tx.insert("unnamed", Fields::Untyped(r#"{"anything":["goes"]}"#)).await.unwrap();
    commit(&engine, &tx).unwrap();
}

/// spec: D33
#[tokio::test]
async fn ids_are_checked_against_their_table() {
    let owner = FieldValidator::required(Validator::Id("users".to_owned()));
    let posts = TableDefinition::new("posts", object(&[("owner", owner)]));
    let world = World::new([posts, TableDefinition::new("users", Validator::Any)]);
    let engine = world.open().await;
    let tx = begin(&engine);
    let user = insert(&tx, "users", "{}").await;
    let post = format!(r#"{{"owner":"{user}"}}"#);
    let post = tx.insert("posts", Fields::Untyped(&post)).await.unwrap();
    let wrong = format!(r#"{{"owner":"{post}"}}"#);
    let error = tx.insert("posts", Fields::Untyped(&wrong)).await.unwrap_err();
    assert_eq!(code(&error), "SchemaEnforcementError");
    assert!(error.to_string().contains("posts") && error.to_string().contains("users"), "{error}");
}

/// spec: D35
#[tokio::test]
async fn without_validation_any_document_is_accepted() {
    let checked = TableDefinition::new("checked", object(&[("n", number())])).with_index("by_n", &["n"]);
    let mut world = World::new([checked]);
    world.schema.validation = false;
    let engine = world.open().await;
    let tx = begin(&engine);
    tx.insert("checked", Fields::Untyped(r#"{"n":"x"}"#)).await.unwrap();
    let read = Read::all("checked", "by_n").with(RangeOp::Eq, "n", Value::String("x".to_owned()));
    assert_eq!(read.run(&tx).await, [r#"{"n":"x"}"#]);
}

/// spec: D40
#[tokio::test]
async fn a_new_index_has_all_documents() {
    let mut world = filled(3_000).await;
    let told = Arc::new(Mutex::new(Vec::new()));
    let indexed = TableDefinition::new("items", Validator::Any).with_index("by_s", &["s"]).with_index("by_n", &["n"]);
    world.schema = Schema::new([indexed]);
    let (sink, mut ports) = (told.clone(), world.ports());
    ports.progress = Some(Arc::new(move |progress: &Progress| sink.lock().unwrap().push(progress.clone())));
    let storage = Arc::new(world.storage.clone());
    let opened = syncline_engine::Engine::open(storage, world.schema.clone(), world.config.clone(), ports).await;
    let engine = opened.unwrap();
    let tx = begin(&engine);
    let read = Read::all("items", "by_s").with(RangeOp::Eq, "s", Value::String("3".to_owned())).take(1000);
    assert_eq!(read.run_all(&tx).await.len(), 300);
    assert_eq!(Read::eq_n(77.0).run(&tx).await, [r#"{"n":77.0,"s":"7"}"#]);
    let gone = Read::all("items", "by_s_n").step(&tx, None, None).await.unwrap_err();
    assert_eq!(code(&gone), "IndexNotFoundError");
    let last = told.lock().unwrap().last().cloned().unwrap();
    assert_eq!((last.work, last.of.as_str(), last.done), ("index", "items.by_s", 3_000));
    insert(&tx, "items", r#"{"s":"3"}"#).await;
    commit(&engine, &tx).unwrap();
    drop(tx);
    engine.shutdown().await.unwrap();
    let engine = world.crash_and_open().await;
    assert_eq!(read.run_all(&begin(&engine)).await.len(), 301);
}

/// spec: D31, D36
#[tokio::test]
async fn documents_that_do_not_fit_refuse_the_start_and_nothing_changes() {
    let mut world = filled(20).await;
    let before = world.schema.clone();
    let fits = object(&[("n", number()), ("s", FieldValidator::required(Validator::literal("5")))]);
    world.schema = Schema::new([TableDefinition::new("items", fits).with_index("by_new", &["s"])]);
    let text = match world.try_open().await {
        Err(OpenError::Mismatch(mismatch)) => {
            assert_eq!((mismatch.table.as_str(), mismatch.n_documents), ("items", 18));
            assert_eq!(mismatch.examples.len(), 5);
            mismatch.to_string()
        }
        other => panic!("{other:?}"),
    };
    for part in ["`items`", "18", r#"v.literal("5")"#, ".s", "and 13 more"] {
        assert!(text.contains(part), "{part} is not in: {text}");
    }
    world.schema = before;
    let engine = world.crash_and_open().await;
    let tx = begin(&engine);
    assert_eq!(Read::eq_n(5.0).run(&tx).await.len(), 1);
    assert_eq!(code(&Read::all("items", "by_new").step(&tx, None, None).await.unwrap_err()), "IndexNotFoundError");
    drop((tx, engine));
    // D43: what fits is taken.
    let optional = |validator| FieldValidator::optional(validator);
    let fits = object(&[("n", number()), ("s", optional(Validator::String)), ("t", optional(Validator::Null))]);
    world.schema = Schema::new([TableDefinition::new("items", fits)]);
    world.crash_and_open().await;
}

/// Numbers of tables never change; a table that is not declared any more keeps its documents, unchecked.
#[tokio::test]
async fn tables_keep_their_numbers() {
    let mut world = filled(3).await;
    let engine = world.open().await;
    let tx = begin(&engine);
    let (items, others) = (tx.table_number("items").unwrap(), tx.table_number("others").unwrap());
    assert_eq!((items.0, others.0), (10_001, 10_002));
    insert(&tx, "made_by_hand", "{}").await;
    commit(&engine, &tx).unwrap();
    drop(tx);
    engine.shutdown().await.unwrap();
    let table = |name| TableDefinition::new(name, Validator::Any);
    world.schema = Schema::new([table("a_new_one"), table("others"), table("zebra")]);
    let engine = world.crash_and_open().await;
    let tx = begin(&engine);
    let number = |name| tx.table_number(name).map(|number| number.0);
    assert_eq!(number("items"), Some(10_001));
    assert_eq!(number("others"), Some(10_002));
    assert_eq!(number("made_by_hand"), Some(10_003));
    assert_eq!((number("a_new_one"), number("zebra")), (Some(10_004), Some(10_005)));
    assert_eq!(Read::all("items", "by_creation_time").run(&tx).await.len(), 3);
}

/// spec: D41
#[tokio::test]
async fn a_staged_index_is_built_but_not_for_use() {
    let mut world = filled(30).await;
    let mut table = TableDefinition::new("items", Validator::Any).with_index("by_s", &["s"]);
    table.staged_indexes = std::mem::take(&mut table.indexes);
    world.schema = Schema::new([table]);
    let engine = world.crash_and_open().await;
    let read = Read::all("items", "by_s").with(RangeOp::Eq, "s", Value::String("3".to_owned()));
    let error = read.step(&begin(&engine), None, None).await.unwrap_err();
    assert!(error.to_string().contains("staged"), "{error}");
    others_run().await;
    engine.shutdown().await.unwrap();
    let n_entries = world.storage.counts().2;
    world.schema = Schema::new([TableDefinition::new("items", Validator::Any).with_index("by_s", &["s"])]);
    let engine = world.crash_and_open().await;
    assert_eq!(read.run(&begin(&engine)).await.len(), 3);
    assert_eq!(world.storage.counts().2, n_entries, "nothing was built again");
}

#[tokio::test]
async fn a_dropped_index_leaves_no_entries() {
    let mut world = filled(3_000).await;
    world.schema = Schema::new([TableDefinition::new("items", Validator::Any)]);
    let engine = world.crash_and_open().await;
    others_run().await;
    assert_eq!(world.storage.counts().2, 3_000, "only those of by_creation_time");
    drop(engine);
}

fn with_index(name: &str, field: &str) -> TableDefinition {
    TableDefinition::new("items", Validator::Any).with_index(name, &[field])
}

/// A budget that makes the building of an index write and note what it has after each chunk of documents.
const BUDGET_OF_ONE_CHUNK: usize = 300 << 10;

/// A start that is broken off at any sync goes on at the next, also with another schema.
#[tokio::test]
async fn an_interrupted_start_goes_on() {
    const N: usize = 6_000;
    let mut filled = filled(N).await;
    filled.config.memory_budget_bytes = BUDGET_OF_ONE_CHUNK;
    let mut sync = 0;
    loop {
        let mut world = World { storage: filled.storage.reopen(), ..filled.clone() };
        let first = world.storage.n_syncs();
        world.storage.fail_at(first + sync, Fault::CrashTorn);
        world.schema = Schema::new([with_index("by_s", "s")]);
        let opened = world.try_open().await;
        if opened.is_ok() {
            break;
        }
        if sync % 2 == 1 {
            world.schema = Schema::new([with_index("by_s", "s").with_index("by_n", &["n"])]);
        }
        let engine = world.crash_and_open().await;
        let read = Read::all("items", "by_s").with(RangeOp::Eq, "s", Value::String("3".to_owned())).take(2_000);
        assert_eq!(read.run_all(&begin(&engine)).await.len(), N / 10);
        assert_eq!(
            Read::all("items", "by_id").with(RangeOp::Gt, "_id", None).take(1).run(&begin(&engine)).await.len(),
            1
        );
        let n_indexes = if sync % 2 == 1 { 3 } else { 2 };
        others_run().await;
        assert_eq!(world.storage.counts().2, N * n_indexes);
        sync += 1;
    }
    assert!(sync > N as u64 / 1_024, "an index is noted to be on its way after each chunk");
}

/// A server without the new index may run between two starts that build it: what that one wrote is indexed as well.
#[tokio::test]
async fn what_is_written_between_two_starts_is_in_the_index() {
    const N: usize = 6_000;
    let mut world = filled(N).await;
    world.config.memory_budget_bytes = BUDGET_OF_ONE_CHUNK;
    let old = world.schema.clone();
    // In the middle: half of the entries are there.
    world.storage.fail_at(world.storage.n_syncs() + 4, Fault::CrashTorn);
    world.schema = Schema::new([with_index("by_s", "s")]);
    assert!(world.try_open().await.is_err());

    world.schema = old;
    let engine = world.crash_and_open().await;
    let tx = begin(&engine);
    for document in Read::eq_n(7.0).step(&tx, None, None).await.unwrap().documents {
        patch(&tx, document.id, r#"{"s":"changed"}"#).await;
    }
    let committed = commit(&engine, &tx).unwrap();
    assert!(engine.wait_durable(committed.ts, 0).await);
    drop((tx, engine));

    world.schema = Schema::new([with_index("by_s", "s")]);
    let engine = world.crash_and_open().await;
    let of = |s: &str| Read::all("items", "by_s").with(RangeOp::Eq, "s", Value::String(s.to_owned())).take(2_000);
    assert_eq!(of("changed").run_all(&begin(&engine)).await, [r#"{"n":7.0,"s":"changed"}"#]);
    assert_eq!(of("7").run_all(&begin(&engine)).await.len(), N / 10 - 1);
}
