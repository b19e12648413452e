//! Very many mutations with some subscribers: memory and files at each tenth of them. A server that ran for a day must
//! not be larger than one that ran for half of it, so the end stands beside the middle.

use std::time::Duration;

use super::super::failure::Failure;
use super::super::http::HttpClient;
use super::super::ledger::Ledger;
use super::super::machine;
use super::super::server_process::ServerProcess;
use super::super::sessions::Sessions;
use super::super::table::Quantity;
use super::Bench;
use super::calls::{add_failures, transfer};

/// Sessions that watch an account each.
const SUBSCRIBERS: usize = 100;

/// Clients come, work for so long, and go; what became of their calls is kept. Answers may stand still for a part of it,
/// on a machine that others work on.
const VISIT: Duration = Duration::from_secs(1);

/// Bytes of outcomes kept for each mutation of the run: a fifth of what they take, so that most of the run is beyond
/// the budget, as most of the life of a server is.
const OUTCOME_BYTES_A_MUTATION: u64 = 10;

/// Parts of the run after each of which is measured.
const PARTS: u64 = 10;

/// Megabytes after one part.
#[derive(Clone, Copy)]
struct Size {
    memory: f64,
    files: f64,
}

impl Size {
    fn of(server: &ServerProcess) -> Result<Self, Failure> {
        let memory = machine::resident_bytes(server.pid())? as f64 / 1e6;
        Ok(Size { memory, files: server.file_bytes()? as f64 / 1e6 })
    }
}

/// The measure with `n` mutations, or some more.
pub async fn run(bench: &mut Bench<'_>, n: u64) -> Result<(), Failure> {
    let name = format!("{n} mutations, {SUBSCRIBERS} subscribers");
    let budget = ("BENCH_OUTCOME_BYTES_MAX", (n * OUTCOME_BYTES_A_MUTATION).to_string());
    let server = ServerProcess::start_with(bench.folder, Some(budget))?;
    server.seed().await?;
    let mut ledger = Ledger::new();
    let queries = (0..SUBSCRIBERS).map(|account| ("accounts:get_account", format!(r#"{{"id":{account}}}"#))).collect();
    let balance = |ledger: &Ledger, session: usize| ledger.balance(session as u32);
    let mut sessions = Sessions::open(server.address(), queries, |session| balance(&ledger, session)).await?;
    let (mut n_done, mut sizes) = (0, Vec::new());
    for part in 1..=PARTS {
        loop {
            let round = transfer(&server, &mut ledger, bench.next_seed(), VISIT).await?;
            n_done += round.tally.answered;
            if round.tally.failed > 0 {
                add_failures(bench, &name, round.tally);
            }
            if n_done >= n * part / PARTS {
                break;
            }
        }
        sessions.wait_for(|session| balance(&ledger, session)).await?;
        let size = Size::of(&server)?;
        eprintln!("{name}, after {n_done}: {:.0} MB of memory, {:.0} MB of files", size.memory, size.files);
        sizes.push(size);
    }
    if sessions.n_results() < SUBSCRIBERS {
        return Err(Failure::new(format!("{SUBSCRIBERS} subscribers were sent {} results", sessions.n_results())));
    }
    ledger.check(&mut HttpClient::open(server.address()).await?).await?;
    let (first, last) = sizes.split_at(sizes.len() / 2);
    let half = "the most in the first half";
    let most = |sizes: &[Size], of: fn(&Size) -> f64| vec![sizes.iter().map(of).fold(0.0, f64::max)];
    let mut line = |quantity, of: fn(&Size) -> f64| {
        bench.table.add(&name, Quantity::cost(quantity), most(last, of), most(first, of), half);
    };
    line("most memory in the second half, MB", |size| size.memory);
    line("largest files in the second half, MB", |size| size.files);
    Ok(())
}
