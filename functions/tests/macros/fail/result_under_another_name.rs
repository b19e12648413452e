//! The mistake: a result of a type that is no `Result`, whatever it is called.
#![allow(unused)]

extern crate syncline_functions as syncline;

use syncline::{Object, QueryCtx, query};

#[derive(Object)]
struct Summary {
    count: f64,
}

#[query]
async fn summary(ctx: &QueryCtx) -> Summary {
    Summary { count: 0.0 }
}

fn main() {}
