//! What official tools and dashboards ask: answered to administrators, and to nobody else.

use serde_json::{Value, json};
use syncline_tests::{RawClient, TestServer};

use crate::admin::server_with_key;

/// What every page of a table starts with.
pub(crate) const FIRST: &str = r#"{"numItems":10,"cursor":null}"#;

pub(crate) async fn ask(
    server: &TestServer,
    (method, path, body): (&str, &str, Option<&str>),
    key: Option<&str>,
) -> (u16, String) {
    let method = method.parse().expect("a method");
    let mut request = server.http().request(method, server.url(path));
    if let Some(body) = body {
        request = request.header("content-type", "application/json").body(body.to_owned());
    }
    if let Some(key) = key {
        request = request.header("authorization", format!("Convex {key}"));
    }
    let response = request.send().await.expect("an answer");
    (response.status().as_u16(), response.text().await.expect("a text"))
}

/// A socket of an administrator.
async fn admin_socket(server: &TestServer, key: &str) -> RawClient {
    let mut admin = RawClient::connect(server.address()).await;
    admin.authenticate_admin(key).await;
    admin
}

async fn done(admin: &mut RawClient, path: &str, args: Value) -> Value {
    let answer = admin.mutation(&format!("_system/frontend/{path}"), args).await;
    assert_eq!(answer["success"], true, "{answer}");
    answer["result"].clone()
}

/// spec: H40
#[tokio::test]
async fn tables_are_edited_and_whoever_looks_sees_it() {
    let (server, key, _data) = server_with_key().await;
    let mut admin = admin_socket(&server, &key).await;
    let first: Value = serde_json::from_str(FIRST).expect("JSON");
    admin.subscribe(0, "_system/cli/tables", json!({"paginationOpts": first})).await;
    let named = |tables: &Value, name: &str| {
        tables["page"].as_array().is_some_and(|page| page.contains(&json!({"name": name})))
    };
    admin.until(0, |tables| !named(tables, "drafts")).await;
    done(&mut admin, "createTable", json!({"table": "drafts"})).await;
    admin.until(0, |tables| named(tables, "drafts")).await;

    admin
        .subscribe(
            1,
            "_system/frontend/paginatedTableDocuments",
            json!({"table": "drafts", "filters": null, "paginationOpts": first}),
        )
        .await;
    admin.subscribe(2, "_system/frontend/tableSize", json!({"tableName": "drafts"})).await;
    let added =
        done(&mut admin, "addDocument", json!({"table": "drafts", "documents": [{"n": 1}, {"n": 2}, {"n": 3}]})).await;
    assert_eq!(added, json!({"success": true}));
    let page = admin.until(1, |page| page["page"].as_array().is_some_and(|page| page.len() == 3)).await;
    assert_eq!(page["page"][0]["n"], 3.0, "the newest first");
    admin.until(2, |size| *size == json!(3.0)).await;
    let ids: Vec<String> = page["page"]
        .as_array()
        .expect("rows")
        .iter()
        .map(|row| row["_id"].as_str().expect("an id").to_owned())
        .collect();

    let patched = json!({"table": "drafts", "fields": {"state": "open"}, "ids": [ids[0]]});
    assert_eq!(done(&mut admin, "patchDocumentsFields", patched).await["success"], true);
    admin.until(1, |page| page["page"][0]["state"] == "open" && page["page"][1]["state"].is_null()).await;
    let replaced = json!({"id": ids[1], "document": {"n": 20}});
    assert_eq!(done(&mut admin, "replaceDocument", replaced).await["success"], true);
    admin.until(1, |page| page["page"][1]["n"] == 20.0).await;
    let deleted = json!({"toDelete": [{"id": ids[2], "tableName": "drafts"}]});
    assert_eq!(done(&mut admin, "deleteDocuments", deleted).await["success"], true);
    admin.until(2, |size| *size == json!(2.0)).await;
    let cleared = done(&mut admin, "clearTablePage", json!({"tableName": "drafts", "cursor": null})).await;
    assert_eq!((&cleared["deleted"], &cleared["hasMore"]), (&json!(2.0), &json!(false)));
    admin.until(2, |size| *size == json!(0.0)).await;
}

/// spec: H40
#[tokio::test]
async fn an_edit_that_breaks_a_rule_leaves_nothing_and_says_why() {
    let (server, key, _data) = server_with_key().await;
    let mut admin = admin_socket(&server, &key).await;
    let good = json!({"list": "l", "rank": 1, "text": "t"});
    let args = json!({"table": "items", "documents": [good, {"list": "l", "rank": "high", "text": "t"}]});
    let answer = done(&mut admin, "addDocument", args).await;
    assert_eq!(answer["success"], false);
    assert!(answer["error"].as_str().is_some_and(|error| error.contains("SchemaEnforcementError")), "{answer}");
    admin.subscribe(0, "items:list", json!({"list": "l"})).await;
    assert_eq!(admin.until(0, |_| true).await, json!([]), "the good one is not there either");
}

/// spec: H38
#[tokio::test]
async fn pages_of_another_origin_may_ask() {
    let (server, key, _data) = server_with_key().await;
    for path in [
        "/api/check_admin_key",
        "/api/stream_function_logs",
        "/api/syncline/health",
        "/api/v1/deployment_info",
        "/api/nothing_of_the_sort",
        "/version",
    ] {
        let request = server.http().request(reqwest::Method::OPTIONS, server.url(path));
        let request = request
            .header("origin", "http://127.0.0.1:6791")
            .header("access-control-request-method", "GET")
            .header("access-control-request-headers", "authorization,convex-client");
        let response = request.send().await.expect("an answer");
        let header =
            |name: &str| response.headers().get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
        assert!(response.status().is_success(), "{path}");
        assert_eq!(header("access-control-allow-origin"), "http://127.0.0.1:6791", "{path}");
        assert_eq!(header("access-control-allow-headers"), "authorization,convex-client", "{path}");
        assert_eq!(header("access-control-allow-credentials"), "true", "{path}");
    }
    let nowhere = server.http().post(server.url("/api/nowhere")).header("origin", "http://127.0.0.1:6791").body("{}");
    let answer = nowhere.send().await.expect("an answer");
    assert_eq!(answer.status(), 400, "a 404 is tried again");
    assert!(answer.headers().contains_key("access-control-allow-origin"), "the page can read why");
    assert!(answer.text().await.expect("a text").contains("UnknownRoute"));
    let login = server.http().get(server.url("/api/check_admin_key")).header("origin", "http://127.0.0.1:6791");
    let answer = login.header("authorization", format!("Convex {key}")).send().await.expect("an answer");
    assert_eq!((answer.status().as_u16(), answer.headers().contains_key("access-control-allow-origin")), (200, true));
}

/// The key is for the page that this server shows to the developer at this machine, and for nobody else.
#[tokio::test]
async fn the_key_is_given_to_this_machine_in_development_only() {
    let (server, _, _data) = server_with_key().await;
    let response = server.http().get(server.url("/dashboard/key")).header("origin", "http://evil.example").send().await;
    let response = response.expect("an answer");
    assert!(!response.headers().contains_key("access-control-allow-origin"), "no page of another origin reads it");
    let answer: Value = response.json().await.expect("JSON");
    let key = answer["adminKey"].as_str().expect("a key");
    assert_eq!(ask(&server, ("GET", "/api/check_admin_key", None), Some(key)).await.0, 200);
    let rebound = server.http().get(server.url("/dashboard/key")).header("host", "evil.example:3210");
    assert_eq!(rebound.send().await.expect("an answer").status(), 403);

    let data = tempfile::tempdir().expect("a folder");
    let production = TestServer::start_with(|server| {
        server.data(data.path()).change_config(|config| config.mode = syncline::config::Mode::Production)
    });
    assert_eq!(ask(&production.await, ("GET", "/dashboard/key", None), None).await.0, 403);
}

/// spec: H8
#[tokio::test]
async fn a_held_request_for_logs_ends_with_the_server() {
    let (server, key, _data) = server_with_key().await;
    let (url, http) = (server.url("/api/stream_function_logs?cursor=9e15"), server.http().clone());
    let held = tokio::spawn(async move {
        http.get(url).header("authorization", format!("Convex {key}")).send().await.expect("an answer").status()
    });
    let health = server.url("/api/syncline/health");
    let key = syncline::admin::AdminKeys::open("tested", _data.path()).expect("keys").issue(1);
    loop {
        let answer = server.http().get(&health).header("authorization", format!("Convex {key}")).send().await;
        let answer: Value = answer.expect("an answer").json().await.expect("JSON");
        if answer["followers"] == 1 {
            break;
        }
        tokio::task::yield_now().await;
    }
    server.stop().await;
    assert_eq!(held.await.expect("it ends"), 503);
}

/// What a live query depends on and why it ran, for the page that shows it.
#[tokio::test]
async fn live_queries_tell_what_they_read_and_why_they_ran() {
    let (server, key, _data) = server_with_key().await;
    let mut watcher = RawClient::connect(server.address()).await;
    watcher.subscribe(0, "items:list", json!({"list": "live"})).await;
    watcher.until(0, |rows| *rows == json!([])).await;
    let described = async || {
        let (_, text) = ask(&server, ("GET", "/api/syncline/live_queries", None), Some(&key)).await;
        let answer: Value = serde_json::from_str(&text).expect("JSON");
        answer["queries"][0].clone()
    };
    let first = described().await;
    assert_eq!((&first["path"], &first["watchers"], &first["runs"]), (&json!("items:list"), &json!(1), &json!(1)));
    assert_eq!((&first["cause"], &first["identity"]), (&json!("first"), &Value::Null));
    let reads = first["reads"].to_string();
    assert!(reads.contains("items.by_list_rank") && reads.contains("live"), "{reads}");
    server.mutation("items:add", json!({"list": "live", "rank": 1, "text": "t"})).await;
    watcher.until(0, |rows| rows[0]["text"] == "t").await;
    let again = described().await;
    assert_eq!((&again["cause"], &again["runs"]), (&json!("table items changed"), &json!(2)));
    assert!(again["resultBytes"].as_u64() > first["resultBytes"].as_u64());
}

/// A conflict is never the caller's problem; whoever follows the log sees it.
#[tokio::test]
async fn health_counts_calls_and_handshakes_are_kept_without_tokens() {
    let (server, key, _data) = server_with_key().await;
    server.mutation("counter:increment", json!({"name": "h", "by": 1.0})).await;
    let failing = server.post("/api/query", json!({"path": "errors:plain", "args": {}})).await;
    assert_eq!(failing.1["status"], "error");
    let (_, text) = ask(&server, ("GET", "/api/syncline/health", None), Some(&key)).await;
    let health: Value = serde_json::from_str(&text).expect("JSON");
    assert_eq!((&health["calls"]["mutation"], &health["calls"]["query"]), (&json!(1), &json!(1)), "{health}");
    assert_eq!((&health["errors"]["query"], &health["errors"]["mutation"]), (&json!(1), &json!(0)));
    assert!(health["commits"].as_u64() >= Some(1) && health["latencyMs"]["mutation"]["p50"].is_number(), "{health}");
    assert!(health["syncMs"]["p50"].is_number() && health["memoryBytes"].as_u64() > Some(1 << 20), "{health}");

    let token = server.token(json!({"subject": "user_ada"})).await;
    for bearer in [token.as_str(), "e30.e30.e30"] {
        let request = server.http().post(server.url("/api/query")).header("authorization", format!("Bearer {bearer}"));
        request.json(&json!({"path": "auth:whoami", "args": {}})).send().await.expect("an answer");
    }
    let (_, text) = ask(&server, ("GET", "/api/syncline/handshakes", None), Some(&key)).await;
    assert!(!text.contains(&token) && !text.contains("e30.e30"), "{text}");
    let kept: Value = serde_json::from_str(&text).expect("JSON");
    let outcomes: Vec<&Value> =
        kept["handshakes"].as_array().expect("a list").iter().map(|one| &one["outcome"]).collect();
    assert_eq!(outcomes, ["refused", "accepted"], "the newest first: {text}");
    let (_, text) =
        ask(&server, ("POST", "/api/syncline/explain", Some(&json!({"token": token}).to_string())), Some(&key)).await;
    let explained: Value = serde_json::from_str(&text).expect("JSON");
    assert_eq!(explained["accepted"], true, "{text}");
    assert!(
        explained["checks"].as_array().is_some_and(|checks| checks.iter().all(|check| check["ok"] == true)),
        "{text}"
    );
}
