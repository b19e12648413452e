//! One call of a function: find it, run it in a transaction, commit, and run it again when it lost a conflict.
//!
//! A conflict is never the application's problem: after a few tries a mutation gets the committer's turn and cannot
//! lose. A mutation that was already done (same session, same request) is answered from its record.

mod action;
mod call;
pub mod errors;
mod functions;
pub mod guard;
mod logged;
mod mutation;

use std::sync::Arc;
use std::time::Duration;

use syncline_engine::{Access, At, BeginError, BeginOptions, Engine, ExpectedCommit, Random, Spawn, Transaction};
use syncline_functions::registry::{FunctionError, FunctionKind, Registry, Visibility};
use syncline_functions::run::{Run, RunInputs, RunReport, Seeds, Surroundings};
use syncline_functions::tx::{DbError, Tx};
use syncline_schema::{PathError, Timestamp};

use crate::clock::{Clock, Timer};
use crate::config::{Config, FUNCTION_VALUE_BYTES_MAX};
use crate::function_log::{ExecutionId, FunctionLog};
use crate::request::RequestToken;
use crate::system::{self, Facts};
pub use call::{ActionRun, Call, MutationRun, QueryRun, StandsOn, SystemError, encoded, failure, shown};
use functions::{Found, Functions, Owner};
use guard::{Ended, Guard, TimeLimits};
pub use mutation::Behind;

/// What the executor takes from the world.
pub struct ExecutorPorts {
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Waits.
    pub timer: Arc<dyn Timer>,
    /// Random numbers.
    pub random: Arc<dyn Random>,
    /// Threads that run functions, and nothing else.
    pub functions: Arc<dyn Spawn>,
}

/// Runs functions. Cheap to clone.
#[derive(Clone)]
pub struct Executor {
    inner: Arc<Inner>,
}

struct Inner {
    engine: Engine,
    application: Arc<Surroundings>,
    /// Of the functions of tools, which are apart from the application's and know the facts.
    system: Arc<Surroundings>,
    facts: Arc<Facts>,
    log: Arc<FunctionLog>,
    functions: Functions,
    guard: Guard,
    seeds: Seeds,
    ports: ExecutorPorts,
    config: Arc<Config>,
    permits: tokio::sync::Semaphore,
}

/// A run of a query or a mutation that has ended.
struct Ran {
    value: Result<String, FunctionError>,
    report: RunReport,
    execution: ExecutionId,
    started_ns: u64,
    own: Duration,
}

impl Executor {
    /// An executor of the functions in `facts` over `engine`.
    pub(crate) fn new(engine: Engine, facts: Facts, config: Arc<Config>, ports: ExecutorPorts) -> Self {
        let registry = facts.functions.clone();
        let guard = Guard { clock: ports.clock.clone(), timer: ports.timer.clone() };
        let seeds = seeds(ports.random.clone());
        let permits = tokio::sync::Semaphore::new(config.functions_at_once_max);
        let log = Arc::new(FunctionLog::new(ports.clock.clone()));
        let facts = Arc::new(facts);
        let around = |registry: Arc<Registry>, host| {
            let (seeds, built_ins) = (seeds.clone(), facts.built_ins.clone());
            Arc::new(Surroundings { registry, seeds, built_ins, host })
        };
        let application = around(registry, None);
        let system = around(Arc::new(system::registry()), Some(facts.clone()));
        let functions = Functions::new(&application.registry, &system.registry);
        let inner = Inner { engine, application, system, facts, log, functions, guard, seeds, ports, config, permits };
        Executor { inner: Arc::new(inner) }
    }

    /// What functions did lately.
    pub(crate) fn log(&self) -> &Arc<FunctionLog> {
        &self.inner.log
    }

    /// What is fixed while the server runs.
    pub(crate) fn facts(&self) -> &Facts {
        &self.inner.facts
    }

    /// Runs a future on the threads for functions.
    pub fn spawn(&self, future: impl Future<Output = ()> + Send + 'static) {
        self.inner.ports.functions.spawn("call", Box::pin(future));
    }

    /// Says that mutations are under way, until what this returns is dropped.
    pub fn expect_commit(&self) -> ExpectedCommit {
        self.inner.engine.expect_commit()
    }

    /// Runs a query at a timestamp.
    ///
    /// # Errors
    /// Only what is not the query's own failure: that is part of its outcome.
    pub async fn query(&self, call: &Call, ts: Timestamp, journal: Option<Arc<str>>) -> Result<QueryRun, SystemError> {
        let permit = self.permit().await;
        let found = match self.find(call, FunctionKind::Query) {
            Ok(found) => found,
            Err(error) => {
                self.log_refused(call, FunctionKind::Query, &error);
                return Ok(QueryRun::refused(call, error));
            }
        };
        let tx = self.begin(At::Timestamp(ts), BeginOptions { access: Access::ReadOnly, turn: None })?;
        let ran = self.run(call, found, tx.clone(), journal).await;
        drop(permit);
        if let Some(failure) = tx.failure() {
            return Err(SystemError::of(&failure));
        }
        self.log_ran(call, found, &ran, &tx, None);
        let Ran { value, mut report, .. } = ran;
        // Who may see the result of an internal function depends on who asks, whatever the function looks at.
        report.observed_identity |= found.function.visibility == Visibility::Internal;
        Ok(QueryRun::new(call, value, report, tx.read_set()))
    }

    async fn permit(&self) -> tokio::sync::SemaphorePermit<'_> {
        self.inner.permits.acquire().await.expect("the semaphore is never closed")
    }

    fn begin(&self, at: At, options: BeginOptions) -> Result<Arc<Transaction>, SystemError> {
        self.inner.engine.begin(at, options).map_err(|error| match error {
            BeginError::OutOfRetention { .. } => SystemError::OutOfRetention,
            BeginError::TooManyPins { .. } => SystemError::Overloaded,
        })
    }

    /// The kind of the function that a call names, if this caller may see it.
    ///
    /// # Errors
    /// The function's failure as any call of it would be answered.
    pub fn kind_of(&self, call: &Call) -> Result<FunctionKind, FunctionError> {
        self.lookup(call).map(|found| found.function.kind)
    }

    /// Whether a path could be that of a function.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn check_path(&self, path: &str) -> Result<(), PathError> {
        self.inner.functions.check_path(path)
    }

    /// The function that a call names, if this caller may see it and it is of that kind.
    fn find(&self, call: &Call, kind: FunctionKind) -> Result<&Found, FunctionError> {
        let found = self.lookup(call)?;
        if found.function.kind != kind {
            return Err(errors::wrong_kind(&found.path, kind, found.function.kind));
        }
        if call.args.len() > FUNCTION_VALUE_BYTES_MAX {
            return Err(errors::too_large(&found.path, "arguments", call.args.len(), FUNCTION_VALUE_BYTES_MAX));
        }
        Ok(found)
    }

    fn lookup(&self, call: &Call) -> Result<&Found, FunctionError> {
        self.inner.functions.find(&call.path, |owner| match owner {
            Owner::Application => call.may_call_internal(),
            // Whatever an action of the application calls, it calls for those who called it.
            Owner::Server => call.identity.is_admin(),
        })
    }

    fn surroundings_of(&self, owner: Owner) -> &Arc<Surroundings> {
        match owner {
            Owner::Application => &self.inner.application,
            Owner::Server => &self.inner.system,
        }
    }

    async fn run(&self, call: &Call, found: &Found, tx: Arc<Transaction>, journal: Option<Arc<str>>) -> Ran {
        let started_ns = self.inner.ports.clock.wall_ns();
        let run = Run::new(RunInputs {
            tx: Some(tx as Arc<dyn Tx>),
            caller: None,
            surroundings: self.surroundings_of(found.owner).clone(),
            identity: call.identity.user().cloned(),
            now_ms: started_ns / 1_000_000,
            journal,
            on_log: None,
        });
        let limits = TimeLimits {
            own: Some(self.inner.config.function_own_time_max),
            wall: self.inner.config.function_wall_time_max,
        };
        let Ended { value, own } = self.guarded(found, run.clone(), call.args.clone(), limits).await;
        let report = run.report();
        call.print_log_lines(&report.log_lines);
        Ran { value, report, execution: self.inner.log.begin(), started_ns, own }
    }

    async fn guarded(&self, found: &Found, run: Arc<Run>, args: Arc<str>, limits: TimeLimits) -> Ended {
        let call = (found.function.handler)(run, args);
        let mut ended = self.inner.guard.call(&found.path, found.function.kind, limits, call).await;
        if let Ok(value) = &ended.value
            && value.len() > FUNCTION_VALUE_BYTES_MAX
        {
            ended.value = Err(errors::too_large(&found.path, "result", value.len(), FUNCTION_VALUE_BYTES_MAX));
        }
        ended
    }

    /// The id of a call that no client made.
    pub fn new_request(&self) -> RequestToken {
        RequestToken::from_number((self.inner.seeds)())
    }
}

impl SystemError {
    fn of(failure: &DbError) -> Self {
        match failure {
            DbError::OutOfRetention => SystemError::OutOfRetention,
            DbError::Storage(cause) => SystemError::Storage(cause.clone()),
            DbError::Refused { message, .. } => SystemError::Storage(message.as_str().into()),
        }
    }
}

fn seeds(random: Arc<dyn Random>) -> Seeds {
    Arc::new(move || {
        let mut bytes = [0; 8];
        random.fill(&mut bytes);
        u64::from_le_bytes(bytes)
    })
}
