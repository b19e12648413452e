//! The mistake: a query that calls a mutation, in both ways.
#![allow(unused)]

extern crate syncline_functions as syncline;

use syncline::{MutationCtx, QueryCtx, Result, mutation, query};

#[mutation]
async fn send(ctx: &MutationCtx, body: String) -> Result<()> {
    Ok(())
}

#[query]
async fn list(ctx: &QueryCtx) -> Result<()> {
    send(ctx, "x".to_owned()).await
}

#[query]
async fn count(ctx: &QueryCtx) -> Result<()> {
    ctx.run_mutation(send, ("x".to_owned(),)).await
}

fn main() {}
