//! The mistake: a function with a type parameter.
#![allow(unused)]

extern crate syncline_functions as syncline;

use syncline::{QueryCtx, Result, query};

#[query]
async fn list<T: Into<String>>(ctx: &QueryCtx, channel: T) -> Result<()> {
    Ok(())
}

fn main() {}
