//! The entries of the log of functions: who called, what it cost.

use serde_json::{Value, json};
use syncline_tests::{RawClient, TestServer};

use crate::admin::server_with_key;

/// All entries that a server has, oldest first.
async fn entries(server: &TestServer, key: &str) -> Vec<Value> {
    let request = server.http().get(server.url("/api/stream_function_logs?cursor=0"));
    let answer = request.header("authorization", format!("Convex {key}")).send().await.expect("an answer");
    let answer: Value = answer.json().await.expect("JSON");
    answer["entries"].as_array().expect("a list").clone()
}

/// spec: H22
#[tokio::test]
async fn an_entry_names_who_called() {
    let (server, key, _data) = server_with_key().await;
    let token = server.token(json!({"subject": "user_ada"})).await;
    let acting = {
        use base64::Engine as _;
        let user = json!({"tokenIdentifier": "https://idp.example|grace", "subject": "grace", "issuer": "https://idp.example"});
        base64::engine::general_purpose::STANDARD.encode(user.to_string())
    };
    let admin = format!("Convex {key}");
    for authorization in [None, Some(format!("Bearer {token}")), Some(admin), Some(format!("Convex {key}:{acting}"))] {
        let mut request =
            server.http().post(server.url("/api/query")).json(&json!({"path": "auth:whoami", "args": {}}));
        if let Some(authorization) = authorization {
            request = request.header("authorization", authorization);
        }
        assert_eq!(request.send().await.expect("an answer").status(), 200);
    }
    let mut client = RawClient::connect(server.address()).await;
    client.authenticate(Some(&token)).await;
    client.start_action("talk:long", json!({"name": "logged"})).await;
    client.mutation("counter:increment", json!({"name": "logged", "by": 1.0})).await;

    let ada = format!("http://{}/dev-issuer|user_ada", server.address());
    let entries = entries(&server, &key).await;
    let told: Vec<_> =
        entries[..4].iter().map(|entry| (entry["identityType"].clone(), entry["identity"].clone())).collect();
    let expected = [
        (json!("unknown"), Value::Null),
        (json!("user"), json!(ada)),
        (json!("instance_admin"), Value::Null),
        (json!("member_acting_user"), json!("https://idp.example|grace")),
    ];
    assert_eq!(told, expected);
    let of_socket = &entries[4..];
    assert!(of_socket.iter().any(|entry| entry["identifier"] == "counter:increment"), "{of_socket:?}");
    assert!(of_socket.iter().all(|entry| entry["identity"] == json!(ada)), "lines of an action too: {of_socket:?}");
}

/// spec: H22
#[tokio::test]
async fn an_entry_tells_what_the_call_cost() {
    let (server, key, _data) = server_with_key().await;
    for rank in 0..3 {
        server.mutation("items:add", json!({"list": "cost", "rank": rank, "text": "x".repeat(100)})).await;
    }
    server.post("/api/query", json!({"path": "items:list", "args": {"list": "cost"}})).await;
    server.post("/api/query", json!({"path": "nope:fn", "args": {}})).await;
    let entries = entries(&server, &key).await;
    let number = |entry: &Value, name: &str| entry["usageStats"][name].as_u64().expect("a number");
    for entry in &entries[..4] {
        let (own, all) = (entry["userExecutionTime"].as_f64().expect("a time"), entry["executionTime"].as_f64());
        assert!(own > 0.0 && all.is_some_and(|all| own <= all), "the function's own time is a part of it: {entry}");
    }
    let (added, listed) = (&entries[0], &entries[3]);
    assert!(number(added, "databaseIoWriteBytes") > number(added, "databaseWriteBytes"), "index keys too: {added}");
    assert!(number(listed, "databaseIoReadBytes") > number(listed, "databaseReadBytes"), "index keys too: {listed}");
    assert_eq!(number(listed, "databaseIoWriteBytes"), 0);
    assert_eq!(entries[4]["userExecutionTime"], Value::Null, "what was not run took no time");
}
