//! The mistake: a query that writes.
#![allow(unused)]

extern crate syncline_functions as syncline;

use syncline::{QueryCtx, Result, query, users::User};

#[query]
async fn visit(ctx: &QueryCtx) -> Result<()> {
    let user = ctx.db.query(User::all()).first().await?.unwrap();
    ctx.db.patch(user.id, User::patch().name("x")).await
}

fn main() {}
