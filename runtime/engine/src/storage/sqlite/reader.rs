//! The connections that read the base.
//!
//! Whoever reads borrows one and reads on its own thread: to hand a question to another thread and to wake up for the
//! answer takes longer than most answers, which are in the system's cache if not in SQLite's.

use std::ops::{Deref, DerefMut};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use rusqlite::types::Type;
use rusqlite::{Connection, OptionalExtension, Row, params};
use syncline_functions::tx::Order;
use syncline_schema::{DocumentId, InternalId, TableNumber};
use tokio::sync::mpsc;

use super::error::of_sqlite;
use super::tables::{INDEX_BYTES, entry_key, index_end, sum};
use crate::commit::{IndexId, RequestKey};
use crate::storage::{BaseAnswer, BaseKey, BaseRange, BaseRead, BaseRow, RowNumber, StorageError};

/// A connection that reads.
pub(super) struct Reader {
    connection: Connection,
    /// The state of the file that its open transaction sees, as [`Readers`] counts them; `None` when none is open.
    sees: Option<u64>,
    /// Tells by its end that the connection has ended. Declared after it: it ends later.
    _ends: mpsc::Sender<()>,
}

/// All connections that read.
///
/// A transaction stays open for the next reads, until the file changes: to begin and to end one takes locks from the
/// system, an eighth of a look-up.
pub(super) struct Readers {
    lent: Mutex<Lent>,
    returned: Condvar,
    /// Rises whenever the file has changed.
    state: AtomicU64,
}

struct Lent {
    /// The one that was used last is used next: it has the most in its cache.
    idle: Vec<Reader>,
    closed: bool,
}

impl Readers {
    pub fn new(idle: Vec<Reader>) -> Self {
        let lent = Mutex::new(Lent { idle, closed: false });
        Readers { lent, returned: Condvar::new(), state: AtomicU64::new(0) }
    }

    /// Answers all parts from one state of the file, not older than what the last change left.
    pub fn read(&self, parts: Vec<BaseRead>) -> std::result::Result<Vec<BaseAnswer>, StorageError> {
        let mut reader = self.borrow()?;
        reader.read(parts, self.state.load(Ordering::Acquire))
    }

    /// The file is about to change. Idle readers let go of what they see: SQLite's log would have to keep it.
    pub fn before_change(&self) {
        self.lent().idle.iter_mut().for_each(Reader::let_go);
    }

    /// The file has changed, perhaps.
    pub fn after_change(&self) {
        self.state.fetch_add(1, Ordering::Release);
    }

    fn lent(&self) -> MutexGuard<'_, Lent> {
        self.lent.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// One of them; waits while all are in use.
    fn borrow(&self) -> std::result::Result<Borrowed<'_>, StorageError> {
        let mut lent = self.lent();
        loop {
            if lent.closed {
                return Err(StorageError::Closed);
            }
            if let Some(reader) = lent.idle.pop() {
                return Ok(Borrowed { reader: Some(reader), readers: self });
            }
            lent = self.returned.wait(lent).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Ends them, those in use when they come back.
    pub fn close(&self) {
        let mut lent = self.lent();
        lent.closed = true;
        lent.idle.clear();
        self.returned.notify_all();
    }
}

/// A reader in use. Goes back when it is dropped.
struct Borrowed<'a> {
    reader: Option<Reader>,
    readers: &'a Readers,
}

impl Deref for Borrowed<'_> {
    type Target = Reader;
    fn deref(&self) -> &Reader {
        self.reader.as_ref().expect("only drop takes it")
    }
}

impl DerefMut for Borrowed<'_> {
    fn deref_mut(&mut self) -> &mut Reader {
        self.reader.as_mut().expect("only drop takes it")
    }
}

impl Drop for Borrowed<'_> {
    fn drop(&mut self) {
        if self.sees != Some(self.readers.state.load(Ordering::Acquire)) {
            self.let_go();
        }
        let mut lent = self.readers.lent();
        if !lent.closed {
            lent.idle.extend(self.reader.take());
        }
        drop(lent);
        self.readers.returned.notify_one();
    }
}

type Result<T> = std::result::Result<T, rusqlite::Error>;

impl Reader {
    pub fn new(connection: Connection, ends: mpsc::Sender<()>) -> Self {
        Reader { connection, sees: None, _ends: ends }
    }

    fn read(&mut self, parts: Vec<BaseRead>, state: u64) -> std::result::Result<Vec<BaseAnswer>, StorageError> {
        let answers = self.see(state).and_then(|()| parts.into_iter().map(|part| self.part(part)).collect());
        if answers.is_err() {
            self.let_go();
        }
        answers.map_err(of_sqlite)
    }

    /// Sees a state of the file, or a newer one.
    fn see(&mut self, state: u64) -> Result<()> {
        if self.sees != Some(state) {
            self.let_go();
            self.connection.execute_batch("BEGIN")?;
            self.sees = Some(state);
        }
        Ok(())
    }

    fn let_go(&mut self) {
        self.sees = None;
        // Whether it failed is seen at the next read: no transaction begins within another one.
        if !self.connection.is_autocommit() {
            let _ = self.connection.execute_batch("ROLLBACK");
        }
    }

    fn part(&self, part: BaseRead) -> Result<BaseAnswer> {
        match part {
            BaseRead::Documents { table, ids } => self.documents(table, &ids),
            BaseRead::DocumentRange { table, range } => self.document_range(table, &range),
            BaseRead::IndexRange { index, range } => self.index_range(index, &range),
            BaseRead::Outcomes { key } => self.outcomes(&key),
            BaseRead::GreatestRequest { session } => {
                let sql = "SELECT max(last) FROM outcomes WHERE session = ?1";
                let greatest: Option<i64> =
                    self.connection.prepare_cached(sql)?.query_row([&session[..]], |row| row.get(0))?;
                Ok(BaseAnswer::GreatestRequest(greatest.map(i64::cast_unsigned)))
            }
        }
    }

    fn documents(&self, table: TableNumber, ids: &[InternalId]) -> Result<BaseAnswer> {
        let found = ids.iter().map(|id| self.document(table, *id));
        Ok(BaseAnswer::Documents(found.map(|found| Ok(found?.map(|(json, _)| json))).collect::<Result<_>>()?))
    }

    fn document(&self, table: TableNumber, id: InternalId) -> Result<Option<(Arc<str>, RowNumber)>> {
        let sql = "SELECT sum, json, row FROM documents WHERE table_number = ?1 AND id = ?2";
        let mut statement = self.connection.prepare_cached(sql)?;
        let found = |row: &Row<'_>| Ok((json(row, 0, table, id)?, RowNumber(row.get(2)?)));
        statement.query_row(params![table.0, &id.0[..]], found).optional()
    }

    fn document_range(&self, table: TableNumber, range: &BaseRange) -> Result<BaseAnswer> {
        let sql = match range.order {
            Order::Asc => {
                "SELECT id, sum, json, row FROM documents WHERE table_number = ?1 AND id >= ?2 AND id < ?3 \
                 ORDER BY id LIMIT ?4"
            }
            Order::Desc => {
                "SELECT id, sum, json, row FROM documents WHERE table_number = ?1 AND id >= ?2 AND id < ?3 \
                 ORDER BY id DESC LIMIT ?4"
            }
        };
        let mut statement = self.connection.prepare_cached(sql)?;
        let end = range.end.as_deref().unwrap_or(&BEHIND_ALL_IDS);
        let mut rows = statement.query(params![table.0, range.start, end, limit(range)])?;
        let mut found = Vec::with_capacity(range.limit.min(ROWS_MIN));
        while let Some(row) = rows.next()? {
            let id = InternalId(row.get(0)?);
            let json = Some(json(row, 1, table, id)?);
            found.push(BaseRow { key: BaseKey::new(&[], id), json, row: Some(RowNumber(row.get(3)?)) });
        }
        Ok(BaseAnswer::Rows(found))
    }

    fn index_range(&self, index: IndexId, range: &BaseRange) -> Result<BaseAnswer> {
        let sql = match range.order {
            Order::Asc => {
                "SELECT key, e.row, id, sum, json FROM entries e LEFT JOIN documents d ON d.row = e.row \
                 WHERE key >= ?1 AND key < ?2 ORDER BY key LIMIT ?3"
            }
            Order::Desc => {
                "SELECT key, e.row, id, sum, json FROM entries e LEFT JOIN documents d ON d.row = e.row \
                 WHERE key >= ?1 AND key < ?2 ORDER BY key DESC LIMIT ?3"
            }
        };
        let mut statement = self.connection.prepare_cached(sql)?;
        let end = range.end.as_ref().map_or_else(|| index_end(index), |end| entry_key(index, end));
        let mut rows = statement.query(params![&entry_key(index, &range.start)[..], &end[..], limit(range)])?;
        let mut found = Vec::with_capacity(range.limit.min(ROWS_MIN));
        while let Some(row) = rows.next()? {
            found.push(self.entry(row, index.table)?);
        }
        Ok(BaseAnswer::Rows(found))
    }

    /// An entry with its document: the one in its row, if that is still the one that the key names.
    fn entry(&self, row: &Row<'_>, table: TableNumber) -> Result<BaseRow> {
        let key = row.get_ref(0)?.as_blob()?.get(INDEX_BYTES..).and_then(BaseKey::from_bytes);
        let key = key.ok_or_else(|| damaged(0, "an index entry is too short".to_owned()))?;
        let id = key.id();
        let found = match row.get_ref(2)?.as_blob_or_null()? {
            Some(found) if found == id.0 => Some((json(row, 3, table, id)?, RowNumber(row.get(1)?))),
            _ => self.document(table, id)?,
        };
        let (json, row) = found.unzip();
        Ok(BaseRow { key, json, row })
    }

    fn outcomes(&self, key: &RequestKey) -> Result<BaseAnswer> {
        let sql = "SELECT outcomes FROM outcomes WHERE session = ?1 AND last >= ?2 AND first <= ?2";
        let mut statement = self.connection.prepare_cached(sql)?;
        let groups = statement.query_map(params![&key.session[..], key.request.cast_signed()], |row| row.get(0))?;
        Ok(BaseAnswer::Outcomes(groups.collect::<Result<_>>()?))
    }
}

/// Sorts behind all ids.
const BEHIND_ALL_IDS: [u8; 17] = [0xff; 17];

/// Rows that room is made for before they are read, a number.
const ROWS_MIN: usize = 64;

fn limit(range: &BaseRange) -> i64 {
    i64::try_from(range.limit).unwrap_or(i64::MAX)
}

/// A document's text, before which its sum stands.
fn json(row: &Row<'_>, column: usize, table: TableNumber, id: InternalId) -> Result<Arc<str>> {
    let kept: i64 = row.get(column)?;
    let text = row.get_ref(column + 1)?.as_str()?;
    if kept != sum(table, id, text) {
        let id = DocumentId { table, internal: id };
        return Err(damaged(column + 1, format!("document {id} is not what was written")));
    }
    Ok(text.into())
}

fn damaged(column: usize, what: String) -> rusqlite::Error {
    rusqlite::Error::FromSqlConversionFailure(column, Type::Blob, what.into())
}
