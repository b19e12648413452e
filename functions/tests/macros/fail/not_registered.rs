//! The mistake: a function that is never registered. The compiler warns; here warnings are errors.
#![deny(dead_code)]

extern crate syncline_functions as syncline;

use syncline::{QueryCtx, Result, functions, query};

mod messages {
    use super::*;

    #[query]
    pub async fn list(_ctx: &QueryCtx) -> Result<()> {
        Ok(())
    }

    #[query]
    pub async fn forgotten(_ctx: &QueryCtx) -> Result<()> {
        Ok(())
    }
}

fn main() {
    functions![messages::list];
}
