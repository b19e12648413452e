//! What passes between clients and a server, as it happens. Tokens and admin keys are replaced before anything is kept.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Map, Value};
use sha2::{Digest as _, Sha256};

use super::format::FIRST_SOCKET;

/// Bytes of frames in one recording. Source: ours; a recording is read by people.
const RECORDED_BYTES_MAX: usize = 64 << 20;

/// See the module.
pub(super) struct Tape {
    /// When it began, in seconds since the epoch.
    pub(super) started_s: u64,
    pub(super) events: Vec<Taped>,
    pub(super) tokens: Vec<Token>,
    /// Tokens by the hash of their text, which is not kept.
    known: BTreeMap<[u8; 32], usize>,
    sockets: Vec<SocketState>,
    bytes: usize,
}

/// Something that happened, in milliseconds after the start.
pub(super) struct Taped {
    pub(super) t_ms: u64,
    /// None for a request.
    pub(super) socket: Option<String>,
    pub(super) what: What,
}

pub(super) enum What {
    Open(String),
    Client(Value),
    Server(Value),
    Close,
    Closed { code: u16, reason: String },
    Request { request: Value, status: u16, answer: Value },
}

/// A token without its signature.
pub(super) struct Token {
    pub(super) header: Map<String, Value>,
    /// None when it cannot be read.
    pub(super) claims: Option<Map<String, Value>>,
    pub(super) verdict: Verdict,
}

/// What the server made of a token.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Verdict {
    Unknown,
    Accepted,
    /// The code, and when.
    Refused {
        code: String,
        t_ms: u64,
    },
}

#[derive(Default)]
struct SocketState {
    /// Of each Authenticate, the token if it has one; those that are answered already are counted.
    presented: Vec<Option<usize>>,
    answered: usize,
    chunks: String,
}

/// A socket of the recording.
#[derive(Clone, Copy)]
pub(super) struct SocketNumber(usize);

impl SocketNumber {
    /// a, b, …, z, s26, s27, …
    fn name(self) -> String {
        match u8::try_from(self.0) {
            Ok(n @ 0..26) => char::from(FIRST_SOCKET.as_bytes()[0] + n).to_string(),
            _ => format!("s{}", self.0),
        }
    }
}

impl Tape {
    pub(super) fn new(started_s: u64) -> Self {
        let (events, tokens, known, sockets) = (Vec::new(), Vec::new(), BTreeMap::new(), Vec::new());
        Tape { started_s, events, tokens, known, sockets, bytes: 0 }
    }

    /// Whether nothing more is recorded.
    pub(super) fn is_full(&self) -> bool {
        self.bytes > RECORDED_BYTES_MAX
    }

    fn push(&mut self, t_ms: u64, socket: Option<SocketNumber>, bytes: usize, what: What) {
        if self.is_full() {
            return;
        }
        self.bytes += bytes;
        // Two sockets may have looked at the clock in one order and come here in the other.
        let t_ms = t_ms.max(self.events.last().map_or(0, |event| event.t_ms));
        self.events.push(Taped { t_ms, socket: socket.map(SocketNumber::name), what });
    }

    pub(super) fn open(&mut self, t_ms: u64, path: &str) -> SocketNumber {
        let socket = SocketNumber(self.sockets.len());
        self.sockets.push(SocketState::default());
        self.push(t_ms, Some(socket), path.len(), What::Open(path.to_owned()));
        socket
    }

    /// A frame of the client; `false` when it is no message that can be recorded.
    pub(super) fn client(&mut self, t_ms: u64, socket: SocketNumber, text: &str) -> bool {
        let Ok(mut frame @ Value::Object(_)) = serde_json::from_str(text) else { return false };
        if frame["type"] == "Event" {
            // Telemetry: no effect, another one each time.
            return true;
        }
        if frame["type"] == "Authenticate" {
            let token = self.replace_credential(&mut frame);
            self.sockets[socket.0].presented.push(token);
        }
        self.push(t_ms, Some(socket), text.len(), What::Client(frame));
        true
    }

    fn replace_credential(&mut self, frame: &mut Value) -> Option<usize> {
        match frame["tokenType"].as_str() {
            Some("User") => {
                let token = self.token(frame["value"].as_str().unwrap_or_default());
                frame["value"] = format!("$token:{}", token_name(token)).into();
                Some(token)
            }
            Some("Admin") => {
                frame["value"] = "$admin".into();
                None
            }
            _ => {
                if let Some(members) = frame.as_object_mut() {
                    members.remove("value");
                }
                None
            }
        }
    }

    fn token(&mut self, text: &str) -> usize {
        let hash: [u8; 32] = Sha256::digest(text).into();
        if let Some(known) = self.known.get(&hash) {
            return *known;
        }
        let mut parts = text.split('.').map(|part| {
            let bytes = URL_SAFE_NO_PAD.decode(part).ok()?;
            serde_json::from_slice::<Map<String, Value>>(&bytes).ok()
        });
        let header = parts.next().flatten().unwrap_or_default();
        self.tokens.push(Token { header, claims: parts.next().flatten(), verdict: Verdict::Unknown });
        self.known.insert(hash, self.tokens.len() - 1);
        self.tokens.len() - 1
    }

    /// A frame of the server.
    pub(super) fn server(&mut self, t_ms: u64, socket: SocketNumber, text: &str) -> bool {
        let Ok(message @ Value::Object(_)) = serde_json::from_str::<Value>(text) else { return false };
        let state = &mut self.sockets[socket.0];
        match message["type"].as_str() {
            Some("Ping") => return true,
            Some("TransitionChunk") => {
                state.chunks.push_str(message["chunk"].as_str().unwrap_or_default());
                if message["partNumber"].as_u64().map(|part| part + 1) != message["totalParts"].as_u64() {
                    return true;
                }
                let whole = std::mem::take(&mut state.chunks);
                return self.server(t_ms, socket, &whole);
            }
            Some("Transition") => {
                let identity = message["endVersion"]["identity"].as_u64().unwrap_or(0) as usize;
                let answered = state.answered.max(identity.min(state.presented.len()));
                for token in state.presented[state.answered..answered].iter().flatten() {
                    self.tokens[*token].verdict = Verdict::Accepted;
                }
                state.answered = answered;
            }
            Some("AuthError") if message["authUpdateAttempted"] == true => {
                if let Some(Some(token)) = state.presented.get(state.answered) {
                    let text = message["error"].as_str().unwrap_or_default();
                    let code = text.split(':').next().unwrap_or_default().to_owned();
                    self.tokens[*token].verdict = Verdict::Refused { code, t_ms };
                }
            }
            _ => {}
        }
        self.push(t_ms, Some(socket), text.len(), What::Server(message));
        true
    }

    pub(super) fn close(&mut self, t_ms: u64, socket: SocketNumber) {
        self.push(t_ms, Some(socket), 0, What::Close);
    }

    pub(super) fn closed(&mut self, t_ms: u64, socket: SocketNumber, code: u16, reason: String) {
        self.push(t_ms, Some(socket), reason.len(), What::Closed { code, reason });
    }

    /// A call over HTTP with its answer.
    pub(super) fn request(&mut self, t_ms: u64, mut request: Value, status: u16, answer: Value) {
        if let Some(authorization) = request["authorization"].as_str().map(str::to_owned) {
            let (scheme, credential) = authorization.split_once(' ').unwrap_or((authorization.as_str(), ""));
            request["authorization"] = if scheme.eq_ignore_ascii_case("bearer") {
                let token = self.token(credential.trim());
                if status == 200 {
                    self.tokens[token].verdict = Verdict::Accepted;
                }
                format!("{scheme} $token:{}", token_name(token)).into()
            } else {
                format!("{scheme} $admin").into()
            };
        }
        let bytes = request.to_string().len() + answer.to_string().len();
        self.push(t_ms, None, bytes, What::Request { request, status, answer });
    }

    /// Sockets, and everything that was said on them.
    pub(super) fn counts(&self) -> (usize, usize, usize) {
        (self.sockets.len(), self.events.len(), self.tokens.len())
    }
}

/// How a recording calls its tokens.
pub(super) fn token_name(token: usize) -> String {
    format!("t{}", token + 1)
}
