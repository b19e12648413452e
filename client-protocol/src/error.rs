//! What ends a session, and how: the final message and the close of each fault.
//!
//! `Display` is for the server's log. What the client reads is decided in [`ProtocolError::ending`], and only there.

use std::fmt;

use crate::message::{
    AuthError, FailedIdentity, FatalError, IdentityVersion, QueryId, QuerySetVersion, RequestId, ServerMessage,
    Timestamp,
};
use crate::wire::{WireError, floor_char_boundary};

/// The longest reason of a Close frame, in bytes. Source: RFC 6455 5.5, less the two bytes of the code.
pub const CLOSE_REASON_BYTES_MAX: usize = 123;

/// The reason of every fault that clients mend by reconnecting; they wait a second for this word.
const INTERNAL: &str = "InternalServerError";

/// What ended a session.
#[derive(Clone, Debug, PartialEq)]
pub enum ProtocolError {
    /// A message that is none.
    Malformed(WireError),
    /// A `ModifyQuerySet` that starts from another version than the last one reached.
    BaseVersionMismatch {
        /// The last one reached.
        current: QuerySetVersion,
        /// The one it starts from.
        found: QuerySetVersion,
    },
    /// A `ModifyQuerySet` that does not reach a later version.
    VersionNotRising {
        /// The one it starts from.
        base: QuerySetVersion,
        /// The one it is to reach.
        new: QuerySetVersion,
    },
    /// An `Add` of a query that is there already.
    DuplicateQuery(QueryId),
    /// A `Remove` of a query that is not there.
    UnknownQuery(QueryId),
    /// A `Mutation` or `Action` under the number of one that has no answer yet: their answers could not be told apart.
    DuplicateRequest(RequestId),
    /// An `Authenticate` with a valid token that starts from another version than the last one accepted.
    IdentityVersionMismatch {
        /// The last one accepted.
        current: IdentityVersion,
        /// The one it starts from.
        found: IdentityVersion,
    },
    /// A binary message.
    BinaryFrame,
    /// A message over the size that is taken.
    MessageTooLarge,
    /// A function of a component, asked for by someone who is not an admin.
    ComponentWithoutAdmin(String),
    /// The client has seen what does not exist here.
    ObservedAhead {
        /// What it must not be served from before.
        at_least: Timestamp,
        /// The newest there is.
        newest: Timestamp,
    },
    /// Over a limit of [`SessionLimits`](crate::SessionLimits).
    TooMany {
        /// The word in the Close frame.
        reason: &'static str,
        /// The limit.
        max: usize,
    },
    /// A token that was refused.
    TokenRejected {
        /// The code, a colon, and what is wrong.
        error: String,
    },
    /// The identity in force has run out.
    TokenExpired {
        /// When, in nanoseconds since the Unix epoch.
        expires_at_ns: u64,
        /// The server's clock, in nanoseconds since the Unix epoch.
        now_ns: u64,
    },
    /// A key that is not an admin's. Not an `AuthError`: after one the official tool comes back as nobody and hangs.
    BadAdminKey {
        /// What is wrong.
        error: String,
    },
    /// A token could not be verified because its issuer could not be asked.
    IssuerUnavailable {
        /// The word in the Close frame.
        reason: &'static str,
    },
    /// A token could not be verified because its issuer has no keys where they should be.
    IssuerNotFound {
        /// The word in the Close frame.
        reason: &'static str,
    },
    /// No frame for too long.
    ClientSilent {
        /// For how long.
        silent_ms: u64,
    },
    /// The server has too much to do.
    Overloaded {
        /// The word in the Close frame.
        reason: &'static str,
    },
    /// Something broke in the server.
    Internal,
    /// The server stops.
    Shutdown,
    /// The runtime gave an answer that was not asked for: a bug of ours.
    Unasked(&'static str),
}

/// How a fault is told to the client.
pub(crate) struct Ending {
    pub(crate) last_words: Option<ServerMessage>,
    pub(crate) code: Option<u16>,
    pub(crate) reason: &'static str,
}

impl Ending {
    fn close(code: u16, reason: &'static str) -> Ending {
        Ending { last_words: None, code: Some(code), reason: within_close_frame(reason) }
    }

    /// For a fault in the client's program; a Close frame without code follows.
    fn fatal(error: String) -> Ending {
        Ending { last_words: Some(ServerMessage::FatalError(FatalError { error })), code: None, reason: "" }
    }

    /// For an identity; a Close frame without code follows.
    fn auth(error: String, base_version: IdentityVersion, failed: FailedIdentity) -> Ending {
        let error = AuthError { error, base_version, failed };
        Ending { last_words: Some(ServerMessage::AuthError(error)), code: None, reason: "" }
    }
}

impl ProtocolError {
    /// How this fault is told (`tests/spec/sync-protocol.md` 1.6, 2.8). `FatalError` stops JavaScript clients for good,
    /// so it is only for what a retry cannot mend; after 1011 and 1013 all clients come back and begin anew.
    pub(crate) fn ending(&self, sent_identity: IdentityVersion) -> Ending {
        match self {
            ProtocolError::Malformed(error) => Ending::fatal(format!("WSMessageInvalidJson: {error}")),
            ProtocolError::BaseVersionMismatch { .. } => Ending::fatal(format!("BaseVersionMismatch: {self}")),
            ProtocolError::BadAdminKey { error } => Ending::fatal(format!("BadAdminKey: {error}")),
            ProtocolError::TokenRejected { error } => {
                Ending::auth(error.clone(), sent_identity, FailedIdentity::Offered)
            }
            ProtocolError::TokenExpired { .. } => {
                Ending::auth(format!("TokenExpired: {self}"), sent_identity, FailedIdentity::InUse)
            }
            ProtocolError::VersionNotRising { .. }
            | ProtocolError::DuplicateQuery(_)
            | ProtocolError::UnknownQuery(_)
            | ProtocolError::DuplicateRequest(_)
            | ProtocolError::IdentityVersionMismatch { .. }
            | ProtocolError::BinaryFrame
            | ProtocolError::ComponentWithoutAdmin(_)
            | ProtocolError::ObservedAhead { .. }
            | ProtocolError::Internal
            | ProtocolError::Shutdown
            | ProtocolError::Unasked(_) => Ending::close(1011, INTERNAL),
            ProtocolError::TooMany { reason, .. }
            | ProtocolError::IssuerUnavailable { reason }
            | ProtocolError::Overloaded { reason } => Ending::close(1013, reason),
            ProtocolError::IssuerNotFound { reason } => Ending::close(1000, reason),
            // Named, because the client sends it again: whoever wrote it finds the word in the client's log.
            ProtocolError::MessageTooLarge => Ending::close(1011, "MessageTooLarge"),
            ProtocolError::ClientSilent { .. } => Ending::close(1000, "ClientDisconnected"),
        }
    }
}

/// The longest beginning of a reason that fits into a Close frame.
fn within_close_frame(reason: &'static str) -> &'static str {
    &reason[..floor_char_boundary(reason, CLOSE_REASON_BYTES_MAX)]
}

impl fmt::Display for ProtocolError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ProtocolError::Malformed(error) => write!(f, "malformed message: {error}"),
            ProtocolError::BaseVersionMismatch { current, found } => {
                write!(f, "the query set is at version {}, the message starts from {}; reconnect", current.0, found.0)
            }
            ProtocolError::VersionNotRising { base, new } => {
                write!(f, "a ModifyQuerySet from version {} to {} does not lead forward", base.0, new.0)
            }
            ProtocolError::DuplicateQuery(query) => write!(f, "query {} was added while it was there", query.0),
            ProtocolError::UnknownQuery(query) => write!(f, "query {} was removed while it was not there", query.0),
            ProtocolError::DuplicateRequest(request) => {
                write!(f, "request {} was sent again before its answer", request.0)
            }
            ProtocolError::IdentityVersionMismatch { current, found } => {
                write!(f, "the identity is at version {}, the Authenticate starts from {}", current.0, found.0)
            }
            ProtocolError::BinaryFrame => f.write_str("a binary message; all messages are text"),
            ProtocolError::MessageTooLarge => f.write_str("a message over the size that is taken; send less at once"),
            ProtocolError::ComponentWithoutAdmin(component) => {
                write!(f, "a function of component {component:?} was asked for without an admin key")
            }
            ProtocolError::ObservedAhead { at_least, newest } => {
                write!(f, "the client has seen timestamp {}, the newest here is {}", at_least.0, newest.0)
            }
            ProtocolError::TooMany { reason, max } => write!(f, "{reason}: the limit is {max}"),
            ProtocolError::TokenRejected { error } => write!(f, "token refused: {error}"),
            ProtocolError::TokenExpired { expires_at_ns, now_ns } => {
                let (exp, now) = (expires_at_ns / 1_000_000_000, now_ns / 1_000_000_000);
                let ago = now.saturating_sub(exp);
                write!(f, "the token ran out {ago} s ago (exp {exp}, the server's time is {now}); send a new one")
            }
            ProtocolError::BadAdminKey { error } => write!(f, "admin key refused: {error}"),
            ProtocolError::IssuerUnavailable { reason } | ProtocolError::IssuerNotFound { reason } => {
                write!(f, "token not verifiable now: {reason}")
            }
            ProtocolError::ClientSilent { silent_ms } => write!(f, "no frame from the client for {silent_ms} ms"),
            ProtocolError::Overloaded { reason } => write!(f, "overloaded: {reason}"),
            ProtocolError::Internal => f.write_str("internal error"),
            ProtocolError::Shutdown => f.write_str("the server stops"),
            ProtocolError::Unasked(what) => write!(f, "the runtime gave {what} without being asked"),
        }
    }
}

impl std::error::Error for ProtocolError {}

#[cfg(test)]
mod tests {
    use super::*;

    /// spec: S18
    #[test]
    fn a_long_reason_is_cut_between_characters() {
        let reason = Box::leak("ü".repeat(100).into_boxed_str());
        let ending = ProtocolError::Overloaded { reason }.ending(IdentityVersion(0));
        assert_eq!(ending.reason, "ü".repeat(61));
        assert!(ending.reason.len() <= CLOSE_REASON_BYTES_MAX);
    }
}
