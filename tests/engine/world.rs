//! An engine with a clock moved by hand, seeded randomness, and a storage that can be made to fail.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use futures::future::BoxFuture;
use syncline_engine::{
    At, BeginOptions, Clock, CommitError, Committed, Engine, EngineConfig, MemoryStorage, OpenError, Ports, Spawn,
    Storage, Timer, Transaction,
};
use syncline_functions::tx::{Batch, DbError, Document, Fields, Order, Reply, Scan, Tx};
use syncline_schema::{DocumentId, FieldPath, RangeOp, RangePart, Schema, TableDefinition, Validator, Value};
use syncline_tests::random::SeededRandom;

/// A clock that stands still until it is moved. A sleep moves it.
#[derive(Debug)]
pub struct TestClock {
    wall_ns: AtomicU64,
    monotonic_ms: AtomicU64,
}

impl TestClock {
    pub fn new() -> Arc<Self> {
        Arc::new(TestClock { wall_ns: AtomicU64::new(1_700_000_000_000_000_000), monotonic_ms: AtomicU64::new(0) })
    }

    pub fn advance(&self, duration: Duration) {
        self.wall_ns.fetch_add(duration.as_nanos() as u64, Ordering::SeqCst);
        self.monotonic_ms.fetch_add(duration.as_millis() as u64, Ordering::SeqCst);
    }

    /// Sets the wall clock back, as a person might.
    pub fn set_back(&self, duration: Duration) {
        self.wall_ns.fetch_sub(duration.as_nanos() as u64, Ordering::SeqCst);
    }
}

impl Clock for TestClock {
    fn wall_ns(&self) -> u64 {
        self.wall_ns.load(Ordering::SeqCst)
    }

    fn monotonic_ms(&self) -> u64 {
        self.monotonic_ms.load(Ordering::SeqCst)
    }
}

/// Sleeps by moving the clock and letting others run.
struct TestTimer(Arc<TestClock>);

impl Timer for TestTimer {
    fn sleep(&self, duration: Duration) -> BoxFuture<'static, ()> {
        let clock = self.0.clone();
        Box::pin(async move {
            tokio::task::yield_now().await;
            clock.advance(duration);
        })
    }
}

/// Runs futures on the runtime that it is called in.
struct TestSpawn;

impl Spawn for TestSpawn {
    fn spawn(&self, _name: &'static str, future: BoxFuture<'static, ()>) {
        tokio::spawn(future);
    }
}

/// What an engine runs in; it survives the engine.
#[derive(Clone)]
pub struct World {
    pub clock: Arc<TestClock>,
    pub storage: MemoryStorage,
    pub schema: Schema,
    pub config: EngineConfig,
    pub random: Arc<SeededRandom>,
}

impl World {
    pub fn new(tables: impl IntoIterator<Item = TableDefinition>) -> Self {
        World {
            clock: TestClock::new(),
            storage: MemoryStorage::new(),
            schema: Schema::new(tables),
            config: EngineConfig::default(),
            random: Arc::new(SeededRandom::new(1)),
        }
    }

    pub fn with_seed(mut self, seed: u64) -> Self {
        self.random = Arc::new(SeededRandom::new(seed));
        self
    }

    pub fn ports(&self) -> Ports {
        Ports {
            clock: self.clock.clone(),
            timer: Arc::new(TestTimer(self.clock.clone())),
            random: self.random.clone(),
            spawn: Arc::new(TestSpawn),
            progress: None,
        }
    }

    pub async fn try_open(&self) -> Result<Engine, OpenError> {
        let storage: Arc<dyn Storage> = Arc::new(self.storage.clone());
        Engine::open(storage, self.schema.clone(), self.config.clone(), self.ports()).await
    }

    pub async fn open(&self) -> Engine {
        self.try_open().await.unwrap()
    }

    /// The engine after the process was killed: only what was synced is there.
    pub async fn crash_and_open(&mut self) -> Engine {
        self.storage = self.storage.reopen();
        self.open().await
    }
}

/// `items {n: number, s: string}` and `others`, neither checked, the first with two indexes.
pub fn items() -> World {
    let items =
        TableDefinition::new("items", Validator::Any).with_index("by_n", &["n"]).with_index("by_s_n", &["s", "n"]);
    World::new([items, TableDefinition::new("others", Validator::Any)])
}

pub fn begin(engine: &Engine) -> Arc<Transaction> {
    engine.begin(At::Committed, BeginOptions::default()).unwrap()
}

pub fn commit(engine: &Engine, tx: &Transaction) -> Result<Committed, CommitError> {
    engine.commit(tx, None)
}

/// The answer of a call that memory can answer.
pub fn now<T>(reply: Reply<T>) -> Result<T, DbError> {
    match reply {
        Reply::Now(answer) => answer.expect("it was not taken before"),
        Reply::Later(_) => panic!("memory was expected to know"),
    }
}

pub async fn insert(tx: &Transaction, table: &str, fields: &str) -> DocumentId {
    tx.insert(table, Fields::Typed(fields)).await.unwrap()
}

pub async fn patch(tx: &Transaction, id: DocumentId, fields: &str) {
    tx.patch(id, Fields::Typed(fields)).await.unwrap();
}

/// The text of a document's own fields.
pub fn own(document: &Document) -> String {
    let text = &*document.json;
    let id = document.id.to_string();
    let at = text.find(&id).unwrap() + id.len() + 1;
    format!("{{{}", text[at..].trim_start_matches(','))
}

pub async fn get(tx: &Transaction, id: DocumentId) -> Option<String> {
    tx.get(id).await.unwrap().as_ref().map(own)
}

/// A way to read an index, with defaults.
#[derive(Clone)]
pub struct Read {
    pub table: &'static str,
    pub index: &'static str,
    pub range: Vec<RangePart>,
    pub order: Order,
    pub limit: usize,
}

impl Read {
    pub fn all(table: &'static str, index: &'static str) -> Self {
        Read { table, index, range: Vec::new(), order: Order::Asc, limit: 100 }
    }

    pub fn with(mut self, op: RangeOp, field: &str, value: impl Into<Option<Value>>) -> Self {
        self.range.push(RangePart { op, field: FieldPath::parse(field).unwrap(), value: value.into() });
        self
    }

    pub fn eq_n(n: f64) -> Self {
        Read::all("items", "by_n").with(RangeOp::Eq, "n", Value::Float64(n))
    }

    pub fn desc(mut self) -> Self {
        self.order = Order::Desc;
        self
    }

    pub fn take(mut self, limit: usize) -> Self {
        self.limit = limit;
        self
    }

    /// One step.
    pub async fn step(&self, tx: &Transaction, after: Option<&[u8]>, until: Option<&[u8]>) -> Result<Batch, DbError> {
        let Read { table, index, range, order, limit } = self;
        tx.scan(Scan { table, index, range, order: *order, after, until, limit: *limit, keys: true }).await
    }

    /// The texts of the first step.
    pub async fn run(&self, tx: &Transaction) -> Vec<String> {
        self.step(tx, None, None).await.unwrap().documents.iter().map(own).collect()
    }

    /// The texts of all steps.
    pub async fn run_all(&self, tx: &Transaction) -> Vec<String> {
        let mut found = Vec::new();
        let mut after: Option<Arc<[u8]>> = None;
        loop {
            let batch = self.step(tx, after.as_deref(), None).await.unwrap();
            found.extend(batch.documents.iter().map(own));
            match batch.keys.last() {
                Some(key) if !batch.done => after = Some(key.clone()),
                _ => return found,
            }
        }
    }
}

pub fn code(error: &DbError) -> &'static str {
    match error {
        DbError::Refused { code, .. } => code,
        DbError::OutOfRetention => "out of retention",
        DbError::Storage(_) => "storage",
    }
}
