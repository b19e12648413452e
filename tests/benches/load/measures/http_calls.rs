//! Transfers over HTTP, one in flight on each connection, beside a bare HTTP server and a group commit.

use std::net::SocketAddr;
use std::sync::Arc;

use tokio::task::JoinSet;

use super::super::clock::{bounded, now};
use super::super::closed_loop::{Peer, Rows, Tally, gather};
use super::super::failure::Failure;
use super::super::http::HttpClient;
use super::super::limits::{Kind, Limit};
use super::super::window::{Seen, Window};
use super::super::workload::{Spread, Transfers};
use super::calls::{Rounds, add_failures};
use super::{Bench, CONNECTIONS};

const PATH: &str = "/api/mutation?format=json";

/// The measure.
pub async fn run(bench: &mut Bench<'_>) -> Result<(), Failure> {
    let name = format!("HTTP {CONNECTIONS} x 1, uniform");
    let (mut rounds, mut all, mut limit) = (Rounds::default(), Tally::default(), None);
    for n in 1..=bench.rounds {
        let seed = bench.next_seed();
        let (seen, tally, rows) = round(bench, Peer::Syncline, bench.server.address(), bench.server.pid(), seed)
            .await
            .map_err(|failure| failure.during(&name))?;
        eprintln!("{name}, round {n}: {:.0}/s", seen.per_second);
        for (row, n_acknowledged) in rows {
            bench.ledger.apply_row(row, n_acknowledged);
        }
        let echo = match &mut limit {
            Some(echo) => echo,
            None => limit.insert(Limit { kind: Kind::HttpEcho, reply_bytes: tally.answer_length() }.start()?),
        };
        rounds.echo.push(round(bench, Peer::Echo, echo.address(), echo.pid(), seed).await?.0);
        rounds.commit(bench)?;
        rounds.ours.push(seen);
        all.add(tally);
    }
    rounds.add_lines(bench, &name, "bare axum, as long messages");
    add_failures(bench, &name, all);
    Ok(())
}

async fn round(
    bench: &Bench<'_>,
    peer: Peer,
    address: SocketAddr,
    pid: u32,
    seed: u64,
) -> Result<(Seen, Tally, Rows), Failure> {
    let window = Arc::new(Window::new()?);
    let mut connections = JoinSet::new();
    for row in Transfers::rows(Spread::Uniform, seed, CONNECTIONS) {
        let client = bounded("connecting", HttpClient::open(address)).await?;
        connections.spawn(converse(client, peer, row, Arc::clone(&window)));
    }
    let seen = window.watch(pid, bench.length).await;
    window.close();
    let (tally, rows) = bounded("waiting for the last answers", gather(connections)).await?;
    Ok((seen?, tally, rows))
}

async fn converse(
    mut client: HttpClient,
    peer: Peer,
    row: Transfers,
    window: Arc<Window>,
) -> Result<(Transfers, Tally), Failure> {
    let mut transfers = row.clone();
    let mut tally = Tally::default();
    let (mut body, mut latencies) = (Vec::with_capacity(256), Vec::with_capacity(1));
    while window.goes_on() {
        transfers.next().write_body(&mut body);
        let sent = now();
        let answer = client.post(PATH, &body).await?;
        latencies.push(sent.elapsed());
        tally.answered += 1;
        tally.answer_bytes += answer.len() as u64;
        if peer == Peer::Syncline && !answer.starts_with(br#"{"status":"success""#) {
            tally.failed += 1;
            tally.failure.get_or_insert_with(|| String::from_utf8_lossy(answer).into_owned());
        }
        window.record(&mut latencies);
    }
    Ok((row, tally))
}
