//! The mistake: a guard without its `&`, which would be an argument that clients send.
#![allow(unused)]

extern crate syncline_functions as syncline;

use syncline::guard::SignedIn;
use syncline::{QueryCtx, Result, query};

#[query]
async fn list(ctx: &QueryCtx, me: SignedIn) -> Result<()> {
    Ok(())
}

fn main() {}
