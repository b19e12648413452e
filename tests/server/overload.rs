//! More than one machine can do: what is too much is refused in words that clients take for "later", nobody waits for
//! somebody else's flood, and behind it everything is as before.

use std::collections::BTreeSet;
use std::time::Duration;

use serde_json::{Value, json};
use syncline::config::Config;
use syncline_engine::{Fault, MemoryStorage};
use syncline_tests::app::runs;
use syncline_tests::{RawClient, TestServer};
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::frame::Frame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::{Data, OpCode};

/// A name that no other test uses.
fn fresh(what: &str) -> String {
    format!("{what} {}", uuid::Uuid::new_v4())
}

fn add(query: usize, path: &str, args: &Value) -> Value {
    json!({"type": "Add", "queryId": query, "udfPath": path, "args": [args]})
}

/// An action whose message is so many bytes long.
fn message_of(n_bytes: usize) -> String {
    let message = |text: &str| {
        json!({"type": "Action", "requestId": 0, "udfPath": "actions:echo", "args": [{"value": text}]}).to_string()
    };
    message(&"x".repeat(n_bytes - message("").len()))
}

/// spec: S14
#[tokio::test]
async fn a_frame_of_16_mib_is_taken_and_a_byte_more_is_refused_by_name() {
    let server = TestServer::start().await;
    let max = Config::default().frame_bytes_max;
    assert_eq!(max, 16 << 20);
    let mut client = RawClient::connect(server.address()).await;
    client.send_text(message_of(max)).await;
    assert_eq!(client.response(0).await["success"], true);

    client.send_text(message_of(max + 1)).await;
    let (_, closed) = client.until_closed().await;
    assert_eq!((closed.code, closed.reason.as_str()), (1011, "MessageTooLarge"));
}

/// spec: S14
#[tokio::test]
async fn a_message_of_more_than_64_mib_is_refused_however_it_is_cut() {
    let server = TestServer::start().await;
    let max = Config::default().message_bytes_max;
    let mut client = RawClient::connect(server.address()).await;
    let text = bytes::Bytes::from(message_of(max + 1));
    let n_frames = text.len().div_ceil(8 << 20);
    for n in 0..n_frames {
        let part = text.slice(n * (8 << 20)..text.len().min((n + 1) * (8 << 20)));
        let data = if n == 0 { Data::Text } else { Data::Continue };
        client.send_message(Message::Frame(Frame::message(part, OpCode::Data(data), n + 1 == n_frames))).await;
    }
    let (_, closed) = client.until_closed().await;
    assert_eq!((closed.code, closed.reason.as_str()), (1011, "MessageTooLarge"));
}

/// The other session's round trips are counted while the flood goes on, and there are many.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_million_tiny_frames_hold_up_nobody_else() {
    const FRAMES: usize = 1_000_000;
    let server = TestServer::start().await;
    let mut flooding = RawClient::connect(server.address()).await;
    let mut other = RawClient::connect(server.address()).await;
    let flood = tokio::spawn(async move {
        for _ in 0..FRAMES {
            flooding.feed_text(r#"{"type":"Event"}"#).await;
        }
        let last = flooding.start_action("actions:echo", json!({"value": "the last"})).await;
        assert_eq!(flooding.response(last).await["result"], "the last", "all were taken");
    });
    let mut n_answered = 0;
    while !flood.is_finished() {
        let answer = other.mutation("counter:increment", json!({"name": "beside a flood", "by": 1.0})).await;
        assert_eq!(answer["success"], true, "{answer}");
        n_answered += 1;
    }
    flood.await.expect("the flood is taken");
    assert!(n_answered > 50, "{n_answered} round trips beside {FRAMES} frames");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_thousand_queries_in_one_set_are_answered_at_once_and_leave_nothing_behind() {
    const QUERIES: usize = 10_000;
    let server = TestServer::start().await;
    let name = fresh("set");
    let args = |n: usize| json!({"name": format!("{name} {n}")});
    let mut client = RawClient::connect(server.address()).await;
    client.modify((0..QUERIES).map(|n| add(n, "counter:get", &args(n))).collect()).await;
    let transition = client.transition().await;
    assert_eq!((transition.n_modifications(), client.results.len()), (QUERIES, QUERIES));
    assert_eq!(server.running().live_counts(), (QUERIES, QUERIES));

    let changed = client.mutation("counter:increment", json!({"name": format!("{name} 7"), "by": 1.0})).await;
    assert_eq!(changed["success"], true);
    assert_eq!(client.until(7, |count| *count == json!(1.0)).await, json!(1.0), "one of them changes");

    client.modify((0..QUERIES).map(|n| json!({"type": "Remove", "queryId": n})).collect()).await;
    client.transition().await;
    let (n_known, n_watched) = server.running().live_counts();
    assert!(n_watched == 0 && n_known <= Config::default().idle_results_max, "{n_known} known, {n_watched} watched");

    let mut client = RawClient::connect(server.address()).await;
    client.modify((0..=QUERIES).map(|n| add(n, "counter:get", &args(n))).collect()).await;
    let (said, closed) = client.until_closed().await;
    assert_eq!((said.len(), closed.code, closed.reason.as_str()), (0, 1013, "TooManyQueriesForSingleClient"));
}

/// A client with more slow queries than functions may run at once leaves room for the others.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_clients_slow_queries_keep_nobody_else_waiting() {
    let config = Config { function_wall_time_max: Duration::from_secs(3600), ..Config::default() };
    let n_queries = config.functions_at_once_max + 500;
    let server = TestServer::start_with_config(config).await;
    let gate = fresh("gate");
    let mut slow = RawClient::connect(server.address()).await;
    let args = |n: usize| json!({"gate": gate, "name": format!("{gate} {n}")});
    slow.modify((0..n_queries).map(|n| add(n, "runs:behind_gate", &args(n))).collect()).await;
    // The first ones have begun when this comes back: messages are taken in order.
    let echo = slow.start_action("actions:echo", json!({"value": null})).await;
    slow.response(echo).await;

    let mut other = RawClient::connect(server.address()).await;
    other.subscribe(0, "counter:get", json!({"name": gate})).await;
    for n in 1..=20 {
        let answer = other.mutation("counter:increment", json!({"name": gate, "by": 1.0})).await;
        assert_eq!(answer["result"], json!(f64::from(n)));
        other.until(0, |count| *count == json!(f64::from(n))).await;
    }
    assert!(slow.results.is_empty(), "the slow ones have not ended");

    runs::open_gate(&gate);
    let transition = slow.transition().await;
    assert_eq!(transition.n_modifications(), n_queries, "and are answered together when they have");
    assert!(slow.results.values().all(Value::is_null), "each with its value");
}

/// spec: S68
#[tokio::test]
async fn the_mutation_beyond_a_thousand_is_refused_and_the_others_take_effect_once() {
    let server = TestServer::start().await;
    let (gate, counter) = (fresh("gate"), fresh("counter"));
    let session = uuid::Uuid::new_v4().to_string();
    let message = |n: usize| match n {
        0 => {
            json!({"type": "Mutation", "requestId": 0, "udfPath": "runs:increment_behind_gate", "args": [{"gate": gate, "name": counter}]})
        }
        n => {
            json!({"type": "Mutation", "requestId": n, "udfPath": "counter:increment", "args": [{"name": counter, "by": 1.0}]})
        }
    };
    let mut flooding = RawClient::connect_as(server.address(), &session).await;
    for n in 0..1000 {
        flooding.send(message(n)).await;
    }
    let echo = json!({"type": "Action", "requestId": 5000, "udfPath": "actions:echo", "args": [{"value": null}]});
    flooding.send(echo).await;
    assert_eq!(flooding.response(5000).await["success"], true, "a thousand are taken");

    let mut other = RawClient::connect(server.address()).await;
    let beside = fresh("beside");
    let answer = other.mutation("counter:increment", json!({"name": beside, "by": 1.0})).await;
    assert_eq!(answer["result"], json!(1.0), "another session does not wait for them");

    flooding.send(message(1000)).await;
    let (_, closed) = flooding.until_closed().await;
    assert_eq!((closed.code, closed.reason.as_str()), (1013, "TooManyConcurrentMutations"));

    // It comes back and sends all of them again, in parts that are not too much.
    runs::open_gate(&gate);
    let mut flooding = RawClient::connect_as(server.address(), &session).await;
    for some in (0..1001).collect::<Vec<_>>().chunks(500) {
        for n in some {
            flooding.send(message(*n)).await;
        }
        for n in some {
            assert_eq!(flooding.response(*n as u64).await["result"], json!(*n as f64 + 1.0));
        }
    }
}

/// spec: S85
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn commits_that_the_disk_cannot_take_are_refused_until_it_can() {
    const SESSIONS: usize = 3;
    // More than waits for the disk, of each session alone.
    const EACH: u64 = 150;
    let storage = MemoryStorage::new();
    let mut config = Config::default();
    config.engine.pending_bytes_max = 10_000;
    let server = TestServer::start_with(|server| server.config(config).storage(storage.clone())).await;
    let list = fresh("list");
    storage.hold_appends(true);
    // What is appended does not count any more: so all the others come behind an append that stands still.
    let mut first = RawClient::connect(server.address()).await;
    let in_append = fresh("list");
    first.start_mutation("items:add", json!({"list": in_append, "rank": 0.0, "text": "the first"})).await;
    storage.holds_append().await;
    let sessions: Vec<_> = (0..SESSIONS).map(|_| uuid::Uuid::new_v4().to_string()).collect();
    let mut refused = Vec::new();
    for session in &sessions {
        let mut client = RawClient::connect_as(server.address(), session).await;
        for n in 0..EACH {
            let args = json!({"list": list, "rank": n as f64, "text": "some text of a row ".repeat(10)});
            client.send(json!({"type": "Mutation", "requestId": n, "udfPath": "items:add", "args": [args]})).await;
        }
        refused.push(client);
    }
    for client in &mut refused {
        let (said, closed) = client.until_closed().await;
        assert!(said.iter().all(|message| message["type"] != "MutationResponse"), "nothing is stored: {said:?}");
        assert_eq!((closed.code, closed.reason.as_str()), (1013, "CommitterFullError"));
    }
    let body = json!({"path": "items:add", "args": {"list": list, "rank": -1.0, "text": "by HTTP"}, "format": "json"});
    let (status, answer) = server.post("/api/mutation", body.clone()).await;
    assert_eq!((status, &answer["code"]), (503, &json!("TooManyConcurrentRequests")));
    let mut reader = RawClient::connect(server.address()).await;
    reader.subscribe(0, "items:list", json!({"list": list})).await;
    assert_eq!(reader.until(0, Value::is_array).await, json!([]), "reading goes on");

    storage.hold_appends(false);
    drop(refused);
    for session in &sessions {
        let mut client = RawClient::connect_as(server.address(), session).await;
        for n in 0..EACH {
            let args = json!({"list": list, "rank": n as f64, "text": "some text of a row ".repeat(10)});
            client.send(json!({"type": "Mutation", "requestId": n, "udfPath": "items:add", "args": [args]})).await;
            assert_eq!(client.response(n).await["success"], true);
        }
    }
    let (status, _) = server.post("/api/mutation", body).await;
    assert_eq!(status, 200);
    let all = SESSIONS * EACH as usize + 1;
    reader.until(0, |rows| rows.as_array().is_some_and(|rows| rows.len() >= all)).await;
    let rows = reader.results[&0].as_array().expect("rows").clone();
    let distinct: BTreeSet<_> = rows.iter().map(|row| row["_id"].to_string()).collect();
    assert_eq!((rows.len(), distinct.len()), (all, all), "each took effect once");
}

/// spec: S76, S85
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn commits_that_were_seen_and_could_not_be_stored_are_undone_for_all_sessions() {
    const SESSIONS: usize = 8;
    let storage = MemoryStorage::new();
    let server = TestServer::start_with(|server| server.storage(storage.clone())).await;
    let name = fresh("counter");
    let mut reader = RawClient::connect(server.address()).await;
    reader.subscribe(0, "counter:get", json!({"name": name})).await;
    reader.until(0, Value::is_number).await;
    for fault in [Fault::Fails, Fault::FailsButStored] {
        let before = reader.results[&0].as_f64().expect("a number");
        storage.hold_appends(true);
        storage.fail_at(storage.n_syncs(), fault);
        let mut clients = Vec::new();
        for _ in 0..SESSIONS {
            let session = uuid::Uuid::new_v4().to_string();
            let mut client = RawClient::connect_as(server.address(), &session).await;
            let request = client.start_mutation("counter:increment", json!({"name": name, "by": 1.0})).await;
            // Answered behind it: it has been begun.
            let echo = client.start_action("actions:echo", json!({"value": null})).await;
            client.response(echo).await;
            clients.push((session, client, request));
        }
        storage.hold_appends(false);
        let mut answers = BTreeSet::new();
        let mut n_lost = 0;
        for (session, mut client, request) in clients {
            let answer = loop {
                match client.message_or_close().await {
                    Ok(message) if message["type"] == "MutationResponse" => break message,
                    Ok(_) => {}
                    Err(closed) => {
                        assert_eq!((closed.code, closed.reason.as_str()), (1011, "InternalServerError"));
                        n_lost += 1;
                        client = RawClient::connect_as(server.address(), &session).await;
                        let again = client.start_mutation("counter:increment", json!({"name": name, "by": 1.0})).await;
                        assert_eq!(again, request);
                    }
                }
            };
            assert!(answers.insert(answer["result"].to_string()), "each was counted once: {answer}");
        }
        let after = before + SESSIONS as f64;
        assert_eq!(reader.until(0, |count| *count == json!(after)).await, json!(after));
        assert!(n_lost > 0 || fault == Fault::FailsButStored, "somebody's commit was undone");
    }
}

#[tokio::test]
async fn a_connection_beyond_the_bound_is_closed_and_a_place_that_is_free_is_given_again() {
    let server = TestServer::start_with_config(Config { connections_max: 3, ..Config::default() }).await;
    let mut clients = Vec::new();
    for _ in 0..3 {
        let mut client = RawClient::connect(server.address()).await;
        client.mutation("counter:increment", json!({"name": "x", "by": 1.0})).await;
        clients.push(client);
    }
    assert!(RawClient::try_open(server.address(), "/api/sync", &[]).await.is_err(), "there is no room for a fourth");
    clients.pop().expect("a client").close().await;
    let mut again = loop {
        // Its place is free when the server has noticed, which nobody is told of.
        match RawClient::try_open(server.address(), "/api/sync", &[]).await {
            Ok(client) => break client,
            Err(_) => tokio::task::yield_now().await,
        }
    };
    assert_eq!(again.mutation("counter:increment", json!({"name": "x", "by": 1.0})).await["result"], json!(4.0));
}
