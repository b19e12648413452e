//! The mistake: a call of a function with other arguments than it takes.
#![allow(unused)]

extern crate syncline_functions as syncline;

use syncline::{MutationCtx, Result, mutation};

#[mutation]
async fn send(ctx: &MutationCtx, channel: String, body: String) -> Result<()> {
    Ok(())
}

#[mutation]
async fn twice(ctx: &MutationCtx) -> Result<()> {
    ctx.run_mutation(send, ("x".to_owned(),)).await
}

fn main() {}
