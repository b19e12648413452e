//! A storage in memory: for tests and simulations, and for stores that need not outlive the process.
//!
//! It can be made to fail and to crash at any sync. What was not synced at a crash is forgotten by
//! [`MemoryStorage::reopen`], wholly or but for its first half, as a machine without power forgets it.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures::FutureExt;
use futures::future;
use syncline_functions::tx::Order;
use syncline_schema::{DocumentId, InternalId, TableNumber, Timestamp};
use tokio::sync::watch;

use super::{
    BaseAnswer, BaseKey, BaseRange, BaseRead, BaseRow, BaseText, BaseWrites, Checkpoint, LogBatch, Meta, OutcomeGroup,
    Position, Pruned, Storage, StorageError, StorageFuture,
};
use crate::commit::IndexId;
use crate::memory::id_bounds;

/// What goes wrong at a sync: an append, or the end of a checkpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Nothing is stored, and it says so.
    Fails,
    /// It is stored, but says that it is not.
    FailsButStored,
    /// The machine stops before anything is stored. Nothing answers any more.
    Crash,
    /// The machine stops when it is stored.
    CrashStored,
    /// The machine stops before anything is stored; of what was written before and not synced, half is there.
    CrashTorn,
}

/// A storage in memory. Clones are the same storage.
#[derive(Clone, Debug)]
pub struct MemoryStorage {
    disk: Arc<Mutex<Disk>>,
    held: watch::Sender<bool>,
    /// An append waits to be let go on.
    holds: watch::Sender<bool>,
}

#[derive(Clone, Debug, Default)]
struct Disk {
    log: BTreeMap<Timestamp, Vec<u8>>,
    head: Timestamp,
    base: Timestamp,
    meta: BTreeMap<String, String>,
    documents: BTreeMap<DocumentId, BaseText>,
    /// By their bytes, which bounds of ranges are compared with.
    entries: BTreeMap<(IndexId, Arc<[u8]>), BaseKey>,
    outcomes: BTreeMap<([u8; 16], Timestamp), OutcomeGroup>,
    /// What brings the disk back to the last sync, newest last.
    unsynced: Vec<Undo>,
    n_syncs: u64,
    faults: BTreeMap<u64, Fault>,
    unreadable: bool,
    crashed: Option<Fault>,
    closed: bool,
}

#[derive(Clone, Debug)]
enum Undo {
    Document(DocumentId, Option<BaseText>),
    Entry((IndexId, Arc<[u8]>), Option<BaseKey>),
    Outcome(([u8; 16], Timestamp), Option<OutcomeGroup>),
}

impl Default for MemoryStorage {
    fn default() -> Self {
        Self::new()
    }
}

impl MemoryStorage {
    /// An empty storage.
    pub fn new() -> Self {
        Self::with(Disk::default())
    }

    fn with(disk: Disk) -> Self {
        let (held, holds) = (watch::Sender::new(false), watch::Sender::new(false));
        MemoryStorage { disk: Arc::new(Mutex::new(disk)), held, holds }
    }

    fn disk(&self) -> MutexGuard<'_, Disk> {
        self.disk.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The storage as the next process finds it: without what was not synced, and without faults.
    pub fn reopen(&self) -> MemoryStorage {
        let mut disk = self.disk().clone();
        let kept = if disk.crashed == Some(Fault::CrashTorn) { disk.unsynced.len() / 2 } else { 0 };
        while disk.unsynced.len() > kept
            && let Some(undo) = disk.unsynced.pop()
        {
            disk.undo(undo);
        }
        Self::with(Disk { faults: BTreeMap::new(), crashed: None, closed: false, unreadable: false, ..disk })
    }

    /// How many syncs there were.
    pub fn n_syncs(&self) -> u64 {
        self.disk().n_syncs
    }

    /// Makes the sync with a number (the first is 0) go wrong.
    pub fn fail_at(&self, sync: u64, fault: Fault) {
        self.disk().faults.insert(sync, fault);
    }

    /// Makes [`Storage::position`] and [`Storage::read`] fail, or work again.
    pub fn set_unreadable(&self, unreadable: bool) {
        self.disk().unreadable = unreadable;
    }

    /// Holds appends back, or lets them go on: they are called, but do not return.
    pub fn hold_appends(&self, held: bool) {
        self.held.send_replace(held);
    }

    /// Resolves when an append is held back: nothing that is committed from then on is in it.
    pub async fn holds_append(&self) {
        // The sender lives in `self`, so it cannot be gone.
        let _ = self.holds.subscribe().wait_for(|holds| *holds).await;
    }

    /// How many batches the log has, and how many documents and index entries the base.
    pub fn counts(&self) -> (usize, usize, usize) {
        let disk = self.disk();
        (disk.log.len(), disk.documents.len(), disk.entries.len())
    }

    fn answer<T: Send + 'static>(&self, f: impl FnOnce(&mut Disk) -> Result<T, StorageError>) -> StorageFuture<T> {
        let mut disk = self.disk();
        let result = disk.check_open().and_then(|()| f(&mut disk));
        future::ready(result).boxed()
    }
}

impl Disk {
    fn check_open(&self) -> Result<(), StorageError> {
        if self.crashed.is_some() {
            return Err(StorageError::Io { what: "the machine has stopped".to_owned() });
        }
        if self.closed { Err(StorageError::Closed) } else { Ok(()) }
    }

    fn check_readable(&self) -> Result<(), StorageError> {
        if self.unreadable {
            return Err(StorageError::Io { what: "a fault that was asked for".to_owned() });
        }
        Ok(())
    }

    /// Does what is synced, or what goes wrong with it.
    fn sync<T>(&mut self, f: impl FnOnce(&mut Disk) -> T) -> Result<T, StorageError> {
        let fault = self.faults.remove(&self.n_syncs);
        self.n_syncs += 1;
        let failed = || Err(StorageError::Io { what: "a fault that was asked for".to_owned() });
        if fault.is_none_or(|fault| matches!(fault, Fault::FailsButStored | Fault::CrashStored)) {
            let done = f(self);
            self.unsynced.clear();
            if fault.is_none() {
                return Ok(done);
            }
        }
        if matches!(fault, Some(Fault::Crash | Fault::CrashStored | Fault::CrashTorn)) {
            self.crashed = fault;
        }
        failed()
    }

    fn undo(&mut self, undo: Undo) {
        match undo {
            Undo::Document(id, before) => drop(put(&mut self.documents, id, before)),
            Undo::Entry(key, before) => drop(put(&mut self.entries, key, before)),
            Undo::Outcome(key, before) => drop(put(&mut self.outcomes, key, before)),
        }
    }

    fn write(&mut self, writes: BaseWrites) -> usize {
        let documents = writes.documents.into_iter().map(|(id, json)| (id, Some(json)));
        for (id, json) in documents.chain(writes.documents_removed.into_iter().map(|id| (id, None))) {
            let before = put(&mut self.documents, id, json);
            self.unsynced.push(Undo::Document(id, before));
        }
        let place = |index, key: &BaseKey| (index, Arc::from(&key[..]));
        let entries = writes.entries.into_iter().map(|(index, key)| (place(index, &key), Some(key)));
        let removed = writes.entries_removed.into_iter().map(|(index, key)| (place(index, &key), None));
        for (key, entry) in entries.chain(removed) {
            let before = put(&mut self.entries, key.clone(), entry);
            self.unsynced.push(Undo::Entry(key, before));
        }
        for group in writes.outcomes {
            let key = (group.session, group.ts);
            let before = put(&mut self.outcomes, key, Some(group));
            self.unsynced.push(Undo::Outcome(key, before));
        }
        if let Some((index, n_max)) = writes.index_dropped {
            let from = (index, Arc::from([]));
            let keys: Vec<_> =
                self.entries.range(from..).take_while(|((other, _), _)| *other == index).take(n_max).collect();
            let keys: Vec<_> = keys.into_iter().map(|(key, _)| key.clone()).collect();
            for key in &keys {
                let before = put(&mut self.entries, key.clone(), None);
                self.unsynced.push(Undo::Entry(key.clone(), before));
            }
            return keys.len();
        }
        0
    }

    fn finish(&mut self, checkpoint: Checkpoint) -> Pruned {
        if let Some(base) = checkpoint.base {
            self.base = base;
            self.head = self.head.max(base);
            self.log = self.log.split_off(&Timestamp(base.0 + 1));
        }
        self.meta.extend(checkpoint.meta);
        for name in &checkpoint.meta_removed {
            self.meta.remove(name);
        }
        let mut pruned = Pruned::default();
        let n_before = self.outcomes.len();
        self.outcomes.retain(|_, group| group.ts >= checkpoint.outcomes_before);
        pruned.aged = (n_before - self.outcomes.len()) as u64;
        if let Some(max) = checkpoint.outcome_bytes_max {
            let mut bytes: u64 = self.outcomes.values().map(|group| group.bytes.len() as u64).sum();
            let mut oldest: Vec<_> =
                self.outcomes.iter().map(|(key, group)| (key.1, *key, group.bytes.len())).collect();
            oldest.sort_unstable();
            for (_, key, len) in oldest {
                if bytes <= max {
                    break;
                }
                self.outcomes.remove(&key);
                bytes -= len as u64;
                pruned.over_budget += 1;
            }
        }
        pruned
    }

    fn document_rows(&self, table: TableNumber, range: &BaseRange) -> Vec<BaseRow> {
        let Some((lower, upper)) = id_bounds(&range.start, range.end.as_deref()) else { return Vec::new() };
        let id = |internal| DocumentId { table, internal };
        let lower = match lower {
            Bound::Unbounded => Bound::Included(id(InternalId([0; 16]))),
            bound => bound.map(id),
        };
        let upper = match upper {
            Bound::Unbounded => Bound::Included(id(InternalId([0xff; 16]))),
            bound => bound.map(id),
        };
        let rows = self.documents.range((lower, upper));
        cut(rows.map(|(id, json)| BaseRow { key: BaseKey::new(&[], id.internal), json: Some(json.clone()) }), range)
    }

    fn entry_rows(&self, index: IndexId, range: &BaseRange) -> Vec<BaseRow> {
        let upper = match &range.end {
            Some(end) if *end <= range.start => return Vec::new(),
            Some(end) => (index, Arc::from(&end[..])),
            None => (IndexId { index: index.index + 1, ..index }, Arc::from([])),
        };
        let rows = self.entries.range((index, Arc::from(&range.start[..]))..upper);
        let rows = rows.map(|(_, key)| {
            let json = self.documents.get(&DocumentId { table: index.table, internal: key.id() });
            BaseRow { key: key.clone(), json: json.cloned() }
        });
        cut(rows, range)
    }

    fn read(&self, part: BaseRead) -> BaseAnswer {
        match part {
            BaseRead::Documents { table, ids } => {
                let find = |internal| self.documents.get(&DocumentId { table, internal }).cloned();
                BaseAnswer::Documents(ids.into_iter().map(find).collect())
            }
            BaseRead::DocumentRange { table, range } => BaseAnswer::Rows(self.document_rows(table, &range)),
            BaseRead::IndexRange { index, range, .. } => BaseAnswer::Rows(self.entry_rows(index, &range)),
            BaseRead::Outcomes { key } => {
                let groups = self.outcomes.range((key.session, Timestamp::ZERO)..);
                let groups = groups.take_while(|((session, _), _)| *session == key.session).map(|(_, group)| group);
                let groups = groups.filter(|group| (group.first..=group.last).contains(&key.request));
                BaseAnswer::Outcomes(groups.map(|group| group.bytes.clone()).collect())
            }
            BaseRead::GreatestRequest { session } => {
                let groups = self.outcomes.range((session, Timestamp::ZERO)..);
                let groups = groups.take_while(|((other, _), _)| *other == session);
                BaseAnswer::GreatestRequest(groups.map(|(_, group)| group.last).max())
            }
        }
    }
}

fn put<K: Ord, V>(map: &mut BTreeMap<K, V>, key: K, value: Option<V>) -> Option<V> {
    match value {
        Some(value) => map.insert(key, value),
        None => map.remove(&key),
    }
}

fn cut(rows: impl DoubleEndedIterator<Item = BaseRow>, range: &BaseRange) -> Vec<BaseRow> {
    match range.order {
        Order::Asc => rows.take(range.limit).collect(),
        Order::Desc => rows.rev().take(range.limit).collect(),
    }
}

impl Storage for MemoryStorage {
    fn position(&self) -> StorageFuture<Position> {
        self.answer(|disk| {
            disk.check_readable()?;
            Ok(Position { head: disk.head, base: disk.base })
        })
    }

    fn meta(&self) -> StorageFuture<Meta> {
        self.answer(|disk| Ok(disk.meta.clone().into_iter().collect()))
    }

    fn append(&self, expected_head: Timestamp, batch: LogBatch) -> StorageFuture<()> {
        let this = self.clone();
        Box::pin(async move {
            // The sender lives in `this`, so it cannot be gone.
            let mut held = this.held.subscribe();
            this.holds.send_replace(*held.borrow());
            let _ = held.wait_for(|held| !held).await;
            this.holds.send_replace(false);
            let mut disk = this.disk();
            disk.check_open()?;
            if disk.head != expected_head {
                return Err(StorageError::HeadMoved { expected: expected_head, found: disk.head });
            }
            disk.sync(|disk| {
                disk.head = batch.ts;
                disk.log.insert(batch.ts, batch.bytes);
            })
        })
    }

    fn log_after(&self, ts: Timestamp, bytes_max: usize) -> StorageFuture<Vec<LogBatch>> {
        self.answer(|disk| {
            let mut bytes = 0;
            let batches = disk.log.range((Bound::Excluded(ts), Bound::Unbounded)).take_while(|(_, batch)| {
                let fits = bytes == 0 || bytes + batch.len() <= bytes_max;
                bytes += batch.len();
                fits
            });
            Ok(batches.map(|(ts, bytes)| LogBatch { ts: *ts, bytes: bytes.clone() }).collect())
        })
    }

    fn read(&self, parts: Vec<BaseRead>) -> StorageFuture<Vec<BaseAnswer>> {
        self.answer(|disk| {
            disk.check_readable()?;
            Ok(parts.into_iter().map(|part| disk.read(part)).collect())
        })
    }

    fn write_base(&self, writes: BaseWrites) -> StorageFuture<usize> {
        self.answer(|disk| Ok(disk.write(writes)))
    }

    fn finish_checkpoint(&self, checkpoint: Checkpoint) -> StorageFuture<Pruned> {
        self.answer(|disk| disk.sync(|disk| disk.finish(checkpoint)))
    }

    fn base_bytes(&self) -> StorageFuture<u64> {
        self.answer(|disk| Ok(disk.documents.values().map(|json| json.len() as u64 + 32).sum()))
    }

    fn close(&self) -> StorageFuture<()> {
        self.answer(|disk| {
            disk.closed = true;
            Ok(())
        })
    }
}
