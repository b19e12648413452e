//! Reading the base into memory, and letting go of what has not been read for a while.
//!
//! While memory is full, most of what is read passes by it: its reader looks at it beneath memory, once.
//!
//! A base row may be put into memory only if nothing newer was let go of meanwhile: what is dirty is never let go of,
//! and what is clean is at or below `base`. So a read is good when `base` is the same before it and, under the table's
//! lock, after it; else it is made again.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use syncline_functions::tx::Order;
use syncline_schema::{InternalId, Timestamp, first_behind};

use crate::base_key;
use crate::catalog::{Table, outline_from_base, stored_from_base};
use crate::commit::IndexId;
use crate::engine::Shared;
use crate::key::Key;
use crate::memory::{Beneath, Entry, Gap, Place, Stored, TableSpace};
use crate::storage::{BaseAnswer, BaseKey, BaseRange, BaseRead, BaseRow, BaseText, StorageError};

/// The least number of rows that memory takes in at once: a question costs more than a row. And the greatest, while it
/// is full: others have to leave for them.
const ROWS_AT_ONCE: usize = 64;

/// Rows that are looked at beneath memory at once: what is made of them meanwhile, and what the storage reads ahead, go
/// on side by side. About what the storage reads in one go, so that nothing that has been read waits for more.
pub(crate) const ROWS_BENEATH: usize = 128;

/// Of so many reads that ask the base while memory is full, it takes in what one found: so what is read again and again
/// comes in soon, and a scan of everything, or look-ups all over it, do not cost an eviction a row.
const TAKEN_IN_ONE_OF: usize = 32;

/// Memory counts as full when so much of the budget is left, as a share of it: more than one round of eviction lets go
/// of. Else each round would make room for some hundred reads, and nearly all would be taken in.
const ROOM_SHARE: usize = 8;

/// Slots that eviction looks at for each row that was taken in: most are an entry or a document that was read lately,
/// and some are not in the base yet.
const EVICTED_FOR_ONE: usize = 16;

/// Slots that eviction looks at under one lock, a number: some tens of microseconds.
const EVICTED_AT_ONCE: usize = 256;

/// The answer of a storage that answers something else than it was asked.
pub(crate) fn unasked() -> StorageError {
    StorageError::Io { what: "the storage answered something that was not asked".to_owned() }
}

/// What a reader wants of a gap.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Wanted {
    /// From which end.
    pub order: Order,
    /// How many rows at most.
    pub limit: usize,
    /// Whether he goes on where he was before.
    pub goes_on: bool,
}

/// Which rows of a gap: the first ones.
#[derive(Clone, Copy, Debug)]
pub(crate) struct First {
    /// From which end.
    pub order: Order,
    /// How many at most.
    pub limit: usize,
    /// How many will be asked for next.
    pub ahead: usize,
}

impl First {
    /// The first rows by rising keys.
    pub fn of(limit: usize) -> Self {
        First { order: Order::Asc, limit, ahead: 0 }
    }
}

/// What memory takes in of a read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Intake {
    All,
    /// The first rows.
    Few,
    /// It passes by.
    Nothing,
}

/// Somebody needs what he loads to stay until he has read it. Lets go of what is too much afterwards.
pub(crate) struct Loading<'a>(&'a Shared);

impl<'a> Loading<'a> {
    pub fn begin(shared: &'a Shared) -> Self {
        shared.n_loading.fetch_add(1, Ordering::Relaxed);
        Loading(shared)
    }
}

impl Drop for Loading<'_> {
    fn drop(&mut self) {
        let n_before = self.0.n_loading.fetch_sub(1, Ordering::Relaxed);
        let budget = self.0.memory_budget();
        // What passed by memory makes nobody leave.
        let n_taken_in = self.0.n_taken_in.swap(0, Ordering::Relaxed);
        if n_taken_in > 0 {
            // While others load, memory may grow to twice the budget, so that nobody's rows go before they are read.
            let budget = if n_before == 1 { budget } else { budget.saturating_mul(2) };
            self.0.evict(budget, EVICTED_FOR_ONE.saturating_mul(n_taken_in));
        }
    }
}

impl Shared {
    /// What documents and index entries may take: the storage's caches have their part of the whole, and so has what
    /// allocators hold beyond what is in use, which is most where what comes and goes is large. That leaves a quarter at
    /// least.
    pub(crate) fn memory_budget(&self) -> usize {
        let whole = self.config.memory_budget_bytes;
        (whole - whole / 4).saturating_sub(self.storage.cache_bytes_max()).max(whole / 4)
    }

    /// Bytes of the log after which it is moved to the base. What is in the log only cannot be let go of, and takes
    /// two to three times as much in memory: so at most an eighth of the budget.
    pub(crate) fn checkpoint_log_bytes(&self) -> u64 {
        self.config.checkpoint_log_bytes.min(self.memory_budget() as u64 / 8)
    }

    /// Whether so much is in the log only that commits wait until some of it has been moved to the base.
    pub(crate) fn is_log_too_long(&self) -> bool {
        const SHARE_MIN: u64 = 1 << 20;
        let share = (self.memory_budget() as u64 / 4).max(SHARE_MIN);
        self.log_bytes.load(Ordering::Relaxed) >= self.config.log_bytes_max.min(share)
    }

    /// About the memory that documents and index entries take.
    pub(crate) fn data_bytes(&self) -> usize {
        self.catalog().iter().map(|table| table.memory.bytes()).sum()
    }

    /// How much memory takes in of what is read now, which may go on with a read of many rows.
    fn intake(&self, goes_on: bool) -> Intake {
        let budget = self.memory_budget();
        if self.data_bytes() < budget - budget / ROOM_SHARE {
            Intake::All
        } else if !goes_on && self.n_asked.fetch_add(1, Ordering::Relaxed).is_multiple_of(TAKEN_IN_ONE_OF) {
            Intake::Few
        } else {
            Intake::Nothing
        }
    }

    /// Puts documents, or their absence, into memory; or beneath it, where a reader brings that.
    pub(crate) async fn load_documents(
        &self,
        table: &Table,
        ids: Vec<InternalId>,
        beneath: Option<&mut Beneath>,
    ) -> Result<(), StorageError> {
        let beneath = beneath.filter(|_| self.intake(false) == Intake::Nothing);
        loop {
            let base = self.base();
            let part = BaseRead::Documents { table: table.number, ids: ids.clone() };
            let mut answers = self.storage.read(vec![part]).await?;
            let Some(BaseAnswer::Documents(found)) = answers.pop() else { return Err(unasked()) };
            let found: Vec<_> = found.into_iter().map(prepare_document).collect::<Result<_, _>>()?;
            let found = ids.iter().copied().zip(found);
            if let Some(beneath) = beneath {
                beneath.add_documents(base, found);
                return Ok(());
            }
            let mut space = table.memory.write();
            if self.base() != base {
                continue;
            }
            self.n_taken_in.fetch_add(ids.len(), Ordering::Relaxed);
            for (id, stored) in found {
                match stored {
                    Some(stored) => {
                        space.documents.install(id.into(), stored.alone(), base);
                    }
                    None => space.documents.set_resident(&id.0, Some(&first_behind(&id.0))),
                }
            }
            return Ok(());
        }
    }

    /// Puts the first rows of a gap in an index, at least `limit` if there are, with their documents into memory or
    /// beneath it.
    pub(crate) async fn load_gap(
        &self,
        table: &Table,
        index: u32,
        gap: &Gap,
        Wanted { order, limit, goes_on }: Wanted,
        beneath: &mut Beneath,
    ) -> Result<(), StorageError> {
        let intake = self.intake(goes_on && limit > ROWS_BENEATH);
        let wanted = limit;
        let limit = match intake {
            Intake::All => limit.max(ROWS_AT_ONCE),
            Intake::Few => ROWS_AT_ONCE,
            Intake::Nothing if index == IndexId::BY_ID => limit,
            Intake::Nothing => limit.min(ROWS_BENEATH),
        };
        let first = First { order, limit, ahead: wanted.saturating_sub(limit) };
        loop {
            let base = self.base();
            let rows = self.read_gap(table, index, gap, first).await?;
            let of = IndexId { table: table.number, index };
            let interval = covered(of, gap, order, &rows, limit);
            if intake == Intake::Nothing {
                check(&rows)?;
                beneath.add_rows(base, order, interval, rows);
                return Ok(());
            }
            let rows = prepare_rows(rows)?;
            let mut space = table.memory.write();
            if self.base() != base {
                continue;
            }
            // An empty interval is something too.
            self.n_taken_in.fetch_add(rows.len() + 1, Ordering::Relaxed);
            install_rows(&mut space, of, rows, base);
            let entries = match index {
                IndexId::BY_ID => None,
                index => space.index_mut(index),
            };
            match entries {
                Some(index) => index.entries.set_resident(&interval.start, interval.end.as_deref()),
                None => space.documents.set_resident(&interval.start, interval.end.as_deref()),
            }
            return Ok(());
        }
    }

    /// The first rows of a gap, as the base has them.
    pub(crate) async fn read_gap(
        &self,
        table: &Table,
        index: u32,
        Gap { start, end }: &Gap,
        First { order, limit, ahead }: First,
    ) -> Result<Vec<BaseRow>, StorageError> {
        let number = table.number;
        let part = match index {
            IndexId::BY_ID => {
                let range = BaseRange { start: start.clone(), end: end.clone(), order, limit };
                BaseRead::DocumentRange { table: number, range }
            }
            index => {
                let bound = |key: &Vec<u8>| base_key::bound(number, table.n_fields(index), key);
                let range = BaseRange { start: bound(start), end: end.as_ref().map(bound), order, limit };
                BaseRead::IndexRange { index: IndexId { table: number, index }, range, ahead }
            }
        };
        match self.storage.read(vec![part]).await?.pop() {
            Some(BaseAnswer::Rows(rows)) => Ok(rows),
            _ => Err(unasked()),
        }
    }

    /// Lets go of what can be read again, while memory is over a budget, and looks at about `n_max` slots at most.
    pub(crate) fn evict(&self, budget: usize, n_max: usize) {
        let catalog = self.catalog();
        let tables: Vec<&Arc<Table>> = catalog.iter().collect();
        // Twice over everything at most: the first time may only find that all of it was read lately.
        let mut n_left = n_max.min(2 * self.data_bytes() / 64);
        while self.data_bytes() > budget && n_left > 0 {
            for table in &tables {
                let mut space = table.memory.write();
                space.documents.evict(EVICTED_AT_ONCE);
                for index in &mut space.indexes {
                    index.entries.evict(EVICTED_AT_ONCE);
                }
            }
            n_left = n_left.saturating_sub(EVICTED_AT_ONCE * tables.len());
        }
    }
}

fn prepare_document(json: Option<BaseText>) -> Result<Option<Stored>, StorageError> {
    json.map(stored_from_base).transpose()
}

fn prepare_rows(rows: Vec<BaseRow>) -> Result<Vec<(BaseKey, Option<Stored>)>, StorageError> {
    rows.into_iter().map(|BaseRow { key, json }| Ok((key, prepare_document(json)?))).collect()
}

/// Refuses rows with a text that is not a document's.
fn check(rows: &[BaseRow]) -> Result<(), StorageError> {
    rows.iter().filter_map(|row| row.json.as_ref()).try_for_each(|json| outline_from_base(json).map(drop))
}

fn install_rows(space: &mut TableSpace, of: IndexId, rows: Vec<(BaseKey, Option<Stored>)>, base: Timestamp) {
    for (key, stored) in rows {
        let id = key.id();
        let place = stored.map_or(Place::UNKNOWN, |stored| space.documents.install(id.into(), stored.alone(), base));
        if of.index != IndexId::BY_ID
            && let Some(index) = space.index_mut(of.index)
        {
            let key = Key::new(base_key::from_base(of, &key).into());
            index.entries.install(key, Entry { id, place }, base);
        }
    }
}

/// The interval that rows of a gap are all of.
fn covered(index: IndexId, gap: &Gap, order: Order, rows: &[BaseRow], limit: usize) -> Gap {
    let whole = gap.clone();
    match rows.last() {
        Some(last) if rows.len() >= limit => {
            let last = base_key::from_base(index, &last.key);
            match order {
                Order::Asc => Gap { end: Some(first_behind(&last).into_vec()), ..whole },
                Order::Desc => Gap { start: last, ..whole },
            }
        }
        _ => whole,
    }
}
