//! The mistake: a table without a name, and one with a name that is kept.
#![allow(unused)]

extern crate syncline_functions as syncline;

use syncline::Table;

#[derive(Table)]
struct Message {
    body: String,
}

#[derive(Table)]
#[table(name = "_messages")]
struct System {
    body: String,
}

fn main() {}
