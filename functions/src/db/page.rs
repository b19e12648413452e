//! `paginate`: pages that stay gapless while documents come and go.
//!
//! A page's first run ends when it is full; where it ended goes into the journal. Each later run returns everything
//! up to that end. Source: `tests/spec/data-and-functions.md` 5.2 and 5.3.

use std::sync::Arc;

use super::cursor::{self, Fingerprint, Position};
use super::pagination::{Bounds, PageStatus, PaginationOptions, PaginationResult};
use super::query::{Kept, Query, STEP_MAX, next_step};
use super::row::Row;
use crate::error::Result;
use crate::limits::{DOCUMENT_BYTES_MAX, PAGE_ITEMS_UNSPLIT_MAX};
use crate::tx::{Batch, DbError, Document, Order, Scan};

/// A page should be split when it has read this part of a limit, in quarters.
const SPLIT_QUARTERS: u64 = 3;

impl<R: Row> Query<R> {
    /// One page, for a client that pages with `usePaginatedQuery` or by hand. A function reads one page.
    ///
    /// # Errors
    /// `InvalidCursor` when a cursor is none of this query; clients then begin again with the first page.
    pub async fn paginate(self, options: PaginationOptions) -> Result<PaginationResult<R>> {
        self.check()?;
        let bounds = options.bounds()?;
        self.run.begin_page()?;
        let fingerprint = Fingerprint::of(&self.plan, &self.filter_names);
        let start = options.cursor.as_option().map(|text| cursor::read(text, fingerprint)).transpose()?;
        let end =
            options.end().or(self.run.journal_before()).map(|text| cursor::read(text, fingerprint)).transpose()?;
        let run = self.run.clone();
        let page = Page::new(self, start, end, bounds).read().await?;
        let result = page.into_result(fingerprint);
        run.end_page(result.continue_cursor.clone());
        Ok(result)
    }
}

/// Why a page ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stop {
    /// It has as many documents as were asked for.
    Full,
    /// The range, or the page's known end, was reached.
    Reached,
    /// A limit of what may be read.
    Cut,
}

/// A page that is being read.
struct Page<R> {
    query: Query<R>,
    start: Option<Position>,
    end: Option<Position>,
    bounds: Bounds,
    rows: Vec<R>,
    /// The index keys of all documents that the caller may see, filtered-out ones included. Cursors are made of these
    /// alone, because a key holds what a document says; and only these count for the client's own limits, which
    /// could otherwise be set to end a page at a denied one.
    keys: Vec<Arc<[u8]>>,
    /// The key of the document that was read last, seen or not.
    last_read: Option<Arc<[u8]>>,
    bytes: u64,
    stop: Stop,
}

impl<R: Row> Page<R> {
    fn new(query: Query<R>, start: Option<Position>, end: Option<Position>, bounds: Bounds) -> Self {
        Page {
            query,
            start,
            end,
            bounds,
            rows: Vec::new(),
            keys: Vec::new(),
            last_read: None,
            bytes: 0,
            stop: Stop::Reached,
        }
    }

    async fn read(mut self) -> Result<Self> {
        if self.is_empty_range() {
            return Ok(self);
        }
        let mut size = self.bounds.items;
        loop {
            let Some(limit) = self.within_limits(size) else {
                self.stop = Stop::Cut;
                return Ok(self);
            };
            let Some(batch) = self.scan(limit).await? else {
                self.stop = Stop::Cut;
                return Ok(self);
            };
            if let Some(stop) = self.take(batch).await? {
                self.stop = stop;
                return Ok(self);
            }
            let missing = self.bounds.items.saturating_sub(self.rows.len());
            size = next_step(missing, size, self.query.is_filtered());
        }
    }

    /// Whether nothing can be between start and end.
    fn is_empty_range(&self) -> bool {
        match (&self.start, &self.end) {
            (Some(Position::End), _) => true,
            (Some(Position::Behind(start)), Some(Position::Behind(end))) => match self.query.plan.order {
                Order::Asc => end <= start,
                Order::Desc => end >= start,
            },
            _ => false,
        }
    }

    /// How many documents the next step may read; `None` when the transaction's limits leave nothing and there is
    /// something to show. Whoever would go over a limit finds the transaction spoilt, so the largest documents are
    /// reckoned with.
    fn within_limits(&self, size: usize) -> Option<usize> {
        let tx = self.query.run.tx();
        let (used, limits) = (tx.usage(), tx.limits());
        let documents = limits.documents_read.saturating_sub(used.documents_read);
        let large_documents = limits.bytes_read.saturating_sub(used.bytes_read) / DOCUMENT_BYTES_MAX;
        let room = usize::try_from(documents.min(large_documents)).unwrap_or(usize::MAX);
        let size = match &self.end {
            Some(_) => STEP_MAX,
            None => size.min(self.bounds.rows.map_or(usize::MAX, |rows| rows - self.keys.len())),
        };
        match (room, self.keys.is_empty()) {
            (0, false) => None,
            // Nothing was read yet: the transaction itself has to say that it is over its limits.
            (room, _) => Some(size.min(room).clamp(1, STEP_MAX)),
        }
    }

    /// Reads a step; `None` when a limit refused it and there is something to show.
    ///
    /// Borrowed as mutable because filters can be sent between threads but not shared.
    async fn scan(&mut self, limit: usize) -> Result<Option<Batch>> {
        self.query.run.settled().await;
        let after = self.last_read.as_deref().or(match &self.start {
            Some(Position::Behind(key)) => Some(key),
            _ => None,
        });
        let until = match &self.end {
            Some(Position::Behind(key)) => Some(key.as_slice()),
            _ => None,
        };
        let scan = Scan { after, until, limit, keys: true, ..self.query.plan.whole() };
        match self.query.run.tx().scan(scan).await {
            Err(DbError::Refused { code: "TooManyDocumentsRead" | "TooManyBytesRead" | "TooManyReads", .. })
                if !self.keys.is_empty() =>
            {
                Ok(None)
            }
            answer => Ok(Some(answer?)),
        }
    }

    /// Takes the documents of a step, as far as the page goes.
    async fn take(&mut self, batch: Batch) -> Result<Option<Stop>> {
        let mut left = batch.documents.len();
        for (key, document) in batch.keys.into_iter().zip(batch.documents) {
            left -= 1;
            self.take_one(key, document).await?;
            if self.end.is_some() {
                continue;
            }
            if self.rows.len() == self.bounds.items {
                return Ok(Some(Stop::Full));
            }
            let is_last = left == 0 && batch.done;
            if self.over_own_limits() && !is_last {
                return Ok(Some(Stop::Cut));
            }
        }
        Ok(batch.done.then_some(Stop::Reached))
    }

    async fn take_one(&mut self, key: Arc<[u8]>, document: Document) -> Result<()> {
        self.last_read = Some(key.clone());
        let bytes = document.json.len() as u64;
        match self.query.keep(document).await? {
            Kept::Denied => return Ok(()),
            Kept::Dropped => {}
            Kept::Row(row) => self.rows.push(row),
        }
        self.keys.push(key);
        self.bytes += bytes;
        Ok(())
    }

    fn over_own_limits(&self) -> bool {
        let rows = self.bounds.rows.is_some_and(|limit| self.keys.len() >= limit);
        rows || self.bounds.bytes.is_some_and(|limit| self.bytes >= limit)
    }

    fn into_result(self, fingerprint: Fingerprint) -> PaginationResult<R> {
        let status = self.status();
        let last_seen = self.keys.last().map(|key| Position::Behind(key.to_vec()));
        let continue_at = match (self.end, self.stop) {
            (Some(end), _) => end,
            (None, Stop::Reached) => Position::End,
            (None, Stop::Full | Stop::Cut) => last_seen.or(self.start).unwrap_or(Position::End),
        };
        let split_at = (self.keys.len() > 2).then(|| Position::Behind(self.keys[self.keys.len() / 2].to_vec()));
        PaginationResult {
            page: self.rows,
            is_done: self.stop == Stop::Reached && continue_at == Position::End,
            continue_cursor: cursor::write(&continue_at, fingerprint),
            split_cursor: split_at.map(|position| cursor::write(&position, fingerprint)).into(),
            page_status: status.into(),
        }
    }

    fn status(&self) -> Option<PageStatus> {
        if self.stop == Stop::Cut {
            return Some(PageStatus::SplitRequired);
        }
        let mostly = |used: u64, limit: u64| used.saturating_mul(4) > limit.saturating_mul(SPLIT_QUARTERS);
        let tx = self.query.run.tx();
        let (used, limits) = (tx.usage(), tx.limits());
        let mut close = mostly(used.documents_read, limits.documents_read)
            || mostly(used.bytes_read, limits.bytes_read)
            || self.rows.len() > PAGE_ITEMS_UNSPLIT_MAX;
        if self.end.is_none() {
            close |= self.bounds.rows.is_some_and(|limit| mostly(self.keys.len() as u64, limit as u64));
            close |= self.bounds.bytes.is_some_and(|limit| mostly(self.bytes, limit));
        }
        close.then_some(PageStatus::SplitRecommended)
    }
}
