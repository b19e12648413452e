//! Transfers over WebSocket, a fixed number in flight on each connection, beside an echo and a group commit.

use std::time::Duration;

use super::super::closed_loop::{Load, Peer, Round, Tally, run_load};
use super::super::failure::Failure;
use super::super::ledger::Ledger;
use super::super::limits::group_commit::{self, Commits};
use super::super::limits::{Kind, Limit};
use super::super::server_process::ServerProcess;
use super::super::table::Quantity;
use super::super::window::Seen;
use super::super::workload::Spread;
use super::{Bench, CONNECTIONS};

/// Rows of a synced transaction in the limit of durable writes.
const COMMIT_GROUP: usize = 256;

/// Calls in flight on each connection where a server works at full speed.
pub const DEPTH: usize = 40;

/// The rounds of a measure.
#[derive(Default)]
pub struct Rounds {
    /// Ours.
    pub ours: Vec<Seen>,
    /// The echo.
    pub echo: Vec<Seen>,
    /// Commits of many rows.
    pub grouped: Vec<Commits>,
    /// Commits of one row.
    pub single: Vec<Commits>,
}

impl Rounds {
    /// Measures both limits of durable writes once.
    pub fn commit(&mut self, bench: &Bench<'_>) -> Result<(), Failure> {
        self.grouped.push(group_commit::measure(bench.folder, COMMIT_GROUP, bench.commit_length())?);
        self.single.push(group_commit::measure(bench.folder, 1, bench.commit_length())?);
        Ok(())
    }

    /// The lines that every kind of call has.
    pub fn add_lines(&self, bench: &mut Bench<'_>, name: &str, echo_is: &'static str) {
        let table = &mut bench.table;
        let (ours, echo) = (&self.ours, &self.echo);
        table.add(
            name,
            Quantity::rate("transfers/s"),
            each(ours, |seen| seen.per_second),
            each(echo, |seen| seen.per_second),
            echo_is,
        );
        let grouped = each(&self.grouped, |commits| commits.per_second);
        table.add(
            name,
            Quantity::rate("transfers/s"),
            each(ours, |seen| seen.per_second),
            grouped,
            "SQLite, appended and synced by 256",
        );
        let both = "the echo's + one synced append's";
        let p50 = sums(each(echo, |seen| seen.p50), each(&self.single, |commits| commits.p50));
        table.add(name, Quantity::cost("p50, us"), each(ours, |seen| seen.p50), p50, both);
        let p99 = sums(each(echo, |seen| seen.p99), each(&self.single, |commits| commits.p99));
        table.add(name, Quantity::cost("p99, us"), each(ours, |seen| seen.p99), p99, both);
        let cpu = sums(each(echo, |seen| seen.server_cpu), each(&self.grouped, |commits| commits.cpu));
        let cpu_is = "the echo's + a row's in an append of 256";
        table.add(name, Quantity::cost("server CPU, us/transfer"), each(ours, |seen| seen.server_cpu), cpu, cpu_is);
        table.add_plain(name, "client CPU, us/transfer", each(ours, |seen| seen.client_cpu));
    }
}

/// One figure of each round.
pub fn each<T>(rounds: &[T], figure: impl Fn(&T) -> f64) -> Vec<f64> {
    rounds.iter().map(figure).collect()
}

/// Round by round.
pub fn sums(some: Vec<f64>, others: Vec<f64>) -> Vec<f64> {
    some.into_iter().zip(others).map(|(one, other)| one + other).collect()
}

/// The measure with 64 connections.
pub async fn run(bench: &mut Bench<'_>, depth: usize, spread: Spread) -> Result<(), Failure> {
    let name =
        format!("WebSocket {CONNECTIONS} x {depth}, {}", if spread == Spread::Zipf { "Zipf 1.5" } else { "uniform" });
    let (rounds, tally) = alternate(bench, &name, CONNECTIONS, depth, spread).await?;
    rounds.add_lines(bench, &name, "an echo of as long messages");
    bench.table.add_plain(&name, "transitions/transfer", vec![tally.transitions as f64 / tally.answered as f64]);
    add_failures(bench, &name, tally);
    Ok(())
}

/// Notes how many mutations failed: none may.
pub fn add_failures(bench: &mut Bench<'_>, name: &str, tally: Tally) {
    bench.table.add_plain(name, "failed mutations", vec![tally.failed as f64]);
    if let Some(failure) = tally.failure {
        bench.table.add_problem(format!("{name}: {} of {} mutations failed: {failure}", tally.failed, tally.answered));
    }
}

/// A round at full speed, 64 x 40, over accounts drawn evenly; taken into the ledger of the server.
pub async fn transfer(
    server: &ServerProcess,
    ledger: &mut Ledger,
    seed: u64,
    length: Duration,
) -> Result<Round, Failure> {
    let load = Load {
        peer: Peer::Syncline,
        address: server.address(),
        pid: server.pid(),
        connections: CONNECTIONS,
        depth: DEPTH,
        spread: Spread::Uniform,
        seed,
        length,
    };
    let mut round = run_load(&load).await?;
    for (row, n_acknowledged) in std::mem::take(&mut round.rows) {
        ledger.apply_row(row, n_acknowledged);
    }
    Ok(round)
}

/// Ours and the limits, in turn.
pub async fn alternate(
    bench: &mut Bench<'_>,
    name: &str,
    connections: usize,
    depth: usize,
    spread: Spread,
) -> Result<(Rounds, Tally), Failure> {
    let (mut rounds, mut all, mut limit) = (Rounds::default(), Tally::default(), None);
    let (address, pid, length) = (bench.server.address(), bench.server.pid(), bench.length);
    for n in 1..=bench.rounds {
        let load =
            Load { peer: Peer::Syncline, address, pid, connections, depth, spread, seed: bench.next_seed(), length };
        let round = run_load(&load).await.map_err(|failure| failure.during(name))?;
        eprintln!("{name}, round {n}: {:.0}/s", round.seen.per_second);
        for (row, n_acknowledged) in round.rows {
            bench.ledger.apply_row(row, n_acknowledged);
        }
        let echo = match &mut limit {
            Some(echo) => echo,
            None => limit.insert(Limit { kind: Kind::Echo, reply_bytes: round.tally.answer_length() }.start()?),
        };
        let load = Load { peer: Peer::Echo, address: echo.address(), pid: echo.pid(), ..load };
        rounds.echo.push(run_load(&load).await.map_err(|failure| failure.during("the echo"))?.seen);
        rounds.commit(bench)?;
        rounds.ours.push(round.seen);
        all.add(round.tally);
    }
    Ok((rounds, all))
}
