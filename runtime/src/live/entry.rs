//! One known result: what it is, from when to when it is valid, and who watches it.

use std::collections::HashMap;
use std::sync::Arc;

use syncline_client_protocol::{QueryId, QueryResult, RunId};
use syncline_engine::{ReadSet, Touched};
use syncline_schema::Timestamp;

use super::{LiveEvent, QueryKey, Watcher};
use crate::identity::Identity;

/// The number of a known result; never used twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct EntryId(pub(super) u64);

/// A session's hold on a result: given back with `unwatch`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WatchHandle {
    pub(super) entry: EntryId,
    pub(super) watcher: u64,
}

/// Someone who waits for an evaluation or watches its result.
pub(super) struct Waiter {
    pub(super) watcher: Arc<dyn Watcher>,
    pub(super) query: QueryId,
    pub(super) run: RunId,
    pub(super) identity: Identity,
}

/// What an evaluation gave.
pub(super) struct Evaluated {
    pub(super) result: Arc<QueryResult>,
    /// Errors are shared by the watchers of their evaluation and never serve a later one.
    pub(super) failed: bool,
    pub(super) observed_identity: bool,
    /// A result that read the time serves new watchers until then.
    pub(super) expires_at_ns: Option<u64>,
    pub(super) ts: Timestamp,
    pub(super) reads: ReadSet,
    pub(super) started_ns: u64,
    pub(super) took_ns: u64,
}

/// Where a result's validity ended.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ended {
    /// The first commit that touched what it read.
    pub(super) ts: Timestamp,
    /// What that commit changed of it; unknown when the commits are not kept any more.
    pub(super) by: Option<Touched>,
}

/// Why a query ran.
#[derive(Clone, Copy, Debug)]
pub(super) enum Cause {
    /// Somebody asked, and nothing was known.
    First,
    /// A commit had changed what the run before read.
    Changed(Option<Touched>),
    /// Somebody asked, and what was known was an error, too old, or not for them.
    AskedAgain,
}

/// What is told of a result's run.
#[derive(Clone, Debug)]
pub(super) struct RunFacts {
    /// How often the query has run for these watchers.
    pub(super) number: u64,
    pub(super) cause: Cause,
    pub(super) started_ns: u64,
    pub(super) took_ns: u64,
    pub(super) reads: ReadSet,
}

/// A result with its validity and its watchers.
pub(super) struct Entry {
    pub(super) key: QueryKey,
    /// Whom it is valid for; `None` for everybody.
    pub(super) identity: Option<Identity>,
    pub(super) result: Arc<QueryResult>,
    failed: bool,
    expires_at_ns: Option<u64>,
    from: Timestamp,
    pub(super) until: Option<Ended>,
    pub(super) run: RunFacts,
    watchers: HashMap<u64, (Arc<dyn Watcher>, QueryId)>,
    next_watcher: u64,
}

impl Entry {
    pub(super) fn new(
        key: QueryKey,
        identity: Option<Identity>,
        evaluated: Evaluated,
        until: Option<Ended>,
        before: Option<&Entry>,
    ) -> Self {
        let cause = match before {
            None => Cause::First,
            Some(Entry { until: Some(ended), .. }) => Cause::Changed(ended.by),
            Some(Entry { until: None, .. }) => Cause::AskedAgain,
        };
        let run = RunFacts {
            number: before.map_or(1, |before| before.run.number + 1),
            cause,
            started_ns: evaluated.started_ns,
            took_ns: evaluated.took_ns,
            reads: evaluated.reads,
        };
        Entry {
            key,
            identity,
            result: evaluated.result,
            failed: evaluated.failed,
            expires_at_ns: evaluated.expires_at_ns,
            from: evaluated.ts,
            until,
            run,
            watchers: HashMap::new(),
            next_watcher: 0,
        }
    }

    /// Whether a new request at `ts` may be answered with it.
    pub(super) fn serves(&self, ts: Timestamp, now_ns: u64) -> bool {
        let valid = self.from <= ts && self.until.is_none_or(|until| ts < until.ts);
        let fresh = self.expires_at_ns.is_none_or(|expires| now_ns < expires);
        valid && fresh && !self.failed
    }

    /// Gives the result to a waiter, who from now on is told of its end: with the result when it has ended already.
    pub(super) fn give(&mut self, id: EntryId, waiter: &Waiter) {
        let number = self.next_watcher;
        let watch = self.until.is_none().then_some(WatchHandle { entry: id, watcher: number });
        let (query, run) = (waiter.query, waiter.run);
        let there = waiter.watcher.tell(LiveEvent::Done { query, run, result: self.result.clone(), watch });
        if there && watch.is_some() {
            self.next_watcher += 1;
            self.watchers.insert(number, (waiter.watcher.clone(), query));
        }
    }

    /// Ends its validity and tells those who watch.
    pub(super) fn end(&mut self, ended: Ended) {
        self.until = Some(ended);
        for (watcher, query) in std::mem::take(&mut self.watchers).into_values() {
            watcher.tell(LiveEvent::Invalidated { query });
        }
    }

    pub(super) fn remove_watcher(&mut self, watcher: u64) {
        self.watchers.remove(&watcher);
    }

    pub(super) fn n_watchers(&self) -> usize {
        self.watchers.len()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use syncline_client_protocol::LogLines;

    use super::*;

    #[derive(Default)]
    struct Told(Mutex<Vec<LiveEvent>>);

    impl Watcher for Told {
        fn tell(&self, event: LiveEvent) -> bool {
            self.0.lock().unwrap().push(event);
            true
        }
    }

    /// In two events, a session could choose a timestamp between them at which the result is not true any more.
    ///
    /// spec: S55
    #[test]
    fn that_a_result_has_ended_already_is_told_with_it() {
        let result = QueryResult { outcome: Ok("1".into()), log_lines: LogLines::default(), journal: None, hash: 1 };
        let evaluated = Evaluated {
            result: Arc::new(result),
            failed: false,
            observed_identity: false,
            expires_at_ns: None,
            ts: Timestamp(1),
            reads: ReadSet::default(),
            started_ns: 0,
            took_ns: 0,
        };
        let key = QueryKey { path: "m:f".into(), args: "{}".into(), journal: None };
        let mut entry = Entry::new(key, None, evaluated, Some(Ended { ts: Timestamp(2), by: None }), None);
        let told = Arc::new(Told::default());
        let waiter = Waiter { watcher: told.clone(), query: QueryId(0), run: RunId(0), identity: Identity::Anonymous };
        entry.give(EntryId(0), &waiter);
        entry.end(Ended { ts: Timestamp(3), by: None });
        let told = told.0.lock().unwrap();
        assert!(matches!(told[..], [LiveEvent::Done { watch: None, .. }]), "{} events", told.len());
    }
}
