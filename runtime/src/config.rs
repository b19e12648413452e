//! Every limit of the server, with its unit, its default and where the number comes from.
//!
//! The specification meant by "spec" is the project's own copy in `tests/spec`.

use std::time::Duration;

use syncline_engine::EngineConfig;

/// Whether clients may read the texts of errors and the lines of logs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Everything is shown: for the people who write the application.
    Development,
    /// Errors are redacted for clients (data of the application's own errors is not); the development issuer is off.
    Production,
}

/// All limits and switches of a server. `Config::default()` is development on loopback.
#[derive(Clone, Debug)]
pub struct Config {
    /// What clients may read of errors and logs. Default: development. Source: sync-protocol 8.1, S112.
    pub mode: Mode,
    /// Sockets at once, a number; one more is closed at once, and its client tries again. Default 100,000: about 2 GB at 16 KB each. Source: ours.
    pub connections_max: usize,
    /// One frame from a client, bytes. Default 16 MiB. Source: sync-protocol 1.4.
    pub frame_bytes_max: usize,
    /// One message from a client, bytes, all its frames together. Default 64 MiB. Source: sync-protocol 1.4.
    pub message_bytes_max: usize,
    /// One frame to a client, bytes; longer messages are sent in several. Default 8 MiB, under the 16 MiB
    /// that the Rust and Python clients accept. Source: sync-protocol 1.4, S13.
    pub sent_frame_bytes_max: usize,
    /// Read buffer of a socket, bytes. Default 4 KiB. Source: DESIGN 9; the library's 128 KiB cost 137 KB a connection.
    pub socket_read_buffer_bytes: usize,
    /// Frames taken from one socket before its answers are written, a number. Default 256. Source: ours; more
    /// delays the first answer, fewer cost a system call each.
    pub frames_per_turn_max: usize,
    /// Between two WebSocket pings. Default 15 s. Source: sync-protocol S8, 25 s at most; each wakes an idle socket.
    pub websocket_ping_every: Duration,
    /// How long the writing of a socket may stand still before it is dropped. Default 120 s. Source: sync-protocol
    /// 1.5, as long as silence is forgiven; longer than the 60 s of S67.
    pub socket_write_stall_max: Duration,
    /// Bytes of answers that wait for one slow reader before its socket is dropped. Default 64 MiB. Source: P7.
    pub socket_backlog_bytes_max: usize,
    /// Queries one client may watch, a number. Default 10,000. Source: ours (the overload test).
    pub queries_per_client_max: usize,
    /// Queries of one client that are evaluated at once, a number; its others wait, and other clients do not wait for
    /// them. Default 64. Source: ours; enough to keep all threads busy, far fewer than run at once.
    pub evaluations_per_client_max: usize,
    /// Body of an HTTP call, bytes. Default 2^24 + 2000. Source: data-and-functions 1.7.
    pub body_bytes_max: usize,
    /// Threads that run functions, a number; network and commits never use them. Default: one less than cores, which
    /// leaves those a core; at least one. Source: DESIGN 8, and measured: with two on two cores a transfer costs a
    /// fifth more, for memory that goes back and forth between the cores.
    pub function_threads: usize,
    /// Threads beside them, a number, for as long as functions that do not yield keep all. Default 64. Source: ours; with
    /// more functions than these that keep a thread, others wait.
    pub function_threads_spare: usize,
    /// Functions that run at once, a number; more wait. Default 1024. Source: ours.
    pub functions_at_once_max: usize,
    /// Own time of one query or mutation. Default 1 s. Source: data-and-functions 4.5.
    pub function_own_time_max: Duration,
    /// A query or mutation from start to end, waiting for the database included. Default 15 s.
    /// Source: data-and-functions 4.5, time in database calls.
    pub function_wall_time_max: Duration,
    /// An action from start to end. Default 30 min. Source: data-and-functions 4.5.
    pub action_wall_time_max: Duration,
    /// How often a mutation runs before it gets the committer's turn, a number. Default 16: a run costs microseconds,
    /// a turn keeps everybody else from committing. Source: ours, DESIGN P5 (data-and-functions 6.3 has five).
    pub mutation_attempts_max: u32,
    /// Results that nobody watches but that stay valid in memory, a number. Default 4096. Source: ours.
    pub idle_results_max: usize,
    /// For how long a result that read the time serves new watchers. Default 17 s. Source: data-and-functions 6.5, D92.
    pub timed_result_age_max: Duration,
    /// How long a stop waits for running calls and unsent answers. Default 10 s. Source: ours.
    pub drain_time_max: Duration,
    /// The store's own limits.
    pub engine: EngineConfig,
}

impl Default for Config {
    fn default() -> Self {
        let cores = std::thread::available_parallelism().map_or(2, std::num::NonZero::get);
        Config {
            mode: Mode::Development,
            connections_max: 100_000,
            frame_bytes_max: 16 << 20,
            message_bytes_max: 64 << 20,
            sent_frame_bytes_max: 8 << 20,
            socket_read_buffer_bytes: 4 << 10,
            frames_per_turn_max: 256,
            websocket_ping_every: Duration::from_secs(15),
            socket_write_stall_max: Duration::from_secs(120),
            socket_backlog_bytes_max: 64 << 20,
            queries_per_client_max: 10_000,
            evaluations_per_client_max: 64,
            body_bytes_max: (1 << 24) + 2000,
            function_threads: cores.saturating_sub(1).max(1),
            function_threads_spare: 64,
            functions_at_once_max: 1024,
            function_own_time_max: Duration::from_secs(1),
            function_wall_time_max: Duration::from_secs(15),
            action_wall_time_max: Duration::from_secs(30 * 60),
            mutation_attempts_max: 16,
            idle_results_max: 4096,
            timed_result_age_max: Duration::from_secs(17),
            drain_time_max: Duration::from_secs(10),
            engine: EngineConfig::default(),
        }
    }
}

/// Deadline for reading the head of an HTTP request. Source: ours; a slow loris holds a connection this long.
pub(crate) const REQUEST_HEAD_MAX: Duration = Duration::from_secs(30);

/// Arguments or result of a function, bytes. Source: data-and-functions 1.7.
pub(crate) const FUNCTION_VALUE_BYTES_MAX: usize = 16 << 20;

/// Text of an error as a client reads it, bytes. Source: data-and-functions 1.7.
pub(crate) const ERROR_TEXT_BYTES_MAX: usize = 64 << 10;

/// How often the watchdog looks for functions that do not yield. Source: DESIGN 8, "one second of user code".
pub(crate) const WATCHDOG_EVERY: Duration = Duration::from_secs(1);

/// How often the admin key of a socket in use is checked again. Source: sync-protocol S96.
pub(crate) const ADMIN_KEY_CHECK_EVERY: Duration = Duration::from_secs(60);

/// Calls that the log of functions keeps, a number. Source: http-and-cli 7.1.
pub(crate) const LOGGED_COMPLETIONS_MAX: usize = 1000;

/// Memory of the log of functions, bytes; a single call may write 8 MB of lines. Source: ours.
pub(crate) const LOGGED_BYTES_MAX: usize = 16 << 20;

/// How long a request for function logs is held while nothing happens. Source: http-and-cli 7.1.
pub(crate) const LOG_POLL_MAX: Duration = Duration::from_secs(60);

/// How long a request for function logs gathers when calls come faster than anybody reads them. Source: ours; writing
/// entries for a follower must not take the calls' time.
pub(crate) const LOG_GATHER: Duration = Duration::from_millis(200);
