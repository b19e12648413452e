//! Row rules: who may see and change which documents of a table. What no rule allows is denied.
//!
//! ```
//! # extern crate syncline_functions as syncline;
//! use syncline::db::Rules;
//! use syncline::guard::{Guard, SignedIn};
//! use syncline::{Doc, Id, MutationCtx, QueryCtx, Result, Table, mutation, query};
//!
//! #[derive(Table)]
//! #[table(name = "notes", index(by_owner = [owner]), ruled)]
//! pub struct Note { owner: String, shared: bool, text: String }
//!
//! /// Shared notes are read by everyone who is signed in; all else is the owner's.
//! #[derive(Clone)]
//! pub struct NoteRules(SignedIn);
//!
//! impl Guard for NoteRules {
//!     async fn check(ctx: &QueryCtx) -> Result<Self> {
//!         ctx.require().await.map(NoteRules)
//!     }
//! }
//!
//! impl Rules<Note> for NoteRules {
//!     async fn read(&self, _ctx: &QueryCtx, note: &Doc<Note>) -> Result<bool> {
//!         Ok(note.shared || note.owner == self.0.token_identifier)
//!     }
//!     async fn insert(&self, _ctx: &QueryCtx, note: &Note) -> Result<bool> {
//!         Ok(note.owner == self.0.token_identifier)
//!     }
//!     async fn update(&self, _ctx: &QueryCtx, note: &Doc<Note>, changed: &Note) -> Result<bool> {
//!         Ok(note.owner == self.0.token_identifier && changed.owner == note.owner)
//!     }
//!     // Nothing is said of `delete`: nobody may.
//! }
//!
//! #[query]
//! pub async fn list(ctx: &QueryCtx, rules: &NoteRules) -> Result<Vec<Doc<Note>>> {
//!     ctx.db.under(rules).query(Note::all()).newest().take(20).await
//! }
//!
//! #[mutation]
//! pub async fn rewrite(ctx: &MutationCtx, rules: &NoteRules, note: Id<Note>, text: String) -> Result<()> {
//!     ctx.db.under(rules).patch(note, Note::patch().text(text)).await
//! }
//! ```
//!
//! - A document that may not be read is not there: `get` gives `None`, a query leaves it out, and writing it fails as
//!   writing a missing one does. No cursor holds anything of it.
//! - A write that is not allowed is refused with `{code: "FORBIDDEN", message, table, access}`.
//! - A table that `R` has no [`Rules`] for does not compile under `R`.
//! - `#[table(ruled)]` closes the plain `ctx.db` to a table: forgetting the rules does not compile either.
//!   [`Everything`] is the way past, and can be searched for. Tables by name (`ctx.db.table("notes")`), which are for
//!   tools, know no rules.
//! - Rules read through a context of their own, without rules. What they read belongs to the run, so a result changes
//!   when a rule's mind does, and a run under rules is the caller's own.

use std::future::{self, Future};
use std::marker::PhantomData;
use std::ops::Deref;
use std::sync::Arc;

use futures::FutureExt as _;
use futures::future::BoxFuture;
use syncline_schema::{Doc, Id, Table, decode_json};

use super::patch::Patch;
use super::query::{Query, ReadRule};
use super::range::RangeOf;
use super::{DatabaseReader, DatabaseWriter};
use crate::context::QueryCtx;
use crate::error::{AppError, Result};
use crate::run::Run;
use crate::tx::DbError;

/// The rules of the table `T`. Whatever is left out is denied.
///
/// The context has no rules, so that rules can look at what the caller may not; it cannot write.
#[diagnostic::on_unimplemented(
    message = "`{Self}` has no rules for this table, so nobody may read or write it here",
    label = "no rules for this table",
    note = "say who may: `impl Rules<Note> for {Self}`, when the table is `Note`"
)]
pub trait Rules<T: Table>: Clone + Send + Sync + 'static {
    /// Whether the caller may know of this document.
    fn read(&self, ctx: &QueryCtx, document: &Doc<T>) -> impl Future<Output = Result<bool>> + Send {
        let _ = (ctx, document);
        future::ready(Ok(false))
    }

    /// Whether the caller may add this document.
    fn insert(&self, ctx: &QueryCtx, document: &T) -> impl Future<Output = Result<bool>> + Send {
        let _ = (ctx, document);
        future::ready(Ok(false))
    }

    /// Whether the caller, who may read this document, may make it what `changed` is.
    fn update(&self, ctx: &QueryCtx, document: &Doc<T>, changed: &T) -> impl Future<Output = Result<bool>> + Send {
        let _ = (ctx, document, changed);
        future::ready(Ok(false))
    }

    /// Whether the caller, who may read this document, may delete it.
    fn delete(&self, ctx: &QueryCtx, document: &Doc<T>) -> impl Future<Output = Result<bool>> + Send {
        let _ = (ctx, document);
        future::ready(Ok(false))
    }
}

/// Rules that allow everything: the way to a `ruled` table for what stands above its rules.
#[derive(Clone, Copy, Debug)]
pub struct Everything;

impl<T: Table> Rules<T> for Everything {
    async fn read(&self, _ctx: &QueryCtx, _document: &Doc<T>) -> Result<bool> {
        Ok(true)
    }

    async fn insert(&self, _ctx: &QueryCtx, _document: &T) -> Result<bool> {
        Ok(true)
    }

    async fn update(&self, _ctx: &QueryCtx, _document: &Doc<T>, _changed: &T) -> Result<bool> {
        Ok(true)
    }

    async fn delete(&self, _ctx: &QueryCtx, _document: &Doc<T>) -> Result<bool> {
        Ok(true)
    }
}

/// Reads what the rules `R` allow.
pub struct RuledReader<R> {
    reader: DatabaseReader,
    rules: R,
    ctx: Arc<QueryCtx>,
}

impl<R: Clone + Send + Sync + 'static> RuledReader<R> {
    pub(super) fn new(run: &Arc<Run>, rules: &R) -> Self {
        let ctx = QueryCtx::new(run.clone());
        ctx.auth.observe();
        RuledReader { reader: DatabaseReader::new(run.clone()), rules: rules.clone(), ctx: Arc::new(ctx) }
    }

    /// The document with this id, or `None` when there is none that may be read.
    pub async fn get<T: Table>(&self, id: Id<T>) -> Result<Option<Doc<T>>>
    where
        R: Rules<T>,
    {
        let Some(document) = self.reader.get_any(id).await? else { return Ok(None) };
        Ok(self.rules.read(&self.ctx, &document).await?.then_some(document))
    }

    /// Begins to read a table, as `ctx.db.query` does. Rules are asked before filters.
    ///
    /// Documents that may not be read count as read for the limits of the transaction: a range that holds mostly such
    /// documents is better narrowed by an index. A page's own limits (`maximumRowsRead`) count what may be read.
    pub fn query<P: RangeOf>(&self, range: P) -> Query<Doc<P::Table>>
    where
        R: Rules<P::Table>,
    {
        let rule = ReadUnder { rules: self.rules.clone(), ctx: self.ctx.clone(), table: PhantomData };
        self.reader.query_any(range).under(Arc::new(rule), std::any::type_name::<R>())
    }
}

/// The rule for reading a table, as a query asks it.
struct ReadUnder<R, T> {
    rules: R,
    ctx: Arc<QueryCtx>,
    table: PhantomData<fn() -> T>,
}

impl<R: Rules<T>, T: Table> ReadRule<Doc<T>> for ReadUnder<R, T> {
    fn allows<'a>(&'a self, row: &'a Doc<T>) -> BoxFuture<'a, Result<bool>> {
        self.rules.read(&self.ctx, row).boxed()
    }
}

/// Reads and writes what the rules `R` allow.
pub struct RuledWriter<R> {
    reader: RuledReader<R>,
    writer: DatabaseWriter,
}

impl<R> Deref for RuledWriter<R> {
    type Target = RuledReader<R>;

    fn deref(&self) -> &RuledReader<R> {
        &self.reader
    }
}

impl<R: Clone + Send + Sync + 'static> RuledWriter<R> {
    pub(super) fn new(run: &Arc<Run>, rules: &R) -> Self {
        RuledWriter { reader: RuledReader::new(run, rules), writer: DatabaseWriter::new(run.clone()) }
    }

    /// Adds a document and returns its id.
    ///
    /// # Errors
    /// `FORBIDDEN` when the rules do not allow it; so with the other writes.
    pub async fn insert<T: Table>(&self, document: T) -> Result<Id<T>>
    where
        R: Rules<T>,
    {
        let allowed = self.rules.insert(&self.ctx, &document).await?;
        check::<T>("insert", allowed)?;
        self.writer.insert_any(document).await
    }

    /// Changes some fields of a document.
    ///
    /// # Errors
    /// `NonexistentDocument` when there is no such document that may be read.
    pub async fn patch<P: Patch>(&self, id: Id<P::Table>, patch: P) -> Result<()>
    where
        R: Rules<P::Table>,
    {
        let document = self.readable("patch", id).await?;
        let fields = patch.into_fields();
        let changed: P::Table = decode_json(&fields.applied_to::<P::Table>(document.json())?)?;
        let allowed = self.rules.update(&self.ctx, &document, &changed).await?;
        check::<P::Table>("patch", allowed)?;
        self.writer.patch_any(id, fields).await
    }

    /// Replaces all fields of a document.
    ///
    /// # Errors
    /// `NonexistentDocument` when there is no such document that may be read.
    pub async fn replace<T: Table>(&self, id: Id<T>, document: T) -> Result<()>
    where
        R: Rules<T>,
    {
        let before = self.readable("replace", id).await?;
        let allowed = self.rules.update(&self.ctx, &before, &document).await?;
        check::<T>("replace", allowed)?;
        self.writer.replace_any(id, document).await
    }

    /// Deletes a document.
    ///
    /// # Errors
    /// `NonexistentDocument` when there is no such document that may be read.
    pub async fn delete<T: Table>(&self, id: Id<T>) -> Result<()>
    where
        R: Rules<T>,
    {
        let document = self.readable("delete", id).await?;
        let allowed = self.rules.delete(&self.ctx, &document).await?;
        check::<T>("delete", allowed)?;
        self.writer.delete_any(id).await
    }

    /// The document that is to be written; the same answer whether it is missing or may not be seen.
    async fn readable<T: Table>(&self, call: &str, id: Id<T>) -> Result<Doc<T>>
    where
        R: Rules<T>,
    {
        self.reader.get(id).await?.ok_or_else(|| nonexistent(call, id).into())
    }
}

fn nonexistent<T>(call: &str, id: Id<T>) -> DbError {
    DbError::nonexistent(call, &id.document_id())
}

/// Refuses a write that is not allowed.
fn check<T: Table>(access: &str, allowed: bool) -> Result<()> {
    if allowed {
        return Ok(());
    }
    let refusal = AppError::forbidden(format!("the rules of the table `{}` do not allow you this {access}", T::NAME));
    Err(refusal.with("table", &T::NAME.to_owned())?.with("access", &access.to_owned())?.into())
}
