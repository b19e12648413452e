//! Data ten times as large as the memory budget: documents looked up all over the table and read by ranges, by one client
//! and by several, beside one that reads them from SQLite with as large a cache, and the memory that the server takes.

use futures::future::try_join_all;

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

/// Documents that one query looks up, and the shorter of its ranges.
const READ_A_CALL: u32 = 1_000;

/// Documents of the longer range, 2.5 MB. Of the shorter one a quarter of the time is the call: the way of question and
/// answer through two processes, which other measures are about.
const LONG_RANGE: u32 = 4_000;

/// Clients that ask at the same time: the server does not wait for the next question then.
const CLIENTS: usize = 4;

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
    let mut clients = vec![http];
    while clients.len() < CLIENTS {
        clients.push(HttpClient::open(server.address()).await?);
    }
    let mut memory = Vec::new();
    for (reads, what) in [
        (Reads::Spread, "documents looked up/s"),
        (Reads::Range(READ_A_CALL), "documents read in ranges of 1,000/s"),
        (Reads::Range(LONG_RANGE), "documents read in ranges of 4,000/s"),
    ] {
        let (mut ours, mut of_several, mut limit) = (Vec::new(), Vec::new(), Vec::new());
        for round in 1..=bench.rounds {
            ours.push(rate(bench, Reader::Ours(&mut clients[..1]), reads, n).await?);
            limit.push(rate(bench, Reader::Bare(&bare), reads, n).await?);
            of_several.push(rate(bench, Reader::Ours(&mut clients), reads, n).await?);
            memory.push(machine::resident_bytes(server.pid())? as f64 / 1e6);
            eprintln!("{name}, round {round}: {:.0} {what}", ours[round - 1]);
        }
        let beside = "SQLite with as large a cache";
        bench.table.add(&name, Quantity::rate(what), ours, limit.clone(), beside);
        bench.table.add(&name, Quantity::rate("the same, four clients"), of_several, limit, beside);
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
    /// So many, one after the other, from another place in each call.
    Range(u32),
}

impl Reads {
    /// How many a call reads.
    fn a_call(self) -> u32 {
        match self {
            Reads::Spread => READ_A_CALL,
            Reads::Range(count) => count,
        }
    }
}

/// Who reads.
enum Reader<'a> {
    Ours(&'a mut [HttpClient]),
    Bare(&'a BareTable),
}

/// Documents per second.
async fn rate(bench: &Bench<'_>, reader: Reader<'_>, reads: Reads, n: u32) -> Result<f64, Failure> {
    let started = now();
    let starts = |client| starts(n, client).take_while(|_| started.elapsed() < bench.length);
    let n_calls: u32 = match reader {
        Reader::Ours(clients) => {
            let calls = (0..).zip(clients).map(async |(place, http)| {
                let mut n_calls = 0;
                for start in starts(place) {
                    check(reads, start, ask(http, reads, start, n).await?)?;
                    n_calls += 1;
                }
                Ok::<_, Failure>(n_calls)
            });
            try_join_all(calls).await?.into_iter().sum()
        }
        Reader::Bare(table) => {
            let mut n_calls = 0;
            for start in starts(0) {
                check(reads, start, read(table, reads, start, n)?)?;
                n_calls += 1;
            }
            n_calls
        }
    };
    Ok(f64::from(n_calls) * f64::from(reads.a_call()) / started.elapsed().as_secs_f64())
}

/// Where the calls of a client begin, one after the other.
fn starts(n: u32, client: u32) -> impl Iterator<Item = u32> {
    let (last, step) = (n - LONG_RANGE, stride(n) / 7 * 5 + 1);
    std::iter::successors(Some((step + client * (n / 11)) % last), move |start| Some((start + step) % last))
}

fn stride(n: u32) -> u32 {
    (f64::from(n) * STRIDE) as u32
}

fn read(table: &BareTable, reads: Reads, start: u32, n: u32) -> Result<usize, Failure> {
    match reads {
        Reads::Spread => {
            let place = |k: u32| (u64::from(start) + u64::from(k) * u64::from(stride(n))) % u64::from(n);
            table.read_each((0..READ_A_CALL).map(|k| place(k) as u32))
        }
        Reads::Range(count) => table.read_range(start, count),
    }
}

async fn ask(http: &mut HttpClient, reads: Reads, start: u32, n: u32) -> Result<usize, Failure> {
    let (path, args) = match reads {
        Reads::Spread => {
            let stride = stride(n);
            let args = format!(r#"{{"start":{start},"stride":{stride},"count":{READ_A_CALL},"total":{n}}}"#);
            ("documents:read_spread", args)
        }
        Reads::Range(count) => ("documents:read_range", format!(r#"{{"start":{start},"count":{count}}}"#)),
    };
    let body = format!(r#"{{"path":"{path}","args":{args}}}"#);
    let answer = bounded(path, http.post("/api/query?format=json", body.as_bytes())).await?;
    let bytes = super::super::client::number_after(answer, br#""value":"#);
    let bytes = bytes.and_then(|bytes| usize::try_from(bytes).ok());
    bytes.ok_or_else(|| Failure::new(String::from_utf8_lossy(answer)))
}

/// All bodies are as long as each other.
fn check(reads: Reads, start: u32, bytes: usize) -> Result<(), Failure> {
    let n = reads.a_call();
    let expected = n as usize * BODY_BYTES;
    if bytes != expected {
        return Err(Failure::new(format!("{n} documents from {start} on had {bytes} bytes, not {expected}")));
    }
    Ok(())
}
