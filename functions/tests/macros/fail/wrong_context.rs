//! The mistake: a query that asks for the context of a mutation.
#![allow(unused)]

extern crate syncline_functions as syncline;

use syncline::{MutationCtx, Result, query};

#[query]
async fn list(ctx: &MutationCtx, channel: String) -> Result<()> {
    Ok(())
}

fn main() {}
