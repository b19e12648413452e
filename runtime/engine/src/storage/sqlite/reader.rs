//! The connections that read the base.
//!
//! Whoever reads borrows one and reads on its own thread: to hand a question to another thread and to wake up for the
//! answer takes longer than most answers, which are in the system's cache if not in SQLite's.

use std::ops::{ControlFlow, Deref, DerefMut, RangeInclusive};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use rusqlite::{Connection, params};
use syncline_functions::tx::Order;
use syncline_schema::{DocumentId, InternalId, TableNumber};
use tokio::sync::mpsc;

use super::ahead::Ahead;
use super::blocks::{Block, KeptBlocks, Room, Tree, documents_of};
use super::error::{damaged, of_sqlite};
use crate::commit::{IndexId, RequestKey};
use crate::storage::{BaseAnswer, BaseKey, BaseRange, BaseRead, BaseRow, BaseText, StorageError};

type SqliteResult<T> = std::result::Result<T, rusqlite::Error>;
type Result<T> = std::result::Result<T, StorageError>;

/// A connection that reads.
pub(super) struct Reader {
    connection: Connection,
    /// The state of the file that its open transaction sees, as [`Readers`] counts them; `None` when none is open.
    sees: Option<u64>,
    /// Whether it sees that one, and nothing of the next.
    sees_exactly: bool,
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
    /// Rises when a change of the file begins, and when it has ended: even while nothing changes.
    state: AtomicU64,
    ahead: Ahead,
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
        Readers { lent, returned: Condvar::new(), state: AtomicU64::new(0), ahead: Ahead::default() }
    }

    /// Answers all parts from one state of the file, not older than what the last change left.
    pub fn read(&self, parts: Vec<BaseRead>) -> Result<Vec<BaseAnswer>> {
        let mut reader = self.borrow()?;
        self.see_now(&mut reader)?;
        let answers: Result<Vec<_>> = parts.into_iter().map(|part| reader.part(part, &self.ahead)).collect();
        if answers.is_err() {
            reader.let_go();
        }
        answers
    }

    /// Shows a reader the present state of the file, or a newer one.
    pub fn see_now(&self, reader: &mut Reader) -> Result<()> {
        reader.see(&self.state).inspect_err(|_| reader.let_go()).map_err(of_sqlite)
    }

    /// Reads ahead, until they are closed.
    pub fn read_ahead(&self) {
        self.ahead.run(self);
    }

    /// The file is about to change. Idle readers let go of what they see: SQLite's log would have to keep it.
    pub fn before_change(&self) {
        self.state.fetch_add(1, Ordering::SeqCst);
        self.lent().idle.iter_mut().for_each(Reader::let_go);
    }

    /// The file has changed, perhaps.
    pub fn after_change(&self) {
        self.state.fetch_add(1, Ordering::SeqCst);
    }

    fn lent(&self) -> MutexGuard<'_, Lent> {
        self.lent.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// One of them; waits while all are in use.
    fn borrow(&self) -> Result<Borrowed<'_>> {
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

    /// One of them, if there is one that nobody uses.
    pub fn borrow_idle(&self) -> Option<Borrowed<'_>> {
        let reader = self.lent().idle.pop()?;
        Some(Borrowed { reader: Some(reader), readers: self })
    }

    /// Ends them, those in use when they come back.
    pub fn close(&self) {
        self.ahead.close();
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
        if self.sees != Some(self.readers.state.load(Ordering::SeqCst)) {
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

impl Reader {
    pub fn new(connection: Connection, room: Arc<Room>, ends: mpsc::Sender<()>) -> Self {
        Reader { connection, sees: None, sees_exactly: false, kept: KeptBlocks::new(room), _ends: ends }
    }

    /// Sees the present state of the file, or a newer one.
    fn see(&mut self, state: &AtomicU64) -> SqliteResult<()> {
        let now = state.load(Ordering::SeqCst);
        if self.sees != Some(now) {
            self.let_go();
            self.connection.execute_batch("BEGIN")?;
            // The transaction sees what is there when it reads first.
            self.connection.prepare_cached("SELECT base FROM position")?.query_row([], |_| Ok(()))?;
            self.sees_exactly = now.is_multiple_of(2) && state.load(Ordering::SeqCst) == now;
            self.sees = Some(now);
        }
        Ok(())
    }

    /// The state that it sees, if it is told from all others: readers that see the same one see the same.
    pub fn sees_exactly(&self) -> Option<u64> {
        self.sees.filter(|_| self.sees_exactly)
    }

    /// Ends its transaction: the next read begins another one.
    pub fn let_go(&mut self) {
        self.kept.clear();
        self.sees = None;
        // Whether it failed is seen at the next read: no transaction begins within another one.
        if !self.connection.is_autocommit() {
            let _ = self.connection.execute_batch("ROLLBACK");
        }
    }

    fn part(&mut self, part: BaseRead, read_ahead: &Ahead) -> Result<BaseAnswer> {
        match part {
            BaseRead::Documents { table, ids } => Ok(BaseAnswer::Documents(self.documents(table, &ids)?)),
            BaseRead::DocumentRange { table, range } => self.document_range(table, &range).map_err(of_sqlite),
            BaseRead::IndexRange { index, range, ahead } => {
                let batch = read_ahead.batch(self, index, &range, ahead);
                Ok(BaseAnswer::Rows(batch.unwrap_or_else(|| self.index_range(index, &range))?))
            }
            BaseRead::Outcomes { key } => self.outcomes(&key).map_err(of_sqlite),
            BaseRead::GreatestRequest { session } => self.greatest_request(session).map_err(of_sqlite),
        }
    }

    /// The texts of documents, in the order of their ids.
    fn documents(&mut self, table: TableNumber, ids: &[InternalId]) -> Result<Vec<Option<BaseText>>> {
        let mut texts = Vec::with_capacity(ids.len());
        self.each_document(table, ids, |text| {
            texts.push(text);
            ControlFlow::Continue(())
        })?;
        Ok(texts)
    }

    /// Calls `visit` for the texts of documents, in the order of their ids, as long as it goes on.
    pub fn each_document(
        &mut self,
        table: TableNumber,
        ids: &[InternalId],
        mut visit: impl FnMut(Option<BaseText>) -> ControlFlow<()>,
    ) -> Result<()> {
        let (mut left, mut flow) = (ids, ControlFlow::Continue(()));
        while flow.is_continue()
            && let Some(id) = left.first()
        {
            let index = documents_of(table);
            let rows = self.rows_of(index, *id, left.len()).map_err(of_sqlite)?;
            let visit_block = |block: &Block<&[u8]>| {
                let in_block = in_block(block, table, left, &mut visit)?;
                (left, flow) = (&left[in_block.n..], in_block.flow);
                Ok(in_block.next)
            };
            let visited = match rows {
                Some(rows) => Tree::Documents.visit_rows(&self.connection, index, rows, visit_block),
                None => Tree::Documents.visit(&self.connection, index, &id.0, visit_block),
            };
            visited.map_err(of_sqlite)?;
            if flow.is_continue() && left.first() == Some(id) {
                // Not in the block that would have it.
                flow = visit(None);
                left = &left[1..];
            }
        }
        Ok(())
    }

    /// Where SQLite has the block of a document and those behind it, some at most, if that is known.
    fn rows_of(&mut self, index: IndexId, id: InternalId, n_max: usize) -> SqliteResult<Option<RangeInclusive<i64>>> {
        let rows = self.kept.rows_of(index, &id.0, n_max);
        if rows.is_some() || !self.kept.wants_rows() {
            return Ok(rows);
        }
        let known = self.kept.next_known(index, &id.0);
        if let Some(rows) = Tree::Documents.rows_from(&self.connection, index, &id.0, known)? {
            self.kept.add(rows);
        }
        Ok(self.kept.rows_of(index, &id.0, n_max))
    }

    /// Whether two documents that follow each other are known to lie in one block.
    pub fn are_in_one_block(&self, table: TableNumber, a: InternalId, b: InternalId) -> bool {
        let rows = |id: InternalId| self.kept.rows_of(documents_of(table), &id.0, 1);
        rows(a).is_some_and(|of_a| rows(b) == Some(of_a))
    }

    fn document_range(&self, table: TableNumber, range: &BaseRange) -> SqliteResult<BaseAnswer> {
        let mut rows = Vec::with_capacity(range.limit.min(ROWS_MAX));
        Tree::Documents.walk(&self.connection, documents_of(table), range, |block, part| {
            let first = part.start;
            let keys = part.map(|n| block.keys.key(n).ok_or_else(key_too_short)).collect::<SqliteResult<Vec<_>>>()?;
            let ids: Vec<_> = keys.iter().map(BaseKey::id).collect();
            let texts: Vec<_> = block.documents(first, table, &ids).collect();
            if let Some(id) = ids.get(texts.len()) {
                return Err(damaged_document(table, *id));
            }
            let found = keys.into_iter().zip(texts).map(|(key, json)| BaseRow { key, json: Some(json) });
            in_order(range.order, found, |row| rows.push(row));
            Ok(())
        })?;
        Ok(BaseAnswer::Rows(rows))
    }

    fn index_range(&mut self, index: IndexId, range: &BaseRange) -> Result<Vec<BaseRow>> {
        let keys = self.keys(index, range)?;
        let ids: Vec<_> = keys.iter().map(BaseKey::id).collect();
        let texts = self.documents(index.table, &ids)?;
        Ok(keys.into_iter().zip(texts).map(|(key, json)| BaseRow { key, json }).collect())
    }

    /// The keys of a range of entries.
    pub fn keys(&mut self, index: IndexId, range: &BaseRange) -> Result<Vec<BaseKey>> {
        if let Some(keys) = self.kept_keys(index, range).map_err(of_sqlite)? {
            return Ok(keys);
        }
        let mut keys = Vec::with_capacity(range.limit.min(ROWS_MAX));
        let walked = Tree::Entries.walk(&self.connection, index, range, |block, part| {
            let mut are_whole = true;
            in_order(range.order, part, |n| match block.keys.key(n) {
                Some(key) => keys.push(key),
                None => are_whole = false,
            });
            if are_whole { Ok(()) } else { Err(key_too_short()) }
        });
        walked.map(|()| keys).map_err(of_sqlite)
    }

    /// The keys of a range of entries, if they are in one block, which is kept.
    fn kept_keys(&mut self, index: IndexId, range: &BaseRange) -> SqliteResult<Option<Vec<BaseKey>>> {
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

    fn outcomes(&self, key: &RequestKey) -> SqliteResult<BaseAnswer> {
        let sql = "SELECT outcomes FROM outcomes WHERE session = ?1 AND last >= ?2 AND first <= ?2";
        let mut statement = self.connection.prepare_cached(sql)?;
        let groups = statement.query_map(params![&key.session[..], key.request.cast_signed()], |row| row.get(0))?;
        Ok(BaseAnswer::Outcomes(groups.collect::<SqliteResult<_>>()?))
    }

    fn greatest_request(&self, session: [u8; 16]) -> SqliteResult<BaseAnswer> {
        let sql = "SELECT max(last) FROM outcomes WHERE session = ?1";
        let greatest: Option<i64> = self.connection.prepare_cached(sql)?.query_row([&session[..]], |row| row.get(0))?;
        Ok(BaseAnswer::GreatestRequest(greatest.map(i64::cast_unsigned)))
    }
}

/// Who reads more rows than that reads blocks one after another, and each once.
const KEPT_LIMIT_MAX: usize = 64;

/// Rows that room is made for before they are read, a number.
pub(super) const ROWS_MAX: usize = 1_024;

/// Calls `each` in the order of a range for what comes by rising keys.
fn in_order<T>(order: Order, rising: impl DoubleEndedIterator<Item = T>, each: impl FnMut(T)) {
    match order {
        Order::Asc => rising.for_each(each),
        Order::Desc => rising.rev().for_each(each),
    }
}

/// What a block has of some documents.
struct InBlock {
    /// How many of them it knows of, from the first on.
    n: usize,
    /// Whether the next block is likely to have the next.
    next: ControlFlow<()>,
    /// What the visitor said last.
    flow: ControlFlow<()>,
}

/// Calls `visit` for the texts of those documents, as long as it goes on.
fn in_block(
    block: &Block<&[u8]>,
    table: TableNumber,
    ids: &[InternalId],
    visit: &mut impl FnMut(Option<BaseText>) -> ControlFlow<()>,
) -> SqliteResult<InBlock> {
    let (mut n, mut last, n_keys) = (0, None, block.keys.n());
    while let Some(id) = ids.get(n) {
        match block.keys.search(&id.0) {
            Ok(first) => {
                // Those that follow each other are looked for once.
                let n_together = block.keys.n_equal(first, ids[n..].iter().map(|id| &id.0[..]));
                last = Some(first + n_together - 1);
                let behind = n + n_together;
                for text in block.documents(first, table, &ids[n..behind]) {
                    n += 1;
                    if visit(Some(text)).is_break() {
                        return Ok(InBlock { n, next: ControlFlow::Break(()), flow: ControlFlow::Break(()) });
                    }
                }
                if n < behind {
                    return Err(damaged_document(table, ids[n]));
                }
            }
            Err(n_below) if n_below > 0 && n_below < n_keys => {
                n += 1;
                if visit(None).is_break() {
                    return Ok(InBlock { n, next: ControlFlow::Break(()), flow: ControlFlow::Break(()) });
                }
            }
            Err(_) => break,
        }
    }
    // Who reads one after another up to the end of a block goes on in the next.
    let goes_on = n > 1 && n < ids.len() && last == Some(n_keys - 1);
    let next = if goes_on { ControlFlow::Continue(()) } else { ControlFlow::Break(()) };
    Ok(InBlock { n, next, flow: ControlFlow::Continue(()) })
}

fn damaged_document(table: TableNumber, internal: InternalId) -> rusqlite::Error {
    damaged(format!("document {} is not what was written", DocumentId { table, internal }))
}

fn key_too_short() -> rusqlite::Error {
    damaged("a key is too short".to_owned())
}
