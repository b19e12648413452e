//! The mistake: a guard that stands behind an argument, and too many of them.
#![allow(unused)]

extern crate syncline_functions as syncline;

use syncline::guard::SignedIn;
use syncline::{MutationCtx, Result, mutation};

#[mutation]
async fn send(ctx: &MutationCtx, body: String, me: &SignedIn) -> Result<()> {
    Ok(())
}

#[mutation]
async fn thrice(ctx: &MutationCtx, a: &SignedIn, b: &SignedIn, c: &SignedIn) -> Result<()> {
    Ok(())
}

fn main() {}
