//! Sockets: accepting them, upgrading some, and serving both kinds until the server stops.

mod authenticate;
mod connection;
mod dashboard;
mod developer;
mod evaluations;
mod host;
mod http;
mod inbox;
mod lane;
mod transport;
mod upgrade;

use std::net::SocketAddr;
use std::sync::Arc;

use axum::Router;
use axum::extract::Request;
use axum::http::header::UPGRADE;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use syncline_client_protocol::ClientVersion;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpSocket};
use tokio::sync::{OwnedSemaphorePermit, watch};
use tower::ServiceExt;

use crate::config::REQUEST_HEAD_MAX;
pub(crate) use authenticate::Authenticator;
pub(crate) use host::Host;
pub(crate) use lane::Lanes;

/// Everything the server answers under its own paths, without a fallback: an application can mount it beside its own
/// routes and its own fallback.
pub(crate) fn routes(host: &Arc<Host>) -> Router {
    let sync = Router::new()
        .route("/api/sync", get(upgrade::without_version))
        .route("/api/{version}/sync", get(upgrade::with_version))
        .with_state(host.clone());
    http::router(host.clone()).merge(sync).merge(developer::routes(host.clone()))
}

/// The routes of the API, as a table.
pub(crate) fn api_routes() -> Vec<crate::surface::Route> {
    http::routes()
}

/// The [`routes`] and the dashboard, and `others` where they have nothing.
pub(crate) fn router(host: &Arc<Host>, others: Option<Router>) -> Router {
    let routes = routes(host).merge(dashboard::router());
    let again = routes.clone();
    let instance_name = host.instance_name.clone();
    routes.fallback(move |request| elsewhere(again, others, instance_name, request))
}

/// A deployment address that ends in a slash makes clients ask for `//api/…`: it means `/api/…`.
async fn elsewhere(routes: Router, others: Option<Router>, instance_name: String, mut request: Request) -> Response {
    let path = request.uri().path().to_owned();
    if !path.contains("//") {
        return match others {
            // A page of another origin has to be able to read that, too.
            _ if path.starts_with("/api/") => {
                http::cors::around(request, async |_| unknown_route(&path).into_response()).await
            }
            Some(others) => others.oneshot(request).await.into_response(),
            None if path == "/" => format!("The deployment {instance_name} is running.\n").into_response(),
            None => not_found(&path).into_response(),
        };
    }
    let mut collapsed = path;
    while collapsed.contains("//") {
        collapsed = collapsed.replace("//", "/");
    }
    if let Some(query) = request.uri().query() {
        collapsed = format!("{collapsed}?{query}");
    }
    match collapsed.parse() {
        Ok(uri) => *request.uri_mut() = uri,
        Err(_) => return not_found(&collapsed).into_response(),
    }
    routes.oneshot(request).await.into_response()
}

fn not_found(path: &str) -> http::HttpError {
    let message =
        format!("there is nothing at {path}; functions are called at /api/query, /api/mutation, /api/action.");
    http::HttpError::new(axum::http::StatusCode::NOT_FOUND, "NotFound", message)
}

/// Not 404: official tools take that for a fault of the network and try again for half a minute.
fn unknown_route(path: &str) -> http::HttpError {
    let message = not_found(path).message;
    http::HttpError::bad_request("UnknownRoute", message)
}

/// Connections that wait to be accepted, a number: all clients of a server come back at once when it starts again.
/// Source: ours; the system may allow fewer (`net.core.somaxconn`, 4,096 on Linux).
const LISTEN_BACKLOG: u32 = 4_096;

/// Takes an address; connections can come from now on.
pub(crate) async fn listen(address: &str) -> std::io::Result<TcpListener> {
    let mut last = None;
    for address in tokio::net::lookup_host(address).await? {
        match listen_at(address) {
            Ok(listener) => return Ok(listener),
            Err(error) => last = Some(error),
        }
    }
    Err(last.unwrap_or_else(|| std::io::Error::new(std::io::ErrorKind::NotFound, "the name stands for no address")))
}

fn listen_at(address: SocketAddr) -> std::io::Result<TcpListener> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    // As the standard library does: a server that starts again finds its address free.
    #[cfg(not(windows))]
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(LISTEN_BACKLOG)
}

/// Accepts connections until `stopping`, then waits for those that are open to end.
pub(crate) async fn serve(listener: TcpListener, router: Router, host: Arc<Host>) {
    let mut stopping = host.stopping.clone();
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = stopped(&mut stopping) => return,
        };
        let stream = match accepted {
            Ok((stream, _)) => stream,
            Err(error) => {
                tracing::warn!(%error, "a connection could not be accepted");
                // Out of descriptors: accepting again at once would only spin.
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%error, "a connection ended before it began");
            continue;
        }
        serve_stream(stream, &router, &host);
    }
}

/// Serves one connection in the background, if there is room for it.
pub(crate) fn serve_stream(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    router: &Router,
    host: &Arc<Host>,
) {
    if let Some(permit) = room_for_another(host) {
        tokio::spawn(connection_task(stream, router.clone(), host.stopping.clone(), permit));
    }
}

/// Serves a WebSocket behind its handshake in the background, if there is room for it.
pub(crate) fn serve_socket(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    client: ClientVersion,
    host: &Arc<Host>,
) {
    let Some(permit) = room_for_another(host) else { return };
    let served = upgrade::serve_stream(host.clone(), upgrade::Opened::now(client, host), stream);
    let served = async move {
        served.await;
        drop(permit);
    };
    host.tasks.spawn("socket", Box::pin(served));
}

/// A place among the connections at once.
fn room_for_another(host: &Host) -> Option<OwnedSemaphorePermit> {
    let permit = host.connections.clone().try_acquire_owned().ok();
    if permit.is_none() {
        metrics::counter!("syncline_connections_refused_total").increment(1);
        tracing::warn!(limit = host.config.connections_max, "a connection was refused: too many are open");
    }
    permit
}

/// How long accepting rests after it failed. Source: ours.
const ACCEPT_PAUSE: std::time::Duration = std::time::Duration::from_millis(100);

/// Resolves when the server stops.
async fn stopped(stopping: &mut watch::Receiver<bool>) {
    // An error means that the server is gone, which is a stop too.
    drop(stopping.wait_for(|stopping| *stopping).await);
}

async fn connection_task(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    router: Router,
    mut stopping: watch::Receiver<bool>,
    permit: OwnedSemaphorePermit,
) {
    let slot = ConnectionSlot(Arc::new(permit));
    let service = router.map_request(move |mut request: hyper::Request<hyper::body::Incoming>| {
        // Nothing else outlives the request.
        if request.headers().contains_key(UPGRADE) {
            request.extensions_mut().insert(slot.clone());
        }
        request
    });
    let connection = hyper::server::conn::http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(REQUEST_HEAD_MAX)
        .serve_connection(TokioIo::new(stream), TowerToHyperService::new(service))
        .with_upgrades();
    tokio::pin!(connection);
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = stopped(&mut stopping) => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "a connection ended early");
    }
}

/// A connection's place among those at once; an upgraded socket keeps it.
#[derive(Clone)]
struct ConnectionSlot(#[expect(dead_code, reason = "held, not read")] Arc<OwnedSemaphorePermit>);
