//! Live queries: one evaluation and one encoded result, however many clients watch.
//!
//! A session asks for a query at a timestamp ([`LiveQueries::request`]). When a known result is valid there, it is
//! shared; when an evaluation at that timestamp is under way, its result is awaited; else one is started. A result is
//! valid from its snapshot until the first commit that touches what it read. That commit tells all watchers, once, and
//! they ask again when their sessions choose their next timestamp.
//!
//! What several watch is evaluated again before they are woken, so that each is woken once and finds the result. It
//! happens once for each time that they asked: nothing is evaluated for those who do not come for it.
//!
//! Whether a result may be shared between identities is a property of its run: a run that looked at the identity is
//! valid for that identity only.

mod describe;
mod entry;
mod state;

use std::sync::{Arc, Mutex, MutexGuard};

use syncline_client_protocol::{QueryId, QueryResult, RunId};
use syncline_engine::{BeginError, Engine, Pin, ReadSet, Spawn};
use syncline_schema::Timestamp;
use tokio::sync::watch;

use crate::clock::Clock;
use crate::config::Config;
use crate::executor::{Call, Executor, QueryRun, SystemError};
use crate::identity::Identity;
use crate::together::wake_together;

pub(crate) use describe::LiveQuery;
pub use entry::WatchHandle;
use entry::{Ended, Evaluated, Waiter};
use state::{Answer, Flight, State};

/// What is evaluated: equal keys share.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct QueryKey {
    /// The function, as the client named it.
    pub path: Arc<str>,
    /// Its arguments, as the client wrote them.
    pub args: Arc<str>,
    /// Where its page ended when it ran last.
    pub journal: Option<Arc<str>>,
}

/// Told to a session about a query it asked for.
pub enum LiveEvent {
    /// The query's result at the timestamp that was asked for.
    Done {
        /// Which query.
        query: QueryId,
        /// Which request.
        run: RunId,
        /// The result, shared with all who watch it.
        result: Arc<QueryResult>,
        /// To be given back when the query is not wanted any more. None when a commit has changed what it read
        /// already, so that it has to run again: in one event, because a session that has the one half of it may
        /// choose its next timestamp.
        watch: Option<WatchHandle>,
    },
    /// A commit changed what the query's last result read.
    Invalidated {
        /// Which query.
        query: QueryId,
        /// What it was watched by: nobody watches that any more.
        watch: WatchHandle,
    },
    /// It could not be evaluated at that timestamp; a newer one is to be chosen.
    TooOld {
        /// Which query.
        query: QueryId,
        /// Which request.
        run: RunId,
    },
    /// The machine failed, not the query.
    Failed(SystemError),
}

/// Someone who watches queries: a session.
pub trait Watcher: Send + Sync {
    /// Takes an event; `false` when the watcher is gone. Must not block.
    fn tell(&self, event: LiveEvent) -> bool;

    /// Takes an event that it need not look at before it is woken.
    fn tell_quietly(&self, event: LiveEvent) -> bool;

    /// Makes it look at what it was told.
    fn wake(&self);
}

/// What a session asks for.
pub struct Request {
    /// Its number in the session.
    pub query: QueryId,
    /// Which run of the session it answers.
    pub run: RunId,
    /// What to evaluate.
    pub key: QueryKey,
    /// For whom.
    pub identity: Identity,
    /// At which moment; one that [`LiveQueries::published`] had.
    pub at: Arc<Pin>,
    /// Whether the session had a result of it before: then this is no new call for the log of functions.
    pub again: bool,
}

/// The newest timestamp up to which all watchers have been told of all changes.
#[derive(Clone, Debug)]
pub struct Published {
    /// The timestamp; durable, and kept readable by whoever holds this.
    pub at: Arc<Pin>,
    /// Rises when commits that were visible have been undone.
    pub generation: u64,
}

/// All live queries of a server. Cheap to clone.
#[derive(Clone)]
pub struct LiveQueries {
    inner: Arc<Inner>,
}

struct Inner {
    engine: Engine,
    executor: Executor,
    clock: Arc<dyn Clock>,
    config: Arc<Config>,
    state: Mutex<State>,
    published: watch::Sender<Published>,
    /// Wakes many watchers from where they run: from a thread for functions, each would cost several times as much.
    tasks: Arc<dyn Spawn>,
}

/// Watchers that are woken where one happens to be, a number.
const WOKEN_HERE_MAX: usize = 16;

impl LiveQueries {
    /// Live queries over an engine; [`LiveQueries::follow`] has to run for anything to be told.
    ///
    /// # Errors
    /// When the engine pins no snapshot.
    pub fn new(
        engine: Engine,
        executor: Executor,
        clock: Arc<dyn Clock>,
        config: Arc<Config>,
        tasks: Arc<dyn Spawn>,
    ) -> Result<Self, BeginError> {
        let at = Arc::new(engine.pin_durable()?);
        let state = Mutex::new(State::new(at.ts(), &config));
        let generation = engine.watch_durable().borrow().generation;
        let published = watch::Sender::new(Published { at, generation });
        Ok(LiveQueries { inner: Arc::new(Inner { engine, executor, clock, config, state, published, tasks }) })
    }

    /// What sessions take their timestamps from.
    pub fn published(&self) -> watch::Receiver<Published> {
        self.inner.published.subscribe()
    }

    /// Tells watchers of durable commits, in order, for as long as the engine lives.
    pub async fn follow(self) {
        let mut durable = self.inner.engine.watch_durable();
        loop {
            durable.borrow_and_update();
            let live = self.clone();
            wake_together(move || live.publish()).await;
            if durable.changed().await.is_err() {
                return;
            }
        }
    }

    /// Publishes the newest durable commit. Those who wait for it wake behind this, and find what they were told.
    fn publish(&self) {
        let at = match self.inner.engine.pin_durable() {
            Ok(pin) => Arc::new(pin),
            Err(error) => {
                tracing::error!(%error, "clients are not told of commits until more are made");
                return;
            }
        };
        // Read behind the pin: an undo in between is then seen here, and those who wait for an older generation
        // are told to try again rather than that they are durable.
        let generation = self.inner.engine.watch_durable().borrow().generation;
        let flights = self.apply(at.ts());
        self.inner.published.send_if_modified(|last| {
            let changed = last.at.ts() != at.ts() || last.generation != generation;
            *last = Published { at: at.clone(), generation };
            changed
        });
        for (key, flight) in flights {
            self.evaluate(key, flight, at.clone());
        }
    }

    /// Tells watchers of the commits up to `to`, quietly. Returns what is to be evaluated again.
    fn apply(&self, to: Timestamp) -> Vec<(QueryKey, Flight)> {
        let mut state = self.state();
        let from = state.published();
        if to <= from {
            return Vec::new();
        }
        let mut ended = Vec::new();
        match self.inner.engine.commits_after(from) {
            Ok(commits) => {
                commits.iter().take_while(|commit| commit.ts <= to).for_each(|commit| state.apply(commit, &mut ended));
            }
            Err(error) => {
                tracing::error!(%error, "commits were let go of before they were followed: all live queries run again");
                state.end_all();
            }
        }
        state.advance(to);
        ended.into_iter().filter_map(|ended| state.again(ended)).collect()
    }

    /// Answers a request: now, or through `watcher` when its evaluation has ended.
    pub fn request(&self, watcher: &Arc<dyn Watcher>, request: Request) -> Option<LiveEvent> {
        let waiter =
            Waiter { watcher: watcher.clone(), query: request.query, run: request.run, identity: request.identity };
        let now_ns = self.inner.clock.wall_ns();
        let shared_with = (!request.again).then(|| waiter.identity.clone());
        let answer = self.state().request(&request.key, request.at.ts(), waiter, now_ns);
        let known = match answer {
            Answer::Known(event) => Some(event),
            Answer::Joined => None,
            Answer::Start(flight) => {
                self.evaluate(request.key, flight, request.at);
                return None;
            }
        };
        if let Some(identity) = shared_with {
            self.inner.executor.log_shared(&request.key.path, &identity);
        }
        known
    }

    /// Gives up a watched query.
    pub fn unwatch(&self, watch: WatchHandle) {
        self.state().unwatch(watch);
    }

    /// How many distinct queries are known, and how many watchers they have.
    pub fn counts(&self) -> (usize, usize) {
        self.state().counts()
    }

    fn evaluate(&self, key: QueryKey, flight: Flight, at: Arc<Pin>) {
        let live = self.clone();
        let executor = self.inner.executor.clone();
        let (path, args, identity) = (key.path.clone(), key.args.clone(), flight.identity.clone());
        let call = Call::query(path, args, identity, executor.new_request());
        executor.clone().spawn(async move {
            let started_ns = live.inner.clock.wall_ns();
            let ran = executor.query(&call, flight.ts, key.journal.clone()).await;
            live.finished(key, flight, at, ran, started_ns);
        });
    }

    fn finished(
        &self,
        key: QueryKey,
        flight: Flight,
        at: Arc<Pin>,
        ran: Result<QueryRun, SystemError>,
        started_ns: u64,
    ) {
        let (asleep, again) = match ran {
            Ok(run) => {
                let evaluated = self.evaluated(run, flight.ts, started_ns);
                let mut state = self.state();
                let touched = self.first_touch(&evaluated.reads, flight.ts, state.published());
                state.finish(&key, &flight, evaluated, touched)
            }
            Err(error) => (self.state().fail(&key, &flight, &error), Vec::new()),
        };
        self.wake(asleep);
        for flight in again {
            self.evaluate(key.clone(), flight, at.clone());
        }
    }

    fn wake(&self, asleep: Vec<Arc<dyn Watcher>>) {
        let n_asleep = asleep.len();
        let wake = move || asleep.iter().for_each(|watcher| watcher.wake());
        if n_asleep <= WOKEN_HERE_MAX {
            wake();
        } else {
            self.inner.tasks.spawn("wake", Box::pin(wake_together(wake)));
        }
    }

    fn evaluated(&self, run: QueryRun, ts: Timestamp, started_ns: u64) -> Evaluated {
        let now_ns = self.inner.clock.wall_ns();
        let age_ns = u64::try_from(self.inner.config.timed_result_age_max.as_nanos()).unwrap_or(u64::MAX);
        Evaluated {
            result: Arc::new(run.to_result(self.inner.config.mode)),
            failed: run.value.is_err(),
            observed_identity: run.observed_identity,
            expires_at_ns: run.observed_time.then(|| now_ns.saturating_add(age_ns)),
            ts,
            reads: run.reads,
            started_ns,
            took_ns: now_ns.saturating_sub(started_ns),
        }
    }

    /// The first commit behind `from`, up to `to`, that touches `reads`: one that was published while it ran. When the
    /// commits in between are not kept any more, that counts as touched.
    fn first_touch(&self, reads: &ReadSet, from: Timestamp, to: Timestamp) -> Option<Ended> {
        if from >= to {
            return None;
        }
        let Ok(commits) = self.inner.engine.commits_after(from) else { return Some(Ended { ts: to, by: None }) };
        let mut published = commits.iter().take_while(|commit| commit.ts <= to);
        published
            .find_map(|commit| reads.first_touched(commit).map(|touched| Ended { ts: commit.ts, by: Some(touched) }))
    }

    /// The queries that are watched, the most watched first, with what each depends on.
    pub(crate) fn describe(&self, limit: usize) -> Vec<LiveQuery> {
        let seen = self.state().seen(limit);
        seen.into_iter().map(|seen| seen.described(&self.inner.engine)).collect()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.inner.state.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}
