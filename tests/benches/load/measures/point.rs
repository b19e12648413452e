//! A hot point query, one in flight per client: over WebSocket as a query set that has another query each time, beside
//! an echo of as long messages, and over HTTP beside a bare HTTP server.

use std::net::SocketAddr;
use std::sync::Arc;

use tokio::task::JoinSet;

use super::super::client::{self, BALANCE, Client, WATCH_BUFFER};
use super::super::clock::{bounded, now};
use super::super::failure::Failure;
use super::super::http::HttpClient;
use super::super::limits::{Kind, Limit};
use super::super::table::Quantity;
use super::super::window::{Seen, Window};
use super::calls::each;
use super::{Bench, CONNECTIONS};

/// The account that everybody asks for.
const HOT: u32 = 4;

const PATH: &str = "/api/query?format=json";

/// How the query is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    WebSocket,
    Http,
}

/// What answers must hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Expected {
    /// The account with this balance.
    Balance(i64),
    /// Anything: it is a limit that answers.
    Anything,
}

/// A process that answers.
#[derive(Clone, Copy)]
struct Target {
    way: Way,
    address: SocketAddr,
    pid: u32,
    expected: Expected,
}

/// Answers of one client or of all.
#[derive(Clone, Copy, Default)]
struct Answers {
    n: u64,
    bytes: u64,
}

/// The measure.
pub async fn run(bench: &mut Bench<'_>) -> Result<(), Failure> {
    let ways = [
        (Way::WebSocket, Kind::Echo, "an echo of as long messages", "WebSocket"),
        (Way::Http, Kind::HttpEcho, "bare axum, as long messages", "HTTP"),
    ];
    for (way, kind, is, shown) in ways {
        let name = format!("hot point query, {shown} {CONNECTIONS} x 1");
        let expected = Expected::Balance(bench.ledger.balance(HOT));
        let ours = Target { way, address: bench.server.address(), pid: bench.server.pid(), expected };
        let (mut seen, mut limit, mut process) = (Vec::new(), Vec::new(), None);
        for n in 1..=bench.rounds {
            let (round, answers) = round(bench, ours).await.map_err(|failure| failure.during(&name))?;
            eprintln!("{name}, round {n}: {:.0}/s", round.per_second);
            let reply_bytes = usize::try_from(answers.bytes / answers.n.max(1)).unwrap_or(0);
            let process = match &mut process {
                Some(process) => process,
                None => process.insert(Limit { kind, reply_bytes }.start()?),
            };
            let bare = Target { way, address: process.address(), pid: process.pid(), expected: Expected::Anything };
            limit.push(self::round(bench, bare).await.map_err(|failure| failure.during(is))?.0);
            seen.push(round);
        }
        let mut line = |quantity, figure: fn(&Seen) -> f64| {
            bench.table.add(&name, quantity, each(&seen, figure), each(&limit, figure), is);
        };
        line(Quantity::rate("queries/s"), |seen| seen.per_second);
        line(Quantity::cost("p50, us"), |seen| seen.p50);
        line(Quantity::cost("p99, us"), |seen| seen.p99);
        line(Quantity::cost("server CPU, us/query"), |seen| seen.server_cpu);
        bench.table.add_plain(&name, "client CPU, us/query", each(&seen, |seen| seen.client_cpu));
    }
    Ok(())
}

async fn round(bench: &Bench<'_>, target: Target) -> Result<(Seen, Answers), Failure> {
    let window = Arc::new(Window::new()?);
    let mut clients = JoinSet::new();
    for _ in 0..CONNECTIONS {
        let window = Arc::clone(&window);
        match target.way {
            Way::WebSocket => {
                let client = bounded("opening a socket", open(target)).await?;
                clients.spawn(ask_over_websocket(client, target.expected, window));
            }
            Way::Http => {
                let client = bounded("connecting", HttpClient::open(target.address)).await?;
                clients.spawn(ask_over_http(client, target.expected, window));
            }
        }
    }
    let seen = window.watch(target.pid, bench.length).await;
    window.close();
    let mut answers = Answers::default();
    bounded("waiting for the last answers", async {
        while let Some(ended) = clients.join_next().await {
            let client = ended??;
            answers = Answers { n: answers.n + client.n, bytes: answers.bytes + client.bytes };
        }
        Ok(())
    })
    .await?;
    Ok((seen?, answers))
}

/// A socket; on ours a session with the query numbered 0.
async fn open(target: Target) -> Result<Client, Failure> {
    let Expected::Balance(_) = target.expected else {
        return Client::open(target.address, "/", WATCH_BUFFER).await;
    };
    let query = ("accounts:get_account", format!(r#"{{"id":{HOT}}}"#));
    let mut client = Client::open_session(target.address, &[query], WATCH_BUFFER).await?;
    client.until(|payload| Ok(client::results(payload)? > 0)).await?;
    Ok(client)
}

/// Each message takes the last query out of the set and puts the same one in under another number: as two one-shot
/// queries of an official client do where one ends and the next begins.
async fn ask_over_websocket(mut client: Client, expected: Expected, window: Arc<Window>) -> Result<Answers, Failure> {
    let (mut answers, mut latencies, mut number) = (Answers::default(), Vec::with_capacity(1), 0_u64);
    while window.goes_on() {
        let (last, next) = (number, number + 1);
        number = next;
        let message = format!(
            r#"{{"type":"ModifyQuerySet","baseVersion":{next},"newVersion":{},"modifications":[{{"type":"Remove","queryId":{last}}},{{"type":"Add","queryId":{next},"udfPath":"accounts:get_account","args":[{{"id":{HOT}}}],"journal":null}}]}}"#,
            next + 1
        );
        client.push_text(message.as_bytes());
        let sent = now();
        client.flush().await?;
        client
            .until(|payload| {
                let Expected::Balance(balance) = expected else {
                    answers.bytes += payload.len() as u64;
                    return Ok(true);
                };
                client::hear(payload)?;
                if client::results(payload)? == 0 {
                    return Ok(false);
                }
                answers.bytes += payload.len() as u64;
                if has_account(payload, balance) && has_query(payload, next) {
                    return Ok(true);
                }
                let found = String::from_utf8_lossy(payload);
                Err(Failure::new(format!("query {next} has to hold {balance}; the server sent {found}")))
            })
            .await?;
        latencies.push(sent.elapsed());
        answers.n += 1;
        window.record(&mut latencies);
    }
    Ok(answers)
}

async fn ask_over_http(mut client: HttpClient, expected: Expected, window: Arc<Window>) -> Result<Answers, Failure> {
    let body = format!(r#"{{"path":"accounts:get_account","args":{{"id":{HOT}}}}}"#);
    let (mut answers, mut latencies) = (Answers::default(), Vec::with_capacity(1));
    while window.goes_on() {
        let sent = now();
        let answer = client.post(PATH, body.as_bytes()).await?;
        latencies.push(sent.elapsed());
        if let Expected::Balance(balance) = expected
            && !has_account(answer, balance)
        {
            let found = String::from_utf8_lossy(answer);
            return Err(Failure::new(format!("the answer has to hold {balance}; it was {found}")));
        }
        answers.n += 1;
        answers.bytes += answer.len() as u64;
        window.record(&mut latencies);
    }
    Ok(answers)
}

fn has_account(payload: &[u8], balance: i64) -> bool {
    client::number_after(payload, BALANCE) == Some(balance)
}

/// Whether the result is of the query of this number.
fn has_query(payload: &[u8], number: u64) -> bool {
    let at = client::find(payload, client::QUERY_UPDATED).unwrap_or(0);
    client::number_after(&payload[at..], br#""queryId":"#) == i64::try_from(number).ok()
}
