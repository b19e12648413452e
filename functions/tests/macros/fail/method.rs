//! The mistake: a function with `self`.
#![allow(unused)]

extern crate syncline_functions as syncline;

use syncline::{QueryCtx, Result, query};

struct Messages;

impl Messages {
    #[query]
    async fn list(&self, ctx: &QueryCtx) -> Result<()> {
        Ok(())
    }
}

fn main() {}
