//! The mistake: indexes on fields that the table does not have.
#![allow(unused)]

extern crate syncline_functions as syncline;

use syncline::Table;

#[derive(Table)]
#[table(name = "messages", index(by_chanel = [chanel]))]
struct Message {
    channel: String,
}

#[derive(Table)]
#[table(name = "notes", index(by_time = [text, creation_time]))]
struct Note {
    text: String,
}

fn main() {}
