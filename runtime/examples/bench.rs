//! The transfer workload: what the load program and comparisons with other servers run against.
//!
//! Names and arguments are fixed, snake case and float64 throughout. The environment can make it another server:
//! `BENCH_OUTCOME_BYTES_MAX` is how many bytes of request outcomes are kept (a run of minutes reaches a budget that a
//! busy server reaches in days), `BENCH_MEMORY_BUDGET_BYTES` how much of the data is kept in memory,
//! `BENCH_FUNCTION_THREADS` how many threads run functions, and with `BENCH_BY_BALANCE=1` accounts have an index more.

use std::process::ExitCode;
use std::time::Duration;

use syncline::prelude::*;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// An account.
#[derive(Table)]
#[table(name = "accounts", index(by_account_id = [id]))]
struct Account {
    id: f64,
    balance: f64,
}

/// The same account, in a store that has an index by balance.
#[derive(Table)]
#[table(name = "accounts", index(by_account_id = [id]), index(by_balance = [balance]))]
struct IndexedAccount {
    id: f64,
    balance: f64,
}

/// A document of any size.
#[derive(Table)]
#[table(name = "documents", index(by_number = [number]))]
struct Document {
    number: f64,
    body: String,
}

mod accounts {
    use super::*;

    /// What a client reads of an account.
    #[derive(Object)]
    pub struct Balance {
        id: f64,
        balance: f64,
    }

    /// Totals over all accounts.
    #[derive(Object)]
    pub struct Stats {
        count: f64,
        total: f64,
        changed: f64,
    }

    /// One account, or null.
    #[query]
    pub async fn get_account(ctx: &QueryCtx, id: f64) -> Result<Option<Balance>> {
        let account = ctx.db.query(Account::by_account_id().eq(id)).unique().await?;
        Ok(account.map(|account| Balance { id: (*account).id, balance: account.balance }))
    }

    /// `count` accounts from number `start` on.
    #[query(rename_all = "snake_case")]
    pub async fn get_range(ctx: &QueryCtx, start: f64, count: f64) -> Result<Vec<Balance>> {
        let accounts = ctx.db.query(Account::by_account_id().gte(start).lt(start + count)).collect().await?;
        Ok(accounts.iter().map(|account| Balance { id: (**account).id, balance: account.balance }).collect())
    }

    /// The accounts that do not hold `initial_balance`: found by reading all.
    #[query(rename_all = "snake_case")]
    pub async fn get_changed(ctx: &QueryCtx, initial_balance: f64) -> Result<Vec<Balance>> {
        let changed = ctx.db.query(Account::all()).filter(move |account| account.balance != initial_balance);
        let changed = changed.collect().await?;
        Ok(changed.iter().map(|account| Balance { id: (**account).id, balance: account.balance }).collect())
    }

    /// The accounts that hold `balance`; needs the index.
    #[query]
    pub async fn get_by_balance(ctx: &QueryCtx, balance: f64) -> Result<Vec<Balance>> {
        let accounts = ctx.db.query(IndexedAccount::by_balance().eq(balance)).collect().await?;
        Ok(accounts.iter().map(|account| Balance { id: (**account).id, balance: account.balance }).collect())
    }

    /// How many accounts there are, what they hold together, and how many do not hold `initialBalance`.
    #[query]
    pub async fn get_stats(ctx: &QueryCtx, initial_balance: f64) -> Result<Stats> {
        let mut stats = Stats { count: 0.0, total: 0.0, changed: 0.0 };
        for account in ctx.db.query(Account::all()).collect().await? {
            stats.count += 1.0;
            stats.total += account.balance;
            stats.changed += f64::from(u8::from(account.balance != initial_balance));
        }
        Ok(stats)
    }
}

mod documents {
    use super::*;

    /// Inserts `count` documents from number `start` on, each with a body of so many bytes.
    #[mutation]
    pub async fn insert_range(ctx: &MutationCtx, start: f64, count: f64, bytes: f64) -> Result<()> {
        let mut n = 0.0;
        while n < count {
            let body = "x".repeat(bytes as usize);
            ctx.db.insert(Document { number: start + n, body }).await?;
            n += 1.0;
        }
        Ok(())
    }

    /// Looks up `count` documents of `total`, each `stride` after the one before; answers how long their bodies are.
    #[query]
    pub async fn read_spread(ctx: &QueryCtx, start: f64, stride: f64, count: f64, total: f64) -> Result<f64> {
        let (mut n, mut bytes) = (0.0, 0);
        while n < count {
            let number = (start + n * stride) % total;
            let found = ctx.db.query(Document::by_number().eq(number)).unique().await?;
            bytes += found.map_or(0, |document| document.body.len());
            n += 1.0;
        }
        Ok(bytes as f64)
    }

    /// Reads `count` documents from number `start` on and answers how long their bodies are.
    #[query]
    pub async fn read_range(ctx: &QueryCtx, start: f64, count: f64) -> Result<f64> {
        let found = ctx.db.query(Document::by_number().gte(start).lt(start + count)).collect().await?;
        Ok(found.iter().map(|document| document.body.len()).sum::<usize>() as f64)
    }
}

mod viewer {
    use super::*;

    /// Who asks, or null.
    #[query]
    pub async fn get_subject(ctx: &QueryCtx) -> Result<Option<String>> {
        Ok(ctx.auth.user().map(|user| user.subject.clone()))
    }
}

mod seed {
    use super::*;

    /// Inserts `count` accounts from number `start` on.
    #[mutation(rename_all = "snake_case")]
    pub async fn seed_range(ctx: &MutationCtx, start: f64, count: f64, initial: f64) -> Result<()> {
        let mut n = 0.0;
        while n < count {
            ctx.db.insert(Account { id: start + n, balance: initial }).await?;
            n += 1.0;
        }
        Ok(())
    }

    /// Deletes up to 4,000 accounts and answers how many it were: call it until that is 0.
    #[mutation]
    pub async fn clear_accounts(ctx: &MutationCtx) -> Result<f64> {
        let mut n = 0.0;
        for account in ctx.db.query(Account::all()).take(4000).await? {
            ctx.db.delete(account.id).await?;
            n += 1.0;
        }
        Ok(n)
    }
}

mod transfer {
    use super::*;

    /// Moves an amount, unless the accounts are equal or missing, or the amount is not positive or not covered.
    #[mutation(rename_all = "snake_case")]
    pub async fn transfer(ctx: &MutationCtx, from_id: f64, to_id: f64, amount: f64) -> Result<()> {
        if from_id == to_id || amount <= 0.0 {
            return Ok(());
        }
        let from = ctx.db.query(Account::by_account_id().eq(from_id)).unique().await?;
        let to = ctx.db.query(Account::by_account_id().eq(to_id)).unique().await?;
        let (Some(from), Some(to)) = (from, to) else { return Ok(()) };
        if from.balance < amount {
            return Ok(());
        }
        ctx.db.patch(from.id, Account::patch().balance(from.balance - amount)).await?;
        ctx.db.patch(to.id, Account::patch().balance(to.balance + amount)).await
    }
}

#[tokio::main]
async fn main() -> ExitCode {
    let functions = functions![
        accounts::get_account,
        accounts::get_range,
        accounts::get_changed,
        accounts::get_by_balance,
        accounts::get_stats,
        documents::insert_range,
        documents::read_spread,
        documents::read_range,
        viewer::get_subject,
        seed::seed_range,
        seed::clear_accounts,
        transfer::transfer
    ];
    let is_indexed = std::env::var_os("BENCH_BY_BALANCE").is_some();
    let schema = if is_indexed { schema![IndexedAccount, Document] } else { schema![Account, Document] };
    // All accounts are read in one query, and they are as many as a comparison needs.
    let mut server = Server::new(schema, functions)
        .change_config(|config| config.engine.limits.documents_read_max = 2_000_000)
        .change_config(|config| config.engine.limits.bytes_read_max = 1 << 30)
        .change_config(|config| config.function_own_time_max = Duration::from_secs(15));
    if let Some(bytes) = number("BENCH_OUTCOME_BYTES_MAX") {
        server = server.change_config(|config| config.engine.outcome_bytes_max = bytes);
    }
    if let Some(bytes) = number("BENCH_MEMORY_BUDGET_BYTES") {
        server = server.change_config(|config| config.engine.memory_budget_bytes = bytes as usize);
    }
    if let Some(threads) = number("BENCH_FUNCTION_THREADS") {
        server = server.change_config(|config| config.function_threads = threads as usize);
    }
    syncline::cli::run(server).await
}

/// A number from the environment. Panics when it is not one: a figure measured with another would mislead.
fn number(name: &str) -> Option<u64> {
    let text = std::env::var(name).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{name} has to be a whole number, not {text}")))
}
