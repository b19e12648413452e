//! The official Rust client, unmodified, against a server process: subscribe, mutate, see the update, values, errors
//! with data, paging, auth, and a server that is killed under it.
//!
//! Its messages come from `convex_sync_types`, so everything the server sends here was also decoded by code nobody here
//! wrote.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use convex::{
    AuthTokenFetcher, AuthenticationToken, ConvexClient, ConvexError, FunctionResult, QuerySubscription, Value,
};
use futures::StreamExt;
use serde_json::json;
use tempfile::TempDir;

use crate::process::Process;

/// How long anything may take; machines are shared.
const PATIENCE: Duration = Duration::from_secs(30);

/// Mutations that run while the server is killed.
const N_UNDER_FIRE: u32 = 200;

/// A server of a test's own, with its data.
struct Server {
    process: Process,
    data: TempDir,
}

impl Server {
    fn start() -> Self {
        let data = tempfile::tempdir().expect("a folder");
        Server { process: Process::start(data.path()), data }
    }

    fn url(&self) -> String {
        format!("http://{}", self.process.address())
    }

    /// Kills it and starts another one in its place.
    fn restart(&mut self) {
        assert!(!self.process.has_ended(), "it lives until it is killed");
        self.process.kill();
        self.process = Process::start_on(self.data.path(), self.process.address().port());
    }

    async fn client(&self) -> ConvexClient {
        ConvexClient::new(&self.url()).await.expect("an address the client takes")
    }

    /// A token of the development issuer.
    async fn token(&self, subject: &str) -> String {
        mint(&self.url(), subject).await
    }
}

async fn mint(url: &str, subject: &str) -> String {
    let request = reqwest::Client::new().post(format!("{url}/dev-issuer/token")).json(&json!({"subject": subject}));
    let answer: serde_json::Value = request.send().await.expect("an answer").json().await.expect("JSON");
    answer["token"].as_str().expect("a token").to_owned()
}

fn args<const N: usize>(pairs: [(&str, Value); N]) -> BTreeMap<String, Value> {
    pairs.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}

fn object<const N: usize>(pairs: [(&str, Value); N]) -> Value {
    Value::Object(args(pairs))
}

fn row(list: &str, rank: f64, text: &str) -> BTreeMap<String, Value> {
    args([("list", list.into()), ("rank", rank.into()), ("text", text.into())])
}

#[track_caller]
fn value(result: FunctionResult) -> Value {
    match result {
        FunctionResult::Value(value) => value,
        failed => panic!("a value was expected: {failed:?}"),
    }
}

#[track_caller]
fn convex_error(result: FunctionResult) -> ConvexError {
    match result {
        FunctionResult::ConvexError(error) => error,
        other => panic!("an error with data was expected: {other:?}"),
    }
}

fn field<'a>(value: &'a Value, name: &str) -> &'a Value {
    match value {
        Value::Object(fields) => fields.get(name).unwrap_or(&Value::Null),
        _ => &Value::Null,
    }
}

/// A field of each row, in their order.
fn each(rows: &Value, name: &str) -> Vec<Value> {
    match rows {
        Value::Array(rows) => rows.iter().map(|row| field(row, name).clone()).collect(),
        other => panic!("rows were expected: {other:?}"),
    }
}

fn numbers(numbers: &[f64]) -> Vec<Value> {
    numbers.iter().copied().map(Value::Float64).collect()
}

/// The first result that fits.
async fn until(told: &mut QuerySubscription, fits: impl Fn(&FunctionResult) -> bool) -> FunctionResult {
    let mut last = None;
    let waiting = async {
        loop {
            let result = told.next().await.expect("the client lives");
            if fits(&result) {
                return result;
            }
            last = Some(result);
        }
    };
    match tokio::time::timeout(PATIENCE, waiting).await {
        Ok(result) => result,
        Err(_) => panic!("not told what was waited for; last was {last:?}"),
    }
}

async fn until_value(told: &mut QuerySubscription, fits: impl Fn(&Value) -> bool) -> Value {
    value(until(told, |result| matches!(result, FunctionResult::Value(value) if fits(value))).await)
}

async fn bounded<T>(what: &str, work: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, work).await.unwrap_or_else(|_| panic!("{what}: no answer"))
}

/// spec: S119
#[tokio::test]
async fn rust_clients_see_what_each_other_writes() {
    let server = Server::start();
    let (mut reader, mut writer) = (server.client().await, server.client().await);
    let mut told = reader.subscribe("items:list", args([("list", "seen".into())])).await.expect("a subscription");
    until_value(&mut told, |rows| each(rows, "_id").is_empty()).await;
    let id = value(bounded("add", writer.mutation("items:add", row("seen", 1.0, "hello"))).await.expect("a result"));
    let rows = until_value(&mut told, |rows| each(rows, "_id").len() == 1).await;
    assert_eq!((each(&rows, "_id"), each(&rows, "text")), (vec![id], vec!["hello".into()]));
    let remove = writer.mutation("items:remove", args([("list", "seen".into()), ("rank", 1.0.into())]));
    assert_eq!(value(bounded("remove", remove).await.expect("a result")), true.into());
    until_value(&mut told, |rows| each(rows, "_id").is_empty()).await;
}

#[tokio::test]
async fn rust_values_come_back_as_they_went() {
    let server = Server::start();
    let sent = object([
        ("nothing", Value::Null),
        ("truth", Value::Array(vec![true.into(), false.into()])),
        (
            "numbers",
            Value::Array(numbers(&[0.0, -0.0, 1.5, f64::INFINITY, f64::NEG_INFINITY, -1e300, f64::MIN_POSITIVE])),
        ),
        ("integers", Value::Array(vec![i64::MAX.into(), i64::MIN.into(), 0.into()])),
        ("text", Value::Array(vec!["".into(), "é".into(), "😀".into()])),
        ("bytes", Value::Bytes(vec![0, 1, 255])),
        ("nested", Value::Array(vec![Value::Array(Vec::new()), object([("deep", object([]))])])),
    ]);
    let echoed = server.client().await.action("actions:echo", args([("value", sent.clone())])).await;
    assert_eq!(value(echoed.expect("a result")), sent);
}

/// The arguments of a call are one level of their own.
const NESTING_MAX_OF_AN_ARGUMENT: u64 = 62;

/// spec: D135
#[tokio::test]
async fn rust_clients_get_every_vector_back_equal() {
    let file: serde_json::Value =
        serde_json::from_str(include_str!("../vectors/values.json")).expect("the vectors are JSON");
    let server = Server::start();
    let mut client = server.client().await;
    let mut n_vectors = 0;
    for vector in file["vectors"].as_array().expect("a list of vectors") {
        let nesting = vector["server"]["nesting"].as_u64().unwrap_or(u64::MAX);
        let Some(raw) = vector["raw"].as_str() else { continue };
        let parsed = serde_json::from_str::<serde_json::Value>(raw).ok().and_then(|json| Value::try_from(json).ok());
        // What this client cannot represent is not its to send.
        let Some(sent) = parsed.filter(|_| vector["decodes"] == "ok" && nesting <= NESTING_MAX_OF_AN_ARGUMENT) else {
            continue;
        };
        let args = || args([("value", sent.clone())]);
        let echoed = [
            bounded("query", client.query("values:asked", args())).await,
            bounded("mutation", client.mutation("values:told", args())).await,
            bounded("action", client.action("actions:echo", args())).await,
        ];
        for echoed in echoed {
            assert_eq!(value(echoed.expect("a result")), sent, "{}", vector["id"]);
        }
        n_vectors += 1;
    }
    assert!(n_vectors > 50, "{n_vectors} vectors");
}

#[tokio::test]
async fn rust_errors_carry_their_data() {
    let server = Server::start();
    let mut client = server.client().await;
    let data = object([("code", "FULL".into()), ("seats", Value::Array(vec![1.0.into(), Value::Null]))]);
    let with_data = || args([("data", data.clone())]);
    let query = bounded("query", client.query("errors:withData", with_data())).await.expect("a result");
    assert_eq!(convex_error(query).data, data);
    let action = bounded("action", client.action("actions:fail", with_data())).await.expect("a result");
    assert_eq!(convex_error(action).data, data);
    let mut failing = with_data();
    failing.insert("list".to_owned(), "undone".into());
    let mutation = bounded("mutation", client.mutation("errors:addThenFail", failing)).await.expect("a result");
    assert_eq!(convex_error(mutation).data, data);
    let rows = bounded("list", client.query("items:list", args([("list", "undone".into())]))).await;
    assert_eq!(value(rows.expect("a result")), Value::Array(Vec::new()), "a mutation that failed left nothing");
}

/// The client completes a mutation that failed with data at the next Transition, not at its answer.
#[tokio::test]
async fn a_rust_client_without_queries_learns_of_a_failure_with_data() {
    let server = Server::start();
    let mut client = server.client().await;
    let failing = args([("list", "alone".into()), ("data", "full".into())]);
    let mutation = bounded("mutation", client.mutation("errors:addThenFail", failing)).await.expect("a result");
    assert_eq!(convex_error(mutation).data, "full".into());
}

#[tokio::test]
async fn rust_plain_errors_tell_their_message() {
    let server = Server::start();
    let mut client = server.client().await;
    let failed = bounded("query", client.query("errors:plain", args([]))).await.expect("a result");
    let FunctionResult::ErrorMessage(message) = failed else { panic!("a message was expected: {failed:?}") };
    assert!(message.contains("this query always fails"), "{message}");
    let missing = bounded("mutation", client.mutation("nowhere:nothing", args([]))).await.expect("a result");
    let FunctionResult::ErrorMessage(message) = missing else { panic!("a message was expected: {missing:?}") };
    assert!(message.contains("Could not find public function for 'nowhere:nothing'"), "{message}");
    let after = bounded("query", client.query("counter:get", args([("name", "after".into())]))).await;
    assert_eq!(value(after.expect("a result")), 0.0.into());
}

fn page_args(list: &str, cursor: Value) -> BTreeMap<String, Value> {
    args([("list", list.into()), ("paginationOpts", object([("numItems", 3.0.into()), ("cursor", cursor)]))])
}

#[tokio::test]
async fn rust_pages_follow_one_another_and_keep_their_borders() {
    let server = Server::start();
    let (mut reader, mut writer) = (server.client().await, server.client().await);
    for rank in 1..=7_u8 {
        value(writer.mutation("items:add", row("pages", f64::from(rank), "")).await.expect("a result"));
    }
    let mut first = reader.subscribe("items:page", page_args("pages", Value::Null)).await.expect("a subscription");
    let page = until_value(&mut first, |page| each(field(page, "page"), "rank") == numbers(&[1.0, 2.0, 3.0])).await;
    let cursor = field(&page, "continueCursor").clone();
    let mut second = reader.subscribe("items:page", page_args("pages", cursor)).await.expect("a subscription");
    until_value(&mut second, |page| each(field(page, "page"), "rank") == numbers(&[4.0, 5.0, 6.0])).await;
    // A row comes into the middle of the first page and one goes from it: the second neither repeats nor misses one.
    value(writer.mutation("items:add", row("pages", 2.5, "")).await.expect("a result"));
    until_value(&mut first, |page| each(field(page, "page"), "rank") == numbers(&[1.0, 2.0, 2.5, 3.0])).await;
    let gone = args([("list", "pages".into()), ("rank", 2.0.into())]);
    assert_eq!(value(writer.mutation("items:remove", gone).await.expect("a result")), true.into());
    let page = until_value(&mut first, |page| each(field(page, "page"), "rank") == numbers(&[1.0, 2.5, 3.0])).await;
    let again = page_args("pages", field(&page, "continueCursor").clone());
    let after = value(reader.query("items:page", again).await.expect("a result"));
    assert_eq!(each(field(&after, "page"), "rank"), numbers(&[4.0, 5.0, 6.0]));
}

/// spec: A55, A68
#[tokio::test]
async fn rust_auth_is_set_changed_and_cleared() {
    let server = Server::start();
    let mut client = server.client().await;
    let mut told = client.subscribe("auth:whoami", args([])).await.expect("a subscription");
    until_value(&mut told, |me| *me == Value::Null).await;
    for subject in ["user_ada", "user_bob"] {
        client.set_auth(Some(server.token(subject).await)).await;
        until_value(&mut told, |me| *field(me, "subject") == subject.into()).await;
        let signed = bounded("sign", client.mutation("auth:sign", args([]))).await.expect("a result");
        assert_eq!(value(signed), subject.into());
    }
    client.set_auth(None).await;
    until_value(&mut told, |me| *me == Value::Null).await;
    assert_eq!(value(client.mutation("auth:sign", args([])).await.expect("a result")), Value::Null);
}

/// The client asks for a fresh token when it comes back, and everything it watched is there again under it.
#[tokio::test]
async fn a_rust_client_comes_back_with_a_fresh_token_after_a_kill() {
    let mut server = Server::start();
    let mut client = server.client().await;
    let mut told = client.subscribe("auth:whoami", args([])).await.expect("a subscription");
    let n_fetched = Arc::new(AtomicU32::new(0));
    let (url, counter) = (server.url(), n_fetched.clone());
    let fetcher: AuthTokenFetcher = Box::new(move |_force_refresh| {
        let (url, n) = (url.clone(), counter.fetch_add(1, Ordering::SeqCst));
        Box::pin(async move { Ok(AuthenticationToken::User(mint(&url, &format!("user_{n}")).await)) })
    });
    client.set_auth_callback(Some(fetcher)).await;
    until_value(&mut told, |me| *field(me, "subject") == "user_0".into()).await;
    server.restart();
    until_value(&mut told, |me| *field(me, "subject") == "user_1".into()).await;
}

/// This client takes a new session id for each connection: what was in flight may happen twice, but nothing that was
/// acknowledged is lost, and every call ends. One that it was about to send when the connection ended it gives up itself.
///
/// spec: S77
#[tokio::test]
async fn rust_mutations_in_flight_outlive_a_killed_server() {
    let mut server = Server::start();
    let (client, mut watcher) = (server.client().await, server.client().await);
    let name = || args([("name", "kept".into())]);
    let mut told = watcher.subscribe("counter:get", name()).await.expect("a subscription");
    let mut calls = tokio::task::JoinSet::new();
    for _ in 0..N_UNDER_FIRE {
        let (mut client, mut args) = (client.clone(), name());
        args.insert("by".to_owned(), 1.0.into());
        calls.spawn(async move { client.mutation("counter:increment", args).await });
    }
    until_value(&mut told, |count| matches!(count, Value::Float64(count) if *count >= 1.0)).await;
    server.restart();
    let mut acknowledged = 0.0;
    bounded("all calls", async {
        while let Some(call) = calls.join_next().await {
            match call.expect("no panic") {
                Ok(result) => {
                    value(result);
                    acknowledged += 1.0;
                }
                Err(error) => assert_eq!(error.to_string(), "channel closed"),
            }
        }
    })
    .await;
    // Not asked by a client that may not know yet that its connection has ended.
    let mut newcomer = server.client().await;
    let Value::Float64(count) = value(newcomer.query("counter:get", name()).await.expect("a result")) else {
        panic!("a number was expected")
    };
    assert!(acknowledged >= 1.0 && count >= acknowledged, "{acknowledged} were acknowledged, {count} are there");
    until_value(&mut told, |told| *told == count.into()).await;
}
