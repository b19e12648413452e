//! The mistake: tables that are no structs with named fields.
#![allow(unused)]

extern crate syncline_functions as syncline;

use syncline::Table;

#[derive(Table)]
#[table(name = "pairs")]
struct Pair(String, f64);

#[derive(Table)]
#[table(name = "shapes")]
enum Shape {
    Circle,
}

#[derive(Table)]
#[table(name = "boxes")]
struct Boxed<T> {
    inside: T,
}

fn main() {}
