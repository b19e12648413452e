//! The mistake: a function without its context.
#![allow(unused)]

extern crate syncline_functions as syncline;

use syncline::{Result, mutation};

#[mutation]
async fn send(channel: String, body: String) -> Result<()> {
    Ok(())
}

fn main() {}
