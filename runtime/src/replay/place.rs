//! Where a handshake is played: how connections are made there, and what can be asked of that server.

use std::time::Duration;

use axum::body::Body;
use axum::http::{Request, header};
use http_body_util::BodyExt as _;
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::handshake::client::generate_key;
use tokio_tungstenite::tungstenite::protocol::Role;
use url::Url;

use super::format::{Event, Handshake};
use super::socket::{Socket, Wire};
use super::world::{Started, World};

/// Where handshakes are played.
#[derive(Clone, Debug)]
pub enum Place {
    /// In this process, without a network: a server of its own for each.
    InProcess,
    /// The same over a port of this machine.
    Loopback,
    /// Against a server that runs already, in real time.
    Url(RunningServer),
}

/// A server that runs already: its clock cannot be moved, and it trusts its own issuers only.
#[derive(Clone, Debug)]
pub struct RunningServer {
    base: Url,
    http: reqwest::Client,
    admin_key: Option<String>,
    wait_max: Duration,
}

/// A request over HTTP, everything put in.
pub(super) struct Asked {
    pub(super) method: String,
    pub(super) path: String,
    pub(super) authorization: Option<String>,
    pub(super) body: Option<Value>,
}

impl RunningServer {
    /// The server at an address such as `http://127.0.0.1:3210`. Handshakes that take longer than `wait_max` are
    /// not played.
    ///
    /// # Errors
    /// What is wrong with the address.
    pub fn new(url: &str, admin_key: Option<String>, wait_max: Duration) -> Result<Self, String> {
        let base = Url::parse(url).map_err(|error| {
            format!("--url: expected the address of a server, such as http://127.0.0.1:3210; found {url:?} ({error})")
        })?;
        // A WebSocket begins as HTTP/1.1.
        let http = reqwest::Client::builder().http1_only().build().map_err(|error| error.to_string())?;
        Ok(RunningServer { base, http, admin_key, wait_max })
    }

    /// Why a handshake cannot be played here.
    pub(super) fn obstacle(&self, handshake: &Handshake) -> Option<String> {
        let setup = &handshake.setup;
        if setup.production {
            return Some("needs a server in production mode".to_owned());
        }
        if !setup.providers.is_empty() || !setup.variables.is_empty() {
            return Some("needs providers or variables of its own".to_owned());
        }
        let length = Duration::from_millis(handshake.length_ms());
        if length > self.wait_max {
            let (length, max) = (length.as_secs(), self.wait_max.as_secs());
            return Some(format!(
                "takes {length} s; a running server's clock cannot be moved, and --wait allows {max} s"
            ));
        }
        for line in &handshake.lines {
            if let Event::Issuer(_) | Event::Fetched { .. } = line.event {
                return Some("needs an issuer that does as it is told".to_owned());
            }
        }
        if self.admin_key.is_none() && handshake.uses_admin_key() {
            return Some("needs an admin key (--admin-key)".to_owned());
        }
        setup.tokens.values().find_map(|token| token.dev_request().err())
    }

    pub(super) fn admin_key(&self) -> Option<String> {
        self.admin_key.clone()
    }

    /// A token of the server's development issuer.
    pub(super) async fn token(&self, request: &Value) -> Result<String, String> {
        let asked = Asked {
            method: "POST".to_owned(),
            path: "/dev-issuer/token".to_owned(),
            authorization: None,
            body: Some(request.clone()),
        };
        match self.ask(asked).await? {
            (200, answer) if answer["token"].is_string() => Ok(answer["token"].as_str().unwrap_or_default().to_owned()),
            (status, answer) => Err(format!(
                "the development issuer of {} gives no token (status {status}: {answer}); it is there on loopback \
                 only, in development, while no provider is configured",
                self.base
            )),
        }
    }

    async fn ask(&self, asked: Asked) -> Result<(u16, Value), String> {
        ask_over_http(&self.http, &self.base, asked).await
    }

    async fn open(&self, path: &str) -> Result<Socket, String> {
        let url = self.base.join(path).map_err(|error| format!("{path:?} is no path: {error}"))?;
        Ok(Socket::new(
            WebSocketStream::from_raw_socket(upgrade(&self.http, url, &[]).await?, Role::Client, None).await,
        ))
    }
}

/// Asks a server for a WebSocket.
pub(super) async fn upgrade(
    http: &reqwest::Client,
    url: Url,
    headers: &[(&str, String)],
) -> Result<Box<dyn Wire>, String> {
    let mut request = http
        .get(url.clone())
        .header(header::CONNECTION, "upgrade")
        .header(header::UPGRADE, "websocket")
        .header(header::SEC_WEBSOCKET_VERSION, "13")
        .header(header::SEC_WEBSOCKET_KEY, generate_key());
    for (name, value) in headers {
        request = request.header(*name, value);
    }
    let response = request.send().await.map_err(|error| format!("{url} cannot be reached: {error}"))?;
    if response.status() != 101 {
        let status = response.status();
        let body = response.text().await.unwrap_or_default();
        return Err(format!("{url} gives no WebSocket: status {status}: {body}"));
    }
    let upgraded = response.upgrade().await.map_err(|error| format!("{url}: {error}"))?;
    Ok(Box::new(upgraded))
}

async fn ask_over_http(http: &reqwest::Client, base: &Url, asked: Asked) -> Result<(u16, Value), String> {
    let Asked { method, path, authorization, body } = asked;
    let url = base.join(&path).map_err(|error| format!("{path:?} is no path: {error}"))?;
    let method = method.parse().map_err(|_| format!("{method:?} is no method of HTTP"))?;
    let mut request = http.request(method, url);
    if let Some(authorization) = authorization {
        request = request.header(header::AUTHORIZATION, authorization);
    }
    if let Some(body) = body {
        request = request.header(header::CONTENT_TYPE, "application/json").body(body.to_string());
    }
    let response = request.send().await.map_err(|error| error.to_string())?;
    let status = response.status().as_u16();
    let bytes = response.bytes().await.map_err(|error| error.to_string())?;
    Ok((status, json_or_text(&bytes)))
}

fn json_or_text(bytes: &[u8]) -> Value {
    serde_json::from_slice(bytes).unwrap_or_else(|_| json!(String::from_utf8_lossy(bytes)))
}

impl World {
    pub(super) async fn open(&self, path: &str) -> Result<Socket, String> {
        let stream: Box<dyn Wire> = match &self.server {
            Started::InProcess(server) => Box::new(server.connect()),
            Started::Loopback(running) => {
                let stream = TcpStream::connect(running.address()).await.map_err(|error| error.to_string())?;
                stream.set_nodelay(true).map_err(|error| error.to_string())?;
                Box::new(stream)
            }
        };
        let request = format!("ws://127.0.0.1{path}");
        let upgraded = tokio_tungstenite::client_async(request, stream).await;
        let (stream, _) = upgraded.map_err(|error| format!("{path} gives no WebSocket: {error}"))?;
        Ok(Socket::new(stream))
    }

    async fn ask(&self, asked: Asked) -> Result<(u16, Value), String> {
        let server = match &self.server {
            Started::InProcess(server) => server,
            Started::Loopback(running) => {
                let base = Url::parse(&format!("http://{}", running.address())).map_err(|error| error.to_string())?;
                return ask_over_http(&reqwest::Client::new(), &base, asked).await;
            }
        };
        let Asked { method, path, authorization, body } = asked;
        let mut request = Request::builder().method(method.as_str()).uri(path);
        if let Some(authorization) = authorization {
            request = request.header(header::AUTHORIZATION, authorization);
        }
        if body.is_some() {
            request = request.header(header::CONTENT_TYPE, "application/json");
        }
        let body = body.map_or_else(Body::empty, |body| Body::from(body.to_string()));
        let request = request.body(body).map_err(|error| format!("the request cannot be made: {error}"))?;
        let (parts, body) = server.answer(request).await.into_parts();
        let bytes = body.collect().await.map_err(|error| error.to_string())?.to_bytes();
        Ok((parts.status.as_u16(), json_or_text(&bytes)))
    }
}

/// The server of one run.
pub(super) enum Server {
    /// Of its own.
    Own(World),
    Running(RunningServer),
}

impl Server {
    pub(super) async fn open(&self, path: &str) -> Result<Socket, String> {
        match self {
            Server::Own(world) => world.open(path).await,
            Server::Running(server) => server.open(path).await,
        }
    }

    pub(super) async fn ask(&self, asked: Asked) -> Result<(u16, Value), String> {
        match self {
            Server::Own(world) => world.ask(asked).await,
            Server::Running(server) => server.ask(asked).await,
        }
    }
}
