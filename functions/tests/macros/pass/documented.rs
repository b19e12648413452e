//! Generated code is documented, so that a crate may insist on documentation, and private tables give no warnings.
#![deny(missing_docs, warnings, missing_debug_implementations)]

extern crate syncline_functions as syncline;

use syncline::{Object, Table};

/// A public table.
#[derive(Debug, Table)]
#[table(name = "rooms", index(by_name = [name], by_size = [size, name]))]
pub struct Room {
    /// Its name.
    pub name: String,
    /// How many fit in.
    pub size: f64,
    /// What it is like.
    pub style: Option<Style>,
}

/// A public union.
#[derive(Clone, Copy, Debug, Object)]
pub enum Style {
    /// With lamps.
    Bright,
    /// Without.
    Dark,
}

mod private {
    use super::*;

    #[derive(Table)]
    #[table(name = "secrets", index(by_text = [text]))]
    struct Secret {
        text: String,
    }

    pub fn name() -> &'static str {
        Secret::NAME
    }
}

fn main() {
    let _ = (Room::by_size().eq(5.0).gt("a"), Room::patch().style(Style::Dark).clear_style());
    assert_eq!((Room::NAME, private::name()), ("rooms", "secrets"));
}
