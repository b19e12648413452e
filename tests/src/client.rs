//! A raw client: JSON text frames over a WebSocket, each one from the server checked against the official decoder.
//!
//! It keeps the rules of the version chain itself, so that every test that talks over a socket is a test of them.

use std::time::Duration;

use futures::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::protocol::Role;

/// Nothing that a test waits for takes longer on a machine that is merely busy.
const PATIENCE: Duration = Duration::from_secs(20);

/// What a client's socket is made of.
trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<S: AsyncRead + AsyncWrite + Send + Unpin> Stream for S {}

/// A client that says exactly what a test tells it to.
pub struct RawClient {
    socket: WebSocketStream<Box<dyn Stream>>,
    version: Value,
    n_query_set: u64,
    n_identity: u64,
    n_requests: u64,
    /// Results by query id, as a client would hold them.
    pub results: std::collections::BTreeMap<u64, Value>,
    /// Responses that came while another one was waited for.
    early: std::collections::BTreeMap<u64, Value>,
}

/// One Transition as the wire has it.
#[derive(Clone, Debug)]
pub struct Transition(pub Value);

/// How a socket ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Closed {
    /// The status; 1005 when the frame had none, 1006 when there was no frame.
    pub code: u16,
    /// The reason.
    pub reason: String,
}

impl RawClient {
    /// Opens a socket at `path` of a server, without saying anything.
    pub async fn open(address: std::net::SocketAddr, path: &str, headers: &[(&'static str, &str)]) -> Self {
        Self::try_open(address, path, headers).await.expect("the server upgrades the socket")
    }

    /// Opens a socket, or tells why the server refused.
    pub async fn try_open(
        address: std::net::SocketAddr,
        path: &str,
        headers: &[(&'static str, &str)],
    ) -> Result<Self, tokio_tungstenite::tungstenite::Error> {
        let mut request = format!("ws://{address}{path}").into_client_request()?;
        for (name, value) in headers {
            request.headers_mut().insert(*name, value.parse().expect("a header value"));
        }
        let stream: Box<dyn Stream> = Box::new(TcpStream::connect(address).await?);
        let (socket, _) = tokio_tungstenite::client_async(request, stream).await?;
        Ok(Self::of(socket))
    }

    /// A client over a stream whose other end is served as a socket behind its handshake; says `Connect` with this
    /// session.
    pub async fn over(stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static, session: &str) -> Self {
        let stream: Box<dyn Stream> = Box::new(stream);
        let mut client = Self::of(WebSocketStream::from_raw_socket(stream, Role::Client, None).await);
        client.send(first_connect(session)).await;
        client
    }

    fn of(socket: WebSocketStream<Box<dyn Stream>>) -> Self {
        RawClient {
            socket,
            version: json!({"querySet": 0, "identity": 0, "ts": "AAAAAAAAAAA="}),
            n_query_set: 0,
            n_identity: 0,
            n_requests: 0,
            results: std::collections::BTreeMap::new(),
            early: std::collections::BTreeMap::new(),
        }
    }

    /// Opens a socket and says `Connect` with a new session.
    pub async fn connect(address: std::net::SocketAddr) -> Self {
        Self::connect_as(address, &uuid::Uuid::new_v4().to_string()).await
    }

    /// Opens a socket and says `Connect` with this session.
    pub async fn connect_as(address: std::net::SocketAddr, session: &str) -> Self {
        let mut client = Self::open(address, "/api/1.48.0/sync", &[]).await;
        client.send(first_connect(session)).await;
        client
    }

    /// Opens a socket and says `Connect` with this session, or tells why that failed.
    pub async fn try_connect_as(
        address: std::net::SocketAddr,
        session: &str,
    ) -> Result<Self, tokio_tungstenite::tungstenite::Error> {
        let mut client = Self::try_open(address, "/api/1.48.0/sync", &[]).await?;
        client
            .try_send(json!({"type": "Connect", "sessionId": session, "connectionCount": 1, "lastCloseReason": null, "clientTs": 0}))
            .await;
        Ok(client)
    }

    /// Sends one frame; `false` when the socket has ended.
    pub async fn try_send(&mut self, message: Value) -> bool {
        self.socket.send(Message::Text(message.to_string().into())).await.is_ok()
    }

    /// Sends one frame.
    pub async fn send(&mut self, message: Value) {
        self.send_text(message.to_string()).await;
    }

    /// Sends one frame as it is.
    pub async fn send_text(&mut self, text: String) {
        self.socket.send(Message::Text(text.into())).await.expect("the socket takes a frame");
    }

    /// Hands over one frame as it is, to be written when enough has gathered or something else is sent.
    pub async fn feed_text(&mut self, text: &'static str) {
        self.socket.feed(Message::text(text)).await.expect("the socket takes a frame");
    }

    /// Sends a message of any kind.
    pub async fn send_message(&mut self, message: Message) {
        self.socket.send(message).await.expect("the socket takes a message");
    }

    /// Adds a query; its result comes with a Transition.
    pub async fn subscribe(&mut self, query: u64, path: &str, args: Value) {
        self.modify(vec![json!({"type": "Add", "queryId": query, "udfPath": path, "args": [args]})]).await;
    }

    /// Changes the query set.
    pub async fn modify(&mut self, modifications: Vec<Value>) {
        let base = self.n_query_set;
        self.n_query_set += 1;
        let message = json!({"type": "ModifyQuerySet", "baseVersion": base, "newVersion": base + 1, "modifications": modifications});
        self.send(message).await;
    }

    /// Presents a token.
    pub async fn authenticate(&mut self, token: Option<&str>) {
        let base = self.n_identity;
        self.n_identity += 1;
        let message = match token {
            Some(token) => {
                json!({"type": "Authenticate", "baseVersion": base, "tokenType": "User", "value": token})
            }
            None => json!({"type": "Authenticate", "baseVersion": base, "tokenType": "None"}),
        };
        self.send(message).await;
    }

    /// Presents an admin key.
    pub async fn authenticate_admin(&mut self, key: &str) {
        let base = self.n_identity;
        self.n_identity += 1;
        self.send(json!({"type": "Authenticate", "baseVersion": base, "tokenType": "Admin", "value": key})).await;
    }

    /// Sends a mutation and gives its request id.
    pub async fn start_mutation(&mut self, path: &str, args: Value) -> u64 {
        self.start("Mutation", path, args).await
    }

    /// Sends an action and gives its request id.
    pub async fn start_action(&mut self, path: &str, args: Value) -> u64 {
        self.start("Action", path, args).await
    }

    async fn start(&mut self, kind: &str, path: &str, args: Value) -> u64 {
        let request = self.n_requests;
        self.n_requests += 1;
        self.send(json!({"type": kind, "requestId": request, "udfPath": path, "args": [args]})).await;
        request
    }

    /// Sends a mutation and waits for its response and the Transition that follows it.
    pub async fn mutation(&mut self, path: &str, args: Value) -> Value {
        let request = self.start_mutation(path, args).await;
        let response = self.response(request).await;
        self.transition().await;
        response
    }

    /// The response to a request, which may have come while another one was waited for.
    pub async fn response(&mut self, request: u64) -> Value {
        loop {
            if let Some(message) = self.early.remove(&request) {
                return message;
            }
            let message = self.message().await;
            let kind = message["type"].as_str().unwrap_or_default();
            if let ("MutationResponse" | "ActionResponse", Some(answered)) = (kind, message["requestId"].as_u64()) {
                self.early.insert(answered, message);
            }
        }
    }

    /// The next Transition, skipping what comes before it.
    pub async fn transition(&mut self) -> Transition {
        loop {
            let message = self.message().await;
            if message["type"] == "Transition" {
                return Transition(message);
            }
        }
    }

    /// Waits until the client's result for a query fits.
    pub async fn until(&mut self, query: u64, fits: impl Fn(&Value) -> bool) -> Value {
        loop {
            if let Some(result) = self.results.get(&query).filter(|result| fits(result)) {
                return result.clone();
            }
            self.transition().await;
        }
    }

    /// The next message that is not a `Ping`; fails when the socket ends instead.
    pub async fn message(&mut self) -> Value {
        match self.message_or_close().await {
            Ok(message) => message,
            Err(closed) => panic!("the socket ended: {closed:?}"),
        }
    }

    /// The next message that is not a `Ping`, or how the socket ended.
    pub async fn message_or_close(&mut self) -> Result<Value, Closed> {
        loop {
            let message = self.any_message().await?;
            if message["type"] != "Ping" {
                return Ok(message);
            }
        }
    }

    /// The next message, a `Ping` too, or how the socket ended.
    pub async fn any_message(&mut self) -> Result<Value, Closed> {
        loop {
            let next = tokio::time::timeout(PATIENCE, self.socket.next()).await.expect("the server says something");
            match next {
                Some(Ok(Message::Text(text))) => return Ok(self.check(&text)),
                Some(Ok(Message::Close(frame))) => {
                    // Answers the close, as browsers do.
                    let _ = tokio::time::timeout(PATIENCE, self.socket.next()).await;
                    return Err(match frame {
                        Some(frame) => Closed { code: frame.code.into(), reason: frame.reason.to_string() },
                        None => Closed { code: 1005, reason: String::new() },
                    });
                }
                Some(Ok(Message::Binary(_))) => panic!("the server sent a binary message"),
                Some(Ok(_)) => {}
                Some(Err(_)) | None => return Err(Closed { code: 1006, reason: String::new() }),
            }
        }
    }

    /// The Close that ends the socket; what is said before it is given too.
    pub async fn until_closed(&mut self) -> (Vec<Value>, Closed) {
        let mut said = Vec::new();
        loop {
            match self.message_or_close().await {
                Ok(message) => said.push(message),
                Err(closed) => return (said, closed),
            }
        }
    }

    fn check(&mut self, text: &str) -> Value {
        let message: Value = serde_json::from_str(text).expect("every frame is one JSON object");
        if message["type"] != "TransitionChunk" {
            convex_sync_types::ServerMessage::<convex::Value>::try_from(message.clone())
                .unwrap_or_else(|error| panic!("the official decoder refuses {text}: {error:#}"));
        }
        if message["type"] == "Transition" {
            self.apply(&message);
        }
        message
    }

    fn apply(&mut self, transition: &Value) {
        assert_eq!(transition["startVersion"], self.version, "a Transition starts where the last one ended");
        let end = &transition["endVersion"];
        assert!(end["querySet"].as_u64() >= self.version["querySet"].as_u64(), "the query set never goes back");
        assert!(end["identity"].as_u64() >= self.version["identity"].as_u64(), "the identity never goes back");
        assert!(ts_of(end) >= ts_of(&self.version), "time never goes back");
        let mut seen = std::collections::BTreeSet::new();
        for modification in transition["modifications"].as_array().expect("an array") {
            let query = modification["queryId"].as_u64().expect("a query id");
            assert!(seen.insert(query), "a query is listed once");
            match modification["type"].as_str() {
                Some("QueryUpdated") => drop(self.results.insert(query, modification["value"].clone())),
                Some("QueryFailed") => drop(self.results.insert(query, modification.clone())),
                _ => drop(self.results.remove(&query)),
            }
        }
        self.version = end.clone();
    }

    /// The client's version: query set, identity, timestamp.
    pub fn version(&self) -> &Value {
        &self.version
    }

    /// Closes the socket properly.
    pub async fn close(mut self) {
        let _ = self.socket.close(None).await;
    }
}

impl Transition {
    /// What it says of a query.
    pub fn of(&self, query: u64) -> Option<&Value> {
        self.0["modifications"].as_array()?.iter().find(|modification| modification["queryId"] == query)
    }

    /// How many queries it speaks of.
    pub fn n_modifications(&self) -> usize {
        self.0["modifications"].as_array().map_or(0, Vec::len)
    }

    /// The timestamp it moves to.
    pub fn ts(&self) -> u64 {
        ts_of(&self.0["endVersion"])
    }
}

fn first_connect(session: &str) -> Value {
    json!({"type": "Connect", "sessionId": session, "connectionCount": 0, "lastCloseReason": "InitialConnect", "clientTs": 0})
}

/// The timestamp in a version, or in a `MutationResponse`.
pub fn ts_of(holder: &Value) -> u64 {
    parse_ts(holder["ts"].as_str().expect("a timestamp"))
}

/// Reads a timestamp as the wire has it.
pub fn parse_ts(text: &str) -> u64 {
    use base64::Engine as _;
    let bytes = base64::engine::general_purpose::STANDARD.decode(text).expect("base64");
    u64::from_le_bytes(bytes.try_into().expect("8 bytes"))
}
