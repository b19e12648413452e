//! The mistake: an argument that is taken apart in the signature.
#![allow(unused)]

extern crate syncline_functions as syncline;

use syncline::{QueryCtx, Result, query};

#[query]
async fn area(ctx: &QueryCtx, (width, height): (f64, f64)) -> Result<f64> {
    Ok(width * height)
}

fn main() {}
