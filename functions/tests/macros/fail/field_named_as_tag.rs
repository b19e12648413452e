//! The mistake: a field that has the name of the union's tag.
#![allow(unused)]

extern crate syncline_functions as syncline;

use syncline::Object;

#[derive(Object)]
enum Shape {
    Circle { r#type: String },
}

fn main() {}
