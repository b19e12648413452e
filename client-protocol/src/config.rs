//! What a session is told when it begins: the client, and every limit with its unit, reason and source.

use crate::client_version::ClientVersion;

/// What a session is told when it begins.
#[derive(Clone, Debug, Default)]
pub struct SessionConfig {
    /// The client at the other end, as the upgrade request named it.
    pub client: ClientVersion,
    /// How much and how long.
    pub limits: SessionLimits,
}

/// How much one client may ask for, and how long each side may be silent.
#[derive(Clone, Debug)]
pub struct SessionLimits {
    /// Queries watched or waiting to be, per socket.
    ///
    /// Source: ours; the reference has no limit here. A page watches tens; ten thousand is a page gone wrong,
    /// and each costs the server a subscription. Over it: close 1013 `TooManyQueriesForSingleClient`.
    pub queries_max: usize,
    /// Mutations without an answer, per socket.
    ///
    /// Source: `tests/spec/sync-protocol.md` 1.4. Over it: close 1013 `TooManyConcurrentMutations`.
    pub mutations_max: usize,
    /// Mutations handed to the runtime that have neither committed nor failed, per socket.
    ///
    /// Source: ours. The runtime runs them one after another in any case; when it knows the next ones, none waits for a
    /// round trip. What has been handed over is still answered when the server stops.
    pub mutations_ahead_max: usize,
    /// Actions without an answer, per socket.
    ///
    /// Source: `tests/spec/sync-protocol.md` 1.4. Over it: close 1013 `TooManyInflightActionsForSingleClient`.
    pub actions_max: usize,
    /// Messages that wait behind an `Authenticate` under verification, per socket.
    ///
    /// Source: ours; a reconnecting client sends its query set and at most all its unanswered requests, so twice
    /// `mutations_max` and some. Over it: close 1013 `TooManyMessagesBehindAuthenticate`.
    pub waiting_messages_max: usize,
    /// Bytes of those messages.
    ///
    /// Source: ours; one frame of the largest size accepted (16 MiB, `tests/spec/sync-protocol.md` 1.4) and as much
    /// again. Whoever waits here has shown no valid token yet, so it is not more.
    pub waiting_bytes_max: usize,
    /// Milliseconds without an app message after which a `Ping` is sent.
    ///
    /// Source: `tests/spec/sync-protocol.md` 1.5; JavaScript clients reconnect after 30 s (old) or 60 s of silence.
    pub ping_after_ms: u64,
    /// Milliseconds without any frame from the client after which its socket is closed.
    ///
    /// Source: `tests/spec/sync-protocol.md` 1.5. Shorter cuts off sleeping laptops; longer holds their subscriptions.
    pub silence_ms_max: u64,
    /// Bytes of a Transition's JSON in one message, for clients that read `TransitionChunk`.
    ///
    /// Source: `tests/spec/sync-protocol.md` 1.9. Each part restarts the client's timer, which a large message would
    /// outlast.
    pub chunk_bytes_max: usize,
}

impl Default for SessionLimits {
    fn default() -> Self {
        SessionLimits {
            queries_max: 10_000,
            mutations_max: 1_000,
            mutations_ahead_max: 64,
            actions_max: 1_000,
            waiting_messages_max: 4_096,
            waiting_bytes_max: 32 << 20,
            ping_after_ms: 15_000,
            silence_ms_max: 120_000,
            chunk_bytes_max: 5_000_000,
        }
    }
}
