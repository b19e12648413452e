//! An idle server: one call of one client, and how soon another client has the result. Beside an echo and one synced
//! append, which no durable call can do without.

use std::time::Duration;

use super::super::client::{self, Client, WATCH_BUFFER};
use super::super::clock::{bounded, now};
use super::super::failure::Failure;
use super::super::table::Quantity;
use super::super::window::Latencies;
use super::super::workload::{Spread, Transfer};
use super::Bench;
use super::calls::{add_failures, alternate, each, sums};
use super::fan_out::acknowledged;

/// Accounts that the other measures leave alone but for chance.
const WATCHED: Transfer = Transfer { from: 2, to: 3 };

/// The measure.
pub async fn run(bench: &mut Bench<'_>) -> Result<(), Failure> {
    let name = "one client, one call";
    let (rounds, tally) = alternate(bench, name, 1, 1, Spread::Uniform).await?;
    add_failures(bench, name, tally);
    let append = "an echo + one synced append";
    let (ours, echo, single) = (&rounds.ours, &rounds.echo, &rounds.single);
    let p50 = sums(each(echo, |seen| seen.p50), each(single, |commits| commits.p50));
    let p99 = sums(each(echo, |seen| seen.p99), each(single, |commits| commits.p99));
    let table = &mut bench.table;
    table.add(name, Quantity::cost("p50, us"), each(ours, |seen| seen.p50), p50.clone(), append);
    table.add(name, Quantity::cost("p99, us"), each(ours, |seen| seen.p99), p99.clone(), append);
    let single = each(single, |commits| commits.per_second);
    table.add(
        name,
        Quantity::rate("transfers/s"),
        each(ours, |seen| seen.per_second),
        single,
        "SQLite, synced one by one",
    );

    let name = "mutation to another's update";
    let mut updates = Vec::new();
    for round in 1..=bench.rounds {
        let (n_writes, update) = updated(bench, bench.length).await.map_err(|failure| failure.during(name))?;
        bench.ledger.apply(WATCHED, n_writes);
        eprintln!("{name}, round {round}: p50 {:.0} us", update.p50());
        updates.push(update);
    }
    let table = &mut bench.table;
    table.add(name, Quantity::cost("p50, us"), each(&updates, Latencies::p50), p50, append);
    table.add(name, Quantity::cost("p99, us"), each(&updates, Latencies::p99), p99, append);
    Ok(())
}

/// Writes again and again with one client until another has it: how often, and how long that took.
async fn updated(bench: &Bench<'_>, length: Duration) -> Result<(u32, Latencies), Failure> {
    let address = bench.server.address();
    let query = ("accounts:get_account", format!(r#"{{"id":{}}}"#, WATCHED.from));
    let mut balance = None;
    let mut watcher = Client::open_session(address, &[query], WATCH_BUFFER).await?;
    let first = watcher.until(|payload| {
        balance = client::number_after(payload, br#""balance":"#);
        Ok(balance.is_some())
    });
    bounded("waiting for a first result", first).await?;
    let mut balance = balance.unwrap_or_default();
    let mut writer = Client::open_session(address, &[], WATCH_BUFFER).await?;
    let mut latencies = Latencies::new()?;
    let (started, mut n_writes, mut message) = (now(), 0, Vec::new());
    while started.elapsed() < length {
        WATCHED.write_message(n_writes.into(), &mut message);
        writer.push_text(&message);
        balance -= 1;
        n_writes += 1;
        let sent = now();
        writer.flush().await?;
        let seen = async {
            watcher.until(|payload| Ok(client::number_after(payload, br#""balance":"#) == Some(balance))).await?;
            Ok(sent.elapsed())
        };
        let both = async { tokio::try_join!(seen, writer.until(acknowledged)) };
        let (latency, ()) = bounded("waiting for an update", both).await?;
        latencies.record(latency);
    }
    Ok((n_writes, latencies))
}
