//! The mistake: a function that is registered without an attribute.
#![allow(unused)]

extern crate syncline_functions as syncline;

use syncline::{QueryCtx, Result, functions};

mod messages {
    use super::*;

    pub async fn list(_ctx: &QueryCtx) -> Result<()> {
        Ok(())
    }
}

fn main() {
    functions![messages::list];
}
