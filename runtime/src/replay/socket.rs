//! One socket of a client: keeps the rules of the version chain, and hands on what the server says.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use futures::{SinkExt as _, StreamExt as _};
use serde_json::{Value, json};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::Instant;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;

use super::expectation::Heard;

/// What a WebSocket runs over.
pub(super) trait Wire: AsyncRead + AsyncWrite + Unpin + Send {}

impl<T: AsyncRead + AsyncWrite + Unpin + Send> Wire for T {}

/// See the module.
pub(super) struct Socket {
    stream: WebSocketStream<Box<dyn Wire>>,
    heard: VecDeque<Heard>,
    chunks: String,
    query_set: u64,
    identity: u64,
    ts: u64,
    server_ts: u64,
    /// The latest commit that the client was told of.
    answered_ts: u64,
    /// A mutation was answered, and no Transition has come since.
    owes_transition: bool,
    /// The version that the last `ModifyQuerySet` led to.
    asked_query_set: u64,
    /// The results that the client holds, by query.
    results: BTreeMap<u64, Value>,
    is_closed: bool,
}

/// The server broke a rule that holds for every message.
pub(super) struct Fault(pub(super) String);

impl Socket {
    pub(super) fn new(stream: WebSocketStream<Box<dyn Wire>>) -> Self {
        Socket {
            stream,
            heard: VecDeque::new(),
            chunks: String::new(),
            query_set: 0,
            identity: 0,
            ts: 0,
            server_ts: 0,
            answered_ts: 0,
            owes_transition: false,
            asked_query_set: 0,
            results: BTreeMap::new(),
            is_closed: false,
        }
    }

    /// The query set and the identity that the client has reached.
    pub(super) fn at(&self) -> (u64, u64) {
        (self.query_set, self.identity)
    }

    /// The latest timestamp that the client has seen; 0 before the first.
    pub(super) fn observed_ts(&self) -> u64 {
        self.ts
    }

    /// The results that the client holds, by query.
    pub(super) fn results(&self) -> &BTreeMap<u64, Value> {
        &self.results
    }

    pub(super) fn is_closed(&self) -> bool {
        self.is_closed
    }

    /// Takes a frame; [`Socket::flush`] sends all that were taken at once.
    pub(super) async fn say(&mut self, frame: &Value) -> Result<(), Fault> {
        if frame["type"] == "ModifyQuerySet" {
            self.asked_query_set = frame["newVersion"].as_u64().unwrap_or(self.asked_query_set);
        }
        let text = Message::text(frame.to_string());
        self.stream.feed(text).await.map_err(|error| Fault(format!("the socket takes no frame: {error}")))
    }

    pub(super) async fn flush(&mut self) {
        // A socket that has ended says so when it is read.
        drop(self.stream.flush().await);
    }

    pub(super) async fn close(&mut self) {
        drop(self.stream.close(None).await);
        // Nobody listens any more.
        self.heard.clear();
        self.is_closed = true;
    }

    /// The next thing that is said; `None` when nothing is for that long.
    pub(super) async fn next(&mut self, patience: Duration) -> Result<Option<Heard>, Fault> {
        let until = Instant::now() + patience;
        loop {
            if let Some(heard) = self.heard.pop_front() {
                if self.is_of_interest(&heard)? {
                    return Ok(Some(heard));
                }
                continue;
            }
            if self.is_closed {
                return Ok(None);
            }
            match tokio::time::timeout_at(until, self.stream.next()).await {
                Ok(read) => drop(self.take(read)?),
                Err(_) => return Ok(None),
            }
        }
    }

    /// Waits until the server has handled all that was sent and everything that it has to say by itself at this time.
    pub(super) async fn settle(&mut self, patience: Duration) -> Result<(), Fault> {
        if self.is_closed {
            return Ok(());
        }
        const SETTLE: &[u8] = b"settle";
        drop(self.stream.send(Message::Ping(Bytes::from_static(SETTLE))).await);
        let until = Instant::now() + patience;
        while !self.is_closed {
            let Ok(read) = tokio::time::timeout_at(until, self.stream.next()).await else {
                return Err(Fault(format!("the server answers no WebSocket ping within {} s", patience.as_secs())));
            };
            if self.take(read)?.is_some_and(|pong| *pong == *SETTLE) {
                break;
            }
        }
        Ok(())
    }

    /// The step of the query set that changes nothing, from where the client is.
    pub(super) fn empty_step(&self) -> Value {
        let base = self.asked_query_set;
        json!({"type": "ModifyQuerySet", "baseVersion": base, "newVersion": base + 1, "modifications": []})
    }

    /// Takes what was read; gives the payload of a pong.
    fn take(
        &mut self,
        read: Option<Result<Message, tokio_tungstenite::tungstenite::Error>>,
    ) -> Result<Option<Bytes>, Fault> {
        match read {
            Some(Ok(Message::Text(text))) => self.take_text(&text)?,
            Some(Ok(Message::Pong(payload))) => return Ok(Some(payload)),
            Some(Ok(Message::Close(frame))) => {
                let (code, reason) =
                    frame.map_or((1005, String::new()), |frame| (frame.code.into(), frame.reason.to_string()));
                self.end(code, reason);
            }
            Some(Ok(Message::Binary(_))) => return Err(Fault("the server sent a binary message".to_owned())),
            Some(Ok(_)) => {}
            Some(Err(_)) | None => self.end(1006, String::new()),
        }
        Ok(None)
    }

    fn end(&mut self, code: u16, reason: String) {
        if !std::mem::replace(&mut self.is_closed, true) {
            self.heard.push_back(Heard::Closed { code, reason });
        }
    }

    fn take_text(&mut self, text: &str) -> Result<(), Fault> {
        let message: Value =
            serde_json::from_str(text).map_err(|error| Fault(format!("a frame is no JSON ({error}): {text}")))?;
        match message["type"].as_str() {
            Some("Ping") => return Ok(()),
            Some("TransitionChunk") => {
                self.chunks.push_str(message["chunk"].as_str().unwrap_or_default());
                if message["partNumber"].as_u64().map(|part| part + 1) == message["totalParts"].as_u64() {
                    let whole = std::mem::take(&mut self.chunks);
                    self.take_text(&whole)?;
                }
                return Ok(());
            }
            _ => {}
        }
        self.heard.push_back(Heard::Message(message));
        Ok(())
    }

    /// Checks a message against those before it. A Transition that only moves the client past a mutation is of no
    /// interest.
    fn is_of_interest(&mut self, heard: &Heard) -> Result<bool, Fault> {
        let Heard::Message(message) = heard else { return Ok(true) };
        match message["type"].as_str() {
            Some("Transition") => {
                let before = (self.at(), std::mem::take(&mut self.owes_transition));
                self.move_on(message)?;
                Ok(before != (self.at(), true) || message["modifications"] != json!([]))
            }
            Some("MutationResponse") => {
                self.owes_transition = true;
                let ts = message["ts"].as_str().map_or(Ok(self.answered_ts), read_ts)?;
                if ts < self.answered_ts {
                    return Err(Fault(format!("the commit of a mutation is before that of an earlier one: {message}")));
                }
                self.answered_ts = ts;
                Ok(true)
            }
            _ => Ok(true),
        }
    }

    /// Each Transition starts where the last one ended, and nothing ever goes back.
    fn move_on(&mut self, transition: &Value) -> Result<(), Fault> {
        let read = |version: &Value| -> Result<(u64, u64, u64), Fault> {
            let number =
                |name: &str| version[name].as_u64().ok_or_else(|| Fault(format!("{name} is missing: {transition}")));
            Ok((number("querySet")?, number("identity")?, read_ts(version["ts"].as_str().unwrap_or_default())?))
        };
        let (start, end) = (read(&transition["startVersion"])?, read(&transition["endVersion"])?);
        let here = (self.query_set, self.identity, self.ts);
        if start != here {
            return Err(Fault(format!("versions are continuous: expected a start at {here:?}, found {start:?}")));
        }
        if end.0 < here.0 || end.1 < here.1 || end.2 < here.2 {
            return Err(Fault(format!("versions never go back: the client is at {here:?}, found an end at {end:?}")));
        }
        let server_ts = transition["serverTs"].as_u64().unwrap_or(self.server_ts);
        if server_ts < self.server_ts {
            return Err(Fault(format!("serverTs never goes back: {} came before {server_ts}", self.server_ts)));
        }
        if end.0 > self.asked_query_set {
            let asked = self.asked_query_set;
            return Err(Fault(format!("the query set was at most asked to reach {asked}, found {}", end.0)));
        }
        self.server_ts = server_ts;
        (self.query_set, self.identity, self.ts) = end;
        for modification in transition["modifications"].as_array().into_iter().flatten() {
            let query = modification["queryId"].as_u64().unwrap_or(0);
            match modification["type"].as_str() {
                Some("QueryRemoved") => drop(self.results.remove(&query)),
                _ => drop(self.results.insert(query, modification.clone())),
            }
        }
        Ok(())
    }

    /// Whether the client was moved past every commit it was told of.
    pub(super) fn covers_answers(&self) -> bool {
        self.ts >= self.answered_ts && !self.owes_transition
    }
}

/// Reads a timestamp as the wire has it.
fn read_ts(text: &str) -> Result<u64, Fault> {
    let bytes = STANDARD.decode(text).ok().and_then(|bytes| <[u8; 8]>::try_from(bytes).ok());
    bytes.map(u64::from_le_bytes).ok_or_else(|| Fault(format!("{text:?} is no timestamp")))
}
