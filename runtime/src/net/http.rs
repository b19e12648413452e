//! The public HTTP API: calls, batches, reads at a timestamp, and a few words about the server.
//!
//! A function's own failure is an answer like any other (status 200); only what is wrong with the request, or with
//! the server, has an error status. Source: data-and-functions 8.

mod answer;
mod body;
mod console;
pub(super) mod cors;
mod credentials;
mod environment;
mod error;
mod logs;
mod route;
mod tools;

use std::sync::Arc;

use axum::Router;
use axum::extract::{Path, RawQuery, Request, State};
use axum::http::HeaderMap;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use syncline_client_protocol::ClientVersion;
use syncline_functions::registry::FunctionKind;
use syncline_schema::Timestamp;

use super::host::Host;
use crate::executor::{Call, MutationRun, QueryRun};
use crate::function_log::Origin;
use crate::identity::Identity;
use crate::live::Published;
use crate::request::RequestToken;
use crate::surface::Access::{Administrators, Anyone};
use crate::surface::Route;
use answer::{Answer, Outcome};
use body::{BatchBody, CallBody, RunBody, parse, read};
pub(super) use error::HttpError;
use route::Entry;

type Answered = Result<Response, HttpError>;

/// The routes of the API.
pub(super) fn router(host: Arc<Host>) -> Router {
    route::router(table()).layer(cors::CrossOrigin).with_state(host)
}

/// The same, as a table.
pub(super) fn routes() -> Vec<Route> {
    table().iter().map(|entry| entry.route).collect()
}

fn table() -> Vec<Entry> {
    let mut table = vec![
        Entry::post(Anyone, "/api/query", query),
        Entry::get(Anyone, "/api/query", query_by_address),
        Entry::post(Anyone, "/api/mutation", mutation),
        Entry::post(Anyone, "/api/action", action),
        Entry::post(Administrators, "/api/function", any_function),
        Entry::post(Anyone, "/api/run/{*path}", run),
        Entry::post(Anyone, "/api/query_ts", query_ts),
        Entry::post(Anyone, "/api/query_at_ts", query_at_ts),
        Entry::post(Anyone, "/api/query_batch", query_batch),
        Entry::get(Anyone, "/version", async || env!("CARGO_PKG_VERSION")),
        Entry::get(Anyone, "/instance_version", async || env!("CARGO_PKG_VERSION")),
        Entry::get(Anyone, "/instance_name", instance_name),
        Entry::any(Anyone, "/echo", async |request: Request| request.into_body()),
        Entry::get(Administrators, "/api/check_admin_key", check_admin_key),
        Entry::post(Administrators, "/api/update_environment_variables", environment::update),
        Entry::post(Administrators, "/api/v1/update_environment_variables", environment::update),
        Entry::get(Administrators, "/api/v1/list_environment_variables", environment::list),
        Entry::get(Administrators, "/api/stream_function_logs", logs::function_logs),
        Entry::get(Administrators, "/api/app_metrics/stream_function_logs", logs::function_logs),
        Entry::get(Administrators, "/api/stream_udf_execution", logs::executions),
    ];
    table.extend(tools::table());
    table.extend(console::table());
    table
}

async fn instance_name(State(host): State<Arc<Host>>) -> String {
    host.instance_name.clone()
}

/// Tools ask this before they show anything.
async fn check_admin_key(State(host): State<Arc<Host>>, headers: HeaderMap, RawQuery(query): RawQuery) -> Answered {
    Caller::admin(host, headers, query.as_deref()).await?;
    Ok(axum::Json(serde_json::json!({"success": true, "allowedOps": [], "isReadOnly": false})).into_response())
}

/// A request that has shown who it is.
struct Caller {
    host: Arc<Host>,
    identity: Identity,
    token: RequestToken,
    client: ClientVersion,
}

impl Caller {
    async fn of(host: Arc<Host>, headers: HeaderMap, query: Option<&str>) -> Result<Self, HttpError> {
        let client = credentials::supported_client(&headers)?;
        let identity = credentials::identify(&host, &headers, query).await?;
        let given = headers.get("convex-request-id").and_then(|id| id.to_str().ok());
        Ok(Caller { host, identity, token: RequestToken::given_or_random(given), client })
    }

    /// The same, who has to be an administrator.
    async fn admin(host: Arc<Host>, headers: HeaderMap, query: Option<&str>) -> Result<Self, HttpError> {
        let caller = Self::of(host, headers, query).await?;
        caller.check_admin()?;
        Ok(caller)
    }

    fn check_admin(&self) -> Result<(), HttpError> {
        match self.identity.is_admin() {
            true => Ok(()),
            false => Err(HttpError::admin_needed(&self.host.instance_name, &self.identity)),
        }
    }

    fn call(&self, path: &str, args: &str) -> Result<Call, HttpError> {
        if let Err(cause) = self.host.executor.check_path(path) {
            return Err(HttpError::bad_request(
                "BadConvexFunctionIdentifier",
                format!("the function path {path:?} does not parse: {cause}. Write it as \"module:function\"."),
            ));
        }
        let (path, args) = (path.into(), args.into());
        let (identity, request) = (self.identity.clone(), self.token);
        Ok(Call { path, args, identity, request, once: None, origin: Origin::Http })
    }

    /// Runs a query at a moment that is kept.
    async fn query_at(&self, call: Call, ts: Timestamp) -> Result<QueryRun, HttpError> {
        let executor = self.host.executor.clone();
        Ok(self.host.on_functions(async move { executor.query(&call, ts, None).await }).await?)
    }

    async fn mutation(&self, call: Call) -> Result<MutationRun, HttpError> {
        let executor = self.host.executor.clone();
        let expected = executor.expect_commit();
        let run = self.host.on_functions(async move {
            let run = executor.mutation(&call).await;
            drop(expected);
            run
        });
        let run = run.await?;
        // As sessions do: who waits for one batch of the log is woken together with all others.
        let (on, mut published) = (run.stands_on(), self.host.live.published());
        let stands = |at: &Published| !on.waits_for(at.at.ts(), at.generation);
        // An error means that the server ends; what the log has of it says whether it stands.
        drop(published.wait_for(stands).await);
        self.host.executor.until_durable(&run).await?;
        Ok(run)
    }

    async fn run(&self, kind: FunctionKind, call: Call, answer: &Answer) -> Answered {
        Ok(match kind {
            FunctionKind::Query => {
                let pin = self.host.pin()?;
                answer.query(&self.query_at(call, pin.ts()).await?)
            }
            FunctionKind::Mutation => {
                let run = self.mutation(call).await?;
                answer.response(&Outcome { value: run.outcome.map(|(value, _)| value), log_lines: run.log_lines })
            }
            FunctionKind::Action => {
                let executor = self.host.executor.clone();
                let run = self.host.on_functions(async move { executor.action(&call).await }).await;
                answer.response(&Outcome { value: run.outcome, log_lines: run.log_lines })
            }
        })
    }

    fn answer(&self, format: Option<&str>) -> Result<Answer, HttpError> {
        Answer::new(self.host.config.mode, self.token, format, &self.client)
    }
}

/// A request that has come whole: its head and its body.
async fn received(host: &Host, request: Request) -> Result<(HeaderMap, Bytes), HttpError> {
    let (head, body) = request.into_parts();
    let bytes = read(&head.headers, body, host.config.body_bytes_max).await?;
    Ok((head.headers, bytes))
}

async fn call_of_kind(host: Arc<Host>, request: Request, kind: FunctionKind) -> Answered {
    let (headers, bytes) = received(&host, request).await?;
    let caller = Caller::of(host, headers, None).await?;
    let body: CallBody = parse(&bytes)?;
    let answer = caller.answer(body.format.as_deref())?;
    let call = caller.call(&body.path, body.args.get())?;
    caller.run(kind, call, &answer).await
}

async fn query(State(host): State<Arc<Host>>, request: Request) -> Answered {
    call_of_kind(host, request, FunctionKind::Query).await
}

async fn mutation(State(host): State<Arc<Host>>, request: Request) -> Answered {
    call_of_kind(host, request, FunctionKind::Mutation).await
}

async fn action(State(host): State<Arc<Host>>, request: Request) -> Answered {
    call_of_kind(host, request, FunctionKind::Action).await
}

async fn query_by_address(State(host): State<Arc<Host>>, headers: HeaderMap, RawQuery(query): RawQuery) -> Answered {
    let query = query.unwrap_or_default();
    let caller = Caller::of(host, headers, Some(&query)).await?;
    let body = CallBody::from_query(&query)?;
    let answer = caller.answer(body.format.as_deref())?;
    let call = caller.call(&body.path, body.args.get())?;
    caller.run(FunctionKind::Query, call, &answer).await
}

/// Any kind of function; administrators only.
async fn any_function(State(host): State<Arc<Host>>, request: Request) -> Answered {
    let (headers, bytes) = received(&host, request).await?;
    let mut caller = Caller::admin(host, headers, None).await?;
    // Whoever acts as a user sees here what that user may call. Source: http-and-cli 2.3.
    if let Identity::ActingAs(user) = &caller.identity {
        caller.identity = Identity::User(user.clone());
    }
    let body: CallBody = parse(&bytes)?;
    let answer = caller.answer(body.format.as_deref())?;
    let call = caller.call(&body.path, body.args.get())?;
    run_any_kind(&caller, call, &answer).await
}

/// `/api/run/dir/file/function`: any kind; public functions unless an administrator calls.
async fn run(State(host): State<Arc<Host>>, Path(path): Path<String>, request: Request) -> Answered {
    let (headers, bytes) = received(&host, request).await?;
    let caller = Caller::of(host, headers, None).await?;
    let Some((module, function)) = path.rsplit_once('/') else {
        return Err(HttpError::bad_request(
            "MissingIdentifier",
            format!("/api/run/{path} names no function: at least two parts are needed, as in /api/run/messages/list."),
        ));
    };
    let body: RunBody = parse(&bytes)?;
    let answer = caller.answer(Some(body.format.as_deref().unwrap_or("json")))?;
    let call = caller.call(&format!("{module}:{function}"), body.args.get())?;
    run_any_kind(&caller, call, &answer).await
}

async fn run_any_kind(caller: &Caller, call: Call, answer: &Answer) -> Answered {
    match caller.host.executor.kind_of(&call) {
        Ok(kind) => caller.run(kind, call, answer).await,
        Err(error) => Ok(answer.response(&Outcome { value: Err(error), log_lines: Vec::new() })),
    }
}

async fn query_ts(State(host): State<Arc<Host>>, headers: HeaderMap) -> Answered {
    credentials::supported_client(&headers)?;
    let pin = host.pin()?;
    let ts = body::write_ts(pin.ts());
    tokio::spawn(async move {
        tokio::time::sleep(GIVEN_TIMESTAMP_KEPT).await;
        drop(pin);
    });
    Ok(axum::Json(serde_json::json!({ "ts": ts })).into_response())
}

/// How long a timestamp that was given out can be read at. Source: DESIGN 2.
const GIVEN_TIMESTAMP_KEPT: std::time::Duration = std::time::Duration::from_secs(10);

async fn query_at_ts(State(host): State<Arc<Host>>, request: Request) -> Answered {
    let (headers, bytes) = received(&host, request).await?;
    let caller = Caller::of(host, headers, None).await?;
    let body: CallBody = parse(&bytes)?;
    let ts = body::read_ts(body.ts.as_deref())?;
    let answer = caller.answer(body.format.as_deref())?;
    let call = caller.call(&body.path, body.args.get())?;
    Ok(answer.query(&caller.query_at(call, ts).await?))
}

/// Several queries at one snapshot; an error of one leaves the others alone.
async fn query_batch(State(host): State<Arc<Host>>, request: Request) -> Answered {
    let (headers, bytes) = received(&host, request).await?;
    let caller = Caller::of(host, headers, None).await?;
    let batch: BatchBody = parse(&bytes)?;
    let pin = caller.host.pin()?;
    let mut results = Vec::with_capacity(batch.queries.len());
    for body in &batch.queries {
        let answer = caller.answer(body.format.as_deref())?;
        let call = caller.call(&body.path, body.args.get())?;
        let run = caller.query_at(call, pin.ts()).await?;
        results.push(answer.json(&Outcome { value: run.value, log_lines: run.log_lines }));
    }
    Ok(answer::json_response(format!("{{\"results\":[{}]}}", results.join(","))))
}
