//! The application that tests run against. What each function does is told where the official clients call it:
//! `tests/conformance/js/support.mjs`.

pub mod guarded;
pub mod runs;

use std::sync::atomic::{AtomicU64, Ordering};

use syncline::prelude::*;
use syncline::users;
use syncline_schema::Value;

/// A row of a list.
#[derive(Table)]
#[table(name = "items", index(by_list_rank = [list, rank]))]
pub struct Item {
    list: String,
    rank: f64,
    text: String,
}

/// A number with a name.
#[derive(Table)]
#[table(name = "counters", index(by_name = [name]))]
pub struct Counter {
    name: String,
    value: f64,
}

/// Lists of rows.
pub mod items {
    use super::*;

    /// How often `items:list` and `items:quiet` ran.
    pub static RUNS: AtomicU64 = AtomicU64::new(0);

    /// The rows of a list, by rank.
    #[query]
    pub async fn list(ctx: &QueryCtx, list: String) -> Result<Vec<Doc<Item>>> {
        RUNS.fetch_add(1, Ordering::SeqCst);
        ctx.db.query(Item::by_list_rank().eq(list)).collect().await
    }

    /// The rows of a list, a page at a time.
    #[query]
    pub async fn page(
        ctx: &QueryCtx,
        list: String,
        pagination_opts: PaginationOptions,
    ) -> Result<PaginationResult<Doc<Item>>> {
        ctx.db.query(Item::by_list_rank().eq(list)).paginate(pagination_opts).await
    }

    /// Adds a row.
    #[mutation]
    pub async fn add(ctx: &MutationCtx, list: String, rank: f64, text: String) -> Result<Id<Item>> {
        ctx.db.insert(Item { list, rank, text }).await
    }

    /// Deletes the first row of a rank.
    #[mutation]
    pub async fn remove(ctx: &MutationCtx, list: String, rank: f64) -> Result<bool> {
        match ctx.db.query(Item::by_list_rank().eq(list).eq(rank)).first().await? {
            Some(item) => ctx.db.delete(item.id).await.map(|()| true),
            None => Ok(false),
        }
    }
}

/// Numbers.
pub mod counter {
    use super::*;

    /// Its value.
    #[query]
    pub async fn get(ctx: &QueryCtx, name: String) -> Result<f64> {
        let counter = ctx.db.query(Counter::by_name().eq(name)).unique().await?;
        Ok(counter.map_or(0.0, |counter| counter.value))
    }

    /// Waits for the gate of the actions, then adds one.
    #[mutation]
    pub async fn gated(ctx: &MutationCtx, name: String) -> Result<f64> {
        drop(actions::GATE.acquire().await?);
        increment(ctx, name, 1.0).await
    }

    /// A number that only other functions and administrators may see.
    #[query(internal)]
    pub async fn secret(_ctx: &QueryCtx) -> Result<f64> {
        Ok(42.0)
    }

    /// The time of the run.
    #[query]
    pub async fn now(ctx: &QueryCtx) -> Result<f64> {
        Ok(ctx.now())
    }

    /// Adds to it and answers the new value.
    #[mutation]
    pub async fn increment(ctx: &MutationCtx, name: String, by: f64) -> Result<f64> {
        match ctx.db.query(Counter::by_name().eq(name.clone())).unique().await? {
            Some(counter) => {
                let value = counter.value + by;
                ctx.db.patch(counter.id, Counter::patch().value(value)).await?;
                Ok(value)
            }
            None => ctx.db.insert(Counter { name, value: by }).await.map(|_| by),
        }
    }
}

/// Failures.
pub mod errors {
    use super::*;

    /// Fails without data.
    #[query]
    pub async fn plain(_ctx: &QueryCtx) -> Result<()> {
        Err(Error::new("this query always fails"))
    }

    /// Fails with data.
    #[query(name = "withData")]
    pub async fn with_data(_ctx: &QueryCtx, data: Value) -> Result<()> {
        Err(AppError::with_data(&data)?.into())
    }

    /// Fails with data that is null.
    #[query(name = "nullData")]
    pub async fn null_data(_ctx: &QueryCtx) -> Result<()> {
        Err(AppError::with_data(&Value::Null)?.into())
    }

    /// Adds a row, then fails.
    #[mutation(name = "addThenFail")]
    pub async fn add_then_fail(ctx: &MutationCtx, list: String, data: Value) -> Result<()> {
        ctx.db.insert(Item { list, rank: 0.0, text: "never seen".into() }).await?;
        Err(AppError::with_data(&data)?.into())
    }

    /// Panics.
    #[query]
    pub async fn panics(_ctx: &QueryCtx) -> Result<()> {
        panic!("this query panics")
    }

    /// Waits for what never comes.
    #[query]
    pub async fn never(_ctx: &QueryCtx) -> Result<()> {
        std::future::pending().await
    }
}

/// Values that come back as they went.
pub mod values {
    use super::*;

    /// The value.
    #[query]
    pub async fn asked(_ctx: &QueryCtx, value: Value) -> Result<Value> {
        Ok(value)
    }

    /// The value.
    #[mutation]
    pub async fn told(_ctx: &MutationCtx, value: Value) -> Result<Value> {
        Ok(value)
    }
}

/// Who calls.
pub mod auth {
    use super::*;

    /// What a test looks at of an identity.
    #[derive(Object)]
    pub struct WhoAmI {
        subject: String,
        issuer: String,
        token_identifier: String,
        name: Option<String>,
        email: Option<String>,
    }

    /// The caller, or null.
    #[query]
    pub async fn whoami(ctx: &QueryCtx) -> Result<Option<WhoAmI>> {
        Ok(ctx.auth.user().map(|user| WhoAmI {
            subject: user.subject.clone(),
            issuer: user.issuer.clone(),
            token_identifier: user.token_identifier.clone(),
            name: user.name.clone(),
            email: user.email.clone(),
        }))
    }

    /// The caller's subject, or null.
    #[mutation]
    pub async fn sign(ctx: &MutationCtx) -> Result<Option<String>> {
        Ok(ctx.auth.user().map(|user| user.subject.clone()))
    }
}

/// Actions.
pub mod actions {
    use super::*;

    /// The value.
    #[action]
    pub async fn echo(_ctx: &ActionCtx, value: Value) -> Result<Value> {
        Ok(value)
    }

    /// Fails with data.
    #[action]
    pub async fn fail(_ctx: &ActionCtx, data: Value) -> Result<()> {
        Err(AppError::with_data(&data)?.into())
    }

    /// Adds a row.
    #[action]
    pub async fn add(ctx: &ActionCtx, list: String) -> Result<Id<Item>> {
        ctx.run_mutation(items::add, (list, 0.0, "by an action".to_owned())).await
    }

    /// Lets what waits for it go on.
    pub static GATE: tokio::sync::Semaphore = tokio::sync::Semaphore::const_new(0);

    /// Waits for the gate, then adds a row.
    #[action(name = "addLater")]
    pub async fn add_later(ctx: &ActionCtx, list: String) -> Result<Id<Item>> {
        drop(GATE.acquire().await?);
        ctx.run_mutation(items::add, (list, 0.0, "later".to_owned())).await
    }

    /// The caller's subject, as a query called by the action sees it.
    #[action]
    pub async fn whoami(ctx: &ActionCtx) -> Result<Option<auth::WhoAmI>> {
        ctx.run_query(auth::whoami, ()).await
    }

    /// Never ends.
    #[action]
    pub async fn never(_ctx: &ActionCtx) -> Result<()> {
        std::future::pending().await
    }
}

/// Lines for the log.
pub mod talk {
    use super::*;

    /// Writes three lines of different levels.
    #[mutation]
    pub async fn lines(ctx: &MutationCtx, word: String) -> Result<f64> {
        ctx.log.log(format_args!("{word} one"));
        ctx.log.warn(format_args!("{word} two"));
        ctx.log.error(format_args!("{word} three"));
        counter::increment(ctx, word, 1.0).await
    }

    /// Adds rows to a list, a thousand in each mutation.
    #[action]
    pub async fn many(ctx: &ActionCtx, list: String, count: f64) -> Result<()> {
        let mut added = 0.0;
        while added < count {
            let some = (count - added).min(1000.0);
            ctx.run_mutation(add_some, (list.clone(), some)).await?;
            added += some;
        }
        Ok(())
    }

    /// Adds rows to a list.
    #[mutation(internal, name = "addSome")]
    pub async fn add_some(ctx: &MutationCtx, list: String, count: f64) -> Result<()> {
        let mut rank = 0.0;
        while rank < count {
            ctx.db.insert(Item { list: list.clone(), rank, text: String::new() }).await?;
            rank += 1.0;
        }
        Ok(())
    }

    /// Writes a line, waits until a counter is above zero, and writes another.
    #[action]
    pub async fn long(ctx: &ActionCtx, name: String) -> Result<()> {
        ctx.log.log(format_args!("{name} begins"));
        while ctx.run_query(counter::get, (name.clone(),)).await? == 0.0 {
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        }
        ctx.log.log(format_args!("{name} ends"));
        Ok(())
    }

    /// Calls a query by its path.
    #[action]
    pub async fn ask(ctx: &ActionCtx, path: String) -> Result<Value> {
        ctx.run_query_at(&path, Value::Object(Default::default())).await
    }

    /// A variable of the deployment.
    #[query(name = "variable")]
    pub async fn variable(ctx: &QueryCtx, name: String) -> Result<Option<String>> {
        ctx.env.get(&name).await
    }
}

/// Accounts, for the test that kills the server: whatever a client is told of an account carries its version.
pub mod bank {
    use super::*;

    /// An account. Its version rises with every write.
    #[derive(Table)]
    #[table(name = "bank", index(by_number = [number]))]
    pub struct BankAccount {
        number: f64,
        balance: f64,
        version: f64,
    }

    /// A transfer that took effect, under the name its client gave it.
    #[derive(Table)]
    #[table(name = "ledger", index(by_name = [name]))]
    pub struct Entry {
        name: String,
    }

    /// What is told of an account.
    #[derive(Object)]
    pub struct Seen {
        number: f64,
        balance: f64,
        version: f64,
    }

    async fn find(ctx: &QueryCtx, number: f64) -> Result<Doc<BankAccount>> {
        let account = ctx.db.query(BankAccount::by_number().eq(number)).unique().await?;
        Ok(account.ok_or(AppError::new("no such account"))?)
    }

    fn seen(account: &BankAccount) -> Seen {
        Seen { number: account.number, balance: account.balance, version: account.version }
    }

    /// Opens accounts from number 0 on; does nothing when there are some.
    #[mutation]
    pub async fn open(ctx: &MutationCtx, count: f64, balance: f64) -> Result<()> {
        if ctx.db.query(BankAccount::all()).first().await?.is_some() {
            return Ok(());
        }
        let mut number = 0.0;
        while number < count {
            ctx.db.insert(BankAccount { number, balance, version: 0.0 }).await?;
            number += 1.0;
        }
        Ok(())
    }

    /// Moves one unit, or fails with what it saw when there is none.
    #[mutation]
    pub async fn transfer(ctx: &MutationCtx, name: String, from: f64, to: f64) -> Result<Vec<Seen>> {
        let (from, to) = (find(ctx, from).await?, find(ctx, to).await?);
        if from.balance < 1.0 || from.id == to.id {
            return Err(AppError::with_data(&seen(&from))?.into());
        }
        ctx.db.insert(Entry { name }).await?;
        let mut told = Vec::new();
        for (account, change) in [(from, -1.0), (to, 1.0)] {
            let balance = account.balance + change;
            let version = account.version + 1.0;
            ctx.db.patch(account.id, BankAccount::patch().balance(balance).version(version)).await?;
            told.push(Seen { number: account.number, balance, version });
        }
        Ok(told)
    }

    /// A mutation that only reads.
    #[mutation]
    pub async fn look(ctx: &MutationCtx, number: f64) -> Result<Seen> {
        Ok(seen(&*find(ctx, number).await?))
    }

    /// All accounts.
    #[query]
    pub async fn accounts(ctx: &QueryCtx) -> Result<Vec<Seen>> {
        Ok(ctx.db.query(BankAccount::all()).collect().await?.iter().map(|account| seen(account)).collect())
    }

    /// How often a transfer took effect.
    #[query]
    pub async fn effects(ctx: &QueryCtx, name: String) -> Result<f64> {
        Ok(ctx.db.query(Entry::by_name().eq(name)).collect().await?.len() as f64)
    }
}

/// The application, not started.
pub fn server() -> syncline::Server {
    let schema = schema![Item, Counter, bank::BankAccount, bank::Entry, guarded::Note, users::User];
    let functions = functions![
        items::list,
        items::page,
        items::add,
        items::remove,
        counter::get,
        counter::increment,
        counter::gated,
        counter::secret,
        counter::now,
        errors::plain,
        errors::with_data,
        errors::null_data,
        errors::add_then_fail,
        errors::panics,
        errors::never,
        values::asked,
        values::told,
        auth::whoami,
        auth::sign,
        runs::public,
        runs::email,
        runs::nested,
        runs::signed_in,
        runs::fails_later,
        runs::not_empty,
        runs::rows,
        runs::behind_gate,
        runs::increment_behind_gate,
        actions::echo,
        actions::fail,
        actions::never,
        actions::add,
        actions::add_later,
        actions::whoami,
        talk::lines,
        talk::long,
        talk::many,
        talk::add_some,
        talk::variable,
        talk::ask,
        bank::open,
        bank::transfer,
        bank::look,
        bank::accounts,
        bank::effects,
        users::store,
        users::current,
        users::list,
        users::me,
        users::set_roles,
        guarded::me,
        guarded::sign,
        guarded::moderate,
        guarded::administer,
        guarded::notes,
        guarded::page,
        guarded::write,
        guarded::show,
    ];
    syncline::Server::new(schema, functions)
}
