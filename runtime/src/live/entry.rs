//! One known result: what it is, from when to when it is valid, and who watches it.

use std::collections::BTreeMap;
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

/// A result that several watched and that has ended.
pub(super) struct Shared {
    pub(super) key: QueryKey,
    /// Under whom it is run again.
    pub(super) identity: Identity,
    /// They have been told, quietly, and are to be woken when there is a new result.
    pub(super) watchers: Vec<Arc<dyn Watcher>>,
}

/// A result with its validity and its watchers.
pub(super) struct Entry {
    pub(super) key: QueryKey,
    /// Whom it is valid for; `None` for everybody.
    pub(super) identity: Option<Identity>,
    /// Who it was run under.
    ran_under: Identity,
    pub(super) result: Arc<QueryResult>,
    failed: bool,
    expires_at_ns: Option<u64>,
    from: Timestamp,
    pub(super) until: Option<Ended>,
    pub(super) run: RunFacts,
    /// In the order in which they came.
    watchers: BTreeMap<u64, (Arc<dyn Watcher>, QueryId)>,
    next_watcher: u64,
}

impl Entry {
    pub(super) fn new(
        key: QueryKey,
        identity: Option<Identity>,
        ran_under: Identity,
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
            ran_under,
            result: evaluated.result,
            failed: evaluated.failed,
            expires_at_ns: evaluated.expires_at_ns,
            from: evaluated.ts,
            until,
            run,
            watchers: BTreeMap::new(),
            next_watcher: 0,
        }
    }

    /// Whether a new request at `ts` may be answered with it.
    pub(super) fn serves(&self, ts: Timestamp, now_ns: u64) -> bool {
        let valid = self.from <= ts && self.until.is_none_or(|until| ts < until.ts);
        let fresh = self.expires_at_ns.is_none_or(|expires| now_ns < expires);
        valid && fresh && !self.failed
    }

    /// The result for a waiter, who from now on is told of its end: with the result when it has ended already.
    pub(super) fn give(&mut self, id: EntryId, waiter: &Waiter) -> LiveEvent {
        let number = self.next_watcher;
        let watch = self.until.is_none().then_some(WatchHandle { entry: id, watcher: number });
        let (query, run) = (waiter.query, waiter.run);
        if watch.is_some() {
            self.next_watcher += 1;
            self.watchers.insert(number, (waiter.watcher.clone(), query));
        }
        LiveEvent::Done { query, run, result: self.result.clone(), watch }
    }

    /// Ends its validity and tells those who watch: one who watches alone at once, several quietly, because it is run
    /// again before they are woken.
    pub(super) fn end(&mut self, id: EntryId, ended: Ended) -> Option<Shared> {
        self.until = Some(ended);
        let watchers = std::mem::take(&mut self.watchers);
        let event = |number, query| LiveEvent::Invalidated { query, watch: WatchHandle { entry: id, watcher: number } };
        if watchers.len() <= 1 {
            for (number, (watcher, query)) in watchers {
                watcher.tell(event(number, query));
            }
            return None;
        }
        let tell = |(number, (watcher, query)): (u64, (Arc<dyn Watcher>, QueryId))| {
            watcher.tell_quietly(event(number, query));
            watcher
        };
        let watchers = watchers.into_iter().map(tell).collect();
        Some(Shared { key: self.key.clone(), identity: self.ran_under.clone(), watchers })
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

        fn tell_quietly(&self, event: LiveEvent) -> bool {
            self.tell(event)
        }

        fn wake(&self) {}
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
        let ended = Some(Ended { ts: Timestamp(2), by: None });
        let mut entry = Entry::new(key, None, Identity::Anonymous, evaluated, ended, None);
        let told = Arc::new(Told::default());
        let waiter = Waiter { watcher: told.clone(), query: QueryId(0), run: RunId(0), identity: Identity::Anonymous };
        let event = entry.give(EntryId(0), &waiter);
        assert!(matches!(event, LiveEvent::Done { watch: None, .. }));
        entry.end(EntryId(0), Ended { ts: Timestamp(3), by: None });
        let told = told.0.lock().unwrap();
        assert!(told.is_empty(), "{} events", told.len());
    }
}
