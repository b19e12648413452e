//! What the executor tells the log of functions.

use std::sync::Arc;

use syncline_engine::{Conflict, Transaction};
use syncline_functions::registry::{FunctionError, FunctionKind};
use syncline_functions::tx::{Tx, Usage};
use syncline_schema::Timestamp;

use super::guard::Ended;
use super::{Call, Executor, Found, Owner, Ran};
use crate::function_log::{Called, Completion, ExecutionId, Lost, Origin, Texts};
use crate::identity::Identity;
use crate::system;

impl Executor {
    /// A query or a mutation has ended; a commit that it made tells when.
    pub(super) fn log_ran(&self, call: &Call, found: &Found, ran: &Ran, tx: &Transaction, commit: Option<Timestamp>) {
        if found.owner == Owner::Application {
            let ended_ns = commit.map_or_else(|| self.inner.ports.clock.wall_ns(), |commit| commit.0);
            self.inner.log.completed(completion(call, found, ran, tx), ended_ns);
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
        let mut ended = completion(call, found, ran, tx);
        ended.texts = Texts { lost: Some(lost), ..Texts::of(&ran.report.log_lines, None) }.shared();
        self.inner.log.completed(ended, self.inner.ports.clock.wall_ns());
    }

    /// A call was not run at all.
    pub(super) fn log_refused(&self, call: &Call, kind: FunctionKind, error: &FunctionError) {
        if call.path.starts_with(system::PREFIX) {
            return;
        }
        let (log, now_ns) = (&self.inner.log, self.inner.ports.clock.wall_ns());
        let refused = Completion {
            called: call.called(&call.path, kind, log.begin()),
            started_ns: now_ns,
            own: None,
            usage: Usage::default(),
            return_bytes: None,
            cached: false,
            texts: Texts::of(&[], Some(error)).shared(),
        };
        log.completed(refused, now_ns);
    }

    /// A query was answered with a result that was known already, or that somebody else waits for.
    pub(crate) fn log_shared(&self, path: &Arc<str>, identity: &Identity) {
        if path.starts_with(system::PREFIX) {
            return;
        }
        let (log, now_ns) = (&self.inner.log, self.inner.ports.clock.wall_ns());
        let shared = Completion {
            called: Called {
                path: path.clone(),
                kind: FunctionKind::Query,
                request: None,
                execution: log.begin(),
                origin: Origin::Socket,
                caller: identity.into(),
            },
            started_ns: now_ns,
            own: None,
            usage: Usage::default(),
            return_bytes: None,
            cached: true,
            texts: None,
        };
        log.completed(shared, now_ns);
    }

    /// An action has ended; its lines are in the log already.
    pub(super) fn log_action(
        &self,
        call: &Call,
        execution: ExecutionId,
        started_ns: u64,
        Ended { value, own }: &Ended,
    ) {
        let ended = Completion {
            called: call.called(&call.path, FunctionKind::Action, execution),
            started_ns,
            own: Some(*own),
            usage: Usage::default(),
            return_bytes: value.as_ref().ok().map(String::len),
            cached: false,
            texts: Texts::of(&[], value.as_ref().err()).shared(),
        };
        self.inner.log.completed(ended, self.inner.ports.clock.wall_ns());
    }
}

fn completion(call: &Call, found: &Found, ran: &Ran, tx: &Transaction) -> Completion {
    Completion {
        called: call.called(&found.name, found.function.kind, ran.execution),
        started_ns: ran.started_ns,
        own: Some(ran.own),
        usage: tx.usage(),
        return_bytes: ran.value.as_ref().ok().map(String::len),
        cached: false,
        texts: Texts::of(&ran.report.log_lines, ran.value.as_ref().err()).shared(),
    }
}

impl Texts {
    /// The log is for administrators: nothing is redacted.
    fn of(lines: &[String], error: Option<&FunctionError>) -> Self {
        let error = error.map(|error| error.message.trim_end().into());
        Texts { lines: lines.to_vec(), error, lost: None }
    }
}
