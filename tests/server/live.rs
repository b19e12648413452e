//! Live queries: who is told what, and what runs again.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use futures::FutureExt as _;
use futures::future::BoxFuture;
use serde_json::{Value, json};
use syncline::InProcess;
use syncline::clock::TokioTimer;
use syncline::config::Config;
use syncline::machine::{Machine, Spawn};
use syncline_tests::app::items::RUNS;
use syncline_tests::random::SeededRandom;
use syncline_tests::{RawClient, TestServer, app};
use tokio::runtime::Handle;
use tokio::sync::watch;

fn n_rows(n: usize) -> impl Fn(&Value) -> bool {
    move |rows| rows.as_array().is_some_and(|rows| rows.len() == n)
}

/// spec: S59, D89
#[tokio::test]
async fn a_write_is_seen_by_every_subscriber_at_once() {
    let server = TestServer::start().await;
    let mut watcher = RawClient::connect(server.address()).await;
    watcher.subscribe(0, "items:list", json!({"list": "a"})).await;
    watcher.until(0, n_rows(0)).await;

    let mut writer = RawClient::connect(server.address()).await;
    writer.subscribe(7, "items:list", json!({"list": "a"})).await;
    writer.until(7, n_rows(0)).await;
    let response = writer.mutation("items:add", json!({"list": "a", "rank": 1.0, "text": "hi"})).await;
    assert_eq!(response["success"], true);
    assert_eq!(writer.results[&7].as_array().map(Vec::len), Some(1), "the Transition behind the answer has the row");
    watcher.until(0, n_rows(1)).await;
}

/// Counts runs over the whole process: this test has the function `items:list` to itself by running alone in its own
/// process under nextest, and compares only differences that no other test of this file can cause otherwise.
///
/// spec: D89, S66
#[tokio::test]
async fn a_change_runs_each_distinct_query_once_and_an_unrelated_one_nothing() {
    let server = TestServer::start().await;
    let mut watchers = Vec::new();
    for n in 0..40u64 {
        let mut client = RawClient::connect(server.address()).await;
        client.subscribe(0, "items:list", json!({"list": if n % 2 == 0 { "even" } else { "odd" }})).await;
        client.until(0, n_rows(0)).await;
        watchers.push(client);
    }
    if std::env::var_os("NEXTEST").is_none() {
        return; // Other tests of this process run the same function.
    }
    let before = RUNS.load(Ordering::SeqCst);
    server.mutation("items:add", json!({"list": "neither", "rank": 0.0, "text": ""})).await;
    server.mutation("counter:increment", json!({"name": "c", "by": 1.0})).await;
    assert_eq!(RUNS.load(Ordering::SeqCst), before, "an unrelated write runs nothing");

    server.mutation("items:add", json!({"list": "even", "rank": 0.0, "text": ""})).await;
    for client in watchers.iter_mut().step_by(2) {
        client.until(0, n_rows(1)).await;
    }
    assert_eq!(RUNS.load(Ordering::SeqCst), before + 1, "twenty watchers, one run");
    let (known, watching) = server.running().live_counts();
    assert!(known >= 2 && watching == 40, "{known} results, {watching} watchers");
}

/// spec: S55, S56
#[tokio::test]
async fn all_results_of_a_client_are_of_one_moment() {
    let server = TestServer::start().await;
    let address = server.address();
    server.mutation("items:add", json!({"list": "left", "rank": 0.0, "text": "0"})).await;
    let mut client = RawClient::connect(address).await;
    client.subscribe(0, "counter:get", json!({"name": "pair"})).await;
    client.subscribe(1, "counter:get", json!({"name": "pair"})).await;
    let writer = tokio::spawn(async move {
        let mut writer = RawClient::connect(address).await;
        for _ in 0..100 {
            writer.mutation("counter:increment", json!({"name": "pair", "by": 1.0})).await;
        }
    });
    loop {
        client.transition().await;
        if client.results.len() == 2 {
            assert_eq!(client.results[&0], client.results[&1]);
            if client.results[&0] == json!(100.0) {
                break;
            }
        }
    }
    writer.await.expect("the writer ends");
}

/// spec: S37, S51, S52
#[tokio::test]
async fn adding_and_removing_in_one_message() {
    let server = TestServer::start().await;
    let mut client = RawClient::connect(server.address()).await;
    let add = json!({"type": "Add", "queryId": 0, "udfPath": "counter:get", "args": [{"name": "x"}]});
    let remove = json!({"type": "Remove", "queryId": 0});
    client.modify(vec![add.clone(), remove.clone()]).await;
    let transition = client.transition().await;
    assert_eq!(transition.of(0).expect("it is acknowledged")["type"], "QueryRemoved");
    client.modify(vec![add.clone()]).await;
    client.transition().await;
    client.modify(vec![remove, add]).await;
    let transition = client.transition().await;
    assert_eq!(transition.of(0).expect("the new result")["type"], "QueryUpdated");
}

/// spec: S31, D95
#[tokio::test]
async fn spellings_of_a_function_are_one_function() {
    let server = TestServer::start().await;
    let mut client = RawClient::connect(server.address()).await;
    client.subscribe(0, "counter:get", json!({"name": "x"})).await;
    client.subscribe(1, "counter.js:get", json!({"name": "x"})).await;
    client.until(0, Value::is_number).await;
    client.until(1, Value::is_number).await;
}

/// spec: S71, S72, S73
#[tokio::test]
async fn a_reconnecting_client_gets_every_result_again() {
    let server = TestServer::start().await;
    let session = uuid::Uuid::new_v4().to_string();
    let mut client = RawClient::connect_as(server.address(), &session).await;
    client.subscribe(0, "counter:get", json!({"name": "x"})).await;
    let seen = client.transition().await.ts();
    client.close().await;
    let mut client = RawClient::connect_as(server.address(), &session).await;
    client.subscribe(0, "counter:get", json!({"name": "x"})).await;
    let transition = client.transition().await;
    assert_eq!(transition.of(0).expect("an unchanged result, too")["value"], json!(0.0));
    assert!(transition.ts() >= seen);
}

/// Tasks of a server, of which some go on only while they are let.
struct Gated<G> {
    tasks: Handle,
    /// The gate of a task, by its name.
    gate: G,
}

impl<G: Fn(&str) -> Option<watch::Receiver<bool>> + Send + Sync> Spawn for Gated<G> {
    fn spawn(&self, name: &'static str, mut future: BoxFuture<'static, ()>) {
        let Some(mut is_let) = (self.gate)(name) else {
            self.tasks.spawn(future);
            return;
        };
        self.tasks.spawn(async move {
            while is_let.wait_for(|is_let| *is_let).await.is_ok() {
                tokio::select! {
                    biased;
                    _ = is_let.wait_for(|is_let| !*is_let) => {}
                    () = &mut future => return,
                }
            }
        });
    }
}

/// A server with such tasks, all on this thread.
async fn start_gated(
    gate: impl Fn(&str) -> Option<watch::Receiver<bool>> + Send + Sync + 'static,
    change: impl FnOnce(&mut Config),
) -> InProcess {
    let tasks = Arc::new(Gated { tasks: Handle::current(), gate });
    let machine = Machine {
        timer: Arc::new(TokioTimer),
        random: Arc::new(SeededRandom::new(3)),
        network: tasks.clone(),
        functions: tasks,
    };
    app::server().machine(machine).change_config(change).start_in_process().await.unwrap()
}

async fn open_socket(server: &InProcess, session: &str) -> RawClient {
    let (client, served) = tokio::io::duplex(64 << 10);
    server.serve_socket(served);
    RawClient::over(client, session).await
}

/// spec: S85
#[tokio::test]
async fn a_socket_that_is_served_late_takes_nothing_from_the_one_its_client_came_back_on() {
    let (serving, is_let) = watch::channel(false);
    let is_first = AtomicBool::new(true);
    let gate = move |name: &str| (name == "socket" && is_first.swap(false, Ordering::SeqCst)).then(|| is_let.clone());
    let server = start_gated(gate, |_| {}).await;
    let session = uuid::Uuid::new_v4().to_string();
    let increment = || json!({"name": "late", "by": 1.0});
    let mut lost = open_socket(&server, &session).await;
    lost.start_mutation("counter:increment", increment()).await;
    let mut back = open_socket(&server, &session).await;
    assert_eq!(back.mutation("counter:increment", increment()).await["result"], json!(1.0));
    serving.send(true).unwrap();
    let (_, closed) = lost.until_closed().await;
    assert_eq!(closed.code, 1011, "the older one ends");
    assert_eq!(back.mutation("counter:increment", increment()).await["result"], json!(2.0));
}

/// What commits changed is not known when they were let go of before anybody followed them: then all runs again.
///
/// spec: D89
#[tokio::test]
async fn live_queries_go_on_when_commits_were_let_go_of_before_they_were_followed() {
    let (following, is_let) = watch::channel(true);
    let gate = move |name: &str| (name == "follow").then(|| is_let.clone());
    let server = start_gated(gate, |config| config.engine.recent_commits_bytes_max = 1).await;
    let connect = async || open_socket(&server, &uuid::Uuid::new_v4().to_string()).await;
    let mut watcher = connect().await;
    watcher.subscribe(0, "items:list", json!({"list": "late"})).await;
    watcher.until(0, n_rows(0)).await;

    let mut writer = connect().await;
    following.send(false).unwrap();
    let before = server.engine().durable();
    let mut n_written: usize = 0;
    let mut durable = server.engine().watch_durable();
    while server.engine().commits_after(before).is_ok() {
        durable.borrow_and_update();
        let row = json!({"list": "late", "rank": n_written as f64, "text": ""});
        writer.start_mutation("items:add", row).await;
        n_written += 1;
        durable.changed().await.unwrap();
    }
    assert!(watcher.transition().now_or_never().is_none(), "nobody was told");
    following.send(true).unwrap();
    watcher.until(0, n_rows(n_written)).await;
    let added = writer.mutation("items:add", json!({"list": "late", "rank": -1.0, "text": ""})).await;
    assert_eq!(added["success"], true);
    watcher.until(0, n_rows(n_written + 1)).await;
}
