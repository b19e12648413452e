//! Functions call functions: as Rust functions, and as calls with transactions of their own.

extern crate syncline_functions as syncline;

use syncline::{ActionCtx, Error, MutationCtx, QueryCtx, Result, Table, Value, action, mutation, query};

#[derive(Table)]
#[table(name = "counters", index(by_name = [name]))]
struct Counter {
    name: String,
    count: f64,
}

mod counters {
    use super::*;

    #[query]
    pub async fn get(ctx: &QueryCtx, name: String) -> Result<f64> {
        let counter = ctx.db.query(Counter::by_name().eq(&name)).unique().await?;
        Ok(counter.map_or(0.0, |counter| counter.count))
    }

    #[mutation]
    pub async fn set(ctx: &MutationCtx, name: String, count: f64) -> Result<()> {
        // A mutation's context stands for a query's.
        let before = get(ctx, name.clone()).await?;
        assert!(before <= count);
        ctx.db.insert(Counter { name, count }).await?;
        Ok(())
    }

    #[mutation]
    pub async fn try_both(ctx: &MutationCtx) -> Result<f64> {
        match ctx.run_mutation(set, ("a".to_owned(), 1.0)).await {
            Ok(()) => ctx.run_query(get, ("a".to_owned(),)).await,
            Err(error) if error.code().as_deref() == Some("TooManyWrites") => Ok(0.0),
            Err(error) => Err(error),
        }
    }

    #[action]
    pub async fn relay(ctx: &ActionCtx) -> Result<f64, Error> {
        ctx.run_mutation(set, ("a".to_owned(), 1.0)).await?;
        ctx.run_query_at("counters:get", Value::Object([("name".into(), Value::String("a".into()))].into())).await?;
        ctx.run_action(relay, ()).await
    }
}

fn main() {}
