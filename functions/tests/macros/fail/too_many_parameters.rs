//! The mistake: more arguments than a call can have.
#![allow(unused)]

extern crate syncline_functions as syncline;

use syncline::{QueryCtx, Result, query};

#[query]
async fn sum(
    ctx: &QueryCtx,
    a: f64, b: f64, c: f64, d: f64, e: f64, f: f64, g: f64, h: f64, i: f64, j: f64, k: f64, l: f64, m: f64,
) -> Result<()> {
    Ok(())
}

fn main() {}
