//! Transfers at full speed while somebody follows the log and has the dashboard open, beside the same without them.

use super::super::closed_loop::Round;
use super::super::failure::Failure;
use super::super::machine;
use super::super::observers::{Observers, Pages};
use super::super::table::Quantity;
use super::calls::{DEPTH, add_failures, each, transfer};
use super::{Bench, CONNECTIONS};

/// The measure.
pub async fn run(bench: &mut Bench<'_>) -> Result<(), Failure> {
    let kinds = [(Pages::Figures, "Health, Logs, Live queries"), (Pages::FiguresAndData, "those and a table")];
    for (pages, what) in kinds {
        let name = format!("{CONNECTIONS} x {DEPTH}, logs followed, dashboard open: {what}");
        observed(bench, &name, pages).await.map_err(|failure| failure.during(&name))?;
    }
    Ok(())
}

async fn observed(bench: &mut Bench<'_>, name: &str, pages: Pages) -> Result<(), Failure> {
    let (mut plain, mut observed, mut memory) = (Vec::new(), Vec::new(), Vec::new());
    for n in 1..=bench.rounds {
        plain.push(round(bench, name).await?);
        let observers = Observers::start(bench.server.address(), pages).await?;
        let pid = bench.server.pid();
        let start = machine::resident_bytes(pid)?;
        let half = bench.length / 2;
        let (round, middle) = tokio::join!(round(bench, name), async move {
            tokio::time::sleep(half).await;
            machine::resident_bytes(pid)
        });
        observed.push(round?);
        memory.push([start, middle?, machine::resident_bytes(pid)?]);
        observers.check()?;
        eprintln!(
            "{name}, round {n}: {:.0}/s alone, {:.0}/s observed",
            plain[n - 1].seen.per_second,
            observed[n - 1].seen.per_second
        );
    }
    let table = &mut bench.table;
    let alone = "the same with nobody looking on";
    let rate = |rounds: &[Round]| each(rounds, |round| round.seen.per_second);
    table.add(name, Quantity::rate("transfers/s"), rate(&observed), rate(&plain), alone);
    let cpu = |rounds: &[Round]| each(rounds, |round| round.seen.server_cpu);
    table.add(name, Quantity::cost("server CPU, us/transfer"), cpu(&observed), cpu(&plain), alone);
    for (at, quantity) in
        ["memory at the start, MB", "memory half-way, MB", "memory at the end, MB"].into_iter().enumerate()
    {
        table.add_plain(name, quantity, each(&memory, |round: &[u64; 3]| round[at] as f64 / 1e6));
    }
    for round in plain.into_iter().chain(observed) {
        if round.tally.failed > 0 {
            add_failures(bench, name, round.tally);
        }
    }
    Ok(())
}

async fn round(bench: &mut Bench<'_>, name: &str) -> Result<Round, Failure> {
    let (seed, length) = (bench.next_seed(), bench.length);
    transfer(bench.server, &mut bench.ledger, seed, length).await.map_err(|failure| failure.during(name))
}
