//! Functions that count their runs, each under a name that a test has to itself.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use syncline::prelude::*;
use tokio::sync::Semaphore;

use super::{Item, counter};

static RUNS: Mutex<BTreeMap<String, u64>> = Mutex::new(BTreeMap::new());

/// How often functions ran under a name.
pub fn count(name: &str) -> u64 {
    RUNS.lock().unwrap_or_else(PoisonError::into_inner).get(name).copied().unwrap_or(0)
}

fn ran(name: String) {
    *RUNS.lock().unwrap_or_else(PoisonError::into_inner).entry(name).or_default() += 1;
}

/// Looks at nobody.
#[query]
pub async fn public(_ctx: &QueryCtx, name: String) -> Result<()> {
    ran(name);
    Ok(())
}

/// The caller's email, or null.
#[query]
pub async fn email(ctx: &QueryCtx, name: String) -> Result<Option<String>> {
    ran(name);
    Ok(ctx.auth.user().and_then(|user| user.email.clone()))
}

/// The same by another function, which alone looks at the caller.
#[query]
pub async fn nested(ctx: &QueryCtx, name: String) -> Result<Option<String>> {
    ctx.run_query(email, (name,)).await
}

/// Fails for everybody who is not signed in.
#[query]
pub async fn signed_in(ctx: &QueryCtx, name: String) -> Result<String> {
    ran(name);
    let user = ctx.auth.user().ok_or(AppError::new("sign in first"))?;
    Ok(user.subject.clone())
}

/// Lets runs of `runs:failsLater` go on.
pub static GATE: tokio::sync::Semaphore = tokio::sync::Semaphore::const_new(0);

/// Waits for the gate, then fails.
#[query]
pub async fn fails_later(_ctx: &QueryCtx, name: String) -> Result<()> {
    drop(GATE.acquire().await?);
    ran(name);
    Err(Error::new("this query always fails"))
}

/// The rows of a list with this name; fails when there are none.
#[query]
pub async fn not_empty(ctx: &QueryCtx, name: String) -> Result<f64> {
    ran(name.clone());
    match ctx.db.query(Item::by_list_rank().eq(name)).collect().await?.len() {
        0 => Err(Error::new("the list is empty")),
        n => Ok(n as f64),
    }
}

/// The rows of a list with this name.
#[query]
pub async fn rows(ctx: &QueryCtx, name: String) -> Result<Vec<Doc<Item>>> {
    ran(name.clone());
    ctx.db.query(Item::by_list_rank().eq(name)).collect().await
}

/// Gates by name: closed until they are opened, and open from then on.
static GATES: Mutex<BTreeMap<String, Arc<Semaphore>>> = Mutex::new(BTreeMap::new());

fn gate(name: String) -> Arc<Semaphore> {
    let mut gates = GATES.lock().unwrap_or_else(PoisonError::into_inner);
    gates.entry(name).or_insert_with(|| Arc::new(Semaphore::new(0))).clone()
}

/// Lets everything go on that waits for a gate, or will.
pub fn open_gate(name: &str) {
    gate(name.to_owned()).add_permits(1);
}

async fn pass(name: String) -> Result<()> {
    drop(gate(name).acquire().await?);
    Ok(())
}

/// Waits for a gate.
#[query]
pub async fn behind_gate(_ctx: &QueryCtx, gate: String, name: String) -> Result<()> {
    pass(gate).await?;
    ran(name);
    Ok(())
}

/// Waits for a gate, then adds one to a counter.
#[mutation]
pub async fn increment_behind_gate(ctx: &MutationCtx, gate: String, name: String) -> Result<f64> {
    pass(gate).await?;
    counter::increment(ctx, name, 1.0).await
}
