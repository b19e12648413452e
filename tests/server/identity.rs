//! What depends on who calls, and what must not: results, errors and sockets of several people at once.

use std::io::Write;
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};
use syncline::admin::AdminKeys;
use syncline::auth::Clerk;
use syncline::clock::ManualClock;
use syncline_tests::app::runs;
use syncline_tests::{RawClient, TestServer};
use tracing_subscriber::fmt::MakeWriter;

use crate::issuer::Issuer;

async fn signed_in(server: &TestServer, token: &str) -> RawClient {
    let mut client = RawClient::connect(server.address()).await;
    client.authenticate(Some(token)).await;
    client.transition().await;
    client
}

/// The first result that a socket gets of a query.
async fn first(client: &mut RawClient, path: &str, args: Value) -> Value {
    client.subscribe(0, path, args).await;
    client.until(0, |_| true).await
}

/// spec: A47, A63, A67
#[tokio::test]
async fn a_result_belongs_to_all_attributes_of_a_caller_exactly_when_the_run_looked_at_them() {
    let server = TestServer::start().await;
    let ada = |email: &str| json!({"subject": "user_ada", "email": email});
    let callers = [
        (None, Value::Null),
        (Some(ada("a@x.test")), json!("a@x.test")),
        // Another token of the same attributes, and one in which a single attribute differs.
        (Some(ada("a@x.test")), json!("a@x.test")),
        (Some(ada("b@x.test")), json!("b@x.test")),
        (None, Value::Null),
    ];
    for (path, n_runs) in [("runs:email", 3), ("runs:nested", 3), ("runs:public", 1)] {
        let mut clients = Vec::new();
        for (request, email) in &callers {
            let token = match request {
                Some(request) => Some(server.token(request.clone()).await),
                None => None,
            };
            let mut client = RawClient::connect(server.address()).await;
            client.authenticate(token.as_deref()).await;
            let seen = first(&mut client, path, json!({"name": path})).await;
            assert_eq!(seen, if path == "runs:public" { Value::Null } else { email.clone() }, "{path}");
            clients.push(client);
        }
        assert_eq!(runs::count(path), n_runs, "{path}");
    }
}

/// spec: A48
#[tokio::test]
async fn an_error_is_for_the_watchers_of_its_evaluation_and_no_later_ones() {
    let server = TestServer::start().await;
    let args = json!({"name": "an error"});
    let mut one = RawClient::connect(server.address()).await;
    let add = |query: u64| json!({"type": "Add", "queryId": query, "udfPath": "runs:fails_later", "args": [args]});
    one.modify(vec![add(0), add(1)]).await;
    // Both queries have been asked for when a message behind them has been handled.
    for _ in 0..2 {
        let echo = one.start_action("actions:echo", json!({"value": null})).await;
        one.response(echo).await;
    }
    runs::GATE.add_permits(100);
    for query in [0, 1] {
        assert_eq!(one.until(query, |_| true).await["type"], "QueryFailed");
    }
    assert_eq!(runs::count("an error"), 1, "two watchers, one evaluation");
    let mut other = RawClient::connect(server.address()).await;
    assert_eq!(first(&mut other, "runs:fails_later", args).await["type"], "QueryFailed");
    assert_eq!(runs::count("an error"), 2, "a later watcher, another evaluation");
    for client in [&mut one, &mut other] {
        client.mutation("counter:increment", json!({"name": "unrelated", "by": 1.0})).await;
    }
    assert_eq!(runs::count("an error"), 2, "the later evaluation is nothing to the watchers of the first");
}

/// spec: A48, S59
#[tokio::test]
async fn all_watchers_of_an_error_are_told_when_it_has_passed() {
    let server = TestServer::start().await;
    let mut clients = Vec::new();
    for _ in 0..3 {
        let mut client = RawClient::connect(server.address()).await;
        assert_eq!(first(&mut client, "runs:not_empty", json!({"name": "passing"})).await["type"], "QueryFailed");
        clients.push(client);
    }
    assert_eq!(runs::count("passing"), 3, "each with an evaluation of its own");
    server.mutation("items:add", json!({"list": "passing", "rank": 0.0, "text": ""})).await;
    for client in &mut clients {
        assert_eq!(client.until(0, Value::is_number).await, json!(1.0));
    }
    assert_eq!(runs::count("passing"), 4, "and now they share one");
}

/// A refusal of nobody is not the refusal of somebody, and the other way round.
///
/// spec: A48, A64
#[tokio::test]
async fn what_one_caller_was_refused_another_is_given() {
    let server = TestServer::start().await;
    let args = json!({"name": "a refusal"});
    let token = server.token(json!({"subject": "user_ada"})).await;
    for _ in 0..2 {
        let mut nobody = RawClient::connect(server.address()).await;
        let refused = first(&mut nobody, "runs:signed_in", args.clone()).await;
        assert!(refused["errorMessage"].as_str().expect("an error").contains("sign in first"), "{refused}");
        let mut ada = signed_in(&server, &token).await;
        assert_eq!(first(&mut ada, "runs:signed_in", args.clone()).await, "user_ada");
        ada.authenticate(None).await;
        ada.transition().await;
        assert_eq!(ada.results[&0]["type"], "QueryFailed", "nothing of what was hers is left: {:?}", ada.results);
    }
}

/// Whoever has a token is its bearer, on as many sockets as they like; what is done on one is not done on another.
///
/// spec: A67, A68
#[tokio::test]
async fn the_same_token_on_two_sockets_is_two_sessions() {
    let server = TestServer::start().await;
    let token = server.token(json!({"subject": "user_ada"})).await;
    let (mut one, mut other) = (signed_in(&server, &token).await, signed_in(&server, &token).await);
    one.authenticate(None).await;
    assert_eq!(one.mutation("auth:sign", json!({})).await["result"], Value::Null);
    assert_eq!(other.mutation("auth:sign", json!({})).await["result"], "user_ada");
}

/// spec: A56, HS30
#[tokio::test]
async fn of_two_tokens_in_flight_the_later_one_holds_however_slow_the_issuer() {
    let issuer = Issuer::start().await;
    let server = TestServer::start_with(|server| server.auth(Clerk::at(issuer.address()))).await;
    issuer.hold();
    let mut client = RawClient::connect(server.address()).await;
    client.authenticate(Some(&issuer.token(json!({"subject": "user_1"})))).await;
    client.authenticate(Some(&issuer.token(json!({"subject": "user_2"})))).await;
    client.subscribe(0, "auth:whoami", json!({})).await;
    let signed = client.start_mutation("auth:sign", json!({})).await;
    issuer.let_go();
    assert_eq!(client.response(signed).await["result"], "user_2");
    assert_eq!(client.until(0, |_| true).await["subject"], "user_2");
    assert_eq!(client.version()["identity"], 2);
}

/// When the clock that is moved by hand starts.
const T: u64 = 1_755_800_000;

/// spec: A19, HS13, HS18, HS26
#[tokio::test]
async fn tokens_of_an_issuer_that_has_to_be_asked() {
    let clock = Arc::new(ManualClock::at_seconds(T));
    let issuer = Issuer::start_at(clock.clone()).await;
    let clerk = Clerk::at(issuer.address());
    let server = TestServer::start_with(|server| server.auth(clerk).clock(clock.clone())).await;
    let token = issuer.token(json!({"subject": "user_ada"}));
    drop(signed_in(&server, &token).await);
    for (token, code) in
        [(issuer.token(json!({"claims": {"aud": null}})), "NoAuthProvider: "), (token, "Unauthenticated: ")]
    {
        clock.advance_ms(30_000);
        let mut client = RawClient::connect(server.address()).await;
        client.authenticate(Some(&token)).await;
        let (said, closed) = client.until_closed().await;
        assert!(said[0]["error"].as_str().expect("a text").starts_with(code), "{said:?}");
        assert_eq!((&said[0]["authUpdateAttempted"], closed.code), (&json!(true), 1005));
    }
    issuer.break_down();
    clock.advance_ms(3_600_000);
    let mut late = signed_in(&server, &issuer.token(json!({"subject": "user_late"}))).await;
    assert_eq!(
        first(&mut late, "auth:whoami", json!({})).await["subject"],
        "user_late",
        "the keys of an hour ago serve"
    );
    let metrics =
        server.http().get(server.url("/metrics")).send().await.expect("an answer").text().await.expect("text");
    assert!(metrics.contains("syncline_auth_key_fetches_total{outcome=\"failed_with_stale_keys\"}"), "{metrics}");
}

/// spec: A26
#[tokio::test]
async fn a_token_of_ten_megabytes_is_refused_like_any_other() {
    let server = TestServer::start().await;
    let mut client = RawClient::connect(server.address()).await;
    client.authenticate(Some(&"x.".repeat(5 << 20))).await;
    let (said, closed) = client.until_closed().await;
    let text = said[0]["error"].as_str().expect("a text");
    assert!(text.starts_with("InvalidAuthHeader: ") && text.len() < 1_000, "{text}");
    assert_eq!(closed.code, 1005);
}

#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().expect("nobody panics here").extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl MakeWriter<'_> for Log {
    type Writer = Self;

    fn make_writer(&self) -> Self {
        self.clone()
    }
}

/// All that is logged, down to the last detail.
///
/// spec: A72, A51
#[tokio::test]
async fn neither_tokens_nor_admin_keys_are_logged_on_their_way_through_the_server() {
    let log = Log::default();
    let lines = tracing_subscriber::fmt().with_max_level(tracing::Level::TRACE).with_writer(log.clone()).finish();
    // For all threads: those of functions too, and those of other tests, whose lines do no harm.
    tracing::subscriber::set_global_default(lines).expect("no other test of this program looks at the log");
    let data = tempfile::tempdir().expect("a folder");
    let server = TestServer::start_with(|server| server.instance_name("tested").data(data.path())).await;
    let key = AdminKeys::open("tested", data.path()).expect("keys").issue(T);
    let good = server.token(json!({"subject": "user_ada"})).await;
    let wrong = server.token(json!({"claims": {"aud": "api"}})).await;
    for token in [&good, &wrong] {
        let mut client = RawClient::connect(server.address()).await;
        client.authenticate(Some(token)).await;
        client.message().await;
        let call = server.http().post(server.url("/api/query")).bearer_auth(token);
        call.json(&json!({"path": "auth:whoami", "args": {}})).send().await.expect("an answer");
        let page = server.http().post(server.url("/dev/auth")).body(format!("token={token}"));
        page.send().await.expect("an answer");
    }
    for key in [key.clone(), key.replace("tested", "another")] {
        let mut client = RawClient::connect(server.address()).await;
        client.authenticate_admin(&key).await;
        client.message().await;
        let check =
            server.http().get(server.url(&format!("/api/check_admin_key?adminKey={}", key.replace('|', "%7C"))));
        check.send().await.expect("an answer");
    }
    let text = String::from_utf8(log.0.lock().expect("nobody panics here").clone()).expect("UTF-8");
    assert!(text.contains("token accepted") && text.contains("admin key not accepted"), "{text}");
    let secrets = good.split('.').chain(wrong.split('.')).chain(key.split('|').skip(1));
    for secret in secrets {
        let tail = &secret[secret.len() - 8..];
        let line = text.lines().find(|line| line.contains(tail));
        assert_eq!(line, None, "{tail} of a secret is in the log");
    }
}
