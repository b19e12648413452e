//! Those who look on while others call: `npx convex logs`, and the dashboard of the server.
//!
//! They ask what the tools ask, as often as those do, and read the answers without making anything of them.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::task::JoinSet;

use super::client::{Client, WATCH_BUFFER, find};
use super::clock::bounded;
use super::failure::Failure;
use super::http::HttpClient;

/// How often the dashboard's pages ask for what lives in memory only. Source: `runtime/dashboard/src/pages`.
const POLL_EVERY: Duration = Duration::from_secs(1);

/// What the pages of the dashboard ask for over and over.
const POLLED: [&str; 2] = ["/api/syncline/health", "/api/syncline/live_queries"];

/// What the dashboard is subscribed to where it shows functions, tables and the log.
const SUBSCRIBED: [(&str, &str); 3] = [
    ("_system/cli/modules:apiSpec", "{}"),
    ("_system/cli/tables", r#"{"paginationOpts":{"cursor":null,"numItems":1000}}"#),
    ("_system/frontend/getSchemas", r#"{"componentId":null}"#),
];

/// What the page of a table is subscribed to beside that.
const DOCUMENTS: (&str, &str) = (
    "_system/frontend/paginatedTableDocuments",
    r#"{"table":"accounts","filters":null,"componentId":null,"paginationOpts":{"cursor":null,"numItems":50}}"#,
);

/// How it asks how many documents a large table has, and how often.
const COUNT: &str = "/api/query?path=_system/syncline/tableSize&args=%7B%22tableName%22:%22accounts%22%7D&format=json";
const COUNT_EVERY: Duration = Duration::from_secs(3);

/// Which pages of the dashboard are open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pages {
    /// Health, Logs and Live queries.
    Figures,
    /// Those, and a table that all calls write to.
    FiguresAndData,
}

/// All of them; they go when this is dropped.
pub struct Observers {
    tasks: JoinSet<Result<(), Failure>>,
}

impl Observers {
    /// Starts a follower of the log and a dashboard. Each has had its first answer when this returns.
    pub async fn start(address: SocketAddr, pages: Pages) -> Result<Self, Failure> {
        let key = admin_key(address).await?;
        let mut tasks = JoinSet::new();
        // One is the tool in a terminal, the other the page of the dashboard.
        for _ in 0..2 {
            let http = HttpClient::open(address).await?;
            tasks.spawn(follow(http, key.clone()));
        }
        for path in POLLED {
            let http = HttpClient::open(address).await?;
            tasks.spawn(poll(http, format!("{path}?adminKey={}", escaped(&key)), POLL_EVERY));
        }
        let mut queries = SUBSCRIBED.to_vec();
        if pages == Pages::FiguresAndData {
            queries.push(DOCUMENTS);
            let http = HttpClient::open(address).await?;
            tasks.spawn(poll(http, format!("{COUNT}&adminKey={}", escaped(&key)), COUNT_EVERY));
        }
        let socket = bounded("subscribing as the dashboard", subscribe(address, &key, &queries)).await?;
        tasks.spawn(listen(socket));
        Ok(Observers { tasks })
    }

    /// Fails when one of them has ended: then nobody was looking on.
    pub fn check(mut self) -> Result<(), Failure> {
        match self.tasks.try_join_next() {
            None => Ok(()),
            Some(ended) => Err(ended?.err().unwrap_or_else(|| Failure::new("an observer has ended"))),
        }
    }
}

/// The key as the server gives it to the dashboard of whoever develops on this machine.
async fn admin_key(address: SocketAddr) -> Result<String, Failure> {
    let mut http = HttpClient::open(address).await?;
    let answer: serde_json::Value = serde_json::from_slice(http.get("/dashboard/key").await?)
        .map_err(|error| Failure::new(format!("the admin key: {error}")))?;
    let key = answer["adminKey"].as_str().map(str::to_owned);
    key.ok_or_else(|| Failure::new(format!("no admin key in {answer}")))
}

/// A key as part of an address.
fn escaped(key: &str) -> String {
    key.replace('|', "%7C")
}

/// One long poll after the other, each from where the one before ended.
async fn follow(mut http: HttpClient, key: String) -> Result<(), Failure> {
    let mut cursor = "0".to_owned();
    loop {
        let path = format!("/api/stream_function_logs?cursor={cursor}&adminKey={}", escaped(&key));
        let answer = http.get(&path).await?;
        // The last member of the answer.
        const NAME: &[u8] = br#""newCursor":"#;
        let tail = &answer[answer.len().saturating_sub(64)..];
        let at = find(tail, NAME).ok_or_else(|| Failure::new("an answer of the log without its cursor"))?;
        cursor = String::from_utf8_lossy(&tail[at + NAME.len()..]).trim_end_matches('}').to_owned();
    }
}

async fn poll(mut http: HttpClient, path: String, every: Duration) -> Result<(), Failure> {
    loop {
        http.get(&path).await?;
        tokio::time::sleep(every).await;
    }
}

async fn subscribe(address: SocketAddr, key: &str, queries: &[(&str, &str)]) -> Result<Client, Failure> {
    let first = format!(r#"{{"type":"Authenticate","baseVersion":0,"tokenType":"Admin","value":"{key}"}}"#);
    let queries: Vec<(&str, String)> = queries.iter().map(|(path, args)| (*path, (*args).to_owned())).collect();
    let mut client = Client::open_session_as(address, Some(&first), &queries, WATCH_BUFFER).await?;
    let is_answered = |payload: &[u8]| match find(payload, br#""QueryFailed""#) {
        None => Ok(find(payload, br#""QueryUpdated""#).is_some()),
        Some(_) => Err(Failure::new(String::from_utf8_lossy(payload))),
    };
    client.until(is_answered).await?;
    Ok(client)
}

/// Takes what comes, for ever.
async fn listen(mut client: Client) -> Result<(), Failure> {
    client.until(|_| Ok(false)).await
}
