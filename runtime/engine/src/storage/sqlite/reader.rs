//! The connections that read the base.
//!
//! Whoever reads borrows one and reads on its own thread: to hand a question to another thread and to wake up for the
//! answer takes longer than most answers, which are in the system's cache if not in SQLite's.

use std::ops::{Deref, DerefMut};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use rusqlite::types::{Type, ValueRef};
use rusqlite::{Connection, OptionalExtension, Row, params};
use syncline_functions::tx::Order;
use syncline_schema::{DocumentId, InternalId, TableNumber};
use tokio::sync::mpsc;

use super::error::of_sqlite;
use super::tables::sum;
use crate::commit::{IndexId, RequestKey};
use crate::storage::{BaseAnswer, BaseRange, BaseRead, BaseRow, StorageError};

/// A connection that reads.
pub(super) struct Reader {
    connection: Connection,
    /// Tells by its end that the connection has ended. Declared after it: it ends later.
    _ends: mpsc::Sender<()>,
}

/// All connections that read.
pub(super) struct Readers {
    lent: Mutex<Lent>,
    returned: Condvar,
}

struct Lent {
    /// The one that was used last is used next: it has the most in its cache.
    idle: Vec<Reader>,
    closed: bool,
}

impl Readers {
    pub fn new(idle: Vec<Reader>) -> Self {
        Readers { lent: Mutex::new(Lent { idle, closed: false }), returned: Condvar::new() }
    }

    fn lent(&self) -> MutexGuard<'_, Lent> {
        self.lent.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// One of them; waits while all are in use.
    pub fn borrow(&self) -> std::result::Result<Borrowed<'_>, StorageError> {
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
pub(super) struct Borrowed<'a> {
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
        Reader { connection, _ends: ends }
    }

    /// Answers all parts from one state of the file.
    pub fn read(&mut self, parts: Vec<BaseRead>) -> std::result::Result<Vec<BaseAnswer>, StorageError> {
        // A single statement needs no transaction to see one state.
        if let [BaseRead::IndexRange { .. } | BaseRead::DocumentRange { .. }] = parts[..] {
            return parts.into_iter().map(|part| self.part(part).map_err(of_sqlite)).collect();
        }
        let read = || -> Result<Vec<BaseAnswer>> {
            let transaction = self.connection.unchecked_transaction()?;
            let answers = parts.into_iter().map(|part| self.part(part)).collect();
            transaction.finish()?;
            answers
        };
        read().map_err(of_sqlite)
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
        let sql = "SELECT json, sum FROM documents WHERE table_number = ?1 AND id = ?2";
        let mut statement = self.connection.prepare_cached(sql)?;
        let mut found = Vec::with_capacity(ids.len());
        for id in ids {
            let row = |row: &Row<'_>| json(row, 0, table, id);
            found.push(statement.query_row(params![table.0, &id.0[..]], row).optional()?.flatten());
        }
        Ok(BaseAnswer::Documents(found))
    }

    fn document_range(&self, table: TableNumber, range: &BaseRange) -> Result<BaseAnswer> {
        let sql = match (range.order, &range.end) {
            (Order::Asc, None) => {
                "SELECT id, id, json, sum FROM documents WHERE table_number = ?1 AND id >= ?2 ORDER BY id LIMIT ?3"
            }
            (Order::Desc, None) => {
                "SELECT id, id, json, sum FROM documents WHERE table_number = ?1 AND id >= ?2 ORDER BY id DESC LIMIT ?3"
            }
            (Order::Asc, Some(_)) => {
                "SELECT id, id, json, sum FROM documents WHERE table_number = ?1 AND id >= ?2 AND id < ?4 ORDER BY id LIMIT ?3"
            }
            (Order::Desc, Some(_)) => {
                "SELECT id, id, json, sum FROM documents WHERE table_number = ?1 AND id >= ?2 AND id < ?4 \
                 ORDER BY id DESC LIMIT ?3"
            }
        };
        let mut statement = self.connection.prepare_cached(sql)?;
        let limit = i64::try_from(range.limit).unwrap_or(i64::MAX);
        let rows = match &range.end {
            None => statement.query(params![table.0, range.start, limit])?,
            Some(end) => statement.query(params![table.0, range.start, limit, end])?,
        };
        collect(rows, table)
    }

    fn index_range(&self, index: IndexId, range: &BaseRange) -> Result<BaseAnswer> {
        let sql = match (range.order, &range.end) {
            (Order::Asc, None) => {
                "SELECT key, e.id, json, sum FROM entries e LEFT JOIN documents d ON d.table_number = ?1 AND d.id = e.id \
                 WHERE e.table_number = ?1 AND index_number = ?2 AND key >= ?3 ORDER BY key LIMIT ?4"
            }
            (Order::Desc, None) => {
                "SELECT key, e.id, json, sum FROM entries e LEFT JOIN documents d ON d.table_number = ?1 AND d.id = e.id \
                 WHERE e.table_number = ?1 AND index_number = ?2 AND key >= ?3 ORDER BY key DESC LIMIT ?4"
            }
            (Order::Asc, Some(_)) => {
                "SELECT key, e.id, json, sum FROM entries e LEFT JOIN documents d ON d.table_number = ?1 AND d.id = e.id \
                 WHERE e.table_number = ?1 AND index_number = ?2 AND key >= ?3 AND key < ?5 ORDER BY key LIMIT ?4"
            }
            (Order::Desc, Some(_)) => {
                "SELECT key, e.id, json, sum FROM entries e LEFT JOIN documents d ON d.table_number = ?1 AND d.id = e.id \
                 WHERE e.table_number = ?1 AND index_number = ?2 AND key >= ?3 AND key < ?5 ORDER BY key DESC LIMIT ?4"
            }
        };
        let mut statement = self.connection.prepare_cached(sql)?;
        let limit = i64::try_from(range.limit).unwrap_or(i64::MAX);
        let rows = match &range.end {
            None => statement.query(params![index.table.0, index.index, range.start, limit])?,
            Some(end) => statement.query(params![index.table.0, index.index, range.start, limit, end])?,
        };
        collect(rows, index.table)
    }

    fn outcomes(&self, key: &RequestKey) -> Result<BaseAnswer> {
        let sql = "SELECT outcomes FROM outcomes WHERE session = ?1 AND last >= ?2 AND first <= ?2";
        let mut statement = self.connection.prepare_cached(sql)?;
        let groups = statement.query_map(params![&key.session[..], key.request.cast_signed()], |row| row.get(0))?;
        Ok(BaseAnswer::Outcomes(groups.collect::<Result<_>>()?))
    }
}

fn collect(mut rows: rusqlite::Rows<'_>, table: TableNumber) -> Result<BaseAnswer> {
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        let key: Arc<[u8]> = row.get_ref(0)?.as_blob()?.into();
        let id = InternalId(row.get(1)?);
        found.push(BaseRow { key, id, json: json(row, 2, table, &id)? });
    }
    Ok(BaseAnswer::Rows(found))
}

/// A document's text, whose sum stands behind it; `None` when there is no document.
fn json(row: &Row<'_>, column: usize, table: TableNumber, id: &InternalId) -> Result<Option<Arc<str>>> {
    let text = match row.get_ref(column)? {
        ValueRef::Null => return Ok(None),
        value => value.as_str()?,
    };
    let kept: Option<i64> = row.get(column + 1)?;
    if kept.is_some_and(|kept| kept != sum(table, id, text)) {
        let what = format!("document {} is not what was written", DocumentId { table, internal: *id });
        return Err(rusqlite::Error::FromSqlConversionFailure(column, Type::Text, what.into()));
    }
    Ok(Some(text.into()))
}
