//! Reading: from memory at once where it is complete, else from the base, which memory then knows.

use std::iter::Peekable;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::vec::IntoIter;

use syncline_functions::tx::{Batch, DbError, Document, Order, Reply, Scan};
use syncline_schema::{BY_CREATION_TIME, BY_ID, DocumentId, InternalId, KeyRange, by_id_key};

use super::{Transaction, TxState, range};
use crate::catalog::{Table, index_not_found};
use crate::commit::IndexId;
use crate::load::Loading;
use crate::memory::{Gap, Known, Stored, TableSpace, Walk};
use crate::storage::StorageError;
use crate::writes::{Write, Writes};

/// One step of an index, resolved. Keys of `by_id` are ids here.
struct Step {
    table: Arc<Table>,
    index: IndexId,
    interval: KeyRange,
    order: Order,
    limit: usize,
}

/// A document on its way to the caller, with its key.
struct Row {
    key: Arc<[u8]>,
    id: InternalId,
    stored: Stored,
}

/// What memory made of a step.
enum Attempt {
    /// All of it, and whether the end of the interval was reached.
    Complete(Vec<Row>, bool),
    /// Memory does not know what lies here.
    Gap(Gap),
    /// Memory knows which documents, but not them.
    Missing(Vec<InternalId>),
}

impl Transaction {
    pub(super) fn get_document(&self, id: DocumentId) -> Reply<Option<Document>> {
        let mut state = self.state();
        state.reads.document_got(id);
        if let Err(error) = self.check_intervals(&state, || "`get`".to_owned()) {
            return Reply::now(Err(error));
        }
        let Some(table) = self.table_numbered(&state, id.table) else { return Reply::now(Ok(None)) };
        if let Some(write) = state.writes.get(&id) {
            let stored = write.new.clone();
            return Reply::now(self.deliver(&mut state, &table, id, stored));
        }
        drop(state);
        if let Some(found) = self.find_in_memory(&table, id.internal) {
            return Reply::now(self.deliver(&mut self.state(), &table, id, found));
        }
        let this = self.strong();
        Reply::Later(Box::pin(async move {
            let _loading = Loading::begin(&this.shared);
            loop {
                let loaded = this.shared.load_documents(&table, vec![id.internal]).await;
                loaded.map_err(|error| this.fail(error))?;
                if let Some(found) = this.find_in_memory(&table, id.internal) {
                    return this.deliver(&mut this.state(), &table, id, found);
                }
            }
        }))
    }

    /// Counts a document that was looked up and hands it out.
    fn deliver(
        &self,
        state: &mut TxState,
        table: &Table,
        id: DocumentId,
        stored: Option<Stored>,
    ) -> Result<Option<Document>, DbError> {
        self.check_kept(state)?;
        let Some(stored) = stored else { return Ok(None) };
        let key_bytes = id.internal.0.len();
        self.count_read(state, &stored, key_bytes, || format!("`get` from table `{}`", table.name))?;
        Ok(Some(document(id, stored)))
    }

    /// What memory knows of a document at the snapshot; `None` when the base must be asked.
    pub(super) fn find_in_memory(&self, table: &Table, id: InternalId) -> Option<Option<Stored>> {
        match table.memory.read().documents.get(&id.into(), self.snapshot) {
            Known::Present(stored) => Some(Some(stored.clone())),
            Known::Absent => Some(None),
            Known::Unknown => None,
        }
    }

    pub(super) fn scan_index(&self, scan: &Scan<'_>) -> Reply<Batch> {
        let step = match self.resolve(scan) {
            Ok(Some(step)) => step,
            Ok(None) => return Reply::now(Ok(Batch { rows: Vec::new(), done: true })),
            Err(error) => return Reply::now(Err(error)),
        };
        if let Attempt::Complete(rows, done) = self.attempt(&step) {
            return Reply::now(self.finish(step, rows, done));
        }
        let this = self.strong();
        Reply::Later(Box::pin(async move {
            let _loading = Loading::begin(&this.shared);
            loop {
                let loaded = match this.attempt(&step) {
                    Attempt::Complete(rows, done) => return this.finish(step, rows, done),
                    Attempt::Gap(gap) => {
                        this.shared.load_gap(&step.table, step.index.index, &gap, step.order, step.limit).await
                    }
                    Attempt::Missing(ids) => this.shared.load_documents(&step.table, ids).await,
                };
                loaded.map_err(|error: StorageError| this.fail(error))?;
            }
        }))
    }

    /// `None` for a table that does not exist, and for an interval without keys.
    fn resolve(&self, scan: &Scan<'_>) -> Result<Option<Step>, DbError> {
        let table = self.table_named(&mut self.state(), scan.table);
        let Some(table) = table else {
            return match scan.index {
                BY_ID | BY_CREATION_TIME => Ok(None),
                index => Err(index_not_found(scan.table, index, &[])),
            };
        };
        let (number, fields) = table.index(scan.index)?;
        let index = IndexId { table: table.number, index: number };
        let Some(interval) = range::interval(scan, index, fields)? else { return Ok(None) };
        let step = Step { index, interval, order: scan.order, limit: scan.limit.max(1), table };
        Ok(Some(step))
    }

    /// Reads a step from memory, with the transaction's own writes in their places.
    fn attempt(&self, step: &Step) -> Attempt {
        let state = self.state();
        let space = step.table.memory.read();
        let mut merge = Merge::new(step, &state.writes);
        let interval = (&step.interval.start[..], step.interval.end.as_deref());
        let walk = if step.index.index == IndexId::BY_ID {
            space.documents.walk(interval, step.order, self.snapshot, |key, stored| {
                let id = key.id();
                merge.visit(&id.0, id, |_| Some((step.row_key(id), stored.clone())))
            })
        } else if let Some(index) = space.index(step.index.index) {
            index.entries.walk(interval, step.order, self.snapshot, |key, id| {
                merge.visit(key.shared(), *id, |missing| {
                    let stored = self.document_of_entry(&space, *id, missing)?;
                    Some((key.shared().clone(), stored))
                })
            })
        } else {
            Walk::Ended
        };
        merge.end(walk)
    }

    /// The document that an index entry leads to; `None` when memory lacks it, which is noted.
    fn document_of_entry(&self, space: &TableSpace, id: InternalId, missing: &mut Vec<InternalId>) -> Option<Stored> {
        match space.documents.get(&id.into(), self.snapshot) {
            Known::Present(stored) => Some(stored.clone()),
            // An entry without its document: only in a damaged base.
            Known::Absent => None,
            Known::Unknown => {
                missing.push(id);
                None
            }
        }
    }

    /// Notes what was read, counts it and hands it out.
    fn finish(&self, step: Step, rows: Vec<Row>, done: bool) -> Result<Batch, DbError> {
        let mut state = self.state();
        self.check_kept(&mut state)?;
        let last = rows.last().map(|row| if step.is_by_id() { &row.id.0[..] } else { &row.key[..] });
        state.reads.range(step.index, range::read_up_to(step.interval, step.order, last, done));
        let place = || format!("the index `{}.{}`", step.table.name, step.table.index_name(step.index.index));
        self.check_intervals(&state, place)?;
        let mut batch = Batch { rows: Vec::with_capacity(rows.len()), done };
        for row in rows {
            self.count_read(&mut state, &row.stored, row.key.len(), place)?;
            let id = DocumentId { table: step.index.table, internal: row.id };
            batch.rows.push((row.key, document(id, row.stored)));
        }
        Ok(batch)
    }

    fn check_intervals(&self, state: &TxState, place: impl FnOnce() -> String) -> Result<(), DbError> {
        let max = self.shared.config.limits.intervals_read_max;
        if state.reads.n_intervals() as u64 <= max {
            return Ok(());
        }
        Err(read_limit("TooManyReads", &format!("{max} index intervals"), &place()))
    }

    fn count_read(
        &self,
        state: &mut TxState,
        stored: &Stored,
        key_bytes: usize,
        place: impl FnOnce() -> String,
    ) -> Result<(), DbError> {
        let limits = &self.shared.config.limits;
        state.usage.documents_read += 1;
        state.usage.bytes_read += u64::from(stored.size);
        state.usage.index_bytes_read += key_bytes as u64;
        if state.usage.documents_read > limits.documents_read_max {
            let limit = format!("{} documents", limits.documents_read_max);
            return Err(read_limit("TooManyDocumentsRead", &limit, &place()));
        }
        if state.usage.bytes_read > limits.bytes_read_max {
            let limit = format!("{} bytes of documents", limits.bytes_read_max);
            return Err(read_limit("TooManyBytesRead", &limit, &place()));
        }
        Ok(())
    }
}

fn read_limit(code: &'static str, limit: &str, place: &str) -> DbError {
    let text = format!(
        "{code}: one function may read {limit}, and went over that with {place}. \
         Read less per call: a tighter index range, a smaller `take`, or pages.",
    );
    DbError::refused(code, text)
}

fn document(id: DocumentId, stored: Stored) -> Document {
    Document { id, creation_time: stored.creation_time, json: stored.json, fields_at: stored.head_len as usize }
}

impl Step {
    fn is_by_id(&self) -> bool {
        self.index.index == IndexId::BY_ID
    }

    fn row_key(&self, id: InternalId) -> Arc<[u8]> {
        by_id_key(&DocumentId { table: self.index.table, internal: id }).into()
    }
}

/// A document that the transaction wrote, with its key in the index that is read.
type OwnRow<'a> = (Arc<[u8]>, &'a Write);

/// The rows of a step: those of the snapshot, with the transaction's own in their places.
struct Merge<'a> {
    step: &'a Step,
    writes: &'a Writes,
    /// Documents that the transaction wrote and that lie in the interval, in the order of the step.
    own: Peekable<IntoIter<OwnRow<'a>>>,
    rows: Vec<Row>,
    missing: Vec<InternalId>,
}

impl<'a> Merge<'a> {
    fn new(step: &'a Step, writes: &'a Writes) -> Self {
        let mut own = Vec::new();
        if !writes.is_empty() {
            own = writes.in_range(step.index, &step.interval.start, step.interval.end.as_deref());
            if step.order == Order::Desc {
                own.reverse();
            }
        }
        Merge { step, writes, own: own.into_iter().peekable(), rows: Vec::new(), missing: Vec::new() }
    }

    fn is_full(&self) -> bool {
        self.rows.len() + self.missing.len() >= self.step.limit
    }

    /// Takes own rows as long as `is_due` says so of their keys.
    fn take_own(&mut self, is_due: impl Fn(&[u8]) -> bool) {
        while !self.is_full()
            && let Some((key, write)) = self.own.next_if(|(key, _)| is_due(key))
        {
            if let Some(stored) = write.new.clone() {
                let id = write.id.internal;
                let key = if self.step.is_by_id() { self.step.row_key(id) } else { key };
                self.rows.push(Row { key, id, stored });
            }
        }
    }

    /// A row of the snapshot; `make` gives its key and document.
    fn visit(
        &mut self,
        key: &[u8],
        id: InternalId,
        make: impl FnOnce(&mut Vec<InternalId>) -> Option<(Arc<[u8]>, Stored)>,
    ) -> ControlFlow<()> {
        if self.own.peek().is_some() {
            match self.step.order {
                Order::Asc => self.take_own(|own| own < key),
                Order::Desc => self.take_own(|own| own > key),
            }
        }
        if self.is_full() {
            return ControlFlow::Break(());
        }
        let written = !self.writes.is_empty()
            && self.writes.get(&DocumentId { table: self.step.index.table, internal: id }).is_some();
        if !written && let Some((key, stored)) = make(&mut self.missing) {
            self.rows.push(Row { key, id, stored });
        }
        if self.is_full() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    }

    fn end(mut self, walk: Walk) -> Attempt {
        let done = match walk {
            Walk::Stopped => false,
            Walk::Ended => {
                self.take_own(|_| true);
                self.own.peek().is_none()
            }
            Walk::Gap(gap) => {
                match self.step.order {
                    Order::Asc => self.take_own(|own| own < &gap.start[..]),
                    Order::Desc => self.take_own(|own| gap.end.as_deref().is_some_and(|end| own >= end)),
                }
                if !self.is_full() {
                    return Attempt::Gap(gap);
                }
                false
            }
        };
        if self.missing.is_empty() { Attempt::Complete(self.rows, done) } else { Attempt::Missing(self.missing) }
    }
}
