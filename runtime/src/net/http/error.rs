//! Errors of requests: a status, a code that tools look for, and a sentence for a person.

use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};

use crate::executor::SystemError;
use crate::identity::Identity;

/// `{"code":…,"message":…}` with a status.
#[derive(Debug)]
pub(in crate::net) struct HttpError {
    pub(in crate::net) status: StatusCode,
    pub(in crate::net) code: &'static str,
    pub(in crate::net) message: String,
}

impl HttpError {
    pub(in crate::net) fn new(status: StatusCode, code: &'static str, message: impl Into<String>) -> Self {
        HttpError { status, code, message: message.into() }
    }

    pub(in crate::net) fn bad_request(code: &'static str, message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, code, message)
    }

    /// A route for administrators was called by somebody else.
    pub(in crate::net) fn admin_needed(instance: &str, identity: &Identity) -> Self {
        let sent = match identity {
            Identity::Anonymous => "no credentials were sent",
            Identity::User(_) => "a user's token was sent",
            Identity::Admin | Identity::ActingAs(_) => "an admin key was sent",
        };
        let message = format!("an admin key of {instance} is needed here; {sent}. Send `Authorization: Convex <key>`.");
        Self::new(StatusCode::FORBIDDEN, "BadDeployKey", message)
    }
}

/// Clients read no detail of what failed inside; the log has it.
impl From<SystemError> for HttpError {
    fn from(error: SystemError) -> Self {
        let unavailable = |code, message: &str| HttpError::new(StatusCode::SERVICE_UNAVAILABLE, code, message);
        match error {
            SystemError::OutOfRetention => unavailable(
                "OutOfRetention",
                "the timestamp is older than what is kept (10 s for one given out by /api/query_ts); take a new one.",
            ),
            SystemError::Undone => unavailable(
                "CommitUndone",
                "the store could not make the change durable and has undone it; send it again.",
            ),
            SystemError::Overloaded => {
                unavailable("TooManyConcurrentRequests", "there is too much to do at the moment; try again later.")
            }
            SystemError::Halted(cause) => {
                tracing::warn!(%cause, "a change was refused, because the store takes none");
                unavailable(
                    "StoreUnavailable",
                    "the store takes no changes at the moment; the server's log says why. Nothing was changed: try again \
                     later.",
                )
            }
            SystemError::Storage(cause) => {
                tracing::error!(%cause, "the storage failed a call");
                HttpError::new(
                    StatusCode::INTERNAL_SERVER_ERROR,
                    "InternalServerError",
                    "the server failed; its log says why. Try again.",
                )
            }
        }
    }
}

impl IntoResponse for HttpError {
    fn into_response(self) -> Response {
        let body = serde_json::json!({ "code": self.code, "message": self.message });
        (self.status, axum::Json(body)).into_response()
    }
}
