//! The mistake: two names that are the same on the wire.
#![allow(unused)]

extern crate syncline_functions as syncline;

use syncline::{Object, QueryCtx, Result, query};

#[derive(Object)]
struct Place {
    zip_code: String,
    #[field(name = "zipCode")]
    code: String,
}

#[derive(Object)]
enum Status {
    Open,
    #[variant(name = "open")]
    Opened,
}

#[query]
async fn find(ctx: &QueryCtx, zip_code: String, zipCode: String) -> Result<()> {
    Ok(())
}

fn main() {}
