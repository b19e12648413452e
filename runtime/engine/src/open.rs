//! Opening a store: make it or find it, replay its log, and bring it to the declared schema.

mod replay;
mod schema_change;
mod warm_up;

use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize};
use std::sync::{Arc, Mutex, RwLock};

use syncline_schema::{Schema, TableNumber, Timestamp};
use tokio::sync::{Notify, Semaphore, watch};

use crate::catalog::{Catalog, Index, Table, document_validator};
use crate::commit::IndexId;
use crate::committer::CommitState;
use crate::config::EngineConfig;
use crate::engine::{Durable, Engine, Shared, Wakes};
use crate::environment::{self, Environment};
use crate::error::OpenError;
use crate::outcomes::Outcomes;
use crate::ports::Ports;
use crate::snapshots::Snapshots;
use crate::storage::{Checkpoint, Meta, Storage, StorageError};
use crate::{checkpoint, log_writer};

/// The name of the stored schema among the storage's texts.
const SCHEMA: &str = "schema";

/// What a storage holds, read into memory.
struct Found {
    schema: Schema,
    catalog: Catalog,
    environment: Environment,
    outcomes: Outcomes,
    /// The newest commit.
    head: Timestamp,
    base: Timestamp,
    log_bytes: u64,
    meta: Meta,
}

pub(crate) async fn open(
    storage: Arc<dyn Storage>,
    schema: Schema,
    config: EngineConfig,
    ports: Ports,
) -> Result<Engine, OpenError> {
    schema.check().map_err(|error| OpenError::Schema(error.to_string()))?;
    let position = storage.position().await?;
    let found = if position.base == Timestamp::ZERO {
        create(&*storage, &schema, &ports).await?
    } else {
        find(&*storage, &ports).await?
    };
    let head = found.head;
    let (stored_schema, meta) = (found.schema.clone(), found.meta.clone());
    let shared = Arc::new(shared(storage, schema, config, ports, found));
    if stored_schema != shared.schema {
        // Under the stored schema: then the base is complete and memory need not be looked at.
        checkpoint::checkpoint(&shared).await?;
        schema_change::apply(&shared, &stored_schema, &meta).await?;
    }
    let spawn = shared.ports.spawn.clone();
    let weak = Arc::downgrade(&shared);
    spawn.spawn("log writer", Box::pin(log_writer::run(weak.clone(), shared.wakes.clone(), head)));
    spawn.spawn("checkpointer", Box::pin(checkpoint::run(weak.clone(), shared.wakes.clone())));
    spawn.spawn("index dropper", Box::pin(schema_change::drop_indexes(weak.clone())));
    spawn.spawn("warm-up", Box::pin(warm_up::warm_up(weak)));
    Ok(Engine { shared })
}

/// Makes a new store, as a commit at the clock: so that a deleted data folder does not send open tabs back in time.
async fn create(storage: &dyn Storage, schema: &Schema, ports: &Ports) -> Result<Found, OpenError> {
    let base = Timestamp(ports.clock.wall_ns().max(1));
    let mut catalog = Catalog::default();
    let mut meta = vec![(SCHEMA.to_owned(), schema_text(schema)?)];
    for name in schema.tables.keys() {
        let table = new_table(schema, name, catalog.next_number(), base);
        meta.push((Table::meta_name(table.number), table.to_meta()));
        catalog.insert(Arc::new(table));
    }
    storage.finish_checkpoint(Checkpoint { base: Some(base), meta, ..Checkpoint::default() }).await?;
    Ok(Found {
        schema: schema.clone(),
        catalog,
        environment: Environment::default(),
        outcomes: Outcomes::new(true),
        head: base,
        base,
        log_bytes: 0,
        meta: Vec::new(),
    })
}

fn schema_text(schema: &Schema) -> Result<String, OpenError> {
    schema.to_json().map_err(|error| OpenError::Schema(error.to_string()))
}

/// A table without documents, as the schema declares it.
fn new_table(schema: &Schema, name: &str, number: TableNumber, created: Timestamp) -> Table {
    let mut indexes = Vec::new();
    if let Some(definition) = schema.tables.get(name) {
        let staged = definition.staged_indexes.iter().map(|index| (index, true));
        let all = definition.indexes.iter().map(|index| (index, false)).chain(staged);
        for (number, (definition, staged)) in (IndexId::FIRST_DECLARED..).zip(all) {
            indexes.push(Index { number, staged, definition: definition.clone() });
        }
    }
    Table::new(number, name, created, document_validator(schema, name), indexes)
}

/// Reads what a storage holds.
async fn find(storage: &dyn Storage, ports: &Ports) -> Result<Found, OpenError> {
    let position = storage.position().await?;
    let meta = storage.meta().await?;
    let corrupt = |what: String| StorageError::Corrupt { what };
    let text = meta.iter().find(|(name, _)| name == SCHEMA).map(|(_, text)| text.as_str());
    let text = text.ok_or_else(|| corrupt("it has no schema".to_owned()))?;
    let schema = Schema::from_json(text).map_err(|error| corrupt(format!("the stored schema: {error}")))?;
    let mut catalog = Catalog::default();
    let mut environment = Environment::default();
    for (name, text) in &meta {
        if let Some(table) = Table::from_meta(name, text, &schema)? {
            catalog.insert(Arc::new(table));
        } else if let Some(name) = name.strip_prefix(environment::META_PREFIX) {
            environment.set(name, Some(text.as_str().into()), Timestamp::ZERO, Timestamp::ZERO);
        }
    }
    let mut found = Found {
        schema,
        catalog,
        environment,
        outcomes: Outcomes::new(false),
        head: position.head,
        base: position.base,
        log_bytes: 0,
        meta,
    };
    replay::replay(storage, ports, &mut found).await?;
    Ok(found)
}

fn shared(storage: Arc<dyn Storage>, schema: Schema, config: EngineConfig, ports: Ports, found: Found) -> Shared {
    let head = found.head;
    Shared {
        storage,
        config,
        ports,
        schema,
        catalog: RwLock::new(Arc::new(found.catalog)),
        snapshots: Snapshots::new(head),
        environment: RwLock::new(found.environment),
        outcomes: found.outcomes,
        commits: Mutex::new(CommitState::new(head)),
        committed: AtomicU64::new(head.0),
        generation: AtomicU64::new(0),
        base: AtomicU64::new(found.base.0),
        durable: watch::Sender::new(Durable { ts: head, generation: 0 }),
        wakes: Arc::new(Wakes::default()),
        turn_ended: Notify::new(),
        turns: Arc::default(),
        checkpointing: tokio::sync::Mutex::new(()),
        n_pins: AtomicUsize::new(0),
        n_expected: AtomicUsize::new(0),
        n_loading: AtomicUsize::new(0),
        n_taken_in: AtomicUsize::new(0),
        n_asked: AtomicUsize::new(0),
        log_bytes: AtomicU64::new(found.log_bytes),
        n_commits: AtomicU64::new(0),
        syncs_ns: Mutex::default(),
        stopping: AtomicBool::new(false),
        stopped: Semaphore::new(0),
    }
}
