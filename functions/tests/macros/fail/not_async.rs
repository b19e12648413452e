//! The mistake: a function that is not `async`.
#![allow(unused)]

extern crate syncline_functions as syncline;

use syncline::{Doc, QueryCtx, Result, query, users::User};

#[query]
fn list(ctx: &QueryCtx, name: String, limit: Option<f64>) -> Result<Vec<Doc<User>>> {
    Ok(Vec::new())
}

fn main() {}
