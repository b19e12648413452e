//! The connections that read the base.
//!
//! Whoever reads borrows one and reads on its own thread: to hand a question to another thread and to wake up for the
//! answer takes longer than most answers, which are in the system's cache if not in SQLite's.

use std::ops::{ControlFlow, Deref, DerefMut};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use rusqlite::{Connection, params};
use syncline_functions::tx::Order;
use syncline_schema::{DocumentId, InternalId, TableNumber};
use tokio::sync::mpsc;

use super::blocks::{Block, KeptBlocks, Room, Tree, documents_of};
use super::error::{damaged, of_sqlite};
use crate::commit::{IndexId, RequestKey};
use crate::storage::{BaseAnswer, BaseKey, BaseRange, BaseRead, BaseRow, StorageError};

/// A connection that reads.
pub(super) struct Reader {
    connection: Connection,
    /// The state of the file that its open transaction sees, as [`Readers`] counts them; `None` when none is open.
    sees: Option<u64>,
    /// Of that state.
    kept: KeptBlocks,
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
    /// How many wait for one.
    n_waiting: usize,
    closed: bool,
}

impl Readers {
    pub fn new(idle: Vec<Reader>) -> Self {
        let lent = Mutex::new(Lent { idle, n_waiting: 0, closed: false });
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
            lent.n_waiting += 1;
            lent = self.returned.wait(lent).unwrap_or_else(PoisonError::into_inner);
            lent.n_waiting -= 1;
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
        // It asks the system, even where nobody waits.
        if lent.n_waiting > 0 {
            self.readers.returned.notify_one();
        }
    }
}

type Result<T> = std::result::Result<T, rusqlite::Error>;

impl Reader {
    pub fn new(connection: Connection, room: Arc<Room>, ends: mpsc::Sender<()>) -> Self {
        Reader { connection, sees: None, kept: KeptBlocks::new(room), _ends: ends }
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
        self.kept.clear();
        self.sees = None;
        // Whether it failed is seen at the next read: no transaction begins within another one.
        if !self.connection.is_autocommit() {
            let _ = self.connection.execute_batch("ROLLBACK");
        }
    }

    fn part(&mut self, part: BaseRead) -> Result<BaseAnswer> {
        match part {
            BaseRead::Documents { table, ids } => Ok(BaseAnswer::Documents(self.documents(table, ids.into_iter())?)),
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

    /// The texts of documents, in the order of their ids. The next one mostly lies in the block of the one before, or in
    /// the next block.
    fn documents(
        &mut self,
        table: TableNumber,
        ids: impl Iterator<Item = InternalId>,
    ) -> Result<Vec<Option<Arc<str>>>> {
        let mut texts = Vec::with_capacity(ids.size_hint().0);
        let mut ids = ids.peekable();
        while let Some(id) = ids.peek().copied() {
            let n_before = texts.len();
            let row = self.row_of(table, id)?;
            Tree::Documents.visit(&self.connection, documents_of(table), (&id.0, row), |block| {
                let (n_keys, n_texts, mut last) = (block.keys.n(), texts.len(), None);
                while let Some(id) = ids.peek().copied() {
                    let text = match block.keys.search(&id.0) {
                        Ok(n) => {
                            last = Some(n);
                            Some(text(block, n, table, id)?)
                        }
                        Err(n) if n > 0 && n < n_keys => None,
                        Err(_) => break,
                    };
                    texts.push(text);
                    ids.next();
                }
                // Who reads one after another up to the end of a block goes on in the next.
                let goes_on =
                    texts.len() > n_texts + 1 && last.is_some_and(|n| n + 1 == n_keys) && ids.peek().is_some();
                Ok(if goes_on { ControlFlow::Continue(()) } else { ControlFlow::Break(()) })
            })?;
            if texts.len() == n_before {
                // Not in the block that would have it.
                texts.push(None);
                ids.next();
            }
        }
        Ok(texts)
    }

    /// Where SQLite has the block of a document, if that is known.
    fn row_of(&mut self, table: TableNumber, id: InternalId) -> Result<Option<i64>> {
        let index = documents_of(table);
        let row = self.kept.row_of(index, &id.0);
        if row.is_some() || !self.kept.wants_rows() {
            return Ok(row);
        }
        if let Some(rows) = Tree::Documents.rows_from(&self.connection, index, &id.0)? {
            self.kept.add(rows);
        }
        Ok(self.kept.row_of(index, &id.0))
    }

    fn document_range(&self, table: TableNumber, range: &BaseRange) -> Result<BaseAnswer> {
        let mut rows = Vec::with_capacity(range.limit.min(ROWS_MAX));
        Tree::Documents.walk(&self.connection, documents_of(table), range, |block, n| {
            let key = block.keys.key(n).ok_or_else(key_too_short)?;
            let json = Some(text(block, n, table, key.id())?);
            rows.push(BaseRow { key, json });
            Ok(())
        })?;
        Ok(BaseAnswer::Rows(rows))
    }

    fn index_range(&mut self, index: IndexId, range: &BaseRange) -> Result<BaseAnswer> {
        let keys = match self.kept_keys(index, range)? {
            Some(keys) => keys,
            None => {
                let mut keys = Vec::with_capacity(range.limit.min(ROWS_MAX));
                Tree::Entries.walk(&self.connection, index, range, |block, n| {
                    keys.push(block.keys.key(n).ok_or_else(key_too_short)?);
                    Ok(())
                })?;
                keys
            }
        };
        let texts = self.documents(index.table, keys.iter().map(BaseKey::id))?;
        let rows = keys.into_iter().zip(texts).map(|(key, json)| BaseRow { key, json });
        Ok(BaseAnswer::Rows(rows.collect()))
    }

    /// The keys of a range of entries, if they are in one block, which is kept.
    fn kept_keys(&mut self, index: IndexId, range: &BaseRange) -> Result<Option<Vec<BaseKey>>> {
        if range.order == Order::Desc || range.limit > KEPT_LIMIT_MAX {
            return Ok(None);
        }
        let keys = self.kept.keys(index, range);
        if keys.is_some() {
            return Ok(keys);
        }
        if let Some(found) = Tree::Entries.found(&self.connection, index, &range.start)? {
            self.kept.add(found.into_kept());
        }
        Ok(self.kept.keys(index, range))
    }

    fn outcomes(&self, key: &RequestKey) -> Result<BaseAnswer> {
        let sql = "SELECT outcomes FROM outcomes WHERE session = ?1 AND last >= ?2 AND first <= ?2";
        let mut statement = self.connection.prepare_cached(sql)?;
        let groups = statement.query_map(params![&key.session[..], key.request.cast_signed()], |row| row.get(0))?;
        Ok(BaseAnswer::Outcomes(groups.collect::<Result<_>>()?))
    }
}

/// Who reads more rows than that reads blocks one after another, and each once.
const KEPT_LIMIT_MAX: usize = 64;

/// Rows that room is made for before they are read, a number.
const ROWS_MAX: usize = 256;

/// The text of a document.
fn text(block: &Block<&[u8]>, n: usize, table: TableNumber, id: InternalId) -> Result<Arc<str>> {
    let found = block.document(n, table, id).ok_or_else(|| {
        let id = DocumentId { table, internal: id };
        damaged(format!("document {id} is not what was written"))
    })?;
    Ok(found.into())
}

fn key_too_short() -> rusqlite::Error {
    damaged("a key is too short".to_owned())
}
