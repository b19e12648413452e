//! The mistake: a struct that borrows.
#![allow(unused)]

extern crate syncline_functions as syncline;

use syncline::Object;

#[derive(Object)]
struct Place<'a> {
    city: &'a str,
}

fn main() {}
