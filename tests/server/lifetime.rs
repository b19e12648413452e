//! What outlives a socket, and what does not outlive its time.

use std::sync::Arc;

use futures::StreamExt;
use serde_json::{Value, json};
use syncline::clock::ManualClock;
use syncline_tests::app::actions::GATE;
use syncline_tests::{RawClient, TestServer};
use tokio_tungstenite::tungstenite::Message;

/// spec: S8
#[tokio::test]
async fn a_silent_socket_is_pinged_before_anything_is_said() {
    let server = TestServer::start().await;
    let (mut socket, _) =
        tokio_tungstenite::connect_async(format!("ws://{}/api/sync", server.address())).await.expect("a socket");
    assert!(matches!(socket.next().await, Some(Ok(Message::Ping(_)))));
    assert!(syncline::config::Config::default().websocket_ping_every.as_secs() <= 25);
}

/// spec: S83
#[tokio::test]
async fn an_action_ends_its_work_when_its_socket_has_died() {
    let server = TestServer::start().await;
    let session = uuid::Uuid::new_v4().to_string();
    let mut client = RawClient::connect_as(server.address(), &session).await;
    client.start_action("actions:addLater", json!({"list": "later"})).await;
    // The answer to this comes after the action was started: messages are taken in order.
    client.mutation("counter:increment", json!({"name": "x", "by": 1.0})).await;
    client.close().await;
    let mut again = RawClient::connect_as(server.address(), &session).await;
    again.subscribe(0, "items:list", json!({"list": "later"})).await;
    GATE.add_permits(1);
    loop {
        let message = again.message().await;
        assert_ne!(message["type"], "ActionResponse", "the answer of another socket's action");
        if again.results.get(&0).is_some_and(|rows| rows.as_array().is_some_and(|rows| rows.len() == 1)) {
            break;
        }
    }
}

/// spec: S77
#[tokio::test]
async fn of_two_attempts_at_once_one_takes_effect() {
    let server = TestServer::start().await;
    let session = uuid::Uuid::new_v4().to_string();
    let mut clients = Vec::new();
    for _ in 0..2 {
        let mut client = RawClient::connect_as(server.address(), &session).await;
        client.start_mutation("counter:gated", json!({"name": "twice"})).await;
        // Both run at once: each has been started when a later message of its socket has been answered.
        let echo = client.start_action("actions:echo", json!({"value": null})).await;
        client.response(echo).await;
        clients.push(client);
    }
    GATE.add_permits(8);
    for client in &mut clients {
        assert_eq!(client.response(0).await["result"], json!(1.0));
    }
    clients[0].subscribe(0, "counter:get", json!({"name": "twice"})).await;
    assert_eq!(clients[0].until(0, Value::is_number).await, json!(1.0));
}

/// spec: D91, D92
#[tokio::test]
async fn a_result_that_read_the_time_serves_new_watchers_for_a_while() {
    let clock = Arc::new(ManualClock::at_seconds(1_755_800_000));
    let server = TestServer::start_with(|server| server.clock(clock.clone())).await;
    let mut seen = Vec::new();
    let mut first = RawClient::connect(server.address()).await;
    first.subscribe(0, "counter:now", json!({})).await;
    seen.push(first.until(0, Value::is_number).await);
    for seconds in [10, 10] {
        clock.advance_ms(seconds * 1000);
        let mut client = RawClient::connect(server.address()).await;
        client.subscribe(0, "counter:now", json!({})).await;
        seen.push(client.until(0, Value::is_number).await);
    }
    assert_eq!(seen[0], seen[1], "after 10 s it is shared");
    assert_ne!(seen[1], seen[2], "after 20 s it is not");
    assert_eq!(first.results[&0], seen[0], "time that passes changes no result");
}

/// spec: A46
#[tokio::test]
async fn an_action_calls_under_the_identity_it_was_called_under() {
    let server = TestServer::start().await;
    let mut client = RawClient::connect(server.address()).await;
    client.authenticate(Some(&server.token(json!({"subject": "user_ada"})).await)).await;
    let request = client.start_action("actions:whoami", json!({})).await;
    assert_eq!(client.response(request).await["result"]["subject"], "user_ada");
}

/// spec: R11, S85
#[tokio::test]
async fn a_stop_answers_what_runs_and_loses_nothing() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("store.sqlite");
    let start = || {
        let storage = syncline::Sqlite::open(&file).expect("nobody else has the file");
        TestServer::start_with(|server| server.storage(storage))
    };
    let server = start().await;
    let mut client = RawClient::connect(server.address()).await;
    for _ in 0..50 {
        client.start_mutation("counter:increment", json!({"name": "kept", "by": 1.0})).await;
    }
    client.response(0).await;
    let stopping = tokio::spawn(server.stop());
    let (said, closed) = client.until_closed().await;
    let answered = 1 + said.iter().filter(|message| message["type"] == "MutationResponse").count();
    assert_eq!(closed.code, 1011, "clients come back by themselves after this code");
    stopping.await.expect("it stops");

    let server = start().await;
    let mut client = RawClient::connect(server.address()).await;
    client.subscribe(0, "counter:get", json!({"name": "kept"})).await;
    let kept = client.until(0, Value::is_number).await.as_f64().expect("a number");
    assert!(kept >= answered as f64, "{answered} were acknowledged, {kept} are there");
}
