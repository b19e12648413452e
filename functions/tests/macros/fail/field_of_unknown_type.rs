//! The mistake: a field of a type that the database does not have.
#![allow(unused)]

extern crate syncline_functions as syncline;

use syncline::{Object, Table};

#[derive(Table)]
#[table(name = "messages")]
struct Message {
    count: u64,
}

#[derive(Object)]
struct Place {
    position: (f64, f64),
}

fn main() {}
