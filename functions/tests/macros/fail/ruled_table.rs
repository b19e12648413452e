//! The mistake: going past row rules, and rules that say nothing of a table.
#![allow(unused)]

extern crate syncline_functions as syncline;

use syncline::db::Rules;
use syncline::{Id, MutationCtx, QueryCtx, Result, Table};

#[derive(Table)]
#[table(name = "notes", ruled)]
struct Note {
    text: String,
}

#[derive(Clone)]
struct NoRules;

fn reads(ctx: &QueryCtx, id: Id<Note>) {
    let _ = ctx.db.get(id);
    let _ = ctx.db.query(Note::all());
}

fn writes(ctx: &MutationCtx, id: Id<Note>) {
    let _ = ctx.db.insert(Note { text: "x".to_owned() });
    let _ = ctx.db.patch(id, Note::patch().text("x"));
    let _ = ctx.db.replace(id, Note { text: "x".to_owned() });
    let _ = ctx.db.delete(id);
}

fn without_a_rule(ctx: &MutationCtx, id: Id<Note>) {
    let _ = ctx.db.under(&NoRules).query(Note::all());
    let _ = ctx.db.under(&NoRules).delete(id);
}

fn main() {}
