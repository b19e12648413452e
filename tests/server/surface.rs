//! Nothing of what is for administrators answers without their key: each route of the server's own table and each
//! function of its own registry is tried, so that a new one is tried too, or has to be named here as public.

use std::collections::BTreeSet;

use serde_json::{Value, json};
use syncline::admin::AdminKeys;
use syncline::surface::{self, Access, Route};
use syncline_functions::registry::{Function, FunctionKind};
use syncline_tests::{RawClient, TestServer};

use crate::admin::server_with_key;
use crate::tools::FIRST;

/// What anybody may ask. A route that is added to the server stands here, or wants the key.
const PUBLIC: [(&str, &str); 12] = [
    ("POST", "/api/query"),
    ("GET", "/api/query"),
    ("POST", "/api/mutation"),
    ("POST", "/api/action"),
    ("POST", "/api/run/{*path}"),
    ("POST", "/api/query_ts"),
    ("POST", "/api/query_at_ts"),
    ("POST", "/api/query_batch"),
    ("GET", "/version"),
    ("GET", "/instance_version"),
    ("GET", "/instance_name"),
    ("ANY", "/echo"),
];

/// Somebody who is no administrator, and how the server says so.
struct Stranger {
    what: &'static str,
    authorization: Option<String>,
    /// Instead of the header.
    key: Option<String>,
    code: &'static str,
}

/// Keys that are none of this server.
fn wrong_keys(key: &str) -> Vec<(&'static str, String)> {
    let mut forged = key.to_owned();
    let last = forged.pop().expect("a digit");
    forged.push(if last == '0' { '1' } else { '0' });
    let hex = key.split_once('|').expect("a key").1;
    vec![
        ("no key at all", "nonsense".to_owned()),
        ("a key with another last digit", forged),
        ("this key under another name", format!("another|{hex}")),
        ("the key of another instance", AdminKeys::new("another", &[7; 32]).issue(1_755_800_000)),
        ("a key of another secret", AdminKeys::new("tested", &[7; 32]).issue(1_755_800_000)),
    ]
}

async fn strangers(server: &TestServer, key: &str) -> Vec<Stranger> {
    let token = server.token(json!({"subject": "user_ada"})).await;
    let of =
        |what, authorization: Option<String>, key: Option<String>, code| Stranger { what, authorization, key, code };
    let mut all = vec![
        of("nobody", None, None, "BadDeployKey"),
        of("a user", Some(format!("Bearer {token}")), None, "BadDeployKey"),
    ];
    for (what, wrong) in wrong_keys(key) {
        all.push(of(what, Some(format!("Convex {wrong}")), None, "BadAdminKey"));
        all.push(of(what, None, Some(wrong), "BadAdminKey"));
    }
    all
}

/// A path with something for each part that it leaves open.
fn filled(path: &str) -> String {
    let part = |part: &str| if part.starts_with('{') { "x".to_owned() } else { part.to_owned() };
    path.split('/').map(part).collect::<Vec<_>>().join("/")
}

/// Whether a route reads a key from its body, as the older ones do.
fn takes_key_in_body(path: &str) -> bool {
    let older = ["/api/run_test_function", "/api/get_config", "/api/push_config", "/api/prepare_schema"];
    older.iter().any(|older| path.starts_with(older))
        || path.starts_with("/api/deploy2/")
        || path.starts_with("/api/schema_state/")
}

async fn ask(server: &TestServer, route: &Route, authorization: Option<&str>, key: Option<&str>) -> (u16, String) {
    let method = if route.method == Route::ANY { "POST" } else { route.method };
    let mut url = server.url(&filled(route.path));
    let mut body = json!({});
    if let Some(key) = key {
        match takes_key_in_body(route.path) {
            true => body = json!({"adminKey": key}),
            false => url = format!("{url}?adminKey={}", key.replace('|', "%7C")),
        }
    }
    let mut request = server.http().request(method.parse().expect("a method"), url);
    if method == "POST" {
        request = request.json(&body);
    }
    if let Some(authorization) = authorization {
        request = request.header("authorization", authorization);
    }
    let response = request.send().await.expect("an answer");
    (response.status().as_u16(), response.text().await.expect("a text"))
}

/// spec: H7, H39, A52
#[tokio::test]
async fn no_route_of_administrators_answers_without_their_key() {
    let (server, key, _data) = server_with_key().await;
    let strangers = strangers(&server, &key).await;
    let routes = surface::routes();
    for route in routes.iter().filter(|route| route.access == Access::Administrators) {
        for Stranger { what, authorization, key, code } in &strangers {
            let (status, text) = ask(&server, route, authorization.as_deref(), key.as_deref()).await;
            let answer: Value = serde_json::from_str(&text).unwrap_or_default();
            // A key that a route does not look for is no key.
            let ignored = key.is_some() && answer["code"] == "BadDeployKey";
            assert!(status == 403 && (ignored || answer["code"] == *code), "{route:?}, {what}: {status} {text}");
            assert_eq!(answer.as_object().map(serde_json::Map::len), Some(2), "{route:?} says more: {text}");
        }
        let (status, text) = ask(&server, route, Some(&format!("Convex {key}")), None).await;
        assert!(matches!(status, 200 | 400), "with the key {route:?} answers: {status} {text}");
    }
}

/// spec: H7
#[tokio::test]
async fn what_is_public_is_named_and_nothing_else_is() {
    let public: BTreeSet<(&str, &str)> = surface::routes()
        .into_iter()
        .filter(|route| route.access == Access::Anyone)
        .map(|route| (route.method, route.path))
        .collect();
    assert_eq!(public, BTreeSet::from(PUBLIC), "a route for everybody is named in this test");
}

/// Each function of the server with arguments that it takes.
fn arguments() -> Vec<(&'static str, Value)> {
    let first: Value = serde_json::from_str(FIRST).expect("JSON");
    vec![
        ("_system/cli/queryEnvironmentVariables", json!({})),
        ("_system/cli/queryEnvironmentVariables:get", json!({"name": "A"})),
        ("_system/cli/modules:apiSpec", json!({})),
        ("_system/cli/convexUrl:cloudUrl", json!({})),
        ("_system/cli/tables", json!({"paginationOpts": first})),
        ("_system/cli/tableData", json!({"table": "items", "order": "asc", "paginationOpts": first})),
        ("_system/cli/tableSize", json!({"tableName": "items"})),
        ("_system/frontend/modules:listForAllComponents", json!({})),
        ("_system/frontend/modules:argsValidator", json!({"function": "items:list", "componentId": null})),
        ("_system/frontend/getVersion", json!({})),
        ("_system/frontend/getTableMapping", json!({"componentId": null})),
        ("_system/frontend/getSchemas", json!({})),
        ("_system/frontend/getSchemas:schemaValidationProgress", json!({})),
        ("_system/frontend/indexes", json!({"tableName": "items", "tableNamespace": null})),
        ("_system/frontend/listEnvironmentVariables", json!({})),
        ("_system/frontend/listAuthProviders", json!({})),
        ("_system/frontend/convexCloudUrl", json!({})),
        ("_system/frontend/convexSiteUrl", json!({})),
        ("_system/frontend/components:list", json!({})),
        ("_system/frontend/backendState:backendState", json!({})),
        ("_system/frontend/deploymentState:deploymentState", json!({})),
        (
            "_system/frontend/paginatedTableDocuments",
            json!({"table": "items", "filters": null, "paginationOpts": first, "componentId": null}),
        ),
        ("_system/syncline/tableSize", json!({"tableName": "items"})),
        ("_system/frontend/tableSize", json!({"tableName": "items"})),
        ("_system/frontend/listById", json!({"ids": []})),
        ("_system/frontend/fileStorageV2:numFiles", json!({})),
        ("_system/frontend/fileStorageV2:fileMetadata", json!({"paginationOpts": first})),
        ("_system/frontend/fileStorageV2:getFile", json!({"storageId": "x"})),
        ("_system/frontend/paginatedScheduledJobs", json!({"paginationOpts": first})),
        ("_system/frontend/scheduler:getArgs", json!({"argsId": "x"})),
        ("_system/frontend/listCronJobs", json!({})),
        ("_system/frontend/listCronJobRuns", json!({})),
        ("_system/frontend/listConfiguredSinks", json!({})),
        ("_system/frontend/paginatedDeploymentEvents", json!({"paginationOpts": first})),
        ("_system/frontend/deploymentEvents:lastPushEvent", json!({})),
        ("_system/frontend/addDocument", json!({"table": "free", "documents": [{"a": 1}]})),
        ("_system/frontend/addDocument:insertAll", json!({"table": "free", "documents": []})),
        ("_system/frontend/replaceDocument", json!({"id": "x", "document": {}})),
        ("_system/frontend/patchDocumentsFields", json!({"table": "free", "fields": {}, "ids": []})),
        ("_system/frontend/patchDocumentsFields:patchAll", json!({"table": "free", "fields": {}})),
        ("_system/frontend/deleteDocuments", json!({"toDelete": []})),
        ("_system/frontend/deleteDocuments:deleteAll", json!({"toDelete": []})),
        ("_system/frontend/clearTablePage", json!({"tableName": "free", "cursor": null})),
        ("_system/frontend/createTable", json!({"table": "free"})),
        ("_system/frontend/fileStorageV2:generateUploadUrl", json!({})),
        ("_system/frontend/replaceDocument:replaceOne", json!({"id": "x", "document": {}})),
        ("_system/frontend/fileStorageV2:deleteFiles", json!({"storageIds": []})),
    ]
}

fn kind_name(kind: FunctionKind) -> &'static str {
    match kind {
        FunctionKind::Query => "query",
        FunctionKind::Mutation => "mutation",
        FunctionKind::Action => "action",
    }
}

/// Every function of the registry, as it is called, with its kind and arguments that it takes.
fn functions() -> Vec<(FunctionKind, String, Value)> {
    let known = arguments();
    let function = |function: &Function| {
        let path = function.path.short();
        let args = known.iter().find(|(known, _)| path == *known);
        let args = args.unwrap_or_else(|| panic!("{path} is new: name arguments that it takes in this test"));
        (function.kind, path, args.1.clone())
    };
    surface::functions().iter().map(function).collect()
}

fn looks_missing(answer: &Value, path: &str) -> bool {
    let text = answer["errorMessage"].as_str().unwrap_or_default();
    answer["value"].is_null() && text.contains(&format!("Could not find public function for '{path}"))
}

/// The same text for a function that is not there: nothing tells one from the other.
///
/// spec: H7, A54
#[tokio::test]
async fn functions_of_the_server_look_missing_over_http_to_everyone_else() {
    let (server, key, _data) = server_with_key().await;
    let token = server.token(json!({"subject": "user_ada"})).await;
    let post = async |path: &str, body: &Value, authorization: Option<&str>| {
        let mut request = server.http().post(server.url(path)).json(body);
        if let Some(authorization) = authorization {
            request = request.header("authorization", authorization);
        }
        let response = request.send().await.expect("an answer");
        (response.status().as_u16(), response.json::<Value>().await.expect("JSON"))
    };
    for (kind, path, args) in functions() {
        let (body, kind) = (json!({"path": path, "args": args}), kind_name(kind));
        let (module, function) = path.split_once(':').unwrap_or((&path, "default"));
        let run = format!("/api/run/{module}/{function}");
        for authorization in [None, Some(format!("Bearer {token}"))] {
            for route in ["/api/query", "/api/mutation", "/api/action", &run] {
                let (status, answer) = post(route, &body, authorization.as_deref()).await;
                assert!(status == 200 && looks_missing(&answer, &path), "{path} at {route}: {answer}");
            }
            let batch = json!({"queries": [body]});
            let (_, answer) = post("/api/query_batch", &batch, authorization.as_deref()).await;
            assert!(looks_missing(&answer["results"][0], &path), "{path} in a batch: {answer}");
        }
        for (what, wrong) in wrong_keys(&key) {
            let (status, answer) = post(&format!("/api/{kind}"), &body, Some(&format!("Convex {wrong}"))).await;
            assert_eq!((status, &answer["code"]), (403, &json!("BadAdminKey")), "{path} with {what}: {answer}");
        }
        let (_, answer) = post(&format!("/api/{kind}"), &body, Some(&format!("Convex {key}"))).await;
        // Files are not stored, and there is no document to replace; all others do what they are asked.
        let fails = path.ends_with(":generateUploadUrl") || path.ends_with(":replaceOne");
        assert_eq!(answer["status"] == "success", !fails, "with the key {path} answers: {answer}");
        assert!(!answer.to_string().contains("Could not find"), "with the key {path} is there: {answer}");
    }
    // An action calls internal functions; those of the server it calls for its caller.
    let through = json!({"path": "talk:ask", "args": {"path": "_system/cli/queryEnvironmentVariables"}});
    let (_, answer) = post("/api/action", &through, None).await;
    assert!(answer["errorMessage"].as_str().unwrap_or_default().contains("Could not find"), "{answer}");
}

/// spec: H7, S96
#[tokio::test]
async fn functions_of_the_server_look_missing_on_a_socket_to_everyone_else() {
    let (server, _, _data) = server_with_key().await;
    let token = server.token(json!({"subject": "user_ada"})).await;
    for token in [None, Some(token.as_str())] {
        let mut client = RawClient::connect(server.address()).await;
        client.authenticate(token).await;
        client.transition().await;
        for (query, (_, path, args)) in functions().into_iter().enumerate() {
            client.subscribe(query as u64, &path, args.clone()).await;
            let told = client.transition().await;
            let answer = told.of(query as u64).expect("an answer").clone();
            assert!(answer["type"] == "QueryFailed" && looks_missing(&answer, &path), "{path}: {answer}");
            for mutation in [client.start_mutation(&path, args.clone()).await, client.start_action(&path, args).await] {
                let answer = client.response(mutation).await;
                let text = answer["result"].as_str().unwrap_or_default();
                let missing = text.contains("Could not find public function for");
                assert!(answer["success"] == false && missing, "{path}: {answer}");
            }
        }
    }
}

/// Whoever shows a wrong key is told so and nothing else, and is refused like anybody when it comes back without one.
///
/// spec: H7, HS35
#[tokio::test]
async fn a_socket_with_a_wrong_key_is_told_of_nothing_but_the_key() {
    let (server, key, _data) = server_with_key().await;
    for (what, wrong) in wrong_keys(&key) {
        let mut client = RawClient::connect(server.address()).await;
        client.authenticate_admin(&wrong).await;
        let add = |(query, (_, path, args)): (usize, (FunctionKind, String, Value))| json!({"type": "Add", "queryId": query, "udfPath": path, "args": [args]});
        let all = functions().into_iter().enumerate().map(add).collect();
        // The server may have closed the socket by now.
        client.try_send(json!({"type": "ModifyQuerySet", "baseVersion": 0, "newVersion": 1, "modifications": Value::Array(all)})).await;
        let (said, _) = client.until_closed().await;
        let kinds: Vec<&Value> = said.iter().map(|message| &message["type"]).collect();
        assert_eq!(kinds, ["FatalError"], "{what}: {said:?}");
        assert!(said[0]["error"].as_str().is_some_and(|error| error.starts_with("BadAdminKey: ")), "{what}: {said:?}");
    }
}
