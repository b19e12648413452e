//! The messages of the protocol as types: what a client may say and what it may be told.
//!
//! Nothing here knows JSON; `wire` does. Arguments, results, journals and log lines stay the text they
//! are on the wire, shared and never parsed, so that a result is encoded once however many clients read it.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

/// JSON text of one value, shared between all who hold it.
pub type Json = Arc<str>;

/// A moment of the database, in nanoseconds since the Unix epoch; at most 2⁶³−1 on the wire.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(pub u64);

impl Timestamp {
    /// Where every socket starts: before any commit.
    pub const ZERO: Timestamp = Timestamp(0);
    /// The latest timestamp that all clients can read.
    pub const MAX: Timestamp = Timestamp(i64::MAX as u64);
}

/// Names one query of one client; chosen by the client.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct QueryId(pub u32);

/// Names one mutation or action of one client; chosen by the client, from one counter for both kinds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RequestId(pub u32);

/// Counts the changes of the query set; the client sets it with each `ModifyQuerySet`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct QuerySetVersion(pub u32);

/// Counts the accepted `Authenticate`s of a socket.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct IdentityVersion(pub u32);

/// What a client has seen: which query set, under which identity, at which moment.
///
/// No component ever falls on one socket, and each Transition starts where the last one ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StateVersion {
    /// The query set.
    pub query_set: QuerySetVersion,
    /// The identity.
    pub identity: IdentityVersion,
    /// The moment at which all results hold.
    pub ts: Timestamp,
}

/// Names a client over its reconnects: with a request id, what makes a mutation take effect once.
///
/// `Display` writes the hyphenated lower-case form, which request ids are hashed from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SessionId(pub u128);

impl fmt::Display for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let hex = format!("{:032x}", self.0);
        write!(f, "{}-{}-{}-{}-{}", &hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..])
    }
}

impl SessionId {
    /// Reads the hyphenated form, in either case; `None` for anything else.
    pub fn parse(text: &str) -> Option<SessionId> {
        let bytes = text.as_bytes();
        if bytes.len() != 36 {
            return None;
        }
        let mut id = 0u128;
        for (position, byte) in bytes.iter().enumerate() {
            match position {
                8 | 13 | 18 | 23 if *byte == b'-' => {}
                8 | 13 | 18 | 23 => return None,
                _ => id = id << 4 | u128::from(char::from(*byte).to_digit(16)?),
            }
        }
        Some(SessionId(id))
    }
}

/// What a client says.
#[derive(Clone, Debug, PartialEq)]
pub enum ClientMessage {
    /// First message of every official client. No answer.
    Connect(Connect),
    /// Changes what the client watches. Answered by a [`Transition`] that reaches its `new_version`.
    ModifyQuerySet(ModifyQuerySet),
    /// Answered by one [`MutationResponse`], then by a [`Transition`] that covers its commit.
    Mutation(Request),
    /// Answered by one [`ActionResponse`].
    Action(Request),
    /// Answered by a [`Transition`] that raises the identity version, or by an [`AuthError`] and a close.
    Authenticate(Authenticate),
    /// Telemetry. No answer, no effect.
    Event,
}

/// Who connects, and what it has seen before.
#[derive(Clone, Debug, PartialEq)]
pub struct Connect {
    /// The client, over its reconnects.
    pub session: SessionId,
    /// How many sockets the client opened before; for diagnostics.
    pub connection_count: u32,
    /// Why the last socket ended, in the client's words; for diagnostics.
    pub last_close_reason: Option<String>,
    /// The latest timestamp the client ever saw: it must not be served from before it.
    pub max_observed_timestamp: Option<Timestamp>,
    /// The client's clock in milliseconds since the Unix epoch; for diagnostics.
    pub client_ts_ms: Option<i64>,
}

/// One step of the query set, from `base_version` to `new_version`.
#[derive(Clone, Debug, PartialEq)]
pub struct ModifyQuerySet {
    /// The last `new_version` of this socket, 0 at first.
    pub base_version: QuerySetVersion,
    /// Above `base_version`.
    pub new_version: QuerySetVersion,
    /// Applied in order.
    pub modifications: Vec<QuerySetModification>,
}

/// One change of the query set.
#[derive(Clone, Debug, PartialEq)]
pub enum QuerySetModification {
    /// Watch one more query.
    Add {
        /// Not in use.
        query: QueryId,
        /// What to run. A message without arguments carries `null` here: a function failure, not a fault.
        call: FunctionCall,
        /// What the client was last sent for this query: keeps a page's end where it was.
        journal: Option<Arc<str>>,
    },
    /// Stop watching. Acknowledged by a `QueryRemoved`.
    Remove {
        /// In use.
        query: QueryId,
    },
}

/// A function and its arguments, as the client wrote them.
#[derive(Clone, Debug, PartialEq)]
pub struct FunctionCall {
    /// `module:function`, not checked: an ill-formed path is a failure of the call, for the runtime to tell.
    pub path: Arc<str>,
    /// The component, `None` for the root.
    pub component: Option<Arc<str>>,
    /// JSON text of the arguments; an array in all current clients, but not checked here.
    pub args: Json,
}

/// A `Mutation` or an `Action`.
#[derive(Clone, Debug, PartialEq)]
pub struct Request {
    /// Echoed in the response.
    pub request: RequestId,
    /// What to run.
    pub call: FunctionCall,
}

/// Presents a token.
#[derive(Clone, Debug, PartialEq)]
pub struct Authenticate {
    /// How many `Authenticate`s were accepted before on this socket.
    pub base_version: IdentityVersion,
    /// The token.
    pub token: AuthToken,
}

/// What a client authenticates with. `Debug` shows no token.
#[derive(Clone, PartialEq)]
pub enum AuthToken {
    /// A JSON Web Token of an issuer.
    User(Arc<str>),
    /// The deployment's admin or deploy key.
    Admin {
        /// The key.
        key: Arc<str>,
        /// The user to act as, if not as the admin itself.
        acting_as: Option<ActingAs>,
    },
    /// Signs out.
    None,
}

impl fmt::Debug for AuthToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            AuthToken::User(_) => f.write_str("User(..)"),
            AuthToken::Admin { acting_as: None, .. } => f.write_str("Admin(..)"),
            AuthToken::Admin { acting_as: Some(user), .. } => write!(f, "Admin(.., {:?})", user.token_identifier),
            AuthToken::None => f.write_str("None"),
        }
    }
}

/// The user an admin acts as; checked to name one.
#[derive(Clone, Debug, PartialEq)]
pub struct ActingAs {
    /// As sent, or else made of issuer and subject.
    pub token_identifier: Arc<str>,
    /// The whole JSON object as sent: known attributes have been checked for their type, others are custom claims.
    pub attributes: Json,
}

/// What a client is told: one of exactly these seven.
#[derive(Clone, Debug, PartialEq)]
pub enum ServerMessage {
    /// Moves the client from one state to the next.
    Transition(Transition),
    /// A part of a large Transition.
    TransitionChunk(TransitionChunk),
    /// The outcome of a mutation.
    MutationResponse(MutationResponse),
    /// The outcome of an action.
    ActionResponse(ActionResponse),
    /// The client is not, or no longer, who it says. The socket closes next.
    AuthError(AuthError),
    /// A fault that no retry can mend. The socket closes next, and JavaScript clients never come back.
    FatalError(FatalError),
    /// Keeps the client from believing that the connection is dead.
    Ping,
}

impl ServerMessage {
    /// Whether a Transition is complete with this message: once it is written, the session wants to hear
    /// [`Input::TransitionWritten`](crate::Input::TransitionWritten).
    pub fn completes_transition(&self) -> bool {
        match self {
            ServerMessage::Transition(_) => true,
            ServerMessage::TransitionChunk(chunk) => chunk.part_number + 1 == chunk.total_parts,
            ServerMessage::MutationResponse(_)
            | ServerMessage::ActionResponse(_)
            | ServerMessage::AuthError(_)
            | ServerMessage::FatalError(_)
            | ServerMessage::Ping => false,
        }
    }
}

/// Moves the client from one state to the next: after it, all results the client holds are those of `end_version`.
#[derive(Clone, Debug, PartialEq)]
pub struct Transition {
    /// The `end_version` of the Transition before.
    pub start_version: StateVersion,
    /// Where the client is afterwards.
    pub end_version: StateVersion,
    /// What changed, ascending by query, each query at most once.
    pub modifications: Vec<StateModification>,
    /// How far the client's clock is ahead, if it told the time.
    pub client_clock_skew_ms: Option<i64>,
    /// The server's clock in nanoseconds since the Unix epoch, as the message is handed over.
    pub server_ts_ns: u64,
}

/// What a Transition says of one query.
#[derive(Clone, Debug, PartialEq)]
pub enum StateModification {
    /// `QueryUpdated` or `QueryFailed`, as the result's outcome is.
    Answered {
        /// The query.
        query: QueryId,
        /// Its new result, shared with all who watch the same.
        result: Arc<QueryResult>,
    },
    /// `QueryRemoved`: acknowledges a `Remove`.
    Removed {
        /// The query.
        query: QueryId,
    },
}

/// What one evaluation of a query gave.
#[derive(Clone, Debug, PartialEq)]
pub struct QueryResult {
    /// The value, or why there is none.
    pub outcome: Result<Json, Failure>,
    /// What the function logged.
    pub log_lines: LogLines,
    /// Where the page that was read ends; given back at the next evaluation. `None` if nothing was paginated.
    pub journal: Option<Arc<str>>,
    /// Of the outcome (without the request id in a failure's text) and the log lines. Equal to that of the
    /// result a client holds: not sent again.
    pub hash: u64,
}

/// Why a function gave no value.
#[derive(Clone, Debug, PartialEq)]
pub struct Failure {
    /// The complete text as the client shall read it, redacted if it must be.
    pub message: Arc<str>,
    /// What the application attached. `Some("null")` is not `None`: clients raise another class of error.
    pub data: Option<Json>,
}

/// What a function logged, kept as the JSON array that clients are sent.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LogLines(Option<Json>);

/// How important a line of a function's log is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogLevel {
    /// `DEBUG`
    Debug,
    /// `INFO`
    Info,
    /// `LOG`
    Log,
    /// `WARN`
    Warn,
    /// `ERROR`
    Error,
}

impl LogLevel {
    /// The word that clients look for between brackets at the start of a line.
    pub fn name(self) -> &'static str {
        match self {
            LogLevel::Debug => "DEBUG",
            LogLevel::Info => "INFO",
            LogLevel::Log => "LOG",
            LogLevel::Warn => "WARN",
            LogLevel::Error => "ERROR",
        }
    }
}

impl LogLines {
    /// Encodes lines; JavaScript clients print an error for a line that does not begin with its level in brackets.
    pub fn new<'a>(lines: impl IntoIterator<Item = (LogLevel, &'a str)>) -> LogLines {
        let mut json = String::from("[");
        for (level, text) in lines {
            if json.len() > 1 {
                json.push(',');
            }
            crate::wire::write_string(&mut json, &format!("[{}] {text}", level.name()));
        }
        json.push(']');
        if json == "[]" { LogLines::default() } else { LogLines(Some(json.into())) }
    }

    /// Takes lines encoded before, as [`as_json`](LogLines::as_json) gave them.
    pub fn from_json(json: Json) -> LogLines {
        LogLines(Some(json))
    }

    /// The JSON array of lines.
    pub fn as_json(&self) -> &str {
        self.0.as_deref().unwrap_or("[]")
    }
}

/// A part of the JSON text of a large [`Transition`]; only for clients that can put it together.
#[derive(Clone, Debug, PartialEq)]
pub struct TransitionChunk {
    /// The whole text. Its length names the Transition.
    pub(crate) whole: Arc<str>,
    /// This part of it, cut between scalars.
    pub(crate) part: Range<usize>,
    /// From 0, without gaps.
    pub part_number: u32,
    /// How many parts there are.
    pub total_parts: u32,
}

impl TransitionChunk {
    /// The part itself.
    pub fn text(&self) -> &str {
        &self.whole[self.part.clone()]
    }
}

/// The outcome of a mutation.
#[derive(Clone, Debug, PartialEq)]
pub struct MutationResponse {
    /// Which mutation.
    pub request: RequestId,
    /// The value and when it took effect, or why it had none.
    pub outcome: Result<MutationSuccess, Failure>,
    /// What the function logged.
    pub log_lines: LogLines,
}

/// A mutation that took effect.
#[derive(Clone, Debug, PartialEq)]
pub struct MutationSuccess {
    /// The commit; for a mutation that wrote nothing, the moment it is serialised at.
    pub ts: Timestamp,
    /// What the function returned.
    pub value: Json,
}

/// The outcome of an action.
#[derive(Clone, Debug, PartialEq)]
pub struct ActionResponse {
    /// Which action.
    pub request: RequestId,
    /// The value, or why there is none.
    pub outcome: Result<Json, Failure>,
    /// What the function logged.
    pub log_lines: LogLines,
}

/// The client is not, or no longer, who it says.
#[derive(Clone, Debug, PartialEq)]
pub struct AuthError {
    /// The code, a colon, and what is wrong.
    pub error: String,
    /// The identity version of the last Transition sent.
    pub base_version: IdentityVersion,
    /// What went wrong: clients decide by this whether to fetch a new token.
    pub failed: FailedIdentity,
}

/// Whose fault an [`AuthError`] is; `authUpdateAttempted` on the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FailedIdentity {
    /// An `Authenticate` was refused.
    Offered,
    /// The identity already in use ran out.
    InUse,
}

/// A fault that no retry can mend.
#[derive(Clone, Debug, PartialEq)]
pub struct FatalError {
    /// The code, a colon, and what is wrong.
    pub error: String,
}
