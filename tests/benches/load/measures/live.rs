//! Transfers at full speed while many live queries on accounts that no transfer touches are registered, beside the same
//! without them. On a server of its own, which has those accounts beside the others.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::Notify;
use tokio::task::JoinSet;

use super::super::client::{self, BALANCE, Client, WATCH_BUFFER};
use super::super::clock::bounded;
use super::super::closed_loop::Round;
use super::super::failure::Failure;
use super::super::http::HttpClient;
use super::super::ledger::Ledger;
use super::super::server_process::ServerProcess;
use super::super::table::Quantity;
use super::super::workload::{ACCOUNTS, INITIAL_BALANCE, Transfer};
use super::calls::{DEPTH, add_failures, each, transfer};
use super::{Bench, CONNECTIONS};

/// Live queries, each number beside none.
const LIVE: [usize; 3] = [5_000, 50_000, 200_000];

/// Queries of one session: half of what one may have. Each number of [`LIVE`] is a multiple of it.
const QUERIES_A_SESSION: usize = 5_000;

/// The measure.
pub async fn run(bench: &mut Bench<'_>) -> Result<(), Failure> {
    let server = ServerProcess::start(bench.folder)?;
    server.seed_accounts(ACCOUNTS + LIVE[LIVE.len() - 1] as u32).await?;
    let mut ledger = Ledger::new();
    let (mut plain, mut live) = (Vec::new(), LIVE.map(|_| Vec::new()));
    for n in 1..=bench.rounds {
        plain.push(transfer(&server, &mut ledger, bench.next_seed(), bench.length).await?);
        let mut watchers = Watchers::new(server.address());
        for (rounds, n_live) in live.iter_mut().zip(LIVE) {
            watchers.grow(n_live).await?;
            let round = transfer(&server, &mut ledger, bench.next_seed(), bench.length).await?;
            watchers.check().await?;
            eprintln!(
                "{n_live} live queries, round {n}: {:.1} us/transfer beside {:.1}",
                round.seen.server_cpu,
                plain[n - 1].seen.server_cpu
            );
            rounds.push(round);
        }
    }
    let none = "the same with no live query";
    for (rounds, n_live) in live.into_iter().zip(LIVE) {
        let name = format!("{CONNECTIONS} x {DEPTH}, {n_live} live queries on other keys");
        let mut line = |quantity, figure: fn(&Round) -> f64| {
            bench.table.add(&name, quantity, each(&rounds, figure), each(&plain, figure), none);
        };
        line(Quantity::cost("server CPU, us/transfer"), |round| round.seen.server_cpu);
        line(Quantity::rate("transfers/s"), |round| round.seen.per_second);
        for round in rounds.into_iter().filter(|round| round.tally.failed > 0) {
            add_failures(bench, &name, round.tally);
        }
    }
    ledger.check(&mut HttpClient::open(server.address()).await?).await
}

/// Sessions that watch one account with each of their queries. They go when this is dropped.
struct Watchers {
    address: SocketAddr,
    sessions: JoinSet<Result<(), Failure>>,
    heard: Arc<Heard>,
}

/// What all watchers together have heard since their first results.
#[derive(Default)]
struct Heard {
    n_results: AtomicUsize,
    more: Notify,
}

impl Watchers {
    fn new(address: SocketAddr) -> Self {
        Watchers { address, sessions: JoinSet::new(), heard: Arc::default() }
    }

    /// Opens sessions until there are so many live queries; each has its first result when this returns.
    async fn grow(&mut self, n_live: usize) -> Result<(), Failure> {
        while self.sessions.len() * QUERIES_A_SESSION < n_live {
            let first = first_account(self.sessions.len());
            let opening = subscribed(self.address, first);
            let client = bounded("registering live queries", opening).await?;
            self.sessions.spawn(listen(client, Arc::clone(&self.heard)));
        }
        Ok(())
    }

    /// Fails when a query ran again that nothing touched, or when a session is not told of a write to an account it
    /// watches.
    async fn check(&mut self) -> Result<(), Failure> {
        if let Some(ended) = self.sessions.try_join_next() {
            return Err(ended?.err().unwrap_or_else(|| Failure::new("a session with live queries has ended")));
        }
        let n_stray = self.heard.n_results.load(Ordering::Relaxed);
        if n_stray > 0 {
            return Err(Failure::new(format!("{n_stray} results came for accounts that no transfer touches")));
        }
        let mut http = HttpClient::open(self.address).await?;
        let mut body = Vec::new();
        for session in 0..self.sessions.len() {
            let from = first_account(session);
            Transfer { from, to: from + 1 }.write_body(&mut body);
            let answer = http.post("/api/mutation?format=json", &body).await?;
            if !answer.starts_with(br#"{"status":"success""#) {
                return Err(Failure::new(String::from_utf8_lossy(answer)));
            }
        }
        // One for the account that gives and one for the account that takes.
        let n_expected = 2 * self.sessions.len();
        bounded("waiting until live queries are told of a write", async {
            while self.heard.n_results.load(Ordering::Relaxed) < n_expected {
                self.heard.more.notified().await;
            }
            Ok(())
        })
        .await?;
        self.heard.n_results.store(0, Ordering::Relaxed);
        Ok(())
    }
}

/// Of the accounts that a session watches.
fn first_account(session: usize) -> u32 {
    ACCOUNTS + (session * QUERIES_A_SESSION) as u32
}

/// A session that has had the results of all its queries.
async fn subscribed(address: SocketAddr, first: u32) -> Result<Client, Failure> {
    let queries: Vec<(&str, String)> = (first..first + QUERIES_A_SESSION as u32)
        .map(|account| ("accounts:get_account", format!(r#"{{"id":{account}}}"#)))
        .collect();
    let mut client = Client::open_session(address, &queries, WATCH_BUFFER).await?;
    let (mut n_results, mut n_balances, mut sum) = (0, 0, 0);
    client
        .until(|payload| {
            n_results += client::results(payload)?;
            let (n, balances) = client::sum_after(payload, BALANCE);
            (n_balances, sum) = (n_balances + n, sum + balances);
            Ok(n_results >= QUERIES_A_SESSION)
        })
        .await?;
    let expected = (QUERIES_A_SESSION, QUERIES_A_SESSION as i64 * INITIAL_BALANCE);
    if (n_balances, sum) == expected {
        Ok(client)
    } else {
        Err(Failure::new(format!("live queries began with {n_balances} accounts that hold {sum}, not {expected:?}")))
    }
}

/// Counts results, for ever.
async fn listen(mut client: Client, heard: Arc<Heard>) -> Result<(), Failure> {
    client
        .until(|payload| {
            let n = client::results(payload)?;
            if n > 0 {
                heard.n_results.fetch_add(n, Ordering::Relaxed);
                heard.more.notify_one();
            }
            Ok(false)
        })
        .await
}
