//! The variables of the deployment, and the auth configuration that follows them.

use std::path::Path;

use serde_json::{Value, json};
use syncline::admin::AdminKeys;
use syncline::auth::{AuthSettings, Clerk, Oidc};
use syncline::{Server, ServerError, Sqlite};
use syncline_tests::{RawClient, TestServer, app};

use crate::issuer::Issuer;

/// A server whose data stays when it stops, and the administrator of it.
struct Admin {
    server: TestServer,
    key: String,
}

impl Admin {
    async fn start(data: &Path, change: impl FnOnce(Server) -> Server) -> Self {
        let server = TestServer::start_with(|server| kept(data, change(server))).await;
        let key = AdminKeys::open("tested", data).expect("keys").issue(1_755_800_000);
        Admin { server, key }
    }

    /// Asks for changes; the status, and the error when there is one.
    async fn change(&self, changes: &[(&str, Option<&str>)]) -> (u16, Value) {
        let changes: Vec<_> = changes.iter().map(|(name, value)| json!({"name": name, "value": value})).collect();
        self.update(json!({ "changes": changes })).await
    }

    async fn update(&self, body: Value) -> (u16, Value) {
        let request = self.server.http().post(self.server.url("/api/update_environment_variables"));
        let request = request.header("authorization", format!("Convex {}", self.key));
        let response = request.json(&body).send().await.expect("an answer");
        (response.status().as_u16(), response.json().await.unwrap_or_default())
    }

    async fn set(&self, name: &str, value: &str) {
        let (status, answer) = self.change(&[(name, Some(value))]).await;
        assert_eq!(status, 200, "{answer}");
    }

    async fn variables(&self) -> Value {
        let request = self.server.http().get(self.server.url("/api/v1/list_environment_variables"));
        let request = request.header("authorization", format!("Convex {}", self.key));
        let answer: Value = request.send().await.expect("an answer").json().await.expect("JSON");
        answer["environmentVariables"].clone()
    }
}

fn kept(data: &Path, server: Server) -> Server {
    let storage = Sqlite::open(data.join("store.sqlite")).expect("a store");
    server.instance_name("tested").data(data).storage(storage)
}

/// A data folder in which these variables are set.
async fn data_with(variables: &[(&str, &str)]) -> tempfile::TempDir {
    let data = tempfile::tempdir().expect("a folder");
    let admin = Admin::start(data.path(), |server| server).await;
    for (name, value) in variables {
        admin.set(name, value).await;
    }
    admin.server.stop().await;
    data
}

/// What a socket that shows this token is told: nothing, or the code of the refusal.
async fn sign_in(server: &TestServer, token: &str) -> (RawClient, Option<String>) {
    let mut client = RawClient::connect(server.address()).await;
    client.authenticate(Some(token)).await;
    let said = client.message().await;
    let refusal = said["error"].as_str().and_then(|text| text.split(':').next()).map(str::to_owned);
    (client, refusal)
}

/// spec: A6, HS38
#[tokio::test]
async fn the_issuer_follows_its_variable_and_sessions_stay() {
    let (first, second) = (Issuer::start().await, Issuer::start().await);
    let data = data_with(&[("ISSUER", &first.address())]).await;
    let admin = Admin::start(data.path(), |server| server.auth(Clerk::from_env("ISSUER"))).await;
    let old_token = first.token(json!({"subject": "user_ada"}));
    let (mut session, refusal) = sign_in(&admin.server, &old_token).await;
    assert_eq!(refusal, None);

    admin.set("ISSUER", &second.address()).await;
    assert_eq!(session.mutation("auth:sign", json!({})).await["result"], "user_ada", "the session goes on");
    assert_eq!(sign_in(&admin.server, &old_token).await.1.as_deref(), Some("NoAuthProvider"));
    assert_eq!(sign_in(&admin.server, &second.token(json!({}))).await.1, None);
}

/// spec: A5, A4
#[tokio::test]
async fn a_change_that_auth_cannot_do_with_changes_nothing_and_names_the_mistake() {
    let issuer = Issuer::start().await;
    let data = data_with(&[("ISSUER", &issuer.address()), ("AUDIENCE", "convex"), ("OTHER", "before")]).await;
    let auth = Oidc::from_env("ISSUER", "AUDIENCE");
    let admin = Admin::start(data.path(), |server| server.auth(auth)).await;
    let before = admin.variables().await;
    for (change, code, parts) in [
        (("ISSUER", None), "AuthConfigMissingEnvironmentVariable", ["Environment variable ISSUER ", "nothing"]),
        (("ISSUER", Some("pk_test_abc")), "InvalidAuthConfig", ["\"pk_test_abc\"", "provider 0"]),
        (("ISSUER", Some("\"https://a.dev\"")), "InvalidAuthConfig", ["nothing was changed of ISSUER, OTHER", "quot"]),
        (("ISSUER", Some("ftp://a.dev")), "InvalidAuthConfig", ["ftp", "http"]),
        (("ISSUER", Some("")), "InvalidAuthConfig", ["would stop working", "provider 0"]),
    ] {
        let (status, answer) = admin.change(&[("OTHER", Some("after")), change]).await;
        assert_eq!((status, &answer["code"]), (400, &json!(code)), "{answer}");
        let message = answer["message"].as_str().expect("a text");
        assert!(parts.iter().all(|part| message.contains(part)), "{message}");
        assert_eq!(admin.variables().await, before, "{message}");
        assert_eq!(sign_in(&admin.server, &issuer.token(json!({}))).await.1, None, "{message}");
    }
    // Two that are wrong alone are right together.
    let together = [("ISSUER", Some("https://other.dev")), ("AUDIENCE", Some("another")), ("OTHER", None)];
    assert_eq!(admin.change(&together).await.0, 200);
    assert_eq!(admin.variables().await, json!({"ISSUER": "https://other.dev", "AUDIENCE": "another"}));
}

/// However changes overlap, the configuration in force is that of the variables as they are.
///
/// spec: A5, A6
#[tokio::test(flavor = "multi_thread")]
async fn changes_at_once_take_effect_in_the_order_of_their_commits() {
    let issuers = [Issuer::start().await, Issuer::start().await];
    let data = data_with(&[("ISSUER", &issuers[0].address())]).await;
    let admin = Admin::start(data.path(), |server| server.auth(Clerk::from_env("ISSUER"))).await;
    for _ in 0..5 {
        let addresses: Vec<String> = issuers.iter().cycle().take(16).map(Issuer::address).collect();
        let all = addresses.iter().map(|address| admin.set("ISSUER", address));
        futures::future::join_all(all).await;
        let in_force = admin.variables().await["ISSUER"].clone();
        for issuer in &issuers {
            let refusal = sign_in(&admin.server, &issuer.token(json!({}))).await.1;
            assert_eq!(refusal.is_none(), in_force == issuer.address(), "{in_force}: {refusal:?}");
        }
    }
}

/// spec: A4, A2
#[tokio::test]
async fn a_server_whose_auth_config_is_wrong_does_not_start_and_says_why() {
    for (settings, parts) in [
        (
            AuthSettings::from(Clerk::from_env("NOBODY_SETS_THIS")),
            ["Environment variable NOBODY_SETS_THIS ", "NOBODY_SETS_THIS=<value>"],
        ),
        (AuthSettings::from(Clerk::at("undefined")), ["\"undefined\"", "provider 0"]),
        (AuthSettings::new().provider(Clerk::at("https://a.dev")).provider(Clerk::at("")), ["provider 1", "host"]),
    ] {
        let Err(error) = app::server().auth(settings).start("127.0.0.1:0").await else {
            panic!("{parts:?}: it started")
        };
        assert!(matches!(error, ServerError::Auth(_)), "{error}");
        assert!(parts.iter().all(|part| error.to_string().contains(part)), "{error}");
    }
}

/// spec: H16, H17
#[tokio::test]
async fn tools_that_watch_variables_see_each_change_as_one() {
    let data = data_with(&[]).await;
    let admin = Admin::start(data.path(), |server| server).await;
    let mut client = RawClient::connect(admin.server.address()).await;
    client.authenticate_admin(&admin.key).await;
    client.subscribe(0, "_system/cli/queryEnvironmentVariables:get", json!({"name": "B"})).await;
    client.subscribe(1, "_system/cli/queryEnvironmentVariables:default", json!({})).await;
    assert_eq!(client.until(1, |_| true).await, json!([]));
    let value = "several\nlines and 'quotes' \"of\" both kinds";
    let (status, answer) = admin.change(&[("B", Some(value)), ("A", Some("1"))]).await;
    assert_eq!(status, 200, "{answer}");
    let row = |name: &str, value: &str| json!({"_id": name, "_creationTime": 0.0, "name": name, "value": value});
    let both = json!([row("A", "1"), row("B", value)]);
    assert_eq!(client.until(1, |all| *all != json!([])).await, both);
    assert_eq!(client.until(0, Value::is_object).await, json!({"name": "B", "value": value}));
    assert_eq!(admin.change(&[("A", None), ("B", None), ("NEVER_SET", None)]).await.0, 200);
    assert_eq!(client.until(1, |all| *all != both).await, json!([]));
    assert_eq!(client.until(0, |_| true).await, Value::Null);
}

/// spec: H17
#[tokio::test]
async fn a_request_that_breaks_a_rule_is_refused_as_a_whole() {
    let data = data_with(&[("KEPT", "1")]).await;
    let admin = Admin::start(data.path(), |server| server).await;
    let good = json!({"name": "GOOD", "value": "x"});
    for (bad, code) in [
        (json!({"name": "not-a-name", "value": "x"}), "EnvironmentVariableNameInvalid"),
        (json!({"name": "CONVEX_SITE_URL", "value": "x"}), "EnvVarNameForbidden"),
        (good.clone(), "EnvVarNameNotUnique"),
        (json!({"name": "LONG", "value": "x".repeat(8193)}), "EnvironmentVariableValueTooLarge"),
        (json!({"name": "KEPT"}), "BadJsonBody"),
        (json!({"name": "KEPT", "value": 5}), "BadJsonBody"),
    ] {
        let (status, answer) = admin.update(json!({"changes": [good, bad]})).await;
        assert_eq!((status, &answer["code"]), (400, &json!(code)), "{answer}");
        assert_eq!(admin.variables().await, json!({"KEPT": "1"}), "{code}");
    }
    let request = json!({"changes": [good]});
    let (status, answer) = admin.server.post("/api/update_environment_variables", request).await;
    assert_eq!((status, &answer["code"]), (403, &json!("BadDeployKey")), "{answer}");
}

/// An administrator who watches an internal function first must not warm it for others.
///
/// spec: A54, A47, H7
#[tokio::test]
async fn what_an_administrator_watches_is_not_shared_with_anyone() {
    let data = data_with(&[("SECRET", "s3cret")]).await;
    let admin = Admin::start(data.path(), |server| server).await;
    let functions = ["_system/cli/queryEnvironmentVariables", "counter:secret"];
    let mut ours = RawClient::connect(admin.server.address()).await;
    ours.authenticate_admin(&admin.key).await;
    for (query, path) in functions.iter().enumerate() {
        ours.subscribe(query as u64, path, json!({})).await;
        ours.until(query as u64, |result| result["type"] != "QueryFailed").await;
    }
    let token = admin.server.token(json!({"subject": "user_ada"})).await;
    for token in [None, Some(token.as_str())] {
        let mut theirs = RawClient::connect(admin.server.address()).await;
        theirs.authenticate(token).await;
        for (query, path) in functions.iter().enumerate() {
            theirs.subscribe(query as u64, path, json!({})).await;
            let result = theirs.until(query as u64, |_| true).await;
            let text = result["errorMessage"].as_str().unwrap_or_else(|| panic!("{path} was served: {result}"));
            assert!(text.contains(&format!("Could not find public function for '{path}'")), "{text}");
        }
    }
}
