//! Reading ahead: while somebody makes something of the first rows of a range, a thread reads the documents of the next.
//!
//! Who asks for a batch of a range says how many rows he will ask for behind it. Their keys are found at once, which
//! costs little, and cut into pieces. Whoever has time reads the next piece that nobody has begun: the thread, and the
//! asker himself until his batch is whole. So nothing is read that was not wanted, two processors halve the time, and
//! with one, or while others need all readers, the asker reads all of it himself.
//!
//! One range is read ahead at a time: when several are, processors have enough to do.

use std::collections::VecDeque;
use std::ops::ControlFlow;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use syncline_functions::tx::Order;
use syncline_schema::{InternalId, TableNumber};

use super::reader::{ROWS_MAX, Reader, Readers};
use crate::commit::IndexId;
use crate::storage::{BaseKey, BaseRange, BaseRow, BaseText, StorageError};

/// So many rows behind a batch are worth a second processor: to wake it takes as long as to read some tens.
const AHEAD_MIN: usize = 64;

/// Rows of a piece: enough to make little of beginning in the middle of a block, and of taking turns.
const PIECE_ROWS: usize = 128;

/// A piece of documents that are large ends behind so many bytes.
const PIECE_BYTES_MAX: usize = 128 << 10;

/// Bytes of documents that may lie read and not asked for yet.
pub(super) const AHEAD_BYTES_MAX: usize = 512 << 10;

/// A range that was begun and has not gone on, while others asked so many times to be read ahead, goes.
const PASSED_MAX: usize = 4;

/// The texts of documents, in the order of their keys.
type Texts = VecDeque<Option<BaseText>>;

/// What is read ahead.
#[derive(Default)]
pub(super) struct Ahead {
    work: Mutex<Work>,
    /// There is a piece to begin, or an end to all.
    wanted: Condvar,
    /// A piece has been read.
    read: Condvar,
}

#[derive(Default)]
struct Work {
    range: Option<Range>,
    /// Pieces that were begun ever.
    n_begun: u64,
    /// Whether the thread waits for one.
    is_idle: bool,
    /// Whether who takes a batch waits for the thread.
    is_awaited: bool,
    closed: bool,
}

/// A range of an index that somebody reads batch after batch.
struct Range {
    index: IndexId,
    /// The state of the file that all of it is read in.
    state: u64,
    /// What has not been given to him. Its limit means nothing.
    left: BaseRange,
    /// What no keys were found of yet, if anything.
    unfound: Option<BaseRange>,
    pieces: VecDeque<Piece>,
    /// Of the documents that lie read.
    bytes: usize,
    /// He is at it.
    is_lent: bool,
    n_passed: usize,
}

struct Piece {
    keys: VecDeque<BaseKey>,
    texts: Progress,
}

enum Progress {
    Waiting,
    /// By its number.
    Begun(u64),
    /// As many as there are keys.
    Read(Texts),
    Failed(StorageError),
}

/// A piece that somebody has to read now.
struct Begun {
    number: u64,
    table: TableNumber,
    ids: Vec<InternalId>,
    /// The state of the file to read it in.
    state: u64,
}

impl Begun {
    fn read(&self, reader: &mut Reader) -> Result<Texts, StorageError> {
        let (mut texts, mut bytes) = (Texts::with_capacity(self.ids.len()), 0);
        let read = reader.each_document(self.table, &self.ids, |text| {
            bytes += text.as_ref().map_or(0, |text| text.len());
            texts.push_back(text.map(BaseText::from));
            if bytes < PIECE_BYTES_MAX { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
        });
        match read {
            // What stands before it may be all that is asked for.
            Err(error) if texts.is_empty() => Err(error),
            _ => Ok(texts),
        }
    }
}

/// A piece that the thread reads. However that ends, nobody waits for it forever.
struct Turn<'a> {
    ahead: &'a Ahead,
    piece: Begun,
    read: Option<Result<Texts, StorageError>>,
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        self.ahead.end(&self.piece, self.read.take());
    }
}

impl Ahead {
    /// The first rows of a range, of which somebody will ask for so many behind them. `None`: it is not read ahead.
    pub fn batch(
        &self,
        reader: &mut Reader,
        index: IndexId,
        range: &BaseRange,
        ahead: usize,
    ) -> Option<Result<Vec<BaseRow>, StorageError>> {
        let state = reader.sees_exactly()?;
        let batch = self.lend(index, range, ahead, state)?;
        Some(batch.read(reader, range.limit, ahead))
    }

    /// Reads pieces until it is closed.
    pub fn run(&self, readers: &Readers) {
        let mut begun = self.next_to_begin(false);
        while let Some(piece) = begun {
            let mut turn = Turn { ahead: self, piece, read: None };
            turn.read = readers.borrow_idle().and_then(|mut reader| {
                readers.see_now(&mut reader).ok()?;
                let read = (reader.sees_exactly() == Some(turn.piece.state)).then(|| turn.piece.read(&mut reader));
                if matches!(read, Some(Err(_))) {
                    reader.let_go();
                }
                read
            });
            // Who needs it reads it himself; and perhaps it is otherwise with his next batch.
            let is_put_back = turn.read.is_none();
            drop(turn);
            begun = self.next_to_begin(is_put_back);
        }
    }

    /// Ends [`Ahead::run`].
    pub fn close(&self) {
        let mut work = self.work();
        work.closed = true;
        work.range = None;
        self.wanted.notify_all();
        self.read.notify_all();
    }

    fn work(&self) -> MutexGuard<'_, Work> {
        self.work.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for a piece to begin; `wait` first, when there may be one that should be left. `None`: there will be none.
    fn next_to_begin(&self, mut wait: bool) -> Option<Begun> {
        let mut work = self.work();
        loop {
            if work.closed {
                return None;
            }
            if !wait && let Some(piece) = work.begin(AHEAD_BYTES_MAX) {
                return Some(piece);
            }
            work.is_idle = true;
            work = self.wanted.wait(work).unwrap_or_else(PoisonError::into_inner);
            work.is_idle = false;
            wait = false;
        }
    }

    /// A piece has been read, or put back.
    fn end(&self, piece: &Begun, read: Option<Result<Texts, StorageError>>) {
        let mut work = self.work();
        if let Some(range) = &mut work.range {
            range.end(piece.number, read);
        }
        if work.is_awaited {
            self.read.notify_all();
        }
    }

    /// Wakes the thread, if it sleeps and there is something for it: the first piece is the asker's own.
    fn wake(&self, work: &Work) {
        let is_waiting = |piece: &Piece| matches!(piece.texts, Progress::Waiting);
        if work.is_idle && work.range.as_ref().is_some_and(|range| range.pieces.iter().skip(1).any(is_waiting)) {
            self.wanted.notify_one();
        }
    }

    /// The right to take a batch of a range, if it is or can be the one that is read ahead.
    fn lend(&self, index: IndexId, range: &BaseRange, ahead: usize, state: u64) -> Option<Batch<'_>> {
        let mut work = self.work();
        if let Some(begun) = &mut work.range {
            if begun.is_lent {
                return None;
            }
            if begun.goes_on_with(index, range, state) {
                (begun.is_lent, begun.n_passed) = (true, 0);
                return Some(Batch { ahead: self, index, is_whole: false });
            }
        }
        if ahead < AHEAD_MIN || work.closed {
            return None;
        }
        if let Some(begun) = &mut work.range {
            begun.n_passed += 1;
            if begun.state == state && begun.n_passed <= PASSED_MAX {
                return None;
            }
        }
        work.range = Some(Range::new(index, range, state));
        Some(Batch { ahead: self, index, is_whole: false })
    }
}

impl Work {
    /// The next piece that nobody reads, unless so many bytes lie read.
    fn begin(&mut self, bytes_max: usize) -> Option<Begun> {
        let range = self.range.as_mut()?;
        let piece = range.pieces.iter_mut().position(|piece| matches!(piece.texts, Progress::Waiting))?;
        if range.bytes >= bytes_max {
            return None;
        }
        self.n_begun += 1;
        let piece = &mut range.pieces[piece];
        piece.texts = Progress::Begun(self.n_begun);
        let ids = piece.keys.iter().map(BaseKey::id).collect();
        Some(Begun { number: self.n_begun, table: range.index.table, ids, state: range.state })
    }
}

impl Piece {
    fn waiting(keys: impl Iterator<Item = BaseKey>) -> Self {
        Piece { keys: keys.collect(), texts: Progress::Waiting }
    }
}

impl Range {
    fn new(index: IndexId, range: &BaseRange, state: u64) -> Self {
        let (left, unfound) = (range.clone(), Some(range.clone()));
        Range { index, state, left, unfound, pieces: VecDeque::new(), bytes: 0, is_lent: true, n_passed: 0 }
    }

    fn goes_on_with(&self, index: IndexId, range: &BaseRange, state: u64) -> bool {
        let of = |range: &BaseRange| (range.order, range.start == self.left.start, range.end == self.left.end);
        (self.index, self.state) == (index, state) && of(range) == (self.left.order, true, true)
    }

    fn n_keys(&self) -> usize {
        self.pieces.iter().map(|piece| piece.keys.len()).sum()
    }

    /// Takes in keys that were found at the beginning of what was unfound, of `limit` that were looked for.
    fn found(&mut self, keys: Vec<BaseKey>, limit: usize) {
        self.unfound = match (&self.unfound, keys.last()) {
            (Some(unfound), Some(last)) if keys.len() >= limit => Some(behind(unfound, last)),
            _ => None,
        };
        let mut keys = keys.into_iter().peekable();
        while keys.peek().is_some() {
            self.pieces.push_back(Piece::waiting(keys.by_ref().take(PIECE_ROWS)));
        }
    }

    /// A piece has been read, perhaps only its beginning; or it was put back.
    fn end(&mut self, number: u64, read: Option<Result<Texts, StorageError>>) {
        let is_it = |piece: &Piece| matches!(piece.texts, Progress::Begun(begun) if begun == number);
        // Of another range it is nobody's any more.
        let Some(at) = self.pieces.iter().position(is_it) else { return };
        let (piece, mut rest) = (&mut self.pieces[at], VecDeque::new());
        piece.texts = match read {
            None => Progress::Waiting,
            Some(Err(error)) => Progress::Failed(error),
            Some(Ok(texts)) => {
                self.bytes += texts.iter().flatten().map(|text| text.len()).sum::<usize>();
                rest = piece.keys.split_off(texts.len().min(piece.keys.len()));
                Progress::Read(texts)
            }
        };
        if !rest.is_empty() {
            self.pieces.insert(at + 1, Piece::waiting(rest.into_iter()));
        }
    }

    /// Gives out rows that have been read, in their order, until there are `limit`.
    fn take(&mut self, rows: &mut Vec<BaseRow>, limit: usize) -> Result<(), StorageError> {
        while rows.len() < limit
            && let Some(piece) = self.pieces.front_mut()
        {
            match &mut piece.texts {
                Progress::Waiting | Progress::Begun(_) => break,
                Progress::Failed(error) => return Err(error.clone()),
                Progress::Read(texts) => {
                    let n = piece.keys.len().min(limit - rows.len());
                    let read = piece.keys.drain(..n).zip(texts.drain(..n));
                    rows.extend(read.map(|(key, json)| {
                        self.bytes -= json.as_ref().map_or(0, |json| json.len());
                        BaseRow { key, json }
                    }));
                }
            }
            if piece.keys.is_empty() {
                self.pieces.pop_front();
            }
        }
        Ok(())
    }
}

/// What of a range follows a key.
fn behind(range: &BaseRange, last: &BaseKey) -> BaseRange {
    let mut rest = range.clone();
    match range.order {
        Order::Asc => rest.start = [&last[..], &[0]].concat(),
        Order::Desc => rest.end = Some(last.to_vec()),
    }
    rest
}

/// The right to take the next batch of the range.
struct Batch<'a> {
    ahead: &'a Ahead,
    index: IndexId,
    /// Else the range ends with it: who failed begins anew.
    is_whole: bool,
}

impl Drop for Batch<'_> {
    fn drop(&mut self) {
        if !self.is_whole {
            self.ahead.work().range = None;
        }
    }
}

/// What is to do for a batch.
enum Next {
    /// To find the first keys of what is unfound.
    Find(BaseRange),
    Read(Begun),
    Done,
}

impl Batch<'_> {
    fn read(mut self, reader: &mut Reader, limit: usize, ahead: usize) -> Result<Vec<BaseRow>, StorageError> {
        let mut rows = Vec::with_capacity(limit.min(ROWS_MAX));
        loop {
            match self.next(&mut rows, limit, ahead)? {
                Next::Find(unfound) => {
                    let keys = reader.keys(self.index, &unfound)?;
                    let mut work = self.ahead.work();
                    work.range.as_mut().ok_or(StorageError::Closed)?.found(keys, unfound.limit);
                    self.ahead.wake(&work);
                }
                Next::Read(piece) => {
                    let read = piece.read(reader);
                    self.ahead.end(&piece, Some(read));
                }
                Next::Done => {
                    self.is_whole = true;
                    return Ok(rows);
                }
            }
        }
    }

    /// Takes what has been read, and waits if only the thread can go on.
    fn next(&self, rows: &mut Vec<BaseRow>, limit: usize, ahead: usize) -> Result<Next, StorageError> {
        let mut work = self.ahead.work();
        loop {
            let range = work.range.as_mut().ok_or(StorageError::Closed)?;
            range.take(rows, limit)?;
            let (missing, n_keys) = (limit.saturating_sub(rows.len()), range.n_keys());
            if n_keys == 0 && range.unfound.is_none() {
                work.range = None;
                return Ok(Next::Done);
            }
            if missing == 0 {
                if let Some(last) = rows.last() {
                    range.left = behind(&range.left, &last.key);
                }
                range.is_lent = false;
                self.ahead.wake(&work);
                return Ok(Next::Done);
            }
            if let Some(unfound) = range.unfound.as_ref().filter(|_| n_keys < missing + ahead / 2) {
                return Ok(Next::Find(BaseRange { limit: missing + ahead - n_keys, ..unfound.clone() }));
            }
            // What he cannot go on without is read however much lies behind it.
            let is_first_waiting = matches!(range.pieces.front(), Some(Piece { texts: Progress::Waiting, .. }));
            let bytes_max = if is_first_waiting { usize::MAX } else { AHEAD_BYTES_MAX };
            if let Some(piece) = work.begin(bytes_max) {
                return Ok(Next::Read(piece));
            }
            work.is_awaited = true;
            work = self.ahead.read.wait(work).unwrap_or_else(PoisonError::into_inner);
            work.is_awaited = false;
        }
    }
}
