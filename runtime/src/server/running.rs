//! A server that runs: on an address, in another application's router, or inside the process; and how it stops.

use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;

use axum::Router;
use axum::extract::Request;
use axum::response::{IntoResponse as _, Response};
use futures::future::{AbortHandle, Either, select};
use syncline_client_protocol::ClientVersion;
use syncline_engine::Engine;
use tokio::io::{AsyncRead, AsyncWrite, DuplexStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tower::ServiceExt as _;

use super::ServerError;
use super::threads::FunctionThreads;
use crate::admin::AdminKeys;
use crate::net::{self, Host};

async fn until_signal() -> std::io::Result<()> {
    let mut terminate = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())?;
    tokio::select! {
        interrupted = tokio::signal::ctrl_c() => interrupted,
        _ = terminate.recv() => Ok(()),
    }
}

/// What a started server consists of.
pub(super) struct Parts {
    pub(super) host: Arc<Host>,
    pub(super) engine: Engine,
    pub(super) stop: watch::Sender<bool>,
    pub(super) background: Vec<AbortHandle>,
    /// None when functions run on a machine that was given.
    pub(super) functions: Option<FunctionThreads>,
}

impl Parts {
    /// Answers what runs, then writes a checkpoint.
    async fn stop(self) {
        let _ = self.stop.send(true);
        let all = u32::try_from(self.host.config.connections_max).unwrap_or(u32::MAX);
        let drained = pin!(self.host.connections.acquire_many(all));
        let late = self.host.timer.sleep(self.host.config.drain_time_max);
        if let Either::Right(((), _)) = select(drained, late).await {
            tracing::warn!("some connections did not end in time; they are cut off");
        }
        for task in self.background {
            task.abort();
        }
        if let Err(error) = self.engine.shutdown().await {
            tracing::error!(%error, "the last checkpoint failed; nothing is lost, the next start takes longer");
        }
        drop(self.functions);
    }
}

/// A server that runs in the background.
pub struct Running {
    pub(super) address: SocketAddr,
    pub(super) accepting: Option<JoinHandle<()>>,
    pub(super) parts: Parts,
}

impl Running {
    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Its engine, for tests and tools.
    pub fn engine(&self) -> &Engine {
        &self.parts.engine
    }

    /// How many distinct queries are known, and how many watchers they have.
    pub fn live_counts(&self) -> (usize, usize) {
        self.parts.host.live.counts()
    }

    /// Exchanges what admin keys are checked with: those made with the old secret are refused from now on, and sockets
    /// that go on by one end within a minute.
    pub fn set_admin_keys(&self, keys: AdminKeys) {
        self.parts.host.authenticator.set_admin_keys(keys);
    }

    /// Serves until SIGINT or SIGTERM, then stops.
    ///
    /// # Errors
    /// When the operating system refuses to tell of signals.
    pub async fn until_stopped(self) -> Result<(), ServerError> {
        until_signal().await?;
        tracing::info!("stopping: no new connections; what runs is answered");
        self.stop().await;
        tracing::info!("stopped");
        Ok(())
    }

    /// Stops: accepts nothing new, answers what runs, writes a checkpoint.
    pub async fn stop(mut self) {
        let _ = self.parts.stop.send(true);
        if let Some(accepting) = self.accepting.take() {
            let _ = accepting.await;
        }
        self.parts.stop().await;
    }
}

/// Keeps a server alive whose routes are mounted in another application.
pub struct Embedded {
    pub(super) parts: Parts,
}

impl Embedded {
    /// Answers what runs, then writes a checkpoint.
    pub async fn stop(self) {
        self.parts.stop().await;
    }
}

/// A server that nobody can reach over a network.
pub struct InProcess {
    pub(super) router: Router,
    pub(super) parts: Parts,
}

impl InProcess {
    /// Its engine, for tests and simulations.
    pub fn engine(&self) -> &Engine {
        &self.parts.engine
    }

    /// Serves a WebSocket of the sync protocol behind its handshake, as that of a client in JavaScript of the newest
    /// version: the bytes of frames, and nothing of HTTP.
    pub fn serve_socket(&self, stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static) {
        net::serve_socket(stream, ClientVersion::default(), &self.parts.host);
    }

    /// A new connection, served like any other: HTTP/1.1, and sockets when it is upgraded.
    pub(crate) fn connect(&self) -> DuplexStream {
        let (client, server) = tokio::io::duplex(IN_PROCESS_BUFFER_BYTES);
        net::serve_stream(server, &self.router, &self.parts.host);
        client
    }

    /// Answers one request, without a connection.
    pub(crate) async fn answer(&self, request: Request) -> Response {
        self.router.clone().oneshot(request).await.into_response()
    }

    /// Answers what runs, then ends.
    pub async fn stop(self) {
        self.parts.stop().await;
    }
}

/// What is under way in one direction of a connection inside the process. Source: ours, as a socket's buffer.
const IN_PROCESS_BUFFER_BYTES: usize = 64 << 10;
