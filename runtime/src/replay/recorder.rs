//! Records: a proxy in front of any server, which passes everything on as it is and keeps what was said.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use futures::{SinkExt as _, StreamExt as _};
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio::time::Instant;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_tungstenite::tungstenite::protocol::Role;
use url::Url;

use super::place::upgrade;
use super::rendering::render;
use super::socket::Wire;
use super::tape::{SocketNumber, Tape};
use crate::clock::{Clock as _, SystemClock};

/// Body of a request that is passed on, bytes. Source: as a server takes at most, data-and-functions 1.7.
const BODY_BYTES_MAX: usize = (1 << 24) + 2000;

/// How long a socket waits for the other side's Close frame. Source: ours; clients and servers answer at once.
const CLOSE_WAIT_MAX: Duration = Duration::from_secs(5);

/// Headers that belong to one connection, and what a recording must be able to read.
const NOT_PASSED: [HeaderName; 9] = [
    header::HOST,
    header::CONNECTION,
    header::UPGRADE,
    header::TRANSFER_ENCODING,
    header::CONTENT_LENGTH,
    header::ACCEPT_ENCODING,
    header::SEC_WEBSOCKET_KEY,
    header::SEC_WEBSOCKET_VERSION,
    header::SEC_WEBSOCKET_EXTENSIONS,
];

/// A proxy that records. It ends when it is dropped.
pub struct Recorder {
    address: SocketAddr,
    shared: Arc<Shared>,
    accepting: JoinHandle<()>,
}

/// Why a recorder does not start.
#[derive(Debug, thiserror::Error)]
pub enum RecordError {
    /// The server's address is none.
    #[error("--url: expected the address of a server, such as http://127.0.0.1:3210; found {url:?} ({cause})")]
    Url {
        /// What was given.
        url: String,
        /// What is wrong with it.
        cause: url::ParseError,
    },
    /// The address cannot be listened on.
    #[error("cannot listen on {address}: {cause}. Choose another one with --listen.")]
    Listen {
        /// What was given.
        address: String,
        /// Why.
        cause: std::io::Error,
    },
    /// No client for HTTP could be made.
    #[error("no connection to the server can be made: {0}")]
    Client(#[from] reqwest::Error),
}

struct Shared {
    upstream: Url,
    http: reqwest::Client,
    started: Instant,
    tape: Mutex<Tape>,
}

impl Recorder {
    /// Listens on `listen` for clients of the server at `url`.
    ///
    /// # Errors
    /// When one of the two addresses cannot be used.
    pub async fn start(url: &str, listen: &str) -> Result<Self, RecordError> {
        let upstream = Url::parse(url).map_err(|cause| RecordError::Url { url: url.to_owned(), cause })?;
        let failed = |cause| RecordError::Listen { address: listen.to_owned(), cause };
        let listener = TcpListener::bind(listen).await.map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        // Bodies are passed on as they come, and a WebSocket begins as HTTP/1.1.
        let http =
            reqwest::Client::builder().http1_only().no_gzip().redirect(reqwest::redirect::Policy::none()).build()?;
        let started_s = SystemClock::new().wall_ns() / 1_000_000_000;
        let shared = Shared { upstream, http, started: Instant::now(), tape: Mutex::new(Tape::new(started_s)) };
        let shared = Arc::new(shared);
        let router = Router::new().fallback(pass_on).with_state(shared.clone());
        let accepting = tokio::spawn(async move {
            if let Err(error) = axum::serve(listener, router).await {
                tracing::error!(%error, "the recorder has stopped");
            }
        });
        Ok(Recorder { address, shared, accepting })
    }

    /// Where clients find it.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The handshake so far.
    pub fn text(&self, name: &str) -> String {
        let about = format!("Recorded from {}.", self.shared.upstream);
        render(&self.shared.tape(), name, &about)
    }

    /// How many sockets were opened, how much was said, and how many tokens were shown.
    pub fn counts(&self) -> (usize, usize, usize) {
        self.shared.tape().counts()
    }

    /// Whether it records nothing more, because the recording is too long.
    pub fn is_full(&self) -> bool {
        self.shared.tape().is_full()
    }
}

impl Drop for Recorder {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

impl Shared {
    fn tape(&self) -> MutexGuard<'_, Tape> {
        self.tape.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn now_ms(&self) -> u64 {
        u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    fn url(&self, request: &Request) -> Url {
        let mut url = self.upstream.clone();
        url.set_path(request.uri().path());
        url.set_query(request.uri().query());
        url
    }
}

fn bad_gateway(what: String) -> Response {
    (StatusCode::BAD_GATEWAY, [(header::CONTENT_TYPE, "text/plain")], format!("replay record: {what}\n"))
        .into_response()
}

fn passed(headers: &HeaderMap) -> HeaderMap {
    let mut passed = headers.clone();
    for name in &NOT_PASSED {
        passed.remove(name);
    }
    passed
}

async fn pass_on(State(shared): State<Arc<Shared>>, mut request: Request) -> Response {
    match request.extensions_mut().remove::<OnUpgrade>() {
        Some(client) if request.headers().contains_key(header::SEC_WEBSOCKET_KEY) => {
            socket(shared, request, client).await
        }
        _ => call(shared, request).await,
    }
}

/// A request over HTTP. Calls of functions are recorded.
async fn call(shared: Arc<Shared>, request: Request) -> Response {
    let url = shared.url(&request);
    let (head, body) = request.into_parts();
    let body = match axum::body::to_bytes(body, BODY_BYTES_MAX).await {
        Ok(body) => body,
        Err(error) => return bad_gateway(format!("the request cannot be passed on: {error}")),
    };
    let asked = shared.http.request(head.method.clone(), url.clone()).headers(passed(&head.headers)).body(body.clone());
    let answer = match asked.send().await {
        Ok(answer) => answer,
        Err(error) => return bad_gateway(format!("{url} cannot be reached: {error}")),
    };
    let (status, headers) = (answer.status(), passed(answer.headers()));
    let answered = match answer.bytes().await {
        Ok(answered) => answered,
        Err(error) => return bad_gateway(format!("{url}: {error}")),
    };
    if head.method == Method::POST && url.path().starts_with("/api/") {
        record_call(&shared, &head, &body, status, &answered);
    }
    let mut response = Response::new(Body::from(answered));
    *response.status_mut() = status;
    *response.headers_mut() = headers;
    response
}

fn record_call(shared: &Shared, head: &axum::http::request::Parts, body: &Bytes, status: StatusCode, answered: &Bytes) {
    let (Ok(body), Ok(answer)) = (serde_json::from_slice::<Value>(body), serde_json::from_slice::<Value>(answered))
    else {
        tracing::warn!(path = head.uri.path(), "a request was not recorded: it or its answer is no JSON");
        return;
    };
    let mut request = json!({"path": head.uri.path(), "body": body});
    if let Some(authorization) = head.headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok()) {
        request["authorization"] = authorization.into();
    }
    let t_ms = shared.now_ms();
    shared.tape().request(t_ms, request, status.as_u16(), answer);
}

/// A socket: both sides, joined.
async fn socket(shared: Arc<Shared>, request: Request, client: OnUpgrade) -> Response {
    let url = shared.url(&request);
    let headers = passed(request.headers());
    let headers: Vec<(&str, String)> =
        headers.iter().filter_map(|(name, value)| Some((name.as_str(), value.to_str().ok()?.to_owned()))).collect();
    let server = match upgrade(&shared.http, url, &headers).await {
        Ok(server) => server,
        Err(why) => return bad_gateway(why),
    };
    let Some(key) = request.headers().get(header::SEC_WEBSOCKET_KEY) else {
        return bad_gateway("this is no WebSocket handshake".to_owned());
    };
    let accept = derive_accept_key(key.as_bytes());
    let path = request.uri().path().to_owned();
    tokio::spawn(async move {
        match client.await {
            Ok(client) => {
                let number = shared.tape().open(shared.now_ms(), &path);
                let client: Box<dyn Wire> = Box::new(TokioIo::new(client));
                join(&shared, number, client, server).await;
            }
            Err(error) => tracing::debug!(%error, "a socket was not upgraded"),
        }
    });
    let mut response = StatusCode::SWITCHING_PROTOCOLS.into_response();
    let headers = response.headers_mut();
    headers.insert(header::CONNECTION, HeaderValue::from_static("upgrade"));
    headers.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
    headers.insert(header::SEC_WEBSOCKET_ACCEPT, HeaderValue::from_str(&accept).expect("base64 is a header value"));
    response
}

/// Passes on every message of either side until one of them closes.
async fn join(shared: &Shared, number: SocketNumber, client: Box<dyn Wire>, server: Box<dyn Wire>) {
    let mut client = WebSocketStream::from_raw_socket(client, Role::Server, None).await;
    let mut server = WebSocketStream::from_raw_socket(server, Role::Client, None).await;
    loop {
        let (message, is_client) = tokio::select! {
            message = client.next() => (message, true),
            message = server.next() => (message, false),
        };
        let (from, to) = if is_client { (&mut client, &mut server) } else { (&mut server, &mut client) };
        let message = match message {
            Some(Ok(message)) => message,
            // It went away without a word, and so the other side is told.
            Some(Err(_)) | None => {
                record_end(shared, number, is_client, 1006, String::new());
                return;
            }
        };
        let is_passed = match &message {
            Message::Text(text) => {
                record(shared, number, is_client, text);
                true
            }
            Message::Binary(_) => {
                tracing::warn!("a binary message was passed on, but not recorded");
                true
            }
            Message::Close(frame) => {
                let (code, reason) =
                    frame.as_ref().map_or((1005, String::new()), |frame| (frame.code.into(), frame.reason.to_string()));
                record_end(shared, number, is_client, code, reason);
                drop(to.send(message).await);
                // Each side's own Close is answered by the library, as long as somebody reads.
                let ends = async { futures::join!(ended(from), ended(to)) };
                drop(tokio::time::timeout(CLOSE_WAIT_MAX, ends).await);
                return;
            }
            // Each connection is kept alive by itself.
            Message::Ping(_) | Message::Pong(_) | Message::Frame(_) => false,
        };
        if is_passed && to.send(message).await.is_err() {
            record_end(shared, number, !is_client, 1006, String::new());
            return;
        }
    }
}

async fn ended(socket: &mut WebSocketStream<Box<dyn Wire>>) {
    while let Some(Ok(_)) = socket.next().await {}
}

fn record(shared: &Shared, number: SocketNumber, is_client: bool, text: &str) {
    let t_ms = shared.now_ms();
    let mut tape = shared.tape();
    let is_recorded = if is_client { tape.client(t_ms, number, text) } else { tape.server(t_ms, number, text) };
    if !is_recorded {
        tracing::warn!(is_client, "a message was passed on, but not recorded: it is no JSON object");
    }
}

fn record_end(shared: &Shared, number: SocketNumber, is_client: bool, code: u16, reason: String) {
    let t_ms = shared.now_ms();
    match is_client {
        true => shared.tape().close(t_ms, number),
        false => shared.tape().closed(t_ms, number, code, reason),
    }
}
