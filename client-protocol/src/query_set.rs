//! What one client watches: the queries, the changes that wait for a Transition, and what it has not been told yet.
//!
//! A `ModifyQuerySet` is checked when it arrives and takes effect when the next target is chosen; until then only
//! its net effect is kept, so a client that talks faster than it reads does not grow the list.
//!
//! A query is *stale* until it has been sent for evaluation, *running* until its result is here, and its result is
//! *unsent* until a Transition leaves. A target may be given up in between (a snapshot too old to read, a new
//! identity): results that are still true wait here for the next one.

use std::collections::{BTreeMap, BTreeSet};
use std::mem;
use std::sync::Arc;

use crate::error::ProtocolError;
use crate::message::{
    FunctionCall, ModifyQuerySet, QueryId, QueryResult, QuerySetModification, QuerySetVersion, StateModification,
};
use crate::output::RunId;

/// How many entries of any kind are kept per query allowed: watched, changed, removed and not yet acknowledged.
const ENTRIES_PER_QUERY_MAX: usize = 4;

/// What one client watches.
#[derive(Debug)]
pub(crate) struct QuerySet {
    /// That of the last `ModifyQuerySet` received.
    version: QuerySetVersion,
    /// Watched as of the last target.
    queries: BTreeMap<QueryId, Query>,
    /// What becomes of a query at the next target: watched anew, or not at all.
    changes: BTreeMap<QueryId, Option<Query>>,
    /// How many will be watched after `changes`.
    n_watched: usize,
    /// To be run at the next target: new, or what they read has changed, or the identity has.
    stale: BTreeSet<QueryId>,
    running: BTreeMap<QueryId, RunId>,
    /// What the next Transition says.
    unsent: BTreeMap<QueryId, Unsent>,
    n_runs: u64,
}

#[derive(Debug)]
struct Query {
    call: FunctionCall,
    /// What the client holds.
    journal: Option<Arc<str>>,
    /// Of the result the client holds, if any.
    sent_hash: Option<u64>,
    /// Whether the runtime watches what the last run read.
    is_subscribed: bool,
}

#[derive(Debug)]
enum Unsent {
    Result(Arc<QueryResult>),
    Removed,
}

/// A query to be evaluated.
pub(crate) struct QueryRun {
    pub(crate) query: QueryId,
    pub(crate) run: RunId,
    pub(crate) call: FunctionCall,
    pub(crate) journal: Option<Arc<str>>,
}

impl QuerySet {
    pub(crate) fn new() -> QuerySet {
        QuerySet {
            version: QuerySetVersion(0),
            queries: BTreeMap::new(),
            changes: BTreeMap::new(),
            n_watched: 0,
            stale: BTreeSet::new(),
            running: BTreeMap::new(),
            unsent: BTreeMap::new(),
            n_runs: 0,
        }
    }

    /// The version the client has asked for.
    pub(crate) fn version(&self) -> QuerySetVersion {
        self.version
    }

    /// Takes one message, whole or not at all as far as the client can see: an error ends its session.
    pub(crate) fn modify(&mut self, message: ModifyQuerySet, queries_max: usize) -> Result<(), ProtocolError> {
        let ModifyQuerySet { base_version, new_version, modifications } = message;
        if base_version != self.version {
            return Err(ProtocolError::BaseVersionMismatch { current: self.version, found: base_version });
        }
        if new_version <= base_version {
            return Err(ProtocolError::VersionNotRising { base: base_version, new: new_version });
        }
        for modification in modifications {
            match modification {
                QuerySetModification::Add { query, call, journal } => self.add(query, call, journal)?,
                QuerySetModification::Remove { query } => self.remove(query)?,
            }
            let n_entries = self.queries.len() + self.changes.len() + self.unsent.len();
            if self.n_watched > queries_max || n_entries > queries_max.saturating_mul(ENTRIES_PER_QUERY_MAX) {
                return Err(ProtocolError::TooMany { reason: "TooManyQueriesForSingleClient", max: queries_max });
            }
        }
        self.version = new_version;
        Ok(())
    }

    fn add(&mut self, query: QueryId, call: FunctionCall, journal: Option<Arc<str>>) -> Result<(), ProtocolError> {
        if self.will_be_watched(query) {
            return Err(ProtocolError::DuplicateQuery(query));
        }
        let added = Query { call, journal, sent_hash: None, is_subscribed: false };
        self.changes.insert(query, Some(added));
        self.n_watched += 1;
        Ok(())
    }

    fn remove(&mut self, query: QueryId) -> Result<(), ProtocolError> {
        if !self.will_be_watched(query) {
            return Err(ProtocolError::UnknownQuery(query));
        }
        self.changes.insert(query, None);
        self.n_watched -= 1;
        Ok(())
    }

    fn will_be_watched(&self, query: QueryId) -> bool {
        match self.changes.get(&query) {
            Some(change) => change.is_some(),
            None => self.queries.contains_key(&query),
        }
    }

    /// What a query's last run read has changed. Late news of a query that is gone is nothing.
    pub(crate) fn invalidate(&mut self, query: QueryId) {
        if self.queries.contains_key(&query) {
            self.stale.insert(query);
        }
    }

    /// A target has been chosen: the changes received so far take effect. Returns the queries to stop watching.
    ///
    /// An id that was removed and added again gets its new result only; one that was added and removed again is
    /// acknowledged as removed (`tests/spec/sync-protocol.md` 3.1).
    pub(crate) fn apply_changes(&mut self) -> Vec<QueryId> {
        let mut dropped = Vec::new();
        for (query, change) in mem::take(&mut self.changes) {
            if self.queries.remove(&query).is_some_and(|query| query.is_subscribed) {
                dropped.push(query);
            }
            match change {
                Some(added) => {
                    self.queries.insert(query, added);
                    self.stale.insert(query);
                }
                None => {
                    self.unsent.insert(query, Unsent::Removed);
                }
            }
        }
        dropped
    }

    /// The queries to be evaluated at the target: from now on they are running.
    pub(crate) fn start_runs(&mut self) -> Vec<QueryRun> {
        let stale = mem::take(&mut self.stale);
        let mut runs = Vec::with_capacity(stale.len());
        for id in stale {
            // It may have been removed since it became stale.
            let Some(query) = self.queries.get_mut(&id) else { continue };
            let run = RunId(self.n_runs);
            self.n_runs += 1;
            query.is_subscribed = true;
            self.running.insert(id, run);
            runs.push(QueryRun { query: id, run, call: query.call.clone(), journal: query.journal.clone() });
        }
        runs
    }

    /// Whether this is the answer to a run that has not been given up.
    fn is_running(&self, query: QueryId, run: RunId) -> bool {
        self.running.get(&query) == Some(&run)
    }

    /// A result is here. If the client holds an equal one, it will not be sent.
    pub(crate) fn finish_run(&mut self, query: QueryId, run: RunId, result: Arc<QueryResult>) {
        if !self.is_running(query, run) {
            return;
        }
        self.running.remove(&query);
        let sent_hash = self.queries.get(&query).and_then(|query| query.sent_hash);
        if sent_hash == Some(result.hash) {
            self.unsent.remove(&query);
        } else {
            self.unsent.insert(query, Unsent::Result(result));
        }
    }

    /// A run could not read its snapshot: all that run are given up and become stale again. Returns whether any were.
    pub(crate) fn retry_run(&mut self, query: QueryId, run: RunId) -> bool {
        if !self.is_running(query, run) {
            return false;
        }
        self.stale.extend(mem::take(&mut self.running).into_keys());
        true
    }

    /// Another identity is in force: no result of the old one may be sent any more, and all queries run again.
    /// Journals and hashes stay, as the client holds its results until it gets others. Returns the queries to stop
    /// watching.
    pub(crate) fn change_identity(&mut self) -> Vec<QueryId> {
        self.running.clear();
        self.unsent.retain(|_, unsent| match unsent {
            Unsent::Result(_) => false,
            Unsent::Removed => true,
        });
        self.stale = self.queries.keys().copied().collect();
        let subscribed = self.queries.iter_mut().filter(|(_, query)| query.is_subscribed);
        subscribed
            .map(|(id, query)| {
                query.is_subscribed = false;
                *id
            })
            .collect()
    }

    /// Whether some queries must run before the client can move on.
    pub(crate) fn is_stale(&self) -> bool {
        !self.stale.is_empty()
    }

    /// Whether all runs of the target have their results.
    pub(crate) fn is_evaluated(&self) -> bool {
        self.running.is_empty()
    }

    /// Whether there is something to tell.
    pub(crate) fn has_unsent(&self) -> bool {
        !self.unsent.is_empty()
    }

    /// What the Transition leaving now says; the client holds it from here on.
    pub(crate) fn take_unsent(&mut self) -> Vec<StateModification> {
        let unsent = mem::take(&mut self.unsent);
        unsent
            .into_iter()
            .map(|(query, unsent)| match unsent {
                Unsent::Removed => StateModification::Removed { query },
                Unsent::Result(result) => {
                    if let Some(watched) = self.queries.get_mut(&query) {
                        watched.sent_hash = Some(result.hash);
                        watched.journal.clone_from(&result.journal);
                    }
                    StateModification::Answered { query, result }
                }
            })
            .collect()
    }
}
