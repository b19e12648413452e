//! The mistake: arguments that borrow, and one that is no type.
#![allow(unused)]

extern crate syncline_functions as syncline;

use syncline::{QueryCtx, Result, query};

#[query]
async fn one(ctx: &QueryCtx, channel: &str) -> Result<()> {
    Ok(())
}

#[query]
async fn many(ctx: &QueryCtx, channels: &[String]) -> Result<()> {
    Ok(())
}

#[query]
async fn any(ctx: &QueryCtx, channel: impl Into<String>) -> Result<()> {
    Ok(())
}

fn main() {}
