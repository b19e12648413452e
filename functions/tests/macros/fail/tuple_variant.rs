//! The mistake: a variant without names for its fields.
#![allow(unused)]

extern crate syncline_functions as syncline;

use syncline::Object;

#[derive(Object)]
enum Shape {
    Circle(f64),
    Rect { width: f64, height: f64 },
}

fn main() {}
