//! The mistake: a field with a name of the system.
#![allow(unused)]

extern crate syncline_functions as syncline;

use syncline::Table;

#[derive(Table)]
#[table(name = "messages")]
struct Message {
    _id: String,
    body: String,
}

fn main() {}
