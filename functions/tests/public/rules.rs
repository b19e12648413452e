//! Row rules: what is denied is not there, and cannot be written.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use futures::StreamExt as _;
use futures::executor::block_on;
use proptest::prelude::*;
use serde_json::json;
use syncline::auth::UserIdentity;
use syncline::db::{Everything, PaginationOptions, PaginationResult, Rules};
use syncline::guard::{Guard, SignedIn};
use syncline::{Doc, Error, Id, QueryCtx, Result, Table};
use syncline_schema::Nullable;

use crate::app::{App, code};

/// A note that its owner may share.
#[derive(Clone, Debug, PartialEq, Table)]
#[table(name = "private_notes", index(by_owner = [owner], by_secret = [secret]), ruled)]
pub struct Note {
    pub owner: String,
    pub shared: bool,
    pub secret: String,
}

/// Who reads along with whom.
#[derive(Table)]
#[table(name = "friends", index(by_pair = [of, friend]))]
pub struct Friend {
    of: String,
    friend: String,
}

/// Owners do everything but delete; what is shared is read by friends.
#[derive(Clone)]
pub struct NoteRules(SignedIn);

impl Guard for NoteRules {
    async fn check(ctx: &QueryCtx) -> Result<Self> {
        ctx.require().await.map(NoteRules)
    }
}

impl Rules<Note> for NoteRules {
    async fn read(&self, ctx: &QueryCtx, note: &Doc<Note>) -> Result<bool> {
        let friend = ctx.db.query(Friend::by_pair().eq(&note.owner).eq(&self.0.subject)).first();
        Ok(note.owner == self.0.subject || (note.shared && friend.await?.is_some()))
    }

    async fn insert(&self, _ctx: &QueryCtx, note: &Note) -> Result<bool> {
        Ok(note.owner == self.0.subject)
    }

    async fn update(&self, _ctx: &QueryCtx, note: &Doc<Note>, changed: &Note) -> Result<bool> {
        Ok(note.owner == self.0.subject && changed.owner == note.owner)
    }
}

/// Nothing said, nothing allowed.
#[derive(Clone)]
struct Silent;

impl Rules<Note> for Silent {}

fn app_of(subject: &str) -> App {
    App { identity: Some(Arc::new(UserIdentity { subject: subject.into(), ..UserIdentity::default() })), ..App::new() }
}

/// The same data under another identity.
fn as_user(app: &App, subject: &str) -> App {
    App { tx: app.tx.clone(), ..app_of(subject) }
}

fn note(owner: &str, shared: bool, secret: &str) -> Note {
    Note { owner: owner.into(), shared, secret: secret.into() }
}

fn put(app: &App, note: Note) -> Id<Note> {
    block_on(app.mutation().db.under(&Everything).insert(note)).unwrap()
}

fn rules(app: &App) -> NoteRules {
    block_on(app.query().require()).unwrap()
}

/// The secrets that a query finds.
fn seen(notes: &[Doc<Note>]) -> Vec<&str> {
    notes.iter().map(|note| note.secret.as_str()).collect()
}

/// spec: A78
#[test]
fn a_denied_document_is_not_there() {
    let app = app_of("ada");
    let (own, others) = (put(&app, note("ada", false, "own")), put(&app, note("bob", false, "others")));
    let ctx = app.query();
    let db = ctx.db.under(&rules(&app));
    assert_eq!(block_on(db.get(own)).unwrap().unwrap().secret, "own");
    assert!(block_on(db.get(others)).unwrap().is_none());
    assert_eq!(seen(&block_on(db.query(Note::all()).collect()).unwrap()), ["own"]);
    assert_eq!(seen(&block_on(db.query(Note::all()).newest().take(5)).unwrap()), ["own"]);
    assert!(block_on(db.query(Note::by_owner().eq("bob")).first()).unwrap().is_none());
    let unique = block_on(db.query(Note::all()).unique()).unwrap();
    assert_eq!(unique.unwrap().secret, "own", "a denied document does not make another one ambiguous");
    let streamed: Vec<_> = block_on(db.query(Note::all()).stream().map(Result::unwrap).collect());
    assert_eq!(seen(&streamed), ["own"]);
}

/// spec: A78
#[test]
fn what_no_rule_allows_is_denied() {
    let app = app_of("ada");
    let id = put(&app, note("ada", true, "own"));
    let ctx = app.mutation();
    let db = ctx.db.under(&Silent);
    assert!(block_on(db.get(id)).unwrap().is_none());
    assert!(block_on(db.query(Note::all()).collect()).unwrap().is_empty());
    assert_eq!(code(block_on(db.insert(note("ada", true, "more")))), "FORBIDDEN");
    assert_eq!(code(block_on(db.delete(id))), "NonexistentDocument");
    // `NoteRules` says nothing of deleting.
    assert_eq!(code(block_on(ctx.db.under(&rules(&app)).delete(id))), "FORBIDDEN");
}

/// spec: A77
#[test]
fn a_run_under_rules_is_the_callers_own() {
    let run = App::new().run();
    let db = QueryCtx::new(run.clone()).db.under(&Silent);
    assert!(block_on(db.query(Note::all()).collect()).unwrap().is_empty());
    assert!(run.report().observed_identity);
}

/// spec: A78
#[test]
fn rules_read_what_the_caller_may_not_and_their_reads_count() {
    let app = app_of("ada");
    put(&app, note("bob", true, "shared"));
    let ada = rules(&app);
    let list = || block_on(app.query().db.under(&ada).query(Note::all()).collect()).unwrap();
    assert!(list().is_empty());
    block_on(app.mutation().db.insert(Friend { of: "bob".into(), friend: "ada".into() })).unwrap();
    app.tx.take_scans();
    assert_eq!(seen(&list()), ["shared"]);
    assert_eq!(app.tx.take_scans().len(), 2, "the notes, and the rule's own read");
}

#[test]
fn a_denied_write_is_refused_with_data_and_changes_nothing() {
    let app = app_of("ada");
    block_on(app.mutation().db.insert(Friend { of: "bob".into(), friend: "ada".into() })).unwrap();
    let (own, shared) = (put(&app, note("ada", false, "own")), put(&app, note("bob", true, "shared")));
    let writes = app.tx.writes();
    let ctx = app.mutation();
    let db = ctx.db.under(&rules(&app));
    let refused = |access: &str, result: Result<(), Error>| {
        let message = format!("the rules of the table `private_notes` do not allow you this {access}");
        let data: serde_json::Value = serde_json::from_str(&result.unwrap_err().data().unwrap().to_json()).unwrap();
        assert_eq!(data, json!({"code": "FORBIDDEN", "message": message, "table": "private_notes", "access": access}));
    };
    refused("insert", block_on(db.insert(note("bob", true, "forged"))).map(drop));
    refused("patch", block_on(db.patch(shared, Note::patch().secret("mine"))));
    refused("patch", block_on(db.patch(own, Note::patch().owner("bob"))));
    refused("replace", block_on(db.replace(own, note("bob", false, "given"))));
    refused("delete", block_on(db.delete(own)));
    assert_eq!(app.tx.writes(), writes);
    block_on(db.insert(note("ada", false, "new"))).unwrap();
    block_on(db.patch(own, Note::patch().secret("changed"))).unwrap();
    assert_eq!(block_on(db.get(own)).unwrap().unwrap().secret, "changed");
    block_on(db.replace(own, note("ada", true, "replaced"))).unwrap();
    assert_eq!(block_on(db.get(own)).unwrap().unwrap().into_inner(), note("ada", true, "replaced"));
}

#[test]
fn writing_what_cannot_be_seen_tells_nothing_of_it() {
    let app = app_of("ada");
    let (hidden, gone) = (put(&app, note("bob", false, "hidden")), put(&app, note("bob", false, "gone")));
    let ctx = app.mutation();
    block_on(ctx.db.under(&Everything).delete(gone)).unwrap();
    let db = ctx.db.under(&rules(&app));
    let said = |id: Id<Note>| {
        let texts = [
            block_on(db.patch(id, Note::patch().secret("x"))),
            block_on(db.replace(id, note("ada", true, "x"))),
            block_on(db.delete(id)),
        ];
        texts.map(|result| result.unwrap_err().to_string().replace(&id.to_string(), "ID"))
    };
    assert_eq!(said(hidden), said(gone));
    let by_the_store = block_on(ctx.db.under(&Everything).delete(gone)).unwrap_err();
    assert_eq!(said(hidden)[2], by_the_store.to_string().replace(&gone.to_string(), "ID"));
}

/// What is allowed decides what a filter gets to see: code that reads cannot be told more than its caller.
#[test]
fn filters_see_allowed_documents_only() {
    static SEEN: AtomicUsize = AtomicUsize::new(0);
    let app = app_of("ada");
    for owner in ["ada", "bob", "ada", "bob"] {
        put(&app, note(owner, false, owner));
    }
    let query = app.query().db.under(&rules(&app)).query(Note::all());
    let counted = query.filter(|note| {
        assert_eq!(note.owner, "ada");
        SEEN.fetch_add(1, Ordering::SeqCst);
        true
    });
    assert_eq!(block_on(counted.collect()).unwrap().len(), 2);
    assert_eq!(SEEN.load(Ordering::SeqCst), 2);
}

type Page = PaginationResult<Doc<Note>>;

fn page(app: &App, options: PaginationOptions) -> Result<Page> {
    app.tx.reset_usage();
    block_on(app.query().db.under(&rules(app)).query(Note::by_secret()).paginate(options))
}

/// All pages: the secrets seen, and all texts that a client gets beside them.
fn pages(app: &App, options: &PaginationOptions) -> (Vec<String>, Vec<String>) {
    let (mut secrets, mut cursors, mut options) = (Vec::new(), Vec::new(), options.clone());
    loop {
        let page = page(app, options.clone()).unwrap();
        secrets.extend(page.page.iter().map(|note| note.secret.clone()));
        cursors.extend(page.split_cursor.as_option().cloned());
        cursors.push(page.continue_cursor.clone());
        if page.is_done {
            return (secrets, cursors);
        }
        options.cursor = Nullable::Some(page.continue_cursor);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    /// Pages hold exactly what may be seen, and no cursor the key of anything else, whatever limits a client sets.
    ///
    /// spec: A78, D73
    #[test]
    fn pages_hold_what_may_be_seen_and_cursors_nothing_else(
        mine in prop::collection::vec(any::<bool>(), 0..40),
        items in 1usize..8,
        rows in prop::option::of(1usize..6),
    ) {
        let app = app_of("ada");
        for (n, mine) in mine.iter().enumerate() {
            put(&app, note(if *mine { "ada" } else { "bob" }, false, &format!("{}{n:02}", if *mine { "open" } else { "hidden" })));
        }
        let options = PaginationOptions {
            maximum_rows_read: rows.map(|rows| rows as f64),
            ..PaginationOptions::first(items)
        };
        let (secrets, cursors) = pages(&app, &options);
        let mut expected: Vec<String> =
            mine.iter().enumerate().filter(|(_, mine)| **mine).map(|(n, _)| format!("open{n:02}")).collect();
        expected.sort();
        prop_assert_eq!(secrets, expected);
        for cursor in cursors {
            use base64::Engine as _;
            let bytes = base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(cursor).unwrap();
            prop_assert!(!bytes.windows(6).any(|bytes| bytes == b"hidden"));
        }
    }
}

/// A range of which too much is denied fails by the limit of the transaction, rather than tell where it stopped.
#[test]
fn a_range_that_is_mostly_denied_fails_by_its_limit() {
    let app = app_of("ada");
    for n in 0..60 {
        put(&app, note("bob", false, &format!("hidden{n:02}")));
    }
    app.tx.limit_documents_read(50);
    let error = page(&app, PaginationOptions::first(5)).unwrap_err();
    assert!(error.to_string().contains("TooManyDocumentsRead"), "{error}");
}

#[test]
fn a_cursor_of_other_rules_is_refused() {
    let app = app_of("ada");
    for n in 0..4 {
        put(&app, note("ada", false, &n.to_string()));
    }
    let cursor = page(&app, PaginationOptions::first(2)).unwrap().continue_cursor;
    let ctx = app.query();
    let all = ctx.db.under(&Everything).query(Note::by_secret());
    assert_eq!(code(block_on(all.paginate(PaginationOptions::after(2, cursor)))), "InvalidCursor");
}

#[test]
fn each_caller_sees_their_own() {
    let ada = app_of("ada");
    put(&ada, note("ada", false, "a"));
    put(&ada, note("bob", false, "b"));
    for (subject, secret) in [("ada", "a"), ("bob", "b")] {
        let app = as_user(&ada, subject);
        let found = block_on(app.query().db.under(&rules(&app)).query(Note::all()).collect()).unwrap();
        assert_eq!(seen(&found), [secret]);
    }
}
