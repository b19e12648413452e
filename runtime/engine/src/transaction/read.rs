//! Reading: from memory at once where it is complete, else from the base, which memory then knows.

use std::iter::Peekable;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::vec::IntoIter;

use smallvec::SmallVec;
use syncline_functions::tx::{Batch, DbError, Document, Order, Reply, Scan};
use syncline_schema::{BY_CREATION_TIME, BY_ID, DocumentId, InternalId, KeyRange, by_creation_time_key, by_id_key};

use super::last_seen::LastSeen;
use super::row_key::RowKey;
use super::{Transaction, TxState, range};
use crate::base_key;
use crate::catalog::{Table, index_not_found};
use crate::commit::IndexId;
use crate::load::{Loading, ROWS_BENEATH, Wanted};
use crate::memory::{Beneath, Entry, Gap, Known, Place, Seen, Sight, Stored, TableSpace, Walk};
use crate::storage::{BaseRow, StorageError};
use crate::writes::{Write, Writes};

/// One step of an index, resolved. Keys of `by_id` are ids here.
struct Step {
    table: Arc<Table>,
    index: IndexId,
    interval: KeyRange,
    order: Order,
    limit: usize,
    /// Whether it follows another one.
    goes_on: bool,
    /// Whether the key of each row is wanted, or the last one's alone.
    keys: bool,
}

/// Documents on their way to the caller, and how much they are.
#[derive(Default)]
struct Rows {
    batch: Batch,
    bytes: u64,
    key_bytes: u64,
    /// Where memory had the first of them.
    places: SmallVec<[Entry; 2]>,
}

/// What memory made of a step.
enum Attempt {
    /// All of it.
    Complete(Rows),
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
        if let Some(found) = self.find_in_memory(&table, id.internal, state.last_seen.place(id.internal)) {
            let stored = found.map(|(stored, place)| {
                state.last_seen.note(Entry { id: id.internal, place });
                stored
            });
            return Reply::now(self.deliver(&mut state, &table, id, stored));
        }
        drop(state);
        let this = self.strong();
        Reply::Later(Box::pin(async move {
            let _loading = Loading::begin(&this.shared);
            let mut beneath = Beneath::of(IndexId { table: table.number, index: IndexId::BY_ID });
            loop {
                let loaded = this.shared.load_documents(&table, vec![id.internal], Some(&mut beneath)).await;
                loaded.map_err(|error| this.fail(error))?;
                if let Some(found) = this.find_or_beneath(&table, id.internal, &mut beneath) {
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
        let usage = &mut state.usage;
        usage.documents_read += 1;
        usage.bytes_read += u64::from(stored.size);
        usage.index_bytes_read += id.internal.0.len() as u64;
        self.check_read(state, || format!("`get` from table `{}`", table.name))?;
        Ok(Some(document(id, Sight::from(&stored))))
    }

    /// What memory knows of a document at the snapshot, and where it has it; `None` when the base must be asked.
    pub(super) fn find_in_memory(&self, table: &Table, id: InternalId, hint: Place) -> Option<Option<(Stored, Place)>> {
        match table.memory.read().documents.get(&id.into(), hint, self.snapshot) {
            Known::Present(stored, place) => Some(Some((stored.clone(), place))),
            Known::Absent => Some(None),
            Known::Unknown => None,
        }
    }

    /// The same where the base has been asked.
    fn find_or_beneath(&self, table: &Table, id: InternalId, beneath: &mut Beneath) -> Option<Option<Stored>> {
        let space = table.memory.read();
        beneath.keep_at(self.shared.base());
        match space.documents.get(&id.into(), Place::UNKNOWN, self.snapshot) {
            Known::Present(stored, _) => Some(Some(stored.clone())),
            Known::Absent => Some(None),
            Known::Unknown => beneath.document(id).cloned(),
        }
    }

    pub(super) fn scan_index(&self, scan: &Scan<'_>) -> Reply<Batch> {
        let mut state = self.state();
        let step = match self.resolve(&mut state, scan) {
            Ok(Some(step)) => step,
            Ok(None) => return Reply::now(Ok(Batch { done: true, ..Batch::default() })),
            Err(error) => return Reply::now(Err(error)),
        };
        let mut attempt = match self.attempt(&state, &step, None) {
            Attempt::Complete(rows) => return Reply::now(self.finish(&mut state, step, rows)),
            incomplete => incomplete,
        };
        drop(state);
        let this = self.strong();
        Reply::Later(Box::pin(async move {
            let _loading = Loading::begin(&this.shared);
            let mut beneath = Beneath::of(step.index);
            loop {
                let loaded = match attempt {
                    Attempt::Complete(rows) => return this.finish(&mut this.state(), step, rows),
                    Attempt::Gap(gap) => {
                        let Step { order, limit, goes_on, .. } = step;
                        let wanted = Wanted { order, limit, goes_on };
                        this.shared.load_gap(&step.table, step.index.index, &gap, wanted, &mut beneath).await
                    }
                    Attempt::Missing(ids) => this.shared.load_documents(&step.table, ids, Some(&mut beneath)).await,
                };
                loaded.map_err(|error: StorageError| this.fail(error))?;
                attempt = this.attempt(&this.state(), &step, Some(&mut beneath));
            }
        }))
    }

    /// `None` for a table that does not exist, and for an interval without keys.
    fn resolve(&self, state: &mut TxState, scan: &Scan<'_>) -> Result<Option<Step>, DbError> {
        let table = self.table_named(state, scan.table);
        let Some(table) = table else {
            return match scan.index {
                BY_ID | BY_CREATION_TIME => Ok(None),
                index => Err(index_not_found(scan.table, index, &[])),
            };
        };
        let (number, fields) = table.index(scan.index)?;
        let index = IndexId { table: table.number, index: number };
        let Some(interval) = range::interval(scan, index, fields)? else { return Ok(None) };
        let (limit, goes_on) = (scan.limit.max(1), scan.after.is_some());
        let step = Step { index, interval, order: scan.order, limit, goes_on, keys: scan.keys, table };
        Ok(Some(step))
    }

    /// Reads a step from memory and what is beneath it, with the transaction's own writes in their places.
    fn attempt(&self, state: &TxState, step: &Step, beneath: Option<&mut Beneath>) -> Attempt {
        let space = step.table.memory.read();
        let beneath = beneath.map(|beneath| {
            beneath.keep_at(self.shared.base());
            &*beneath
        });
        let mut merge = Merge::new(step, &state.writes);
        if beneath.is_some() {
            merge.enough = ROWS_BENEATH;
        }
        merge.rows.batch.documents.reserve(beneath.map_or(0, Beneath::n_rows).min(step.limit));
        let interval = (&step.interval.start[..], step.interval.end.as_deref());
        let walk = if step.index.index == IndexId::BY_ID {
            space.documents.walk(interval, step.order, self.snapshot, beneath, |seen| {
                let (id, stored) = match seen {
                    Seen::Memory(key, stored) => (key.id(), Some(stored.into())),
                    Seen::Base(row) => (row.key.id(), in_base(row)),
                };
                merge.visit(RowKey::Id, id, |_| stored)
            })
        } else if let Some(index) = space.index(step.index.index) {
            index.entries.walk(interval, step.order, self.snapshot, beneath, |seen| {
                let (key, entry, row) = match seen {
                    Seen::Memory(key, entry) => {
                        merge.note(entry);
                        (RowKey::Memory(key.shared()), *entry, None)
                    }
                    Seen::Base(row) => {
                        let entry = Entry { id: row.key.id(), place: Place::UNKNOWN };
                        (RowKey::Base(&row.key), entry, in_base(row))
                    }
                };
                merge.visit(key, entry.id, |missing| {
                    let looked_up = || beneath?.document(entry.id).map(|found| found.as_ref().map(Sight::from));
                    let read = || row.map(Some).or_else(looked_up);
                    self.document_of_entry(&space, entry, row, read, missing)
                })
            })
        } else {
            Walk::Ended
        };
        merge.end(walk)
    }

    /// The document that an index entry leads to. Beneath memory it may have come with the `row`, or be `read`; `None`
    /// when neither knows it, which is noted.
    fn document_of_entry<'a>(
        &self,
        space: &'a TableSpace,
        Entry { id, place }: Entry,
        row: Option<Sight<'a>>,
        read: impl FnOnce() -> Option<Option<Sight<'a>>>,
        missing: &mut Vec<InternalId>,
    ) -> Option<Sight<'a>> {
        if row.is_some() && space.documents.is_settled() {
            // Memory has the same, if any.
            return row;
        }
        match space.documents.get(&id.into(), place, self.snapshot) {
            Known::Present(stored, _) => {
                stored.ask_for();
                Some(stored.into())
            }
            // An entry without its document: only in a damaged base.
            Known::Absent => None,
            Known::Unknown => read().unwrap_or_else(|| {
                missing.push(id);
                None
            }),
        }
    }

    /// Notes what was read, counts it and hands it out.
    fn finish(&self, state: &mut TxState, step: Step, rows: Rows) -> Result<Batch, DbError> {
        self.check_kept(state)?;
        let Rows { batch, bytes, key_bytes, places } = rows;
        places.into_iter().for_each(|document| state.last_seen.note(document));
        let last = match batch.documents.last() {
            Some(document) if step.is_by_id() => Some(&document.id.internal.0[..]),
            _ => batch.keys.last().map(|key| &key[..]),
        };
        state.reads.had(batch.documents.iter().map(|document| document.id));
        state.reads.range(step.index, range::read_up_to(step.interval, step.order, last, batch.done));
        let place = || format!("the index `{}.{}`", step.table.name, step.table.index_name(step.index.index));
        self.check_intervals(state, place)?;
        state.usage.documents_read += batch.documents.len() as u64;
        state.usage.bytes_read += bytes;
        state.usage.index_bytes_read += key_bytes;
        self.check_read(state, place)?;
        Ok(batch)
    }

    fn check_intervals(&self, state: &TxState, place: impl FnOnce() -> String) -> Result<(), DbError> {
        let max = self.shared.config.limits.intervals_read_max;
        if !state.reads.has_more_intervals(max) {
            return Ok(());
        }
        Err(read_limit("TooManyReads", &format!("{max} index intervals"), &place()))
    }

    fn check_read(&self, state: &TxState, place: impl FnOnce() -> String) -> Result<(), DbError> {
        let limits = &self.shared.config.limits;
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

fn document(id: DocumentId, Sight { json, outline }: Sight<'_>) -> Document {
    Document { id, creation_time: outline.creation_time, json: json.clone(), fields_at: outline.head_len as usize }
}

/// The document that came with a row of the base.
fn in_base(row: &BaseRow) -> Option<Sight<'_>> {
    row.json.as_ref().and_then(Sight::of_base)
}

impl Step {
    fn is_by_id(&self) -> bool {
        self.index.index == IndexId::BY_ID
    }

    /// Whether all keys of the index have one length: all ids of a table do.
    fn keys_are_as_long(&self) -> bool {
        matches!(self.index.index, IndexId::BY_ID | IndexId::BY_CREATION_TIME)
    }

    /// That length.
    fn key_len(&self, one: &Document) -> Option<usize> {
        match self.index.index {
            IndexId::BY_ID => Some(by_id_key(&one.id).len()),
            IndexId::BY_CREATION_TIME => Some(by_creation_time_key(one.creation_time, &one.id).len()),
            _ => None,
        }
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
    rows: Rows,
    /// The key of the last row, unless all are kept.
    last_key: Option<RowKey<'a>>,
    /// How many rows came with the keys that the base has.
    n_base_keys: usize,
    missing: Vec<InternalId>,
    /// So many rows are worth a step, when for more the base would have to be asked.
    enough: usize,
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
        let own = own.into_iter().peekable();
        let rows = Rows::default();
        Merge { step, writes, own, rows, last_key: None, n_base_keys: 0, missing: Vec::new(), enough: usize::MAX }
    }

    fn is_full(&self) -> bool {
        self.rows.batch.documents.len() + self.missing.len() >= self.step.limit
    }

    fn push(&mut self, key: RowKey<'a>, id: DocumentId, sight: Sight<'_>) {
        let Rows { batch, bytes, key_bytes, .. } = &mut self.rows;
        *bytes += u64::from(sight.outline.size);
        // Not looked at where it is not needed: the key is in another part of memory.
        if !self.step.keys_are_as_long() {
            *key_bytes += match &key {
                RowKey::Id => 0,
                RowKey::Memory(key) => key.len(),
                RowKey::Own(key) => key.len(),
                RowKey::Base(key) => {
                    self.n_base_keys += 1;
                    key.len()
                }
            } as u64;
        }
        if self.step.keys {
            batch.keys.push(key.into_bytes(self.step.index, id));
        } else {
            self.last_key = Some(key);
        }
        batch.documents.push(document(id, sight));
    }

    fn note(&mut self, entry: &Entry) {
        if self.rows.places.len() < LastSeen::KEPT {
            self.rows.places.push(*entry);
        }
    }

    /// Takes own rows as long as `is_due` says so of their keys.
    fn take_own(&mut self, is_due: impl Fn(&[u8]) -> bool) {
        while !self.is_full()
            && let Some((key, write)) = self.own.next_if(|(key, _)| is_due(key))
        {
            if let Some(stored) = &write.new {
                let key = if self.step.is_by_id() { RowKey::Id } else { RowKey::Own(key) };
                self.push(key, write.id, stored.into());
            }
        }
    }

    /// A row of the snapshot; `find` gives its document.
    fn visit<'b>(
        &mut self,
        key: RowKey<'a>,
        id: InternalId,
        find: impl FnOnce(&mut Vec<InternalId>) -> Option<Sight<'b>>,
    ) -> ControlFlow<()> {
        if self.own.peek().is_some() {
            let step = self.step;
            let order = |own: &[u8]| key.compare(step.index, own, id);
            match step.order {
                Order::Asc => self.take_own(|own| order(own).is_lt()),
                Order::Desc => self.take_own(|own| order(own).is_gt()),
            }
        }
        if self.is_full() {
            return ControlFlow::Break(());
        }
        let id = DocumentId { table: self.step.index.table, internal: id };
        let written = !self.writes.is_empty() && self.writes.get(&id).is_some();
        if !written && let Some(found) = find(&mut self.missing) {
            self.push(key, id, found);
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
                if !self.is_full() && self.rows.batch.documents.len() < self.enough {
                    return Attempt::Gap(gap);
                }
                false
            }
        };
        let Rows { batch, key_bytes, .. } = &mut self.rows;
        batch.done = done;
        if !done && let Some((key, last)) = self.last_key.zip(batch.documents.last()) {
            batch.keys.push(key.into_bytes(self.step.index, last.id));
        }
        if self.n_base_keys > 0 {
            *key_bytes += (self.n_base_keys * base_key::longer_by(self.step.index)) as u64;
        }
        if let Some(len) = batch.documents.first().and_then(|first| self.step.key_len(first)) {
            *key_bytes = (batch.documents.len() * len) as u64;
        }
        if self.missing.is_empty() { Attempt::Complete(self.rows) } else { Attempt::Missing(self.missing) }
    }
}
