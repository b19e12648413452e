//! The mistake: functions that do not return a `Result`.
#![allow(unused)]

extern crate syncline_functions as syncline;

use syncline::{QueryCtx, query};

#[query]
async fn nothing(ctx: &QueryCtx) {}

#[query]
async fn list(ctx: &QueryCtx, channel: String) -> (f64, f64) {
    (0.0, 0.0)
}

#[query]
async fn count(ctx: &QueryCtx) -> Vec<f64> {
    Vec::new()
}

fn main() {}
