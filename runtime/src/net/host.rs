//! What every connection of a server shares.

use std::sync::Arc;
use std::sync::atomic::AtomicUsize;

use axum::http::StatusCode;
use syncline_client_protocol::{AuthAttempt, AuthToken, Now, RequestId};
use syncline_engine::{Engine, Pin};
use syncline_schema::Timestamp;
use tokio::sync::{oneshot, watch};

use super::authenticate::{Authenticator, Checked, Credential, Verified};
use super::connection::Note;
use super::http::HttpError;
use super::inbox::Inbox;
use super::lane::Lanes;
use crate::clock::{Clock, Timer};
use crate::config::Config;
use crate::environment::Environment;
use crate::executor::{Call, Executor};
use crate::identity::Identity;
use crate::live::LiveQueries;
use crate::machine::Spawn;

/// See the module.
pub(crate) struct Host {
    pub(crate) config: Arc<Config>,
    pub(crate) instance_name: String,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) timer: Arc<dyn Timer>,
    /// Runs sockets, and what they wait for.
    pub(crate) tasks: Arc<dyn Spawn>,
    pub(crate) engine: Engine,
    pub(crate) executor: Executor,
    pub(crate) live: LiveQueries,
    pub(crate) lanes: Arc<Lanes>,
    pub(crate) authenticator: Arc<Authenticator>,
    pub(crate) environment: Arc<Environment>,
    /// Becomes true when the server stops.
    pub(crate) stopping: watch::Receiver<bool>,
    /// Whether nobody but the developer at this machine reaches the server.
    pub(crate) for_developer: bool,
    /// When it started, milliseconds of the monotonic clock.
    pub(crate) started_ms: u64,
    /// Open sockets.
    pub(crate) sessions: AtomicUsize,
    /// Connections at once.
    pub(crate) connections: Arc<tokio::sync::Semaphore>,
}

impl Host {
    /// The newest commit, durable or not: no client can have seen anything later.
    pub(super) fn newest_committed(&self) -> Timestamp {
        self.engine.committed()
    }

    /// What both clocks say.
    pub(super) fn now(&self) -> Now {
        Now { monotonic_ms: self.clock.monotonic_ms(), wall_ns: self.clock.wall_ns() }
    }

    /// Runs a future on the threads for functions and waits for what it gives.
    pub(super) async fn on_functions<T: Send + 'static>(&self, future: impl Future<Output = T> + Send + 'static) -> T {
        let (sender, receiver) = oneshot::channel();
        self.executor.spawn(async move {
            let _ = sender.send(future.await);
        });
        receiver.await.expect("the executor catches panics of functions")
    }

    /// An action goes on when its socket ends; only its answer is dropped then.
    pub(super) fn run_action(&self, request: RequestId, call: Call, inbox: Inbox) {
        let executor = self.executor.clone();
        self.executor.spawn(async move {
            let ran = executor.action(&call).await;
            inbox.put(Note::ActionDone { request, token: call.request, ran });
        });
    }

    pub(super) fn verify(&self, attempt: AuthAttempt, token: AuthToken, inbox: Inbox) {
        let authenticator = self.authenticator.clone();
        let admin_key = match &token {
            AuthToken::Admin { key, .. } => Some(key.to_string().into()),
            AuthToken::User(_) | AuthToken::None => None,
        };
        let verified = async move {
            let checked = match token {
                AuthToken::User(token) => authenticator.check(Credential::User { token: token.to_string() }).await,
                AuthToken::Admin { key, acting_as } => {
                    let acting_as = acting_as.map(|user| user.attributes.to_string());
                    authenticator.check(Credential::Admin { key: key.to_string(), acting_as }).await
                }
                AuthToken::None => Checked::Accepted { identity: Identity::Anonymous, expires_at_ns: None },
            };
            inbox.put(Note::Verified(Verified { attempt, checked, admin_key }));
        };
        self.tasks.spawn("verify", Box::pin(verified));
    }

    /// The identity that an HTTP request shows.
    pub(super) async fn identify(&self, credential: Credential) -> Result<Identity, HttpError> {
        match self.authenticator.check(credential).await {
            Checked::Accepted { identity, .. } => Ok(identity),
            Checked::Rejected(refusal) | Checked::Unavailable(refusal, _) => {
                let status = StatusCode::from_u16(refusal.status).unwrap_or(StatusCode::UNAUTHORIZED);
                Err(HttpError::new(status, refusal.code, refusal.text))
            }
            Checked::BadAdminKey(text) => Err(HttpError::new(StatusCode::FORBIDDEN, "BadAdminKey", text)),
        }
    }

    /// The newest durable moment, readable as long as the pin is held.
    pub(super) fn pin(&self) -> Result<Pin, HttpError> {
        self.engine.pin_durable().map_err(|cause| {
            HttpError::new(StatusCode::SERVICE_UNAVAILABLE, "TooManyConcurrentRequests", format!("{cause}."))
        })
    }
}
