//! Many sessions, each with its own query over its own rows, while one row of a hundred is written per second: the
//! server's CPU for each result that was computed again and sent, beside that of the query's own run.

use std::net::SocketAddr;
use std::ops::Range;
use std::time::Duration;

use super::super::client::{self, BALANCE, CALL_BUFFER, Client};
use super::super::clock::{bounded, now};
use super::super::failure::Failure;
use super::super::http::HttpClient;
use super::super::machine;
use super::super::sessions::Sessions;
use super::super::table::Quantity;
use super::super::workload::{ACCOUNTS, Spread, Transfers};
use super::Bench;
use super::calls::each;
use super::fan_out::acknowledged;

/// Sessions; together they watch all accounts.
const SESSIONS: usize = 1_000;
const ROWS_EACH: u32 = ACCOUNTS / SESSIONS as u32;

/// One row of a hundred per second; a transfer writes two.
const TRANSFERS_PER_SECOND: u32 = ACCOUNTS / 100 / 2;

/// Between two handfuls of transfers.
const TICK: Duration = Duration::from_millis(10);
const TRANSFERS_A_TICK: u32 = TRANSFERS_PER_SECOND / 100;

/// How long after its time the last write may be answered: later, it would be a measure of fewer writes a second.
const DELAY_MAX: Duration = Duration::from_secs(1);

/// Queries of one call where the query's own run is measured: so that HTTP is a small part of it.
const RUNS_A_CALL: u32 = 20;

/// One round.
struct Round {
    /// Server CPU of a result that was computed again and sent, us.
    rerun: f64,
    /// Server CPU of the query's own run, us.
    own_run: f64,
    /// Results that came for each row that was written: fewer than one when several writes met in one result.
    results_a_row: f64,
}

/// The measure.
pub async fn run(bench: &mut Bench<'_>) -> Result<(), Failure> {
    let name = format!("{SESSIONS} sessions, a query over {ROWS_EACH} rows each");
    let mut rounds = Vec::new();
    for n in 1..=bench.rounds {
        let round = round(bench).await.map_err(|failure| failure.during(&name))?;
        eprintln!("{name}, round {n}: {:.0} us beside {:.0} us", round.rerun, round.own_run);
        rounds.push(round);
    }
    let own_run = each(&rounds, |round| round.own_run);
    let quantity = Quantity::cost("server CPU, us/re-run");
    bench.table.add(
        &name,
        quantity,
        each(&rounds, |round| round.rerun),
        own_run,
        "the query's own run, over HTTP by 20",
    );
    bench.table.add_plain(&name, "results/row written", each(&rounds, |round| round.results_a_row));
    Ok(())
}

async fn round(bench: &mut Bench<'_>) -> Result<Round, Failure> {
    let (address, pid) = (bench.server.address(), bench.server.pid());
    let (alone, _) = write(bench).await?;
    let queries = (0..SESSIONS).map(|session| ("accounts:get_range", arguments(rows(session).start))).collect();
    let mut sessions = Sessions::open(address, queries, |session| bench.ledger.sum(rows(session))).await?;
    let (watched, n_rows) = write(bench).await?;
    sessions.wait_for(|session| bench.ledger.sum(rows(session))).await?;
    let n_results = sessions.n_results() as f64;
    drop(sessions);
    if n_results == 0.0 {
        return Err(Failure::new("no query ran again"));
    }
    let own_run = own_run(address, pid, bench.length).await?;
    let rerun = (watched.as_secs_f64() - alone.as_secs_f64()) * 1e6 / n_results;
    Ok(Round { rerun, own_run, results_a_row: n_results / f64::from(n_rows) })
}

/// Writes for the length of a round at the rate of this measure; the server's CPU, and how many rows it was.
async fn write(bench: &mut Bench<'_>) -> Result<(Duration, u32), Failure> {
    let n_ticks = (bench.length.as_secs_f64() / TICK.as_secs_f64()).ceil() as u32;
    let n_all = u64::from(n_ticks * TRANSFERS_A_TICK);
    let seed = bench.next_seed();
    let Some(row) = Transfers::rows(Spread::Uniform, seed, 1).pop() else {
        return Err(Failure::new("no row of transfers"));
    };
    let mut writer = Client::open_session(bench.server.address(), &[], CALL_BUFFER).await?;
    let mut ticks = tokio::time::interval(TICK);
    let (started, before) = (now(), machine::cpu_time(bench.server.pid())?);
    let (mut transfers, mut message) = (row.clone(), Vec::new());
    let (mut n_sent, mut n_answered) = (0, 0);
    while n_answered < n_all {
        tokio::select! {
            _ = ticks.tick(), if n_sent < n_all => {
                for _ in 0..TRANSFERS_A_TICK {
                    transfers.next().write_message(n_sent, &mut message);
                    writer.push_text(&message);
                    n_sent += 1;
                }
            }
            received = bounded("waiting for writes", writer.receive()) => {
                received?;
                while let Some(payload) = writer.next_text()? {
                    n_answered += u64::from(acknowledged(payload)?);
                }
            }
        }
        writer.flush().await?;
    }
    bench.ledger.apply_row(row, n_all);
    let taken = started.elapsed();
    if taken > TICK * n_ticks + DELAY_MAX {
        let rate = n_all as f64 / taken.as_secs_f64();
        return Err(Failure::new(format!("{rate:.0} writes/s instead of {TRANSFERS_PER_SECOND}: too slow to measure")));
    }
    Ok((machine::cpu_time(bench.server.pid())? - before, n_ticks * TRANSFERS_A_TICK * 2))
}

/// The accounts of a session.
fn rows(session: usize) -> Range<u32> {
    let start = session as u32 * ROWS_EACH;
    start..start + ROWS_EACH
}

fn arguments(start: u32) -> String {
    format!(r#"{{"start":{start},"count":{ROWS_EACH}}}"#)
}

/// Server CPU of one run of the query, us. Each call has other arguments: nothing is answered from memory of a run.
async fn own_run(address: SocketAddr, pid: u32, length: Duration) -> Result<f64, Failure> {
    let mut http = HttpClient::open(address).await?;
    let (started, before) = (now(), machine::cpu_time(pid)?);
    let (mut n_runs, mut start) = (0, 0);
    while started.elapsed() < length {
        let queries: Vec<String> = (0..RUNS_A_CALL)
            .map(|n| {
                let args = arguments((start + n * ROWS_EACH) % (ACCOUNTS - ROWS_EACH));
                format!(r#"{{"path":"accounts:get_range","args":{args},"format":"json"}}"#)
            })
            .collect();
        start += RUNS_A_CALL * ROWS_EACH + 1;
        let body = format!(r#"{{"queries":[{}]}}"#, queries.join(","));
        let answer = http.post("/api/query_batch", body.as_bytes()).await?;
        let (n_rows, _) = client::sum_after(answer, BALANCE);
        if n_rows != (RUNS_A_CALL * ROWS_EACH) as usize {
            return Err(Failure::new(format!("{RUNS_A_CALL} runs answered {n_rows} rows")));
        }
        n_runs += RUNS_A_CALL;
    }
    Ok((machine::cpu_time(pid)? - before).as_secs_f64() * 1e6 / f64::from(n_runs))
}
