//! The application: functions that tell what they saw, in words that the model can compute too.
//!
//! They let others go first between what they read and what they write, so that they do meet.

use syncline::prelude::*;

use crate::scheduler::breathe;

/// What every account begins with; one that nobody has written is not stored.
pub const START: i64 = 100;

/// An amount of something.
#[derive(Table)]
#[table(name = "accounts", index(by_number = [number]))]
pub struct Account {
    number: f64,
    balance: f64,
}

/// A line of a list.
#[derive(Table)]
#[table(name = "entries", index(by_list_rank = [list, rank]))]
pub struct Entry {
    list: String,
    rank: f64,
    op: f64,
    who: String,
}

async fn entries(ctx: &QueryCtx, list: &str) -> Result<Vec<Doc<Entry>>> {
    ctx.db.query(Entry::by_list_rank().eq(list)).collect().await
}

fn shown(entries: &[Doc<Entry>]) -> String {
    let shown: Vec<String> = entries.iter().map(|entry| format!("{}:{}", entry.op, entry.who)).collect();
    shown.join(" ")
}

async fn account(ctx: &QueryCtx, number: f64) -> Result<Option<Doc<Account>>> {
    ctx.db.query(Account::by_number().eq(number)).unique().await
}

fn balance(account: Option<&Doc<Account>>) -> i64 {
    account.map_or(START, |account| account.balance as i64)
}

fn who(ctx: &QueryCtx) -> String {
    ctx.auth.user().map_or_else(|| "nobody".to_owned(), |user| user.subject.clone())
}

async fn accounts(ctx: &QueryCtx, from: f64, to: f64) -> Result<String> {
    let found = ctx.db.query(Account::by_number().gte(from).lte(to)).collect().await?;
    let shown: Vec<String> = found.iter().map(|account| format!("{}={}", account.number, account.balance)).collect();
    Ok(shown.join(" "))
}

/// Queries.
pub mod read {
    use super::*;

    /// A list.
    #[query]
    pub async fn list(ctx: &QueryCtx, list: String) -> Result<String> {
        let entries = entries(ctx, &list).await?;
        breathe().await;
        Ok(shown(&entries))
    }

    /// Accounts that were written, of a range.
    #[query]
    pub async fn range(ctx: &QueryCtx, from: f64, to: f64) -> Result<String> {
        accounts(ctx, from, to).await
    }

    /// Two reads that must be of one moment: no transfer is seen half.
    #[query]
    pub async fn pair(ctx: &QueryCtx, a: f64, b: f64) -> Result<String> {
        let first = balance(account(ctx, a).await?.as_ref());
        breathe().await;
        let second = balance(account(ctx, b).await?.as_ref());
        Ok(format!("{first} {second}"))
    }

    /// Looks at the identity while the list has an odd length.
    #[query]
    pub async fn sometimes(ctx: &QueryCtx, list: String) -> Result<String> {
        let n = entries(ctx, &list).await?.len();
        breathe().await;
        Ok(if n % 2 == 1 { format!("{n} {}", who(ctx)) } else { n.to_string() })
    }

    /// Who asks.
    #[query]
    pub async fn me(ctx: &QueryCtx) -> Result<String> {
        breathe().await;
        Ok(who(ctx))
    }

    /// Fails while an account has less than it began with.
    #[query]
    pub async fn strict(ctx: &QueryCtx, number: f64) -> Result<String> {
        let balance = balance(account(ctx, number).await?.as_ref());
        if balance < START {
            return Err(AppError::new(format!("poor {balance}")).into());
        }
        Ok("rich".to_owned())
    }
}

/// Mutations. Each tells what it read.
pub mod write {
    use super::*;

    async fn set(ctx: &MutationCtx, before: Option<Doc<Account>>, number: f64, balance: i64) -> Result<()> {
        let balance = balance as f64;
        match before {
            Some(account) => ctx.db.patch(account.id, Account::patch().balance(balance)).await,
            None => ctx.db.insert(Account { number, balance }).await.map(drop),
        }
    }

    /// Moves an amount from one account to another, which has to have it.
    #[mutation]
    pub async fn transfer(ctx: &MutationCtx, from: f64, to: f64, amount: f64) -> Result<String> {
        let source = account(ctx, from).await?;
        breathe().await;
        let target = account(ctx, to).await?;
        let (has, gets) = (balance(source.as_ref()), balance(target.as_ref()));
        breathe().await;
        if has < amount as i64 {
            return Err(AppError::new(format!("poor {has}")).into());
        }
        set(ctx, source, from, has - amount as i64).await?;
        breathe().await;
        set(ctx, target, to, gets + amount as i64).await?;
        Ok(format!("{has} {gets}"))
    }

    async fn add(ctx: &MutationCtx, op: f64, list: String, who: String) -> Result<String> {
        let before = entries(ctx, &list).await?;
        breathe().await;
        let rank = before.last().map_or(0.0, |last| last.rank) + 1.0;
        ctx.db.insert(Entry { list, rank, op, who }).await?;
        Ok(shown(&before))
    }

    /// Adds a line to a list.
    #[mutation]
    pub async fn append(ctx: &MutationCtx, op: f64, list: String) -> Result<String> {
        add(ctx, op, list, "-".to_owned()).await
    }

    /// Adds a line with the name of whoever calls.
    #[mutation]
    pub async fn sign(ctx: &MutationCtx, op: f64, list: String) -> Result<String> {
        breathe().await;
        let who = who(ctx);
        Ok(format!("{who}|{}", add(ctx, op, list, who.clone()).await?))
    }

    /// Takes the first line of a list away.
    #[mutation]
    pub async fn pop(ctx: &MutationCtx, list: String) -> Result<String> {
        let Some(first) = ctx.db.query(Entry::by_list_rank().eq(list)).first().await? else {
            return Ok("none".to_owned());
        };
        breathe().await;
        ctx.db.delete(first.id).await?;
        Ok(format!("{}:{}", first.op, first.who))
    }

    /// Only reads: a list and a range of accounts.
    #[mutation]
    pub async fn look(ctx: &MutationCtx, list: String, from: f64, to: f64) -> Result<String> {
        let shown = shown(&entries(ctx, &list).await?);
        breathe().await;
        Ok(format!("{shown}|{}", accounts(ctx, from, to).await?))
    }

    /// Adds a line and then fails, telling what it had read.
    #[mutation]
    pub async fn fail(ctx: &MutationCtx, op: f64, list: String) -> Result<String> {
        let before = add(ctx, op, list, "never".to_owned()).await?;
        breathe().await;
        Err(AppError::new(before).into())
    }
}

/// The tables.
pub fn tables() -> Schema {
    schema![Account, Entry]
}

/// The functions.
pub fn functions() -> Registry {
    functions![
        read::list,
        read::range,
        read::pair,
        read::sometimes,
        read::me,
        read::strict,
        write::transfer,
        write::append,
        write::sign,
        write::pop,
        write::look,
        write::fail,
    ]
}
