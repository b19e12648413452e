//! The start of a server after a crash: a store with many documents, and commits that are in its log only. Beside
//! SQLite opening the same file and the system reading the log's, which no start can do without.

use std::time::Duration;

use rusqlite::{Connection, OpenFlags};
use tempfile::TempDir;

use super::super::client::{BALANCE, CALL_BUFFER, Client, number_after};
use super::super::clock::{bounded, now};
use super::super::failure::Failure;
use super::super::http::HttpClient;
use super::super::ledger::Ledger;
use super::super::server_process::{STORE, ServerProcess, copy};
use super::super::table::Quantity;
use super::super::workload::{ACCOUNTS, Spread, Transfers};
use super::Bench;
use super::calls::each;
use super::fan_out::acknowledged;

/// Documents for each commit in the log.
const DOCUMENTS_A_COMMIT: u32 = 10;

/// Commits that are made before any of them is waited for.
const IN_FLIGHT: u64 = 500;

/// One start.
struct Start {
    /// Until it said that it listens.
    listening: Duration,
    /// Until the first query was answered.
    answered: Duration,
    /// Opening the base and reading the log, making nothing of either.
    bare: Duration,
}

/// The measure with `n` documents.
pub async fn run(bench: &mut Bench<'_>, n: u32) -> Result<(), Failure> {
    let n = n.max(ACCOUNTS);
    let n_commits = u64::from(n / DOCUMENTS_A_COMMIT);
    let name = format!("start with {n} documents, a log of {n_commits} commits");
    let mut ledger = Ledger::new();
    let crashed = make(bench, &mut ledger, n, n_commits).await.map_err(|failure| failure.during(&name))?;
    let mut starts = Vec::new();
    for round in 1..=bench.rounds {
        let start = start(bench, &crashed, &ledger).await.map_err(|failure| failure.during(&name))?;
        eprintln!("{name}, round {round}: {} ms", start.answered.as_millis());
        starts.push(start);
    }
    let ms = |time: Duration| time.as_secs_f64() * 1e3;
    let bare = each(&starts, |start| ms(start.bare));
    let is = "reading the log's files";
    let table = &mut bench.table;
    table.add_plain(&name, "until it listens, ms", each(&starts, |start| ms(start.listening)));
    table.add(&name, Quantity::cost("until the first answer, ms"), each(&starts, |start| ms(start.answered)), bare, is);
    Ok(())
}

/// The folder of a server that crashed.
async fn make(bench: &mut Bench<'_>, ledger: &mut Ledger, n: u32, n_commits: u64) -> Result<TempDir, Failure> {
    let server = ServerProcess::start(bench.folder)?;
    server.seed_accounts(n).await?;
    // A stop moves all documents from the log to the base.
    let data = server.stop().await?;
    let base = position(&data)?;
    let server = ServerProcess::start_in(data, None)?;
    let mut client = Client::open_session(server.address(), &[], CALL_BUFFER).await?;
    let seed = bench.next_seed();
    let Some(row) = Transfers::rows(Spread::Uniform, seed, 1).pop() else {
        return Err(Failure::new("no row of transfers"));
    };
    let (mut transfers, mut n_done, mut message) = (row.clone(), 0, Vec::new());
    while n_done < n_commits {
        let n_now = IN_FLIGHT.min(n_commits - n_done);
        for request in n_done..n_done + n_now {
            transfers.next().write_message(request, &mut message);
            client.push_text(&message);
        }
        client.flush().await?;
        let answers = async {
            for _ in 0..n_now {
                client.until(acknowledged).await?;
            }
            Ok(())
        };
        bounded("waiting for commits", answers).await?;
        n_done += n_now;
    }
    ledger.apply_row(row, n_commits);
    let crashed = server.kill();
    let copy = copy(&crashed, bench.folder)?;
    if position(&copy)? == base {
        Ok(crashed)
    } else {
        Err(Failure::new("some of the commits are no longer in the log: take fewer documents"))
    }
}

/// Starts a server on a copy of what the crashed one left; what it answers must be right.
async fn start(bench: &Bench<'_>, crashed: &TempDir, ledger: &Ledger) -> Result<Start, Failure> {
    let bare = read_log(&copy(crashed, bench.folder)?)?;
    let data = copy(crashed, bench.folder)?;
    let started = now();
    let server = ServerProcess::start_in(data, None)?;
    let listening = started.elapsed();
    let mut http = HttpClient::open(server.address()).await?;
    let body = br#"{"path":"accounts:get_account","args":{"id":0}}"#;
    let answer = bounded("waiting for the first answer", http.post("/api/query?format=json", body)).await?;
    let answered = started.elapsed();
    let balance = number_after(answer, BALANCE);
    if balance != Some(ledger.balance(0)) {
        let found = String::from_utf8_lossy(answer).into_owned();
        return Err(Failure::new(format!("account 0 has to hold {}; the answer is {found}", ledger.balance(0))));
    }
    ledger.check(&mut http).await?;
    Ok(Start { listening, answered, bare })
}

fn open(data: &TempDir) -> Result<Connection, Failure> {
    Ok(Connection::open_with_flags(data.path().join(STORE), OpenFlags::SQLITE_OPEN_READ_WRITE)?)
}

/// Up to which timestamp the log has been moved to the base.
fn position(data: &TempDir) -> Result<i64, Failure> {
    Ok(open(data)?.query_row("SELECT base FROM position", [], |row| row.get(0))?)
}

/// How long it takes to open the file and to read the files of the log.
fn read_log(data: &TempDir) -> Result<Duration, Failure> {
    let started = now();
    position(data)?;
    let mut n_bytes = 0;
    for end in ["-log0", "-log1"] {
        n_bytes += std::fs::read(data.path().join(format!("{STORE}{end}")))?.len();
    }
    let taken = started.elapsed();
    if n_bytes == 0 {
        return Err(Failure::new("the log of the crashed server is empty"));
    }
    Ok(taken)
}
