//! Many tasks at once on several threads: transfers that conflict, queries that see no half of one.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use futures::future::BoxFuture;
use syncline_engine::{
    At, BeginOptions, CommitError, Engine, EngineConfig, MemoryStorage, Ports, SqliteOptions, SqliteStorage, Storage,
    Timer,
};
use syncline_functions::tx::{Fields, Tx};
use syncline_schema::{RangeOp, Value};
use syncline_tests::random::Rng;

use crate::world::{Read, begin, insert, items, own};

const N_ACCOUNTS: u64 = 20;
const START: i64 = 1_000;
const N_TASKS: u64 = 8;
const N_TRANSFERS: u64 = 150;

fn balance(text: &str) -> i64 {
    let start = text.find(r#""balance":"#).unwrap() + 10;
    let end = text[start..].find([',', '}']).unwrap() + start;
    text[start..end].parse::<f64>().unwrap() as i64
}

/// Reads two accounts through the index and moves money between them, however often it takes.
async fn transfer(engine: &Engine, rng: &mut Rng, n_conflicts: &AtomicU64) {
    let (from, to) = (rng.below(N_ACCOUNTS), rng.below(N_ACCOUNTS));
    let mut attempts = 0;
    loop {
        attempts += 1;
        // After a few conflicts, alone.
        let turn = if attempts > 4 { Some(engine.exclusive().await) } else { None };
        let options = BeginOptions { turn: turn.as_ref().map(|turn| turn.id()), ..BeginOptions::default() };
        let tx = engine.begin(At::Committed, options).unwrap();
        for (account, amount) in [(from, -1), (to, 1)] {
            let batch = Read::eq_n(account as f64).step(&tx, None, None).await.unwrap();
            let document = &batch.documents[0];
            let fields = format!(r#"{{"balance":{}.0}}"#, balance(&own(document)) + amount);
            tokio::task::yield_now().await;
            tx.patch(document.id, Fields::Typed(&fields)).await.unwrap();
        }
        match engine.commit(&tx, None) {
            Ok(committed) => {
                drop(turn);
                assert!(engine.wait_durable(committed.ts, tx.generation()).await);
                return;
            }
            Err(CommitError::Conflict(_)) => {
                assert!(turn.is_none(), "whoever has the turn cannot lose");
                n_conflicts.fetch_add(1, Ordering::Relaxed);
            }
            Err(CommitError::TurnTaken) => engine.turn_ended().await,
            Err(other) => panic!("{other}"),
        }
    }
}

/// A query over all accounts, again and again.
async fn watch(engine: Engine, stop: Arc<AtomicBool>) -> u64 {
    let mut n = 0;
    while !stop.load(Ordering::Relaxed) {
        let tx = engine.begin(At::Durable, BeginOptions::default()).unwrap();
        let all = Read::all("items", "by_n").with(RangeOp::Gte, "n", Value::Float64(0.0)).take(7);
        let total: i64 = all.run_all(&tx).await.iter().map(|text| balance(text)).sum();
        assert_eq!(total, N_ACCOUNTS as i64 * START);
        n += 1;
        tokio::task::yield_now().await;
    }
    n
}

/// The clock stands still here, so nothing that waits for a time ever happens.
struct Never;

impl Timer for Never {
    fn sleep(&self, _duration: Duration) -> BoxFuture<'static, ()> {
        Box::pin(std::future::pending())
    }
}

async fn run(storage: Arc<dyn Storage>, config: EngineConfig) {
    let world = items();
    let ports = Ports { timer: Arc::new(Never), ..world.ports() };
    let engine = Engine::open(storage, world.schema.clone(), config, ports).await.unwrap();
    let tx = begin(&engine);
    for n in 0..N_ACCOUNTS {
        insert(&tx, "items", &format!(r#"{{"balance":{START}.0,"n":{n}.0}}"#)).await;
    }
    let ts = engine.commit(&tx, None).unwrap().ts;
    assert!(engine.wait_durable(ts, 0).await);
    drop(tx);
    let stop = Arc::new(AtomicBool::new(false));
    let watcher = tokio::spawn(watch(engine.clone(), stop.clone()));
    let n_conflicts = Arc::new(AtomicU64::new(0));
    let tasks: Vec<_> = (0..N_TASKS)
        .map(|task| {
            let (engine, n_conflicts) = (engine.clone(), n_conflicts.clone());
            tokio::spawn(async move {
                let mut rng = Rng(task);
                for n in 0..N_TRANSFERS {
                    transfer(&engine, &mut rng, &n_conflicts).await;
                    if n % 50 == task {
                        engine.checkpoint().await.unwrap();
                    }
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    stop.store(true, Ordering::Relaxed);
    assert!(watcher.await.unwrap() > 0);
    assert!(n_conflicts.load(Ordering::Relaxed) > 0, "they did meet");
    let tx = begin(&engine);
    let all = Read::all("items", "by_n").run(&tx).await;
    assert_eq!(all.iter().map(|text| balance(text)).sum::<i64>(), N_ACCOUNTS as i64 * START);
    drop(tx);
    engine.shutdown().await.unwrap();
}

/// spec: D82, D86, S55
#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn in_memory() {
    run(Arc::new(MemoryStorage::new()), EngineConfig::default()).await;
}

/// spec: D82, D86
#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn on_sqlite_with_hardly_any_memory() {
    let folder = tempfile::tempdir().unwrap();
    let storage = SqliteStorage::open(folder.path().join("store.db"), &SqliteOptions::default()).unwrap();
    let config = EngineConfig { memory_budget_bytes: 3_000, checkpoint_log_bytes: 20_000, ..EngineConfig::default() };
    run(Arc::new(storage), config).await;
}
