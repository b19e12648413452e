//! The mistake: a condition with a value of another type than the field.
#![allow(unused)]

extern crate syncline_functions as syncline;

use syncline::{QueryCtx, Result, query, users::User};

#[query]
async fn find(ctx: &QueryCtx) -> Result<()> {
    ctx.db.query(User::by_token().eq(5.0)).first().await?;
    Ok(())
}

#[query]
async fn all(ctx: &QueryCtx) -> Result<()> {
    ctx.db.query("users").first().await?;
    Ok(())
}

fn main() {}
