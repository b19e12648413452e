//! The mistake: conditions on an index in an order that no range has.
#![allow(unused)]

extern crate syncline_functions as syncline;

use syncline::{QueryCtx, Result, Table, query};

#[derive(Table)]
#[table(name = "messages", index(by_channel_score = [channel, score]))]
struct Message {
    channel: String,
    score: f64,
}

#[query]
async fn equality_after_bound(ctx: &QueryCtx) -> Result<()> {
    ctx.db.query(Message::by_channel_score().gt("a").eq(1.0)).first().await?;
    Ok(())
}

#[query]
async fn two_lower_bounds(ctx: &QueryCtx) -> Result<()> {
    ctx.db.query(Message::by_channel_score().eq("a").gt(1.0).gte(2.0)).first().await?;
    Ok(())
}

#[query]
async fn condition_on_no_field(ctx: &QueryCtx) -> Result<()> {
    ctx.db.query(Message::all().eq("a")).first().await?;
    Ok(())
}

fn main() {}
