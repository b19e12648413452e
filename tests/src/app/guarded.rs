//! Functions that not everybody may call, and documents that not everybody may see.

use std::sync::atomic::{AtomicU64, Ordering};

use syncline::db::Rules;
use syncline::guard::{Claims, Guard, NamedRole, Role};
use syncline::prelude::*;
use syncline::users;

/// How often `guarded:me` ran behind its guard.
pub static RUNS: AtomicU64 = AtomicU64::new(0);

/// The caller's subject.
#[query]
pub async fn me(_ctx: &QueryCtx, me: &SignedIn) -> Result<String> {
    RUNS.fetch_add(1, Ordering::SeqCst);
    Ok(me.subject.clone())
}

/// The caller's subject, again.
#[mutation]
pub async fn sign(_ctx: &MutationCtx, me: &SignedIn) -> Result<String> {
    Ok(me.subject.clone())
}

/// Named in the users table.
pub struct Moderator;

impl NamedRole for Moderator {
    const NAMES: &'static [&'static str] = &["moderator"];
    type Source = users::Roles;
}

/// Named in the token: the admin of the organisation that is chosen, or an admin by Clerk's public metadata.
pub struct Admin;

impl NamedRole for Admin {
    const NAMES: &'static [&'static str] = &["org:admin", "admin"];
    type Source = Claims;
}

/// Tells a moderator who they are.
#[query]
pub async fn moderate(_ctx: &QueryCtx, moderator: &Role<Moderator>) -> Result<String> {
    Ok(moderator.subject.clone())
}

/// Tells an admin who they are.
#[action]
pub async fn administer(_ctx: &ActionCtx, admin: &Role<Admin>) -> Result<String> {
    Ok(admin.subject.clone())
}

/// A note that its owner may show to everybody.
#[derive(Table)]
#[table(name = "notes", index(by_text = [text]), ruled)]
pub struct Note {
    owner: String,
    shown: bool,
    text: String,
}

/// Owners do everything; others read what is shown.
#[derive(Clone)]
pub struct NoteRules(SignedIn);

impl Guard for NoteRules {
    async fn check(ctx: &QueryCtx) -> Result<Self> {
        ctx.require().await.map(NoteRules)
    }
}

impl Rules<Note> for NoteRules {
    async fn read(&self, _ctx: &QueryCtx, note: &Doc<Note>) -> Result<bool> {
        Ok(note.shown || note.owner == self.0.subject)
    }

    async fn insert(&self, _ctx: &QueryCtx, note: &Note) -> Result<bool> {
        Ok(note.owner == self.0.subject)
    }

    async fn update(&self, _ctx: &QueryCtx, note: &Doc<Note>, changed: &Note) -> Result<bool> {
        Ok(note.owner == self.0.subject && changed.owner == note.owner)
    }

    async fn delete(&self, _ctx: &QueryCtx, note: &Doc<Note>) -> Result<bool> {
        Ok(note.owner == self.0.subject)
    }
}

/// The texts of the notes that the caller may see, by text.
#[query]
pub async fn notes(ctx: &QueryCtx, rules: &NoteRules) -> Result<Vec<String>> {
    let notes = ctx.db.under(rules).query(Note::by_text()).collect().await?;
    Ok(notes.into_iter().map(|note| note.into_inner().text).collect())
}

/// The same, a page at a time.
#[query]
pub async fn page(
    ctx: &QueryCtx,
    rules: &NoteRules,
    pagination_opts: PaginationOptions,
) -> Result<PaginationResult<Doc<Note>>> {
    ctx.db.under(rules).query(Note::by_text()).paginate(pagination_opts).await
}

/// Adds a note of `owner`.
#[mutation]
pub async fn write(ctx: &MutationCtx, rules: &NoteRules, owner: String, text: String) -> Result<Id<Note>> {
    ctx.db.under(rules).insert(Note { owner, shown: false, text }).await
}

/// Shows a note to everybody, or hides it.
#[mutation]
pub async fn show(ctx: &MutationCtx, rules: &NoteRules, note: Id<Note>, shown: bool) -> Result<()> {
    ctx.db.under(rules).patch(note, Note::patch().shown(shown)).await
}
