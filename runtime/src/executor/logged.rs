//! What the executor tells the log of functions.

use std::sync::Arc;

use syncline_engine::{Conflict, Transaction};
use syncline_functions::registry::{FunctionError, FunctionKind};
use syncline_functions::tx::{Tx, Usage};

use super::guard::Ended;
use super::{Call, Executor, Found, Owner, Ran};
use crate::function_log::{Called, Completion, ExecutionId, Lost, Origin};
use crate::identity::Identity;
use crate::system;

impl Executor {
    /// A query or a mutation has ended.
    pub(super) fn log_ran(&self, call: &Call, found: &Found, ran: &Ran, tx: &Transaction) {
        if found.owner == Owner::Application {
            self.inner.log.completed(completion(call, found.function.kind, ran, tx));
        }
    }

    /// A mutation has lost a conflict and runs again.
    pub(super) fn log_lost(
        &self,
        call: &Call,
        found: &Found,
        ran: &Ran,
        tx: &Transaction,
        conflict: &Conflict,
        attempt: u32,
    ) {
        if found.owner == Owner::Server {
            return;
        }
        let lost = Lost {
            table: conflict.table.clone(),
            document: conflict.document.map(|id| id.to_string().into()),
            attempt,
        };
        let ended = completion(call, FunctionKind::Mutation, ran, tx);
        self.inner.log.completed(Completion { lost: Some(lost), ..ended });
    }

    /// A call was not run at all.
    pub(super) fn log_refused(&self, call: &Call, kind: FunctionKind, error: &FunctionError) {
        if call.path.starts_with(system::PREFIX) {
            return;
        }
        let log = &self.inner.log;
        log.completed(Completion {
            called: call.called(kind, log.begin()),
            started_ns: self.inner.ports.clock.wall_ns(),
            lines: Vec::new(),
            own: None,
            error: Some(text_of(error)),
            usage: Usage::default(),
            return_bytes: None,
            cached: false,
            lost: None,
        });
    }

    /// A query was answered with a result that was known already, or that somebody else waits for.
    pub(crate) fn log_shared(&self, path: &Arc<str>, identity: &Identity) {
        if path.starts_with(system::PREFIX) {
            return;
        }
        let log = &self.inner.log;
        log.completed(Completion {
            called: Called {
                path: path.clone(),
                kind: FunctionKind::Query,
                request: None,
                execution: log.begin(),
                origin: Origin::Socket,
                caller: identity.into(),
            },
            started_ns: self.inner.ports.clock.wall_ns(),
            lines: Vec::new(),
            own: None,
            error: None,
            usage: Usage::default(),
            return_bytes: None,
            cached: true,
            lost: None,
        });
    }

    /// An action has ended; its lines are in the log already.
    pub(super) fn log_action(
        &self,
        call: &Call,
        execution: ExecutionId,
        started_ns: u64,
        Ended { value, own }: &Ended,
    ) {
        self.inner.log.completed(Completion {
            called: call.called(FunctionKind::Action, execution),
            started_ns,
            lines: Vec::new(),
            own: Some(*own),
            error: value.as_ref().err().map(text_of),
            usage: Usage::default(),
            return_bytes: value.as_ref().ok().map(String::len),
            cached: false,
            lost: None,
        });
    }
}

fn completion(call: &Call, kind: FunctionKind, ran: &Ran, tx: &Transaction) -> Completion {
    Completion {
        called: call.called(kind, ran.execution),
        started_ns: ran.started_ns,
        lines: ran.report.log_lines.clone(),
        own: Some(ran.own),
        error: ran.value.as_ref().err().map(text_of),
        usage: tx.usage(),
        return_bytes: ran.value.as_ref().ok().map(String::len),
        cached: false,
        lost: None,
    }
}

/// The log is for administrators: nothing is redacted.
fn text_of(error: &FunctionError) -> Box<str> {
    error.message.trim_end().into()
}
