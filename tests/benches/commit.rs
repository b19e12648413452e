//! How fast the engine commits: transfers between accounts, in memory and on SQLite, beside bare SQLite.
//!
//! One transfer reads two accounts through an index and patches both. The bare program appends as many bytes to a log
//! table and syncs once for as many transfers: the limit of durable writes on this machine. All on one thread but for
//! SQLite's own; times are those of this process, kernel included.
//!
//! `cargo bench -p syncline-tests --bench commit [-- SECONDS] [memory|queries|sqlite|bare]`

use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::future::BoxFuture;
use rusqlite::Connection;
use syncline_engine::{
    At, BeginOptions, Clock, CommitError, Engine, EngineConfig, MemoryStorage, Outcome, Ports, Random, RequestKey,
    Spawn, SqliteOptions, SqliteStorage, Storage, Subscriptions, Timer, Transaction,
};
use syncline_functions::tx::{Fields, Order, Reply, Scan, Tx};
use syncline_schema::{FieldPath, RangeOp, RangePart, Schema, TableDefinition, Timestamp, Validator, Value};

/// As in the servers that are measured.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const ACCOUNTS: u64 = 100_000;

/// Transfers in flight: 64 clients with 40 each.
const IN_FLIGHT: usize = 64 * 40;

struct BenchClock(Instant);

impl Clock for BenchClock {
    fn wall_ns(&self) -> u64 {
        1_700_000_000_000_000_000 + self.0.elapsed().as_nanos() as u64
    }
    fn monotonic_ms(&self) -> u64 {
        self.0.elapsed().as_millis() as u64
    }
}

struct BenchTimer;

impl Timer for BenchTimer {
    fn sleep(&self, duration: Duration) -> BoxFuture<'static, ()> {
        Box::pin(tokio::time::sleep(duration))
    }
}

struct BenchRandom(std::sync::atomic::AtomicU64);

impl Random for BenchRandom {
    fn fill(&self, bytes: &mut [u8]) {
        for chunk in bytes.chunks_mut(8) {
            let n = self.0.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
            let word = mix(n).to_le_bytes();
            chunk.copy_from_slice(&word[..chunk.len()]);
        }
    }
}

struct BenchSpawn;

impl Spawn for BenchSpawn {
    fn spawn(&self, _name: &'static str, future: BoxFuture<'static, ()>) {
        tokio::spawn(future);
    }
}

#[expect(clippy::disallowed_methods, reason = "a benchmark measures durations of the real world")]
fn now() -> Instant {
    Instant::now()
}

/// SplitMix64's last step.
fn mix(n: u64) -> u64 {
    let mut z = n.wrapping_add(1).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

/// CPU time of this process so far, all threads.
fn cpu_time() -> Duration {
    let stat = std::fs::read_to_string("/proc/self/stat").expect("Linux has it");
    let fields = stat.rsplit_once(')').map_or("", |(_, fields)| fields);
    let ticks = fields.split_ascii_whitespace().skip(11).take(2).map(|field| field.parse::<u64>().expect("a number"));
    Duration::from_millis(ticks.sum::<u64>() * 10)
}

fn schema() -> Schema {
    Schema::new([TableDefinition::new("accounts", Validator::Any).with_index("by_account_id", &["id"])])
}

async fn open(storage: Arc<dyn Storage>) -> Engine {
    let ports = Ports {
        clock: Arc::new(BenchClock(now())),
        timer: Arc::new(BenchTimer),
        random: Arc::new(BenchRandom(0.into())),
        spawn: Arc::new(BenchSpawn),
        progress: None,
    };
    let engine = Engine::open(storage, schema(), EngineConfig::default(), ports).await.expect("the store opens");
    for start in (0..ACCOUNTS).step_by(10_000) {
        let tx = engine.begin(At::Committed, BeginOptions::default()).expect("it begins");
        for id in start..(start + 10_000).min(ACCOUNTS) {
            let fields = format!(r#"{{"balance":1000000000.0,"id":{id}.0}}"#);
            let _ = taken(tx.insert("accounts", Fields::Typed(&fields)));
        }
        let committed = engine.commit(&tx, None).expect("nobody else commits");
        drop(tx);
        engine.wait_durable(committed.ts, 0).await;
    }
    engine.checkpoint().await.expect("it moves to the base");
    engine
}

fn taken<T>(reply: Reply<T>) -> T {
    match reply {
        Reply::Now(Some(Ok(answer))) => answer,
        Reply::Now(_) | Reply::Later(_) => panic!("memory holds all of it"),
    }
}

/// Which account.
#[derive(Clone, Copy)]
enum Choice {
    Uniform,
    /// Zipf's law with exponent 1.5.
    Zipf,
}

impl Choice {
    fn account(self, n: u64) -> u64 {
        let uniform = mix(n) as f64 / u64::MAX as f64;
        match self {
            Choice::Uniform => (uniform * ACCOUNTS as f64) as u64 % ACCOUNTS,
            // The tail of a power law with exponent 1.5 - 1, cut off at the number of accounts.
            Choice::Zipf => ((1.0 - uniform * (1.0 - (ACCOUNTS as f64).powf(-0.5))).powi(-2) as u64 - 1) % ACCOUNTS,
        }
    }
}

/// The account's document, looked up through the index.
fn account(tx: &Transaction, field: &FieldPath, id: u64) -> syncline_schema::DocumentId {
    let part = RangePart { op: RangeOp::Eq, field: field.clone(), value: Some(Value::Float64(id as f64)) };
    let scan = Scan {
        table: "accounts",
        index: "by_account_id",
        range: &[part],
        order: Order::Asc,
        after: None,
        until: None,
        limit: 1,
        keys: false,
    };
    taken(tx.scan(scan)).documents[0].id
}

/// One transfer, as a client's request.
fn transfer(engine: &Engine, field: &FieldPath, choice: Choice, n: u64) -> Timestamp {
    let (from, to) = (choice.account(2 * n), choice.account(2 * n + 1));
    let key = RequestKey { session: [(n % 64) as u8; 16], request: n };
    loop {
        let tx = engine.begin(At::Committed, BeginOptions::default()).expect("it begins");
        let _ = taken(tx.request_outcome(&key));
        let (from, to) = (account(&tx, field, from), account(&tx, field, to));
        taken(tx.patch(from, Fields::Typed(&format!(r#"{{"balance":{n}.0}}"#))));
        taken(tx.patch(to, Fields::Typed(&format!(r#"{{"balance":{}.0}}"#, n + 1))));
        let outcome = Outcome { ts: Timestamp::ZERO, value: "null".into(), log_lines: Vec::new() };
        match engine.commit(&tx, Some((key, outcome))) {
            Ok(committed) => return committed.ts,
            Err(CommitError::Conflict(_)) => {}
            Err(error) => panic!("{error}"),
        }
    }
}

struct Figures {
    per_second: f64,
    cpu_us: f64,
}

fn print(what: &str, figures: &Figures) {
    println!("{what:<58} {:>10.0}/s {:>8.2} us CPU", figures.per_second, figures.cpu_us);
}

/// Transfers for some seconds, never more than `IN_FLIGHT` of them waiting for the disk.
async fn run(
    engine: &Engine,
    choice: Choice,
    seconds: f64,
    subscriptions: Option<&Subscriptions<u64>>,
    requests: &mut u64,
) -> Figures {
    let field = FieldPath::parse("id").expect("a field");
    let (started, cpu) = (now(), cpu_time());
    let (mut n, mut n_affected) = (0, 0);
    let mut in_flight = std::collections::VecDeque::new();
    let mut published = engine.pin_durable().expect("few are pinned");
    while started.elapsed().as_secs_f64() < seconds {
        for _ in 0..32 {
            in_flight.push_back(transfer(engine, &field, choice, *requests));
            *requests += 1;
            n += 1;
        }
        tokio::task::yield_now().await;
        if in_flight.len() > IN_FLIGHT {
            engine.wait_durable(in_flight[in_flight.len() - IN_FLIGHT], 0).await;
        }
        let durable = engine.durable();
        while in_flight.front().is_some_and(|ts| *ts <= durable) {
            in_flight.pop_front();
        }
        if let Some(subscriptions) = subscriptions {
            for commit in engine.commits_after(published.ts()).expect("it is pinned") {
                n_affected += subscriptions.affected(&commit).len();
            }
        }
        if durable > published.ts() {
            published = engine.pin(durable).expect("few are pinned");
        }
    }
    if let Some(last) = in_flight.back() {
        engine.wait_durable(*last, 0).await;
    }
    let cpu_us = (cpu_time() - cpu).as_secs_f64() * 1e6 / n as f64;
    assert!(subscriptions.is_none_or(|all| all.is_empty() || n_affected > 0 || n < 100_000), "some are affected");
    Figures { per_second: n as f64 / started.elapsed().as_secs_f64(), cpu_us }
}

/// Live queries that each read one account through the index.
fn subscriptions(engine: &Engine, n: u64) -> Subscriptions<u64> {
    let field = FieldPath::parse("id").expect("a field");
    let mut subscriptions = Subscriptions::default();
    for query in 0..n {
        let tx = engine.begin(At::Durable, BeginOptions::default()).expect("it begins");
        let part =
            RangePart { op: RangeOp::Eq, field: field.clone(), value: Some(Value::Float64(query as f64 + 99_000.0)) };
        let range = [part];
        let _ = taken(tx.scan(Scan {
            table: "accounts",
            index: "by_account_id",
            range: &range,
            order: Order::Asc,
            after: None,
            until: None,
            limit: 2,
            keys: false,
        }));
        subscriptions.register(query, &tx.read_set());
    }
    subscriptions
}

/// Appends `bytes` a transfer to a log table, `group` transfers a synced transaction.
fn bare_sqlite(folder: &std::path::Path, bytes: usize, group: usize, seconds: f64) -> Figures {
    let connection = Connection::open(folder.join("bare.db")).expect("it opens");
    let pragmas =
        "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; CREATE TABLE log(ts INTEGER PRIMARY KEY, batch BLOB)";
    connection.execute_batch(pragmas).expect("it is set up");
    let (started, cpu) = (now(), cpu_time());
    let mut n = 0;
    let batch = vec![7u8; bytes * group];
    while started.elapsed().as_secs_f64() < seconds {
        let mut insert = connection.prepare_cached("INSERT INTO log VALUES (?1, ?2)").expect("it is prepared");
        insert.execute((n as i64, &batch)).expect("it appends");
        n += group;
    }
    let cpu_us = (cpu_time() - cpu).as_secs_f64() * 1e6 / n as f64;
    Figures { per_second: n as f64 / started.elapsed().as_secs_f64(), cpu_us }
}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|text| !text.starts_with("--")).collect();
    let seconds = arguments.iter().find_map(|text| text.parse().ok()).unwrap_or(3.0);
    let only = arguments.iter().find(|text| text.parse::<f64>().is_err()).cloned().unwrap_or_default();
    println!("{ACCOUNTS} accounts, {IN_FLIGHT} transfers in flight, {seconds} s each");
    if "memory".contains(&only) {
        in_memory(seconds).await;
    }
    if "queries".contains(&only) {
        with_live_queries(seconds).await;
    }
    let folder = tempfile::tempdir().expect("a temporary folder");
    if "sqlite".contains(&only) {
        on_sqlite(folder.path(), seconds).await;
    }
    if "bare".contains(&only) {
        for group in [64, 256, 1_024] {
            let figures = bare_sqlite(folder.path(), 260, group, seconds);
            std::fs::remove_file(folder.path().join("bare.db")).expect("it is there");
            print(&format!("bare SQLite log, synced, {group} transfers a commit"), &figures);
        }
    }
}

async fn in_memory(seconds: f64) {
    let engine = open(Arc::new(MemoryStorage::new())).await;
    let requests = &mut 0;
    print("in memory", &run(&engine, Choice::Uniform, seconds, None, requests).await);
    print("in memory, Zipf 1.5", &run(&engine, Choice::Zipf, seconds, None, requests).await);
}

async fn with_live_queries(seconds: f64) {
    let engine = open(Arc::new(MemoryStorage::new())).await;
    let requests = &mut 0;
    for n in [0, 5_000, 50_000, 200_000] {
        let subscriptions = subscriptions(&engine, n);
        let figures = run(&engine, Choice::Uniform, seconds, Some(&subscriptions), requests).await;
        print(&format!("in memory, {n} live queries registered"), &figures);
    }
}

async fn on_sqlite(folder: &std::path::Path, seconds: f64) {
    let storage = SqliteStorage::open(folder.join("store.db"), &SqliteOptions::default()).expect("it opens");
    let engine = open(Arc::new(storage)).await;
    let requests = &mut 0;
    print("SQLite, synced, checkpoints included", &run(&engine, Choice::Uniform, seconds, None, requests).await);
    print("SQLite, synced, Zipf 1.5", &run(&engine, Choice::Zipf, seconds, None, requests).await);
    engine.shutdown().await.expect("it ends");
}
