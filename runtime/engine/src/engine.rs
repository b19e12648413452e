//! `Engine`: one open store, shared by all who read and write it.

use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

use syncline_schema::{Schema, Timestamp};
use tokio::sync::{Notify, watch};

use crate::catalog::Catalog;
use crate::commit::{Commit, Outcome, RequestKey};
use crate::committer::{CommitState, Committed};
use crate::config::EngineConfig;
use crate::environment::Environment;
use crate::error::{BeginError, CommitError, OpenError};
use crate::outcomes::Outcomes;
use crate::ports::Ports;
use crate::snapshots::Snapshots;
use crate::storage::{Storage, StorageError};
use crate::transaction::Transaction;
use crate::turn::{ExclusiveTurn, TurnId};

/// The state of a store that a transaction sees.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum At {
    /// The newest state, durable or not: for mutations.
    Committed,
    /// The newest durable state: for queries.
    Durable,
    /// The state at a timestamp, which must be kept: [pinned](Engine::pin), or the newest durable one.
    Timestamp(Timestamp),
}

/// What a transaction may do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Access {
    /// Read; writing calls are refused with code `ReadOnly`.
    ReadOnly,
    /// Read and write.
    #[default]
    ReadWrite,
}

/// How a transaction begins.
#[derive(Clone, Copy, Debug, Default)]
pub struct BeginOptions {
    /// What it may do.
    pub access: Access,
    /// The turn in which it commits, if it runs alone: see [`Engine::exclusive`].
    pub turn: Option<TurnId>,
}

/// How far commits are durable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Durable {
    /// The newest durable commit. Never falls.
    pub ts: Timestamp,
    /// Rises when commits that were visible have been undone: those above `ts` at that moment, in older generations.
    pub generation: u64,
}

/// What became of a timestamp that something was read or written at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Durability {
    /// It survives a crash.
    Durable,
    /// It is not durable yet.
    Pending,
    /// It was undone: what was read or written there must not be told to anyone.
    Undone,
}

/// A store. Cheap to clone.
#[derive(Clone)]
pub struct Engine {
    pub(crate) shared: Arc<Shared>,
}

/// What all parts of an engine share.
pub(crate) struct Shared {
    pub storage: Arc<dyn Storage>,
    pub config: EngineConfig,
    pub ports: Ports,
    pub schema: Schema,
    pub catalog: RwLock<Arc<Catalog>>,
    pub snapshots: Snapshots,
    pub environment: RwLock<Environment>,
    pub outcomes: Outcomes,
    pub commits: Mutex<CommitState>,
    /// The newest visible commit.
    pub committed: AtomicU64,
    /// How often commits have been undone. Read before `committed`, written after it.
    pub generation: AtomicU64,
    /// The base has everything up to here, and memory may have let go of it.
    pub base: AtomicU64,
    pub durable: watch::Sender<Durable>,
    pub wakes: Arc<Wakes>,
    /// A turn has ended.
    pub turn_ended: Notify,
    /// Who wants a turn waits here.
    pub turns: Arc<tokio::sync::Mutex<()>>,
    /// One checkpoint at a time.
    pub checkpointing: tokio::sync::Mutex<()>,
    pub n_pins: AtomicUsize,
    /// Those who have said that they are about to commit.
    pub n_expected: AtomicUsize,
    /// Reads that are loading from the base.
    pub n_loading: AtomicUsize,
    /// Rows that memory has taken in since eviction last came by.
    pub n_taken_in: AtomicUsize,
    /// Reads that asked the base while memory was full.
    pub n_asked: AtomicUsize,
    /// Bytes of the log since the last checkpoint.
    pub log_bytes: AtomicU64,
    /// Commits made since the start.
    pub n_commits: AtomicU64,
    /// How long the newest appends to the log took, nanoseconds, oldest first.
    pub syncs_ns: Mutex<VecDeque<u64>>,
    pub stopping: AtomicBool,
    /// The log writer and the checkpointer end when they see `stopping`; each then adds one permit.
    pub stopped: tokio::sync::Semaphore,
}

/// Wakes the engine's own futures. They hold the rest of the engine only while they work, so that an engine that is
/// dropped ends.
#[derive(Debug, Default)]
pub(crate) struct Wakes {
    /// Commits wait to be logged, or the engine is to stop.
    pub log: Notify,
    /// Enough commits wait to be logged, perhaps: see `log_writer.rs`.
    pub enough: Notify,
    /// The log has grown enough, or the engine is to stop.
    pub checkpoint: Notify,
}

/// Somebody is about to commit, until this is dropped: see [`Engine::expect_commit`].
pub struct ExpectedCommit(Arc<Shared>);

impl Drop for ExpectedCommit {
    fn drop(&mut self) {
        if self.0.n_expected.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.0.wakes.enough.notify_one();
        }
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        self.wakes.log.notify_one();
        self.wakes.checkpoint.notify_one();
    }
}

impl Shared {
    pub fn catalog(&self) -> Arc<Catalog> {
        self.catalog.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub fn set_catalog(&self, catalog: Catalog) {
        *self.catalog.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(catalog);
    }

    pub fn commits(&self) -> MutexGuard<'_, CommitState> {
        self.commits.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn base(&self) -> Timestamp {
        Timestamp(self.base.load(Ordering::Acquire))
    }

    pub fn committed(&self) -> Timestamp {
        Timestamp(self.committed.load(Ordering::Acquire))
    }
}

/// Keeps the state of the store at a timestamp readable, as long as it lives and at most `snapshot_age_max`.
pub struct Pin {
    shared: Arc<Shared>,
    ts: Timestamp,
}

impl Pin {
    /// The timestamp.
    pub fn ts(&self) -> Timestamp {
        self.ts
    }
}

impl Drop for Pin {
    fn drop(&mut self) {
        self.shared.snapshots.release(self.ts);
        self.shared.n_pins.fetch_sub(1, Ordering::Relaxed);
    }
}

impl fmt::Debug for ExpectedCommit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ExpectedCommit").finish_non_exhaustive()
    }
}

impl fmt::Debug for Pin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Pin").field(&self.ts).finish()
    }
}

impl Engine {
    /// Opens the store that a storage holds, or makes a new one there.
    ///
    /// The log is replayed. Where the declared schema differs from the stored one, new tables get numbers, documents
    /// are checked and indexes are built; all of it takes effect at once at the end, or nothing does.
    ///
    /// # Errors
    /// When the storage fails, the schema breaks a rule, or stored documents do not fit it.
    pub async fn open(
        storage: Arc<dyn Storage>,
        schema: Schema,
        config: EngineConfig,
        ports: Ports,
    ) -> Result<Engine, OpenError> {
        crate::open::open(storage, schema, config, ports).await
    }

    /// The schema that it was opened with.
    pub fn schema(&self) -> &Schema {
        &self.shared.schema
    }

    /// Begins a transaction.
    ///
    /// # Errors
    /// When the state at the timestamp asked for is not kept.
    pub fn begin(&self, at: At, options: BeginOptions) -> Result<Arc<Transaction>, BeginError> {
        Transaction::begin(&self.shared, at, options)
    }

    /// Commits a transaction, with the outcome of the request that it was run for.
    ///
    /// Checks that nothing it read has changed since its snapshot. It is visible to [`At::Committed`] when this
    /// returns; nobody may be told before it is durable ([`Engine::watch_durable`]). A transaction that wrote nothing,
    /// and has no outcome to store, takes place at its snapshot and is not checked.
    ///
    /// A transaction commits once; doing it twice is a mistake of the caller's and commits its writes twice.
    ///
    /// # Errors
    /// See [`CommitError`] for what to do about each.
    pub fn commit(
        &self,
        transaction: &Transaction,
        outcome: Option<(RequestKey, Outcome)>,
    ) -> Result<Committed, CommitError> {
        self.shared.commit(transaction, outcome)
    }

    /// Says that a commit is likely to come soon, until what this returns is dropped. Others wait for it, a little, if
    /// more are to come than have come: they are made durable together.
    ///
    /// Nothing depends on it but how many commits share a sync.
    #[must_use = "it is expected as long as this is kept"]
    pub fn expect_commit(&self) -> ExpectedCommit {
        self.shared.n_expected.fetch_add(1, Ordering::AcqRel);
        ExpectedCommit(self.shared.clone())
    }

    /// Waits for the committer's turn: as long as it is held, only transactions begun with its id commit.
    ///
    /// It ends when it is dropped, and at the latest after `exclusive_turn_max`.
    pub async fn exclusive(&self) -> ExclusiveTurn {
        ExclusiveTurn::take(self.shared.clone()).await
    }

    /// Waits until nobody has the committer's turn: after [`CommitError::TurnTaken`].
    pub async fn turn_ended(&self) {
        crate::turn::ended(&self.shared).await;
    }

    /// The newest durable commit.
    pub fn durable(&self) -> Timestamp {
        self.shared.durable.borrow().ts
    }

    /// The newest commit, durable or not.
    pub fn committed(&self) -> Timestamp {
        self.shared.committed()
    }

    /// Tells when commits become durable or are undone. Ends with the engine.
    pub fn watch_durable(&self) -> watch::Receiver<Durable> {
        self.shared.durable.subscribe()
    }

    /// What became of what was read or written at `ts` in a generation ([`Transaction::generation`]).
    pub fn durability(&self, ts: Timestamp, generation: u64) -> Durability {
        let durable = *self.shared.durable.borrow();
        if durable.generation != generation && self.shared.commits().undone(ts, generation) {
            Durability::Undone
        } else if ts <= durable.ts {
            Durability::Durable
        } else {
            Durability::Pending
        }
    }

    /// Waits until `ts` is durable. `false` when it was undone, or the engine has stopped.
    pub async fn wait_durable(&self, ts: Timestamp, generation: u64) -> bool {
        let mut watch = self.watch_durable();
        loop {
            watch.borrow_and_update();
            match self.durability(ts, generation) {
                Durability::Durable => return true,
                Durability::Undone => return false,
                Durability::Pending => {}
            }
            if watch.changed().await.is_err() {
                return false;
            }
        }
    }

    /// Keeps the state at a timestamp readable: the newest durable one, or one that is kept already.
    ///
    /// # Errors
    /// When it is not kept, or too many are pinned.
    pub fn pin(&self, ts: Timestamp) -> Result<Pin, BeginError> {
        self.pin_chosen(|_| ts)
    }

    /// Keeps the newest durable state readable.
    ///
    /// # Errors
    /// When too many are pinned.
    pub fn pin_durable(&self) -> Result<Pin, BeginError> {
        self.pin_chosen(|durable| durable)
    }

    fn pin_chosen(&self, choose: impl FnOnce(Timestamp) -> Timestamp) -> Result<Pin, BeginError> {
        let shared = &self.shared;
        let limit = shared.config.pins_max;
        let counted =
            shared.n_pins.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |n| (n < limit).then_some(n + 1));
        counted.map_err(|_| BeginError::TooManyPins { limit })?;
        let mut asked = Timestamp::ZERO;
        let choose = |durable| {
            asked = choose(durable).min(durable);
            asked
        };
        match shared.snapshots.register(shared.ports.clock.monotonic_ms(), choose) {
            Some(ts) => Ok(Pin { shared: shared.clone(), ts }),
            None => {
                shared.n_pins.fetch_sub(1, Ordering::Relaxed);
                Err(BeginError::OutOfRetention { ts: asked })
            }
        }
    }

    /// The durable commits behind a timestamp, oldest first.
    ///
    /// # Errors
    /// When some of them are not kept any more. They are for every timestamp that is [pinned](Engine::pin) or at which
    /// a transaction is open.
    pub fn commits_after(&self, ts: Timestamp) -> Result<Vec<Arc<Commit>>, BeginError> {
        let durable = self.durable();
        self.shared.commits().after(ts, durable).ok_or(BeginError::OutOfRetention { ts })
    }

    /// Sets environment variables of the deployment, and removes those given as `None`: all at once, as a commit.
    /// Queries that looked at one of them are affected by it.
    ///
    /// # Errors
    /// When the commit is not taken; never a conflict.
    pub async fn set_environment_variables(
        &self,
        changes: BTreeMap<String, Option<String>>,
    ) -> Result<Committed, CommitError> {
        loop {
            match self.shared.commit_variables(&changes) {
                Err(CommitError::TurnTaken) => self.turn_ended().await,
                other => return other,
            }
        }
    }

    /// The environment variables of the deployment at the newest durable state, by name.
    pub fn environment_variables(&self) -> Vec<(Arc<str>, Arc<str>)> {
        self.shared.environment.read().unwrap_or_else(PoisonError::into_inner).all(self.durable())
    }

    /// Moves the log to the base now.
    ///
    /// # Errors
    /// When the storage fails. Nothing is lost: the log still has everything.
    pub async fn checkpoint(&self) -> Result<(), StorageError> {
        crate::checkpoint::checkpoint(&self.shared).await
    }

    /// Waits for what was committed to be durable, moves the log to the base and closes the storage. Commits fail from
    /// now on.
    ///
    /// # Errors
    /// When the storage fails. What was told to be durable is.
    pub async fn shutdown(self) -> Result<(), StorageError> {
        crate::log_writer::shutdown(&self.shared).await
    }
}

impl fmt::Debug for Engine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Engine").field("durable", &self.durable()).finish_non_exhaustive()
    }
}
