//! Whole tables: one query that reads every document through a filter, and an index that is built over all documents
//! when a server starts with one more in its schema. Beside SQLite reading and indexing as many rows.

use tempfile::TempDir;

use super::super::client::{BALANCE, sum_after};
use super::super::clock::{bounded, now};
use super::super::failure::Failure;
use super::super::http::HttpClient;
use super::super::limits::bare_tables::BareTable;
use super::super::server_process::{ServerProcess, copy};
use super::super::table::Quantity;
use super::super::workload::{ACCOUNTS, INITIAL_BALANCE, Transfer};
use super::Bench;

/// Cache of the limit, bytes: as much as the server's own memory budget.
const CACHE_BYTES: u64 = 1 << 30;

/// The transfer that makes two accounts differ from all others.
const CHANGED: Transfer = Transfer { from: 5, to: 6 };

/// The measure with `n` documents.
pub async fn run(bench: &mut Bench<'_>, n: u32) -> Result<(), Failure> {
    let n = n.max(ACCOUNTS);
    let server = ServerProcess::start(bench.folder)?;
    server.seed_accounts(n).await?;
    let mut http = HttpClient::open(server.address()).await?;
    let mut body = Vec::new();
    CHANGED.write_body(&mut body);
    http.post("/api/mutation?format=json", &body).await?;
    let bare = BareTable::accounts(bench.folder, n, INITIAL_BALANCE as f64, CACHE_BYTES)?;
    server.rest().await?;
    read_all(bench, &mut http, &bare, n).await?;
    // A stop moves all documents to the base.
    build_index(bench, server.stop().await?, &bare, n).await
}

fn name(n: u32) -> String {
    format!("all of {n} documents")
}

/// Every document through the filter of a query.
async fn read_all(bench: &mut Bench<'_>, http: &mut HttpClient, bare: &BareTable, n: u32) -> Result<(), Failure> {
    let rows = f64::from(n);
    let name = name(n);
    let (mut ours, mut limit) = (Vec::new(), Vec::new());
    for round in 1..=bench.rounds {
        let started = now();
        let args = format!(r#"{{"initial_balance":{INITIAL_BALANCE}}}"#);
        if count(http, "accounts:get_changed", &args).await? != 2 {
            return Err(Failure::new("a scan did not find the two accounts that differ"));
        }
        ours.push(rows / started.elapsed().as_secs_f64());
        let started = now();
        if bare.count_changed(0.0)? != n {
            return Err(Failure::new("SQLite did not read all rows"));
        }
        limit.push(rows / started.elapsed().as_secs_f64());
        eprintln!("{name}, round {round}: {:.0}/s through a filter", ours[round - 1]);
    }
    let quantity = Quantity::rate("documents through a filter/s");
    bench.table.add(&name, quantity, ours, limit, "SQLite stepping through all rows");
    Ok(())
}

/// Every document into an index that the stored schema does not have.
async fn build_index(bench: &mut Bench<'_>, data: TempDir, bare: &BareTable, n: u32) -> Result<(), Failure> {
    let (rows, name) = (f64::from(n), name(n));
    let (mut ours, mut limit) = (Vec::new(), Vec::new());
    for round in 1..=bench.rounds {
        let started = now();
        drop(ServerProcess::start_in(copy(&data, bench.folder)?, None)?);
        let plain = started.elapsed();
        let copy = copy(&data, bench.folder)?;
        let started = now();
        let server = ServerProcess::start_in(copy, Some(("BENCH_BY_BALANCE", "1".to_owned())))?;
        let indexed = started.elapsed();
        let mut http = HttpClient::open(server.address()).await?;
        let args = format!(r#"{{"balance":{}}}"#, INITIAL_BALANCE + 1);
        if count(&mut http, "accounts:get_by_balance", &args).await? != 1 {
            return Err(Failure::new("the index did not find the one account that holds more"));
        }
        ours.push(rows / indexed.saturating_sub(plain).as_secs_f64());
        limit.push(rows / bare.build_index()?.as_secs_f64());
        eprintln!("{name}, round {round}: {:.0}/s into an index", ours[round - 1]);
    }
    let quantity = Quantity::rate("documents into a new index/s");
    bench.table.add(&name, quantity, ours, limit, "SQLite, CREATE INDEX");
    Ok(())
}

/// How many accounts a query answers.
async fn count(http: &mut HttpClient, path: &str, args: &str) -> Result<usize, Failure> {
    let body = format!(r#"{{"path":"{path}","args":{args}}}"#);
    let answer = bounded(path, http.post("/api/query?format=json", body.as_bytes())).await?;
    if !answer.starts_with(br#"{"status":"success""#) {
        return Err(Failure::new(String::from_utf8_lossy(answer)));
    }
    Ok(sum_after(answer, BALANCE).0)
}
