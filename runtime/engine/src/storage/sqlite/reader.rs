//! The connections that read the base.
//!
//! Whoever reads borrows one and reads on its own thread: to hand a question to another thread and to wake up for the
//! answer takes longer than most answers, which are in the system's cache if not in SQLite's.

use std::ops::{Deref, DerefMut};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use rusqlite::{Connection, params};
use syncline_schema::{DocumentId, InternalId, TableNumber};
use tokio::sync::mpsc;

use super::blocks::{Block, Tree, documents_of};
use super::error::{damaged, of_sqlite};
use crate::commit::{IndexId, RequestKey};
use crate::storage::{BaseAnswer, BaseRange, BaseRead, BaseRow, StorageError};

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
        let mut documents = Documents::new(&self.connection, table);
        Ok(BaseAnswer::Documents(ids.iter().map(|id| documents.find(*id)).collect::<Result<_>>()?))
    }

    fn document_range(&self, table: TableNumber, range: &BaseRange) -> Result<BaseAnswer> {
        let mut found = Vec::with_capacity(range.limit.min(ROWS_MIN));
        Tree::Documents.walk(&self.connection, documents_of(table), range, |block, n| {
            let key = block.keys.key(n).ok_or_else(key_too_short)?;
            let json = Some(text(block, n, table, key.id())?);
            found.push(BaseRow { key, json });
            Ok(())
        })?;
        Ok(BaseAnswer::Rows(found))
    }

    fn index_range(&self, index: IndexId, range: &BaseRange) -> Result<BaseAnswer> {
        let mut documents = Documents::new(&self.connection, index.table);
        let mut found = Vec::with_capacity(range.limit.min(ROWS_MIN));
        Tree::Entries.walk(&self.connection, index, range, |block, n| {
            let key = block.keys.key(n).ok_or_else(key_too_short)?;
            let json = documents.find(key.id())?;
            found.push(BaseRow { key, json });
            Ok(())
        })?;
        Ok(BaseAnswer::Rows(found))
    }

    fn outcomes(&self, key: &RequestKey) -> Result<BaseAnswer> {
        let sql = "SELECT outcomes FROM outcomes WHERE session = ?1 AND last >= ?2 AND first <= ?2";
        let mut statement = self.connection.prepare_cached(sql)?;
        let groups = statement.query_map(params![&key.session[..], key.request.cast_signed()], |row| row.get(0))?;
        Ok(BaseAnswer::Outcomes(groups.collect::<Result<_>>()?))
    }
}

/// Rows that room is made for before they are read, a number.
const ROWS_MIN: usize = 64;

/// Looks for documents one after another. The next one mostly lies in the block of the one before.
struct Documents<'a> {
    connection: &'a Connection,
    table: TableNumber,
    kept: Option<Block<Vec<u8>>>,
}

impl<'a> Documents<'a> {
    fn new(connection: &'a Connection, table: TableNumber) -> Self {
        Documents { connection, table, kept: None }
    }

    fn find(&mut self, id: InternalId) -> Result<Option<Arc<str>>> {
        if !self.kept.as_ref().is_some_and(|block| block.covers(&id.0)) {
            self.kept = Tree::Documents.find(self.connection, documents_of(self.table), &id.0)?;
        }
        let Some(block) = &self.kept else { return Ok(None) };
        block.keys.search(&id.0).ok().map(|n| text(block, n, self.table, id)).transpose()
    }
}

/// The text of a document.
fn text<B: Deref<Target = [u8]>>(block: &Block<B>, n: usize, table: TableNumber, id: InternalId) -> Result<Arc<str>> {
    let found = block.document(n, table, id).ok_or_else(|| {
        let id = DocumentId { table, internal: id };
        damaged(format!("document {id} is not what was written"))
    })?;
    Ok(found.into())
}

fn key_too_short() -> rusqlite::Error {
    damaged("a key is too short".to_owned())
}
