//! The HTTP API.

use serde_json::json;
use syncline_tests::TestServer;

/// spec: D122, D123
#[tokio::test]
async fn calls_are_answered_with_200_whatever_the_function_makes_of_them() {
    let server = TestServer::start().await;
    let (status, answer) =
        server.post("/api/mutation", json!({"path": "counter:increment", "args": {"name": "h", "by": 2.0}})).await;
    assert_eq!((status, answer), (200, json!({"status": "success", "value": 2.0})));
    let (status, answer) = server.post("/api/query", json!({"path": "counter:get", "args": [{"name": "h"}]})).await;
    assert_eq!((status, answer), (200, json!({"status": "success", "value": 2.0})));
    let (status, answer) = server.post("/api/action", json!({"path": "actions:echo", "args": {"value": "x"}})).await;
    assert_eq!((status, answer), (200, json!({"status": "success", "value": "x"})));
    for (path, args) in [("nope:f", json!({})), ("counter:get", json!({})), ("errors:plain", json!({}))] {
        let (status, answer) = server.post("/api/query", json!({"path": path, "args": args})).await;
        assert_eq!((status, &answer["status"]), (200, &json!("error")), "{answer}");
        assert!(answer.get("errorData").is_none() && answer.get("logLines").is_none(), "{answer}");
    }
    let (_, answer) = server.post("/api/query", json!({"path": "errors:nullData", "args": {}})).await;
    assert!(answer.as_object().expect("an object").contains_key("errorData"), "{answer}");
}

/// spec: D14, D15
#[tokio::test]
async fn the_format_follows_the_request_or_the_client() {
    let server = TestServer::start().await;
    let five = json!({"$integer": "BQAAAAAAAAA="});
    let call = |format: Option<&str>| {
        let mut body = json!({"path": "actions:echo", "args": {"value": five}});
        if let Some(format) = format {
            body["format"] = json!(format);
        }
        body
    };
    assert_eq!(server.post("/api/action", call(None)).await.1["value"], "5");
    assert_eq!(server.post("/api/action", call(Some("convex_encoded_json"))).await.1["value"], five);
    assert_eq!(server.post("/api/action", call(Some("export_json"))).await.1["value"], 5);
    let (status, answer) = server.post("/api/action", call(Some("xml"))).await;
    assert_eq!((status, &answer["code"]), (400, &json!("BadFormat")));
    let old = server.http().post(server.url("/api/action")).header("convex-client", "npm-1.4.0").json(&call(None));
    let answer: serde_json::Value = old.send().await.expect("an answer").json().await.expect("JSON");
    assert_eq!(answer["value"], five);
}

/// spec: D94, D128, D129, D132
#[tokio::test]
async fn requests_that_cannot_be_used_are_told_why() {
    let server = TestServer::start().await;
    for path in ["../a:b", "a:b:c", "", "a-b:c"] {
        let (status, answer) = server.post("/api/query", json!({"path": path, "args": {}})).await;
        assert_eq!((status, &answer["code"]), (400, &json!("BadConvexFunctionIdentifier")), "{path}: {answer}");
    }
    let (status, answer) = server.post("/api/query", json!({"args": {}})).await;
    assert_eq!((status, &answer["code"]), (400, &json!("BadJsonBody")));
    let response = server.http().post(server.url("/api/query")).body("{}").send().await.expect("an answer");
    assert_eq!(response.status(), 400);
    assert!(response.text().await.expect("text").contains("application/json"));
    let response = server.http().post(server.url("/api/query")).header("convex-client", "x").json(&json!({}));
    let answer: serde_json::Value = response.send().await.expect("an answer").json().await.expect("JSON");
    assert!(answer["code"] == "InvalidClientVersion" || answer["code"] == "BadJsonBody", "{answer}");
}

/// spec: D124, D125
#[tokio::test]
async fn functions_by_address() {
    let server = TestServer::start().await;
    let (status, answer) = server.post("/api/run/counter/get", json!({"args": {"name": "h"}})).await;
    assert_eq!((status, &answer["value"]), (200, &json!(0.0)));
    let (status, answer) = server.post("/api/run/counter", json!({"args": {}})).await;
    assert_eq!((status, &answer["code"]), (400, &json!("MissingIdentifier")));
    let (status, answer) = server.post("/api/function", json!({"path": "counter:get", "args": {"name": "h"}})).await;
    assert_eq!((status, &answer["code"]), (403, &json!("BadDeployKey")));
    let url = server.url("/api/query?path=counter:get&args=%7B%22name%22%3A%22h%22%7D");
    let answer: serde_json::Value = server.http().get(url).send().await.expect("an answer").json().await.expect("JSON");
    assert_eq!(answer["value"], 0.0);
}

/// spec: D126, D127
#[tokio::test]
async fn reading_at_a_timestamp_and_in_batches() {
    let server = TestServer::start().await;
    let (_, ts) = server.post("/api/query_ts", json!({})).await;
    let read = json!({"path": "counter:get", "args": {"name": "t"}, "ts": ts["ts"]});
    server.mutation("counter:increment", json!({"name": "t", "by": 1.0})).await;
    for _ in 0..2 {
        assert_eq!(server.post("/api/query_at_ts", read.clone()).await.1["value"], 0.0);
    }
    let queries = json!([
        {"path": "counter:get", "args": {"name": "t"}},
        {"path": "errors:plain", "args": {}},
        {"path": "counter:get", "args": {"name": "t"}},
    ]);
    let (_, answer) = server.post("/api/query_batch", json!({"queries": queries})).await;
    let statuses: Vec<_> = answer["results"].as_array().expect("results").iter().map(|r| r["status"].clone()).collect();
    assert_eq!(statuses, [json!("success"), json!("error"), json!("success")]);
    assert_eq!(answer["results"][2]["value"], 1.0);
}

/// spec: D130, A49
#[tokio::test]
async fn credentials_are_checked_for_every_request() {
    let server = TestServer::start().await;
    let whoami = json!({"path": "auth:whoami", "args": {}});
    let with =
        |value: String| server.http().post(server.url("/api/query")).header("authorization", value).json(&whoami);
    let token = server.token(json!({"subject": "user_ada"})).await;
    let answer = with(format!("bearer {token}")).send().await.expect("an answer");
    let answer: serde_json::Value = answer.json().await.expect("JSON");
    assert_eq!(answer["value"]["subject"], "user_ada");
    for (value, status, code) in [
        ("Bearer nonsense".to_owned(), 401, "InvalidAuthHeader"),
        ("Bearer".to_owned(), 400, "InvalidHeaderFailure"),
        ("Basic dXNlcjpwYXNz".to_owned(), 400, "InvalidAdminKey"),
        ("Convex nobody|00".to_owned(), 403, "BadAdminKey"),
    ] {
        let response = with(value.clone()).send().await.expect("an answer");
        assert_eq!(response.status(), status, "{value}");
        let answer: serde_json::Value = response.json().await.expect("JSON");
        assert_eq!(answer["code"], code, "{value}");
    }
}

/// spec: D131
#[tokio::test]
async fn pages_of_any_origin_may_call() {
    let server = TestServer::start().await;
    let preflight = server
        .http()
        .request(reqwest::Method::OPTIONS, server.url("/api/query"))
        .header("origin", "http://page.example")
        .header("access-control-request-headers", "content-type,convex-client")
        .header("access-control-request-method", "POST");
    let response = preflight.send().await.expect("an answer");
    assert!(response.status().is_success());
    let headers = response.headers();
    assert_eq!(headers["access-control-allow-origin"], "http://page.example");
    assert_eq!(headers["access-control-allow-credentials"], "true");
    assert_eq!(headers["access-control-allow-headers"], "content-type,convex-client");
    assert_eq!(headers["access-control-max-age"], "86400");
    let response = server.http().get(server.url("/version")).header("origin", "null").send().await.expect("an answer");
    assert_eq!(response.headers()["access-control-allow-origin"], "null");
}
