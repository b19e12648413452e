//! What is given to the developer at this machine alone: the admin key, for the dashboard that this server shows.

use std::sync::Arc;

use axum::Router;
use axum::extract::{Request, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;

use super::host::Host;
use super::http::HttpError;
use crate::auth::dev_issuer::is_local;

/// The route. It stands outside of `/api` and has no cross-origin headers: no page of another origin reads it.
pub(super) fn routes(host: Arc<Host>) -> Router {
    Router::new().route("/dashboard/key", get(key)).with_state(host)
}

async fn key(State(host): State<Arc<Host>>, request: Request) -> Response {
    let refused = |why: &str| {
        let message = format!("the dashboard has to ask for the admin key: {why}.");
        HttpError::new(StatusCode::FORBIDDEN, "KeyNotGiven", message).into_response()
    };
    if !host.for_developer {
        return refused("it is given by itself only in development, on a server that listens on loopback");
    }
    if !is_local(&request) {
        return refused("it is given by itself only to this machine, under a loopback address");
    }
    match host.authenticator.issue_key(host.clock.wall_ns() / 1_000_000_000) {
        Some(key) => {
            let headers = [(header::CACHE_CONTROL, "no-store")];
            (headers, axum::Json(serde_json::json!({ "adminKey": key }))).into_response()
        }
        None => refused("this server keeps no data folder and so has no admin keys"),
    }
}
