//! The mistake: calling a guarded function without the proof, and making one up.
#![allow(unused)]

extern crate syncline_functions as syncline;

use syncline::auth::UserIdentity;
use syncline::guard::SignedIn;
use syncline::{MutationCtx, Result, mutation};

#[mutation]
async fn send(ctx: &MutationCtx, me: &SignedIn, body: String) -> Result<()> {
    Ok(())
}

#[mutation]
async fn forgets(ctx: &MutationCtx) -> Result<()> {
    send(ctx, "hi".to_owned()).await
}

#[mutation]
async fn forges(ctx: &MutationCtx) -> Result<()> {
    send(ctx, &SignedIn(UserIdentity::default().into()), "hi".to_owned()).await
}

fn main() {}
