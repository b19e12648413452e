//! Identities on sockets, with tokens of the development issuer.

use std::sync::Arc;

use serde_json::{Value, json};
use syncline::auth::Clerk;
use syncline::clock::ManualClock;
use syncline_tests::{RawClient, TestServer};

use crate::issuer::Issuer;

/// spec: S86, S87, S97, A55, HS3, HS8, HS9
#[tokio::test]
async fn signing_in_over_and_out_changes_what_queries_see() {
    let server = TestServer::start().await;
    let ada = server.token(json!({"subject": "user_ada", "name": "Ada"})).await;
    let grace = server.token(json!({"subject": "user_grace"})).await;
    let mut client = RawClient::connect(server.address()).await;
    client.subscribe(0, "auth:whoami", json!({})).await;
    assert!(client.until(0, |_| true).await.is_null());
    for (token, subject) in [(Some(&ada), json!("user_ada")), (Some(&grace), json!("user_grace")), (None, Value::Null)]
    {
        client.authenticate(token.map(String::as_str)).await;
        let transition = client.transition().await;
        assert!(transition.0["endVersion"]["identity"].as_u64() > transition.0["startVersion"]["identity"].as_u64());
        let whoami = &transition.of(0).expect("the result changes in the same Transition")["value"];
        assert_eq!(whoami.get("subject").cloned().unwrap_or_default(), subject);
    }
}

/// spec: A63, HS6, HS5
#[tokio::test]
async fn a_refreshed_token_changes_nothing_but_the_version() {
    let server = TestServer::start().await;
    let person = json!({"subject": "user_ada", "name": "Ada"});
    let mut client = RawClient::connect(server.address()).await;
    client.authenticate(Some(&server.token(person.clone()).await)).await;
    client.subscribe(0, "auth:whoami", json!({})).await;
    client.until(0, Value::is_object).await;
    client.authenticate(Some(&server.token(person).await)).await;
    let transition = client.transition().await;
    assert_eq!(transition.0["endVersion"]["identity"], 2);
    assert_eq!(transition.n_modifications(), 0);
}

/// spec: S89, S90, S94, A58, HS17, HS29
#[tokio::test]
async fn a_bad_token_ends_the_socket_and_all_that_waited_behind_it() {
    let server = TestServer::start().await;
    let wrong = server.token(json!({"subject": "user_ada", "claims": {"aud": "another-app"}})).await;
    let mut client = RawClient::connect(server.address()).await;
    client.authenticate(Some(&wrong)).await;
    client.start_mutation("counter:increment", json!({"name": "behind", "by": 1.0})).await;
    let (said, closed) = client.until_closed().await;
    let [error] = said.as_slice() else { panic!("only an AuthError: {said:?}") };
    assert_eq!((&error["type"], &error["authUpdateAttempted"]), (&json!("AuthError"), &json!(true)));
    assert!(error["error"].as_str().expect("a text").starts_with("NoAuthProvider:"), "{error}");
    assert_eq!(closed.code, 1005);
    let mut client = RawClient::connect(server.address()).await;
    client.subscribe(0, "counter:get", json!({"name": "behind"})).await;
    assert_eq!(client.until(0, Value::is_number).await, json!(0.0));
}

/// spec: S62, A62, HS31
#[tokio::test]
async fn a_request_keeps_the_identity_it_arrived_under() {
    let server = TestServer::start().await;
    let ada = server.token(json!({"subject": "user_ada"})).await;
    let mut client = RawClient::connect(server.address()).await;
    let before = client.start_mutation("auth:sign", json!({})).await;
    client.authenticate(Some(&ada)).await;
    let signed_in = client.start_mutation("auth:sign", json!({})).await;
    client.authenticate(None).await;
    let after = client.start_mutation("auth:sign", json!({})).await;
    for (request, subject) in [(before, Value::Null), (signed_in, json!("user_ada")), (after, Value::Null)] {
        assert_eq!(client.response(request).await["result"], subject);
    }
}

/// spec: S70, D90, A67, HS40
#[tokio::test]
async fn a_result_for_one_identity_is_never_given_to_another() {
    let server = TestServer::start().await;
    let mut clients = Vec::new();
    for n in 0..6 {
        let mut client = RawClient::connect(server.address()).await;
        if n > 0 {
            let token = server.token(json!({"subject": format!("user_{n}")})).await;
            client.authenticate(Some(&token)).await;
        }
        client.subscribe(0, "auth:whoami", json!({})).await;
        clients.push(client);
    }
    for (n, client) in clients.iter_mut().enumerate() {
        let mine = client.until(0, |value| n == 0 || value.is_object()).await;
        let expected = if n == 0 { Value::Null } else { json!(format!("user_{n}")) };
        assert_eq!(mine.get("subject").cloned().unwrap_or_default(), expected);
    }
}

/// spec: A73, A74, HS10
#[tokio::test]
async fn a_stored_user_appears_in_every_open_page() {
    let server = TestServer::start().await;
    let mut watcher = RawClient::connect(server.address()).await;
    watcher.subscribe(0, "users:list", json!({})).await;
    watcher.until(0, Value::is_array).await;
    let mut ada = RawClient::connect(server.address()).await;
    let token = server.token(json!({"subject": "user_ada", "name": "Ada", "email": "ada@example.test"})).await;
    ada.authenticate(Some(&token)).await;
    ada.start_mutation("users:store", json!({})).await;
    ada.start_mutation("users:store", json!({})).await;
    let rows = watcher.until(0, |rows| rows.as_array().is_some_and(|rows| !rows.is_empty())).await;
    assert_eq!(rows.as_array().map(Vec::len), Some(1), "{rows}");
    assert_eq!(rows[0]["name"], "Ada");
}

/// spec: HS11
#[tokio::test]
async fn storing_nobody_is_refused_with_data() {
    let server = TestServer::start().await;
    let mut client = RawClient::connect(server.address()).await;
    let answer = client.mutation("users:store", json!({})).await;
    assert_eq!((&answer["success"], &answer["errorData"]["code"]), (&json!(false), &json!("UNAUTHENTICATED")));
}

/// A token that names another issuer; refused before anybody looks at its signature.
fn of_issuer(issuer: &str) -> String {
    use base64::Engine as _;
    let encode = |json: Value| base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(json.to_string());
    let claims =
        json!({"iss": issuer, "sub": "user_ada", "aud": "convex", "iat": 1_755_800_000, "exp": 4_000_000_000u64});
    format!("{}.{}.c2ln", encode(json!({"alg": "RS256", "typ": "JWT"})), encode(claims))
}

/// spec: S95, S99, A58, HS19, HS20, HS21
#[tokio::test]
async fn every_kind_of_bad_token_is_refused_and_nothing_of_it_stays() {
    let server = TestServer::start().await;
    let good = server.token(json!({"subject": "user_ada"})).await;
    let (signed, signature) = good.rsplit_once('.').expect("three parts");
    let mut forged = signature.to_owned();
    forged.replace_range(..1, if signature.starts_with('A') { "B" } else { "A" });
    let claims = |claims: Value| json!({"subject": "user_ada", "claims": claims});
    let tokens = [
        of_issuer("acme"),
        server.token(claims(json!({"aud": "api"}))).await,
        format!("{signed}.{forged}"),
        format!("eyJhbGciOiJub25lIn0.{}.", signed.split_once('.').expect("two parts").1),
        "nonsense".to_owned(),
    ];
    for token in tokens.iter().cycle().take(3 * tokens.len()) {
        let mut client = RawClient::connect(server.address()).await;
        client.authenticate(Some(token)).await;
        client.subscribe(0, "auth:whoami", json!({})).await;
        let (said, closed) = client.until_closed().await;
        assert_eq!((said.len(), &said[0]["type"], closed.code), (1, &json!("AuthError"), 1005), "{said:?}");
    }
    assert_eq!(server.running().live_counts().1, 0, "nobody watches anything");
}

/// When the clock that is moved by hand starts.
const T: u64 = 1_755_800_000;

/// A server that takes the tokens of an issuer which it has to ask, with a clock that is moved by hand.
async fn server_of_an_issuer() -> (TestServer, Issuer, Arc<ManualClock>) {
    let clock = Arc::new(ManualClock::at_seconds(T));
    let issuer = Issuer::start_at(clock.clone()).await;
    let server = TestServer::start_with(|server| server.auth(Clerk::at(issuer.address())).clock(clock.clone())).await;
    (server, issuer, clock)
}

async fn signed_in(server: &TestServer, token: &str) -> RawClient {
    let mut client = RawClient::connect(server.address()).await;
    client.authenticate(Some(token)).await;
    client.transition().await;
    client
}

/// spec: S91, A36, A37, HS25
#[tokio::test]
async fn while_an_issuer_is_down_nobody_is_refused_and_then_all_is_well() {
    let (server, issuer, clock) = server_of_an_issuer().await;
    issuer.break_down();
    let token = issuer.token(json!({"subject": "user_ada"}));
    for _ in 0..3 {
        let mut client = RawClient::connect(server.address()).await;
        client.authenticate(Some(&token)).await;
        let (said, closed) = client.until_closed().await;
        assert_eq!(said, Vec::<Value>::new(), "no AuthError");
        assert_eq!((closed.code, closed.reason.as_str()), (1013, "AuthProviderDiscoveryFailed"));
    }
    assert_eq!(issuer.n_asked(), 1, "a failure is remembered for a moment");
    let whoami = json!({"path": "auth:whoami", "args": {}});
    let request = server.http().post(server.url("/api/query")).bearer_auth(&token).json(&whoami);
    let response = request.send().await.expect("an answer");
    assert_eq!(response.status(), 503);
    assert_eq!(response.json::<Value>().await.expect("JSON")["code"], "AuthProviderDiscoveryFailed");
    issuer.repair();
    clock.advance_ms(6_000);
    signed_in(&server, &token).await;
}
