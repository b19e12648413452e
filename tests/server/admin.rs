//! Admin keys, over HTTP and on sockets.

use std::sync::Arc;

use serde_json::{Value, json};
use syncline::admin::AdminKeys;
use syncline::clock::ManualClock;
use syncline_tests::{RawClient, TestServer};

/// A server with a data folder, and a key that fits.
pub(crate) async fn server_with_key() -> (TestServer, String, tempfile::TempDir) {
    let data = tempfile::tempdir().expect("a folder");
    let key = AdminKeys::open("tested", data.path()).expect("keys").issue(1_755_800_000);
    let folder = data.path().to_owned();
    let server = TestServer::start_with(|server| server.instance_name("tested").data(folder)).await;
    (server, key, data)
}

async fn post(server: &TestServer, path: &str, authorization: &str, body: Value) -> (u16, Value) {
    let request = server.http().post(server.url(path)).header("authorization", authorization).json(&body);
    let response = request.send().await.expect("an answer");
    (response.status().as_u16(), response.json().await.expect("JSON"))
}

/// spec: D97, D125, A54, H38
#[tokio::test]
async fn an_admin_may_call_what_others_do_not_see() {
    let (server, key, _data) = server_with_key().await;
    let secret = json!({"path": "counter:secret", "args": {}});
    let (_, hidden) = server.post("/api/query", secret.clone()).await;
    let text = hidden["errorMessage"].as_str().expect("a text");
    assert!(text.contains("Could not find public function for 'counter:secret'"), "{text}");
    let (_, missing) = server.post("/api/query", json!({"path": "counter:missing", "args": {}})).await;
    let behind_its_id = |text: &str| text.split_once("] ").expect("a request id").1.to_owned();
    let missing = missing["errorMessage"].as_str().expect("a text").replace("counter:missing", "counter:secret");
    assert_eq!(behind_its_id(text), behind_its_id(&missing), "nothing tells one from the other");
    let admin = format!("Convex {key}");
    assert_eq!(post(&server, "/api/query", &admin, secret.clone()).await.1["value"], 42.0);
    assert_eq!(post(&server, "/api/function", &admin, secret).await.1["value"], 42.0);
    let check = server.http().get(server.url("/api/check_admin_key")).header("authorization", admin);
    let answer: Value = check.send().await.expect("an answer").json().await.expect("JSON");
    assert_eq!(answer, json!({"success": true, "allowedOps": [], "isReadOnly": false}));
}

/// spec: A52, A49
#[tokio::test]
async fn a_wrong_key_is_forbidden_by_name() {
    let (server, key, _data) = server_with_key().await;
    let whoami = json!({"path": "auth:whoami", "args": {}});
    let other = format!("Convex {}", key.replace("tested|", "another|"));
    for authorization in ["Convex tested|00".to_owned(), other] {
        let (status, answer) = post(&server, "/api/query", &authorization, whoami.clone()).await;
        assert_eq!((status, &answer["code"]), (403, &json!("BadAdminKey")), "{answer}");
    }
    let response = server.http().get(server.url("/api/check_admin_key")).send().await.expect("an answer");
    assert_eq!(response.status(), 403);
}

/// spec: A44, S32, HS33, HS34
#[tokio::test]
async fn an_admin_is_nobody_or_whom_it_acts_as() {
    let (server, key, _data) = server_with_key().await;
    let user = json!({"issuer": "https://idp.example", "subject": "u1", "name": "Ada"});
    for (member, expected) in
        [(None, Value::Null), (Some("impersonating"), json!("u1")), (Some("acting_as"), json!("u1"))]
    {
        let mut client = RawClient::connect(server.address()).await;
        let mut message = json!({"type": "Authenticate", "baseVersion": 0, "tokenType": "Admin", "value": key});
        if let Some(member) = member {
            message[member] = user.clone();
        }
        client.send(message).await;
        client.subscribe(0, "auth:whoami", json!({})).await;
        let whoami = client.until(0, |_| true).await;
        assert_eq!(whoami.get("subject").cloned().unwrap_or_default(), expected, "{member:?}");
    }
}

/// spec: HS35
#[tokio::test]
async fn a_wrong_key_on_a_socket_ends_it_for_good() {
    let (server, _, _data) = server_with_key().await;
    let mut client = RawClient::connect(server.address()).await;
    client.send(json!({"type": "Authenticate", "baseVersion": 0, "tokenType": "Admin", "value": "tested|00"})).await;
    let (said, _) = client.until_closed().await;
    assert_eq!(said[0]["type"], "FatalError");
    assert!(said[0]["error"].as_str().expect("a text").starts_with("BadAdminKey:"), "{said:?}");
}

/// spec: S96
#[tokio::test]
async fn a_revoked_key_ends_its_sockets_within_a_minute_of_use() {
    let data = tempfile::tempdir().expect("a folder");
    let key = AdminKeys::open("tested", data.path()).expect("keys").issue(1_755_800_000);
    let clock = Arc::new(ManualClock::at_seconds(1_755_800_000));
    let server =
        TestServer::start_with(|server| server.instance_name("tested").data(data.path()).clock(clock.clone())).await;
    let mut admin = RawClient::connect(server.address()).await;
    admin.authenticate_admin(&key).await;
    admin.subscribe(0, "counter:secret", json!({})).await;
    assert_eq!(admin.until(0, |_| true).await, json!(42.0));
    clock.advance_ms(61_000);
    let add = json!({"name": "revoked", "by": 1.0});
    assert_eq!(admin.mutation("counter:increment", add.clone()).await["result"], 1.0, "the key is good, and stays");

    server.running().set_admin_keys(AdminKeys::new("tested", &[7; 32]));
    assert_eq!(post(&server, "/api/query", &format!("Convex {key}"), json!({})).await.0, 403, "at once over HTTP");
    clock.advance_ms(60_000);
    admin.start_mutation("counter:increment", add).await;
    let (said, closed) = admin.until_closed().await;
    let last = said.last().expect("last words");
    assert_eq!((&last["type"], closed.code), (&json!("FatalError"), 1005), "{said:?}");
    assert!(last["error"].as_str().expect("a text").starts_with("BadAdminKey: "), "{last}");
    assert!(said.iter().all(|message| message["type"] != "MutationResponse"), "{said:?}");
    let value = server.post("/api/query", json!({"path": "counter:get", "args": {"name": "revoked"}})).await.1;
    assert_eq!(value["value"], 1.0, "what came behind the check was not done");
}

/// spec: S35
#[tokio::test]
async fn a_function_of_a_component_is_not_run_for_anyone_but_an_administrator() {
    let server = TestServer::start().await;
    let token = server.token(json!({"subject": "user_ada"})).await;
    for kind in ["Mutation", "Action"] {
        let mut client = RawClient::connect(server.address()).await;
        client.authenticate(Some(&token)).await;
        client
            .send(json!({"type": kind, "requestId": 0, "udfPath": "counter:increment", "componentPath": "other",
                "args": [{"name": "component", "by": 1.0}]}))
            .await;
        assert_eq!(client.until_closed().await.1.code, 1011, "{kind}");
    }
    let value = server.post("/api/query", json!({"path": "counter:get", "args": {"name": "component"}})).await.1;
    assert_eq!(value["value"], 0.0);
}
