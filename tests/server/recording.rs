//! What is recorded between a real client and a real server can be played again, and holds no secret.

use serde_json::{Value, json};
use syncline::admin::AdminKeys;
use syncline::replay::{Handshake, Outcome, Place, Player, Recorder};
use syncline_tests::{RawClient, TestServer, app};

async fn play(text: &str, place: Place) -> Outcome {
    let handshake = Handshake::parse("recorded.jsonl", text).unwrap_or_else(|error| panic!("{error}\n{text}"));
    Player::new(app::server(), place).play(&handshake).await
}

/// What two pages say while a user signs in, is stored, renews the token and leaves; and who is refused.
async fn talk(server: &TestServer, recorder: &Recorder) -> Vec<String> {
    let ada = json!({"subject": "user_ada", "name": "Ada"});
    let mut tokens = Vec::new();
    for request in [&ada, &ada, &json!({"subject": "user_ada", "claims": {"aud": "another-app"}})] {
        tokens.push(server.token(request.clone()).await);
    }
    let (signed, signature) = tokens[0].rsplit_once('.').expect("three parts");
    let forged = if signature.starts_with('A') { "B" } else { "A" };
    tokens.push(format!("{signed}.{forged}{}", &signature[1..]));

    let mut watcher = RawClient::connect(recorder.address()).await;
    watcher.subscribe(0, "users:list", json!({})).await;
    watcher.until(0, Value::is_array).await;
    let mut client = RawClient::connect(recorder.address()).await;
    client.subscribe(0, "users:me", json!({})).await;
    client.until(0, Value::is_null).await;
    client.authenticate(Some(&tokens[0])).await;
    client.until(0, Value::is_object).await;
    let id = client.mutation("users:store", json!({})).await["result"].clone();
    watcher.until(0, |rows| rows[0]["_id"] == id).await;
    client.authenticate(Some(&tokens[1])).await;
    client.transition().await;
    client.mutation("errors:addThenFail", json!({"list": "l", "data": {"price": "$5"}})).await;
    let action = client.start_action("actions:echo", json!({"value": id})).await;
    client.response(action).await;
    client.authenticate(None).await;
    client.until(0, Value::is_null).await;
    client.close().await;
    for bad in &tokens[2..] {
        let mut refused = RawClient::connect(recorder.address()).await;
        refused.authenticate(Some(bad)).await;
        let (said, _) = refused.until_closed().await;
        assert_eq!(said[0]["type"], "AuthError");
    }
    let asked = server.http().post(format!("http://{}/api/query", recorder.address())).bearer_auth(&tokens[0]);
    let asked = asked.json(&json!({"path": "users:me", "args": {}})).send().await.expect("the recorder answers");
    assert_eq!(asked.status(), 200);
    watcher.close().await;
    tokens
}

/// spec: A72, A80
#[tokio::test]
async fn what_was_recorded_can_be_played_again_and_holds_no_token() {
    let server = TestServer::start().await;
    let recorder = Recorder::start(&server.url("/"), "127.0.0.1:0").await.expect("a recorder starts");
    let tokens = talk(&server, &recorder).await;
    let text = recorder.text("recorded");
    for token in &tokens {
        for part in token.split('.') {
            assert!(!text.contains(part), "a part of a token was recorded: {part}\n{text}");
        }
    }
    for place in [Place::InProcess, Place::Loopback] {
        match play(&text, place.clone()).await {
            Outcome::Passed => {}
            other => panic!("{place:?}: {other:?}\n{text}"),
        }
    }
    let changed = text.replace("\"name\":\"Ada\",\"phoneNumberVerified\"", "\"name\":\"Bda\",\"phoneNumberVerified\"");
    assert_ne!(changed, text, "{text}");
    let Outcome::Failed(failure) = play(&changed, Place::InProcess).await else { panic!("it passes:\n{changed}") };
    let line = changed.lines().nth(failure.line - 1).expect("the line of the failure");
    assert!(line.contains("Bda") && failure.to_string().contains("value.name"), "{failure}\n{line}");
}

/// spec: A51
#[tokio::test]
async fn an_admin_key_is_recorded_as_its_name() {
    let data = tempfile::tempdir().expect("a folder");
    let key = AdminKeys::open("tested", data.path()).expect("keys").issue(1_755_800_000);
    let folder = data.path().to_owned();
    let server = TestServer::start_with(|server| server.instance_name("tested").data(folder)).await;
    let recorder = Recorder::start(&server.url("/"), "127.0.0.1:0").await.expect("a recorder starts");
    let mut client = RawClient::connect(recorder.address()).await;
    client.send(json!({"type": "Authenticate", "baseVersion": 0, "tokenType": "Admin", "value": key})).await;
    client.transition().await;
    let asked = server.http().post(format!("http://{}/api/function", recorder.address()));
    let asked = asked.header("authorization", format!("Convex {key}"));
    let answer = asked.json(&json!({"path": "counter:secret", "args": {}})).send().await.expect("an answer");
    assert_eq!(answer.status(), 200);
    client.close().await;
    let text = recorder.text("admin");
    assert!(!text.contains(key.split('|').next_back().expect("a secret")), "{text}");
    assert_eq!(play(&text, Place::InProcess).await, Outcome::Passed, "{text}");
}
