//! Everything a session wants done.

use std::sync::Arc;

use crate::error::ProtocolError;
use crate::message::{AuthToken, FunctionCall, QueryId, RequestId, ServerMessage, SessionId, Timestamp};

/// Numbers the tokens presented on one socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AuthAttempt(pub u32);

/// Numbers the runs of queries on one socket, so that the answer to a run given up is not taken for another's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RunId(pub u64);

/// The runtime's name for an identity on one socket: equal keys for identities that are equal in all attributes,
/// whenever they run out, and different keys for different ones.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct IdentityKey(pub u64);

impl IdentityKey {
    /// Nobody: every socket at first, and again after `Authenticate` with `None`. Never in a verdict.
    pub const ANONYMOUS: IdentityKey = IdentityKey(0);
}

/// Everything a session wants done, in this order.
#[derive(Clone, Debug)]
pub enum Output {
    /// Find out what a token is worth; answered by `TokenVerified`. One at a time.
    VerifyToken {
        /// To be handed back.
        attempt: AuthAttempt,
        /// Never `AuthToken::None`, which needs no verification.
        token: AuthToken,
    },
    /// A Transition is due: to which moment? Answered by `TargetChosen` or `TargetUnreachable`. One at a time.
    ChooseTarget {
        /// Not before this: what the client has seen and what it has been answered.
        at_least: Timestamp,
    },
    /// Evaluate a query at a timestamp and watch what it read; answered by `QueryDone` or `QueryRetry`.
    /// Takes the place of the query's earlier run, if there was one.
    RunQuery {
        /// Which.
        query: QueryId,
        /// To be handed back.
        run: RunId,
        /// The target chosen.
        ts: Timestamp,
        /// What to run.
        call: FunctionCall,
        /// What the client was last sent for it.
        journal: Option<Arc<str>>,
        /// As whom.
        identity: IdentityKey,
    },
    /// Stop watching what a query read: it was removed, or the identity has changed.
    DropQuery {
        /// Which.
        query: QueryId,
    },
    /// Run a mutation, when those asked for before it have committed or failed; answered by `MutationCommitted` if it
    /// commits, then by `MutationFinished`. Those that have not begun when the session ends must not begin any more: its
    /// client sends them again, elsewhere.
    RunMutation {
        /// To be handed back.
        request: RequestId,
        /// What to run.
        call: FunctionCall,
        /// As whom: in force when the message arrived.
        identity: IdentityKey,
        /// With `request`, what makes it take effect once; `None` if the client did not connect properly.
        session: Option<SessionId>,
    },
    /// Run an action; answered by `ActionFinished`.
    RunAction {
        /// To be handed back.
        request: RequestId,
        /// What to run.
        call: FunctionCall,
        /// As whom: in force when the message arrived.
        identity: IdentityKey,
        /// Of the client, for its request id.
        session: Option<SessionId>,
    },
    /// Write a message to the client, in this order.
    Send(ServerMessage),
    /// Write a Close frame and nothing after it. The last output.
    Close(Close),
}

/// How a socket ends.
#[derive(Clone, Debug, PartialEq)]
pub struct Close {
    /// The status; `None` for a Close frame without one, which clients take as 1005.
    pub code: Option<u16>,
    /// A fixed word, or nothing; at most 123 bytes. JavaScript clients choose their back-off by it.
    pub reason: &'static str,
    /// What went wrong, for the log.
    pub cause: ProtocolError,
}
