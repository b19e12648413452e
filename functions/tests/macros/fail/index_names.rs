//! The mistake: indexes whose names cannot be.
#![allow(unused)]

extern crate syncline_functions as syncline;

use syncline::Table;

#[derive(Table)]
#[table(name = "messages", index(by_id = [channel]))]
struct Message {
    channel: String,
}

#[derive(Table)]
#[table(name = "notes", index(by_text = [text], by_text = [text]))]
struct Note {
    text: String,
}

#[derive(Table)]
#[table(name = "rooms", index(by_nothing = []))]
struct Room {
    name: String,
}

#[derive(Table)]
#[table(name = "walls", index(by_twice = [colour, colour]))]
struct Wall {
    colour: String,
}

fn main() {}
