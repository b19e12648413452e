//! Reading and changing the variables of the deployment: `npx convex env set`, and the same for other tools.
//! Source: http-and-cli 5.1.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::body::Body;
use axum::extract::{RawQuery, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::IntoResponse;
use serde::Deserialize;

use super::body::{parse, read};
use super::error::HttpError;
use super::{Answered, Caller};
use crate::environment::{ChangeError, changes};
use crate::net::host::Host;

#[derive(Deserialize)]
struct ChangesBody {
    changes: Vec<Change>,
}

#[derive(Deserialize)]
struct Change {
    name: String,
    value: Value,
}

/// A new value, or null to remove the variable. An enum, so that a change without a value is a mistake and no removal.
#[derive(Deserialize)]
#[serde(untagged, expecting = "`value` has to be a string, or null to remove the variable")]
enum Value {
    Set(String),
    Remove(()),
}

/// Makes all changes of a request, or none.
pub(super) async fn update(
    State(host): State<Arc<Host>>,
    headers: HeaderMap,
    RawQuery(query): RawQuery,
    body: Body,
) -> Answered {
    let bytes = read(&headers, body, host.config.body_bytes_max).await?;
    let caller = Caller::admin(host, headers, query.as_deref()).await?;
    let ChangesBody { changes: asked } = parse(&bytes)?;
    let changes = changes(asked.into_iter().map(|Change { name, value }| match value {
        Value::Set(value) => (name, Some(value)),
        Value::Remove(()) => (name, None),
    }))?;
    // On a task of its own: a client that hangs up must not leave a change half done.
    let environment = caller.host.environment.clone();
    let changed = tokio::spawn(async move { environment.change(changes).await }).await;
    changed.expect("a change does not panic and is not aborted")?;
    Ok(StatusCode::OK.into_response())
}

/// Answers all variables.
pub(super) async fn list(State(host): State<Arc<Host>>, headers: HeaderMap, RawQuery(query): RawQuery) -> Answered {
    let caller = Caller::admin(host, headers, query.as_deref()).await?;
    let variables: BTreeMap<String, String> = caller.host.environment.variables();
    Ok(axum::Json(serde_json::json!({ "environmentVariables": variables })).into_response())
}

impl From<ChangeError> for HttpError {
    fn from(error: ChangeError) -> Self {
        match error {
            ChangeError::Refused { code, message } => HttpError::bad_request(code, message),
            ChangeError::System(error) => error.into(),
        }
    }
}
