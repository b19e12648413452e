//! The mistake: options that do not exist.
#![allow(unused)]

extern crate syncline_functions as syncline;

use syncline::{Object, QueryCtx, Result, Table, query};

#[query(private)]
async fn list(ctx: &QueryCtx) -> Result<()> {
    Ok(())
}

#[query(rename_all = "kebab-case")]
async fn count(ctx: &QueryCtx) -> Result<()> {
    Ok(())
}

#[derive(Table)]
#[table(name = "messages", indexes(by_body = [body]))]
struct Message {
    body: String,
}

#[derive(Object)]
struct Place {
    #[field(rename = "town")]
    city: String,
}

fn main() {}
