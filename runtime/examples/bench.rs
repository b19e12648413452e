//! The transfer workload: what the load program and comparisons with other servers run against.
//!
//! Names and arguments are fixed, snake case and float64 throughout. `BENCH_OUTCOME_BYTES_MAX` in the environment is how
//! many bytes of request outcomes are kept: a run of minutes reaches a budget that a busy server reaches in days.

use std::process::ExitCode;

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
        accounts::get_stats,
        viewer::get_subject,
        seed::seed_range,
        seed::clear_accounts,
        transfer::transfer
    ];
    // The totals are read in one query, over as many accounts as a comparison uses.
    let mut server = Server::new(schema![Account], functions)
        .change_config(|config| config.engine.limits.documents_read_max = 2_000_000)
        .change_config(|config| config.engine.limits.bytes_read_max = 1 << 30);
    if let Ok(text) = std::env::var("BENCH_OUTCOME_BYTES_MAX") {
        let Ok(bytes) = text.parse() else {
            eprintln!("BENCH_OUTCOME_BYTES_MAX has to be a number of bytes, not {text}");
            return ExitCode::FAILURE;
        };
        server = server.change_config(|config| config.engine.outcome_bytes_max = bytes);
    }
    syncline::cli::run(server).await
}
