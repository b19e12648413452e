//! What clients read of failures.

use serde_json::json;
use syncline::config::{Config, Mode};
use syncline_engine::MemoryStorage;
use syncline_tests::{RawClient, TestServer};

async fn query_failure(server: &TestServer, path: &str, args: serde_json::Value) -> serde_json::Value {
    let mut client = RawClient::connect(server.address()).await;
    client.subscribe(0, path, args).await;
    client.transition().await.of(0).expect("an answer").clone()
}

/// spec: S110, S113, D136
#[tokio::test]
async fn a_failure_says_what_happened() {
    let server = TestServer::start().await;
    let failure = query_failure(&server, "errors:plain", json!({})).await;
    let text = failure["errorMessage"].as_str().expect("a text");
    let (head, rest) = text.split_once('\n').expect("two lines at least");
    assert!(head.starts_with("[Request ID: ") && head.ends_with("] Server Error"), "{head}");
    let id = &head["[Request ID: ".len()..head.len() - "] Server Error".len()];
    assert!(id.len() == 16 && id.bytes().all(|b| b.is_ascii_hexdigit()), "{id}");
    assert!(rest.contains("Uncaught Error: this query always fails") && rest.ends_with('\n'), "{rest}");
    assert!(failure.get("errorData").is_none());
}

/// spec: S47, D137
#[tokio::test]
async fn data_of_an_error_reaches_the_client() {
    let server = TestServer::start().await;
    let data = json!({"code": "NOT_MEMBER", "n": {"$integer": "BQAAAAAAAAA="}, "list": [null, 1.5]});
    let failure = query_failure(&server, "errors:withData", json!({"data": data})).await;
    assert_eq!(failure["errorData"], data);
    let failure = query_failure(&server, "errors:nullData", json!({})).await;
    assert!(failure.as_object().expect("an object").contains_key("errorData") && failure["errorData"].is_null());
}

/// spec: S112, D136
#[tokio::test]
async fn production_shows_nothing_but_data() {
    let config = Config { mode: Mode::Production, ..Config::default() };
    let server = TestServer::start_with_config(config).await;
    let failure = query_failure(&server, "errors:withData", json!({"data": "quota"})).await;
    let text = failure["errorMessage"].as_str().expect("a text");
    assert!(text.ends_with("] Server Error"), "{text}");
    assert_eq!((&failure["errorData"], &failure["logLines"]), (&json!("quota"), &json!([])));
}

/// spec: S114, S115, D96, D98
#[tokio::test]
async fn unknown_functions_wrong_kinds_and_bad_arguments_are_function_failures() {
    let server = TestServer::start().await;
    let mut client = RawClient::connect(server.address()).await;
    let mut failures = Vec::new();
    for (path, args) in [("nope:nothing", json!({})), ("counter:get", json!({"name": 5.0})), ("items:list", json!({}))]
    {
        let request = client.start_mutation(path, args.clone()).await;
        failures.push(client.response(request).await["result"].as_str().expect("a text").to_owned());
        let request = client.start_action(path, args.clone()).await;
        failures.push(client.response(request).await["result"].as_str().expect("a text").to_owned());
        failures.push(query_failure(&server, path, args).await["errorMessage"].as_str().expect("a text").to_owned());
    }
    for text in &failures[..3] {
        assert!(text.contains("Could not find public function for 'nope:nothing'"), "{text}");
    }
    assert!(failures[3].contains("a mutation") && failures[3].contains("a query"), "{}", failures[3]);
    assert!(failures[5].contains("ArgumentValidationError: ") && failures[5].contains("v.string()"), "{}", failures[5]);
    assert!(failures[8].contains("ArgumentValidationError: ") && failures[8].contains("list"), "{}", failures[8]);
}

/// spec: R4
#[tokio::test]
async fn an_ill_formed_path_fails_its_call_only() {
    let server = TestServer::start().await;
    let failure = query_failure(&server, "a-b:c", json!({})).await;
    assert!(failure["errorMessage"].as_str().expect("a text").contains("a-b:c"), "{failure}");
}

#[tokio::test]
async fn a_panic_ends_that_call_only() {
    let server = TestServer::start().await;
    let failure = query_failure(&server, "errors:panics", json!({})).await;
    assert!(failure["errorMessage"].as_str().expect("a text").contains("this query panics"), "{failure}");
    assert_eq!(server.mutation("counter:increment", json!({"name": "x", "by": 1.0})).await, json!(1.0));
}

#[tokio::test]
async fn a_function_that_never_ends_fails_by_its_limit() {
    let config = Config { function_wall_time_max: std::time::Duration::from_millis(50), ..Config::default() };
    let server = TestServer::start_with_config(config).await;
    let failure = query_failure(&server, "errors:never", json!({})).await;
    assert!(failure["errorMessage"].as_str().expect("a text").contains("50 ms"), "{failure}");
}

/// spec: S116, D139
#[tokio::test]
async fn the_same_error_is_not_sent_twice() {
    let server = TestServer::start().await;
    let mut client = RawClient::connect(server.address()).await;
    client.subscribe(0, "errors:plain", json!({})).await;
    client.subscribe(1, "counter:get", json!({"name": "x"})).await;
    client.until(1, serde_json::Value::is_number).await;
    let first = client.results[&0].clone();
    client.mutation("counter:increment", json!({"name": "x", "by": 1.0})).await;
    client.until(1, |value| *value == json!(1.0)).await;
    assert_eq!(client.results[&0], first);
}

/// spec: D140
#[tokio::test]
async fn a_failure_inside_tells_no_detail() {
    let storage = MemoryStorage::new();
    let server = TestServer::start_with(|server| server.storage(storage.clone())).await;
    server.mutation("items:add", json!({"list": "stored", "rank": 1.0, "text": ""})).await;
    server.stop().await;

    // Nothing is kept in memory, and the disk cannot be read any more.
    let mut config = Config::default();
    config.engine.memory_budget_bytes = 0;
    let disk = storage.reopen();
    let server = TestServer::start_with(|server| server.storage(disk.clone()).config(config)).await;
    disk.set_unreadable(true);
    let read = json!({"path": "items:list", "args": {"list": "stored"}, "format": "json"});
    let (status, answer) = server.post("/api/query", read).await;
    let fixed = json!({"code": "InternalServerError", "message": "the server failed; its log says why. Try again."});
    assert_eq!((status, answer), (500, fixed));
    disk.set_unreadable(false);
    let (_, answer) = server.post("/api/query", json!({"path": "items:list", "args": {"list": "stored"}})).await;
    assert_eq!(answer["value"].as_array().map(Vec::len), Some(1), "{answer}");
}
