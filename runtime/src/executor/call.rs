//! A call and what comes of it.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

use syncline_client_protocol::{Failure, LogLines, QueryResult, SystemFailure};
use syncline_engine::{Durability, Engine, ReadSet, RequestKey};
use syncline_functions::registry::{FunctionError, FunctionKind};
use syncline_functions::run::RunReport;
use syncline_schema::Timestamp;

use super::errors::client_text;
use crate::config::Mode;
use crate::function_log::{Called, ExecutionId, Origin};
use crate::identity::Identity;
use crate::request::RequestToken;

/// A call as it arrived.
#[derive(Clone, Debug)]
pub struct Call {
    /// The function, as the caller spelled it.
    pub path: Arc<str>,
    /// Wire JSON: an object, or an array of one object.
    pub args: Arc<str>,
    /// Who calls; captured when the call arrived.
    pub identity: Identity,
    /// Ties the call to the log.
    pub request: RequestToken,
    /// The session's key of a mutation: it takes effect once, however often it is sent.
    pub once: Option<RequestKey>,
    /// From where it came.
    pub origin: Origin,
}

impl Call {
    /// A query's evaluation for those who watch it.
    pub fn query(path: Arc<str>, args: Arc<str>, identity: Identity, request: RequestToken) -> Self {
        Call { path, args, identity, request, once: None, origin: Origin::Socket }
    }

    pub(super) fn may_call_internal(&self) -> bool {
        matches!(self.origin, Origin::Action(_)) || self.identity.is_admin()
    }

    /// What the log tells of the call itself. `path` is the function's own, where there is one: a call's goes with it.
    pub(super) fn called(&self, path: &Arc<str>, kind: FunctionKind, execution: ExecutionId) -> Called {
        Called {
            path: path.clone(),
            kind,
            request: Some(self.request),
            execution,
            origin: self.origin,
            caller: (&self.identity).into(),
        }
    }

    pub(super) fn print_log_lines(&self, lines: &[String]) {
        for line in lines {
            tracing::info!(target: "syncline::function", path = &*self.path, request = %self.request, "{line}");
        }
    }
}

/// Why a call could not be done; no fault of its own.
#[derive(Clone, Debug)]
pub enum SystemError {
    /// Its snapshot is not kept any more: again, at a newer timestamp.
    OutOfRetention,
    /// The storage failed.
    Storage(Arc<str>),
    /// The storage takes no commits at the moment, and this one was not made: later.
    Halted(Arc<str>),
    /// Its commit, or one it had read, was undone because it could not be made durable: again.
    Undone,
    /// There is too much to do: later.
    Overloaded,
}

impl SystemError {
    /// As a session is told it.
    pub fn to_failure(&self) -> SystemFailure {
        match self {
            SystemError::OutOfRetention | SystemError::Storage(_) | SystemError::Halted(_) | SystemError::Undone => {
                SystemFailure::Internal
            }
            SystemError::Overloaded => SystemFailure::Overloaded { reason: "CommitterFullError" },
        }
    }
}

/// A query that ran.
pub struct QueryRun {
    /// Its result as wire JSON, or why there is none.
    pub value: Result<Arc<str>, FunctionError>,
    /// Lines as clients read them.
    pub log_lines: Vec<String>,
    /// Where its page ended.
    pub journal: Option<Arc<str>>,
    /// Whether it looked at the identity.
    pub observed_identity: bool,
    /// Whether it looked at the time.
    pub observed_time: bool,
    /// What it read.
    pub reads: ReadSet,
    request: RequestToken,
}

impl QueryRun {
    pub(super) fn new(call: &Call, value: Result<String, FunctionError>, report: RunReport, reads: ReadSet) -> Self {
        QueryRun {
            value: value.map(Into::into),
            log_lines: report.log_lines,
            journal: report.journal.map(Into::into),
            observed_identity: report.observed_identity,
            observed_time: report.observed_time,
            reads,
            request: call.request,
        }
    }

    /// A query that was not run at all. Whether an administrator asks decides what is visible, so it is never shared.
    pub(super) fn refused(call: &Call, error: FunctionError) -> Self {
        let report = RunReport { observed_identity: true, ..RunReport::default() };
        QueryRun::new(call, Err(error), report, ReadSet::default())
    }

    /// The result as clients are sent it.
    pub fn to_result(&self, mode: Mode) -> QueryResult {
        let mut hasher = DefaultHasher::new();
        match &self.value {
            Ok(value) => value.hash(&mut hasher),
            Err(error) => (&error.message, &error.data).hash(&mut hasher),
        }
        let log_lines = shown(mode, &self.log_lines);
        log_lines.hash(&mut hasher);
        QueryResult {
            outcome: self.value.clone().map_err(|error| failure(mode, &self.request, &error)),
            log_lines: encoded(&log_lines),
            journal: self.journal.clone(),
            hash: hasher.finish(),
        }
    }
}

/// The log lines that a client may read.
pub fn shown(mode: Mode, lines: &[String]) -> Vec<String> {
    match mode {
        Mode::Development => lines.to_vec(),
        Mode::Production => Vec::new(),
    }
}

/// Lines as the wire has them.
pub fn encoded(lines: &[String]) -> LogLines {
    if lines.is_empty() {
        return LogLines::default();
    }
    LogLines::from_json(serde_json::to_string(lines).expect("strings are JSON").into())
}

/// A failure as clients are sent it.
pub fn failure(mode: Mode, request: &RequestToken, error: &FunctionError) -> Failure {
    Failure { message: client_text(mode, request, error).into(), data: error.data.as_deref().map(Into::into) }
}

/// A mutation that ran, or was found to have run before.
pub struct MutationRun {
    /// Its result and its timestamp, or why there is none.
    pub outcome: Result<(Arc<str>, Timestamp), FunctionError>,
    /// Lines as clients read them.
    pub log_lines: Vec<String>,
    /// The answer may leave once this timestamp is durable.
    pub durable_at: Timestamp,
    /// The generation of commits it was made in: when that ends before `durable_at`, there is no answer.
    pub generation: u64,
}

impl MutationRun {
    /// What it is true of.
    pub fn stands_on(&self) -> StandsOn {
        StandsOn { ts: self.durable_at, generation: self.generation }
    }
}

/// A commit, durable or not: all that came of it is gone when it is undone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StandsOn {
    ts: Timestamp,
    generation: u64,
}

impl StandsOn {
    /// Whether what is published of the store will have to change before it is known to stand or to be undone.
    pub(crate) fn waits_for(self, published: Timestamp, generation: u64) -> bool {
        self.ts > published && self.generation >= generation
    }

    pub(super) fn is_undone(self, engine: &Engine) -> bool {
        engine.durability(self.ts, self.generation) == Durability::Undone
    }
}

/// An action that ran.
pub struct ActionRun {
    /// Its result as wire JSON, or why there is none.
    pub outcome: Result<Arc<str>, FunctionError>,
    /// Lines as clients read them.
    pub log_lines: Vec<String>,
}
