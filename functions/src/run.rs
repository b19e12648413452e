//! One run of one function: what it is given, and what it leaves behind beside its result.
//!
//! The contexts share one [`Run`]; the executor keeps it too and reads the report when the function has ended,
//! returned or panicked. Whether the identity, the clock or an environment variable was looked at is a property
//! of the run (never of the function): it decides who may share the result.

use std::any::Any;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock};

use futures::future::BoxFuture;
use futures::lock::MutexGuard;
use syncline_schema::FunctionPath;

use crate::auth::UserIdentity;
use crate::error::{Error, Result};
use crate::log::{self, Level};
use crate::registry::{FunctionError, FunctionKind, Registry};
use crate::tx::{NestedEnd, Tx, Variables};

/// How an action (and only an action) calls other functions: each call is a transaction of its own.
pub trait Caller: Send + Sync {
    /// Calls `path` with arguments as wire JSON, under the identity of the action. Internal functions may be called.
    fn call(&self, kind: FunctionKind, path: &str, args: String) -> BoxFuture<'static, Result<String, FunctionError>>;

    /// The value that a variable of the deployment has now; actions have no transaction to read it in.
    fn environment_variable(&self, name: &str) -> BoxFuture<'static, Result<Option<Arc<str>>, FunctionError>>;

    /// All variables of the deployment as they are now, by name.
    fn environment_variables(&self) -> BoxFuture<'static, Result<Variables, FunctionError>>;
}

/// What all runs of a server's functions have in common.
pub struct Surroundings {
    /// All functions that may call each other.
    pub registry: Arc<Registry>,
    /// Gives the number where a run's random numbers start; asked once, by a run that wants any.
    pub seeds: Seeds,
    /// The variables that the server itself gives a value; `ctx.env` looks here first.
    pub built_ins: Arc<BuiltIns>,
    /// What the server gives to its own functions: [`crate::context::QueryCtx::host`]. An application's get nothing.
    pub host: Option<Arc<dyn Any + Send + Sync>>,
}

/// What the executor gives to a run.
pub struct RunInputs {
    /// What it shares with all others.
    pub surroundings: Arc<Surroundings>,
    /// The transaction; actions have none.
    pub tx: Option<Arc<dyn Tx>>,
    /// Calls of an action; queries and mutations have none (their nested calls share the transaction).
    pub caller: Option<Arc<dyn Caller>>,
    /// Who calls; `None` when nobody is signed in.
    pub identity: Option<Arc<UserIdentity>>,
    /// Whole milliseconds since the epoch, the same all through the run.
    pub now_ms: u64,
    /// Where a paginated query ended when it ran last.
    pub journal: Option<Arc<str>>,
    /// Told of each log line when it is written; lines are in the report all the same.
    pub on_log: Option<OnLog>,
}

/// Values of variables by name.
pub type BuiltIns = BTreeMap<String, String>;

/// Gives seeds of random numbers.
pub type Seeds = Arc<dyn Fn() -> u64 + Send + Sync>;

/// Told of log lines, each as clients read it; must not block.
pub type OnLog = Arc<dyn Fn(&str) + Send + Sync>;

/// A run of a function, or of one that it called in the same transaction.
///
/// Nested calls share everything but their place in the chain of calls, so what they observe counts for the caller.
pub struct Run {
    shared: Arc<Shared>,
    /// Where this call stands in the chain; `None` for the function that was asked for.
    place: Option<Place>,
    /// One nested transaction at a time; the function's own calls wait while it is open.
    bracket: futures::lock::Mutex<()>,
    bracket_open: AtomicBool,
}

/// A nested call.
struct Place {
    path: FunctionPath,
    caller: Arc<Run>,
}

struct Shared {
    inputs: RunInputs,
    observed_identity: AtomicBool,
    observed_time: AtomicBool,
    random: OnceLock<AtomicU64>,
    state: Mutex<RunState>,
}

#[derive(Default)]
struct RunState {
    log_lines: Vec<String>,
    journal: Option<String>,
    paginated: bool,
}

/// What a run leaves behind beside its result.
#[derive(Clone, Debug, Default)]
pub struct RunReport {
    /// Lines as clients read them: `[LOG] 'text'`.
    pub log_lines: Vec<String>,
    /// Whether it (or a nested call) looked at who is calling.
    pub observed_identity: bool,
    /// Whether it looked at the clock.
    pub observed_time: bool,
    /// Where its page ended; `None` when it did not paginate.
    pub journal: Option<String>,
}

impl Run {
    /// Begins a run.
    pub fn new(inputs: RunInputs) -> Arc<Self> {
        let shared = Shared {
            random: OnceLock::new(),
            inputs,
            observed_identity: AtomicBool::new(false),
            observed_time: AtomicBool::new(false),
            state: Mutex::default(),
        };
        Self::at(Arc::new(shared), None)
    }

    /// What is known so far; complete once the function has ended.
    pub fn report(&self) -> RunReport {
        let state = self.state();
        RunReport {
            log_lines: state.log_lines.clone(),
            observed_identity: self.shared.observed_identity.load(Ordering::Relaxed),
            observed_time: self.shared.observed_time.load(Ordering::Relaxed),
            journal: state.journal.clone(),
        }
    }

    fn at(shared: Arc<Shared>, place: Option<Place>) -> Arc<Self> {
        Arc::new(Run { shared, place, bracket: futures::lock::Mutex::new(()), bracket_open: AtomicBool::new(false) })
    }

    /// The run of a function that this one calls in its transaction.
    pub(crate) fn nested(self: &Arc<Self>, path: FunctionPath) -> Arc<Self> {
        Self::at(self.shared.clone(), Some(Place { path, caller: self.clone() }))
    }

    /// Whether another function called this one in its transaction.
    pub(crate) fn is_nested(&self) -> bool {
        self.place.is_some()
    }

    /// The nested calls that lead here, the outermost first.
    pub(crate) fn chain(&self) -> Vec<&FunctionPath> {
        let mut chain = Vec::new();
        let mut run = self;
        while let Some(place) = &run.place {
            chain.push(&place.path);
            run = &place.caller;
        }
        chain.reverse();
        chain
    }

    /// How many calls deep this one is; the function that was asked for is at 0.
    pub(crate) fn depth(&self) -> usize {
        self.chain().len()
    }

    /// All functions of the application.
    pub(crate) fn registry(&self) -> &Registry {
        &self.shared.inputs.surroundings.registry
    }

    /// What the server gave to its own function.
    pub(crate) fn host(&self) -> Option<&Arc<dyn Any + Send + Sync>> {
        self.shared.inputs.surroundings.host.as_ref()
    }

    /// A variable that the server itself gives a value.
    pub(crate) fn built_in(&self, name: &str) -> Option<&String> {
        self.shared.inputs.surroundings.built_ins.get(name)
    }

    /// The transaction; actions have none.
    pub(crate) fn transaction(&self) -> Option<&Arc<dyn Tx>> {
        self.shared.inputs.tx.as_ref()
    }

    /// The transaction of a query or a mutation.
    pub(crate) fn tx(&self) -> &Arc<dyn Tx> {
        self.transaction().expect("a context with a database is made from a run with a transaction")
    }

    /// How an action calls other functions; queries and mutations have none.
    pub(crate) fn caller(&self) -> Option<&Arc<dyn Caller>> {
        self.shared.inputs.caller.as_ref()
    }

    /// Who calls. From now on the result is that caller's own.
    pub(crate) fn identity(&self) -> Option<&UserIdentity> {
        self.shared.observed_identity.store(true, Ordering::Relaxed);
        self.shared.inputs.identity.as_deref()
    }

    /// The same, to keep.
    pub(crate) fn shared_identity(&self) -> Option<Arc<UserIdentity>> {
        self.shared.observed_identity.store(true, Ordering::Relaxed);
        self.shared.inputs.identity.clone()
    }

    /// The time of the run. From now on the result is one of this time.
    pub(crate) fn now_ms(&self) -> u64 {
        self.shared.observed_time.store(true, Ordering::Relaxed);
        self.shared.inputs.now_ms
    }

    /// The next random number of the run: `SplitMix64`, whose state is a counter, so that it needs no lock.
    pub(crate) fn random(&self) -> u64 {
        const STEP: u64 = 0x9e37_79b9_7f4a_7c15;
        let random = self.shared.random.get_or_init(|| AtomicU64::new((self.shared.inputs.surroundings.seeds)()));
        let mut z = random.fetch_add(STEP, Ordering::Relaxed).wrapping_add(STEP);
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// Writes a log line.
    pub(crate) fn log(&self, level: Level, text: &dyn fmt::Display) {
        let mut state = self.state();
        let n_before = state.log_lines.len();
        log::push(&mut state.log_lines, level, text);
        if let Some(on_log) = &self.shared.inputs.on_log {
            state.log_lines[n_before..].iter().for_each(|line| on_log(line));
        }
    }

    /// Where the page ended in the run before this one.
    pub(crate) fn journal_before(&self) -> Option<&str> {
        self.shared.inputs.journal.as_deref()
    }

    /// Takes the run's one page. Fails when it was taken.
    pub(crate) fn begin_page(&self) -> Result<()> {
        if std::mem::replace(&mut self.state().paginated, true) {
            return Err(Error::refused(
                "MultiplePaginatedDatabaseQueries",
                "a function reads one page; write one function for each paginated query",
            ));
        }
        Ok(())
    }

    /// Keeps where the page ended.
    pub(crate) fn end_page(&self, journal: String) {
        self.state().journal = Some(journal);
    }

    /// Waits while a nested mutation is under way: what it wrote may yet be undone.
    pub(crate) async fn settled(&self) {
        if self.bracket_open.load(Ordering::Relaxed) {
            drop(self.bracket.lock().await);
        }
    }

    /// Waits for the turn to write; the writes of a function do not mix with those of a nested mutation.
    pub(crate) async fn turn(&self) -> MutexGuard<'_, ()> {
        match self.bracket.try_lock() {
            Some(turn) => turn,
            None => self.bracket.lock().await,
        }
    }

    /// Opens a nested transaction. It is undone unless it is kept.
    pub(crate) async fn bracket(&self) -> Bracket<'_> {
        let turn = self.bracket.lock().await;
        self.bracket_open.store(true, Ordering::Relaxed);
        self.tx().begin_nested();
        Bracket { run: self, end: NestedEnd::Undo, _turn: turn }
    }

    fn state(&self) -> std::sync::MutexGuard<'_, RunState> {
        self.shared.state.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

/// An open nested transaction; it closes when this is dropped, also when the call was given up half-way.
pub(crate) struct Bracket<'a> {
    run: &'a Run,
    end: NestedEnd,
    _turn: MutexGuard<'a, ()>,
}

impl Bracket<'_> {
    /// Makes its writes those of the caller.
    pub(crate) fn keep(mut self) {
        self.end = NestedEnd::Keep;
    }
}

impl Drop for Bracket<'_> {
    fn drop(&mut self) {
        self.run.tx().end_nested(self.end);
        self.run.bracket_open.store(false, Ordering::Relaxed);
    }
}
