//! Everything that can happen to a session.

use std::sync::Arc;

use crate::message::{Failure, Json, LogLines, MutationSuccess, QueryId, QueryResult, RequestId, Timestamp};
use crate::output::{AuthAttempt, IdentityKey, RunId};

/// The time, read by the caller at each [`Session::handle`](crate::Session::handle).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Now {
    /// Milliseconds of a clock that never jumps, from any origin: timers.
    pub monotonic_ms: u64,
    /// Nanoseconds since the Unix epoch: expiry of tokens, `serverTs`, clock skew.
    pub wall_ns: u64,
}

/// Everything that can happen to a session: from the client, in answer to an [`Output`](crate::Output), or from
/// the server around it.
///
/// It has no `Debug`, because frames hold tokens.
#[derive(Clone)]
pub enum Input<'a> {
    /// The client sent a text message, not decoded.
    Frame(&'a str),
    /// The client sent a binary message, which none does.
    BinaryFrame,
    /// A frame or a message of the client over the size that is taken; nothing of it was kept, and nothing behind it
    /// can be read.
    MessageTooLarge,
    /// Any other sign of life of the client, such as a WebSocket Pong.
    Heard,
    /// The transport is gone or closing: nothing more can be told to the client.
    PeerClosed,
    /// The transport has written a Transition, all parts of it: one such input for each message for which
    /// [`completes_transition`](crate::ServerMessage::completes_transition) holds.
    TransitionWritten,
    /// The moment of [`Session::deadline`](crate::Session::deadline) has come. Harmless when early.
    Tick,

    /// Answers `VerifyToken`.
    TokenVerified {
        /// That of the output.
        attempt: AuthAttempt,
        /// What the token is worth.
        verdict: Verdict,
    },
    /// Answers `ChooseTarget`: the newest durable timestamp, at least the one asked for. The snapshot stays
    /// readable for the `RunQuery`s that follow, and every `QueryInvalidated` for a commit up to it has been
    /// handed over before.
    TargetChosen {
        /// The moment to which the client is moved next.
        ts: Timestamp,
    },
    /// Answers `ChooseTarget`: what the client has seen does not exist here, not even after a short wait.
    TargetUnreachable {
        /// The newest durable timestamp.
        newest: Timestamp,
    },
    /// Answers `RunQuery`. Evaluated at its `ts`; from now on, changes of what it read are told by
    /// `QueryInvalidated`, those since its `ts` included.
    QueryDone {
        /// That of the output.
        query: QueryId,
        /// That of the output.
        run: RunId,
        /// What came out, shared.
        result: Arc<QueryResult>,
    },
    /// Answers `RunQuery`: its `ts` can no longer be read; the session chooses a new target.
    QueryRetry {
        /// That of the output.
        query: QueryId,
        /// That of the output.
        run: RunId,
    },
    /// A commit has changed what the last run of a query read. Harmless when late or repeated.
    QueryInvalidated {
        /// That of the run.
        query: QueryId,
    },
    /// A mutation has its timestamp: the next may start. Comes before any `TargetChosen` that covers it.
    MutationCommitted {
        /// That of `RunMutation`.
        request: RequestId,
        /// Its commit.
        ts: Timestamp,
    },
    /// Answers `RunMutation`, after `MutationCommitted` if it committed.
    MutationFinished {
        /// That of the output.
        request: RequestId,
        /// What came out.
        outcome: Result<MutationSuccess, Failure>,
        /// What the function logged.
        log_lines: LogLines,
        /// The answer may leave once the store is durable up to here: the commit, or what a failure has read.
        durable_at: Timestamp,
    },
    /// Answers `RunAction`. What it was computed from is durable.
    ActionFinished {
        /// That of the output.
        request: RequestId,
        /// What came out.
        outcome: Result<Json, Failure>,
        /// What the function logged.
        log_lines: LogLines,
    },
    /// The store is durable up to this timestamp. Has to be told only as far as
    /// [`Session::awaits_durable`](crate::Session::awaits_durable) asks; more is harmless.
    Durable {
        /// The newest durable commit.
        ts: Timestamp,
    },
    /// The admin key in force is no key of this deployment any more.
    /// Harmless when nobody here is an admin.
    AdminKeyRevoked {
        /// What is wrong, as the client may read it. The code is put in front.
        error: String,
    },
    /// The server wants the socket to end.
    SystemFailure(SystemFailure),
}

/// What a token is worth.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It names somebody.
    Accepted {
        /// Names that identity. If it is the key already in force, subscriptions are kept and nothing runs again.
        identity: IdentityKey,
        /// When it runs out, in nanoseconds since the Unix epoch; `None` for never.
        expires_at_ns: Option<u64>,
    },
    /// It is not valid here, and the client shall fetch another.
    Rejected {
        /// The code, a colon, and what is wrong, as the client may read it.
        error: String,
    },
    /// Whether it is valid cannot be found out now: no `AuthError`, so that the client tries again with the same token.
    Unavailable {
        /// A fixed word for the Close frame, such as `AuthProviderDiscoveryFailed`.
        reason: &'static str,
        /// Whose fault it is.
        fault: VerifierFault,
    },
    /// It is not an admin key of this deployment.
    BadAdminKey {
        /// What is wrong, as the client may read it. The code is put in front.
        error: String,
    },
}

/// Why a token could not be verified.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum VerifierFault {
    /// The issuer cannot be reached or is overloaded: close 1013 with the reason given.
    Issuer,
    /// The issuer answers that there is nothing where its keys should be: close 1000 with the reason given.
    IssuerNotFound,
    /// The verifier itself broke: close 1011 `InternalServerError`.
    Internal,
}

/// Why the server wants a socket to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SystemFailure {
    /// Something broke: close 1011 `InternalServerError`.
    Internal,
    /// There is too much to do: close 1013 with a fixed word.
    Overloaded {
        /// Such as `TooManyConcurrentRequests`; some words make clients wait longer
        /// (`tests/spec/sync-protocol.md` 1.8).
        reason: &'static str,
    },
    /// The server stops: nothing new is begun, what runs is answered, then close 1011. Whoever cannot wait for
    /// that sends `Internal` later.
    Shutdown,
}
