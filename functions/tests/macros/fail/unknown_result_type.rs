//! The mistake: a result of a type that clients do not have.
#![allow(unused)]

extern crate syncline_functions as syncline;

use syncline::{QueryCtx, Result, query};

struct Summary {
    count: f64,
}

#[query]
async fn summary(ctx: &QueryCtx) -> Result<Summary> {
    Ok(Summary { count: 0.0 })
}

fn main() {}
