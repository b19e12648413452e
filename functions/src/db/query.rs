//! `Query`: what is read, in which order, what of it is kept, and how much.

use std::borrow::Cow;
use std::collections::VecDeque;
use std::ops::DerefMut;
use std::sync::Arc;

use futures::future::BoxFuture;
use futures::stream::{self, BoxStream, StreamExt as _};
use smallvec::SmallVec;
use syncline_schema::{DocumentId, EvalError, Expression, Object, RangePart};

use super::row::Row;
use crate::error::{Error, Result};
use crate::limits::QUERY_OPERATORS_MAX;
use crate::run::Run;
use crate::tx::{Batch, DbError, Document, Documents, Order, Reply, Scan, Tx};

/// Most documents of one step: small enough that other calls get their turn in between.
pub(super) const STEP_MAX: usize = 1_024;

/// How many documents a stream reads at first; each further step reads twice as many.
const STREAM_STEP_FIRST: usize = 4;

/// Most documents that a stream reads ahead.
const STREAM_STEP_MAX: usize = 256;

/// A range of an index, and the direction.
#[doc(hidden)]
#[derive(Clone, Debug)]
pub struct Plan {
    pub(super) table: Cow<'static, str>,
    pub(super) index: Cow<'static, str>,
    pub(super) range: RangeParts,
    pub(super) order: Order,
}

/// The conditions of a range: nearly always one.
pub(super) type RangeParts = SmallVec<[RangePart; 1]>;

impl Plan {
    pub(super) fn new(table: Cow<'static, str>, index: Cow<'static, str>, range: RangeParts) -> Self {
        Plan { table, index, range, order: Order::Asc }
    }

    /// Reads one step, behind a key.
    pub(super) fn scan(&self, tx: &dyn Tx, after: Option<&[u8]>, limit: usize) -> Reply<Batch> {
        tx.scan(Scan { after, limit, ..self.whole() })
    }

    /// All of it in one step.
    pub(super) fn whole(&self) -> Scan<'_> {
        Scan {
            table: &self.table,
            index: &self.index,
            range: &self.range,
            order: self.order,
            after: None,
            until: None,
            limit: usize::MAX,
            keys: false,
        }
    }
}

type Filter<R> = Box<dyn Fn(&R) -> Result<bool, EvalError> + Send>;

/// Whether a document may be seen at all. Asked before any filter, so that no code sees what the caller must not.
pub(super) trait ReadRule<R>: Send + Sync {
    fn allows<'a>(&'a self, row: &'a R) -> BoxFuture<'a, Result<bool>>;
}

/// What becomes of a document that was read.
pub(super) enum Kept<R> {
    /// It is a row of the query.
    Row(R),
    /// A filter dropped it.
    Dropped,
    /// The caller must not see it.
    Denied,
}

/// A query that has not begun to read. One of the methods that end it reads: `first`, `unique`, `take`, `collect`,
/// `paginate`, `stream`.
#[must_use = "a query reads nothing until `first`, `unique`, `take`, `collect`, `paginate` or `stream`"]
pub struct Query<R> {
    pub(super) run: Arc<Run>,
    pub(super) plan: Plan,
    filters: Vec<Filter<R>>,
    /// What tells the filters from others: the names of their types, which say in which function they are written;
    /// the expressions themselves; and the name of the rules.
    pub(super) filter_names: Vec<Cow<'static, str>>,
    rule: Option<Arc<dyn ReadRule<R>>>,
    /// How often the order was said.
    n_orders: usize,
}

impl<R: Row> Query<R> {
    pub(super) fn new(run: Arc<Run>, plan: Plan) -> Self {
        Query { run, plan, filters: Vec::new(), filter_names: Vec::new(), rule: None, n_orders: 0 }
    }

    /// Reads only what a rule allows. `name` tells it from other rules, in cursors.
    pub(super) fn under(mut self, rule: Arc<dyn ReadRule<R>>, name: &'static str) -> Self {
        self.filter_names.push(name.into());
        self.rule = Some(rule);
        self
    }

    /// Keeps only the documents for which `keep` says so. What is dropped was still read and counts as read: a range
    /// of an index reads less.
    pub fn filter<F: Fn(&R) -> bool + Send + 'static>(self, keep: F) -> Self {
        let name = std::any::type_name::<F>();
        self.filtered(name.into(), Box::new(move |row| Ok(keep(row))))
    }

    fn filtered(mut self, name: Cow<'static, str>, keep: Filter<R>) -> Self {
        self.filter_names.push(name);
        self.filters.push(keep);
        self
    }

    /// Reads in this direction of the index. Said once; reading fails when it was said again, by whatever name.
    pub fn order(mut self, order: Order) -> Self {
        self.plan.order = order;
        self.n_orders += 1;
        self
    }

    /// Reads from the end of the index: the newest first, where its fields are equal.
    pub fn newest(self) -> Self {
        self.order(Order::Desc)
    }

    /// Reads from the beginning of the index, as it does by itself: the oldest first, where its fields are equal.
    pub fn oldest(self) -> Self {
        self.order(Order::Asc)
    }

    /// The first document, or `None`.
    pub async fn first(mut self) -> Result<Option<R>> {
        Ok(self.few(1).await?.pop().map(|(_, row)| row))
    }

    /// The only document, or `None`.
    ///
    /// # Errors
    /// When there are two or more, with the ids of two.
    pub async fn unique(mut self) -> Result<Option<R>> {
        let mut found = self.few(2).await?;
        match found.as_slice() {
            [(first, _), (second, _)] => Err(not_unique(&self.plan.table, *first, *second)),
            _ => Ok(found.pop().map(|(_, row)| row)),
        }
    }

    /// The first `n` documents.
    pub async fn take(mut self, n: usize) -> Result<Vec<R>> {
        self.read(n, alone).await
    }

    /// All documents. Only for ranges that stay small; a transaction reads at most 32,000 documents.
    pub async fn collect(self) -> Result<Vec<R>> {
        self.take(usize::MAX).await
    }

    /// The documents one by one, read in small steps and only as far as they are taken.
    pub fn stream(self) -> BoxStream<'static, Result<R>> {
        if let Err(error) = self.check() {
            return stream::once(std::future::ready(Err(error))).boxed();
        }
        let state = (Steps::new(Box::new(self)), VecDeque::new(), STREAM_STEP_FIRST);
        stream::try_unfold(state, |(mut steps, mut ready, mut size)| async move {
            while ready.is_empty() {
                let mut rows = Vec::new();
                if !steps.next(size, alone, &mut rows).await? {
                    return Ok(None);
                }
                ready.extend(rows);
                size = (size * 2).min(STREAM_STEP_MAX);
            }
            Ok(ready.pop_front().map(|row| (row, (steps, ready, size))))
        })
        .boxed()
    }

    /// Whether documents that are read may be left out.
    pub(super) fn is_filtered(&self) -> bool {
        !self.filters.is_empty() || self.rule.is_some()
    }

    /// What becomes of a document.
    ///
    /// Borrowed as mutable because filters can be sent between threads but not shared.
    pub(super) async fn keep(&mut self, document: Document) -> Result<Kept<R>> {
        let row = R::from_document(document)?;
        if let Some(rule) = &self.rule
            && !rule.allows(&row).await?
        {
            return Ok(Kept::Denied);
        }
        Ok(if self.passes(&row)? { Kept::Row(row) } else { Kept::Dropped })
    }

    /// Whether all filters keep it.
    fn passes(&self, row: &R) -> Result<bool> {
        for keep in &self.filters {
            if !keep(row).map_err(failed_filter)? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Puts what is `made` of the documents that pass behind `kept`. Without a rule nothing is waited for, and a row is in
    /// one place only.
    async fn keep_all<K: Send>(
        &mut self,
        documents: Documents,
        made: impl Make<R, K>,
        kept: &mut Vec<K>,
    ) -> Result<()> {
        if self.rule.is_none() {
            for document in documents {
                let id = document.id;
                let row = R::from_document(document)?;
                if self.passes(&row)? {
                    kept.push(made(id, row));
                }
            }
            return Ok(());
        }
        for document in documents {
            let id = document.id;
            if let Kept::Row(row) = self.keep(document).await? {
                kept.push(made(id, row));
            }
        }
        Ok(())
    }

    /// Refuses what no query can mean.
    pub(super) fn check(&self) -> Result<()> {
        if self.n_orders > 1 {
            let text = format!(
                "the order of a query on the table `{}` is given {} times; keep one of `order`, `newest` and `oldest`",
                self.plan.table, self.n_orders
            );
            return Err(Error::new(text));
        }
        let n_operators = self.filters.len() + self.n_orders;
        if n_operators > QUERY_OPERATORS_MAX {
            let text = format!(
                "a query on the table `{}` has {n_operators} filters and orders, at most {QUERY_OPERATORS_MAX}; put \
                 several conditions into one filter",
                self.plan.table
            );
            return Err(Error::new(text));
        }
        Ok(())
    }

    /// The first `n` documents, which are a few. One step has them when the query keeps whatever it reads: most of what is
    /// read is looked up so.
    async fn few(&mut self, n: usize) -> Result<SmallVec<[(DocumentId, R); 1]>> {
        if !self.is_filtered() {
            self.check()?;
            self.run.settled().await;
            let Batch { documents, done, .. } = self.plan.scan(self.run.tx().as_ref(), None, n).await?;
            if done || documents.len() == n {
                let rows = documents.into_iter().map(|document| Ok((document.id, R::from_document(document)?)));
                return rows.collect();
            }
        }
        // In a box: those that are looked up would carry its room with them.
        Ok(Box::pin(self.read(n, with_id)).await?.into())
    }

    async fn read<K: Send>(&mut self, n: usize, made: impl Make<R, K>) -> Result<Vec<K>> {
        self.check()?;
        let filtered = self.is_filtered();
        let mut steps = Steps::new(self);
        let mut found = Vec::new();
        let mut size = n;
        while found.len() < n && steps.next(size, made, &mut found).await? {
            size = next_step(n - found.len().min(n), size, filtered);
        }
        found.truncate(n);
        Ok(found)
    }
}

impl Query<Object> {
    /// Keeps only the documents for which an expression is true, as clients and tools write it; reading fails where it
    /// is neither true nor false.
    pub fn filter_by(self, expression: Expression) -> Self {
        let name = format!("{expression:?}");
        self.filtered(name.into(), Box::new(move |document| expression.keeps(document)))
    }
}

/// Makes what a caller wants of a document and its row.
trait Make<R, K>: Fn(DocumentId, R) -> K + Copy + Send {}

impl<R, K, F: Fn(DocumentId, R) -> K + Copy + Send> Make<R, K> for F {}

fn alone<R>(_: DocumentId, row: R) -> R {
    row
}

fn with_id<R>(id: DocumentId, row: R) -> (DocumentId, R) {
    (id, row)
}

fn not_unique(table: &str, first: DocumentId, second: DocumentId) -> Error {
    Error::new(format!(
        "`unique` found more than one document in the table `{table}`: {first} and {second}; use `first` where there may \
         be several"
    ))
}

fn failed_filter(error: EvalError) -> Error {
    match error.code() {
        // The text begins with the code.
        Some(code) => DbError::refused(code, error.to_string()).into(),
        None => Error::new(error.to_string()),
    }
}

/// How many documents the next step reads when `missing` more are wanted: exactly those without a filter, so that
/// nothing is read in vain; with one, ever more, because nobody knows how many it keeps.
pub(super) fn next_step(missing: usize, before: usize, filtered: bool) -> usize {
    if filtered { missing.max(before.saturating_mul(2)).min(STEP_MAX) } else { missing }
}

/// A query that is being read: borrowed, or in a box.
struct Steps<Q> {
    query: Q,
    after: Option<Arc<[u8]>>,
    done: bool,
}

impl<R: Row, Q: DerefMut<Target = Query<R>>> Steps<Q> {
    fn new(query: Q) -> Self {
        Steps { query, after: None, done: false }
    }

    /// Reads the next `size` documents and puts what is `made` of those that pass behind `kept`; `false` at the end.
    async fn next<K: Send>(&mut self, size: usize, made: impl Make<R, K>, kept: &mut Vec<K>) -> Result<bool> {
        if self.done {
            return Ok(false);
        }
        self.query.run.settled().await;
        let tx = self.query.run.tx().as_ref();
        let batch = self.query.plan.scan(tx, self.after.as_deref(), size.clamp(1, STEP_MAX)).await?;
        self.done = batch.done;
        if let Some(last) = batch.keys.into_iter().next_back() {
            self.after = Some(last);
        }
        if !self.query.is_filtered() {
            kept.reserve(batch.documents.len());
        }
        self.query.keep_all(batch.documents, made, kept).await?;
        Ok(true)
    }
}
