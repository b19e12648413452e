//! `Transaction`: the engine's side of `functions::Tx`. One snapshot, the transaction's own writes over it, and the
//! record of what was read.

mod last_seen;
mod range;
mod read;
mod row_key;
mod values;
mod write;

use std::cell::RefCell;
use std::fmt;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use syncline_functions::tx::{
    Batch, DbError, Document, Fields, NestedEnd, Reply, Scan, Tx, Usage, UsageLimits, Variables,
};
use syncline_schema::{DocumentId, KeyRange, TableNumber, TableNumbers, Timestamp};

use crate::catalog::{Catalog, Table};
use crate::commit::{IndexId, Outcome, RequestKey};
use crate::engine::{Access, At, BeginOptions, Shared};
use crate::error::BeginError;
use crate::outcomes::Lookup;
use crate::reads::{ReadSet, Reads};
use crate::record;
use crate::storage::{BaseAnswer, BaseRead, StorageError};
use crate::turn::TurnId;
use crate::writes::Writes;
use last_seen::LastSeen;
use write::WriteQueue;

/// A transaction: reads at its snapshot, sees its own writes, and is committed by
/// [`Engine::commit`](crate::Engine::commit) or dropped.
pub struct Transaction {
    shared: Arc<Shared>,
    this: Weak<Transaction>,
    snapshot: Timestamp,
    generation: u64,
    catalog: Arc<Catalog>,
    options: BeginOptions,
    state: Mutex<TxState>,
}

/// What grows while a transaction runs.
#[derive(Default)]
pub(crate) struct TxState {
    pub reads: Reads,
    pub writes: Writes,
    /// Tables that came into being in it.
    pub new_tables: Vec<Arc<Table>>,
    /// Those among them that come into being whether anything is written to them or not.
    pub created_tables: Vec<TableNumber>,
    last_seen: LastSeen,
    usage: Usage,
    failure: Option<DbError>,
    /// The creation time of the next insert, once there was one.
    next_creation_time: Option<f64>,
    queue: WriteQueue,
}

impl Transaction {
    pub(crate) fn begin(shared: &Arc<Shared>, at: At, options: BeginOptions) -> Result<Arc<Self>, BeginError> {
        // Before the timestamp: see `Shared::generation`.
        let generation = shared.generation.load(Ordering::Acquire);
        let now_ms = shared.ports.clock.monotonic_ms();
        let choose = |durable: Timestamp| match at {
            At::Committed => shared.committed(),
            At::Durable => durable,
            // What is not durable is not for everyone: an undo would take it away.
            At::Timestamp(ts) => {
                if ts <= durable {
                    ts
                } else {
                    Timestamp::ZERO
                }
            }
        };
        let snapshot = shared.snapshots.register(now_ms, choose).ok_or_else(|| {
            let ts = if let At::Timestamp(ts) = at { ts } else { shared.committed() };
            BeginError::OutOfRetention { ts }
        })?;
        Ok(Arc::new_cyclic(|this| Transaction {
            shared: shared.clone(),
            this: this.clone(),
            snapshot,
            generation,
            catalog: shared.catalog(),
            options,
            state: Mutex::default(),
        }))
    }

    /// The timestamp whose state it sees.
    pub fn snapshot(&self) -> Timestamp {
        self.snapshot
    }

    /// The generation of commits in which it began: see [`Engine::durability`](crate::Engine::durability).
    pub fn generation(&self) -> u64 {
        self.generation
    }

    /// What it has read so far.
    pub fn read_set(&self) -> ReadSet {
        ReadSet::new(self.state().reads.clone())
    }

    /// Whether it has changed anything.
    pub fn has_writes(&self) -> bool {
        self.state().writes.iter().any(crate::writes::Write::changes)
    }

    /// An error that is not the application's: the run is to end with it, whatever the application made of it.
    pub fn failure(&self) -> Option<DbError> {
        self.state().failure.clone()
    }

    /// The outcome of a request, if it has committed. The look-up enters the read set: of two attempts at a request
    /// only one commits.
    pub fn request_outcome(&self, key: &RequestKey) -> Reply<Option<Outcome>> {
        self.state().reads.request(*key);
        match self.shared.outcomes.find(key, self.snapshot) {
            Lookup::Found(outcome) => Reply::now(Ok(Some(outcome))),
            Lookup::Absent => Reply::now(Ok(None)),
            Lookup::Unknown => {
                let (this, key) = (self.strong(), *key);
                Reply::Later(Box::pin(async move {
                    let found = this.outcome_in_base(&key).await;
                    found.map_err(|error| this.fail(error))
                }))
            }
        }
    }

    async fn outcome_in_base(&self, key: &RequestKey) -> Result<Option<Outcome>, StorageError> {
        let parts = vec![BaseRead::GreatestRequest { session: key.session }, BaseRead::Outcomes { key: *key }];
        let answers = self.shared.storage.read(parts).await?;
        let [BaseAnswer::GreatestRequest(greatest), BaseAnswer::Outcomes(groups)] = &answers[..] else {
            return Err(StorageError::Io { what: "the storage answered something that was not asked".to_owned() });
        };
        self.shared.outcomes.learn(key.session, *greatest);
        for group in groups {
            if let Some(outcome) = record::find_in_group(group, key.request)? {
                return Ok(Some(outcome));
            }
        }
        // A checkpoint may have been under way: what it moved is either still in memory or was found.
        match self.shared.outcomes.find(key, self.snapshot) {
            Lookup::Found(outcome) => Ok(Some(outcome)),
            Lookup::Absent | Lookup::Unknown => Ok(None),
        }
    }

    pub(crate) fn state(&self) -> MutexGuard<'_, TxState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn turn(&self) -> Option<TurnId> {
        self.options.turn
    }

    /// For futures that outlive the call.
    fn strong(&self) -> Arc<Transaction> {
        self.this.upgrade().expect("a method is called on it, so it is alive")
    }

    /// Remembers an error of the storage.
    fn fail(&self, error: StorageError) -> DbError {
        let failure = DbError::Storage(error.to_string().into());
        self.state().failure.get_or_insert(failure).clone()
    }

    /// Whether the snapshot is still readable; checked after each read.
    fn check_kept(&self, state: &mut TxState) -> Result<(), DbError> {
        if self.snapshot >= self.shared.snapshots.horizon() {
            return Ok(());
        }
        Err(state.failure.get_or_insert(DbError::OutOfRetention).clone())
    }

    /// A table by name. That there is none enters the read set.
    fn table_named(&self, state: &mut TxState, name: &str) -> Option<Arc<Table>> {
        if let Some(table) = self.catalog.named(name, self.snapshot) {
            return Some(table.clone());
        }
        let new = state.new_tables.iter().find(|table| *table.name == *name).cloned();
        if new.is_none() {
            state.reads.name(IndexId::TABLE_NAMES, name);
        }
        new
    }

    fn table_numbered(&self, state: &TxState, number: TableNumber) -> Option<Arc<Table>> {
        let known = self.catalog.numbered(number, self.snapshot);
        known.or_else(|| state.new_tables.iter().find(|table| table.number == number)).cloned()
    }
}

impl Tx for Transaction {
    fn table_number(&self, name: &str) -> Option<TableNumber> {
        Numbers::new(self, &mut self.state()).number(name)
    }

    fn table_name(&self, number: TableNumber) -> Option<Arc<str>> {
        Numbers::new(self, &mut self.state()).name(number).map(Into::into)
    }

    fn tables(&self) -> Reply<Vec<(TableNumber, Arc<str>)>> {
        let mut state = self.state();
        state.reads.range(IndexId::TABLE_NAMES, KeyRange::all());
        let seen = self.catalog.iter().filter(|table| table.created() <= self.snapshot).chain(&state.new_tables);
        let tables = seen.map(|table| (table.number, table.name.clone())).collect();
        Reply::now(self.check_kept(&mut state).map(|()| tables))
    }

    fn create_table(&self, name: &str) -> Reply<TableNumber> {
        Reply::now(self.create_table_now(name))
    }

    fn get(&self, id: DocumentId) -> Reply<Option<Document>> {
        self.get_document(id)
    }

    fn scan(&self, scan: Scan<'_>) -> Reply<Batch> {
        self.scan_index(&scan)
    }

    fn insert(&self, table: &str, fields: Fields<'_>) -> Reply<DocumentId> {
        Reply::now(self.insert_document(table, fields))
    }

    fn patch(&self, id: DocumentId, fields: Fields<'_>) -> Reply<()> {
        self.write_document(id, write::Operation::Patch(fields))
    }

    fn replace(&self, id: DocumentId, fields: Fields<'_>) -> Reply<()> {
        self.write_document(id, write::Operation::Replace(fields))
    }

    fn delete(&self, id: DocumentId) -> Reply<()> {
        self.write_document(id, write::Operation::Delete)
    }

    fn environment_variable(&self, name: &str) -> Reply<Option<Arc<str>>> {
        let mut state = self.state();
        state.reads.name(IndexId::ENVIRONMENT_VARIABLES, name);
        let environment = self.shared.environment.read().unwrap_or_else(PoisonError::into_inner);
        let value = environment.get(name, self.snapshot);
        drop(environment);
        Reply::now(self.check_kept(&mut state).map(|()| value))
    }

    fn environment_variables(&self) -> Reply<Variables> {
        let mut state = self.state();
        state.reads.range(IndexId::ENVIRONMENT_VARIABLES, KeyRange::all());
        let environment = self.shared.environment.read().unwrap_or_else(PoisonError::into_inner);
        let all = environment.all(self.snapshot);
        drop(environment);
        Reply::now(self.check_kept(&mut state).map(|()| all))
    }

    fn begin_nested(&self) {
        self.state().writes.begin_nested();
    }

    fn end_nested(&self, end: NestedEnd) {
        let mut state = self.state();
        match end {
            NestedEnd::Keep => state.writes.keep_nested(),
            NestedEnd::Undo => state.writes.undo_nested(),
        }
    }

    fn usage(&self) -> Usage {
        let state = self.state();
        Usage { intervals_read: state.reads.n_intervals() as u64, ..state.usage }
    }

    fn limits(&self) -> UsageLimits {
        let limits = &self.shared.config.limits;
        UsageLimits {
            documents_read: limits.documents_read_max,
            bytes_read: limits.bytes_read_max,
            intervals_read: limits.intervals_read_max,
            documents_written: limits.documents_written_max,
            bytes_written: limits.bytes_written_max,
        }
    }
}

impl Drop for Transaction {
    fn drop(&mut self) {
        self.shared.snapshots.release(self.snapshot);
    }
}

impl fmt::Debug for Transaction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Transaction").field("snapshot", &self.snapshot).finish_non_exhaustive()
    }
}

/// The tables as a transaction sees them, for validators. Looking up one that does not exist enters the read set.
struct Numbers<'a> {
    tx: &'a Transaction,
    state: RefCell<&'a mut TxState>,
}

impl<'a> Numbers<'a> {
    fn new(tx: &'a Transaction, state: &'a mut TxState) -> Self {
        Numbers { tx, state: RefCell::new(state) }
    }
}

impl TableNumbers for Numbers<'_> {
    fn number(&self, name: &str) -> Option<TableNumber> {
        if name.starts_with('_') {
            return self.tx.catalog.number(name);
        }
        self.tx.table_named(&mut self.state.borrow_mut(), name).map(|table| table.number)
    }

    fn name(&self, number: TableNumber) -> Option<String> {
        if !number.is_user() {
            return TableNumbers::name(&*self.tx.catalog, number);
        }
        self.tx.table_numbered(&self.state.borrow(), number).map(|table| table.name.to_string())
    }
}
