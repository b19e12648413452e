//! The mistake: an argument of a type that clients do not have.
#![allow(unused)]

extern crate syncline_functions as syncline;

use syncline::{QueryCtx, Result, query};

#[query]
async fn list(ctx: &QueryCtx, limit: u32) -> Result<()> {
    Ok(())
}

fn main() {}
