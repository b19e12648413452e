//! Data ten times as large as the memory budget: documents looked up all over the table and read by ranges, beside
//! SQLite with as large a cache, and the memory that the server takes.

use super::super::clock::{bounded, now};
use super::super::failure::Failure;
use super::super::http::HttpClient;
use super::super::limits::bare_tables::BareTable;
use super::super::machine;
use super::super::server_process::ServerProcess;
use super::super::table::Quantity;
use super::Bench;

/// Length of a document's body.
const BODY_BYTES: usize = 600;

/// Memory budget for each document: a tenth of what it takes.
const BUDGET_BYTES_A_DOCUMENT: u64 = 64;

/// Documents that one call inserts: well under what a mutation may write.
const INSERTED_A_CALL: u32 = 8_000;

/// Documents that one query looks up or reads as a range: so that the call itself is a small part of it.
const READ_A_CALL: u32 = 1_000;

/// Between two documents that are looked up: a share of the table that brings each to another place (the golden ratio).
const STRIDE: f64 = 0.618_034;

/// The measure with `n` documents.
pub async fn run(bench: &mut Bench<'_>, n: u32) -> Result<(), Failure> {
    let budget = u64::from(n) * BUDGET_BYTES_A_DOCUMENT;
    let name = format!("{} MB of data, {} MB of budget", budget / 100_000, budget / 1_000_000);
    let server = ServerProcess::start_with(bench.folder, Some(("BENCH_MEMORY_BUDGET_BYTES", budget.to_string())))?;
    let mut http = HttpClient::open(server.address()).await?;
    for start in (0..n).step_by(INSERTED_A_CALL as usize) {
        let count = INSERTED_A_CALL.min(n - start);
        let body = format!(
            r#"{{"path":"documents:insert_range","args":{{"start":{start},"count":{count},"bytes":{BODY_BYTES}}}}}"#
        );
        let answer = bounded("inserting documents", http.post("/api/mutation?format=json", body.as_bytes())).await?;
        if !answer.starts_with(br#"{"status":"success""#) {
            return Err(Failure::new(String::from_utf8_lossy(answer)));
        }
    }
    let bare = BareTable::documents(bench.folder, n, BODY_BYTES, budget)?;
    let mut memory = Vec::new();
    for (reads, what) in [(Reads::Spread, "documents looked up/s"), (Reads::Range, "documents read in ranges/s")] {
        let (mut ours, mut limit) = (Vec::new(), Vec::new());
        for round in 1..=bench.rounds {
            ours.push(rate(bench, &mut Reader::Ours(&mut http), reads, n).await?);
            limit.push(rate(bench, &mut Reader::Bare(&bare), reads, n).await?);
            memory.push(machine::resident_bytes(server.pid())? as f64 / 1e6);
            eprintln!("{name}, round {round}: {:.0} {what}", ours[round - 1]);
        }
        bench.table.add(&name, Quantity::rate(what), ours, limit, "SQLite with as large a cache");
    }
    let most = memory.into_iter().fold(0.0, f64::max);
    let twice = 2.0 * budget as f64 / 1e6;
    bench.table.add(&name, Quantity::cost("most memory, MB"), vec![most], vec![twice], "twice the budget");
    Ok(())
}

/// Which documents are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reads {
    /// Each at another place of the table.
    Spread,
    /// One after the other, from another place in each call.
    Range,
}

/// Who reads.
enum Reader<'a> {
    Ours(&'a mut HttpClient),
    Bare(&'a BareTable),
}

/// Documents per second.
async fn rate(bench: &Bench<'_>, reader: &mut Reader<'_>, reads: Reads, n: u32) -> Result<f64, Failure> {
    let stride = (f64::from(n) * STRIDE) as u32;
    let (started, mut n_read, mut start) = (now(), 0.0, 0);
    while started.elapsed() < bench.length {
        start = (start + stride / 7 * 5 + 1) % (n - READ_A_CALL);
        let bytes = match (&mut *reader, reads) {
            (Reader::Ours(http), Reads::Spread) => {
                let args = format!(r#"{{"start":{start},"stride":{stride},"count":{READ_A_CALL},"total":{n}}}"#);
                ask(http, "documents:read_spread", &args).await?
            }
            (Reader::Ours(http), Reads::Range) => {
                let args = format!(r#"{{"start":{start},"count":{READ_A_CALL}}}"#);
                ask(http, "documents:read_range", &args).await?
            }
            (Reader::Bare(table), Reads::Spread) => {
                let place = |k: u32| (u64::from(start) + u64::from(k) * u64::from(stride)) % u64::from(n);
                table.read_each((0..READ_A_CALL).map(|k| place(k) as u32))?
            }
            (Reader::Bare(table), Reads::Range) => table.read_range(start, READ_A_CALL)?,
        };
        let expected = READ_A_CALL as usize * BODY_BYTES;
        if bytes != expected {
            return Err(Failure::new(format!(
                "{READ_A_CALL} documents from {start} on had {bytes} bytes, not {expected}"
            )));
        }
        n_read += f64::from(READ_A_CALL);
    }
    Ok(n_read / started.elapsed().as_secs_f64())
}

async fn ask(http: &mut HttpClient, path: &str, args: &str) -> Result<usize, Failure> {
    let body = format!(r#"{{"path":"{path}","args":{args}}}"#);
    let answer = bounded(path, http.post("/api/query?format=json", body.as_bytes())).await?;
    let bytes = super::super::client::number_after(answer, br#""value":"#);
    let bytes = bytes.and_then(|bytes| usize::try_from(bytes).ok());
    bytes.ok_or_else(|| Failure::new(String::from_utf8_lossy(answer)))
}
