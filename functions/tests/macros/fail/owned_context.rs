//! The mistake: a context that is not borrowed.
#![allow(unused)]

extern crate syncline_functions as syncline;

use syncline::{MutationCtx, Result, mutation};

#[mutation]
async fn send(ctx: MutationCtx, body: String) -> Result<()> {
    Ok(())
}

#[mutation]
async fn edit(ctx: &mut MutationCtx, body: String) -> Result<()> {
    Ok(())
}

fn main() {}
