//! Reading ahead: while somebody makes something of the first rows of a range, a thread reads the documents of the next.
//!
//! Who asks for a batch of a range says how many rows he will ask for behind it. The first keys are found at once and cut
//! into pieces, so that there is something to read for two as soon as possible. Then whoever has time does what is next
//! and nobody has begun, the thread or the asker until his batch is whole: he reads the documents of a piece, or finds
//! more keys when one is left, for the other. So nothing is read that was not wanted, two processors halve the time,
//! and with one, or while others need all readers, the asker does all of it himself.
//!
//! One range is read ahead at a time: when several are, processors have enough to do.

use std::collections::VecDeque;
use std::ops::ControlFlow;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use syncline_functions::tx::Order;
use syncline_schema::{InternalId, first_behind};

use super::reader::{ROWS_MAX, Reader, Readers};
use crate::commit::IndexId;
use crate::storage::{BaseKey, BaseRange, BaseRow, StorageError};

/// So many rows behind a batch are worth a second processor: to wake it takes as long as to read some tens.
const AHEAD_MIN: usize = 64;

/// Rows of a piece: enough to make little of beginning in the middle of a block, and of taking turns.
const PIECE_ROWS: usize = 128;

/// Towards the end of a range they are fewer, so that neither waits long for the other's last one. So many are worth a
/// turn.
const LAST_PIECE_ROWS: usize = 32;

/// What is left of a range is at least so many pieces: two for each of two.
const PIECES_LEFT: usize = 4;

/// A piece of documents that are large ends behind so many bytes.
const PIECE_BYTES_MAX: usize = 128 << 10;

/// Bytes of documents that may lie read and not asked for yet.
pub(super) const AHEAD_BYTES_MAX: usize = 512 << 10;

/// A range that was begun and has not gone on, while others asked so many times to be read ahead, goes.
const PASSED_MAX: usize = 4;

/// What is read ahead.
#[derive(Default)]
pub(super) struct Ahead {
    work: Mutex<Work>,
    /// There is a task to begin, or an end to all.
    wanted: Condvar,
    /// A task has ended.
    ended: Condvar,
}

#[derive(Default)]
struct Work {
    range: Option<Range>,
    /// Tasks that were begun ever.
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
    unfound: Unfound,
    pieces: VecDeque<Piece>,
    /// Rows that are wanted, those of the batch that is asked for included.
    n_wanted: usize,
    /// Of the documents that lie read, in pieces that were not given out to the end.
    bytes: usize,
    /// He is at it.
    is_lent: bool,
    n_passed: usize,
}

/// What no keys were found of yet.
enum Unfound {
    Nothing,
    Waiting(BaseRange),
    /// The task with this number finds the first of them.
    Begun(u64),
}

/// Some rows of a range, one after the other.
struct Piece {
    /// Their keys, with the documents when these have been read. None while a task has them.
    rows: Vec<BaseRow>,
    /// How many.
    n: usize,
    /// Of the documents that were read, until the last of them is given out.
    bytes: usize,
    progress: Progress,
}

enum Progress {
    Waiting,
    /// By the task with this number.
    Begun(u64),
    Read,
    Failed(StorageError),
}

/// What somebody has to do now.
struct Task {
    number: u64,
    index: IndexId,
    /// The state of the file to do it in.
    state: u64,
    what: What,
}

enum What {
    /// To find the first keys of a range: the rows of these pieces, when it is done.
    Find(BaseRange, Vec<Vec<BaseRow>>),
    /// To read the documents of rows.
    Read(Vec<BaseRow>),
}

/// How far a task came.
enum Done {
    /// It is to be begun again.
    Nothing,
    /// The keys were found.
    Found,
    /// The first `n` rows have their documents, which are so many bytes.
    Read {
        n: usize,
        bytes: usize,
    },
    Failed(StorageError),
}

impl Task {
    fn run(&mut self, reader: &mut Reader) -> Done {
        match &mut self.what {
            What::Find(unfound, pieces) => match reader.keys(self.index, unfound) {
                Ok(keys) => {
                    let is_end = keys.len() < unfound.limit;
                    *pieces = cut(keys, is_end, |a, b| reader.are_in_one_block(self.index.table, a.id(), b.id()));
                    Done::Found
                }
                Err(error) => Done::Failed(error),
            },
            What::Read(rows) => {
                let ids: Vec<InternalId> = rows.iter().map(|row| row.key.id()).collect();
                let (mut n, mut bytes) = (0, 0);
                let read = reader.each_document(self.index.table, &ids, |text| {
                    bytes += text.as_ref().map_or(0, |text| text.len());
                    rows[n].json = text;
                    n += 1;
                    if bytes < PIECE_BYTES_MAX { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
                });
                match read {
                    // What stands before it may be all that is asked for.
                    Err(error) if n == 0 => Done::Failed(error),
                    _ => Done::Read { n, bytes },
                }
            }
        }
    }
}

/// Cuts keys into pieces, each with the keys of rows. Documents that lie in one block are not divided, where that is
/// known: else two would read it. `is_end`: no more follow in the range.
fn cut(keys: Vec<BaseKey>, is_end: bool, are_in_one_block: impl Fn(&BaseKey, &BaseKey) -> bool) -> Vec<Vec<BaseRow>> {
    let (mut keys, mut pieces) = (keys.into_iter().peekable(), Vec::new());
    let row = |key| BaseRow { key, json: None };
    while keys.peek().is_some() {
        let n_left = if is_end { keys.len() / PIECES_LEFT } else { PIECE_ROWS };
        let n = n_left.clamp(LAST_PIECE_ROWS, PIECE_ROWS);
        let mut piece = Vec::with_capacity(n + PIECE_ROWS / 8);
        piece.extend(keys.by_ref().take(n).map(row));
        while let Some(last) = piece.last()
            && let Some(key) = keys.next_if(|key| are_in_one_block(&last.key, key))
        {
            piece.push(row(key));
        }
        pieces.push(piece);
    }
    pieces
}

/// A task of the thread. However that ends, nobody waits for it forever.
struct Turn<'a> {
    ahead: &'a Ahead,
    /// Until it has ended.
    task: Option<Task>,
    done: Done,
}

impl Turn<'_> {
    fn run(&mut self, readers: &Readers) {
        let Some(task) = &mut self.task else { return };
        let Some(mut reader) = readers.borrow_idle() else { return };
        if readers.see_now(&mut reader).is_ok() && reader.sees_exactly() == Some(task.state) {
            self.done = task.run(&mut reader);
        }
        if matches!(self.done, Done::Failed(_)) {
            reader.let_go();
        }
    }

    /// Whether it is left to who needs it.
    fn is_left(&self) -> bool {
        matches!(self.done, Done::Nothing | Done::Failed(_))
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        if let Some(task) = self.task.take() {
            self.ahead.end(task, std::mem::replace(&mut self.done, Done::Nothing));
        }
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
        Some(batch.read(reader, range.limit))
    }

    /// Does tasks until it is closed.
    pub fn run(&self, readers: &Readers) {
        let mut begun = self.next_to_begin(false);
        while let Some(task) = begun {
            let mut turn = Turn { ahead: self, task: Some(task), done: Done::Nothing };
            turn.run(readers);
            // Perhaps it is otherwise with his next batch.
            let is_left = turn.is_left();
            drop(turn);
            begun = self.next_to_begin(is_left);
        }
    }

    /// Ends [`Ahead::run`].
    pub fn close(&self) {
        let mut work = self.work();
        work.closed = true;
        work.range = None;
        self.wanted.notify_all();
        self.ended.notify_all();
    }

    fn work(&self) -> MutexGuard<'_, Work> {
        self.work.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for a task to begin; `wait` first, when there may be one that should be left. `None`: there will be none.
    fn next_to_begin(&self, mut wait: bool) -> Option<Task> {
        let mut work = self.work();
        loop {
            if work.closed {
                return None;
            }
            if !wait && let Some(task) = work.begin(AHEAD_BYTES_MAX) {
                return Some(task);
            }
            work.is_idle = true;
            work = self.wanted.wait(work).unwrap_or_else(PoisonError::into_inner);
            work.is_idle = false;
            wait = false;
        }
    }

    /// A task has ended, or was put back.
    fn end(&self, task: Task, done: Done) {
        let mut work = self.work();
        if let Some(range) = &mut work.range {
            range.end(task, done);
        }
        if work.is_awaited {
            self.ended.notify_all();
        }
    }

    /// Wakes the thread, if it sleeps and there is something for it: the first task is the asker's own.
    fn wake(&self, work: &Work) {
        if work.is_idle && work.range.as_ref().is_some_and(|range| range.n_tasks() > 1) {
            self.wanted.notify_one();
        }
    }

    /// The right to take a batch of a range, if it is or can be the one that is read ahead.
    fn lend(&self, index: IndexId, range: &BaseRange, ahead: usize, state: u64) -> Option<Batch<'_>> {
        let mut work = self.work();
        let n_wanted = range.limit.saturating_add(ahead);
        if let Some(begun) = &mut work.range {
            if begun.is_lent {
                return None;
            }
            if begun.goes_on_with(index, range, state) {
                (begun.is_lent, begun.n_passed, begun.n_wanted) = (true, 0, n_wanted);
                return Some(Batch { ahead: self, is_whole: false });
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
        work.range = Some(Range::new(index, range, n_wanted, state));
        Some(Batch { ahead: self, is_whole: false })
    }
}

impl Work {
    /// The next task that nobody has begun. No documents are read while so many bytes of them lie read.
    fn begin(&mut self, bytes_max: usize) -> Option<Task> {
        let range = self.range.as_mut()?;
        let what = range.begin(self.n_begun + 1, bytes_max)?;
        self.n_begun += 1;
        Some(Task { number: self.n_begun, index: range.index, state: range.state, what })
    }
}

impl Piece {
    fn waiting(rows: Vec<BaseRow>) -> Self {
        Piece { n: rows.len(), rows, bytes: 0, progress: Progress::Waiting }
    }

    fn is_waiting(&self) -> bool {
        matches!(self.progress, Progress::Waiting)
    }
}

impl Range {
    fn new(index: IndexId, range: &BaseRange, n_wanted: usize, state: u64) -> Self {
        let (left, unfound) = (range.clone(), Unfound::Waiting(range.clone()));
        let pieces = VecDeque::new();
        Range { index, state, left, unfound, pieces, n_wanted, bytes: 0, is_lent: true, n_passed: 0 }
    }

    fn goes_on_with(&self, index: IndexId, range: &BaseRange, state: u64) -> bool {
        let of = |range: &BaseRange| (range.order, range.start == self.left.start, range.end == self.left.end);
        (self.index, self.state) == (index, state) && of(range) == (self.left.order, true, true)
    }

    fn n_found(&self) -> usize {
        self.pieces.iter().map(|piece| piece.n).sum()
    }

    /// Whether more keys are to be found: before the last piece is given out, so that there is always one to read.
    fn is_find_due(&self) -> bool {
        matches!(self.unfound, Unfound::Waiting(_)) && self.n_found() < self.n_wanted.div_ceil(2)
    }

    fn n_waiting(&self) -> usize {
        self.pieces.iter().filter(|piece| piece.is_waiting()).count()
    }

    /// How many tasks wait for somebody.
    fn n_tasks(&self) -> usize {
        self.n_waiting() + usize::from(self.is_find_due())
    }

    fn begin(&mut self, number: u64, bytes_max: usize) -> Option<What> {
        // Whoever finds more leaves one to the other.
        if self.n_waiting() > 1 || !self.is_find_due() {
            let piece = self.pieces.iter_mut().find(|piece| piece.is_waiting()).filter(|_| self.bytes < bytes_max)?;
            piece.progress = Progress::Begun(number);
            return Some(What::Read(std::mem::take(&mut piece.rows)));
        }
        let Unfound::Waiting(unfound) = std::mem::replace(&mut self.unfound, Unfound::Begun(number)) else {
            return None;
        };
        let missing = self.n_wanted.saturating_sub(self.n_found());
        // At first no more than what two begin with.
        let limit = if self.pieces.is_empty() { missing.min(2 * PIECE_ROWS) } else { missing };
        Some(What::Find(BaseRange { limit, ..unfound }, Vec::new()))
    }

    /// A task has ended. Of another range it is nobody's any more.
    fn end(&mut self, task: Task, done: Done) {
        let Task { number, what, .. } = task;
        match what {
            What::Find(unfound, pieces) => {
                if matches!(self.unfound, Unfound::Begun(begun) if begun == number) {
                    self.end_find(unfound, pieces, done);
                }
            }
            What::Read(rows) => {
                let is_it = |piece: &Piece| matches!(piece.progress, Progress::Begun(begun) if begun == number);
                if let Some(at) = self.pieces.iter().position(is_it) {
                    self.end_read(at, rows, done);
                }
            }
        }
    }

    fn end_find(&mut self, unfound: BaseRange, pieces: Vec<Vec<BaseRow>>, done: Done) {
        if !matches!(done, Done::Found) {
            // Who needs them meets the error again.
            self.unfound = Unfound::Waiting(unfound);
            return;
        }
        let n: usize = pieces.iter().map(Vec::len).sum();
        self.unfound = match pieces.last().and_then(|piece| piece.last()) {
            Some(last) if n >= unfound.limit => Unfound::Waiting(behind(&unfound, &last.key)),
            _ => Unfound::Nothing,
        };
        self.pieces.extend(pieces.into_iter().map(Piece::waiting));
    }

    /// Perhaps only the beginning was read.
    fn end_read(&mut self, at: usize, mut rows: Vec<BaseRow>, done: Done) {
        let piece = &mut self.pieces[at];
        match done {
            Done::Nothing | Done::Found => *piece = Piece::waiting(rows),
            Done::Failed(error) => piece.progress = Progress::Failed(error),
            Done::Read { n, bytes } => {
                let rest = rows.split_off(n.min(rows.len()));
                self.bytes += bytes;
                *piece = Piece { n: rows.len(), rows, bytes, progress: Progress::Read };
                if !rest.is_empty() {
                    self.pieces.insert(at + 1, Piece::waiting(rest));
                }
            }
        }
    }

    /// Gives out rows that have been read, in their order, until there are `limit`.
    fn take(&mut self, rows: &mut Vec<BaseRow>, limit: usize) -> Result<(), StorageError> {
        while rows.len() < limit
            && let Some(piece) = self.pieces.front_mut()
        {
            match &piece.progress {
                Progress::Waiting | Progress::Begun(_) => break,
                Progress::Failed(error) => return Err(error.clone()),
                Progress::Read => {}
            }
            let n = piece.n.min(limit - rows.len());
            let rest = piece.rows.split_off(n);
            if rows.is_empty() {
                *rows = std::mem::take(&mut piece.rows);
            } else {
                rows.reserve(limit.min(ROWS_MAX).saturating_sub(rows.len()));
                rows.append(&mut piece.rows);
            }
            (piece.n, piece.rows) = (rest.len(), rest);
            if piece.rows.is_empty() {
                self.bytes -= piece.bytes;
                self.pieces.pop_front();
            }
        }
        Ok(())
    }
}

/// What of a range follows a key.
fn behind(range: &BaseRange, last: &[u8]) -> BaseRange {
    let mut rest = range.clone();
    match range.order {
        Order::Asc => rest.start = first_behind(last).into_vec(),
        Order::Desc => rest.end = Some(last.to_vec()),
    }
    rest
}

/// The right to take the next batch of the range.
struct Batch<'a> {
    ahead: &'a Ahead,
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

impl Batch<'_> {
    fn read(mut self, reader: &mut Reader, limit: usize) -> Result<Vec<BaseRow>, StorageError> {
        let mut rows = Vec::new();
        while let Some(mut task) = self.next(&mut rows, limit)? {
            let done = task.run(reader);
            if let (What::Find(..), Done::Failed(error)) = (&task.what, &done) {
                return Err(error.clone());
            }
            let is_find = matches!(task.what, What::Find(..));
            self.ahead.end(task, done);
            if is_find {
                self.ahead.wake(&self.ahead.work());
            }
        }
        self.is_whole = true;
        Ok(rows)
    }

    /// Takes what has been read. The next task until the batch is whole; waits if only the thread can go on.
    fn next(&self, rows: &mut Vec<BaseRow>, limit: usize) -> Result<Option<Task>, StorageError> {
        let mut work = self.ahead.work();
        loop {
            let range = work.range.as_mut().ok_or(StorageError::Closed)?;
            let n_before = rows.len();
            range.take(rows, limit)?;
            range.n_wanted = range.n_wanted.saturating_sub(rows.len() - n_before);
            if range.pieces.is_empty() && matches!(range.unfound, Unfound::Nothing) {
                work.range = None;
                return Ok(None);
            }
            if rows.len() >= limit {
                if let Some(last) = rows.last() {
                    range.left = behind(&range.left, &last.key);
                }
                range.is_lent = false;
                self.ahead.wake(&work);
                return Ok(None);
            }
            // What he cannot go on without is read however much lies behind it.
            let is_first_waiting = range.pieces.front().is_some_and(Piece::is_waiting);
            let bytes_max = if is_first_waiting { usize::MAX } else { AHEAD_BYTES_MAX };
            if let Some(task) = work.begin(bytes_max) {
                return Ok(Some(task));
            }
            work.is_awaited = true;
            work = self.ahead.ended.wait(work).unwrap_or_else(PoisonError::into_inner);
            work.is_awaited = false;
        }
    }
}

#[cfg(test)]
mod tests {
    use syncline_schema::TableNumber;

    use super::*;

    const INDEX: IndexId = IndexId { table: TableNumber(10_001), index: 2 };

    fn key(n: u32) -> BaseKey {
        BaseKey::new(&n.to_be_bytes(), InternalId([0; 16]))
    }

    fn keys(n: u32) -> Vec<BaseKey> {
        (0..n).map(key).collect()
    }

    fn range(limit: usize, ahead: usize) -> Range {
        let all = BaseRange { start: Vec::new(), end: None, order: Order::Asc, limit };
        Range::new(INDEX, &all, limit + ahead, 0)
    }

    fn begun(range: &mut Range, number: u64) -> Task {
        let what = range.begin(number, AHEAD_BYTES_MAX).expect("there is something to do");
        Task { number, index: INDEX, state: 0, what }
    }

    /// How many keys a task is to find.
    fn limit(task: &Task) -> usize {
        let What::Find(unfound, _) = &task.what else { panic!("documents are read") };
        unfound.limit
    }

    fn find(range: &mut Range, mut task: Task, n: u32) {
        let What::Find(_, pieces) = &mut task.what else { panic!("documents are read") };
        *pieces = cut(keys(n), false, |_, _| false);
        range.end(task, Done::Found);
    }

    #[test]
    fn keys_are_cut_where_blocks_end() {
        let number = |key: &BaseKey| u32::from_be_bytes(*key.head().first_chunk().unwrap());
        for in_a_block in [1, 11, 128, 200] {
            let pieces = cut(keys(1_000), false, |a, b| number(a) / in_a_block == number(b) / in_a_block);
            let rows: Vec<_> = pieces.iter().flatten().map(|row| row.key.clone()).collect();
            assert_eq!(rows, keys(1_000), "{in_a_block} in a block");
            let mut end = 0;
            for piece in &pieces[..pieces.len() - 1] {
                end += piece.len() as u32;
                assert!(piece.len() >= PIECE_ROWS && end.is_multiple_of(in_a_block), "{in_a_block} in a block: {end}");
            }
        }
        let unknown = cut(keys(300), false, |_, _| false);
        assert_eq!(unknown.len(), 3, "where it is not known, they are as long as each other");
    }

    #[test]
    fn pieces_become_shorter_towards_the_end_of_a_range() {
        let n: Vec<_> = cut(keys(1_000), true, |_, _| false).iter().map(Vec::len).collect();
        assert_eq!(n.iter().sum::<usize>(), 1_000);
        assert!(n.is_sorted_by(|a, b| a >= b), "{n:?}");
        assert_eq!((n[0], n[n.len() - 2]), (PIECE_ROWS, LAST_PIECE_ROWS), "{n:?}");
    }

    #[test]
    fn two_begin_with_the_first_keys_and_then_the_others_are_found() {
        let mut range = range(128, 896);
        let first = begun(&mut range, 1);
        assert_eq!(limit(&first), 2 * PIECE_ROWS);
        assert!(range.begin(2, AHEAD_BYTES_MAX).is_none(), "keys are found by one");
        find(&mut range, first, 256);
        assert_eq!(range.n_tasks(), 3, "two pieces, and to find more");
        let is_read = |task: &Task| matches!(&task.what, What::Read(rows) if rows.len() == PIECE_ROWS);
        assert!(is_read(&begun(&mut range, 2)));
        let others = begun(&mut range, 3);
        assert_eq!(limit(&others), 1_024 - 256);
        assert!(is_read(&begun(&mut range, 4)), "one was left while more are found");
        find(&mut range, others, 700);
        assert!(matches!(range.unfound, Unfound::Nothing), "fewer than were looked for: nothing follows");
    }

    #[test]
    fn no_more_keys_are_found_than_are_wanted() {
        let mut range = range(128, 0);
        let all = begun(&mut range, 1);
        assert_eq!(limit(&all), 128);
        find(&mut range, all, 128);
        assert!(matches!(range.unfound, Unfound::Waiting(_)) && !range.is_find_due());
        // They have been given out.
        range.pieces.clear();
        range.n_wanted = 0;
        assert!(range.begin(2, AHEAD_BYTES_MAX).is_none());
    }

    #[test]
    fn what_was_not_done_is_to_be_done_again() {
        let mut range = range(128, 896);
        let task = begun(&mut range, 1);
        range.end(task, Done::Failed(StorageError::Closed));
        let task = begun(&mut range, 2);
        find(&mut range, task, 256);
        let task = begun(&mut range, 3);
        range.end(task, Done::Nothing);
        let task = begun(&mut range, 4);
        range.end(task, Done::Read { n: 100, bytes: 7 });
        let n: Vec<_> = range.pieces.iter().map(|piece| piece.n).collect();
        assert_eq!((&n[..], range.bytes), (&[100, 28, 128][..], 7), "what was not read of a piece is one of its own");
        let mut rows = Vec::new();
        range.take(&mut rows, 60).unwrap();
        assert_eq!((rows.len(), range.bytes), (60, 7));
        range.take(&mut rows, 128).unwrap();
        assert_eq!((rows.len(), range.bytes), (100, 0), "the next piece has not been read");
        assert_eq!(rows.into_iter().map(|row| row.key).collect::<Vec<_>>(), keys(100));
    }
}
