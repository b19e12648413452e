//! A reconnect storm: all sessions of a server connect at once, say who they are and subscribe. Beside as many bare
//! sockets that connect, upgrade and have one message each way.

use std::net::SocketAddr;

use futures::{StreamExt, TryStreamExt};

use super::super::client::{self, BALANCE, Client, WATCH_BUFFER};
use super::super::clock::{bounded, now};
use super::super::failure::Failure;
use super::super::http::HttpClient;
use super::super::limits::{Kind, Limit};
use super::super::machine;
use super::super::table::Quantity;
use super::super::workload::ACCOUNTS;
use super::Bench;
use super::calls::each;

/// Sessions of a storm.
const SESSIONS: usize = 2_000;

/// Accounts that each session watches, its own; one more query asks who it is.
const ACCOUNTS_EACH: u32 = 9;

/// Length of a message to a bare socket: about that of a session's three first messages.
const BARE_MESSAGE: [u8; 2_000] = [b'x'; 2_000];

/// Length of the answer of a bare socket: about that of a session's first Transition.
const BARE_REPLY: usize = 2_000;

/// One storm.
struct Storm {
    per_second: f64,
    server_cpu: f64,
    client_cpu: f64,
}

/// The measure, with as many sessions as there may be sockets.
pub async fn run(bench: &mut Bench<'_>, sockets_max: usize) -> Result<(), Failure> {
    let n = SESSIONS.min(sockets_max);
    let name = format!("{n} sessions sign in, {} queries each", ACCOUNTS_EACH + 1);
    let tokens = bounded("minting tokens", mint(bench.server.address(), n)).await?;
    let bare_server = Limit { kind: Kind::Idle, reply_bytes: BARE_REPLY }.start()?;
    let (mut ours, mut bare) = (Vec::new(), Vec::new());
    let mut first = 0;
    for round in 1..=bench.rounds {
        let sessions = tokens.iter().enumerate().map(|(k, token)| {
            // Each storm has accounts that the one before did not ask for.
            let start = (first + k as u32 * ACCOUNTS_EACH) % (ACCOUNTS - ACCOUNTS_EACH);
            let sum = bench.ledger.sum(start..start + ACCOUNTS_EACH);
            session(bench.server.address(), Guest { number: k, token, start, sum })
        });
        let storm = storm(bench.server.pid(), sessions.collect()).await.map_err(|failure| failure.during(&name))?;
        eprintln!("{name}, round {round}: {:.0}/s", storm.per_second);
        ours.push(storm);
        let sockets = (0..n).map(|_| socket(bare_server.address())).collect();
        bare.push(self::storm(bare_server.pid(), sockets).await.map_err(|failure| failure.during("bare sockets"))?);
        first += n as u32 * ACCOUNTS_EACH;
    }
    let table = &mut bench.table;
    let is = "bare connect, upgrade and first frame";
    let mut line = |quantity, figure: fn(&Storm) -> f64| {
        table.add(&name, quantity, each(&ours, figure), each(&bare, figure), is);
    };
    line(Quantity::rate("sessions/s"), |storm| storm.per_second);
    line(Quantity::cost("server CPU, us/session"), |storm| storm.server_cpu);
    table.add_plain(&name, "client CPU, us/session", each(&ours, |storm| storm.client_cpu));
    Ok(())
}

/// A token of the development issuer for each session.
async fn mint(address: SocketAddr, n: usize) -> Result<Vec<String>, Failure> {
    let mut http = HttpClient::open(address).await?;
    let mut tokens = Vec::with_capacity(n);
    for number in 0..n {
        let body = format!(r#"{{"subject":"{}","lifetimeSeconds":3600}}"#, subject(number));
        let answer: serde_json::Value = serde_json::from_slice(http.post("/dev-issuer/token", body.as_bytes()).await?)
            .map_err(|error| Failure::new(format!("a token that is not JSON: {error}")))?;
        let token = answer["token"].as_str().ok_or_else(|| Failure::new(format!("no token in {answer}")))?;
        tokens.push(token.to_owned());
    }
    Ok(tokens)
}

fn subject(number: usize) -> String {
    format!("guest_{number}")
}

/// Starts all at once and waits for the last; they end together after that.
async fn storm<F>(pid: u32, sessions: Vec<F>) -> Result<Storm, Failure>
where
    F: Future<Output = Result<Client, Failure>>,
{
    let n = sessions.len();
    let (server_cpu, client_cpu) = (machine::cpu_time(pid)?, machine::own_cpu_time()?);
    let started = now();
    let all = futures::stream::iter(sessions).buffer_unordered(n).try_collect::<Vec<Client>>();
    let clients = bounded("waiting until all sessions have their results", all).await?;
    let seconds = started.elapsed().as_secs_f64();
    let n = clients.len() as f64;
    Ok(Storm {
        per_second: n / seconds,
        server_cpu: (machine::cpu_time(pid)? - server_cpu).as_secs_f64() * 1e6 / n,
        client_cpu: (machine::own_cpu_time()? - client_cpu).as_secs_f64() * 1e6 / n,
    })
}

/// Who comes back, and what is theirs.
struct Guest<'a> {
    number: usize,
    token: &'a str,
    /// The first of the accounts watched.
    start: u32,
    /// What those hold together.
    sum: i64,
}

/// A session that has had all its results; fails when they are not its own.
async fn session(address: SocketAddr, guest: Guest<'_>) -> Result<Client, Failure> {
    let authenticate =
        format!(r#"{{"type":"Authenticate","baseVersion":0,"tokenType":"User","value":"{}"}}"#, guest.token);
    let accounts = guest.start..guest.start + ACCOUNTS_EACH;
    let mut queries: Vec<(&str, String)> =
        accounts.map(|account| ("accounts:get_account", format!(r#"{{"id":{account}}}"#))).collect();
    queries.push(("viewer:get_subject", "{}".to_owned()));
    let mut client = Client::open_session_as(address, Some(&authenticate), &queries, WATCH_BUFFER).await?;
    let subject = format!(r#""value":"{}""#, subject(guest.number));
    let (mut n_results, mut sum, mut is_known) = (0, 0, false);
    client
        .until(|payload| {
            client::hear(payload)?;
            n_results += client::results(payload)?;
            sum += client::sum_after(payload, BALANCE).1;
            is_known |= client::find(payload, subject.as_bytes()).is_some();
            Ok(n_results >= queries.len())
        })
        .await?;
    if n_results == queries.len() && sum == guest.sum && is_known {
        Ok(client)
    } else {
        let found = format!("{n_results} results, {sum} in their accounts, signed in: {is_known}");
        Err(Failure::new(format!("{subject} has {found}; expected {}, {}, true", queries.len(), guest.sum)))
    }
}

/// A bare socket that has had its answer.
async fn socket(address: SocketAddr) -> Result<Client, Failure> {
    let mut client = Client::open(address, "/", WATCH_BUFFER).await?;
    client.push_text(&BARE_MESSAGE);
    client.flush().await?;
    client.until(|_| Ok(true)).await?;
    Ok(client)
}
