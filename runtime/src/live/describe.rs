//! Live queries in words, for dashboards: who watches what, and why it ran.

use std::sync::Arc;

use syncline_client_protocol::QueryResult;
use syncline_engine::{Engine, Touched};

use super::QueryKey;
use super::entry::{Cause, Entry, RunFacts};
use crate::identity::Identity;

/// Most parts of a read set that are told.
const READS_MAX: usize = 50;

/// A watched query.
#[derive(Clone, Debug)]
pub(crate) struct LiveQuery {
    pub(crate) key: QueryKey,
    /// Whom the result is for, when it is not for everybody.
    pub(crate) identity: Option<Identity>,
    pub(crate) watchers: usize,
    pub(crate) runs: u64,
    pub(crate) last_run_ms: f64,
    pub(crate) last_run_at_ms: f64,
    pub(crate) reads: Vec<String>,
    pub(crate) cause: String,
    pub(crate) result_bytes: usize,
}

/// What is copied of an entry while the lock is held.
pub(super) struct Seen {
    key: QueryKey,
    identity: Option<Identity>,
    watchers: usize,
    run: RunFacts,
    result: Arc<QueryResult>,
}

impl Seen {
    pub(super) fn of(entry: &Entry) -> Seen {
        Seen {
            key: entry.key.clone(),
            identity: entry.identity.clone(),
            watchers: entry.n_watchers(),
            run: entry.run.clone(),
            result: entry.result.clone(),
        }
    }

    pub(super) fn described(self, engine: &Engine) -> LiveQuery {
        let Seen { key, identity, watchers, run, result } = self;
        LiveQuery {
            key,
            identity,
            watchers,
            runs: run.number,
            last_run_ms: run.took_ns as f64 / 1e6,
            last_run_at_ms: run.started_ns as f64 / 1e6,
            reads: engine.describe_reads(&run.reads, READS_MAX),
            cause: cause(run.cause, engine),
            result_bytes: result.outcome.as_ref().map_or(0, |value| value.len()),
        }
    }
}

fn cause(cause: Cause, engine: &Engine) -> String {
    match cause {
        Cause::First => "first".to_owned(),
        Cause::AskedAgain => "asked again".to_owned(),
        Cause::Changed(Some(Touched::Table(number))) => match engine.table_name(number) {
            Some(name) => format!("table {name} changed"),
            None => format!("table {number} changed"),
        },
        Cause::Changed(Some(Touched::Tables)) => "the list of tables changed".to_owned(),
        Cause::Changed(Some(Touched::Variables)) => "variables changed".to_owned(),
        Cause::Changed(Some(Touched::Request) | None) => "something it read changed".to_owned(),
    }
}
