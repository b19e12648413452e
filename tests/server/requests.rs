//! Mutations and actions: order, answers, and what is done once.

use futures::FutureExt;
use serde_json::json;
use syncline_engine::MemoryStorage;
use syncline_tests::client::ts_of;
use syncline_tests::{RawClient, TestServer};

/// spec: S57, S48, S49
#[tokio::test]
async fn every_answer_is_followed_by_a_transition_that_covers_it() {
    let server = TestServer::start().await;
    let mut client = RawClient::connect(server.address()).await;
    let request = client.start_mutation("counter:increment", json!({"name": "x", "by": 1.0})).await;
    let response = client.response(request).await;
    assert_eq!(response["result"], json!(1.0));
    assert!(client.transition().await.ts() >= ts_of(&response));
}

/// spec: S58, S39, S47
#[tokio::test]
async fn a_failed_mutation_is_answered_and_followed_by_a_transition() {
    let server = TestServer::start().await;
    let mut client = RawClient::connect(server.address()).await;
    let args = json!({"list": "x", "data": {"code": "NO"}});
    let request = client.start_mutation("errors:addThenFail", args).await;
    let response = client.response(request).await;
    assert_eq!((&response["success"], &response["errorData"]), (&json!(false), &json!({"code": "NO"})));
    assert!(response["ts"].is_null());
    client.transition().await;
    client.subscribe(0, "items:list", json!({"list": "x"})).await;
    assert_eq!(client.until(0, serde_json::Value::is_array).await, json!([]), "nothing of it is left");
}

/// spec: S60, S61
#[tokio::test]
async fn mutations_of_a_socket_run_and_are_answered_in_order() {
    let server = TestServer::start().await;
    let mut client = RawClient::connect(server.address()).await;
    for n in 0..50 {
        if n % 3 == 2 {
            client.start_mutation("errors:addThenFail", json!({"list": "x", "data": null})).await;
        } else {
            client.start_mutation("counter:increment", json!({"name": "order", "by": 1.0})).await;
        }
    }
    let mut count = 0.0;
    for n in 0..50u64 {
        let response = loop {
            let message = client.message().await;
            if message["type"] == "MutationResponse" {
                break message;
            }
        };
        assert_eq!(response["requestId"], n);
        if n % 3 == 2 {
            assert_eq!(response["success"], false);
        } else {
            count += 1.0;
            assert_eq!(response["result"], json!(count));
        }
    }
}

/// spec: S74, S75, S79, S80
#[tokio::test]
async fn a_mutation_that_is_sent_again_takes_effect_once() {
    let server = TestServer::start().await;
    let session = uuid::Uuid::new_v4().to_string();
    let args = json!({"name": "once", "by": 1.0});
    let mut answers = Vec::new();
    for _ in 0..4 {
        let mut client = RawClient::connect_as(server.address(), &session).await;
        let request = client.start_mutation("counter:increment", args.clone()).await;
        answers.push(client.response(request).await);
        assert!(client.transition().await.ts() >= ts_of(answers.last().expect("an answer")));
    }
    assert!(answers.iter().all(|answer| *answer == answers[0]), "the stored answer with the original ts: {answers:?}");

    let mut other = RawClient::connect(server.address()).await;
    let answer = other.mutation("counter:increment", args).await;
    assert_eq!(answer["result"], json!(2.0), "another session's request 0 is another request");
}

/// spec: S78
#[tokio::test]
async fn a_failure_is_not_recorded() {
    let server = TestServer::start().await;
    let session = uuid::Uuid::new_v4().to_string();
    let mut client = RawClient::connect_as(server.address(), &session).await;
    let failed = client.mutation("counter:increment", json!({"name": "x", "by": "one"})).await;
    assert_eq!(failed["success"], false);
    let mut client = RawClient::connect_as(server.address(), &session).await;
    let done = client.mutation("counter:increment", json!({"name": "x", "by": 1.0})).await;
    assert_eq!(done["result"], json!(1.0));
}

/// spec: S64, S65
#[tokio::test]
async fn actions_hold_up_nothing() {
    let server = TestServer::start().await;
    let mut client = RawClient::connect(server.address()).await;
    client.subscribe(0, "counter:get", json!({"name": "x"})).await;
    client.start_action("actions:never", json!({})).await;
    let echo = client.start_action("actions:echo", json!({"value": [1.5, {"$integer": "BQAAAAAAAAA="}]})).await;
    let response = client.response(echo).await;
    assert_eq!(response["result"], json!([1.5, {"$integer": "BQAAAAAAAAA="}]));
    client.mutation("counter:increment", json!({"name": "x", "by": 1.0})).await;
    client.until(0, |value| *value == json!(1.0)).await;
}

/// Neither by a socket nor by HTTP, neither of a mutation nor of an action that ran one.
#[tokio::test]
async fn no_answer_leaves_before_the_disk_has_what_it_stands_on() {
    let storage = MemoryStorage::new();
    let server = TestServer::start_with(|server| server.storage(storage.clone())).await;
    let mut client = RawClient::connect(server.address()).await;
    storage.hold_appends(true);
    let row = json!({"list": "held", "rank": 1.0, "text": "by a mutation"});
    let mutation = client.start_mutation("items:add", row.clone()).await;
    storage.holds_append().await;
    let action = client.start_action("actions:add", json!({"list": "held"})).await;
    let post = |route, path, args| {
        let body = json!({"path": path, "args": args, "format": "json"});
        tokio::spawn(server.http().post(server.url(route)).json(&body).send())
    };
    let mut by_http =
        [post("/api/mutation", "items:add", row), post("/api/action", "actions:add", json!({"list": "held"}))];
    // Time for an answer that does not wait: those of others come.
    for _ in 0..100 {
        let echo = client.start_action("actions:echo", json!({"value": null})).await;
        assert_eq!(client.response(echo).await["success"], true);
        let echo = server.post("/api/action", json!({"path": "actions:echo", "args": {"value": null}})).await;
        assert_eq!(echo.0, 200);
    }
    assert!(client.response(mutation).now_or_never().is_none(), "of a mutation");
    assert!(client.response(action).now_or_never().is_none(), "of an action");
    assert!(by_http.iter_mut().all(|answer| answer.now_or_never().is_none()), "by HTTP");
    storage.hold_appends(false);
    for request in [mutation, action] {
        assert_eq!(client.response(request).await["success"], true);
    }
    for answer in by_http {
        assert_eq!(answer.await.unwrap().unwrap().status(), 200);
    }
    client.subscribe(0, "items:list", json!({"list": "held"})).await;
    assert_eq!(client.until(0, serde_json::Value::is_array).await.as_array().map(Vec::len), Some(4));
}

/// spec: S68
#[tokio::test]
async fn too_many_mutations_at_once_are_told_to_come_later() {
    let server = TestServer::start().await;
    let mut client = RawClient::connect(server.address()).await;
    let burst: Vec<_> = (0..3000)
        .map(|n| json!({"type": "Mutation", "requestId": n, "udfPath": "counter:increment", "args": [{"name": "x", "by": 1.0}]}))
        .collect();
    for message in burst {
        client.send(message).await;
    }
    // Either the server kept up with all of it, or it said by name what was too much.
    let mut answered = 0;
    loop {
        match client.message_or_close().await {
            Ok(message) if message["type"] == "MutationResponse" => answered += 1,
            Ok(_) => {}
            Err(closed) => {
                assert_eq!((closed.code, closed.reason.as_str()), (1013, "TooManyConcurrentMutations"));
                break;
            }
        }
        if answered == 3000 {
            break;
        }
    }
}

/// spec: D82, D83, S118, D87
#[tokio::test]
async fn a_contended_row_loses_nothing_and_fails_nobody() {
    let server = TestServer::start().await;
    let address = server.address();
    let clients: Vec<_> = (0..16)
        .map(|_| {
            tokio::spawn(async move {
                let mut client = RawClient::connect(address).await;
                for _ in 0..50 {
                    let answer = client.mutation("counter:increment", json!({"name": "hot", "by": 1.0})).await;
                    assert_eq!(answer["success"], true, "{answer}");
                }
            })
        })
        .collect();
    for client in clients {
        client.await.expect("no client fails");
    }
    let mut client = RawClient::connect(address).await;
    client.subscribe(0, "counter:get", json!({"name": "hot"})).await;
    assert_eq!(client.until(0, serde_json::Value::is_number).await, json!(800.0));
}
