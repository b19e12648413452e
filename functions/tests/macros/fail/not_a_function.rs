//! The mistake: an attribute on something else than a function.
#![allow(unused)]

extern crate syncline_functions as syncline;

use syncline::{action, query};

#[query]
struct Message {
    body: String,
}

#[action]
mod messages {}

fn main() {}
