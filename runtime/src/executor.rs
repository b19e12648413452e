//! One call of a function: find it, run it in a transaction, commit, and run it again when it lost a conflict.
//!
//! A conflict is never the application's problem: after a few tries a mutation gets the committer's turn and cannot
//! lose. A mutation that was already done (same session, same request) is answered from its record.

mod action;
mod call;
pub mod errors;
pub mod guard;
mod mutation;

use std::collections::HashMap;
use std::sync::Arc;

use futures::future::BoxFuture;
use syncline_engine::{Access, At, BeginError, BeginOptions, Engine, Random, Spawn, Transaction};
use syncline_functions::registry::{Function, FunctionError, FunctionKind, Registry, Visibility};
use syncline_functions::run::{Run, RunInputs};
use syncline_functions::tx::{DbError, Tx};
use syncline_schema::{FunctionPath, Timestamp};

use crate::clock::{Clock, Timer};
use crate::config::{Config, FUNCTION_VALUE_BYTES_MAX};
use crate::system;
pub use call::{ActionRun, Call, MutationRun, QueryRun, SystemError, encoded, failure, shown};
use guard::{Guard, TimeLimits};

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
    registry: Arc<Registry>,
    /// The functions of tools, apart from the application's.
    system: Registry,
    /// The functions by every spelling that clients use, so that a call parses no path.
    spellings: HashMap<String, Arc<FunctionPath>>,
    guard: Guard,
    ports: ExecutorPorts,
    config: Arc<Config>,
    permits: tokio::sync::Semaphore,
}

/// A call that was found: what to run.
struct Found<'a> {
    path: Arc<FunctionPath>,
    function: &'a Function,
}

impl Executor {
    /// An executor of `registry` over `engine`.
    pub fn new(engine: Engine, registry: Arc<Registry>, config: Arc<Config>, ports: ExecutorPorts) -> Self {
        let guard = Guard { clock: ports.clock.clone(), timer: ports.timer.clone() };
        let permits = tokio::sync::Semaphore::new(config.functions_at_once_max);
        let spellings = spellings(&registry);
        let system = system::registry();
        Executor { inner: Arc::new(Inner { engine, registry, system, spellings, guard, ports, config, permits }) }
    }

    /// Runs a future on the threads for functions.
    pub fn spawn(&self, future: impl Future<Output = ()> + Send + 'static) {
        self.inner.ports.functions.spawn("call", Box::pin(future));
    }

    /// Runs a query at a timestamp.
    ///
    /// # Errors
    /// Only what is not the query's own failure: that is part of its outcome.
    pub async fn query(&self, call: &Call, ts: Timestamp, journal: Option<Arc<str>>) -> Result<QueryRun, SystemError> {
        let permit = self.permit().await;
        let found = match self.find(call, FunctionKind::Query) {
            Ok(found) => found,
            Err(error) => return Ok(QueryRun::refused(call, error)),
        };
        let tx = self.begin(At::Timestamp(ts), BeginOptions { access: Access::ReadOnly, turn: None })?;
        let (run, value) = self.run(call, &found, tx.clone(), journal).await;
        drop(permit);
        if let Some(failure) = tx.failure() {
            return Err(SystemError::of(&failure));
        }
        let mut report = run.report();
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

    /// The function that a call names, if this caller may see it and it is of that kind.
    fn find(&self, call: &Call, kind: FunctionKind) -> Result<Found<'_>, FunctionError> {
        let found = self.lookup(call)?;
        if found.function.kind != kind {
            return Err(errors::wrong_kind(&found.path, kind, found.function.kind));
        }
        if call.args.len() > FUNCTION_VALUE_BYTES_MAX {
            return Err(errors::too_large(&found.path, "arguments", call.args.len(), FUNCTION_VALUE_BYTES_MAX));
        }
        Ok(found)
    }

    fn lookup(&self, call: &Call) -> Result<Found<'_>, FunctionError> {
        let path = match self.inner.spellings.get(&*call.path) {
            Some(path) => path.clone(),
            None => Arc::new(FunctionPath::parse(&call.path).map_err(|cause| errors::bad_path(&call.path, &cause))?),
        };
        let registry =
            if path.module().starts_with(system::PREFIX) { &self.inner.system } else { &*self.inner.registry };
        let function = registry.find(&path).ok_or_else(|| errors::not_found(&path))?;
        if function.visibility == Visibility::Internal && !call.may_call_internal() {
            return Err(errors::not_found(&path));
        }
        Ok(Found { path, function })
    }

    async fn run(
        &self,
        call: &Call,
        found: &Found<'_>,
        tx: Arc<Transaction>,
        journal: Option<Arc<str>>,
    ) -> (Arc<Run>, Result<String, FunctionError>) {
        let run = Run::new(RunInputs {
            tx: Some(tx as Arc<dyn Tx>),
            caller: None,
            registry: self.inner.registry.clone(),
            identity: call.identity.user().cloned(),
            now_ms: self.inner.ports.clock.wall_ns() / 1_000_000,
            seed: self.seed(),
            journal,
        });
        let limits = TimeLimits {
            own: Some(self.inner.config.function_own_time_max),
            wall: self.inner.config.function_wall_time_max,
        };
        let value = self.guarded(found, run.clone(), call.args.clone(), limits).await;
        call.print_log_lines(&run.report().log_lines);
        (run, value)
    }

    async fn guarded(
        &self,
        found: &Found<'_>,
        run: Arc<Run>,
        args: Arc<str>,
        limits: TimeLimits,
    ) -> Result<String, FunctionError> {
        let handler = found.function.handler;
        let started: BoxFuture<'static, _> = Box::pin(async move { handler(run, args).await });
        let value = self.inner.guard.call(&found.path, found.function.kind, limits, started).await?;
        if value.len() > FUNCTION_VALUE_BYTES_MAX {
            return Err(errors::too_large(&found.path, "result", value.len(), FUNCTION_VALUE_BYTES_MAX));
        }
        Ok(value)
    }

    fn seed(&self) -> u64 {
        let mut bytes = [0; 8];
        self.inner.ports.random.fill(&mut bytes);
        u64::from_le_bytes(bytes)
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

/// `m:f`, `m.js:f`, and for a default export `m` and `m.js`.
fn spellings(registry: &Registry) -> HashMap<String, Arc<FunctionPath>> {
    let mut spellings = HashMap::new();
    for function in registry.iter() {
        let path = Arc::new(function.path.clone());
        for spelling in [function.path.short(), function.path.canonical()] {
            spellings.insert(spelling, path.clone());
        }
    }
    spellings
}
