//! The WebSocket handshake of the sync protocol. Source: sync-protocol 1.1 to 1.3.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll};

use axum::extract::{Extension, Path, Request, State};
use axum::http::header::{CONNECTION, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_VERSION, UPGRADE};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use hyper::upgrade::{OnUpgrade, Upgraded};
use hyper_util::rt::TokioIo;
use syncline_client_protocol::{ClientVersion, SessionConfig, SessionLimits, Support};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;

use super::ConnectionSlot;
use super::connection::Connection;
use super::host::Host;
use super::http::HttpError;
use super::transport::Transport;

/// `GET /api/sync`: Rust and Python name their version in a header.
pub(super) async fn without_version(
    State(host): State<Arc<Host>>,
    slot: Option<Extension<ConnectionSlot>>,
    request: Request,
) -> Response {
    upgrade(host, None, slot, request).unwrap_or_else(IntoResponse::into_response)
}

/// `GET /api/<version>/sync`: JavaScript.
pub(super) async fn with_version(
    State(host): State<Arc<Host>>,
    Path(version): Path<String>,
    slot: Option<Extension<ConnectionSlot>>,
    request: Request,
) -> Response {
    upgrade(host, Some(&version), slot, request).unwrap_or_else(IntoResponse::into_response)
}

fn upgrade(
    host: Arc<Host>,
    version: Option<&str>,
    slot: Option<Extension<ConnectionSlot>>,
    mut request: Request,
) -> Result<Response, HttpError> {
    let header = request.headers().get("convex-client").and_then(|value| value.to_str().ok());
    let client = ClientVersion::parse(header, version)
        .map_err(|cause| HttpError::bad_request("InvalidClientVersion", format!("{cause}.")))?;
    let support = client.support();
    if let Support::Unsupported(advice) = &support {
        let mut refused = HttpError::bad_request("ClientVersionUnsupported", advice.clone()).into_response();
        deprecation(refused.headers_mut(), "Unsupported", advice);
        return Ok(refused);
    }
    let accept = accept_key(request.headers())?;
    let on_upgrade = request.extensions_mut().remove::<OnUpgrade>().ok_or_else(|| {
        HttpError::bad_request("ConnectionNotUpgradable", "this connection cannot be upgraded; use HTTP/1.1.")
    })?;
    let opened = Opened::now(client, &host);
    tokio::spawn(serve(host, opened, on_upgrade, slot));

    let mut response = StatusCode::SWITCHING_PROTOCOLS.into_response();
    let headers = response.headers_mut();
    headers.insert(CONNECTION, HeaderValue::from_static("upgrade"));
    headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
    headers.insert(SEC_WEBSOCKET_ACCEPT, accept);
    if let Support::UpgradeRequired(advice) = &support {
        deprecation(headers, "UpgradeRequired", advice);
    }
    Ok(response)
}

fn deprecation(headers: &mut HeaderMap, state: &'static str, advice: &str) {
    headers.insert("x-convex-deprecation-state", HeaderValue::from_static(state));
    if let Ok(advice) = HeaderValue::from_str(advice) {
        headers.insert("x-convex-deprecation-message", advice);
    }
}

/// Checks the handshake and answers its key.
fn accept_key(headers: &HeaderMap) -> Result<HeaderValue, HttpError> {
    let has = |name, token: &str| {
        let values = headers.get_all(name).iter().filter_map(|value| value.to_str().ok());
        values.flat_map(|value| value.split(',')).any(|part| part.trim().eq_ignore_ascii_case(token))
    };
    let bad = |code, what: &str| Err(HttpError::bad_request(code, format!("this is no WebSocket handshake: {what}.")));
    if !has(CONNECTION, "upgrade") {
        return bad("InvalidConnectionHeader", "the header Connection must name `upgrade`");
    }
    if !has(UPGRADE, "websocket") {
        return bad("InvalidUpgradeHeader", "the header Upgrade must be `websocket`");
    }
    if headers.get(SEC_WEBSOCKET_VERSION).is_none_or(|version| version != "13") {
        return bad("InvalidWebSocketVersionHeader", "the header Sec-WebSocket-Version must be 13");
    }
    let Some(key) = headers.get(SEC_WEBSOCKET_KEY) else {
        return bad("WebSocketKeyHeaderMissing", "the header Sec-WebSocket-Key is missing");
    };
    let accept = derive_accept_key(key.as_bytes());
    Ok(HeaderValue::from_str(&accept).expect("base64 is a header value"))
}

/// A socket that a client has opened.
pub(super) struct Opened {
    client: ClientVersion,
    /// Rises with each. Taken before anything is waited for: a socket that was opened earlier must not look newer than
    /// the one its client has come back on.
    number: u64,
}

impl Opened {
    pub(super) fn now(client: ClientVersion, host: &Host) -> Self {
        Opened { client, number: host.lanes.next_number() }
    }
}

async fn serve(host: Arc<Host>, opened: Opened, on_upgrade: OnUpgrade, slot: Option<Extension<ConnectionSlot>>) {
    let upgraded = match on_upgrade.await {
        Ok(upgraded) => upgraded,
        Err(error) => {
            tracing::debug!(%error, "a socket was not upgraded");
            return;
        }
    };
    serve_upgraded(host, opened, upgraded).await;
    drop(slot);
}

/// Without the layers of HTTP around it where the connection is a plain one, so that an idle socket costs little.
async fn serve_upgraded(host: Arc<Host>, opened: Opened, upgraded: Upgraded) {
    match upgraded.downcast::<TokioIo<TcpStream>>() {
        Ok(parts) => {
            let poll_readable = |stream: &TcpStream, cx: &mut Context<'_>| stream.poll_read_ready(cx).map(drop);
            let transport = Transport::new(parts.io.into_inner(), poll_readable, parts.read_buf, &host.config).await;
            serve_session(host, opened, transport).await;
        }
        Err(upgraded) => serve_stream(host, opened, TokioIo::new(upgraded)).await,
    }
}

/// Serves a socket behind its handshake; it is read to find out whether there is something to read.
pub(super) async fn serve_stream(host: Arc<Host>, opened: Opened, stream: impl AsyncRead + AsyncWrite + Unpin) {
    let transport = Transport::new(stream, |_, _| Poll::Ready(()), Bytes::new(), &host.config).await;
    serve_session(host, opened, transport).await;
}

async fn serve_session(host: Arc<Host>, opened: Opened, transport: Transport<impl AsyncRead + AsyncWrite + Unpin>) {
    metrics::gauge!("syncline_sockets").increment(1.0);
    host.sessions.fetch_add(1, Ordering::Relaxed);
    let limits = SessionLimits { queries_max: host.config.queries_per_client_max, ..SessionLimits::default() };
    let config = SessionConfig { client: opened.client, limits };
    Connection::new(host.clone(), transport, config, opened.number).run().await;
    host.sessions.fetch_sub(1, Ordering::Relaxed);
    metrics::gauge!("syncline_sockets").decrement(1.0);
}
