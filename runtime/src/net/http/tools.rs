//! Routes that the official tools and dashboards ask for beside functions: what is true here is answered, and what
//! this server does not do is refused in a sentence, with 400: the tools take a 404 for a fault of the network and try
//! again for half a minute. Source: http-and-cli 1.3, 5.9 to 5.11, 12.4, 13.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{RawQuery, State};
use axum::http::header::{AUTHORIZATION, CONTENT_TYPE};
use axum::http::{HeaderMap, Uri};
use axum::response::IntoResponse;
use http_body_util::{BodyExt, Limited};
use serde_json::{Value as Json, json};

use super::error::HttpError;
use super::route::Entry;
use super::{Answered, Caller, credentials};
use crate::net::authenticate::Credential;
use crate::net::host::Host;
use crate::request::RequestToken;
use crate::surface::Access::Administrators;

/// Routes by which the official tools push code.
const PUSH_ROUTES: [&str; 6] = [
    "/api/get_config_hashes",
    "/api/get_config",
    "/api/push_config",
    "/api/prepare_schema",
    "/api/schema_state/{*rest}",
    "/api/deploy2/{*rest}",
];

/// What is always answered the same, as JSON text. Usage is counted by who bills for it; here nobody does.
const ALWAYS: [(&str, &str); 4] = [
    ("/api/v1/deployment_info", r#"{"kind":"selfHosted"}"#),
    ("/api/v1/list_usage_limits", r#"{"usageLimits":[]}"#),
    ("/api/v1/get_current_usage", r#"{"metrics":{},"seedStatus":"complete"}"#),
    ("/api/v1/list_log_streams", "[]"),
];

/// What dashboards could do with parts that are not here.
const ABSENT: [(&str, &str); 11] = [
    ("/api/delete_tables", "tables are not deleted while the server runs; clear the table instead"),
    ("/api/cancel_job", "nothing is scheduled on this server"),
    ("/api/cancel_all_jobs", "nothing is scheduled on this server"),
    ("/api/delete_scheduled_functions_table", "nothing is scheduled on this server"),
    ("/api/delete_component", "this server has no components"),
    ("/api/v1/pause_deployment", "this server cannot be paused; stop it instead"),
    ("/api/v1/unpause_deployment", "this server is never paused"),
    ("/api/v1/create_usage_limit", "this server sets no limits of usage"),
    ("/api/v1/update_usage_limit/{*rest}", "this server sets no limits of usage"),
    ("/api/v1/delete_usage_limit/{*rest}", "this server sets no limits of usage"),
    ("/api/v1/update_canonical_url", "set the origins where the server is started: --cloud-origin and --site-origin"),
];

pub(super) fn table() -> Vec<Entry> {
    let mut table = vec![
        Entry::post(Administrators, "/api/run_test_function", run_test_function),
        Entry::get(Administrators, "/api/shapes2", shapes),
        Entry::get(Administrators, "/api/v1/get_canonical_urls", canonical_urls),
        Entry::get(Administrators, "/api/app_metrics/{metric}", app_metrics),
    ];
    table.extend(ALWAYS.map(|(path, answer)| {
        Entry::get(Administrators, path, move |state, headers, query| always(state, headers, query, answer))
    }));
    table.extend(PUSH_ROUTES.map(|path| Entry::any(Administrators, path, push)));
    table.extend(ABSENT.map(|(path, why)| {
        Entry::any(Administrators, path, move |state, headers, query, uri| absent(state, headers, query, uri, why))
    }));
    table
}

/// An administrator whose key may stand in the body, as in the older routes.
async fn admin_by_body(host: Arc<Host>, headers: HeaderMap, body: Body) -> Result<Caller, HttpError> {
    if headers.contains_key(AUTHORIZATION) {
        return Caller::admin(host, headers, None).await;
    }
    let read = Limited::new(body, host.config.body_bytes_max).collect().await.ok();
    let body: Json = read.and_then(|read| serde_json::from_slice(&read.to_bytes()).ok()).unwrap_or_default();
    let identity = match body["adminKey"].as_str() {
        Some(key) => host.identify(Credential::Admin { key: key.to_owned(), acting_as: None }).await?,
        None => credentials::identify(&host, &headers, None).await?,
    };
    let client = credentials::client_of(&headers)?;
    let caller = Caller { host, identity, token: RequestToken::random(), client };
    caller.check_admin()?;
    Ok(caller)
}

async fn push(State(host): State<Arc<Host>>, headers: HeaderMap, body: Body) -> Answered {
    admin_by_body(host, headers, body).await?;
    Err(HttpError::bad_request(
        "FunctionsAreNative",
        "functions of this server are written in Rust and registered when it is built, so nothing can be pushed to it: \
         change the application and start it again; `codegen` of its own command line writes types for TypeScript.",
    ))
}

async fn run_test_function(State(host): State<Arc<Host>>, headers: HeaderMap, body: Body) -> Answered {
    admin_by_body(host, headers, body).await?;
    Err(HttpError::bad_request(
        "JavaScriptNotSupported",
        "this server runs functions written in Rust and no JavaScript: register a query and run that.",
    ))
}

async fn always(
    State(host): State<Arc<Host>>,
    headers: HeaderMap,
    RawQuery(query): RawQuery,
    answer: &'static str,
) -> Answered {
    Caller::admin(host, headers, query.as_deref()).await?;
    Ok(([(CONTENT_TYPE, "application/json")], answer).into_response())
}

async fn absent(
    State(host): State<Arc<Host>>,
    headers: HeaderMap,
    RawQuery(query): RawQuery,
    uri: Uri,
    why: &'static str,
) -> Answered {
    Caller::admin(host, headers, query.as_deref()).await?;
    Err(HttpError::bad_request("NotSupported", format!("{} is not done here: {why}.", uri.path())))
}

/// Tells tools nothing of the shapes of documents but that there are tables.
async fn shapes(State(host): State<Arc<Host>>, headers: HeaderMap, RawQuery(query): RawQuery) -> Answered {
    let caller = Caller::admin(host, headers, query.as_deref()).await?;
    let shapes: serde_json::Map<String, Json> =
        caller.host.engine.table_names().into_iter().map(|name| (name, json!({"type": "Unknown"}))).collect();
    Ok(axum::Json(shapes).into_response())
}

async fn canonical_urls(State(host): State<Arc<Host>>, headers: HeaderMap, RawQuery(query): RawQuery) -> Answered {
    let caller = Caller::admin(host, headers, query.as_deref()).await?;
    let facts = caller.host.executor.facts();
    let urls = json!({"convexCloudUrl": facts.cloud_origin, "convexSiteUrl": facts.site_origin});
    Ok(axum::Json(urls).into_response())
}

/// Charts of the official dashboard: no data.
async fn app_metrics(
    State(host): State<Arc<Host>>,
    headers: HeaderMap,
    RawQuery(query): RawQuery,
    uri: Uri,
) -> Answered {
    Caller::admin(host, headers, query.as_deref()).await?;
    let empty = if uri.path().ends_with("/function_concurrency") { json!({}) } else { json!([]) };
    Ok(axum::Json(empty).into_response())
}
