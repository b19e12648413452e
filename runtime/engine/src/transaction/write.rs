//! Writing: what the document was, what it becomes, and what stands in the way.

use std::cell::RefCell;
use std::sync::{Arc, Weak};

use futures::FutureExt;
use futures::future::{BoxFuture, Shared as SharedFuture};
use syncline_functions::tx::{DbError, Fields, Reply};
use syncline_schema::{DocumentId, InternalId, KeyRange, TableNumber, check_identifier};

use super::values;
use super::{Access, Transaction, TxState};
use crate::catalog::Table;
use crate::commit::{DocumentKeys, IndexId};
use crate::document::{self, Measure, Merged};
use crate::load::Loading;
use crate::memory::{Place, Stored};
use crate::storage::StorageError;

/// Most room that a thread keeps for putting texts together, bytes. Source: ours; documents are mostly smaller.
const TEXT_KEPT_BYTES: usize = 1 << 16;

const DAY_NS: u64 = 86_400_000_000_000;

/// Writes that wait for the base, in the order of the calls. Each drives those before it.
#[derive(Default)]
pub(super) struct WriteQueue {
    last: Option<SharedFuture<BoxFuture<'static, Result<(), DbError>>>>,
}

impl WriteQueue {
    fn waits(&self) -> bool {
        self.last.as_ref().is_some_and(|last| last.peek().is_none())
    }
}

/// What is done to a document.
#[derive(Clone, Copy, Debug)]
pub(super) enum Operation<'a> {
    Patch(Fields<'a>),
    Replace(Fields<'a>),
    Delete,
}

impl Operation<'_> {
    fn name(&self) -> &'static str {
        match self {
            Operation::Patch(_) => "patch",
            Operation::Replace(_) => "replace",
            Operation::Delete => "delete",
        }
    }
}

/// An operation that waits.
enum OwnedOperation {
    Patch(OwnedFields),
    Replace(OwnedFields),
    Delete,
}

enum OwnedFields {
    Typed(String),
    Untyped(String),
}

impl OwnedFields {
    fn of(fields: Fields<'_>) -> Self {
        match fields {
            Fields::Typed(text) => OwnedFields::Typed(text.to_owned()),
            Fields::Untyped(text) => OwnedFields::Untyped(text.to_owned()),
        }
    }

    fn borrow(&self) -> Fields<'_> {
        match self {
            OwnedFields::Typed(text) => Fields::Typed(text),
            OwnedFields::Untyped(text) => Fields::Untyped(text),
        }
    }
}

impl OwnedOperation {
    fn of(operation: Operation<'_>) -> Self {
        match operation {
            Operation::Patch(fields) => OwnedOperation::Patch(OwnedFields::of(fields)),
            Operation::Replace(fields) => OwnedOperation::Replace(OwnedFields::of(fields)),
            Operation::Delete => OwnedOperation::Delete,
        }
    }

    fn borrow(&self) -> Operation<'_> {
        match self {
            OwnedOperation::Patch(fields) => Operation::Patch(fields.borrow()),
            OwnedOperation::Replace(fields) => Operation::Replace(fields.borrow()),
            OwnedOperation::Delete => Operation::Delete,
        }
    }
}

/// What came of trying to write a document.
enum Tried {
    Done(Result<(), DbError>),
    /// Memory does not know the document.
    Unknown(Arc<Table>),
}

impl Transaction {
    pub(super) fn write_document(&self, id: DocumentId, operation: Operation<'_>) -> Reply<()> {
        let mut state = self.state();
        if !state.queue.waits()
            && let Tried::Done(result) = self.try_write(&mut state, id, operation)
        {
            return Reply::now(result);
        }
        let before = state.queue.last.take();
        let later = write_later(self.this.clone(), before, id, OwnedOperation::of(operation)).boxed().shared();
        state.queue.last = Some(later.clone());
        Reply::Later(Box::pin(later))
    }

    fn try_write(&self, state: &mut TxState, id: DocumentId, operation: Operation<'_>) -> Tried {
        if let Err(error) = self.check_writable(operation.name()) {
            return Tried::Done(Err(error));
        }
        if !id.table.is_user() {
            let text = format!("ReadOnlyTable: `{}` of {id}, which is in a table of the system.", operation.name());
            return Tried::Done(Err(DbError::refused("ReadOnlyTable", text)));
        }
        state.reads.document_written(id);
        let Some(table) = self.table_numbered(state, id.table) else {
            return Tried::Done(Err(DbError::nonexistent(operation.name(), &id)));
        };
        let (first, current) = match state.writes.get(&id) {
            Some(write) => (None, write.new.clone()),
            None => match self.find_in_memory(&table, id.internal, state.last_seen.place(id.internal)) {
                Some(Some((stored, place))) => (Some(place), Some(stored)),
                Some(None) => (None, None),
                None => return Tried::Unknown(table),
            },
        };
        if let Err(error) = self.check_kept(state) {
            return Tried::Done(Err(error));
        }
        let Some(current) = current else { return Tried::Done(Err(DbError::nonexistent(operation.name(), &id))) };
        Tried::Done(self.apply(state, &table, id, current, first, operation))
    }

    /// With `first`, its place, this is the transaction's first write to a document: `current` is as the snapshot has it.
    fn apply(
        &self,
        state: &mut TxState,
        table: &Arc<Table>,
        id: DocumentId,
        mut current: Stored,
        first: Option<Place>,
        operation: Operation<'_>,
    ) -> Result<(), DbError> {
        let changed = match operation {
            Operation::Delete => None,
            Operation::Patch(Fields::Typed(patch)) => Some(patched(table, &id, &current, patch)?),
            Operation::Replace(Fields::Typed(fields)) => {
                let text = document::stored(current.creation_time, &id, fields);
                Some(Changed::whole(&id, text)?)
            }
            Operation::Patch(Fields::Untyped(patch)) => {
                let numbers = super::Numbers { tx: self, state: RefCell::new(state) };
                Some(Changed::whole(&id, values::patched(table, &id, &current, patch, &numbers)?)?)
            }
            Operation::Replace(Fields::Untyped(fields)) => {
                let numbers = super::Numbers { tx: self, state: RefCell::new(state) };
                Some(Changed::whole(&id, values::replaced(table, &id, current.creation_time, fields, &numbers)?)?)
            }
        };
        if changed.as_ref().is_some_and(|changed| *changed.text == *current.json) {
            return Ok(());
        }
        let current_keys = table.fill_keys(&id, &mut current).map_err(corrupt)?;
        let new = match changed {
            None => None,
            Some(changed) => {
                self.check_size(table, &id, changed.measure)?;
                let keys = if changed.may_move {
                    let keys = table.keys(&changed.text, current.creation_time, &id).map_err(corrupt)?;
                    // The same keys are shared, so that a commit sees at once that no entry moves.
                    if keys == current_keys { current_keys } else { keys }
                } else {
                    current_keys
                };
                Some(changed.stored(current.creation_time, keys))
            }
        };
        self.count_write(state, Some(&current), new.as_ref())?;
        let (place, old) = first.map_or((Place::UNKNOWN, None), |place| (place, Some(current)));
        state.writes.put(id, (table, place), old, new);
        Ok(())
    }

    pub(super) fn insert_document(&self, name: &str, fields: Fields<'_>) -> Result<DocumentId, DbError> {
        self.check_writable("insert")?;
        let mut state = self.state();
        let table = match self.table_named(&mut state, name) {
            Some(table) => table,
            None => self.new_table(&mut state, name)?,
        };
        let now_ns = self.shared.ports.clock.wall_ns().max(self.snapshot.0 + 1);
        let creation_time =
            state.next_creation_time.unwrap_or_else(|| syncline_schema::Timestamp(now_ns).creation_time());
        let mut random = [0; 7];
        self.shared.ports.random.fill(&mut random);
        let days = u16::try_from(now_ns / DAY_NS).unwrap_or(u16::MAX);
        let id = DocumentId { table: table.number, internal: InternalId::new(creation_time, random, days) };
        let text = match fields {
            Fields::Typed(fields) => document::stored(creation_time, &id, fields),
            Fields::Untyped(fields) => {
                let numbers = super::Numbers { tx: self, state: RefCell::new(&mut state) };
                values::inserted(&table, &id, creation_time, fields, &numbers)?
            }
        };
        let new = Changed::whole(&id, text)?;
        self.check_size(&table, &id, new.measure)?;
        let keys = table.keys(&new.text, creation_time, &id).map_err(corrupt)?;
        let new = new.stored(creation_time, keys);
        self.count_write(&mut state, None, Some(&new))?;
        state.next_creation_time = Some(creation_time.next_up());
        state.reads.document_written(id);
        state.writes.put(id, (&table, Place::UNKNOWN), None, Some(new));
        Ok(id)
    }

    pub(super) fn create_table_now(&self, name: &str) -> Result<TableNumber, DbError> {
        self.check_writable("create")?;
        let mut state = self.state();
        let table = match self.table_named(&mut state, name) {
            Some(table) => table,
            None => self.new_table(&mut state, name)?,
        };
        if !state.created_tables.contains(&table.number) {
            state.created_tables.push(table.number);
        }
        Ok(table.number)
    }

    fn new_table(&self, state: &mut TxState, name: &str) -> Result<Arc<Table>, DbError> {
        if name.starts_with('_') {
            let text = format!("ReadOnlyTable: `insert` into `{name}`, which is a table of the system.");
            return Err(DbError::refused("ReadOnlyTable", text));
        }
        check_identifier(name).map_err(|error| {
            DbError::refused("InvalidTableName", format!("InvalidTableName: `{name}` cannot name a table: {error}"))
        })?;
        let max = self.shared.config.limits.tables_max;
        if self.catalog.len() + state.new_tables.len() >= max {
            let text = format!("TooManyTables: there are {max} tables, which is the limit; `{name}` is one more.");
            return Err(DbError::refused("TooManyTables", text));
        }
        // Whoever else makes a table meanwhile would give it the same number.
        state.reads.range(IndexId::TABLE_NAMES, KeyRange::all());
        let last_new = state.new_tables.last().map(|table| TableNumber(table.number.0 + 1));
        let number = last_new.unwrap_or_else(|| self.catalog.next_number());
        let table = Arc::new(Table::new_in_transaction(number, name));
        state.new_tables.push(table.clone());
        Ok(table)
    }

    fn check_writable(&self, operation: &str) -> Result<(), DbError> {
        match self.options.access {
            Access::ReadWrite => Ok(()),
            Access::ReadOnly => {
                let text = format!("ReadOnly: `{operation}` in a query. Only mutations write.");
                Err(DbError::refused("ReadOnly", text))
            }
        }
    }

    fn check_size(&self, table: &Table, id: &DocumentId, measure: Measure) -> Result<(), DbError> {
        let limits = &self.shared.config.limits;
        let (size, depth) = (measure.size as u64, measure.depth as u64);
        if size > limits.document_bytes_max {
            let text = format!(
                "ValueTooLargeError: the document {id} of table `{}` would have {size} bytes; a document may have {}.",
                table.name, limits.document_bytes_max
            );
            return Err(DbError::refused("ValueTooLargeError", text));
        }
        if depth > limits.document_depth_max {
            let text = format!(
                "TooNestedError: the document {id} of table `{}` would be nested {depth} levels deep; \
                 a document may be nested {} levels.",
                table.name, limits.document_depth_max
            );
            return Err(DbError::refused("TooNestedError", text));
        }
        Ok(())
    }

    fn count_write(&self, state: &mut TxState, old: Option<&Stored>, new: Option<&Stored>) -> Result<(), DbError> {
        let limits = &self.shared.config.limits;
        let usage = &mut state.usage;
        usage.documents_written += 1;
        usage.bytes_written += new.map_or(0, |new| u64::from(new.size));
        usage.index_bytes_written += moved_key_bytes(old, new);
        let over = |code: &'static str, limit: String| {
            let text = format!("{code}: one mutation may write {limit}. Do the rest in another mutation.");
            Err(DbError::refused(code, text))
        };
        if usage.documents_written > limits.documents_written_max {
            return over("TooManyWrites", format!("{} documents", limits.documents_written_max));
        }
        if usage.bytes_written > limits.bytes_written_max {
            return over("TooManyBytesWritten", format!("{} bytes of documents", limits.bytes_written_max));
        }
        Ok(())
    }
}

/// Bytes of the index keys that a write removes and adds, that of the document itself included.
fn moved_key_bytes(old: Option<&Stored>, new: Option<&Stored>) -> u64 {
    let bytes = |keys: &DocumentKeys| keys.iter().map(|(_, key)| key.len() as u64).sum::<u64>();
    let moved = match (old.and_then(|old| old.keys.as_ref()), new.and_then(|new| new.keys.as_ref())) {
        (Some(old), Some(new)) if Arc::ptr_eq(old, new) => 0,
        (old, new) => old.map_or(0, bytes) + new.map_or(0, bytes),
    };
    size_of::<InternalId>() as u64 + moved
}

/// The new text of a document.
struct Changed {
    text: Arc<str>,
    head_len: u32,
    measure: Measure,
    /// Whether its keys may be others than before.
    may_move: bool,
}

impl Changed {
    /// A text that is new as a whole.
    fn whole(id: &DocumentId, text: String) -> Result<Self, DbError> {
        let measure = document::measure(&text).ok_or_else(|| not_canonical(id))?;
        let head_len = document::head_len(&text).and_then(|len| u32::try_from(len).ok());
        let head_len = head_len.ok_or_else(|| not_canonical(id))?;
        Ok(Changed { text: text.into(), head_len, measure, may_move: true })
    }

    fn stored(self, creation_time: f64, keys: DocumentKeys) -> Stored {
        let size = u32::try_from(self.measure.size).unwrap_or(u32::MAX);
        Stored { creation_time, json: self.text.into(), size, head_len: self.head_len, keys: Some(keys) }
    }
}

fn patched(table: &Table, id: &DocumentId, current: &Stored, patch: &str) -> Result<Changed, DbError> {
    // Where texts are put together: the same memory again, which is near.
    thread_local! {
        static TEXT: RefCell<String> = RefCell::default();
    }
    TEXT.with_borrow_mut(|text| {
        let mut may_move = false;
        let on_field = |name: &str| may_move = may_move || table.is_indexed(name);
        let merged = document::merge((&current.json, current.head_len as usize), patch, text, on_field);
        let Merged { growth, depth } = merged.ok_or_else(|| not_canonical(id))?;
        let size = (current.size as usize).saturating_add_signed(growth);
        let measure = Measure { size, depth };
        let changed = Changed { text: (**text).into(), head_len: current.head_len, measure, may_move };
        if text.capacity() > TEXT_KEPT_BYTES {
            *text = String::new();
        }
        Ok(changed)
    })
}

fn corrupt(error: StorageError) -> DbError {
    DbError::Storage(error.to_string().into())
}

/// Writes once the writes before it are done and memory knows the document.
///
/// Holds no transaction while it waits: the transaction holds it.
async fn write_later(
    tx: Weak<Transaction>,
    before: Option<SharedFuture<BoxFuture<'static, Result<(), DbError>>>>,
    id: DocumentId,
    operation: OwnedOperation,
) -> Result<(), DbError> {
    if let Some(before) = before {
        // Its own caller is told of its failure.
        let _ = before.await;
    }
    let ended = || DbError::Storage("the transaction has ended".into());
    let shared = tx.upgrade().ok_or_else(ended)?.shared.clone();
    let _loading = Loading::begin(&shared);
    loop {
        let alive = tx.upgrade().ok_or_else(ended)?;
        let tried = alive.try_write(&mut alive.state(), id, operation.borrow());
        let table = match tried {
            Tried::Done(result) => return result,
            Tried::Unknown(table) => table,
        };
        drop(alive);
        let loaded = shared.load_documents(&table, vec![id.internal], None).await;
        if let Err(error) = loaded {
            let error = DbError::Storage(error.to_string().into());
            if let Some(alive) = tx.upgrade() {
                alive.state().failure.get_or_insert(error.clone());
            }
            return Err(error);
        }
    }
}

fn not_canonical(id: &DocumentId) -> DbError {
    DbError::Storage(format!("document {id}: its stored text, or the text to be stored, is not canonical").into())
}
