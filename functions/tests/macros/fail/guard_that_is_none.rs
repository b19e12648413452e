//! The mistake: a borrowed argument, which reads as a guard; a guard that an action cannot have; an owned guard.
#![allow(unused)]

extern crate syncline_functions as syncline;

use syncline::guard::{NamedRole, Role, SignedIn};
use syncline::{ActionCtx, Object, QueryCtx, Result, action, query, users};

#[derive(Object)]
struct Options {
    limit: f64,
}

struct Admin;

impl NamedRole for Admin {
    const NAMES: &'static [&'static str] = &["admin"];
    type Source = users::Roles;
}

#[query]
async fn list(ctx: &QueryCtx, options: &Options) -> Result<()> {
    Ok(())
}

#[action]
async fn act(ctx: &ActionCtx, admin: &Role<Admin>) -> Result<()> {
    Ok(())
}

fn main() {}
