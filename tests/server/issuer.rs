//! An OpenID Connect issuer on a port of its own, whose keys the server under test has to fetch: it counts what it is
//! asked, and can be out of order.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use axum::Router;
use axum::extract::Request;
use axum::http::StatusCode;
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use serde_json::Value;
use syncline::auth::DevIssuer;
use syncline::clock::{Clock, SystemClock};
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;

/// More answers than any test waits for at once.
const N_ANSWERS_MAX: usize = 10_000;

/// See the module.
pub struct Issuer {
    minting: DevIssuer,
    state: Arc<State>,
    serving: JoinHandle<()>,
    _key: tempfile::TempDir,
}

struct State {
    n_asked: AtomicUsize,
    is_down: AtomicBool,
    /// Answers wait here.
    gate: Semaphore,
}

impl Issuer {
    /// An issuer that goes by the machine's clock.
    pub async fn start() -> Self {
        Self::start_at(Arc::new(SystemClock::new())).await
    }

    /// An issuer that goes by another clock.
    pub async fn start_at(clock: Arc<dyn Clock>) -> Self {
        let key = tempfile::tempdir().expect("a folder");
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let open = || DevIssuer::open(Some(key.path()), port, clock.clone()).expect("an issuer");
        let gate = Semaphore::new(N_ANSWERS_MAX);
        let state = Arc::new(State { n_asked: AtomicUsize::new(0), is_down: AtomicBool::new(false), gate });
        let minting = open();
        let known = state.clone();
        let count = middleware::from_fn(move |request, next| answer(known.clone(), request, next));
        let router = Router::new().nest("/dev-issuer", open().router()).layer(count);
        let serving = tokio::spawn(async move { axum::serve(listener, router).await.expect("it serves") });
        Issuer { minting, state, serving, _key: key }
    }

    /// What its tokens have as `iss`.
    pub fn address(&self) -> String {
        self.minting.issuer().to_owned()
    }

    /// A token, as the development issuer makes them.
    pub fn token(&self, request: Value) -> String {
        self.minting.mint(&request.to_string(), None).expect("a token")
    }

    /// How many documents it was asked for.
    pub fn n_asked(&self) -> usize {
        self.state.n_asked.load(Ordering::SeqCst)
    }

    /// From now on answers wait until [`Issuer::let_go`].
    pub fn hold(&self) {
        self.state.gate.forget_permits(N_ANSWERS_MAX);
    }

    /// Lets answers go, those that wait too.
    pub fn let_go(&self) {
        self.state.gate.add_permits(N_ANSWERS_MAX);
    }

    /// From now on it answers 503.
    pub fn break_down(&self) {
        self.state.is_down.store(true, Ordering::SeqCst);
    }

    /// From now on it answers again.
    pub fn repair(&self) {
        self.state.is_down.store(false, Ordering::SeqCst);
    }
}

impl Drop for Issuer {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

async fn answer(state: Arc<State>, request: Request, next: Next) -> Response {
    state.n_asked.fetch_add(1, Ordering::SeqCst);
    let _turn = state.gate.acquire().await.expect("it is never closed");
    match state.is_down.load(Ordering::SeqCst) {
        true => StatusCode::SERVICE_UNAVAILABLE.into_response(),
        false => next.run(request).await,
    }
}
